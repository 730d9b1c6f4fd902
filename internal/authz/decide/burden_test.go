package decide_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// publisher has images with what their publisher chose.
type publisher struct {
	tenancy
	burdens []string
	err     error
	asked   string
}

func (p *publisher) ImageConfig(_ context.Context, ref, platform string) (operation.ImageConfig, error) {
	p.asked = ref + platform
	return operation.ImageConfig{Burdens: p.burdens}, p.err
}

// TestWhatAnImageCarriesIsJudgedClosed: what a request may not ask for, an image may not bring along, and of one of which that cannot be told it is
// taken to.
func TestWhatAnImageCarriesIsJudgedClosed(t *testing.T) {
	body := `{"Image":"ghcr.io/a/b:1"}`
	takes := policy.Decision{Allow: true}
	for name, tc := range map[string]struct {
		images   publisher
		uri      string
		body     string
		decision policy.Decision
		denied   string // what the message says
		unasked  bool
	}{
		"nothing":                     {publisher{}, "/containers/create", body, takes, "", false},
		"a burden":                    {publisher{burdens: []string{"ExposedPorts", "Labels"}}, "/containers/create", body, takes, "has ExposedPorts, Labels beyond", false},
		"nobody knows":                {publisher{err: errors.New("no answer")}, "/containers/create", body, takes, "no answer", false},
		"of a variant":                {publisher{burdens: []string{"Labels"}}, "/containers/create?platform=linux%2Farm64", `{"Image":"ghcr.io/a/b:1"}`, takes, "Labels beyond", false},
		"an admin":                    {publisher{burdens: []string{"Labels"}}, "/containers/create", body, policy.Decision{Allow: true, Admin: true}, "", true},
		"made anew":                   {publisher{burdens: []string{"Labels"}}, "/containers/create", body, policy.Decision{Allow: true, Recreate: []map[string]string{{"a": "b"}}}, "", true},
		"denied anyway":               {publisher{burdens: []string{"Labels"}}, "/containers/create", body, refuses("not you"), "not you", true},
		"another operation":           {publisher{burdens: []string{"Labels"}}, "/commit?container=web", body, takes, "", true},
		"a request that asks as much": {publisher{burdens: []string{"Labels"}}, "/containers/create", `{"Image":"x","HostConfig":{"CpuShares":9999}}`, takes, "no limits", true},
		"no image":                    {publisher{burdens: []string{"Labels"}}, "/containers/create", `{}`, takes, "", true},
	} {
		w := &world{decision: tc.decision, decide: func(in *policy.Input) policy.Decision {
			if !tc.decision.Admin && slices.Contains(in.Operation.Hazards, operation.HazardLimits) {
				return refuses("no limits")
			}
			return tc.decision
		}}
		o := w.options()
		o.Objects = &tc.images
		v := w.ask(t, o, "POST", tc.uri, tc.body)
		if tc.decision.Recreate == nil && (v.Allow != (tc.denied == "") || !strings.Contains(v.Message, tc.denied)) {
			t.Errorf("%s: %v %s", name, v.Allow, v.Message)
		}
		asked := "ghcr.io/a/b:1"
		if strings.Contains(tc.uri, "platform") {
			asked += "linux/arm64"
		}
		if (tc.images.asked == "") != tc.unasked || !tc.unasked && tc.images.asked != asked {
			t.Errorf("%s: asked about %q", name, tc.images.asked)
		}
		if fields := w.input.Operation.HazardFields[operation.HazardLimits]; !tc.unasked && tc.denied != "" && !slices.Equal(fields, []string{"Image"}) {
			t.Errorf("%s: limits of %q", name, fields)
		}
	}
}

// TestWhatEventsOfAnImageCarryClosed: the daemon keeps events, and each about an image has all of its labels. Nothing else of it counts there.
func TestWhatEventsOfAnImageCarryClosed(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	for _, tc := range []struct{ method, uri, asked string }{
		{"POST", "/images/app:1/tag?repo=other", "app:1"},
		{"GET", "/images/app:1/get", "app:1"},
		{"POST", "/images/app/push", "app"},
		{"POST", "/images/app/push?tag=2", "app:2"},
		{"POST", "/images/create?fromImage=app", "app"},
		{"POST", "/images/create?fromImage=app&tag=2", "app:2"},
		{"POST", "/images/create?fromImage=app&tag=" + digest, "app@" + digest},
		{"POST", "/images/create?fromSrc=-&tag=2", ""},
		{"DELETE", "/images/app:1", ""},
	} {
		for burden, counts := range map[string]bool{"Labels": true, "ExposedPorts": false} {
			images := &publisher{burdens: []string{burden}}
			w := &world{decide: func(in *policy.Input) policy.Decision {
				if slices.Contains(in.Operation.Hazards, operation.HazardLimits) {
					return refuses("no limits")
				}
				return policy.Decision{Allow: true}
			}}
			o := w.options()
			o.Objects = images
			v := w.ask(t, o, tc.method, tc.uri, "")
			if images.asked != tc.asked || v.Allow == (counts && tc.asked != "") {
				t.Errorf("%s of %s: asked about %q, allowed %v: %s", tc.uri, burden, images.asked, v.Allow, v.Message)
			}
		}
	}
}

func refuses(why string) policy.Decision {
	return policy.Decision{Diagnostics: policy.Diagnostics{Reasons: []string{why}}}
}

// kept is a daemon that keeps execs.
type kept struct {
	tenancy
	waits func(id string) (bool, error)
	asked []string
}

func (k *kept) ExecWaits(_ context.Context, id string) (bool, error) {
	k.asked = append(k.asked, id)
	return k.waits(id)
}

// TestImageOfWhoMayHaveAsMuch is none to be refused, nor to be asked about where the request has as much itself.
func TestImageOfWhoMayHaveAsMuch(t *testing.T) {
	for body, asked := range map[string]string{`{"Image":"x"}`: "x", `{"Image":"x","HostConfig":{"CpuShares":9999}}`: ""} {
		w := &world{decision: policy.Decision{Allow: true}}
		images := &publisher{burdens: []string{"Labels"}}
		o := w.options()
		o.Objects = images
		if v := w.ask(t, o, "POST", "/containers/create", body); !v.Allow || len(v.Reasons()) > 0 || images.asked != asked {
			t.Errorf("%s: %v %q, asked about %q", body, v.Allow, v.Reasons(), images.asked)
		}
		if !slices.Contains(w.input.Operation.Hazards, operation.HazardLimits) {
			t.Errorf("%s: the policy saw %q", body, w.input.Operation.Hazards)
		}
	}
}

// TestExecsThatAreNotStartedClosed: of one account, whoever its processes say that they are, so many and no more; those that cannot be told of count.
func TestExecsThatAreNotStartedClosed(t *testing.T) {
	w := &world{decision: policy.Decision{Allow: true}, containers: map[string][]string{"web": {"container:web"}}}
	k := &kept{waits: func(string) (bool, error) { return true, nil }}
	o := w.options()
	o.Objects = k
	steps := decide.New(o)
	ask := func(account, uri, body string) *decide.Verdict {
		conn := identity.NewLocal()
		conn.Account = account
		req := &operation.Request{Method: "POST", URI: uri, Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(body))}
		req.ReadBody = func() ([]byte, error) { return []byte(body), nil }
		return steps.Authorize(t.Context(), conn, req)
	}
	n := 0
	exec := func(account string) bool {
		v := ask(account, "/containers/web/exec", `{"Cmd":["x"]}`)
		if v.Allow {
			v.Made(fmt.Sprint(n))
			v.Finish(http.StatusCreated, false)
			n++
		} else if v.Code != "ceiling" || !strings.Contains(v.Message, "128 execs") {
			t.Errorf("%s", v.Message)
		}
		return v.Allow
	}
	for range 128 {
		if !exec("a") {
			t.Fatalf("the %dth is denied", n+1)
		}
	}
	if len(k.asked) > 0 {
		t.Errorf("asked about %q, before there are as many", k.asked)
	}
	if exec("a") || !exec("b") {
		t.Error("one more than there may be, or none of another's")
	}
	if len(k.asked) != 8 {
		t.Errorf("asked about %q", k.asked)
	}
	k.waits = func(string) (bool, error) { return false, errors.New("no answer") }
	if exec("a") {
		t.Error("one more, while nobody can tell")
	}
	ask("a", "/exec/gone/start", `{}`).Finish(http.StatusOK, false)
	ask("a", "/exec/6/resize?h=1&w=1", "").Finish(http.StatusOK, false)
	if exec("a") {
		t.Error("one more, as another was started, or one was given another size")
	}
	for status, started := range map[int]bool{http.StatusConflict: false, http.StatusBadRequest: false, 0: false, http.StatusOK: true} {
		ask("a", "/exec/5/start", `{}`).Finish(status, false)
		if exec("a") != started {
			t.Errorf("after a start that ended with %d: %v", status, !started)
		}
	}
	gone := ""
	k.waits = func(id string) (bool, error) {
		gone = cmp.Or(gone, id)
		return id != gone, nil
	}
	if !exec("a") || exec("a") {
		t.Error("one has gone with its container, and no more")
	}
	k.waits = func(string) (bool, error) { return true, nil }
	ask("a", "/exec/7/start", `{}`).Finish(http.StatusOK, false)
	again := ask("a", "/containers/web/exec", `{"Cmd":["x"]}`)
	if again.Made("another"); !again.Allow {
		t.Errorf("one that went with its container is counted: %s", again.Message)
	}
	if err := steps.StillAllowed(t.Context(), identity.NewLocal(), again); err != nil {
		t.Errorf("what was made is not allowed any longer: %v", err)
	}
	again.Finish(http.StatusCreated, false)
	w.decision = policy.Decision{Audit: true}
	if !exec("a") {
		t.Error("what is only recorded is refused")
	}
	w.decision = policy.Decision{Allow: true, Admin: true}
	if !exec("a") {
		t.Error("an admin's are counted")
	}
}

// TestExecsOfAContainerThatLivesHideNoneThatHasEndedClosed: those that wait for long do not stand before all that have gone with their container.
func TestExecsOfAContainerThatLivesHideNoneThatHasEndedClosed(t *testing.T) {
	w := &world{decision: policy.Decision{Allow: true}, containers: map[string][]string{"web": {"container:web"}}}
	k := &kept{waits: func(id string) (bool, error) { return len(id) == 1, nil }} // the first ten
	o := w.options()
	o.Objects = k
	steps := decide.New(o)
	n := 0
	for range 300 {
		if v := makeExec(t, steps, "a"); v.Allow {
			v.Made(fmt.Sprint(n))
			v.Finish(http.StatusCreated, false)
			n++
		}
	}
	if n < 290 {
		t.Errorf("%d are made, as long as ten wait", n)
	}
}

// TestExecsOfCallersThatHaveEndedAreForgottenClosed: containers come and go, and each may leave some behind.
func TestExecsOfCallersThatHaveEndedAreForgottenClosed(t *testing.T) {
	w := &world{decision: policy.Decision{Allow: true}, containers: map[string][]string{"web": {"container:web"}}}
	k := &kept{waits: func(string) (bool, error) { return false, nil }}
	o := w.options()
	o.Objects = k
	steps := decide.New(o)
	const made = 5000
	for i := range made {
		v := makeExec(t, steps, fmt.Sprint("account ", i))
		v.Made(fmt.Sprint(i))
		v.Finish(http.StatusCreated, false)
	}
	if asked := len(k.asked); asked != made-4096 {
		t.Errorf("of %d accounts with one exec each, %d were asked about", made, asked)
	}
}

// makeExec asks for one.
func makeExec(t *testing.T, steps *decide.Steps, account string) *decide.Verdict {
	t.Helper()
	const body = `{"Cmd":["x"]}`
	conn := identity.NewLocal()
	conn.Account = account
	return steps.Authorize(t.Context(), conn, &operation.Request{
		Method: "POST", URI: "/containers/web/exec", Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(body)),
		ReadBody: func() ([]byte, error) { return []byte(body), nil },
	})
}

// TestExecsThatNobodyCanCount are not refused: of no account, at the plugin's door, and without an Engine to ask.
func TestExecsThatNobodyCanCount(t *testing.T) {
	for name, tc := range map[string]struct {
		account, door string
		objects       decide.Objects
	}{
		"no account":        {"", "gateway", &kept{}},
		"the plugin's door": {"a", "plugin", &kept{}},
		"no Engine":         {"a", "gateway", nil},
	} {
		w := &world{
			decision: policy.Decision{Allow: true}, containers: map[string][]string{"web": {"container:web"}},
			who: &identity.Identity{Kind: identity.Container, Principals: []string{"container:ci"}, Door: tc.door},
		}
		o := w.options()
		o.Objects = tc.objects
		steps := decide.New(o)
		for n := range 130 {
			v := makeExec(t, steps, tc.account)
			defer v.Finish(http.StatusCreated, false)
			v.Release()
			if !v.Allow {
				t.Fatalf("%s: the %dth: %s", name, n+1, v.Message)
			}
			v.Made(fmt.Sprint(n))
		}
	}
}
