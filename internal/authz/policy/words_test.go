package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// TestWords: what OPA says of a policy comes with what its author can do.
func TestWords(t *testing.T) {
	const deny = "default allow := false\n"
	for name, test := range map[string]struct{ policy, says string }{
		"a clock":                    {module(deny + "allow if time.clock([1, \"x\"])[0] > 1"), "undefined function time.clock; policies have no clock"},
		"a network":                  {module(deny + "allow if http.send({}).status_code == 200"), "undefined function http.send; policies reach no network"},
		"randomness":                 {module(deny + "allow if rand.intn(\"x\", 2) == 1"), "undefined function rand.intn; policies have no randomness"},
		"an environment":             {module(deny + "allow if opa.runtime().env.X"), "undefined function opa.runtime; policies do not see the process"},
		"a signature":                {module(deny + "allow if io.jwt.encode_sign({}, {}, {}) == \"\""), "undefined function io.jwt.encode_sign; policies sign nothing"},
		"a certificate":              {module(deny + "allow if crypto.x509.parse_and_verify_certificates(\"x\")[0]"), "read input.caller.certificate"},
		"a rule misspelt":            {module(deny + "is_admin if input.caller.uid == 0\nallow if is_admim"), "var is_admim is unsafe; there is no rule is_admim, and nothing gives a variable of that name a value; is it is_admin?"},
		"no such rule":               {module(deny + "allow if something"), "var something is unsafe; there is no rule something, and nothing gives a variable of that name a value"},
		"a function misspelt":        {module(deny + "is_admin(x) if x.uid == 0\nallow if is_admim(input.caller)"), "undefined function is_admim; there is no such rule or builtin; is it is_admin?"},
		"a builtin misspelt":         {module(deny + "allow if startwith(input.request.path, \"/x\")"), "undefined function startwith; there is no such rule or builtin; is it startswith?"},
		"a package misspelt":         {"package docker.auhtz\n\n" + deny, "the files are of package docker.auhtz; begin them with `package docker.authz`"},
		"opa-docker-authz's old one": {"package example\n\n" + deny, "the files are of package example; begin them with `package docker.authz`"},
		"no allow":                   {module("deny := true"), "there is no rule allow in package docker.authz: nothing would ever be allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			wantContains(t, refused(t, Options{Paths: []string{policyDir(t, "authz.rego", test.policy)}}), test.says)
		})
	}
}

// TestEveryWithheldBuiltinHasWords: each has a family of its own, so that a new one of OPA's is
// looked at; and no family is empty.
func TestEveryWithheldBuiltinHasWords(t *testing.T) {
	used := map[string]bool{}
	for _, b := range ast.CapabilitiesForThisVersion().Builtins {
		why := withheld(b.Name)
		if slices.ContainsFunc(capabilities().Builtins, func(c *ast.Builtin) bool { return c.Name == b.Name }) {
			if why != "" {
				t.Errorf("%s may be called: %s", b.Name, why)
			}
			continue
		}
		if strings.HasPrefix(why, "policies may not call it") {
			t.Errorf("%s has no words of its own", b.Name)
		}
		used[why] = true
	}
	for _, f := range families {
		if !used[f.instead] {
			t.Errorf("no builtin begins with %s", f.prefix)
		}
	}
}
