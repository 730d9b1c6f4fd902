package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"vitrine/internal/spelling"
)

// extraPackage holds an operator's rules that add to the built-in ones: see rego/extra.rego,
// which declares each as a set or an object that is built rule by rule. So none is ever undefined, and one that is
// written otherwise does not compile.
const extraPackage = "data.docker.authz.extra"

// extraRules are the rules of that package which the built-in ones read.
func extraRules() []string { return []string{"deny", "where", "stamp"} }

// isExtra says whether modules add to the built-in rules: one is of that package, and none is
// of the package that answers. A file that cannot be read is no such module, and is reported when the policy is built.
func isExtra(files []file) bool {
	adds := false
	for _, f := range files {
		m, err := parseFile(f, capabilities())
		switch {
		case err != nil, inPackage(m, "data.docker.authz"):
			return false
		case inPackage(m, extraPackage):
			adds = true
		}
	}
	return adds
}

func inPackage(m *ast.Module, path string) bool { return m.Package.Path.String() == path }

// vetExtra refuses modules of the package in which a mistake would let through what they are
// meant to stop, and says which of their rules nothing reads.
func vetExtra(ctx context.Context, g *generation, src *sources) ([]Problem, error) {
	if len(src.extra) == 0 {
		return nil, nil
	}
	c := g.vetted.compiler // the rules as they are written
	var read []*ast.Rule
	for _, name := range extraRules() {
		read = append(read, reached(c, extraPackage+"."+name)...)
	}
	var errs []error
	var warnings []Problem
	for _, f := range src.extra {
		m := c.Modules[f.name]
		if m.RegoVersionSpan().Max() != ast.RegoV2 {
			errs = append(errs, Problem{File: f.name, Line: m.Package.Location.Row, Message: "write `import rego.v2` below the package: " +
				"before it, `not` over something that is missing does not hold, so a denial would let through what it is meant to stop"})
		}
		if !inPackage(m, extraPackage) {
			continue // a library
		}
		found, uses := unread(m, read)
		if warnings = append(warnings, found...); !uses {
			errs = append(errs, Problem{File: f.name, Line: m.Package.Location.Row, Message: fmt.Sprintf(
				"has no rule that is read: write one of %s", strings.Join(extraRules(), ", "))})
		}
	}
	return warnings, errors.Join(append(errs, g.probeExtra(ctx))...)
}

// probeExtra asks the rules themselves what any policy must have an answer to: the self-test does
// not come to them where no role grants anything.
func (g *generation) probeExtra(ctx context.Context) error {
	asked := &generation{compiler: g.vetted.compiler, store: g.store, txn: g.txn}
	query := fmt.Sprintf("allow = false; reasons = %[1]s.deny; where = %[1]s.where; stamp = %[1]s.stamp", extraPackage)
	if err := asked.prepare(ast.MustParseBody(query)); err != nil {
		return err
	}
	if _, err := selfTest(ctx, asked, false); err != nil {
		return fmt.Errorf("the rules of %s: %w", strings.TrimPrefix(extraPackage, "data."), err)
	}
	return nil
}

// unread are the rules of a module that none of those read depends on; uses says whether there are others.
func unread(m *ast.Module, read []*ast.Rule) (found []Problem, uses bool) {
	first := map[string]*ast.Rule{}
	for _, r := range m.Rules {
		if slices.Contains(read, r) {
			uses = true
		} else if name := r.Head.Ref()[0].String(); first[name] == nil {
			first[name] = r
		}
	}
	for _, name := range slices.Sorted(maps.Keys(first)) {
		r := first[name]
		found = append(found, Problem{File: r.Location.File, Line: r.Location.Row, Warning: true, Message: fmt.Sprintf(
			"nothing reads rule %s%s: read are %s, and what they use", name, spelling.Hint(name, extraRules()), strings.Join(extraRules(), ", "))})
	}
	return found, uses
}
