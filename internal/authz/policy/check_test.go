package policy

import (
	"slices"
	"strings"
	"testing"

	"vitrine/test/long"
)

// TestCheckWarns: each kind of a mistake in data is looked for.
func TestCheckWarns(t *testing.T) {
	t.Parallel()
	opts := Options{Paths: []string{policyDir(t, "data.yaml", `roles:
  learning: {access: [ping], mode: audit}
  red: {access: [list], where: {team: red}}
  blue: {access: [list], where: {team: blue}}
  stats: {access: [ping], operations: [ContainerStats, ContainerList, SystemEvents], redact: {ContainerStats: [/name]}}
  maker: {access: [list], engine_socket: substitute}
bindings: {admin: [local], learning: ["tls:l"], red: ["tls:x"], blue: ["tls:x"], stats: ["tls:s"], maker: ["tls:m"]}
`)}}
	var keys []string
	for _, p := range Check(t.Context(), opts) {
		if !p.Warning {
			t.Error(p)
		}
		keys = append(keys, p.Key)
	}
	slices.Sort(keys)
	if want := []string{"bindings.red.0", "roles.learning.mode", "roles.maker.engine_socket", "roles.stats.redact.ContainerStats"}; !slices.Equal(keys, want) {
		t.Errorf("got %v, want %v", keys, want)
	}
}

// TestCheckWarnsOfWaysAroundHostPaths: whoever mounts only below a folder of its own, and reaches into any container, has what those have mounted.
func TestCheckWarnsOfWaysAroundHostPaths(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	const role = "access: [ping, list, write], host_paths: [/srv]"
	for with, want := range map[string]string{
		`hazards: [host-path]`:                                  "",
		`hazards: [host-path, volumes-from]`:                    "by the hazard volumes-from its holders",
		`hazards: [host-path, volumes-from], own: true`:         "",
		`hazards: [host-path, joined-namespace], where: {a: b}`: "",
		`hazards: ["*"]`:                                        "by the hazard volumes-from and the hazard joined-namespace its holders",
		`hazards: [host-path], operations: [ContainerExec]`:     "by ContainerExec its holders",
	} {
		data := "roles:\n  r: {" + role + ", " + with + "}\nbindings: {r: [\"unix:a\"], admin: [local]}\n"
		got := ""
		for _, p := range Check(t.Context(), Options{Paths: []string{policyDir(t, "data.yaml", data)}, Once: true}) {
			if !p.Warning {
				t.Errorf("%s: %v", with, p)
			}
			if p.Key == "roles.r.host_paths" {
				got += p.Message
			}
		}
		if (want == "") != (got == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q…", with, got, want)
		}
	}
}
