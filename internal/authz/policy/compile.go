package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"vitrine/rego"
)

// capabilities are what a policy may use: OPA's builtins without those that read
// anything but their arguments. What is missing is an undefined function, found
// when the policy is compiled. The flag Nondeterministic does not cover the
// builtins that check a certificate against the clock, nor those that read time
// zone files; TestBuiltins holds the outcome against a reviewed list.
func capabilities() *ast.Capabilities {
	caps := ast.CapabilitiesForThisVersion()
	caps.Builtins = slices.DeleteFunc(caps.Builtins, func(b *ast.Builtin) bool {
		return b.Nondeterministic ||
			strings.HasPrefix(b.Name, "time.") ||
			strings.HasPrefix(b.Name, "crypto.x509.parse_and_verify_") ||
			strings.HasPrefix(b.Name, "io.jwt.encode_") ||
			strings.HasPrefix(b.Name, "providers.")
	})
	caps.AllowNet = []string{} // schemas neither
	return caps
}

// parsed are the modules of a policy, by file name.
type parsed struct {
	modules map[string]*ast.Module
	lenient bool // some are of Rego v0: strictness and schema findings are warnings
}

// parse parses files in the version of Rego that each declares: by a bundle's
// manifest or an import, else version 1. What is only valid as version 0 is
// taken as that, so that older policies run unchanged.
func parse(files []file, caps *ast.Capabilities) (parsed, error) {
	out := parsed{modules: make(map[string]*ast.Module, len(files))}
	var errs []error
	for _, f := range files {
		m, err := parseFile(f, caps)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out.lenient = out.lenient || isV0(m)
		out.modules[f.name] = m
	}
	return out, errors.Join(errs...)
}

// isV0 reports whether a module is read as Rego v0, whatever it imports.
func isV0(m *ast.Module) bool { return m.RegoVersionSpan().Min() == ast.RegoV0 }

func parseFile(f file, caps *ast.Capabilities) (*ast.Module, error) {
	opts := ast.ParserOptions{Capabilities: caps, ProcessAnnotation: true, RegoVersion: f.version}
	if f.version != ast.RegoUndefined {
		return ast.ParseModuleWithOpts(f.name, string(f.raw), opts)
	}
	opts.RegoVersion = ast.RegoV1
	m, err := ast.ParseModuleWithOpts(f.name, string(f.raw), opts)
	if err == nil {
		return m, nil
	}
	opts.RegoVersion = ast.RegoV0
	if m, errV0 := ast.ParseModuleWithOpts(f.name, string(f.raw), opts); errV0 == nil {
		return m, nil
	}
	return nil, err // what version 1 says: it is what authors mean today
}

// RegoVersion is the version in which a module is read. The error says what is wrong with it.
func RegoVersion(name string, raw []byte) (ast.RegoVersion, error) {
	m, err := parseFile(file{name: name, raw: raw}, capabilities())
	switch {
	case err != nil:
		return ast.RegoUndefined, err
	case isV0(m):
		return ast.RegoV0, nil
	}
	return ast.RegoV1, nil
}

// rules are the modules of a policy, compiled: those of the built-in policy alone once for all policies, as they are the same
// whatever the data says, and evaluations change nothing in them.
func (s *sources) rules() (*ast.Compiler, []Problem, error) {
	if s.builtin && len(s.extra) == 0 {
		c, err := builtinRules()
		return c, nil, err
	}
	return compile(s.label, s.modules)
}

var builtinRules = sync.OnceValues(func() (*ast.Compiler, error) {
	var s sources
	if err := s.useBuiltin(); err != nil {
		return nil, err
	}
	c, _, err := compile(builtinLabel, s.modules)
	return c, err
})

// compile compiles modules strictly and against the closed input schema. For
// lenient modules what only strictness or the schema finds is a warning.
func compile(label string, files []file) (*ast.Compiler, []Problem, error) {
	caps := capabilities()
	p, err := parse(files, caps)
	if err != nil {
		return nil, nil, err
	}
	c, warnings, err := p.compile(caps)
	if err != nil {
		return nil, nil, err
	}
	if len(c.GetRulesExact(ast.MustParseRef(allowRule))) == 0 {
		return nil, nil, fmt.Errorf("%s: %s", label, noAllow(p.modules))
	}
	return c, warnings, nil
}

func (p parsed) compile(caps *ast.Capabilities) (*ast.Compiler, []Problem, error) {
	schemas := ast.NewSchemaSet()
	schema, err := rego.InputSchema()
	if err != nil {
		return nil, nil, fmt.Errorf("read the input schema: %w", err)
	}
	schemas.Put(ast.SchemaRootRef, schema)

	c := newCompiler(caps).WithStrict(true).WithSchemas(schemas)
	c.Compile(p.modules)
	if !c.Failed() {
		return c, nil, nil
	}
	if !p.lenient {
		return nil, nil, inWords(c.Errors, p.modules)
	}
	warnings := problems(c.Errors, true)
	c = newCompiler(caps)
	c.Compile(p.modules)
	if c.Failed() {
		return nil, nil, inWords(c.Errors, p.modules)
	}
	return c, warnings, nil
}

func newCompiler(caps *ast.Capabilities) *ast.Compiler {
	return ast.NewCompiler().WithCapabilities(caps).WithDefaultRegoVersion(ast.RegoV1)
}

// Problem is something that is wrong with a policy, and where.
type Problem struct { //nolint:errname // a finding first, warnings too; an error when joined
	File    string
	Line    int    // 0 if unknown
	Key     string // of data, e.g. "bindings.look"
	Message string // what is wrong, and what would be right
	Warning bool   // the policy loads all the same
}

// at is where the problem is, e.g. "data.yaml:12".
func (p Problem) at() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Error gives place, key and message, so that a Problem is an error too.
func (p Problem) Error() string {
	var b strings.Builder
	if at := p.at(); at != "" {
		b.WriteString(at + ": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// attributes are the problem's for a line of the log.
func (p Problem) attributes() []any {
	var out []any
	if at := p.at(); at != "" {
		out = append(out, "at", at)
	}
	if p.Key != "" {
		out = append(out, "key", p.Key)
	}
	return append(out, "problem", p.Message)
}

// problems takes an error apart: joined ones, and lists of OPA's.
func problems(err error, warning bool) []Problem {
	var list ast.Errors
	var one *ast.Error
	var p Problem
	joined, isJoined := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
		return nil
	case isJoined:
		var out []Problem
		for _, e := range joined.Unwrap() {
			out = append(out, problems(e, warning)...)
		}
		return out
	case errors.As(err, &list):
		var out []Problem
		for _, e := range list {
			out = append(out, problems(e, warning)...)
		}
		return out
	case errors.As(err, &one):
		p = Problem{Message: one.Code + ": " + one.Message}
		if one.Location != nil {
			p.File, p.Line = one.Location.File, one.Location.Row
		}
		if one.Details != nil {
			p.Message += "; " + strings.Join(one.Details.Lines(), "; ")
		}
	case errors.As(err, &p):
	default:
		p = Problem{Message: err.Error()}
	}
	p.Warning = p.Warning || warning
	return []Problem{p}
}
