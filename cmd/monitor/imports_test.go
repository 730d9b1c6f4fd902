package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestLinksNoOPA: the monitor decides nothing.
func TestLinksNoOPA(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.Lines(string(out)) {
		for _, not := range []string{"open-policy-agent", "vitrine/internal/authz/policy", "vitrine/internal/authz/decide", "vitrine/internal/authz/gateway"} {
			if strings.Contains(pkg, not) {
				t.Errorf("links %s", strings.TrimSpace(pkg))
			}
		}
	}
}
