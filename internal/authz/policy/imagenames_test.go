package policy

import (
	"slices"
	"strings"
	"testing"

	"vitrine/test/long"
)

// TestCheckImageNames: roles that cannot build what they mean to, or whose holders could give each other's names.
func TestCheckImageNames(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := policyDir(t, "data.yaml", `bindings: {admin: ["unix:root"], ci: ["container:a"], build: ["container:a"], blue: ["tls:b"], red: ["tls:c"], green: ["tls:d"], all: ["tls:e"]}
roles:
  ci: {access: [ping], own: true, image_names: ["ci/$owner/*"]}
  build: {operations: [ImageBuild, ImagePush], own: true, image_names: ["ci/$owner/*"]}
  blue: {access: [ping], where: {team: blue}, image_names: ["blue/*", "ci/x"]}
  red: {operations: [ImageTag], where: {team: red}}
  green: {access: [ping], where: {team: green}, image_names: ["blue/x", "blue2/*", "bluer"]}
  all: {access: [ping], image_names: ["z"]}
`)
	var said []string
	for _, p := range Check(t.Context(), Options{Paths: []string{dir}}) {
		said = append(said, strings.TrimPrefix(p.Error(), dir+"/"))
	}
	want := []string{
		`data.yaml:4: roles.build.operations.0: warning: a Dockerfile can begin with any image, so a build is denied without shared: {images: ["*"]}`,
		"data.yaml:6: roles.red.operations.0: warning: ImageTag is denied without names that the images may have: image_names",
		"data.yaml:8: roles.all.image_names: warning: is for roles with own or where: this one gives images whatever names it likes",
		"data.yaml:7: roles.green.image_names.0: warning: gives names that roles.blue.image_names.0 gives too, to callers who do not see the same: each could have the others run its images",
		"data.yaml:3: roles.ci.image_names.0: warning: gives names that roles.blue.image_names.1 gives too, to callers who do not see the same: each could have the others run its images",
		"data.yaml:4: roles.build.image_names.0: warning: gives names that roles.blue.image_names.1 gives too, to callers who do not see the same: each could have the others run its images",
	}
	slices.Sort(said)
	slices.Sort(want)
	if strings.Join(said, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(said, "\n"))
	}
}
