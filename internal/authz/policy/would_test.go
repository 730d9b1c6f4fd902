package policy

import (
	"slices"
	"strings"
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

// TestWithoutAGatewayViewsAreWarnedOf: what only a gateway can do is denied by dockerd's own socket, where there is none.
func TestWithoutAGatewayViewsAreWarnedOf(t *testing.T) {
	const roles = "roles: {r: {access: [list], where: {a: b}}}\n"
	data := policyDir(t, "data.yaml", roles+"bindings: {admin: [local], r: [\"container:x\"]}\n")
	own := policyDir(t, "authz.rego", module(allowList), "data.yaml", roles) // whose roles are its own affair
	for name, tc := range map[string]struct {
		dir     string
		alone   bool
		warnsOf bool
	}{"a gateway": {data, false, false}, "none": {data, true, true}, "none, and rules of one's own": {own, true, false}} {
		found := Check(t.Context(), Options{Paths: []string{tc.dir}, NoGateway: tc.alone})
		warns := slices.ContainsFunc(found, func(p Problem) bool {
			return p.Warning && p.Key == "roles.r.where" && strings.Contains(p.Message, "is the gateway's work, and there is none")
		})
		if warns != tc.warnsOf {
			t.Errorf("%s: %v", name, found)
		}
	}
}
