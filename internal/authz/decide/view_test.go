package decide_test

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// tenancy has the objects of one who sees team blue's.
type tenancy struct {
	labels map[string]map[string]string // by name; of a name that is missing there is no object
	ids    map[string]string            // of names that have others than idOf
	err    error
}

func (y tenancy) HostNetworks(context.Context, *operation.Operation) ([]string, error) {
	return nil, nil
}

func (y tenancy) Objects(_ context.Context, op *operation.Operation) (list []object.Object) {
	for _, n := range op.Objects() {
		o := object.Object{Role: n.Role, Kind: n.Kind, Ref: n.Ref, Known: new(bool)}
		labels, known := y.labels[n.Ref]
		switch {
		case y.err != nil:
			o.Known, o.Why = nil, y.err.Error()
		case known:
			*o.Known, o.ID, o.Name, o.Names, o.Labels = true, cmp.Or(y.ids[n.Ref], idOf(n.Ref)), n.Ref, []string{n.Ref}, labels
		}
		list = append(list, o)
	}
	return list
}

func idOf(name string) string {
	return (strings.Repeat("0", 64) + "abc" + hexOf(name))[len(hexOf(name))+3:]
}

func hexOf(name string) (out string) {
	for _, c := range []byte(name) {
		out += string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15])
	}
	return out
}

func (y tenancy) Object(context.Context, operation.Kind, string) (object.Object, error) {
	return object.Object{}, y.err
}

func (y tenancy) JoinedBy(context.Context, string) ([]object.Object, error) { return nil, y.err }

func (y tenancy) AnyBorrowed(func(map[string]string) bool) (string, error) { return "", y.err }

var (
	blueOnly = map[string]string{"team": "blue"}
	objects  = tenancy{labels: map[string]map[string]string{"mine": blueOnly, "theirs": {"team": "red"}}}
)

// sees is a policy that shows team blue's things, and guards containers as the built-in one does: whoever is told of that
// learns which there are.
func sees(in *policy.Input) policy.Decision {
	if len(in.Enters) > 0 && !slices.Equal(in.Enters, []string{"container:mine"}) {
		return policy.Decision{Diagnostics: policy.Diagnostics{Reasons: []string{"somebody is bound to a role by " + strings.Join(in.Enters, " and ")}}}
	}
	return policy.Decision{Allow: true, Where: blueOnly}
}

// TestClosedWhatIsOutsideIsAsWhatIsNotThere: no rule and no rail says of a container outside the view more than of one that is not there.
func TestClosedWhatIsOutsideIsAsWhatIsNotThere(t *testing.T) {
	for _, tc := range []struct {
		method, uri, body string
		allow             bool
	}{
		{"GET", "/containers/REF/json", "", true},
		{"POST", "/containers/REF/stop", "", true},
		{"POST", "/containers/REF/exec", `{"Cmd":["sh"]}`, true},
		{"GET", "/containers/REF/archive?path=/etc", "", true},
		{"POST", "/containers/create", `{"Image":"x","HostConfig":{"VolumesFrom":["REF"]}}`, false},
		{"POST", "/networks/mine/connect", `{"Container":"REF"}`, false},
	} {
		var said []string
		for _, ref := range []string{"theirs", "missing"} {
			w := &world{decide: sees, containers: map[string][]string{"theirs": {"container:theirs"}, "mine": {"container:mine"}}}
			o := w.options()
			o.Objects, o.OwnContainer = objects, func() (string, error) { return own, nil }
			v := w.ask(t, o, tc.method, strings.ReplaceAll(tc.uri, "REF", ref), strings.ReplaceAll(tc.body, "REF", ref))
			if v.Allow != tc.allow || tc.allow != (v.View != nil && v.View.Nothing) || strings.Contains(v.Carried().URI, ref) && tc.allow {
				t.Errorf("%s %s with %s: allow %v (%s), carried as %s", tc.method, tc.uri, ref, v.Allow, v.Message, v.Carried().URI)
			}
			said = append(said, strings.ReplaceAll(v.Message, ref, "REF"))
			hidden := []audit.Change{{What: "hidden", From: ref}}
			if got := w.records[0].Changed; tc.allow && slices.Equal(got, hidden) != (ref == "theirs") {
				t.Errorf("%s %s with %s: changed %v", tc.method, tc.uri, ref, got)
			}
		}
		if said[0] != said[1] {
			t.Errorf("%s %s: %q, of what is not there %q", tc.method, tc.uri, said[0], said[1])
		}
	}
}

// TestClosedViewThatCannotBeKept: without objects nothing is shown, and an answer that does not come is no yes.
func TestClosedViewThatCannotBeKept(t *testing.T) {
	for name, y := range map[string]decide.Objects{"nobody can say": nil, "the Engine does not answer": tenancy{err: errors.New("no answer")}} {
		for _, uri := range []string{"/containers/mine/json", "/containers/json?filters=%7B%22since%22%3A%5B%22mine%22%5D%7D"} {
			w := &world{decide: sees}
			o := w.options()
			o.Objects = y
			if v := w.ask(t, o, "GET", uri, ""); v.Allow || v.Status != http.StatusServiceUnavailable {
				t.Errorf("%s: %s: %v %d %s", name, uri, v.Allow, v.Status, v.Message)
			}
		}
	}
}

// TestWhoHasNoViewIsNotLimited: admins, audit mode and the plugin's door, which denies by the decision's demand.
func TestWhoHasNoViewIsNotLimited(t *testing.T) {
	for name, change := range map[string]func(w *world, o *decide.Options){
		"admin": func(w *world, _ *decide.Options) {
			w.decide, w.decision = nil, policy.Decision{Allow: true, Admin: true, Where: blueOnly}
		},
		"nowhere": func(w *world, _ *decide.Options) { w.decide, w.decision = nil, policy.Decision{Allow: true} },
		"plugin": func(w *world, _ *decide.Options) {
			w.who = &identity.Identity{Kind: identity.TLS, Principals: []string{"tls:x"}, Door: "plugin"}
			w.decide, w.decision = nil, policy.Decision{Allow: true, Where: blueOnly}
		},
		"audit": func(w *world, o *decide.Options) {
			w.decide, w.decision, o.Mode = nil, policy.Decision{Where: blueOnly}, decide.Audit
		},
	} {
		w := &world{decide: sees}
		o := w.options()
		o.Objects = objects
		change(w, &o)
		if v := w.ask(t, o, "GET", "/containers/theirs/json", ""); !v.Allow || v.View != nil || !strings.Contains(v.Carried().URI, "theirs") {
			t.Errorf("%s: %v %v %s", name, v.Allow, v.View, v.Carried().URI)
		}
	}
}

// TestClosedStamp: what is made carries the policy's labels, is decided on with them, and nobody gives the gateway's own.
func TestClosedStamp(t *testing.T) {
	stamp := map[string]string{"team": "blue", operation.OwnerLabel: "container:web"}
	for name, tc := range map[string]struct {
		body   string
		decide func(*policy.Input) policy.Decision
		code   string
		gives  string
	}{
		"labelled":           {`{"Image":"x"}`, func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Stamp: stamp} }, "", `"team":"blue"`},
		"the same by itself": {`{"Image":"x","Labels":{"vitrine.owner":"container:web"}}`, func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Stamp: stamp} }, "", `"vitrine.owner":"container:web"`},
		"another by itself":  {`{"Image":"x","Labels":{"vitrine.owner":"other"}}`, func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Stamp: stamp} }, "rail-owner-label", ""},
		"another team":       {`{"Image":"x","Labels":{"team":"red"}}`, func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Stamp: stamp} }, "stamp", ""},
		"no stamp, an owner": {`{"Image":"x","Labels":{"vitrine.owner":"x"}}`, func(*policy.Input) policy.Decision { return policy.Decision{Allow: true} }, "rail-owner-label", ""},
		"an owner of a volume": {
			`{"Image":"x","HostConfig":{"Mounts":[{"Type":"volume","Source":"v","Target":"/x","VolumeOptions":{"Labels":{"vitrine.owner":"x"}}}]}}`,
			func(*policy.Input) policy.Decision { return policy.Decision{Allow: true} }, "rail-owner-label", "",
		},
		"an owner without a name": {`{"Image":"x","Labels":{"vitrine.owner":""}}`, func(*policy.Input) policy.Decision { return policy.Decision{Allow: true} }, "rail-owner-label", ""},
		"an admin's stamp": {`{"Image":"x"}`, func(in *policy.Input) policy.Decision {
			return policy.Decision{Allow: !slices.Contains(in.Operation.Mints, "label:team=blue"), Admin: true, Stamp: stamp}
		}, "", `"Image":"x"`},
		"a denial's stamp": {`{"Image":"x"}`, func(in *policy.Input) policy.Decision {
			return policy.Decision{Allow: slices.Contains(in.Operation.Mints, "label:team=blue"), Stamp: stamp}
		}, "policy", ""},
		"admin": {`{"Image":"x","Labels":{"vitrine.owner":"x"}}`, func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Admin: true} }, "", `"vitrine.owner":"x"`},
		"a label that somebody's role is bound to": {`{"Image":"x"}`, func(in *policy.Input) policy.Decision {
			return policy.Decision{Allow: !slices.Contains(in.Operation.Mints, "label:team=blue"), Stamp: stamp}
		}, "policy", ""},
		"another stamp on what is stamped": {`{"Image":"x"}`, func(in *policy.Input) policy.Decision {
			if slices.Contains(in.Operation.Mints, "label:team=blue") {
				return policy.Decision{Allow: true}
			}
			return policy.Decision{Allow: true, Stamp: stamp}
		}, "stamp", ""},
	} {
		w := &world{decide: tc.decide}
		o := w.options()
		o.Objects = objects
		v := w.ask(t, o, "POST", "/containers/create", tc.body)
		if v.Code != tc.code || v.Allow != (tc.code == "") || v.Allow && !strings.Contains(string(v.Carried().Canonical), tc.gives) {
			t.Errorf("%s: %q (%s), %s", name, v.Code, v.Message, v.Carried().Canonical)
		}
		if name == "an admin's stamp" && w.records[0].Changed != nil {
			t.Errorf("an admin's request is changed: %v", w.records[0].Changed)
		}
		if name == "labelled" && !slices.Equal(w.records[0].Changed, []audit.Change{{What: "label", To: "team=blue"}, {What: "label", To: "vitrine.owner=container:web"}}) {
			t.Errorf("changed: %v", w.records[0].Changed)
		}
	}
}

// TestWhatIsInTheViewIsCarriedByItsID: and lists with a filter, of which the record tells.
func TestWhatIsInTheViewIsCarriedByItsID(t *testing.T) {
	w := &world{decide: sees, containers: map[string][]string{"mine": {"container:mine", "container-id:" + idOf("mine")}}}
	o := w.options()
	o.Objects = objects
	v := w.ask(t, o, "POST", "/containers/mine/stop", "")
	if !v.Allow || v.Carried().Path != "/containers/"+idOf("mine")+"/stop" || !slices.Equal(w.records[0].Changed, []audit.Change{{What: "container", From: "mine", To: idOf("mine")}}) {
		t.Errorf("%v %s %s %v", v.Allow, v.Message, v.Carried().Path, w.records[0].Changed)
	}
	if got := v.View.Answer("Container " + idOf("mine") + " is not running"); got != "Container mine is not running" {
		t.Error(got)
	}
	w = &world{decide: sees}
	o = w.options()
	o.Objects = objects
	v = w.ask(t, o, "GET", "/networks/mine", "")
	if !v.Allow || v.Carried().Path != "/networks/"+idOf("mine") || !slices.Equal(w.records[0].Changed, []audit.Change{{What: "id", From: "/networks/mine", To: "/networks/" + idOf("mine")}}) {
		t.Errorf("%v %s %s %v", v.Allow, v.Message, v.Carried().Path, w.records[0].Changed)
	}
	w = &world{decide: sees}
	o = w.options()
	o.Objects = objects
	if v = w.ask(t, o, "GET", "/containers/json", ""); !v.Allow || !strings.Contains(v.Carried().URI, "team%3Dblue") || !slices.Equal(w.records[0].Changed, []audit.Change{{What: "filter", To: "team=blue"}}) {
		t.Errorf("%v %s %v", v.Allow, v.Carried().URI, w.records[0].Changed)
	}
}

// TestStampIsForTheGatewayAndWhatHasLabels.
func TestStampIsForTheGatewayAndWhatHasLabels(t *testing.T) {
	stamp := policy.Decision{Allow: true, Stamp: blueOnly}
	w := &world{decision: stamp, who: &identity.Identity{Kind: identity.TLS, Principals: []string{"tls:x"}, Door: "plugin"}}
	if v := w.ask(t, w.options(), "POST", "/containers/create", `{"Image":"x"}`); !v.Allow || strings.Contains(string(v.Carried().Canonical), "blue") || w.records[0].Changed != nil {
		t.Errorf("at the plugin's door: %s, %v", v.Carried().Canonical, w.records[0].Changed)
	}
	w = &world{decision: stamp}
	if v := w.ask(t, w.options(), "POST", "/containers/web/stop", ""); !v.Allow || w.records[0].Changed != nil {
		t.Errorf("of what makes nothing: %v", w.records[0].Changed)
	}
}

// TestClosedAnotherContainerMeanwhile: what was entered and what is in the view must be one container.
func TestClosedAnotherContainerMeanwhile(t *testing.T) {
	for id, allow := range map[string]bool{idOf("mine"): true, own: false} {
		w := &world{decide: sees, containers: map[string][]string{"mine": {"container:mine", "container-id:" + id}}}
		w.decide = func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Where: blueOnly} }
		o := w.options()
		o.Objects = objects
		if v := w.ask(t, o, "POST", "/networks/mine/connect", `{"Container":"mine"}`); v.Allow != allow || !allow && v.Code != "object" {
			t.Errorf("%s: %v %s", id, v.Allow, v.Message)
		}
	}
}

// TestClosedStreamThatSharesLess ends, as one of another view does.
func TestClosedStreamThatSharesLess(t *testing.T) {
	shared := map[string][]string{"containers": {"proxy"}}
	for name, tc := range map[string]struct {
		now  policy.Decision
		ends bool
	}{
		"the same":      {policy.Decision{Allow: true, Where: blueOnly, Shared: shared, ImageNames: []string{"ci/*"}}, false},
		"shares less":   {policy.Decision{Allow: true, Where: blueOnly, ImageNames: []string{"ci/*"}}, true},
		"another view":  {policy.Decision{Allow: true, Where: map[string]string{"team": "red"}, Shared: shared, ImageNames: []string{"ci/*"}}, true},
		"names others":  {policy.Decision{Allow: true, Where: blueOnly, Shared: shared, ImageNames: []string{"other/*"}}, true},
		"without limit": {policy.Decision{Allow: true}, false},
	} {
		w := &world{decision: policy.Decision{Allow: true, Where: blueOnly, Shared: shared, ImageNames: []string{"ci/*"}}}
		o := w.options()
		o.Objects = objects
		s := decide.New(o)
		v := s.Authorize(t.Context(), identity.NewLocal(), &operation.Request{Method: "GET", URI: "/events", Proto: "HTTP/1.1", Header: http.Header{}})
		if !v.Allow {
			t.Fatal(v.Message)
		}
		w.decision = tc.now
		if err := s.StillAllowed(t.Context(), identity.NewLocal(), v); (err != nil) != tc.ends {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// starting counts how often it is asked which networks a container joins.
type starting struct {
	tenancy
	asked int
	lost  error
}

func (s *starting) JoinedBy(context.Context, string) ([]object.Object, error) {
	s.asked++
	return nil, s.lost
}

// TestViewIsPlannedOnce: what the daemon says of a container that is to start is asked once, and is what is judged.
func TestViewIsPlannedOnce(t *testing.T) {
	w := &world{decide: sees, containers: map[string][]string{"mine": {"container:mine"}}}
	o, y := w.options(), &starting{tenancy: objects}
	o.Objects = y
	v := w.ask(t, o, "POST", "/containers/mine/start", "")
	if !v.Allow || y.asked != 1 {
		t.Errorf("asked %d times; %v %s", y.asked, v.Allow, v.Message)
	}
	y.lost = errors.New("no answer")
	if err := decide.New(o).StillAllowed(t.Context(), identity.NewLocal(), v); !errors.Is(err, decide.ErrUndecided) {
		t.Errorf("when it cannot be told any longer: %v", err)
	}
}

// TestClosedRailBeforeTheView: who gives the gateway's own label is told so, whatever else is named.
func TestClosedRailBeforeTheView(t *testing.T) {
	w := &world{decision: policy.Decision{Allow: true, Where: blueOnly, Shared: map[string][]string{"images": {"*"}}}}
	o := w.options()
	o.Objects = objects
	for label, code := range map[string]string{operation.OwnerLabel: "rail-owner-label", "other": "view"} {
		w.records = nil
		v := w.ask(t, o, "POST", "/containers/create", `{"Image":"x","Labels":{"`+label+`":"me"},"HostConfig":{"NetworkMode":"theirs"}}`)
		if v.Allow || v.Code != code {
			t.Errorf("%s: %v %q %s", label, v.Allow, v.Code, v.Message)
		}
	}
}
