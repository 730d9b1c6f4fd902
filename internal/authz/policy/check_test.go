package policy

import (
	"strings"
	"testing"

	"vitrine/test/long"
)

// TestCheckWarnsOfAudit: what a role in mode audit may do is everything.
func TestCheckWarnsOfAudit(t *testing.T) {
	t.Parallel()
	found := Check(t.Context(), Options{Paths: []string{policyDir(t, "data.yaml", auditData)}})
	if len(found) != 1 || !found[0].Warning || found[0].Key != "roles.learning.mode" {
		t.Errorf("got %v", found)
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
