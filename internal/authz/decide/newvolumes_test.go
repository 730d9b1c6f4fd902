package decide_test

import (
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

// twoVolumes is a caller's who may have two volumes, and volumesYard a daemon in which it has some of them, and which has one that is shared, and one of nobody.
var twoVolumes = policy.Decision{
	Allow: true, Where: ofCI, Stamp: ofCI, Ceilings: operation.Ceilings{Volumes: 2},
	Shared: map[string][]string{"images": {"x"}, "volumes": {"cache"}},
}

func volumesYard(own ...string) *yard {
	y := newYard(0)
	y.volumes = own
	y.labels["cache"] = map[string]string{}
	for _, name := range own {
		y.labels[name] = ofCI
	}
	return y
}

// Objects has no volume that is called as an image.
func (y *yard) Objects(ctx context.Context, op *operation.Operation) []object.Object {
	list := y.tenancy.Objects(ctx, op)
	for i, o := range list {
		if o.Kind == operation.KindVolume && o.Ref == "x" {
			list[i] = object.Object{Role: o.Role, Kind: o.Kind, Ref: o.Ref, Known: new(bool)}
		}
	}
	return list
}

// TestVolumesAreCountedClosed: each that the daemon would make for a request, and what could not be counted is refused.
func TestVolumesAreCountedClosed(t *testing.T) {
	host := func(fields string) string { return `{"Image":"x","HostConfig":{` + fields + `}}` }
	image := func(y *yard, at ...string) *yard { y.image.Volumes = at; return y }
	untold := volumesYard()
	untold.unknown = errors.New("no answer")
	silent := volumesYard()
	silent.err = errors.New("no answer")
	for name, tc := range map[string]struct {
		y         *yard
		uri, body string
		says      string // "" for allowed
	}{
		"a last one":                     {volumesYard("a"), "/volumes/create", `{"Name":"b"}`, ""},
		"one too many":                   {volumesYard("a", "b"), "/volumes/create", `{"Name":"c"}`, "it has 2 volumes, and 2 are allowed: remove one [ceiling]"},
		"one without a name":             {volumesYard("a", "b"), "/volumes/create", `{}`, "it has 2 volumes, and 2 are allowed: remove one [ceiling]"},
		"one that is there":              {volumesYard("a", "b"), "/volumes/create", `{"Name":"b"}`, ""},
		"nobody tells how many":          {silent, "/volumes/create", `{"Name":"b"}`, "it cannot be told now"},
		"nothing, and nobody tells":      {silent, "/containers/create", creates, ""},
		"a mount":                        {volumesYard("a", "b"), "/containers/create", host(`"Mounts":[{"Type":"volume","Source":"c","Target":"/c"}]`), "it has 2 volumes, and 2 are allowed"},
		"mounts of what is there":        {volumesYard("a", "b"), "/containers/create", host(`"Mounts":[{"Type":"volume","Source":"a","Target":"/a"}],"Binds":["b:/b","cache:/cache"]`), ""},
		"two of a bind and a mount":      {volumesYard("a"), "/containers/create", host(`"Mounts":[{"Type":"volume","Source":"c","Target":"/c"}],"Binds":["d:/d"]`), "it has 1 volumes and asks for 2 more, and 2 are allowed: remove some [ceiling]"},
		"one twice":                      {volumesYard("a"), "/containers/create", host(`"Mounts":[{"Type":"volume","Source":"c","Target":"/c"},{"Type":"volume","Source":"c","Target":"/d"}]`), ""},
		"without a name":                 {volumesYard("a", "b"), "/containers/create", host(`"Mounts":[{"Type":"volume","Target":"/c"}]`), "it has 2 volumes, and 2 are allowed"},
		"of Volumes":                     {volumesYard("a", "b"), "/containers/create", `{"Image":"x","Volumes":{"/v":{}}}`, "it has 2 volumes, and 2 are allowed"},
		"of a place alone":               {volumesYard("a", "b"), "/containers/create", host(`"Binds":["/v"]`), "it has 2 volumes, and 2 are allowed"},
		"of the image":                   {image(volumesYard("a", "b"), "/i"), "/containers/create", creates, "it has 2 volumes, and 2 are allowed"},
		"of the image, two":              {image(volumesYard("a"), "/i", "/j"), "/containers/create", creates, "asks for 2 more"},
		"of the image, mounted":          {image(volumesYard("a", "b"), "/i"), "/containers/create", host(`"Mounts":[{"Type":"volume","Source":"a","Target":"/i"}]`), ""},
		"of the image, and room":         {image(volumesYard("a"), "/i"), "/containers/create", creates, ""},
		"nobody tells of the image":      {untold, "/containers/create", creates, "which volumes image \"x\" gives"},
		"no image":                       {untold, "/containers/create", `{}`, ""},
		"with a driver":                  {volumesYard(), "/containers/create", host(`"Binds":["a:/a"],"VolumeDriver":"local"`), `volume "a" would have no label`},
		"with a driver, there already":   {volumesYard("a"), "/containers/create", host(`"Binds":["a:/a"],"VolumeDriver":"local"`), `volume "a" would have no label`},
		"relabelled by SELinux":          {volumesYard(), "/containers/create", host(`"Binds":["a:/a:z"]`), `volume "a" would have no label`},
		"called as the image":            {volumesYard("a", "b"), "/containers/create", host(`"Mounts":[{"Type":"volume","Source":"x","Target":"/x"}]`), "it has 2 volumes, and 2 are allowed"},
		"more than there may be":         {volumesYard("a", "b", "c"), "/containers/create", host(`"Mounts":[{"Type":"volume","Source":"a","Target":"/x"}]`), ""},
		"beside those of another":        {image(volumesYard(), "/i"), "/containers/create", host(`"VolumesFrom":["job"]`), "/i would be a volume without a label, so that it could not be counted: mount one there (--mount type=volume,target=/i) [ceiling]"},
		"beside those of another, whole": {volumesYard(), "/containers/create", host(`"VolumesFrom":["job"]`), ""},
		"nothing":                        {volumesYard("a", "b", "c"), "/containers/create", creates, ""},
		"a build":                        {volumesYard(), "/build?t=x", "", "the volumes of what ImageBuild runs cannot be counted [ceiling]"},
	} {
		tc.y.labels["job"] = ofCI
		w, o := ciWorld(twoVolumes, tc.y)
		w.containers = map[string][]string{"job": {"container:job"}}
		v := w.ask(t, o, "POST", tc.uri, tc.body)
		if v.Allow != (tc.says == "") || !strings.Contains(v.Message, tc.says) {
			t.Errorf("%s: %v %s", name, v.Allow, v.Message)
		}
	}
}

// TestVolumesWithoutANameAreLabelled: those of the image, too, so that they are counted, and are their maker's; where there is no ceiling they are as they were asked for.
func TestVolumesWithoutANameAreLabelled(t *testing.T) {
	y := volumesYard()
	y.image.Volumes = []string{"/i"}
	w, o := ciWorld(twoVolumes, y)
	v := w.ask(t, o, "POST", "/containers/create", creates)
	if want := `"Mounts":[{"Target":"/i","Type":"volume","VolumeOptions":{"Labels":{"vitrine.owner":"container:ci"}}}]`; !strings.Contains(string(v.Carried().Canonical), want) {
		t.Errorf("%s: %s", v.Message, v.Carried().Canonical)
	}
	if got := w.records[0].Changed; !slices.Contains(got, audit.Change{What: "volume", From: "/i"}) {
		t.Errorf("changed %v", got)
	}
	for name, d := range map[string]policy.Decision{"no ceiling on volumes": three, "an admin": {Allow: true, Admin: true, Ceilings: twoVolumes.Ceilings}} {
		w, o := ciWorld(d, y)
		if v := w.ask(t, o, "POST", "/containers/create", creates); !v.Allow || strings.Contains(string(v.Carried().Canonical), "Mounts") {
			t.Errorf("%s: %s: %s", name, v.Message, v.Carried().Canonical)
		}
	}
	for name, d := range map[string]policy.Decision{
		"nobody's":       {Allow: true, Ceilings: twoVolumes.Ceilings},
		"nobody can say": {Allow: true, Stamp: ofCI, Ceilings: twoVolumes.Ceilings},
	} {
		w, o := ciWorld(d, y)
		if name == "nobody can say" {
			o.Objects = nil
		}
		for body, uri := range map[string]string{`{}`: "/volumes/create", `{"Name":"a"}`: "/volumes/create", creates: "/containers/create"} {
			w.records = nil
			if v := w.ask(t, o, "POST", uri, body); v.Allow || !strings.Contains(v.Message, "which are its own") {
				t.Errorf("%s: %s", name, v.Message)
			}
		}
	}
}

// TestRacedVolumesClosed: of those that are about to be made each counts once, by its name, until the daemon has answered; one without a name beside itself.
func TestRacedVolumesClosed(t *testing.T) {
	y := volumesYard("a")
	d := twoVolumes
	d.Where = nil // so that nobody waits for another's names
	_, o := ciWorld(d, y)
	steps := decide.New(o)
	ask := func(name string) *decide.Verdict {
		body := `{"Name":"` + name + `"}`
		req := creating()
		req.URI, req.ContentLength = "/volumes/create", int64(len(body))
		req.ReadBody = func() ([]byte, error) { return []byte(body), nil }
		return steps.Authorize(t.Context(), identity.NewLocal(), req)
	}
	first, same := ask("b"), ask("b")
	if !first.Allow || !same.Allow {
		t.Fatalf("%s, %s", first.Message, same.Message)
	}
	for _, other := range []string{"c", ""} {
		if v := ask(other); v.Allow || v.Code != "ceiling" || !strings.Contains(v.Message, "it has 2 volumes, and 2 are allowed") {
			t.Errorf("beside the last one %q: %s", other, v.Message)
		}
	}
	y.volumes = []string{"a", "b"} // the daemon has made it
	first.Finish(http.StatusCreated, false)
	same.Finish(http.StatusCreated, false)
	again := ask("a")
	if !again.Allow {
		t.Errorf("what is there: %s", again.Message)
	}
	y.volumes = []string{"b"} // somebody removes it before the daemon answers
	if v := ask("c"); v.Allow {
		t.Error("one more than there may be")
	}
	again.Finish(http.StatusCreated, false)
	unnamed := ask("")
	if !unnamed.Allow {
		t.Fatal(unnamed.Message)
	}
	if v := ask("c"); v.Allow {
		t.Error("what has no name does not count")
	}
	unnamed.Finish(http.StatusInternalServerError, false)
	y.err = errors.New("no answer")
	if v := ask("e"); v.Allow || v.Status != http.StatusServiceUnavailable {
		t.Errorf("nobody tells how many: %s", v.Message)
	}
	y.err, y.tenancy.err = nil, errors.New("no answer")
	if v := ask("c"); !v.Allow {
		t.Errorf("after creates that failed: %s", v.Message)
	}
	if v := ask("d"); v.Allow {
		t.Error("of which it cannot be told whether it is there does not count")
	}
	d.Ceilings.Containers = 1
	y.has, y.tenancy.err = 1, nil
	w, o := ciWorld(d, y)
	if v := w.ask(t, o, "POST", "/containers/create", `{"Image":"x","HostConfig":{"Mounts":[{"Type":"volume","Source":"d","Target":"/d"},{"Type":"volume","Source":"e","Target":"/e"}]}}`); v.Allow || !strings.Contains(v.Message, "it has 1 containers, and 1 are allowed") {
		t.Errorf("neither a container nor volumes may be made: %s", v.Message)
	}
}
