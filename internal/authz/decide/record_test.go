package decide_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// noted keeps what it is told of decisions.
type noted []*record.Seen

func (n *noted) Add(s *record.Seen) *record.Kept {
	kept := *s
	*n = append(*n, &kept)
	return nil
}

func (n *noted) Again(*record.Kept, time.Time, string, string) bool { return false }

// seen is what the record is told of one request; nil if of none.
func (w *world) seen(t *testing.T, o decide.Options, method, uri, body string) *record.Seen {
	t.Helper()
	var n noted
	o.Shapes = &n
	w.ask(t, o, method, uri, body)
	switch len(n) {
	case 0:
		return nil
	case 1:
		return n[0]
	}
	t.Fatalf("%d shapes of one request", len(n))
	return nil
}

// TestWhatHasNoShapeClosed: it would be decided otherwise another time, or is no question of anybody's.
func TestWhatHasNoShapeClosed(t *testing.T) {
	yes := policy.Decision{Allow: true}
	for name, tc := range map[string]struct {
		w    *world
		uri  string
		opts func(*decide.Options)
		has  bool
	}{
		"allowed":          {&world{decision: yes}, "/containers/json", nil, true},
		"denied":           {&world{}, "/containers/json", nil, true},
		"not understood":   {&world{decision: yes}, "/nowhere", nil, false},
		"our own":          {&world{decision: yes, who: &identity.Identity{Kind: identity.Self}}, "/containers/json", nil, false},
		"it panics":        {&world{boom: "x"}, "/containers/json", nil, false},
		"not told in time": {&world{decide: sees}, "/containers/mine/json", func(o *decide.Options) { o.Objects = tenancy{err: errors.New("no answer")} }, false},
	} {
		o := tc.w.options()
		if tc.opts != nil {
			tc.opts(&o)
		}
		if s := tc.w.seen(t, o, "GET", tc.uri, ""); (s != nil) != tc.has {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// looking is a policy that looks at objects.
type looking struct{ *world }

func (looking) ReadsObjects() bool { return true }

func (looking) ask(in *policy.Input) policy.Decision {
	in.Objects()
	return policy.Decision{Allow: true}
}

// TestShapeHasWhatWasFoundOut: and nothing that nobody asked.
func TestShapeHasWhatWasFoundOut(t *testing.T) {
	w := &world{}
	w.decide = looking{w}.ask
	o := w.options()
	o.Policy, o.Objects = looking{w}, objects
	if s := w.seen(t, o, "GET", "/containers/mine/json", ""); !s.World.Named || len(s.World.Objects) != 1 || s.World.Objects[0].Name != "mine" {
		t.Errorf("objects that were read: %+v", s.World)
	}
	w = &world{decision: policy.Decision{Allow: true, Admin: true}}
	o = w.options()
	o.Objects = objects
	if s := w.seen(t, o, "GET", "/containers/json", ""); s.World.Named || len(s.World.Objects) > 0 {
		t.Errorf("objects that nobody read: %+v", s.World)
	}

	var list []string
	w = &world{decision: policy.Decision{Allow: true}, containers: map[string][]string{}, unresolved: errors.New("no answer")}
	for _, c := range []string{"h", "g", "f", "e", "d", "c", "b", "a"} {
		list = append(list, `"`+c+`"`)
		w.containers[c] = []string{"container:" + c}
	}
	delete(w.containers, "h")
	s := w.seen(t, w.options(), "POST", "/containers/create", `{"HostConfig":{"VolumesFrom":[`+strings.Join(list, ",")+`]}}`)
	if c := s.World.Containers; len(c) != 8 || !slices.IsSortedFunc(c, func(a, b record.Container) int { return strings.Compare(a.Ref, b.Ref) }) ||
		c[0].Principals[0] != "container:a" || c[0].Why != "" || c[7].Why != "no answer" {
		t.Errorf("containers: %+v", c)
	}
}

// TestShapeHasTheSocketThatCouldStand in place of the Engine's.
func TestShapeHasTheSocketThatCouldStand(t *testing.T) {
	ours := operation.Socket{Listener: "ci", Path: "/run/c.sock"}
	for name, tc := range map[string]struct {
		body    string
		sockets *operation.Sockets
		want    *operation.Socket
	}{
		"mounted":        {mounting, &operation.Sockets{Gateway: []operation.Socket{ours}, Engine: []string{"/run/docker.sock"}}, &ours},
		"not mounted":    {creates, &operation.Sockets{Gateway: []operation.Socket{ours}, Engine: []string{"/run/docker.sock"}}, nil},
		"there is none":  {mounting, &operation.Sockets{Engine: []string{"/run/docker.sock"}}, nil},
		"nobody says it": {mounting, nil, nil},
	} {
		w := &world{decision: policy.Decision{Allow: true, Admin: true}}
		o := w.options()
		o.Sockets = tc.sockets
		if s := w.seen(t, o, "POST", "/containers/create", tc.body); !reflect.DeepEqual(s.World.Socket, tc.want) || (len(s.World.Engines) > 0) != (tc.want != nil) {
			t.Errorf("%s: %+v", name, s.World.Socket)
		}
	}
}

// TestShapeHasInWhichContainerWeRun: wherever another policy could ask for it; it is asked for once.
func TestShapeHasInWhichContainerWeRun(t *testing.T) {
	is := func(id string, err error) func() (string, error) { return func() (string, error) { return id, err } }
	none, ours := "", own
	for name, tc := range map[string]struct {
		method, uri, body string
		admin             bool
		own               func() (string, error)
		want              *string
	}{
		"an admin's stop":                 {"POST", "/containers/web/stop", "", true, is(own, nil), &ours},
		"a stop":                          {"POST", "/containers/web/stop", "", false, is(own, nil), &ours},
		"an admin's stop, in none":        {"POST", "/containers/web/stop", "", true, nil, &none},
		"an admin's stop, nobody knows":   {"POST", "/containers/web/stop", "", true, is("", errors.New("no answer")), nil},
		"a stop, nobody knows":            {"POST", "/containers/web/stop", "", false, is("", errors.New("no answer")), nil},
		"an admin's list":                 {"GET", "/containers/json", "", true, is(own, nil), nil},
		"an admin's inspect":              {"GET", "/containers/web/json", "", true, is(own, nil), nil},
		"an admin's create":               {"POST", "/containers/create", creates, true, is(own, nil), nil},
		"an admin's create that enters":   {"POST", "/containers/create", `{"Image":"x","HostConfig":{"VolumesFrom":["web"]}}`, true, is(own, nil), &ours},
		"a create that enters":            {"POST", "/containers/create", `{"Image":"x","HostConfig":{"VolumesFrom":["web"]}}`, false, is(own, nil), &ours},
		"an inspect, of which nobody can": {"GET", "/containers/web/json", "", false, is("", errors.New("no answer")), nil},
	} {
		w := &world{decision: policy.Decision{Allow: true, Admin: tc.admin}, containers: map[string][]string{"web": {"container:web"}}}
		o, asked := w.options(), 0
		if tc.own != nil {
			o.OwnContainer = func() (string, error) { asked++; return tc.own() }
		}
		if s := w.seen(t, o, tc.method, tc.uri, tc.body); !reflect.DeepEqual(s.World.Own, tc.want) || tc.want != nil && asked > 1 {
			t.Errorf("%s: %v, asked %d times", name, s.World.Own, asked)
		}
	}
}

// TestShapeHasWhatCameOfIt as its door carries it out.
func TestShapeHasWhatCameOfIt(t *testing.T) {
	limits := operation.Ceilings{Memory: 1 << 20}
	for name, tc := range map[string]struct {
		decide func(*policy.Input) policy.Decision
		mode   decide.Mode
		uri    string
		want   record.Verdict
	}{
		"denied":           {func(*policy.Input) policy.Decision { return policy.Decision{} }, "", "/containers/json", record.Verdict{Answer: record.Deny, Code: "policy"}},
		"denied, audited":  {func(*policy.Input) policy.Decision { return policy.Decision{} }, decide.Audit, "/containers/json", record.Verdict{Answer: record.WouldDeny, Code: "policy"}},
		"allowed":          {func(*policy.Input) policy.Decision { return policy.Decision{Allow: true} }, "", "/containers/json", record.Verdict{Answer: record.Allow}},
		"an admin":         {func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Admin: true} }, "", "/containers/json", record.Verdict{Answer: record.Allow, Admin: true}},
		"with ceilings":    {func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Ceilings: limits} }, "", "/containers/json", record.Verdict{Answer: record.Allow, Ceilings: &limits}},
		"of what it sees":  {sees, "", "/containers/mine/json", record.Verdict{Answer: record.Allow, Where: blueOnly}},
		"of what is there": {sees, "", "/containers/theirs/json", record.Verdict{Answer: record.Hidden, Where: blueOnly}},
	} {
		w := &world{decide: tc.decide, containers: map[string][]string{"mine": {"container:mine"}, "theirs": {"container:theirs"}}}
		o := w.options()
		o.Mode, o.Objects = tc.mode, objects
		if s := w.seen(t, o, "GET", tc.uri, ""); !reflect.DeepEqual(s.Verdict, tc.want) {
			t.Errorf("%s: %+v, want %+v", name, s.Verdict, tc.want)
		}
	}
}

// shapeOf is a request's shape, before a policy has answered it.
func shapeOf(t *testing.T, who *identity.Identity, method, uri, body string, of record.World) *record.Shape {
	t.Helper()
	req := operation.ExampleRequest(method, uri, body)
	req.Sockets = &operation.Sockets{Gateway: []operation.Socket{{Listener: "ci", Path: "/run/c.sock"}}, Engine: []string{"/run/docker.sock"}}
	op, err := operation.Parse(req)
	if err != nil {
		t.Fatal(err)
	}
	return &record.Shape{Caller: who, Operation: op.Outline(), World: of}
}

// TestReplay decides by what was found out then, and says what it misses.
func TestReplay(t *testing.T) {
	container := &identity.Identity{Kind: identity.Container, Principals: []string{"container:web"}, Door: "gateway", Listener: "ci"}
	uid := uint32(1000)
	host := &identity.Identity{Kind: identity.Host, UID: &uid, Principals: []string{"uid:1000"}, Door: "gateway"}
	plugin := &identity.Identity{Kind: identity.TLS, Principals: []string{"tls:ci"}, Door: "plugin"}
	yes := func(*policy.Input) policy.Decision { return policy.Decision{Allow: true} }
	limited := func(in *policy.Input) policy.Decision {
		return policy.Decision{Allow: !slices.Contains(in.Operation.Hazards, operation.HazardLimits)}
	}
	const privileged = `{"Image":"x","HostConfig":{"Privileged":true}}`
	entering := `{"Image":"x","HostConfig":{"VolumesFrom":["b","a"]}}`
	none := ""
	for name, tc := range map[string]struct {
		shape   *record.Shape
		decide  func(*policy.Input) policy.Decision
		want    record.Answer
		code    string
		missing []string
	}{
		"allowed": {shapeOf(t, container, "GET", "/containers/json", "", record.World{}), yes, record.Allow, "", nil},
		"denied": {
			shapeOf(t, container, "GET", "/containers/json", "", record.World{}),
			func(*policy.Input) policy.Decision { return policy.Decision{} }, record.Deny, "policy", nil,
		},
		"its own exec": {
			shapeOf(t, host, "GET", "/exec/e1/json", "", record.World{Own: &none, OwnExec: true, Containers: []record.Container{{Ref: "exec:any", Principals: []string{"container:x"}}}}),
			func(in *policy.Input) policy.Decision { return policy.Decision{Allow: in.OwnExec} }, record.Allow, "", nil,
		},
		"another's exec": {
			shapeOf(t, host, "GET", "/exec/e1/json", "", record.World{Own: &none, Containers: []record.Container{{Ref: "exec:any", Principals: []string{"container:x"}}}}),
			func(in *policy.Input) policy.Decision { return policy.Decision{Allow: in.OwnExec} }, record.Deny, "policy", nil,
		},
		"the gateway's socket": {
			shapeOf(t, container, "POST", "/containers/create", mounting, record.World{Own: &none, Socket: &operation.Socket{Listener: "ci", Path: "/run/c.sock"}, Engines: []string{"/run/docker.sock"}}),
			substitutes, record.Allow, "", nil,
		},
		"no socket": {
			shapeOf(t, container, "POST", "/containers/create", mounting, record.World{Own: &none}),
			substitutes, record.Deny, "policy",
			[]string{"what /var/run/docker.sock is on the host"},
		},
		"what the door cannot do": {
			shapeOf(t, plugin, "GET", "/containers/web/json", "", record.World{}),
			func(*policy.Input) policy.Decision {
				return policy.Decision{Allow: true, Redact: []string{"/Config/Env"}}
			}, record.Deny, "obligation", nil,
		},
		"in place of another": {
			shapeOf(t, tool("t"), "POST", "/containers/create?name=web", privileged, record.World{Own: &none, Old: &record.Old{Name: "web", Labels: updated, Fields: []string{"HostConfig.Privileged"}}}),
			newUpdater().decide, record.Allow, "",
			[]string{"the labels and ids of what the request names"},
		},
		"in place of one that had less": {
			shapeOf(t, tool("t"), "POST", "/containers/create?name=web", privileged, record.World{Own: &none, Old: &record.Old{Name: "web", Labels: updated}}),
			newUpdater().decide, record.Deny, "policy", nil,
		},
		"in place of none": {shapeOf(t, tool("t"), "POST", "/containers/create?name=web", privileged, record.World{Own: &none}), newUpdater().decide, record.Deny, "policy", nil},
		"what its image carried": {
			shapeOf(t, container, "POST", "/containers/create", `{"Image":"x"}`, record.World{Own: &none, Image: &record.Image{Burdens: []string{"Labels"}}}),
			limited, record.Deny, "policy", nil,
		},
		"an image that could not be told": {
			shapeOf(t, container, "POST", "/containers/create", `{"Image":"x"}`, record.World{Own: &none, Image: &record.Image{Why: "no answer"}}),
			limited, record.Deny, "policy", nil,
		},
		"an image that carried nothing": {
			shapeOf(t, container, "POST", "/containers/create", `{"Image":"x"}`, record.World{Own: &none}),
			limited, record.Allow, "", nil,
		},
		"what was not asked then": {
			shapeOf(t, container, "POST", "/containers/create", entering, record.World{}),
			yes, record.Allow, "",
			[]string{"in which container Vitrine ran", "who container a is", "who container b is"},
		},
	} {
		got, err := decide.Replay(t.Context(), &world{decide: tc.decide}, tc.shape)
		if err != nil || got.Answer != tc.want || got.Code != tc.code || !slices.Equal(got.Missing, tc.missing) {
			t.Errorf("%s: %v, %+v, want %s %s, missing %q", name, err, got, tc.want, tc.code, tc.missing)
		}
	}
}

// TestReplayThatCannotBeClosed: no verdict comes of it.
func TestReplayThatCannotBeClosed(t *testing.T) {
	good := shapeOf(t, &identity.Identity{Kind: identity.Host, Door: "gateway"}, "GET", "/containers/json", "", record.World{})
	bad := *good
	bad.Operation = &operation.Outline{}
	for says, tc := range map[string]struct {
		w     *world
		shape *record.Shape
	}{
		"there is no body state":    {&world{decision: policy.Decision{Allow: true}}, &bad},
		"the policy could not tell": {&world{decision: policy.Decision{Diagnostics: policy.Diagnostics{Failed: true}}}, good},
		"the decision panicked: x":  {&world{boom: "x"}, good},
	} {
		if got, err := decide.Replay(t.Context(), tc.w, tc.shape); err == nil || !strings.Contains(err.Error(), says) || got.Answer != "" {
			t.Errorf("%s: %+v, %v", says, got, err)
		}
	}
}
