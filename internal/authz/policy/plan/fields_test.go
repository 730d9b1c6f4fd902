package plan

import (
	"errors"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Rules that go to fields of the input are given these alone; others are given all of it. What they come to is the same, and what topdown says.
func TestFieldsOfTheInputClosed(t *testing.T) {
	t.Parallel()
	input := ast.MustParseTerm(`{"a": {"b": 1, "c": {"d": [5]}}, "A": [7], "k": {"x": "b"}}`)
	for module, byFields := range map[string]bool{
		`p := input.a.b`:           true,
		`p := input.a.c.d[0]`:      true,
		`p := input.A[0]`:          true,
		`p if not input.a.z`:       true,
		`p if not input.z.b`:       true,
		`p if not input.b`:         false,
		`p if not input.a.nothing`: true,
		`p := input.a.z`:           true,
		`p := input.a.c.z`:         true,
		`p := input.A.z`:           true,
		`p := [q, q, r]` + "\n\nq := input.a.b\n\nr := input.A":                                                true,
		`p := 1 if { input.a.b == 2; input.a.c }` + "\n\np := 2 if { x := input.a.b; y := input.A[_]; x < y }": true,
		`p := [f(input.A), f(input.a.c.d)]` + "\n\nf(x) := [x[0], input.a.b]":                                  true,
		`p := x if { x := input.a; x.b }`:                                                                      false,
		`p := x.b if x := input.a`:                                                                             false,
		`p := x if x := input`:                                                                                 false,
		`p if { x := input.a.b; input.a }`:                                                                     false,
		`p if not input.a == 1`:                                                                                false,
		`p := input.a[input.k.x]`:                                                                              false,
		`p := [x | x := input.a[_]]`:                                                                           false,
		`p := [x | x := input[_].b]`:                                                                           false,
		`p := count(input.a)`:                                                                                  false,
		`p := object.get(input, ["a", "b"], 0)`:                                                                false,
		`p := f(input.a)` + "\n\nf(x) := x.b":                                                                  false,
		`p if input.a.b == 2 with input.a.b as 2`:                                                              false,
		`p := x if x := q with input as {"a": {"b": 3}}` + "\n\nq := input.a.b":                                false,
	} {
		c, p := compiled(t, "package a\n\n"+module, "x = data.a.p", ast.NewObject())
		places, _ := placesOf(input)
		q, err := Compile(t.Context(), c, p.caps, ast.MustParseBody("x = data.a.p"), ast.NewObject(), places)
		if err != nil || q.byField != byFields {
			t.Errorf("%s: by fields %v, %v", module, q.byField, err)
		}
		if got := compare(t, c, p, ast.MustParseBody("x = data.a.p"), ast.NewObject(), input); got != same {
			t.Errorf("%s: %s", module, got)
		}
	}
}

// Statements that take the input, or what is on the way to a field, for a value have no program by fields.
func TestWholeInputIsNoFieldClosed(t *testing.T) {
	t.Parallel()
	toSection := &ir.DotStmt{Source: local(0), Key: text, Target: 4}
	for name, stmts := range map[string][]ir.Stmt{
		"read":                     {toSection, &ir.AssignVarStmt{Source: local(4), Target: 5}},
		"read in a block":          {toSection, nested(1, &ir.AssignVarStmt{Source: local(4), Target: 5})},
		"put anew":                 {toSection, &ir.AssignVarStmt{Source: local(1), Target: 4}},
		"another section":          {toSection, toSection},
		"its key a variable":       {toSection, &ir.DotStmt{Source: local(4), Key: local(1), Target: 5}},
		"another input":            {&ir.CallStmt{Func: "f", Args: []ir.Operand{local(1), local(1), local(1)}, Result: 5}},
		"the input as an argument": {&ir.CallStmt{Func: "f", Args: []ir.Operand{local(0), local(1), local(0)}, Result: 5}},
		"a call by a name":         {nested(3, &ir.CallDynamicStmt{Args: []ir.Local{1, 1}, Result: 5})},
	} {
		caps := ast.CapabilitiesForThisVersion()
		if _, err := program(t.Context(), planned(stmts...), caps, ast.NewObject(), nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := program(t.Context(), planned(stmts...), caps, ast.NewObject(), [][]string{{"a", "b"}}); !errors.Is(err, errWhole) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	beyond := &ir.DotStmt{Source: local(0), Key: ir.Operand{Value: ir.StringIndex(1)}, Target: 4}
	if _, err := program(t.Context(), planned(beyond), ast.CapabilitiesForThisVersion(), ast.NewObject(), [][]string{{"a"}}); err == nil || errors.Is(err, errWhole) {
		t.Errorf("a text that there is not: %v", err)
	}
	ofText := append([]ir.Stmt{&ir.DotStmt{Source: text, Key: text, Target: 4}}, answer(4)...)
	p, err := program(t.Context(), planned(ofText...), ast.CapabilitiesForThisVersion(), ast.NewObject(), [][]string{{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Eval(t.Context(), []*ast.Term{ast.InternedTerm(1)}, nil, topdown.NewCancel()); err != nil || len(got) != 0 {
		t.Errorf("a member of a text: %v, %v", got, err)
	}
	if _, err := program(t.Context(), planned(nested(1, toSection), nested(1, toSection)), ast.CapabilitiesForThisVersion(), ast.NewObject(), [][]string{{"a", "b"}}); err != nil {
		t.Errorf("two blocks with a section in one place: %v", err)
	}
}
