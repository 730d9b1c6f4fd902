package policy

import (
	"testing"

	"vitrine/internal/engine/operation"
)

// TestLiftedClosed: a role in mode audit lets through what the policy denies, and nothing that only an admin may, nor what could not be decided.
func TestLiftedClosed(t *testing.T) {
	request := func(state operation.BodyState, rail string) *Input {
		in := ask(t, []string{"tls:x"}, "POST", "/containers/x/stop", "")
		in.Operation.BodyState, in.Operation.Rail = state, rail
		return in
	}
	audits, admin, failed := Decision{Audit: true}, Decision{Audit: true, Admin: true}, Decision{Audit: true, Diagnostics: Diagnostics{Failed: true}}
	for name, tc := range map[string]struct {
		d    Decision
		in   *Input
		want bool
	}{
		"a denial":                  {audits, request(operation.BodyNone, ""), true},
		"of a role that enforces":   {Decision{}, request(operation.BodyNone, ""), false},
		"that is none":              {failed, request(operation.BodyNone, ""), false},
		"of an admin's operation":   {audits, request(operation.BodyNone, "only an admin may"), false},
		"of a body that is hidden":  {audits, request(operation.BodyWithheld, ""), false},
		"of a body that is invalid": {audits, request(operation.BodyInvalid, ""), false},
		"of an admin":               {admin, request(operation.BodyWithheld, ""), true},
	} {
		if got := lifted(&tc.d, tc.in); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
