package decide_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// updater is an update tool's world: it may replace what is labelled so, and takes no hazard.
type updater struct {
	world
	steps    *decide.Steps
	tenancy  tenancy
	old      operation.Old
	err      error
	revision string
	where    []map[string]string
	seen     noted
}

var updated = map[string]string{"update": "yes"}

func newUpdater() *updater {
	u := &updater{tenancy: tenancy{labels: map[string]map[string]string{"web": updated, "vault": {"update": "no"}, "bare": nil, "shop": nil, "0f": nil}, ids: map[string]string{"shop": "0f", "0f": "0f"}}, revision: "1", where: []map[string]string{updated}}
	u.old = operation.Old{
		Name: "web", Config: []byte(`{"Image":"nginx","User":"","Labels":{"update":"yes"}}`), Host: []byte(`{"Privileged":true,"Binds":["/srv:/srv"]}`),
		Networks: []byte(`{"shop":{"NetworkID":"0f"}}`),
	}
	u.containers = map[string][]string{"web": {"container:web", "container-id:" + idOf("web")}, "vault": {"container:vault", "container-id:" + idOf("vault")}}
	u.decide = func(in *policy.Input) policy.Decision {
		d := policy.Decision{Allow: len(in.Operation.Hazards) == 0 && len(in.Operation.HostPath) == 0, Diagnostics: policy.Diagnostics{Revision: u.revision}}
		if !d.Allow {
			d.Reasons = []string{"no hazards"}
		} else {
			d.Recreate = u.where
		}
		return d
	}
	u.restart()
	return u
}

func (u *updater) restart() {
	o := u.options()
	o.Objects = u.tenancy
	o.Old = func(_ context.Context, id string) (*operation.Old, error) {
		if id != idOf("web") {
			return nil, errors.New("another was asked for: " + id)
		}
		return &u.old, u.err
	}
	o.Record = func(audit.Record) {}
	o.Shapes = &u.seen
	u.steps = decide.New(o)
}

func tool(id string) *identity.Identity {
	uid := uint32(0)
	return &identity.Identity{Kind: identity.Container, UID: &uid, Container: &identity.ContainerInfo{ID: id}, Principals: []string{"container:" + id}, Door: "gateway"}
}

func (u *updater) ask(t *testing.T, who *identity.Identity, method, uri, body string) *decide.Verdict {
	t.Helper()
	u.who = who
	req := &operation.Request{Method: method, URI: uri, Proto: "HTTP/1.1", Header: http.Header{}}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.ContentLength = int64(len(body))
		req.ReadBody = func() ([]byte, error) { return []byte(body), nil }
	}
	v := u.steps.Authorize(t.Context(), identity.NewLocal(), req)
	v.Finish(v.Status, false)
	return v
}

const anew = `{"Image":"nginx:2","HostConfig":{"Privileged":true,"Binds":["/srv:/srv"]}}`

func (u *updater) allows(t *testing.T, who *identity.Identity, method, uri, body string) bool {
	t.Helper()
	return u.ask(t, who, method, uri, body).Allow
}

func TestRecreates(t *testing.T) {
	for _, away := range [][2]string{{"POST", "/containers/web/stop"}, {"POST", "/containers/web/kill?signal=TERM"}, {"POST", "/containers/web/rename?name=gone"}, {"DELETE", "/containers/web?force=1"}} {
		u := newUpdater()
		if v := u.ask(t, tool("a"), away[0], away[1], ""); !v.Allow || !strings.Contains(v.Carried().URI, idOf("web")) {
			t.Fatalf("%s: %s, carried as %s", away[1], v.Message, v.Carried().URI)
		}
		for _, name := range []string{"web", "/web"} {
			v := u.ask(t, tool("a"), "POST", "/containers/create?name="+name, anew)
			if !v.Allow || !slices.Equal(v.Operation.Replaced, []string{"HostConfig.Binds", "HostConfig.Privileged"}) {
				t.Errorf("%s: create %s: %s, %v", away[1], name, v.Message, v.Operation.Replaced)
			}
			v.Made(idOf("web"))
		}
		if v := u.ask(t, tool("a"), "POST", "/networks/shop/connect", `{"Container":"web","EndpointConfig":{"NetworkID":"0f"}}`); !v.Allow {
			t.Error(v.Message)
		}
		if v := u.ask(t, tool("a"), "POST", "/containers/web/start", ""); !v.Allow {
			t.Error(v.Message)
		}
	}
}

// makes has a caller make web anew, and the daemon give it the id of a name.
func (u *updater) makes(t *testing.T, who *identity.Identity, name, body string) {
	t.Helper()
	u.ask(t, who, "POST", "/containers/create?name=web", body).Made(idOf(name))
}

// TestRecreatedIsNotStranded: what was made in the place of a container is connected, started and taken away again, though its image sets the
// labels, and nobody can tell any more who gave them.
func TestRecreatedIsNotStranded(t *testing.T) {
	u := newUpdater()
	u.ask(t, tool("a"), "POST", "/containers/web/stop", "")
	u.makes(t, tool("a"), "web", anew)
	u.tenancy.labels["web"] = nil
	for _, uri := range []string{"/containers/web/start", "/containers/web/stop", "/containers/web/rename?name=gone"} {
		if v := u.ask(t, tool("a"), "POST", uri, ""); !v.Allow {
			t.Errorf("%s: %s", uri, v.Message)
		}
	}
	u.makes(t, tool("a"), "web", anew) // once more, as that was taken away too
	if v := u.ask(t, tool("a"), "POST", "/networks/shop/connect", `{"Container":"web"}`); !v.Allow {
		t.Error(v.Message)
	}
}

// TestClosedRecreatedIsThatOne: nothing else is what was made in the place of a container, whatever its name.
func TestClosedRecreatedIsThatOne(t *testing.T) {
	for name, change := range map[string]func(u *updater){
		"nothing was made":      func(*updater) {},
		"another caller's":      func(u *updater) { u.makes(t, tool("b"), "web", anew) },
		"another of the name":   func(u *updater) { u.makes(t, tool("a"), "gone", anew) },
		"the daemon names none": func(u *updater) { u.ask(t, tool("a"), "POST", "/containers/create?name=web", anew).Made("") },
		"under another policy":  func(u *updater) { u.makes(t, tool("a"), "web", anew); u.revision = "2" },
		"after a restart":       func(u *updater) { u.makes(t, tool("a"), "web", anew); u.restart() },
		"no create":             func(u *updater) { u.ask(t, tool("a"), "POST", "/containers/web/kill", "").Made(idOf("web")) },
	} {
		u := newUpdater()
		u.ask(t, tool("a"), "POST", "/containers/web/stop", "")
		change(u)
		u.tenancy.labels["web"] = nil
		if v := u.ask(t, tool("a"), "POST", "/containers/web/start", ""); v.Allow || v.Code != "recreate" {
			t.Errorf("%s: %v, %s", name, v.Allow, v.Message)
		}
	}
}

// TestClosedOnlyACreateMakes what is in the place of a container, and only one that was asked in its place.
func TestClosedOnlyACreateMakes(t *testing.T) {
	u := newUpdater()
	u.ask(t, tool("a"), "POST", "/containers/web/stop", "")
	u.makes(t, tool("a"), "web", anew)
	u.tenancy.labels["web"] = nil
	u.ask(t, tool("a"), "POST", "/containers/web/kill", "").Made(idOf("vault"))
	u.where = nil // it makes containers of any name for once
	if v := u.ask(t, tool("a"), "POST", "/containers/create?name=other", `{"Image":"x"}`); !v.Allow {
		t.Error(v.Message)
	} else {
		v.Made(idOf("vault"))
	}
	u.where = []map[string]string{updated}
	for name, allow := range map[string]bool{"web": true, "vault": false} {
		if v := u.ask(t, tool("a"), "POST", "/containers/"+name+"/start", ""); v.Allow != allow {
			t.Errorf("%s: %v, %s", name, v.Allow, v.Message)
		}
	}
}

func TestClosedRecreate(t *testing.T) {
	for name, tc := range map[string]struct {
		between        func(u *updater)
		who, uri, body string
		says           string
	}{
		"another caller":                        {nil, "b", "/containers/create?name=web", anew, "no hazards"},
		"another name":                          {nil, "a", "/containers/create?name=other", anew, "no hazards"},
		"no name":                               {nil, "a", "/containers/create", anew, "no hazards"},
		"another case":                          {nil, "a", "/containers/create?name=Web", anew, "no hazards"},
		"after a restart":                       {func(u *updater) { u.restart() }, "a", "/containers/create?name=web", anew, "no hazards"},
		"under another policy":                  {func(u *updater) { u.revision = "2" }, "a", "/containers/create?name=web", anew, "no hazards"},
		"under other labels":                    {func(u *updater) { u.where = []map[string]string{{"update": "yes", "more": "1"}} }, "a", "/containers/create?name=web", anew, "no hazards"},
		"harmless, and another name":            {nil, "a", "/containers/create?name=other", `{"Image":"x"}`, "only in place of one"},
		"harmless, another policy":              {func(u *updater) { u.revision = "2" }, "a", "/containers/create?name=web", `{"Image":"nginx"}`, "only in place of one"},
		"harmless, and another image":           {nil, "a", "/containers/create?name=web", `{"Image":"evil"}`, `its image is "evil", and was "nginx"`},
		"harmless, and another program":         {nil, "a", "/containers/create?name=web", `{"Image":"nginx","Cmd":["sh"]}`, "Cmd is another"},
		"more than it had":                      {nil, "a", "/containers/create?name=web", `{"Image":"nginx","HostConfig":{"Privileged":true,"Binds":["/:/srv"]}}`, "HostConfig.Binds is another"},
		"another program":                       {nil, "a", "/containers/create?name=web", strings.Replace(anew, `"Image"`, `"Cmd":["sh"],"Image"`, 1), "Cmd is another"},
		"another network":                       {nil, "a", "/networks/vault/connect", `{"Container":"web"}`, "no hazards"},
		"another that has its name":             {nil, "a", "/networks/shop/connect", `{"Container":"web"}`, "is another one"},
		"made by another":                       {func(u *updater) { u.makes(t, tool("b"), "web", anew) }, "a", "/networks/shop/connect", `{"Container":"web"}`, "is another one"},
		"made, and it is another one by now":    {func(u *updater) { u.makes(t, tool("a"), "gone", anew) }, "a", "/networks/shop/connect", `{"Container":"web"}`, "is another one"},
		"made with what it may have anyhow":     {func(u *updater) { u.makes(t, tool("a"), "web", `{"Image":"nginx"}`) }, "a", "/networks/shop/connect", `{"Container":"web"}`, "was made with more"},
		"another network of the name":           {func(u *updater) { u.makes(t, tool("a"), "web", anew); u.tenancy.ids["shop"] = "0f0f" }, "a", "/networks/shop/connect", `{"Container":"web"}`, `network "shop" is another one`},
		"a network that is gone":                {func(u *updater) { u.makes(t, tool("a"), "web", anew); delete(u.tenancy.labels, "shop") }, "a", "/networks/shop/connect", `{"Container":"web"}`, `network "shop" is another one`},
		"made into another network of the name": {func(u *updater) { u.tenancy.ids["shop"] = "0f0f" }, "a", "/containers/create?name=web", strings.Replace(anew, `"Image"`, `"NetworkingConfig":{"EndpointsConfig":{"shop":{}}},"Image"`, 1), `network "shop" is another one`},
		"another container":                     {nil, "a", "/networks/shop/connect", `{"Container":"vault"}`, "no hazards"},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpdater()
			if !u.allows(t, tool("a"), "POST", "/containers/web/stop", "") {
				t.Fatal("it cannot stop the container")
			}
			if tc.between != nil {
				tc.between(u)
			}
			if v := u.ask(t, tool(tc.who), "POST", tc.uri, tc.body); v.Allow || !strings.Contains(v.Message, tc.says) {
				t.Errorf("%v: %s", v.Allow, v.Message)
			}
		})
	}
}

// TestClosedRecreateIsOfTheLatest: what a container had when it was last taken away counts, and nothing that it had before.
func TestClosedRecreateIsOfTheLatest(t *testing.T) {
	u := newUpdater()
	u.ask(t, tool("a"), "POST", "/containers/web/stop", "")
	u.old.Host = []byte(`{"Binds":["/srv:/srv"]}`)
	u.ask(t, tool("a"), "DELETE", "/containers/web", "")
	if u.allows(t, tool("a"), "POST", "/containers/create?name=web", anew) {
		t.Error("it has privileges again that it has lost")
	}
	if v := u.ask(t, tool("a"), "POST", "/containers/create?name=web", `{"Image":"nginx","HostConfig":{"Binds":["/srv:/srv"]}}`); !v.Allow {
		t.Error(v.Message)
	}
}

func TestClosedRecreateEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpdater()
		u.ask(t, tool("a"), "POST", "/containers/web/stop", "")
		time.Sleep(15*time.Minute - time.Second)
		if !u.allows(t, tool("a"), "POST", "/containers/create?name=web", anew) {
			t.Error("it has ended too early")
		}
		time.Sleep(time.Second)
		if u.allows(t, tool("a"), "POST", "/containers/create?name=web", anew) {
			t.Error("it has no end")
		}
	})
}

// TestClosedRecreateIsOfSomeContainers: whoever makes some anew changes no others, by whatever operation.
func TestClosedRecreateIsOfSomeContainers(t *testing.T) {
	for uri, code := range map[string]string{
		"POST /containers/vault/stop": "recreate", "POST /containers/bare/stop": "recreate", "DELETE /containers/vault": "recreate", "POST /containers/vault/rename?name=web": "recreate",
		"POST /containers/vault/start": "recreate", "POST /containers/missing/stop": "recreate", "POST /containers/prune": "recreate",
		"GET /containers/vault/logs?stdout=1": "recreate", "GET /containers/vault/archive?path=/": "recreate", "POST /containers/vault/exec": "recreate", "POST /containers/vault/attach": "recreate",
		"POST /networks/shop/disconnect": "recreate", "POST /images/evil/tag?repo=nginx": "recreate", "POST /commit?container=web&repo=nginx": "recreate", "POST /images/load": "recreate",
	} {
		u := newUpdater()
		method, path, _ := strings.Cut(uri, " ")
		body := ""
		switch {
		case strings.HasSuffix(path, "/exec"):
			body = `{"Cmd":["sh"]}`
		case strings.HasSuffix(path, "/disconnect"):
			body = `{"Container":"vault"}`
		}
		if v := u.ask(t, tool("a"), method, path, body); v.Allow || v.Code != code {
			t.Errorf("%s: %v, %s", uri, v.Allow, v.Message)
		}
		if u.allows(t, tool("a"), "POST", "/containers/create?name=vault", anew) || u.allows(t, tool("a"), "POST", "/containers/create?name=web", anew) {
			t.Errorf("%s: denied, and remembered", uri)
		}
	}
	for _, uri := range []string{"GET /containers/json", "GET /containers/vault/json", "GET /images/json", "GET /_ping", "POST /containers/web/restart"} {
		u := newUpdater()
		u.decide = func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Recreate: u.where} } // whatever the answer shows
		method, path, _ := strings.Cut(uri, " ")
		if v := u.ask(t, tool("a"), method, path, ""); !v.Allow {
			t.Errorf("%s: %s", uri, v.Message)
		}
	}
}

// TestClosedRecreateOfWhatIsNotThere is told from what cannot be told.
func TestClosedRecreateOfWhatIsNotThere(t *testing.T) {
	u := newUpdater()
	if v := u.ask(t, tool("a"), "POST", "/containers/missing/stop", ""); v.Allow || v.Status != http.StatusNotFound {
		t.Errorf("%v %d %s", v.Allow, v.Status, v.Message)
	}
	u.tenancy.err = errors.New("no answer")
	u.restart()
	if v := u.ask(t, tool("a"), "POST", "/containers/web/stop", ""); v.Allow || v.Status != http.StatusServiceUnavailable || v.Code != "object" {
		t.Errorf("%v %d %s", v.Allow, v.Status, v.Message)
	}
}

// TestClosedRecreateOfAnotherByNow: the container that fits is the one that is given to the daemon.
func TestClosedRecreateOfAnotherByNow(t *testing.T) {
	const leave = `{"Container":"web"}`
	u := newUpdater()
	if v := u.ask(t, tool("a"), "POST", "/networks/shop/disconnect", leave); !v.Allow || !strings.Contains(string(v.Carried().Canonical), idOf("web")) {
		t.Errorf("%s: %s", v.Message, v.Carried().Canonical)
	}
	u.tenancy.ids = map[string]string{"web": idOf("another")}
	u.restart()
	if v := u.ask(t, tool("a"), "POST", "/networks/shop/disconnect", leave); v.Allow {
		t.Errorf("carried as %s", v.Carried().Canonical)
	}
}

// TestClosedRecreateThatCannotBeRemembered: what nobody could make anew is not taken away.
func TestClosedRecreateThatCannotBeRemembered(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(u *updater)
		who    *identity.Identity
		status int
	}{
		"the daemon does not answer": {func(u *updater) { u.err = errors.New("no answer") }, tool("a"), http.StatusServiceUnavailable},
		"it is too much":             {func(u *updater) { u.old.Host = []byte(`{"Binds":["` + strings.Repeat("x", 65<<10) + `"]}`) }, tool("a"), http.StatusForbidden},
		"nobody knows for whom":      {func(*updater) {}, &identity.Identity{Kind: identity.Unknown, Door: "gateway"}, http.StatusForbidden},
	} {
		u := newUpdater()
		tc.change(u)
		if v := u.ask(t, tc.who, "DELETE", "/containers/web", ""); v.Allow || v.Status != tc.status {
			t.Errorf("%s: %v %d %s", name, v.Allow, v.Status, v.Message)
		}
	}
}

// TestClosedRecreateAtThePluginsDoor: there nothing is remembered, and no id put in place of a name.
func TestClosedRecreateAtThePluginsDoor(t *testing.T) {
	u := newUpdater()
	who := tool("a")
	who.Door = "plugin"
	v := u.ask(t, who, "POST", "/containers/web/stop", "")
	if _, unmet := obligation.Meet(obligation.Plugin, v.Operation, v.Decision.Demand()); unmet == nil || !unmet.Gateway {
		t.Errorf("%v: %s", v.Allow, v.Message)
	}
	if u.allows(t, tool("a"), "POST", "/containers/create?name=web", anew) {
		t.Error("it is remembered")
	}
}

// TestRecreateIsBounded: of one caller 256 are remembered, and of others all the same.
func TestRecreateIsBounded(t *testing.T) {
	u := newUpdater()
	u.ask(t, tool("b"), "POST", "/containers/web/stop", "")
	for i := range 257 {
		u.old.Name = "web" + strings.Repeat("x", i)
		u.ask(t, tool("a"), "POST", "/containers/web/stop", "")
	}
	if u.allows(t, tool("a"), "POST", "/containers/create?name=web", anew) {
		t.Error("257 are remembered")
	}
	if !u.allows(t, tool("a"), "POST", "/containers/create?name=webx", anew) || !u.allows(t, tool("b"), "POST", "/containers/create?name=web", anew) {
		t.Error("too much is forgotten")
	}
}

// TestRecreateReplays: the record says what was there before, so that the same comes of it.
func TestRecreateReplays(t *testing.T) {
	u := newUpdater()
	u.ask(t, tool("a"), "POST", "/containers/web/stop", "")
	u.makes(t, tool("a"), "web", anew)
	u.ask(t, tool("a"), "POST", "/networks/shop/connect", `{"Container":"web","EndpointConfig":{"NetworkID":"0f"}}`)
	u.ask(t, tool("a"), "POST", "/containers/create?name=other", anew)
	u.ask(t, tool("a"), "POST", "/containers/vault/stop", "")
	u.ask(t, tool("a"), "POST", "/containers/create?name=web", `{"Image":"nginx"}`)
	u.makes(t, tool("a"), "web", anew)
	u.tenancy.labels["web"] = nil
	u.ask(t, tool("a"), "POST", "/containers/web/start", "")
	want := []record.Answer{record.Allow, record.Allow, record.Allow, record.Deny, record.Deny, record.Allow, record.Allow, record.Allow}
	for i, s := range u.seen {
		shape := &record.Shape{Caller: s.Caller, Operation: s.Asked.Outline(), World: s.World, Verdict: s.Verdict}
		got, err := decide.Replay(t.Context(), &u.world, shape)
		if err != nil || got.Answer != want[i] || s.Verdict.Answer != want[i] {
			t.Errorf("%s: %v, replayed %+v, was %+v", s.Asked.URI, err, got, s.Verdict)
		}
	}
	if len(u.seen) != len(want) {
		t.Errorf("%d shapes", len(u.seen))
	}
}
