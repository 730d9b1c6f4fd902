package decide_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/view"
	"vitrine/internal/caller/attest"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/internal/kernel/hostpath"
)

// Here the policy says yes, so that each guard stands alone.
var yes = policy.Decision{Allow: true}

// TestNoConnectionIsDecidedAllTheSame: nobody's turn is needed for it.
func TestNoConnectionIsDecidedAllTheSame(t *testing.T) {
	w := &world{decision: yes}
	if v := decide.New(w.options()).Authorize(t.Context(), nil, ping()); !v.Allow {
		t.Errorf("%s: %s", v.Code, v.Message)
	}
}

// TestWhoHasNoAccountWaitsForNobody: there are no turns of theirs that others could hold.
func TestWhoHasNoAccountWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{decision: yes}
		steps := decide.New(w.options())
		from := time.Now()
		for range 1000 { // none of them is finished
			if v := steps.Authorize(t.Context(), of(""), ping()); !v.Allow {
				t.Fatal(v.Message)
			}
		}
		if took := time.Since(from); took > 0 {
			t.Errorf("they waited for %s", took)
		}
	})
}

// contexts remembers what it is asked in.
type contexts struct {
	*world
	all []context.Context
}

func (c *contexts) Identify(ctx context.Context, conn *identity.Connection) *identity.Identity {
	c.all = append(c.all, ctx)
	return c.world.Identify(ctx, conn)
}

func (c *contexts) Decide(ctx context.Context, in *policy.Input) policy.Decision {
	c.all = append(c.all, ctx)
	return c.world.Decide(ctx, in)
}

// TestNothingGoesOnBehindAVerdict: each step's context ends with the step.
func TestNothingGoesOnBehindAVerdict(t *testing.T) {
	c := &contexts{world: &world{decision: yes}}
	o := c.options()
	o.Identifier, o.Policy = c, c
	c.ask(t, o, "GET", "/_ping", "")
	if len(c.all) != 2 {
		t.Fatalf("%d steps", len(c.all))
	}
	for i, ctx := range c.all {
		if ctx.Err() == nil {
			t.Errorf("step %d goes on", i)
		}
	}
}

// TestOwnExecIsToldOfExecsOnly, and of one's own.
func TestOwnExecIsToldOfExecsOnly(t *testing.T) {
	uid := uint32(7)
	w := &world{
		decision: yes, who: &identity.Identity{Kind: identity.Host, UID: &uid, Principals: []string{"uid:7"}},
		containers: map[string][]string{"exec:e1": {"container:web"}, "exec:e2": {"container:web"}},
	}
	steps := decide.New(w.options())
	ask := func(uri string) bool {
		v := steps.Authorize(t.Context(), identity.NewLocal(), &operation.Request{Method: "GET", URI: uri, Header: http.Header{}})
		if !v.Allow {
			t.Error(v.Message)
		}
		v.Made("e1") // which it does not
		return w.input.OwnExec
	}
	if ask("/exec/e1/json") {
		t.Error("it is one's own before it is made")
	}
	ask("/_ping")
	if ask("/exec/e1/json") {
		t.Error("a ping has made it")
	}
	steps.Authorize(t.Context(), identity.NewLocal(), &operation.Request{
		Method: "POST", URI: "/containers/web/exec", Header: http.Header{"Content-Type": {"application/json"}},
		ContentLength: 2, ReadBody: func() ([]byte, error) { return []byte(`{}`), nil },
	}).Made("e1")
	if !ask("/exec/e1/json") || ask("/exec/e2/json") || ask("/containers/e1/json") {
		t.Error("its maker's is the exec e1, and nothing else")
	}
}

// TestWhatIsNoContainerOfOursIsNotGuarded: other kinds of that name, what enters others, and where we are in no container.
func TestWhatIsNoContainerOfOursIsNotGuarded(t *testing.T) {
	known := map[string][]string{"vitrine": {"container-id:" + own}, "web": {"container-id:f00"}, own: {"container-id:" + own, "label:com.docker.swarm.service.id=x1y2"}}
	for _, tc := range []struct {
		own               string
		method, uri, body string
	}{
		{own, "DELETE", "/networks/vitrine", ""},
		{own, "DELETE", "/volumes/vitrine", ""},
		{own, "POST", "/containers/create?name=x", `{"Image":"a","HostConfig":{"PidMode":"container:web"}}`},
		{own, "DELETE", "/services/c", ""},                   // the beginning of "container-id:"
		{own, "DELETE", "/services/container-id:" + own, ""}, // no service's name
		{"", "POST", "/containers/vitrine/stop", ""},
		{"", "POST", "/containers/nobody-knows/stop", ""},
	} {
		w := &world{containers: known, decision: yes}
		o := w.options()
		o.OwnContainer = func() (string, error) { return tc.own, nil }
		if v := w.ask(t, o, tc.method, tc.uri, tc.body); !v.Allow {
			t.Errorf("%s %s: %s", tc.method, tc.uri, v.Message)
		}
	}
}

// TestServiceOfTooManyLabelsIsOursClosed: which it is of cannot be told.
func TestServiceOfTooManyLabelsIsOursClosed(t *testing.T) {
	w := &world{containers: map[string][]string{own: {"container-id:" + own, "label:*"}}, decision: yes}
	o := w.options()
	o.OwnContainer = func() (string, error) { return own, nil }
	if v := w.ask(t, o, "DELETE", "/services/web", ""); v.Allow || v.Code != "rail-own-container" {
		t.Errorf("%v, %s: %s", v.Allow, v.Code, v.Message)
	}
}

// TestOwnContainerIsAskedForOnce where nothing is to be waited for.
func TestOwnContainerIsAskedForOnce(t *testing.T) {
	for name, err := range map[string]error{"known": nil, "not known yet": fmt.Errorf("the containers are %w", attest.ErrNotYet)} {
		asked := 0
		w := &world{containers: map[string][]string{"web": {"container:web"}}, decision: yes}
		o := w.options()
		o.OwnContainer = func() (string, error) { asked++; return own, err }
		if err == nil {
			o.Changed = func() <-chan struct{} { return nil }
		}
		v := w.ask(t, o, "POST", "/containers/web/stop", "")
		if asked != 1 || v.Allow != (err == nil) || !v.Allow && (v.Code != "rail-own-container" || !strings.Contains(v.Message, "try again")) {
			t.Errorf("%s: asked %d times, %s: %s", name, asked, v.Code, v.Message)
		}
	}
}

// TestOurOwnCallsSayWhyNot, and may be of either method that reads.
func TestOurOwnCallsSayWhyNot(t *testing.T) {
	w := &world{who: &identity.Identity{Kind: identity.Self, Door: "gateway"}}
	if v := w.ask(t, w.options(), "HEAD", "/_ping", ""); !v.Allow {
		t.Error(v.Message)
	}
	w = &world{who: &identity.Identity{Kind: identity.Self, Door: "gateway"}}
	if v := w.ask(t, w.options(), "POST", "/containers/x/kill", ""); v.Code != "self" || !strings.Contains(v.Message, "reads") {
		t.Errorf("%s: %s", v.Code, v.Message)
	}
}

// counting is an Objects that counts questions.
type counting struct {
	view.Engine
	networks, objects int
}

func (c *counting) HostNetworks(context.Context, *operation.Operation) ([]string, error) {
	c.networks++
	return nil, nil
}

func (c *counting) Objects(context.Context, *operation.Operation) []object.Object {
	c.objects++
	return nil
}

// blind is a Policy that does not read what requests name.
type blind struct{ *world }

func (blind) ReadsObjects() bool { return false }

// TestObjectsAreAskedForIfTheyAreRead: by a policy that says that it reads them, and where somebody can tell.
func TestObjectsAreAskedForIfTheyAreRead(t *testing.T) {
	const uri, body = "/containers/create", `{"HostConfig":{"NetworkMode":"host"}}`
	w, c := &world{decision: yes}, &counting{}
	o := w.options()
	o.Policy, o.Objects = blind{w}, c
	if w.ask(t, o, "POST", uri, body); w.input.Objects != nil || c.networks > 0 || c.objects > 0 {
		t.Errorf("%+v, and objects: %v", c, w.input.Objects != nil)
	}
	p := &reading{}
	w = &world{}
	o = w.options()
	if o.Policy = p; !w.ask(t, o, "POST", uri, body).Allow || p.in.Objects != nil {
		t.Error("nobody can tell, and the policy may ask")
	}
}

// TestDenialNamesWhoItIs: the reason for which a caller is unknown is its name; one who is known has another.
func TestDenialNamesWhoItIs(t *testing.T) {
	why := fmt.Errorf("it has exited")
	for want, who := range map[string]*identity.Identity{
		"vitrine: an unknown caller (it has exited) may not": {Kind: identity.Unknown, Err: why},
		"vitrine: unknown may not":                           {Kind: identity.Unknown},
		"vitrine: container:web may not":                     {Kind: identity.Container, Principals: []string{"container:web"}, Err: why},
	} {
		w := &world{who: who}
		if v := w.ask(t, w.options(), "GET", "/info", ""); !strings.HasPrefix(v.Message, want) {
			t.Errorf("%s, want %s", v.Message, want)
		}
	}
}

// TestReasonsAreThoseOfTheVerdict.
func TestReasonsAreThoseOfTheVerdict(t *testing.T) {
	w := &world{decision: policy.Decision{Allow: true, Diagnostics: policy.Diagnostics{Reasons: []string{"because"}}}}
	v := w.ask(t, w.options(), "GET", "/info", "")
	if !slices.Equal(v.Reasons(), []string{"because"}) {
		t.Errorf("allowed: %q", v.Reasons())
	}
	if v.Deny(0, "obligation", "cannot be met"); v.Allow || v.Status != http.StatusForbidden || !slices.Equal(v.Reasons(), []string{"cannot be met"}) {
		t.Errorf("denied with %d: %q", v.Status, v.Reasons())
	}
}

// TestAlternativeIsOfThatRequest: all but the stream of it; and of nothing else that is denied.
func TestAlternativeIsOfThatRequest(t *testing.T) {
	const hint = "with stream=false it would be allowed"
	w := &world{decide: func(in *policy.Input) policy.Decision {
		return policy.Decision{Allow: in.Operation.Access == operation.Inspect && in.Operation.Query.Get("one-shot") == "1"}
	}}
	if v := w.ask(t, w.options(), "GET", "/containers/x/stats?one-shot=1", ""); !strings.Contains(v.Message, hint) {
		t.Error(v.Message)
	}
	once := func(in *policy.Input) policy.Decision {
		return policy.Decision{Allow: in.Operation.Access == operation.Inspect}
	}
	w = &world{decide: once, who: &identity.Identity{Kind: identity.Unknown, Err: fmt.Errorf("no %w", syscall.EMFILE)}}
	if v := w.ask(t, w.options(), "GET", "/containers/x/stats", ""); v.Code != "exhausted" || strings.Contains(v.Message, hint) {
		t.Errorf("%s: %s", v.Code, v.Message)
	}
	w = &world{decide: once}
	if v := w.ask(t, w.options(), "GET", "/events", ""); v.Allow || strings.Contains(v.Message, hint) {
		t.Error(v.Message)
	}
}

// TestHostIsNotAskedForWhatIsDecidedClosed: an admin's request is forwarded as it is written; what could not be decided is denied; and
// without a host, paths are judged as they are written.
func TestHostIsNotAskedForWhatIsDecidedClosed(t *testing.T) {
	for name, tc := range map[string]struct {
		decision policy.Decision
		host     *host
		asked    int
		allow    bool
	}{
		"anybody":  {yes, &host{}, 1, true},
		"an admin": {policy.Decision{Allow: true, Admin: true}, &host{}, 0, true},
		"failed":   {policy.Decision{Allow: true, Diagnostics: policy.Diagnostics{Failed: true}}, &host{}, 0, false},
		"no host":  {yes, nil, 0, true},
	} {
		w := &world{decision: tc.decision}
		o := w.options()
		if tc.host != nil {
			o.HostPaths = tc.host
		}
		v := w.ask(t, o, "POST", "/containers/create", bind("/srv"))
		if v.Allow != tc.allow || tc.host != nil && len(tc.host.asked) != tc.asked {
			t.Errorf("%s: %v (%s), asked %v", name, v.Allow, v.Message, tc.host)
		}
	}
}

// TestListsOfTheInputAreInOrder: what is remembered of a decision is found again.
func TestListsOfTheInputAreInOrder(t *testing.T) {
	w := &world{decision: yes, containers: map[string][]string{"b": {"label:z=1", "container:b"}, "a": {"container:a"}}}
	o := w.options()
	unseen := fmt.Errorf("nothing: %w", hostpath.ErrUnseen)
	o.HostPaths = &host{errs: map[string]error{"/z": unseen, "/a": unseen}}
	w.ask(t, o, "POST", "/containers/create", `{"HostConfig":{"VolumesFrom":["b","a"],"Binds":["/z:/z","/a:/a"]}}`)
	if !slices.IsSorted(w.input.Unresolved) || len(w.input.Unresolved) != 2 || !slices.IsSorted(w.input.Enters) || len(w.input.Enters) != 3 {
		t.Errorf("%q, %q", w.input.Unresolved, w.input.Enters)
	}
}

// TestStillAllowedIsOfWhoItIsNow, and of an answer that shows the same objects.
func TestStillAllowedIsOfWhoItIsNow(t *testing.T) {
	w := &world{decision: policy.Decision{Allow: true, Where: map[string]string{"team": "blue"}}}
	o := w.options()
	v := w.ask(t, o, "GET", "/containers/json", "")
	w.who = &identity.Identity{Kind: identity.Host, Principals: []string{"uid:7"}}
	if err := decide.New(o).StillAllowed(t.Context(), identity.NewLocal(), v); err != nil || w.input.Caller != w.who {
		t.Errorf("%v, asked about %s", err, w.input.Caller)
	}
	w.decision.Where = nil
	if err := decide.New(o).StillAllowed(t.Context(), identity.NewLocal(), v); err != nil {
		t.Errorf("all objects: %v", err)
	}
	w.decision.Where = map[string]string{"team": "red"}
	if err := decide.New(o).StillAllowed(t.Context(), identity.NewLocal(), v); err == nil {
		t.Error("other objects are no less")
	}
}

// TestDifferentialIsRecorded as a denial.
func TestDifferentialIsRecorded(t *testing.T) {
	w := &world{}
	decide.New(w.options()).Differential(&identity.Identity{Kind: identity.Local}, "GET", "/info", "the ticket is unknown")
	if len(w.records) != 1 || w.records[0].Allow || w.records[0].Status != http.StatusForbidden || w.records[0].Differential != "the ticket is unknown" {
		t.Errorf("%+v", w.records)
	}
}
