package view

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"vitrine/internal/authz/object"
	"vitrine/internal/engine/operation"
)

var digest = "sha256:" + strings.Repeat("ab", 32)

// TestClosedNamesOfImages: a name is one's own by its repository, however it is spelled, and by nothing that only looks like it.
func TestClosedNamesOfImages(t *testing.T) {
	v := New(blue, nil, []string{"ci/a/*", "reg.example:5000/team/app", "bad*", "slash/", ""})
	for name, own := range map[string]bool{
		"ci/a/app": true, "ci/a/app:1": true, "docker.io/ci/a/app": true, "index.docker.io/ci/a/app:1": true, "ci/a/b/c": true,
		"reg.example:5000/team/app:1": true,
		"ci/a":                        false, "ci/a/": false, "ci/ab/app": false, "ci/b/app": false, "xci/a/app": false, "CI/a/app": false, "ci/A/app": false,
		"reg.example:5000/team/app2": false, "reg.example/team/app": false, "reg.example:5000/ci/a/app": false, "localhost/ci/a/app": false,
		"bad": false, "badger": false, "slash/app": false, "": false, digest: false, strings.Repeat("ab", 32): false, "ci/a/../b": false, "ci/a/app,ci/b/app": false,
	} {
		if got := v.names(name); got != own {
			t.Errorf("%s: %v", name, got)
		}
	}
	if v.gives("ci/a/app@" + digest) {
		t.Error("a digest behind a name")
	}
	if without := New(blue, nil, nil); without.names("ci/a/app") {
		t.Error("without names")
	}
	if v.Has(&object.Object{Kind: operation.KindNetwork, Names: []string{"ci/a/app"}}) {
		t.Error("a network with the name of an image")
	}
	for says, of := range map[string]View{"(its role has no image_names)": New(blue, nil, nil), "(ci/a/*)": New(blue, nil, []string{"ci/a/*"})} {
		if _, denial := of.Limit(t.Context(), parse(t, "POST", "/images/alpine/push", ""), nil, given{}); denial == nil || !strings.Contains(denial.Reason, says) {
			t.Errorf("%+v, want %s", denial, says)
		}
	}
}

// TestClosedImagesUnderAView: who sees only some objects gives and takes names of its own alone, and builds only if it may use every image.
func TestClosedImagesUnderAView(t *testing.T) {
	mine := map[string]string{operation.OwnerLabel: "me"}
	known := maps.Clone(world)
	for _, name := range []string{"ci/a/app", "ci/a/app:1", "ci/b/app:1", "alpine", "other:1"} {
		known[name] = map[string]string{operation.OwnerLabel: "me"} // which counts for nothing
	}
	known["box"] = mine
	ci, builder := New(mine, map[string][]string{"images": {"alpine"}}, []string{"ci/a/*"}), New(mine, map[string][]string{"images": {"*"}}, []string{"ci/a/*"})
	for _, tc := range []struct {
		of          View
		method, uri string
		want        string
	}{
		{ci, "POST", "/images/alpine/tag?repo=ci/a/base&tag=1", "as asked"},
		{ci, "POST", "/images/ci/a/app:1/tag?repo=docker.io/ci/a/app&tag=2", "as asked"},
		{ci, "POST", "/images/ci/a/app:1/tag?repo=alpine", "403"},
		{ci, "POST", "/images/ci/a/app:1/tag?repo=ci/b/app", "403"},
		{ci, "POST", "/images/ci/a/app:1/tag?repo=ci/a/app@" + digest, "403"},
		{ci, "POST", "/images/ci/a/app:1/tag", "403"},
		{ci, "POST", "/images/ci/b/app:1/tag?repo=ci/a/app", "hidden"},
		{ci, "POST", "/images/missing:1/tag?repo=ci/a/app", "hidden"},
		{ci, "POST", "/commit?container=box&repo=ci/a/app&tag=1", "as asked"},
		{ci, "POST", "/commit?container=box&repo=ci/b/app&tag=1", "403"},
		{ci, "POST", "/commit?container=box", "403"},
		{ci, "POST", "/commit?container=theirs&repo=ci/a/app", "404"},
		{ci, "POST", "/commit?container=missing&repo=ci/a/app", "404"},
		{ci, "POST", "/images/ci/a/app/push?tag=1", "as asked"},
		{ci, "POST", "/images/ci/a/tagged/push?tag=1", "as asked"}, // only with its tag it is known
		{ci, "POST", "/images/ci/b/app/push?tag=1", "403"},
		{ci, "POST", "/images/alpine/push", "403"},
		{ci, "POST", "/images/" + digest + "/push", "403"},
		{ci, "POST", "/images/create?fromSrc=-&repo=ci/a/app&tag=1", "as asked"},
		{ci, "POST", "/images/create?fromSrc=-&repo=ci/b/app&tag=1", "403"},
		{ci, "POST", "/images/create?fromSrc=-", "403"},
		{ci, "POST", "/images/create?fromSrc=-&fromImage=alpine&repo=ci/a/app", "403"},
		{ci, "POST", "/images/create?fromImage=ci/a/app&tag=1", "as asked"},
		{ci, "POST", "/images/create?fromImage=ci/b/app&tag=1", "403"},
		{ci, "GET", "/images/ci/a/app:1/json", "as asked"},
		{ci, "GET", "/images/ci/b/app:1/json", "hidden"},
		{ci, "GET", "/images/other:1/json", "hidden"},
		{ci, "DELETE", "/images/ci/a/app:1", "as asked"},
		{ci, "DELETE", "/images/ci/b/app:1", "hidden"},
		{ci, "DELETE", "/images/alpine", "403"},
		{ci, "POST", "/images/load", "403"},
		{ci, "POST", "/build?t=ci/a/app", "403"},
		{builder, "POST", "/build?nocache=1&t=ci/a/app&t=ci/a/app:2", "as asked"},
		{builder, "POST", "/build?nocache=1&t=ci/a/app&t=ci/b/app", "403"},
		{builder, "POST", "/build?nocache=1&t=ci/b/app", "403"},
		{builder, "POST", "/build?nocache=1", "403"},
		{builder, "POST", `/build?nocache=1&t=ci/a/app&outputs=[{"Type":"image","Attrs":{"name":"alpine"}}]`, "403"},
		{builder, "POST", "/build?nocache=1&t=ci/a/app&version=1", "as asked"},
		{builder, "POST", "/build?nocache=1&t=ci/a/app&version=2", "as asked"},
		{builder, "POST", "/build?nocache=1&t=ci/b/app&version=2", "403"},
		{builder, "POST", "/build?nocache=1&version=2", "403"},
		{builder, "POST", "/build?t=ci/a/app&version=2", "403"},
		{builder, "POST", `/build?t=ci/a/app&version=2&cachefrom=["ci/a/app:1"]`, "403"}, // beside BuildKit's own cache
		{builder, "POST", `/build?nocache=1&t=ci/a/app&version=2&outputs=[{"Type":"moby"}]`, "403"},
		{ci, "POST", "/build?nocache=1&t=ci/a/app&version=2", "403"},
		{builder, "POST", "/session", "as asked"},
		{builder, "POST", "/build?t=ci/a/app", "403"}, // a step of the cache may be another's
		{builder, "POST", "/build?nocache=0&t=ci/a/app", "403"},
		{builder, "POST", `/build?t=ci/a/app&cachefrom=["ci/a/app:1"]`, "as asked"},
		{builder, "POST", `/build?t=ci/a/app&cachefrom=["ci/a/app:1","ci/b/app:1"]`, "403"},
		{builder, "POST", `/build?t=ci/a/app&cachefrom=["ci/a/app@` + digest + `"]`, "403"},
		{builder, "POST", "/build?t=ci/a/app&cachefrom=[]", "403"},
		{ci, "POST", "/build?nocache=1&t=ci/a/app", "403"}, // a Dockerfile can begin with any image
		{ci, "GET", "/images/ci/a/app/get", "as asked"},
		{builder, "POST", "/images/create", "403"},
		{builder, "DELETE", "/images/ci/a/app:1", "as asked"},
		{builder, "DELETE", "/images/ci/b/app:1", "403"},
		{builder, "POST", "/images/ci/b/app:1/tag?repo=ci/b/app&tag=2", "403"},
	} {
		op := parse(t, tc.method, tc.uri, "")
		plan, denial := tc.of.Limit(t.Context(), op, about(op, known), given{"id-of-box": mine})
		got := "as asked"
		switch {
		case denial != nil:
			got = map[int]string{403: "403", 404: "404"}[denial.Status]
		case plan.Nothing:
			got = "hidden"
		}
		if got != tc.want {
			t.Errorf("%s %s: %s, want %s: %+v", tc.method, tc.uri, got, tc.want, denial)
		}
	}
}

// TestClosedRemovedByItsName: an image that others have names of is not removed as a whole.
func TestClosedRemovedByItsName(t *testing.T) {
	v := New(map[string]string{operation.OwnerLabel: "me"}, nil, []string{"ci/a/*"})
	image := object.Object{Role: operation.RoleTarget, Kind: operation.KindImage, Known: &yes, ID: digest, Name: "ci/a/app:1", Names: []string{"ci/a/app:1", "theirs:1"}}
	for ref, denied := range map[string]bool{"ci/a/app:1": false, digest: true, "abababababab": true, "theirs:1": true, "ci/a/app@" + digest: true} {
		image.Ref = ref
		if _, denial := v.Limit(t.Context(), parse(t, "DELETE", "/images/"+ref, ""), []object.Object{image}, given{}); (denial != nil) != denied {
			t.Errorf("%s: %v", ref, denial)
		}
		if _, denial := v.Limit(t.Context(), parse(t, "GET", "/images/"+ref+"/history", ""), []object.Object{image}, given{}); denial != nil {
			t.Errorf("look at %s: %v", ref, denial)
		}
	}
	// By a label that is not an owner's an image is its team's, whatever its names are.
	image.Ref, image.Labels = digest, blue
	if _, denial := New(blue, nil, []string{"ci/a/*"}).Limit(t.Context(), parse(t, "DELETE", "/images/"+digest, ""), []object.Object{image}, given{}); denial != nil {
		t.Error(denial)
	}
}

// TestImagesOfOnesOwn are in lists, with the names that are one's own.
func TestImagesOfOnesOwn(t *testing.T) {
	v := New(map[string]string{operation.OwnerLabel: "me"}, nil, []string{"ci/a/*"})
	plan, denial := limit(t, v, "GET", "/images/json", "", given{})
	if denial != nil || plan.Filtered() {
		t.Fatalf("%v", denial)
	}
	got, err := plan.Apply(t.Context(), []byte(`[{"Id":"1","RepoTags":["ci/a/app:1","theirs:1"],"Labels":{}},{"Id":"2","RepoTags":["ci/b/app:1"],"Labels":{"vitrine.owner":"me"}}]`))
	var all []struct{ RepoTags []string }
	if err != nil || json.Unmarshal(got, &all) != nil || len(all) != 1 || len(all[0].RepoTags) != 1 || all[0].RepoTags[0] != "ci/a/app:1" {
		t.Errorf("%s, %v", got, err)
	}
	for path, of := range map[string]View{"/containers/json": v, "/images/json": New(v.Labels, nil, nil)} {
		if plan, denial := limit(t, of, "GET", path, "", given{}); denial != nil || !strings.Contains(plan.Operation.URI, "vitrine.owner") {
			t.Errorf("%s is not filtered: %v, %s", path, denial, plan.Operation.URI)
		}
	}
	plan, _ = limit(t, v, "GET", "/events", "", given{})
	for event, shown := range map[string]bool{
		`{"Type":"image","Actor":{"ID":"sha256:1","Attributes":{"name":"ci/a/app:1"}}}`:                      true,
		`{"Type":"image","Actor":{"ID":"sha256:1","Attributes":{"name":"ci/b/app:1","vitrine.owner":"me"}}}`: false,
	} {
		if plan.Event(t.Context(), []byte(event)) != shown {
			t.Errorf("%s", event)
		}
	}
}
