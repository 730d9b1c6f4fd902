package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
)

// partly answers for rules of the operator's own. What the rules leave when only the operation is known are conditions; if
// there are none, nobody can. The hazard is left open there, so that what is proved holds for each.
func (p *Prover) partly(ctx context.Context, f *Finding) {
	conditions, err := p.left(ctx, f.Operation, "")
	if err != nil {
		f.State, f.Open = NotDecided, []string{"the rules cannot be evaluated with the caller unknown: " + err.Error()}
		return
	}
	if len(conditions) == 0 {
		return
	}
	f.State = NotDecided
	const most = 4
	for i, c := range conditions {
		if i == most {
			f.Open = append(f.Open, fmt.Sprintf("and %d more conditions", len(conditions)-most))
			break
		}
		f.Open = append(f.Open, "whoever "+printable(c.String()))
	}
	for _, as := range principalsIn(conditions, p.g.vetted.data) {
		if w := p.witness(ctx, Holding{Principals: []string{as}}, []string{as}, f.Operation, f.Hazard); w != nil {
			f.Can = append(f.Can, *w)
		}
	}
}

// errWhole: where the input is read as a whole, what is unknown of it would pass for missing.
var errWhole = errors.New("they read the input, or input.operation, as a whole: write out which of its fields")

// left are the conditions under which an operation is let through, and but more than that does not hold: "" or a body of Rego.
func (p *Prover) left(ctx context.Context, id, but string) (conditions []ast.Body, err error) {
	for _, ref := range inputRefs(allRules(p.g.compiler)) {
		if len(ref) == 0 || len(ref) == 1 && ref[0] == "operation" {
			return nil, errWhole
		}
	}
	ctx, stop := limited(ctx)
	defer stop()
	seen := map[operation.Access]bool{}
	for _, example := range operation.Examples()[id] {
		op := example.Operation
		if seen[op.Access] {
			continue
		}
		seen[op.Access] = true
		known := ast.NewObject([2]*ast.Term{ast.StringTerm("operation"), ast.ObjectTerm(
			[2]*ast.Term{ast.StringTerm("id"), ast.StringTerm(op.ID)},
			[2]*ast.Term{ast.StringTerm("resource"), ast.StringTerm(op.Resource)},
			[2]*ast.Term{ast.StringTerm("access"), ast.StringTerm(string(op.Access))},
		)})
		rails := ""
		if op.Rail != "" {
			if !p.has(adminOfRego) {
				continue
			}
			rails = "; " + adminOfRego + " = true"
		}
		for _, lets := range []string{allowRule, auditOfRego} {
			if !p.has(lets) {
				continue
			}
			left, err := p.partial(ctx, lets+" = true"+rails+but, known)
			if err != nil {
				return nil, err
			}
			conditions = append(conditions, left...)
		}
	}
	return conditions, nil
}

// partial are the conditions that are left of a query when of the input some is known.
func (p *Prover) partial(ctx context.Context, query string, known ast.Value) (conditions []ast.Body, err error) {
	body, err := ast.ParseBodyWithOpts(query, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		return nil, err
	}
	partial, err := rego.New(
		rego.ParsedQuery(body), rego.Compiler(p.g.compiler), rego.Store(p.g.store), rego.Transaction(p.g.txn),
		rego.ParsedInput(known), rego.Unknowns(unknowns()), rego.StrictBuiltinErrors(true),
	).Partial(ctx)
	if err != nil {
		return nil, err
	}
	for _, q := range partial.Queries {
		if !contradictory(q, partial.Support) {
			conditions = append(conditions, q)
		}
	}
	return conditions, nil
}

// Rules of an operator's own that let a request through, besides allow: who passes the rails, and of whom denials are lifted.
const (
	adminOfRego = "data.docker.authz.admin"
	auditOfRego = "data.docker.authz.audit"
)

// has says that the rules have one of this name.
func (p *Prover) has(rule string) bool {
	return len(p.g.compiler.GetRulesWithPrefix(ast.MustParseRef(rule))) > 0
}

// unknowns are all of the input but the operation's id, resource and class.
func unknowns() (refs []string) {
	for _, f := range fields() {
		ref := "input." + cmp.Or(f.section, f.name)
		if f.section == "operation" {
			if slices.Contains([]string{"id", "resource", "access"}, f.name) {
				continue
			}
			ref += "." + f.name
		}
		if !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs
}

// contradictory says that a condition never holds: it holds an expression and its negation, a constant that is false, or two
// constants that differ. support are the rules that OPA made of what it could not write in place: not one of them holds if one of its
// bodies is among what does.
func contradictory(body ast.Body, support []*ast.Module) bool {
	said := map[string]bool{}
	for _, e := range body {
		said[e.String()] = true
		if len(e.With) > 0 || e.Negated {
			continue
		}
		if t, is := e.Terms.(*ast.Term); is && t.Value.Compare(ast.Boolean(false)) == 0 {
			return true
		}
		if e.IsEquality() {
			a, b := e.Operand(0).Value, e.Operand(1).Value
			if ast.IsConstant(a) && ast.IsConstant(b) && a.Compare(b) != 0 {
				return true
			}
		}
	}
	for _, e := range body {
		if !e.Negated || len(e.With) > 0 {
			continue
		}
		plain := e.Copy()
		plain.Negated = false
		if said[plain.String()] {
			return true
		}
		for _, r := range supporting(plain.String(), support) {
			if !slices.ContainsFunc(r.Body, func(part *ast.Expr) bool { return !said[part.String()] }) {
				return true
			}
		}
	}
	return false
}

// supporting are the rules that make an expression true which is no more than their name.
func supporting(expression string, support []*ast.Module) (rules []*ast.Rule) {
	for _, m := range support {
		for _, r := range m.Rules {
			if m.Package.Path.String()+"."+r.Head.Ref().String() == expression && !r.Default && r.Else == nil && len(r.Head.Args) == 0 &&
				r.Head.Key == nil && r.Head.Value != nil && r.Head.Value.Value.Compare(ast.Boolean(true)) == 0 {
				rules = append(rules, r)
			}
		}
	}
	return rules
}

// principalsIn are the texts in conditions and in data that are principals, a bounded number of them.
func principalsIn(conditions []ast.Body, data map[string]any) (found []string) {
	const most = 64
	add := func(s string) {
		if p := principal.Split(s); p.Kind.Facts().Of != "" && len(found) < most && !slices.Contains(found, s) {
			found = append(found, s)
		}
	}
	for _, c := range conditions {
		ast.WalkTerms(c, func(t *ast.Term) bool {
			if s, is := t.Value.(ast.String); is {
				add(string(s))
			}
			return false
		})
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			add(v)
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(data)
	slices.Sort(found)
	return found
}
