package policy

import (
	"context"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
)

// What the data says is the same for each request. So of the built-in rules, and an operator's beside them, those that read no
// input are evaluated once, when a generation is made, and stand as what they come to; and rules that cannot hold then
// ("some key, _ in capping[role]", where no role has ceilings) are left out, and with them what depends on nothing else.
// It is the same policy for these data, asked less: a test compares the two over the catalogue.
type ready struct {
	modules map[string]*ast.Module
	rules   map[string][]*ast.Rule // of all modules, by the same names
	settled map[string]*ast.Term   // by "data.docker.authz.NAME"; nil: it is not defined
}

// makeReady compiles the rules again for the data in store. Without what the names say that it gives the decision is the same: they
// are empty or false.
func makeReady(ctx context.Context, c *ast.Compiler, store storage.Store, txn storage.Transaction) (*ast.Compiler, []string, error) {
	r := &ready{modules: map[string]*ast.Module{}, settled: map[string]*ast.Term{}}
	for file, m := range c.Modules {
		if saysWith(m) { // other data could be put to the rules
			return c, nil, nil
		}
		r.modules[file] = m.Copy()
	}
	if err := r.settle(ctx, c, store, txn); err != nil {
		return nil, nil, err
	}
	for r.prune() { // until there is nothing more
	}
	for _, m := range r.modules {
		r.replace(m)
	}
	out := newCompiler(capabilities())
	out.Compile(r.modules)
	if out.Failed() {
		return nil, nil, fmt.Errorf("make the rules ready for their data: %w", out.Errors)
	}
	var nothing []string
	for name, value := range r.settled {
		if value == nil || size(value.Value) == 0 || value.Value.Compare(ast.Boolean(false)) == 0 {
			nothing = append(nothing, name)
		}
	}
	return out, nothing, nil
}

func saysWith(m *ast.Module) (found bool) {
	ast.WalkWiths(m, func(*ast.With) bool { found = true; return true })
	return found
}

// settle evaluates what reads no input.
func (r *ready) settle(ctx context.Context, c *ast.Compiler, store storage.Store, txn storage.Transaction) error {
	reads := map[*ast.Rule]bool{}
	readsInput := func(rule *ast.Rule) bool {
		does, known := reads[rule]
		if !known { // most names depend on the same few
			does = len(inputRefs([]*ast.Rule{rule})) > 0
			reads[rule] = does
		}
		return does
	}
	for name, rules := range r.byName() {
		ref := refIn(rules[0].Module, rules[0])
		if len(rules[0].Head.Args) > 0 || slices.ContainsFunc(reachedFrom(c, ref), readsInput) {
			continue
		}
		query := ast.NewBody(ast.Equality.Expr(ast.VarTerm("x"), ast.NewTerm(ref)))
		results, err := rego.New(rego.ParsedQuery(query), rego.Compiler(c), rego.Store(store), rego.Transaction(txn), rego.Metrics(metrics.NoOp()),
			rego.StrictBuiltinErrors(true),
			rego.GenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t, nil })).Eval(ctx)
		if err != nil {
			return fmt.Errorf("evaluate %s: %w", name, err)
		}
		r.settled[name] = nil
		if len(results) == 1 {
			r.settled[name], _ = results[0].Bindings["x"].(*ast.Term)
		}
	}
	return nil
}

// byName are the rules of all modules.
func (r *ready) byName() map[string][]*ast.Rule {
	all := map[string][]*ast.Rule{}
	for _, m := range r.modules {
		for _, rule := range m.Rules {
			name := nameIn(m, rule)
			all[name] = append(all[name], rule)
		}
	}
	return all
}

func nameIn(m *ast.Module, rule *ast.Rule) string { return refIn(m, rule).String() }

func refIn(m *ast.Module, rule *ast.Rule) ast.Ref {
	name, _ := rule.Head.Ref()[0].Value.(ast.Var)
	return m.Package.Path.Append(ast.StringTerm(string(name)))
}

// prune leaves out rules that can never hold, and says whether it has settled anything by that. The rules of one name may stand in
// several files.
func (r *ready) prune() (more bool) {
	r.rules = r.byName()
	for _, m := range r.modules {
		for _, rule := range m.Rules {
			rule.Body = r.body(rule.Body)
		}
	}
	out := map[*ast.Rule]bool{}
	for name, rules := range r.rules {
		if r.has(name) {
			continue
		}
		byDefault := true // at most
		for _, rule := range rules {
			if !rule.Default && rule.Else == nil && slices.ContainsFunc(rule.Body, r.never) {
				out[rule] = true
			} else if !rule.Default || len(rule.Head.Args) > 0 {
				byDefault = false
			}
		}
		if byDefault {
			r.settled[name], more = nothingOf(rules), true
		}
	}
	for _, m := range r.modules {
		m.Rules = slices.DeleteFunc(m.Rules, func(rule *ast.Rule) bool { return out[rule] && !r.has(nameIn(m, rule)) })
	}
	return more
}

// nothingOf is what rules of one name come to of which none holds.
func nothingOf(rules []*ast.Rule) *ast.Term {
	for _, rule := range rules {
		if rule.Default {
			return rule.Head.Value
		}
	}
	switch rule := rules[0]; {
	case len(rule.Head.Args) > 0:
		return nil
	case len(rule.Head.Ref()) > 1:
		return ast.ObjectTerm()
	case rule.Head.RuleKind() == ast.MultiValue:
		return ast.SetTerm()
	}
	return nil
}

// body is a body without what always holds: not what never does.
func (r *ready) body(b ast.Body) ast.Body {
	out := slices.DeleteFunc(slices.Clone(b), func(e *ast.Expr) bool {
		return slices.ContainsFunc(denied(e), r.never) || r.always(e)
	})
	if len(out) == 0 {
		out = ast.NewBody(ast.NewExpr(ast.BooleanTerm(true)))
	}
	return ast.NewBody(out...)
}

// denied is what an expression says not to hold, together; nil if it says no such thing.
func denied(e *ast.Expr) ast.Body {
	if not, is := e.Terms.(*ast.Not); is {
		return not.Body
	}
	if e.Negated {
		return ast.NewBody(e.Complement())
	}
	return nil
}

// always says that an expression calls a function that holds whatever it is asked.
func (r *ready) always(e *ast.Expr) bool {
	if e.Negated || !e.IsCall() || len(e.Operands()) == 0 || !allVars(e.Operands()) {
		return false
	}
	rules := r.rules[e.Operator().String()]
	return len(rules) > 0 && !slices.ContainsFunc(rules, func(rule *ast.Rule) bool {
		return rule.Default || rule.Else != nil || len(rule.Head.Args) != len(e.Operands()) || !allVars(rule.Head.Args) || repeats(rule.Head.Args) ||
			!rule.Head.Value.Equal(ast.BooleanTerm(true)) || !rule.Body.Equal(ast.NewBody(ast.NewExpr(ast.BooleanTerm(true))))
	})
}

func allVars(terms []*ast.Term) bool {
	return !slices.ContainsFunc(terms, func(t *ast.Term) bool { _, is := t.Value.(ast.Var); return !is })
}

func repeats(terms []*ast.Term) bool {
	for i, t := range terms {
		if slices.ContainsFunc(terms[:i], t.Equal) {
			return true
		}
	}
	return false
}

// never says that an expression cannot hold: it is about a member of nothing, or what is not defined.
func (r *ready) never(e *ast.Expr) (found bool) {
	if e.Negated {
		return false
	}
	var terms []*ast.Term
	switch t := e.Terms.(type) {
	case *ast.Term:
		terms = []*ast.Term{t}
	case []*ast.Term:
		terms = t
	}
	for _, t := range terms {
		ast.WalkTerms(t, func(t *ast.Term) bool {
			switch v := t.Value.(type) {
			case *ast.SetComprehension, *ast.ArrayComprehension, *ast.ObjectComprehension:
				return true
			case ast.Ref:
				found = found || r.absent(v)
			}
			return found
		})
	}
	return found
}

// absent says that there is nothing at a reference, whatever its variables are.
func (r *ready) absent(ref ast.Ref) bool {
	name, rest := r.split(ref)
	if name == "" {
		return false
	}
	value := r.settled[name]
	if value == nil {
		return true
	}
	at := value.Value
	for _, part := range rest {
		if size(at) == 0 {
			return true
		}
		switch part.Value.(type) {
		case ast.String, ast.Number, ast.Boolean, ast.Null:
		default:
			return false // what it asks for is not known
		}
		found, err := at.Find(ast.Ref{part})
		if err != nil {
			return true
		}
		at = found
	}
	return false
}

// size is how many members a collection has, 1 of what is none.
func size(v ast.Value) int {
	switch v := v.(type) {
	case *ast.Array:
		return v.Len()
	case ast.Set:
		return v.Len()
	case ast.Object:
		return v.Len()
	}
	return 1
}

// replace puts what is settled in the place of the rules that came to it.
func (r *ready) replace(m *ast.Module) {
	done := map[string]bool{}
	var rules []*ast.Rule
	for _, rule := range m.Rules {
		name := nameIn(m, rule)
		value, settled := r.settled[name]
		switch {
		case !settled:
			rules = append(rules, rule)
		case !done[name]:
			done[name] = true
			is := rule.Copy()
			is.Default, is.Else, is.Body = false, nil, ast.NewBody(ast.NewExpr(ast.BooleanTerm(value != nil)))
			if value == nil {
				value = ast.BooleanTerm(true) // of what is never defined
			}
			is.Head = ast.RefHead(ast.Ref{rule.Head.Ref()[0]})
			is.Head.Location, is.Head.Args, is.Head.Value = rule.Head.Location, rule.Head.Args, value
			rules = append(rules, is)
		}
	}
	m.Rules = rules
}

// split is a reference into the name of a rule and what follows it; the name is "" if it is none of ours.
func (r *ready) split(ref ast.Ref) (string, ast.Ref) {
	for _, m := range r.modules {
		n := len(m.Package.Path)
		if len(ref) > n && ref.HasPrefix(m.Package.Path) {
			if name := ref[:n+1].String(); r.has(name) {
				return name, ref[n+1:]
			}
		}
	}
	return "", nil
}

func (r *ready) has(name string) bool { _, has := r.settled[name]; return has }
