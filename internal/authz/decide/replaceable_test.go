package decide_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// anyhow is a policy that takes every hazard of whoever makes containers anew.
func (u *updater) anyhow() {
	u.decide = func(*policy.Input) policy.Decision {
		return policy.Decision{Allow: true, Recreate: u.where, Diagnostics: policy.Diagnostics{Revision: u.revision}}
	}
}

// TestRecreateOfWhatIsAllowedAnyhow: what the policy takes as it is typed need not be what the old container had, and is not changed to that.
func TestRecreateOfWhatIsAllowedAnyhow(t *testing.T) {
	u := newUpdater()
	u.anyhow()
	u.ask(t, tool("a"), "POST", "/containers/web/stop", "")
	if v := u.ask(t, tool("a"), "POST", "/containers/create?name=web", `{"Image":"nginx:2","HostConfig":{"Privileged":true,"CapAdd":["ALL"]}}`); !v.Allow || v.Operation.Replaced != nil {
		t.Errorf("%s; replaced %v", v.Message, v.Operation.Replaced)
	}
	if v := u.ask(t, tool("a"), "POST", "/networks/vault/connect", `{"Container":"web"}`); !v.Allow || u.seen[len(u.seen)-1].World.Old == nil {
		t.Errorf("%s; what it is in place of is not in the record", v.Message)
	}
}

// TestNothingElseIsInPlaceOfAContainer: only a create, or a connect of what was made, is.
func TestNothingElseIsInPlaceOfAContainer(t *testing.T) {
	u := newUpdater()
	u.ask(t, tool("a"), "POST", "/containers/web/stop", "")
	if v := u.ask(t, tool("a"), "POST", "/containers/web/rename?name=web", ""); !v.Allow || u.seen[1].World.Old != nil {
		t.Errorf("%s; in place of %v", v.Message, u.seen[1].World.Old)
	}
}

// TestRecreateDeniedAnyhowSaysWhyOfWhatWasAsked, and not of what it would be in the old one's place.
func TestRecreateDeniedAnyhowSaysWhyOfWhatWasAsked(t *testing.T) {
	u := newUpdater()
	u.ask(t, tool("a"), "POST", "/containers/web/stop", "")
	u.decide = func(in *policy.Input) policy.Decision {
		d := policy.Decision{Recreate: u.where, Diagnostics: policy.Diagnostics{Revision: u.revision, Reasons: []string{"not today"}}}
		if len(in.Operation.Hazards) > 0 {
			d.Reasons = []string{"no hazards"}
		}
		return d
	}
	if v := u.ask(t, tool("a"), "POST", "/containers/create?name=web", anew); v.Allow || !strings.Contains(v.Message, "no hazards") || v.Operation.Replaced != nil {
		t.Errorf("%v %s; replaced %v", v.Allow, v.Message, v.Operation.Replaced)
	}
}

// TestClosedReplacingAtThePluginsDoor: what a caller took away at the gateway counts at the gateway.
func TestClosedReplacingAtThePluginsDoor(t *testing.T) {
	u := newUpdater()
	u.ask(t, tool("a"), "POST", "/containers/web/stop", "")
	who := tool("a")
	who.Door = "plugin"
	if v := u.ask(t, who, "POST", "/containers/create?name=web", anew); v.Allow || !strings.Contains(v.Message, "no hazards") {
		t.Errorf("%v %s", v.Allow, v.Message)
	}
}

// TestWhoMayChangeAllContainers: an admin, and who is denied in audit mode, whatever else the policy says.
func TestWhoMayChangeAllContainers(t *testing.T) {
	for name, d := range map[string]policy.Decision{
		"admin":  {Allow: true, Admin: true, Recreate: []map[string]string{updated}},
		"lifted": {Recreate: []map[string]string{updated}},
	} {
		u := newUpdater()
		o := u.options()
		o.Objects, o.Mode = u.tenancy, decide.Audit
		u.decide = func(*policy.Input) policy.Decision { return d }
		u.steps, u.who = decide.New(o), tool("a")
		if v := u.ask(t, tool("a"), "POST", "/containers/vault/stop", ""); !v.Allow {
			t.Errorf("%s: %s", name, v.Message)
		}
	}
}

// TestClosedRecreateInAView: who sees some and may replace some changes what is both.
func TestClosedRecreateInAView(t *testing.T) {
	for name, tc := range map[string]struct {
		labels map[string]string
		where  map[string]string
		allow  bool
		code   string
	}{
		"both":              {updated, updated, true, ""},
		"seen alone":        {map[string]string{"team": "blue"}, blueOnly, false, "recreate"},
		"out of sight, too": {map[string]string{"team": "red"}, blueOnly, true, ""}, // there is none, as the gateway will say
	} {
		u := newUpdater()
		u.tenancy.labels["web"] = tc.labels
		u.decide = func(*policy.Input) policy.Decision {
			return policy.Decision{Allow: true, Where: tc.where, Recreate: u.where}
		}
		v := u.ask(t, tool("a"), "POST", "/containers/web/stop", "")
		if v.Allow != tc.allow || v.Code != tc.code || (v.View != nil && v.View.Nothing) != (name == "out of sight, too") {
			t.Errorf("%s: %v, %q, %s", name, v.Allow, v.Code, v.Message)
		}
	}
}

// TestClosedRecreateWithoutObjects: nobody can say which containers those are.
func TestClosedRecreateWithoutObjects(t *testing.T) {
	u := newUpdater()
	o := u.options()
	u.steps = decide.New(o)
	if v := u.ask(t, tool("a"), "POST", "/containers/web/stop", ""); v.Allow || v.Status != http.StatusServiceUnavailable || v.Code != "object" {
		t.Errorf("%v %d %s", v.Allow, v.Status, v.Message)
	}
	if v := u.ask(t, tool("a"), "GET", "/_ping", ""); !v.Allow {
		t.Error(v.Message)
	}
	o.Objects = u.tenancy
	u.steps = decide.New(o)
	if v := u.ask(t, tool("a"), "POST", "/containers/web/stop", ""); v.Allow || v.Status != http.StatusForbidden || v.Code != "recreate" {
		t.Errorf("nobody can say what a container has: %v %d %s", v.Allow, v.Status, v.Message)
	}
}

// TestExecOfWhatMayBeReplaced: an exec is its container's.
func TestExecOfWhatMayBeReplaced(t *testing.T) {
	for name, allow := range map[string]bool{"web": true, "vault": false} {
		u := newUpdater()
		u.anyhow()
		u.tenancy.labels["e1"] = u.tenancy.labels[name]
		u.containers["e1"] = u.containers[name]
		u.restart()
		if v := u.ask(t, tool("a"), "POST", "/exec/e1/start", `{"Detach":true}`); v.Allow != allow {
			t.Errorf("%s: %v %s", name, v.Allow, v.Message)
		}
	}
}

// TestRecreateOfJustTheLimit is remembered.
func TestRecreateOfJustTheLimit(t *testing.T) {
	for over, allow := range map[int]bool{0: true, 1: false} {
		u := newUpdater()
		u.old.Host = nil
		bind := `{"Binds":[""]}`
		u.old.Host = []byte(strings.Replace(bind, `""`, `"`+strings.Repeat("x", 64<<10-u.old.Size()-len(bind)+over)+`"`, 1))
		if v := u.ask(t, tool("a"), "DELETE", "/containers/web", ""); v.Allow != allow {
			t.Errorf("%d bytes: %v %s", u.old.Size(), v.Allow, v.Message)
		}
	}
}

// TestRecreateIsRememberedOnce: a request that is decided once more, under way, asks nothing of a container that is gone by then.
func TestRecreateIsRememberedOnce(t *testing.T) {
	u := newUpdater()
	v := u.ask(t, tool("a"), "DELETE", "/containers/web", "")
	u.err = errors.New("it is gone")
	if err := u.steps.StillAllowed(t.Context(), identity.NewLocal(), v); err != nil {
		t.Error(err)
	}
}

// TestWhatIsDeniedIsNotUndecided: only what cannot be told now is.
func TestWhatIsDeniedIsNotUndecided(t *testing.T) {
	for name, tc := range map[string]struct {
		where     map[string]string
		err       error
		denied    bool
		ends      bool
		undecided bool
	}{
		"still allowed":  {blueOnly, nil, false, false, false},
		"denied":         {blueOnly, nil, true, true, false},
		"another's":      {map[string]string{"team": "red"}, nil, false, true, false},
		"nobody can say": {blueOnly, errors.New("no answer"), false, true, true},
	} {
		w := &world{decision: policy.Decision{Allow: true, Where: blueOnly}}
		o := w.options()
		y := objects
		o.Objects = &y
		s := decide.New(o)
		v := s.Authorize(t.Context(), identity.NewLocal(), &operation.Request{Method: "POST", URI: "/containers/mine/stop", Proto: "HTTP/1.1", Header: http.Header{}})
		if !v.Allow {
			t.Fatal(v.Message)
		}
		w.decision.Allow, w.decision.Where, y.err = !tc.denied, tc.where, tc.err
		err := s.StillAllowed(t.Context(), identity.NewLocal(), v)
		if (err != nil) != tc.ends || errors.Is(err, decide.ErrUndecided) != tc.undecided {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPolicyThatFailsIsUndecided: what the gateway has labelled is no label of the caller's while nobody knows which labels there are.
func TestPolicyThatFailsIsUndecided(t *testing.T) {
	w := &world{decision: policy.Decision{Allow: true, Stamp: map[string]string{operation.OwnerLabel: "container:web"}}}
	o := w.options()
	s := decide.New(o)
	v := s.Authorize(t.Context(), identity.NewLocal(), &operation.Request{
		Method: "POST", URI: "/containers/create", Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"application/json"}},
		ContentLength: 13, ReadBody: func() ([]byte, error) { return []byte(`{"Image":"x"}`), nil },
	})
	if !v.Allow || !strings.Contains(string(v.Carried().Canonical), operation.OwnerLabel) {
		t.Fatal(v.Message)
	}
	for mode, fails := range map[decide.Mode]bool{decide.Enforce: true, decide.Audit: false} {
		s.Mode, w.decision = mode, policy.Decision{Diagnostics: policy.Diagnostics{Failed: true, Reasons: []string{"it was late"}}}
		err := s.StillAllowed(t.Context(), identity.NewLocal(), v)
		if fails && (!errors.Is(err, decide.ErrUndecided) || !strings.Contains(err.Error(), "it was late")) || !fails && err != nil {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

// unsure has an Engine of which something cannot be told, sometimes.
type unsure struct {
	tenancy
	hosts, burdens []string
	network, image error
	several        bool
}

func (u *unsure) HostNetworks(context.Context, *operation.Operation) ([]string, error) {
	return u.hosts, u.network
}

func (u *unsure) ImageConfig(context.Context, string, string) (operation.ImageConfig, error) {
	return operation.ImageConfig{Burdens: u.burdens}, u.image
}

func (u *unsure) Objects(ctx context.Context, op *operation.Operation) []object.Object {
	list := u.tenancy.Objects(ctx, op)
	for i := range list {
		list[i].Several = u.several
	}
	return list
}

// TestPolicyThatChangesWhileAStampedRequestWaits: what the gateway has labelled is decided again without its label being held against it. It is denied for
// what the policy has against it, or else can be tried again: if that is only what could be told before, and cannot now.
func TestPolicyThatChangesWhileAStampedRequestWaits(t *testing.T) {
	gone, network := errors.New("no answer"), []string{"HostConfig.NetworkMode"}
	for name, tc := range map[string]struct {
		change    func(w *world, u *unsure, h *host)
		says      string // "": it goes on
		undecided bool
	}{
		"nothing else":               {func(*world, *unsure, *host) {}, "", false},
		"denied":                     {func(w *world, _ *unsure, _ *host) { w.decide, w.decision = nil, refuses("not you") }, "not you", false},
		"its image has burdens":      {func(_ *world, u *unsure, _ *host) { u.burdens = []string{"Labels"} }, "Labels beyond", false},
		"its image cannot be told":   {func(_ *world, u *unsure, _ *host) { u.image = gone }, "no answer", true},
		"its network is the host's":  {func(_ *world, u *unsure, _ *host) { u.hosts = network }, "no hazards", false},
		"its network cannot be told": {func(_ *world, u *unsure, _ *host) { u.hosts, u.network = network, gone }, "no answer", true},
		"its objects are several":    {func(_ *world, u *unsure, _ *host) { u.err, u.several = gone, true }, "no objects", false},
		"its objects cannot be told": {func(_ *world, u *unsure, _ *host) { u.err = gone }, "no objects", true},
		"its path cannot be told":    {func(_ *world, _ *unsure, h *host) { h.errs = map[string]error{"/srv": gone} }, "no answer", true},
		"what it enters has gone":    {func(w *world, _ *unsure, _ *host) { w.containers = nil }, "no strangers", true},
		"no descriptor to look at it": {func(w *world, _ *unsure, _ *host) {
			w.who = &identity.Identity{Kind: identity.Unknown, Door: "gateway", Err: syscall.EMFILE}
		}, "no strangers", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{containers: map[string][]string{"web": {"container:web"}}}
			w.decide = func(in *policy.Input) policy.Decision {
				switch {
				case in.Operation.HazardFields[operation.HazardHostNamespace] != nil || in.Operation.HazardFields[operation.HazardLimits] != nil:
					return refuses("no hazards")
				case slices.Contains(in.Enters, "*") || in.Caller.Kind == identity.Unknown:
					return refuses("no strangers")
				case slices.ContainsFunc(in.Objects(), func(o object.Object) bool { return o.Known == nil }):
					return refuses("no objects")
				}
				return policy.Decision{Allow: true, Stamp: map[string]string{operation.OwnerLabel: "container:web"}}
			}
			o := w.options()
			u, h := &unsure{tenancy: objects}, &host{}
			o.Objects, o.HostPaths, o.Policy = u, h, looking{w}
			s := decide.New(o)
			v := asks(t, s, identity.NewLocal())("POST", "/containers/create", `{"Image":"x","HostConfig":{"NetworkMode":"mine","VolumesFrom":["web"],"Binds":["/srv:/srv"]}}`)
			if !v.Allow || !strings.Contains(string(v.Carried().Canonical), operation.OwnerLabel) {
				t.Fatal(v.Message)
			}
			tc.change(w, u, h)
			err := s.StillAllowed(t.Context(), identity.NewLocal(), v)
			if (err == nil) != (tc.says == "") || errors.Is(err, decide.ErrUndecided) != tc.undecided || err != nil && (!strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), operation.OwnerLabel)) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestWhatCouldNotBeToldBeforeIsNoExcuseClosed: what was allowed though something could not be told is denied by a policy that takes it no more.
func TestWhatCouldNotBeToldBeforeIsNoExcuseClosed(t *testing.T) {
	w := &world{decision: policy.Decision{Allow: true}}
	o := w.options()
	v := w.ask(t, o, "POST", "/containers/create", `{"Image":"x","HostConfig":{"VolumesFrom":["gone"]}}`)
	w.decision = refuses("no strangers")
	if err := decide.New(o).StillAllowed(t.Context(), identity.NewLocal(), v); !v.Allow || err == nil || errors.Is(err, decide.ErrUndecided) {
		t.Errorf("%s, then %v", v.Message, err)
	}
}

// TestOwnerLabelIsTheGatewaysClosed: whoever gives it himself is refused though the policy fails, in audit mode too, and what the gateway has given
// does not outlast a policy that gives it no more.
func TestOwnerLabelIsTheGatewaysClosed(t *testing.T) {
	w := &world{decision: policy.Decision{Diagnostics: policy.Diagnostics{Failed: true}}}
	o := w.options()
	o.Mode = decide.Audit
	if v := w.ask(t, o, "POST", "/containers/create", `{"Image":"x","Labels":{"vitrine.owner":"other"}}`); v.Allow || v.Code != "rail-owner-label" {
		t.Errorf("%v %s", v.Allow, v.Message)
	}
	w = &world{}
	s := decide.New(w.options())
	for _, tc := range []struct {
		now    string
		ends   bool
		lifted bool // what the policy would have denied
	}{{"container:web", false, false}, {"container:other", true, false}, {"", true, false}, {"", true, true}} {
		w.decision = policy.Decision{Allow: true, Stamp: map[string]string{operation.OwnerLabel: "container:web"}}
		v := asks(t, s, identity.NewLocal())("POST", "/containers/create", `{"Image":"x"}`)
		if !v.Allow {
			t.Fatal(v.Message)
		}
		if s.Mode = decide.Enforce; tc.lifted {
			s.Mode = decide.Audit
		}
		if w.decision.Stamp, w.decision.Allow = nil, !tc.lifted; tc.now != "" {
			w.decision.Stamp = map[string]string{operation.OwnerLabel: tc.now}
		}
		if err := s.StillAllowed(t.Context(), identity.NewLocal(), v); (err != nil) != tc.ends || errors.Is(err, decide.ErrUndecided) || err != nil && !strings.Contains(err.Error(), "would be given now") {
			t.Errorf("as it is %q now: %v", tc.now, err)
		}
		v.Finish(http.StatusCreated, false)
	}
}

// TestCountedIsWhatMakesAContainer of a caller that may have so many.
func TestCountedIsWhatMakesAContainer(t *testing.T) {
	for uri, want := range map[string]bool{"/containers/create": true, "/networks/prune": false} {
		w, o := ciWorld(three, newYard(0))
		if v := w.ask(t, o, "POST", uri, map[bool]string{true: creates}[want]); !v.Allow || v.Counted() != want {
			t.Errorf("%s: %v, counted %v (%s)", uri, v.Allow, v.Counted(), v.Message)
		}
	}
}

// TestViewIsTheDecisionsThatCountsClosed: what a policy shows to who enters a container counts, not what it shows before it is known which.
func TestViewIsTheDecisionsThatCountsClosed(t *testing.T) {
	shared := map[string][]string{"networks": {"theirs"}}
	for name, tc := range map[string]struct {
		then  policy.Decision
		allow bool
	}{
		"the same":     {policy.Decision{Allow: true, Where: blueOnly, Shared: shared}, true},
		"another view": {policy.Decision{Allow: true, Where: map[string]string{"team": "red"}, Shared: shared}, false},
		"shares less":  {policy.Decision{Allow: true, Where: blueOnly}, false},
	} {
		w := &world{containers: map[string][]string{"mine": {"container:mine"}}}
		w.decide = func(in *policy.Input) policy.Decision {
			if len(in.Enters) == 0 {
				return policy.Decision{Allow: true, Where: blueOnly, Shared: shared}
			}
			return tc.then
		}
		o := w.options()
		o.Objects = objects
		if v := w.ask(t, o, "POST", "/networks/theirs/connect", `{"Container":"mine"}`); (v.Allow && (v.View == nil || !v.View.Nothing)) != tc.allow {
			t.Errorf("%s: %v %s, %+v", name, v.Allow, v.Message, v.View)
		}
	}
}

// TestStampIsInTheViewToo: what is carried within a view is the request that was decided last.
func TestStampIsInTheViewToo(t *testing.T) {
	w := &world{containers: map[string][]string{"mine": {"container:mine"}}, decision: policy.Decision{Allow: true, Where: blueOnly, Stamp: blueOnly, Shared: map[string][]string{"images": {"x"}}}}
	o := w.options()
	y := tenancy{labels: map[string]map[string]string{"mine": blueOnly, "x": nil}}
	o.Objects = y
	if v := w.ask(t, o, "POST", "/containers/create", `{"Image":"x","HostConfig":{"VolumesFrom":["mine"]}}`); !v.Allow || !strings.Contains(string(v.Carried().Canonical), `"team":"blue"`) {
		t.Errorf("%s: %s", v.Message, v.Carried().Canonical)
	}
}

// asking counts what it is asked for.
type asking struct {
	tenancy
	n *int
}

func (a asking) Objects(ctx context.Context, op *operation.Operation) []object.Object {
	*a.n++
	return a.tenancy.Objects(ctx, op)
}

// TestWhoReplacesNothingAsksForNothing: the daemon is not asked what a connect names of who has taken nothing away.
func TestWhoReplacesNothingAsksForNothing(t *testing.T) {
	var n int
	w := &world{decision: policy.Decision{Allow: true}, containers: map[string][]string{"mine": {"container:mine"}}}
	o := w.options()
	o.Objects = asking{objects, &n}
	if v := w.ask(t, o, "POST", "/networks/mine/connect", `{"Container":"mine"}`); !v.Allow || n != 0 {
		t.Errorf("asked %d times; %s", n, v.Message)
	}
}
