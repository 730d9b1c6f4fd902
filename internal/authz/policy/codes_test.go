package policy

import (
	"strings"
	"testing"

	"vitrine/internal/engine/operation"
)

// The code of a caller with several roles is that of what lacks least; one that nobody gave is "policy".
func TestCode(t *testing.T) {
	t.Parallel()
	for want, codes := range map[string][]string{
		"policy": nil, "hazard": {"hazard", "no-role", "not-granted"}, "mint": {"hazard", "mint"}, "mine": {"mine", "yours"},
	} {
		d := Diagnostics{Codes: codes}
		if got := d.Code(); got != want {
			t.Errorf("%v: %s, not %s", codes, got, want)
		}
	}
}

// A policy's codes are its author's words: what is none, or holds what a caller sent, denies.
func TestCodesOfAPolicyClosed(t *testing.T) {
	t.Parallel()
	in := &Input{Operation: &operation.Operation{ID: "ContainerList", Target: "x] allowed ["}}
	for rule, code := range map[string]string{
		`codes contains "night"`:                                  "night",
		`codes contains "` + strings.Repeat("x", maxCode) + `"`:   strings.Repeat("x", maxCode),
		`codes contains "Night"`:                                  codeFailed,
		`codes contains input.operation.target`:                   codeFailed,
		`codes contains concat("-", ["a", ""])`:                   codeFailed,
		`codes contains 7`:                                        codeFailed,
		`codes := "` + strings.Repeat("x", 9) + `"`:               codeFailed,
		`codes contains "` + strings.Repeat("x", maxCode+1) + `"`: codeFailed,
	} {
		e := New(Options{Paths: []string{policyDir(t, "authz.rego", module("default allow := false\n"+rule))}, AllowByDefault: true})
		_ = e.Load(t.Context()) // the self-test may refuse it already
		d := e.Decide(t.Context(), in)
		if got := d.Code(); d.Allows() || got != code && (code != codeFailed || got != codeNone) {
			t.Errorf("%s: code %s, not %s (%v)", rule, got, code, d.Reasons)
		}
	}
}
