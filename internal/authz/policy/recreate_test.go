package policy

import (
	"slices"
	"strings"
	"testing"

	"vitrine/test/long"
)

// TestCheckRecreate: roles that make containers anew, and cannot, or get more by it than is seen at a glance.
func TestCheckRecreate(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := policyDir(t, "data.yaml", `bindings:
  admin: ["unix:root"]
  good: ["container:a", local]
  never: ["container:b"]
  idle: ["container:c"]
  wide: ["container:d"]
roles:
  good: {access: [ping], operations: [ContainerStop, ContainerCreate, ContainerStart], hazards: [env], recreate: {where: {update: "yes"}}}
  never: {access: [ping], operations: [ContainerStop], recreate: {where: {update: "yes"}}}
  idle: {access: [ping], operations: [ContainerCreate, ContainerStart], recreate: {where: {update: "yes"}}}
  wide: {access: [ping], operations: [ContainerStop, ContainerStart, ContainerCreate, PutContainerArchive, ImageTag, ContainerAttach, ContainerInspect, ContainerWait], hazards: [privileged, env], recreate: {where: {update: "yes"}}}
`)
	var said []string
	for _, p := range Check(t.Context(), Options{Paths: []string{dir}}) {
		said = append(said, strings.TrimPrefix(p.Error(), dir+"/"))
	}
	want := []string{
		"data.yaml:8: roles.good.recreate: warning: local comes by dockerd's own socket, where nothing is remembered: it is denied to change a container",
		"data.yaml:9: roles.never.recreate: warning: is for roles that make containers, which this one does not; to change only some containers, write where",
		"data.yaml:10: roles.idle.recreate: warning: it may make only what it has taken away, and it can take nothing away: add one of ContainerStop, ContainerKill, ContainerRename, ContainerDelete",
		"data.yaml:11: roles.wide.hazards: warning: with privileged it may make of each container that it replaces what it likes: what that had already needs no hazard here",
		"data.yaml:11: roles.wide.operations.4: warning: ImageTag gives an image a name that a container may be made anew of, and is denied to who holds the role",
		"data.yaml:11: roles.wide.recreate: warning: beside ContainerAttach it also gets into the containers that it may replace, with all that those have",
		"data.yaml:11: roles.wide.recreate: warning: beside PutContainerArchive it also gets into the containers that it may replace, with all that those have",
	}
	slices.Sort(said)
	slices.Sort(want)
	if strings.Join(said, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(said, "\n"))
	}
	for data, says := range map[string]string{
		"{}":                 "which containers may be made anew",
		"{where: {}}":        "is empty",
		"{when: {a: b}}":     "unknown key",
		"true":               "must be a mapping",
		"{where: {a: true}}": "must be a string",
	} {
		wantContains(t, refused(t, Options{Paths: []string{policyDir(t, "data.yaml", "roles: {r: {access: [ping], recreate: "+data+"}}\nbindings: {admin: [local]}\n")}}), says)
	}
}
