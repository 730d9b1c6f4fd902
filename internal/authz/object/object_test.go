package object_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"vitrine/internal/authz/object"
	"vitrine/internal/engine/docker"
	"vitrine/internal/engine/operation"
)

// TestObjects: what is known of each kind of object, by any reference that means it.
func TestObjects(t *testing.T) {
	web := docker.Container{
		ID: "ab12", Name: "web", Image: "app:1", ImageKnown: true,
		Labels: map[string]string{"team": "blue", "vendor": "acme"}, ImageLabels: map[string]string{"vendor": "acme"},
	}
	e := &engine{
		containers: map[string]docker.Container{"web": web, "ab": web, "exec e1": web},
		local:      map[string]docker.NetworkInfo{"fr": {ID: "fr0", Name: "front", Labels: map[string]string{"team": "blue"}}},
		others: map[string]docker.Named{
			"data": {ID: "data", Names: []string{"data"}, Labels: map[string]string{"team": "blue"}},
			"app":  {ID: "sha256:1", Names: []string{"app:1", "alias:2"}}, "s1": {ID: "s1x", Names: []string{"shop"}, Image: "app:1"},
			"nodes/n1": {ID: "n1x", Names: []string{"host"}},
		},
	}
	const blue = `"labels":{"team":"blue"}`
	for _, tc := range []struct{ uri, body, want string }{
		{"/containers/ab/stop", "", `[{"role":"target","kind":"container","ref":"ab","known":true,"why":"","id":"ab12","name":"web","names":["web"],` + blue + `,"image":"app:1"}]`},
		{"/containers/gone/stop", "", `[{"role":"target","kind":"container","ref":"gone","known":false,"why":"","id":"","name":"","names":null,"labels":null,"image":""}]`},
		{"/exec/e1/resize?h=1&w=1", "", `[{"role":"enters","kind":"exec","ref":"e1","known":true,"why":"","id":"e1","name":"web","names":["web"],` + blue + `,"image":"app:1"},` +
			`{"role":"target","kind":"exec","ref":"e1","known":true,"why":"","id":"e1","name":"web","names":["web"],` + blue + `,"image":"app:1"}]`},
		{
			"/containers/create", `{"Image":"app","HostConfig":{"NetworkMode":"fr","Binds":["data:/d"]}}`,
			`[{"role":"uses","kind":"image","ref":"app","known":true,"why":"","id":"sha256:1","name":"app:1","names":["app:1","alias:2"],"labels":null,"image":""},` +
				`{"role":"uses","kind":"network","ref":"fr","known":true,"why":"","id":"fr0","name":"front","names":["front"],` + blue + `,"image":""},` +
				`{"role":"uses","kind":"volume","ref":"data","known":true,"why":"","id":"data","name":"data","names":["data"],` + blue + `,"image":""}]`,
		},
		{"/services/s1/update?version=1", `{}`, `[{"role":"target","kind":"service","ref":"s1","known":true,"why":"","id":"s1x","name":"shop","names":["shop"],"labels":null,"image":"app:1"}]`},
		{"/nodes/n1/update?version=1", `{}`, `[{"role":"target","kind":"node","ref":"n1","known":true,"why":"","id":"n1x","name":"host","names":["host"],"labels":null,"image":""}]`},
		{"/plugins/p1/disable", "", `[{"role":"target","kind":"plugin","ref":"p1","known":null,"why":"a plugin is not looked up","id":"","name":"","names":null,"labels":null,"image":""}]`},
	} {
		got, err := json.Marshal(object.NewResolver(e).Objects(t.Context(), parse(t, tc.uri, tc.body)))
		if err != nil || string(got) != tc.want {
			t.Errorf("POST %s %s: %v\n%s, want\n%s", tc.uri, tc.body, err, got, tc.want)
		}
	}
}

// TestClosedObjectThatCannotBeTold is neither there nor not there, and has nothing by which
// it could be allowed.
func TestClosedObjectThatCannotBeTold(t *testing.T) {
	half := docker.Container{ID: "ab12", Name: "web", Labels: map[string]string{"team": "blue"}} // whose image is gone
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf(`"v%d:/d%d"`, i, i))
	}
	for name, tc := range map[string]struct {
		e         *engine
		uri, body string
	}{
		"no answer":               {&engine{err: errors.New("the daemon does not answer")}, "/containers/web/stop", ""},
		"of an exec":              {&engine{err: errors.New("the daemon does not answer")}, "/exec/e1/resize?h=1&w=1", ""},
		"labels of whom":          {&engine{containers: map[string]docker.Container{"web": half}}, "/containers/web/stop", ""},
		"several networks":        {&engine{several: true}, "/networks/fr/disconnect", `{"Container":""}`},
		"more than are looked up": {&engine{}, "/containers/create", `{"HostConfig":{"Binds":[` + strings.Join(many, ",") + `]}}`},
	} {
		list := object.NewResolver(tc.e).Objects(t.Context(), parse(t, tc.uri, tc.body))
		last := list[len(list)-1]
		if last.Known != nil || last.Why == "" || last.ID+last.Name+last.Image != "" || len(last.Labels)+len(last.Names) > 0 {
			t.Errorf("%s: %+v", name, last)
		}
		if len(tc.e.asked) > 64 {
			t.Errorf("%s: %d questions", name, len(tc.e.asked))
		}
	}
}

// TestObjectOfAnUntoldPlatformClosed: where the Engine does not say which labels are an image's, nothing is said of containers and images, whether
// they are there or not. Of what was made by such an Engine nothing is said either.
func TestObjectOfAnUntoldPlatformClosed(t *testing.T) {
	old := docker.Container{ID: "ab12", Labels: map[string]string{"team": "blue"}, ImageErr: docker.ErrPlatform}
	there := map[string]docker.Container{"web": {ID: "ab12", ImageKnown: true}, "old": old}
	for uri, untold := range map[string]bool{
		"/containers/web/stop": true, "/containers/gone/stop": true, "/containers/old/stop": true, "/exec/e1/resize?h=1&w=1": true, "/images/app/push": true,
		"/networks/net/disconnect": false, "/services/x/update?version=1": false,
	} {
		for _, engineUntold := range []error{docker.ErrPlatform, nil} {
			body := ""
			if !untold {
				body = "{}"
			}
			e := &engine{containers: there, untold: engineUntold}
			want := untold && (engineUntold != nil || strings.Contains(uri, "old"))
			for _, o := range object.NewResolver(e).Objects(t.Context(), parse(t, uri, body)) {
				if o.Untold != want || want && (o.Known != nil || o.Why != docker.ErrPlatform.Error()) {
					t.Errorf("%s: %+v, want untold %v", uri, o, want)
				}
			}
		}
	}
}

// TestEachQuestionThatFailsClosed: of each kind the daemon's own error is told, and nothing is known.
func TestEachQuestionThatFailsClosed(t *testing.T) {
	gone := errors.New("the daemon does not answer")
	for uri, body := range map[string]string{
		"/containers/x/stop": "", "/exec/x/resize?h=1&w=1": "", "/networks/x/disconnect": `{"Container":""}`,
		"/images/x/push": "", "/services/x/update?version=1": "{}", "/secrets/x/update?version=1": "{}", "/containers/create": `{"HostConfig":{"Binds":["data:/d"]}}`,
	} {
		list := object.NewResolver(&engine{err: gone}).Objects(t.Context(), parse(t, uri, body))
		if len(list) == 0 {
			t.Errorf("%s names nothing", uri)
		}
		for _, o := range list {
			if o.Known != nil || o.Why != gone.Error() {
				t.Errorf("%s: %+v", uri, o)
			}
		}
	}
}

// TestWhatHasNoNameOrLabelsIsKnownAllTheSame.
func TestWhatHasNoNameOrLabelsIsKnownAllTheSame(t *testing.T) {
	e := &engine{
		containers: map[string]docker.Container{"web": {ID: "ab12"}}, // of an image that is gone, and without labels
		others:     map[string]docker.Named{"sha256:1": {ID: "sha256:1"}},
	}
	for _, uri := range []string{"/containers/web/stop", "/images/sha256:1/push"} {
		for _, o := range object.NewResolver(e).Objects(t.Context(), parse(t, uri, "")) {
			if o.Known == nil || !*o.Known || o.ID == "" || o.Name != "" {
				t.Errorf("%s: %+v", uri, o)
			}
		}
	}
}

// TestEveryKindIsResolvedOrSaid: no kind is left without an answer.
func TestEveryKindIsResolvedOrSaid(t *testing.T) {
	for _, uri := range []string{
		"/containers/x/stop", "/networks/x/disconnect", "/images/x/push", "/exec/x/resize?h=1&w=1", "/services/x/update?version=1",
		"/secrets/x/update?version=1", "/configs/x/update?version=1", "/nodes/x/update?version=1", "/plugins/x/disable",
	} {
		body := ""
		if strings.Contains(uri, "update") || strings.Contains(uri, "disconnect") {
			body = "{}"
		}
		for _, o := range object.NewResolver(&engine{}).Objects(t.Context(), parse(t, uri, body)) {
			if o.Role == operation.RoleTarget && o.Known == nil && o.Why == "" {
				t.Errorf("%s: %+v", uri, o)
			}
		}
	}
}

// TestLabelsThatAreTheImagesAreNotGivenClosed: they are their publisher's word, and where it cannot be told whose
// they are, none is given.
func TestLabelsThatAreTheImagesAreNotGivenClosed(t *testing.T) {
	of := func(own, image map[string]string, known bool) docker.Container {
		all := maps.Clone(image)
		if all == nil {
			all = map[string]string{}
		}
		maps.Copy(all, own)
		return docker.Container{ID: "id", Image: "app:1", Labels: all, ImageLabels: image, ImageKnown: known}
	}
	team := map[string]string{"team": "blue"}
	such := func(labels map[string]string) bool { return labels["team"] == "blue" }
	for name, tc := range map[string]struct {
		container docker.Container
		given     bool // the label
		told      bool
		borrowed  string
	}{
		"its own":                              {of(team, map[string]string{"vendor": "acme"}, true), true, true, ""},
		"its image's":                          {of(nil, team, true), false, true, "app:1"},
		"nobody knows whose":                   {of(team, nil, false), false, false, "app:1"},
		"other labels":                         {of(map[string]string{"team": "red"}, nil, true), false, true, ""},
		"nobody knows whose, and other labels": {of(map[string]string{"team": "red"}, nil, false), false, false, ""},
	} {
		r := object.NewResolver(&engine{containers: map[string]docker.Container{"id": tc.container}})
		o, err := r.Object(t.Context(), operation.KindContainer, "id")
		if (err == nil) != tc.told || such(o.Labels) != tc.given {
			t.Errorf("%s: given %v, %v", name, o.Labels, err)
		}
		if image, err := r.AnyBorrowed(such); image != tc.borrowed || err != nil {
			t.Errorf("%s: borrowed from %q, %v", name, image, err)
		}
	}
	unknown := object.NewResolver(&engine{containers: map[string]docker.Container{"id": of(team, nil, false)}})
	if image, err := unknown.AnyBorrowed(func(map[string]string) bool { return true }); image != "app:1" || err != nil {
		t.Errorf("of a view that any labels are in: %q, %v", image, err)
	}
	if o, err := object.NewResolver(&engine{}).Object(t.Context(), operation.KindContainer, "id"); !errors.Is(err, docker.ErrNotFound) || o.Labels != nil {
		t.Errorf("there is none: %+v, %v", o, err)
	}
	gone := object.NewResolver(&engine{err: errors.New("the daemon does not answer")})
	if o, err := gone.Object(t.Context(), operation.KindContainer, "id"); err == nil || errors.Is(err, docker.ErrNotFound) || o.Labels != nil {
		t.Errorf("no answer: %+v, %v", o, err)
	}
	if image, err := gone.AnyBorrowed(such); err == nil || image != "" {
		t.Errorf("before all are known: %q, %v", image, err)
	}
}
