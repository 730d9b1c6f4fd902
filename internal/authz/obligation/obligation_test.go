package obligation

import (
	"net/http"
	"strings"
	"testing"

	"vitrine/internal/engine/operation"
)

func parse(t *testing.T, method, uri, body string) *operation.Operation {
	t.Helper()
	req := &operation.Request{Method: method, URI: uri, Proto: "HTTP/1.1", Header: http.Header{}}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.ContentLength = int64(len(body))
		req.ReadBody = func() ([]byte, error) { return []byte(body), nil }
	}
	op, err := operation.Parse(req)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// TestResolvedPathClosed: what the gateway asks for in place of what was typed, the plugin
// cannot, whatever the role says.
func TestResolvedPathClosed(t *testing.T) {
	op := &operation.Operation{ID: "ContainerCreate", Carry: operation.CarryPlain, Resolved: []operation.ResolvedPath{{Typed: "/a/link", Path: "/b"}}}
	for _, without := range []bool{false, true} {
		if _, unmet := Meet(Gateway, op, Demand{WithoutRedaction: without}); unmet != nil {
			t.Error(unmet.Reason)
		}
		if _, unmet := Meet(Plugin, op, Demand{WithoutRedaction: without}); unmet == nil || !unmet.Gateway || !strings.Contains(unmet.Reason, "/a/link") {
			t.Errorf("%+v", unmet)
		}
		if _, unmet := Meet(Plugin, op, Demand{Redact: []string{"/x"}, WithoutRedaction: without}); unmet == nil {
			t.Error("met")
		}
	}
}

// TestSubstitutedSocketClosed: the gateway's socket in place of the engine's is the gateway's to put there.
func TestSubstitutedSocketClosed(t *testing.T) {
	op := &operation.Operation{ID: "ContainerCreate", Carry: operation.CarryPlain, Substituted: []operation.ResolvedPath{{Typed: "/var/run/docker.sock", Path: "/run/a.sock"}}}
	if _, unmet := Meet(Gateway, op, Demand{}); unmet != nil {
		t.Error(unmet.Reason)
	}
	if _, unmet := Meet(Plugin, op, Demand{}); unmet == nil || unmet.Rule != "substitute" || !unmet.Gateway || !strings.Contains(unmet.Reason, "/var/run/docker.sock") {
		t.Errorf("%+v", unmet)
	}
}

// TestLimitsThatOneCanGiveHimself: the plugin's no says which.
func TestLimitsThatOneCanGiveHimself(t *testing.T) {
	op := parse(t, "POST", "/containers/create", `{"Image":"a"}`)
	if _, unmet := Meet(Plugin, op, Demand{Ceilings: operation.Ceilings{Pids: 2}}); unmet == nil || !strings.Contains(unmet.Reason, "HostConfig.PidsLimit: 2") {
		t.Errorf("%+v", unmet)
	}
}

// TestUnmetClosed: what a door cannot do is denied there, and says by which rule. A
// demand that is met gives a plan, or there is nothing to do.
func TestUnmetClosed(t *testing.T) {
	env, label := []string{"/Config/Env/*"}, map[string]string{"team": "sre"}
	two := operation.Ceilings{Pids: 2}
	for name, tc := range map[string]struct {
		method, uri, body string
		demand            Demand
		gateway, plugin   string // the rule that is not met; "plan" for one that is, "" for nothing to do
	}{
		"nothing":                   {"GET", "/containers/x/json", "", Demand{}, "", ""},
		"an answer":                 {"GET", "/containers/x/json", "", Demand{Redact: env}, "plan", "redact!"},
		"an answer, or unseen":      {"GET", "/containers/x/json", "", Demand{Redact: env, WithoutRedaction: true}, "plan", ""},
		"the text of errors":        {"POST", "/containers/x/start", "", Demand{Redact: []string{"/message"}}, "", "redact!"},
		"events":                    {"GET", "/events", "", Demand{Redact: []string{"/Action"}}, "plan", "redact!"},
		"events by what is cut":     {"GET", `/events?filters=%7B%22event%22%3A%5B%22exec_create%3A%20x%22%5D%7D`, "", Demand{Redact: []string{"/Action"}}, "redact", "redact"},
		"a list by what is cut":     {"GET", `/containers/json?filters=%7B%22event%22%3A%5B%22exec_create%3A%20x%22%5D%7D`, "", Demand{Redact: []string{"/*/Command"}}, "plan", "redact!"},
		"a stream of statistics":    {"GET", "/containers/x/stats", "", Demand{Redact: []string{"/name"}}, "redact", "redact"},
		"statistics once":           {"GET", "/containers/x/stats?stream=false", "", Demand{Redact: []string{"/name"}}, "plan", "redact!"},
		"logs":                      {"GET", "/containers/x/logs?stdout=1", "", Demand{Redact: []string{"/x"}}, "redact", "redact"},
		"a file":                    {"GET", "/containers/x/archive?path=/etc", "", Demand{Redact: []string{"/x"}}, "redact", "redact"},
		"a file's head":             {"HEAD", "/containers/x/archive?path=/etc", "", Demand{Redact: []string{"/x"}}, "plan", "redact!"},
		"a pull":                    {"POST", "/images/create?fromImage=x", "", Demand{Redact: []string{"/x"}}, "redact", "redact"},
		"what changed in a file":    {"GET", "/containers/x/changes", "", Demand{Redact: []string{"/*/Path"}}, "plan", "redact!"},
		"no answer":                 {"POST", "/containers/x/stop", "", Demand{Redact: []string{"/x"}}, "plan", "redact!"},
		"attach":                    {"POST", "/containers/x/attach?stream=1", "", Demand{Redact: []string{"/x"}}, "redact", "redact"},
		"a stream, or unseen":       {"GET", "/containers/x/logs?stdout=1", "", Demand{Redact: []string{"/x"}, WithoutRedaction: true}, "redact", ""},
		"no pointer":                {"GET", "/containers/x/json", "", Demand{Redact: []string{"x"}}, "redact", "redact"},
		"too many pointers":         {"GET", "/containers/x/json", "", Demand{Redact: strings.Split(strings.Repeat("/x ", 65), " ")[:65]}, "redact", "redact"},
		"some objects":              {"GET", "/containers/json", "", Demand{Where: label}, "", "where!"},
		"some objects, or unseen":   {"GET", "/containers/json", "", Demand{Where: label, WithoutRedaction: true}, "", "where!"},
		"some objects, and blanked": {"GET", "/containers/x/json", "", Demand{Where: label, Redact: env}, "plan", "where!"},
		"some objects, counted":     {"GET", "/info", "", Demand{Where: label}, "plan", "where!"},
		"what nobody can limit":     {"GET", "/plugins", "", Demand{Where: label}, "where", "where"},
		"labels on what it makes":   {"POST", "/containers/create", `{"Image":"a"}`, Demand{Stamp: label}, "", "stamp!"},
		"labels on a build":         {"POST", "/build", "", Demand{Stamp: label}, "", "stamp!"},
		"labels on nothing":         {"GET", "/containers/json", "", Demand{Stamp: label}, "", ""},
		"limits on what it makes":   {"POST", "/containers/create", `{"Image":"a"}`, Demand{Ceilings: two}, "", "ceilings!"},
		"limits that it has":        {"POST", "/containers/create", `{"Image":"a","HostConfig":{"PidsLimit":2}}`, Demand{Ceilings: two}, "", ""},
		"limits on a build":         {"POST", "/build", "", Demand{Ceilings: two}, "", "ceilings"},
		"a session":                 {"POST", "/session", "", Demand{Sessions: true}, "", "session!"},
		"a build in a session":      {"POST", "/build?session=x", "", Demand{Sessions: true}, "", "session!"},
		"a build with an id":        {"POST", "/build?buildid=x", "", Demand{Sessions: true}, "", "session!"},
		"a build without":           {"POST", "/build?version=2", "", Demand{Sessions: true}, "", ""},
		"an admin's session":        {"POST", "/session", "", Demand{}, "", ""},
		"limits on nothing":         {"GET", "/containers/json", "", Demand{Ceilings: two}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			op := parse(t, tc.method, tc.uri, tc.body)
			for door, want := range map[Door]string{Gateway: tc.gateway, Plugin: tc.plugin, "another": strings.TrimSuffix(tc.plugin, "!")} {
				plan, unmet := Meet(door, op, tc.demand)
				got := ""
				switch {
				case unmet != nil && plan != nil:
					t.Error("a plan along with a reason")
				case unmet != nil && (unmet.Reason == ""):
					t.Errorf("no reason: %+v", unmet)
				case unmet != nil && unmet.Gateway && door == Plugin:
					got = unmet.Rule + "!"
				case unmet != nil:
					got = unmet.Rule
				case plan != nil:
					got = "plan"
				}
				if door == "another" && tc.demand.WithoutRedaction && len(tc.demand.Redact) > 0 && want == "" {
					want = "redact" // it is not known to be one where nothing can be blanked
				}
				if got != want {
					t.Errorf("%s: %q (%v), want %q", door, got, unmet, want)
				}
			}
		})
	}
}

// TestRecreateClosed: which containers a role may change, and make anew, only the gateway knows. What changes none is no matter of it.
func TestRecreateClosed(t *testing.T) {
	for uri, gateways := range map[string]bool{"POST /containers/web/stop": true, "GET /containers/json": false, "POST /images/create?fromImage=x": false} {
		method, path, _ := strings.Cut(uri, " ")
		op := parse(t, method, path, "")
		if _, unmet := Meet(Plugin, op, Demand{Recreate: true}); (unmet != nil) != gateways || unmet != nil && (unmet.Rule != "recreate" || !unmet.Gateway) {
			t.Errorf("%s: %+v", uri, unmet)
		}
		if _, unmet := Meet(Gateway, op, Demand{Recreate: true}); unmet != nil {
			t.Errorf("%s at the gateway: %+v", uri, unmet)
		}
	}
}

// TestWhoSeesEverythingIsHeldToNoView: an operation that cannot be limited to some objects is no matter of his.
func TestWhoSeesEverythingIsHeldToNoView(t *testing.T) {
	op := parse(t, "GET", "/plugins", "")
	if _, unmet := Meet(Gateway, op, Demand{}); unmet != nil {
		t.Error(unmet.Reason)
	}
	if _, unmet := Meet(Gateway, op, Demand{Where: map[string]string{"team": "blue"}}); unmet == nil || unmet.Rule != "where" {
		t.Errorf("%+v", unmet)
	}
}
