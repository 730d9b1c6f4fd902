package decide_test

import (
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
)

// names is a policy that shows team blue's things, and lets it give images names below ci/.
func names(*policy.Input) policy.Decision {
	return policy.Decision{
		Allow: true, Where: blueOnly, Stamp: map[string]string{"team": "blue", "vitrine.owner": "me"}, ImageNames: []string{"ci/*"}, Shared: map[string][]string{"images": {"*"}},
	}
}

// TestClosedImageThatIsTaggedIsWhatWasJudged: whatever its name means by then.
func TestClosedImageThatIsTaggedIsWhatWasJudged(t *testing.T) {
	w := &world{decide: names}
	o := w.options()
	o.Objects = tenancy{labels: map[string]map[string]string{"alpine": nil}}
	v := w.ask(t, o, "POST", "/images/alpine/tag?repo=ci/base&tag=1", "")
	if !v.Allow || v.Carried().Path != "/images/"+idOf("alpine")+"/tag" || v.Operation.Target != "alpine" {
		t.Errorf("%s, carried as %s", v.Message, v.Carried().Path)
	}
	w.records = nil
	if v = w.ask(t, o, "DELETE", "/images/alpine", ""); v.Allow {
		t.Error("a shared image is removed")
	}
}

// TestClosedLabelsOfImages: what is built or committed in a view has none of its labels, and says who had it built.
func TestClosedLabelsOfImages(t *testing.T) {
	w := &world{decide: names, containers: map[string][]string{"mine": {"container:mine", "container-id:" + idOf("mine")}}}
	o := w.options()
	o.Objects = objects
	want := []audit.Change{{What: "label", To: "team="}, {What: "label", To: "vitrine.built-by=team=blue"}, {What: "label", To: "vitrine.owner="}}
	ask := func(method, uri string) *decide.Verdict {
		w.records = nil
		return w.ask(t, o, method, uri, "")
	}
	changed := func(method, uri string) []audit.Change {
		v := ask(method, uri)
		if !v.Allow {
			t.Fatalf("%s: %s", uri, v.Message)
		}
		return slices.DeleteFunc(v.Changes(), func(c audit.Change) bool { return c.What == "container" })
	}
	for _, uri := range []string{"/build?nocache=1&t=ci/x", "/commit?container=mine&repo=ci/x"} {
		if got := changed("POST", uri); !slices.Equal(got, want) {
			t.Errorf("%s: %v", uri, got)
		}
		v := ask("POST", uri)
		if err := decide.New(o).StillAllowed(t.Context(), identity.NewLocal(), v); err != nil {
			t.Errorf("%s, once more: %v", uri, err)
		}
		if got := strings.Join(v.Carried().Query["labels"], "") + strings.Join(v.Carried().Query["changes"], " "); !strings.Contains(got, "vitrine.built-by") || !strings.Contains(got, "team") {
			t.Errorf("%s: carried with %q", uri, got)
		}
	}
	const itself = `/build?nocache=1&t=ci/x&labels={"team":"blue"}`
	if v := ask("POST", itself); v.Allow || v.Code != "stamp" {
		t.Errorf("a build gives the label itself: %v %s", v.Allow, v.Message)
	}
	if v := ask("POST", `/commit?container=mine&repo=ci/x&changes=LABEL+team%3Dred&changes=CMD+echo+%5C`); v.Allow || v.Code != "stamp" {
		t.Errorf("a commit whose last change goes on in the label's line: %s", v.Message)
	}
	for _, tc := range []struct {
		door, code   string
		allow, admin bool
	}{{"gateway", "policy", false, false}, {"plugin", "", true, false}, {"gateway", "", true, true}} { // who is given no label may give it
		w.decide = func(in *policy.Input) policy.Decision {
			d := names(in)
			d.Allow, d.Admin = tc.allow, tc.admin
			return d
		}
		w.who = &identity.Identity{Kind: identity.TLS, Principals: []string{"tls:x"}, Door: tc.door}
		if v := ask("POST", itself); v.Allow != tc.allow || v.Code != tc.code || strings.Contains(v.Carried().URI, "built-by") {
			t.Errorf("%+v: %v %s, carried as %s", tc, v.Allow, v.Message, v.Carried().URI)
		}
	}
	w.who = nil
	w.decide = func(in *policy.Input) policy.Decision { // without a view it has the stamp
		d := names(in)
		d.Where = nil
		return d
	}
	if got := changed("POST", "/build?t=x"); !slices.Equal(got, []audit.Change{{What: "label", To: "team=blue"}, {What: "label", To: "vitrine.owner=me"}}) {
		t.Errorf("without a view: %v", got)
	}
}

// TestClosedImageNamesAreThoseOfTheWholeDecision: what was planned for a decision that did not look at the container that is entered is not
// what another one allows.
func TestClosedImageNamesAreThoseOfTheWholeDecision(t *testing.T) {
	for name, allow := range map[string]bool{"ci/*": true, "other/*": false} {
		w := &world{containers: map[string][]string{"mine": {"container:mine", "container-id:" + idOf("mine")}}}
		w.decide = func(in *policy.Input) policy.Decision {
			d := names(in)
			if len(in.Enters) > 0 {
				d.ImageNames = []string{name}
			}
			return d
		}
		o := w.options()
		o.Objects = objects
		if v := w.ask(t, o, "POST", "/commit?container=mine&repo=ci/x", ""); v.Allow != allow {
			t.Errorf("%s: %v %s", name, v.Allow, v.Message)
		}
	}
}
