package policy

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Rule is where a reason comes from.
type Rule struct {
	Reason string `json:"reason"`
	Rule   string `json:"rule"` // its name in package docker.authz
	At     string `json:"at"`   // "authz.rego:165"
}

// tracer notes which rules gave which texts. The first to give one is the innermost: the others pass it on.
type tracer struct{ first map[string]*ast.Rule }

// Enabled implements topdown.QueryTracer.
func (t *tracer) Enabled() bool { return true }

// Config implements topdown.QueryTracer.
func (t *tracer) Config() topdown.TraceConfig { return topdown.TraceConfig{PlugLocalVars: true} }

// TraceEvent implements topdown.QueryTracer.
func (t *tracer) TraceEvent(e topdown.Event) {
	r, is := e.Node.(*ast.Rule)
	if !is || e.Op != topdown.ExitOp {
		return
	}
	gives := r.Head.Value
	if r.Head.Key != nil {
		gives = r.Head.Key
	}
	v := gives.Value
	if name, isVar := v.(ast.Var); isVar {
		v = e.Locals.Get(name)
	}
	if o, isObject := v.(ast.Object); isObject { // a denial with its code
		if reason := o.Get(ast.StringTerm("reason")); reason != nil {
			v = reason.Value
		}
	}
	text, isText := v.(ast.String)
	if !isText {
		return
	}
	if t.first == nil {
		t.first = map[string]*ast.Rule{}
	}
	if s := printable(string(text)); t.first[s] == nil {
		t.first[s] = r
	}
}

// of gives the rules that the reasons come from, as far as they are known.
func (t *tracer) of(reasons []string) (rules []Rule) {
	for _, reason := range reasons {
		if r := t.first[reason]; r != nil {
			rules = append(rules, Rule{reason, r.Head.Name.String(), fmt.Sprintf("%s:%d", r.Location.File, r.Location.Row)})
		}
	}
	return rules
}
