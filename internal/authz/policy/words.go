package policy

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"vitrine/internal/spelling"
)

// inWords adds to what OPA says of modules what their author can do about it.
func inWords(errs ast.Errors, modules map[string]*ast.Module) error {
	rules := ruleNames(modules)
	out := make([]error, 0, len(errs))
	for _, e := range errs {
		for _, p := range problems(e, false) {
			p.Message += meaning(e.Message, rules)
			out = append(out, p)
		}
	}
	return errors.Join(out...)
}

var (
	unsafeVar     = regexp.MustCompile(`^var (\S+) is unsafe$`)
	noSuchBuiltin = regexp.MustCompile(`^undefined function (\S+)$`)
)

// meaning is what to do, "" if OPA has said it.
func meaning(message string, rules []string) string {
	if m := unsafeVar.FindStringSubmatch(message); m != nil {
		return "; there is no rule " + m[1] + ", and nothing gives a variable of that name a value" + spelling.Hint(m[1], rules)
	}
	m := noSuchBuiltin.FindStringSubmatch(message)
	if m == nil {
		return ""
	}
	names := rules
	for _, b := range capabilities().Builtins {
		names = append(names, b.Name)
	}
	if why := withheld(m[1]); why != "" {
		return "; " + why
	}
	return "; there is no such rule or builtin" + spelling.Hint(m[1], names)
}

// families of the builtins that no policy may call, by how their names begin, with what to do
// instead. The first that fits counts.
var families = []struct{ prefix, instead string }{
	{"crypto.x509.parse_and_verify", "policies have no clock to verify a certificate by: the gateway has done so, read input.caller.certificate"},
	{"io.jwt.encode", "policies sign nothing: who is calling is in input.caller"},
	{"io.jwt.decode_verify", "policies have no clock to verify a token by: who is calling is in input.caller"},
	{"time.", "policies have no clock, as what they answer is remembered: take a binding out of the data when its time is over"},
	{"http.", "policies reach no network: put what they would ask for into data, which is read again when its file changes"},
	{"json.match_schema", "policies reach no network, where a schema's references may lead"},
	{"json.verify_schema", "policies reach no network, where a schema's references may lead"},
	{"net.lookup", "policies reach no network: put the addresses into data"},
	{"rand.", "policies have no randomness: the same input has the same answer"},
	{"uuid.rfc4122", "policies have no randomness: the same input has the same answer"},
	{"opa.runtime", "policies do not see the process or its environment: put what they need into data"},
	{"providers.", "policies sign nothing, and reach no network"},
}

// withheld says why a builtin of OPA's may not be called, "" if it may or there is none.
func withheld(name string) string {
	known := func(caps *ast.Capabilities) bool {
		return slices.ContainsFunc(caps.Builtins, func(b *ast.Builtin) bool { return b.Name == name })
	}
	if !known(ast.CapabilitiesForThisVersion()) || known(capabilities()) {
		return ""
	}
	for _, f := range families {
		if strings.HasPrefix(name, f.prefix) {
			return f.instead
		}
	}
	return "policies may not call it, as it reads more than its arguments"
}

func ruleNames(modules map[string]*ast.Module) []string {
	names := map[string]struct{}{}
	for _, m := range modules {
		for _, r := range m.Rules {
			names[r.Head.Ref()[0].String()] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// noAllow says that the modules are not what is asked.
func noAllow(modules map[string]*ast.Module) string {
	packages := map[string]bool{}
	for _, m := range modules {
		packages[strings.TrimPrefix(m.Package.Path.String(), "data.")] = true
	}
	const asked = "docker.authz"
	if packages[asked] {
		return "there is no rule allow in package " + asked + ": nothing would ever be allowed; write `default allow := false`, and `allow if …`"
	}
	return "there is no rule allow in package " + asked + ", which is what is asked: the files are of package " +
		strings.Join(slices.Sorted(maps.Keys(packages)), ", ") + "; begin them with `package " + asked + "`"
}
