package plan

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"
)

// asked evaluates a query, whose input may be "".
func asked(t *testing.T, p *Program, input string) (string, error) {
	t.Helper()
	var in *ast.Term
	if input != "" {
		in = ast.MustParseTerm(input)
	}
	cancel := topdown.NewCancel()
	defer time.AfterFunc(30*time.Second, cancel.Cancel).Stop()
	got, err := evaluated(t, p, in, cancel)
	return setOf(got).String(), err
}

// Each rule comes to what topdown says, or fails where it fails.
func TestRulesComeToWhatTopdownSays(t *testing.T) {
	t.Parallel()
	data := ast.MustParseTerm(`{"n": 1, "b": {"p": 5, "o": {"x": 1}}}`).Value
	for name, tc := range map[string]struct{ module, input, want string }{
		"a rule asked again with other data":        {"q := input.x + data.n\n\np := [q, y] if y := q with data.n as 3", `{"x": 1}`, `{{"x": [2, 4]}}`},
		"a rule asked again with other input":       {"q := input.x + data.n\n\np := [q, y] if y := q with input.x as 3", `{"x": 1}`, `{{"x": [2, 4]}}`},
		"input as an argument":                      {"f(o) := o.x\n\np := f(input)", `{"x": 1}`, `{{"x": 1}}`},
		"no input":                                  {"q := 1 if not input\n\np := q", "", `{{"x": 1}}`},
		"a list in which the first member fails":    {"p if { some x in input; upper(x) == \"A\" }", `[1, "a"]`, ""},
		"a set in which the first member fails":     {"p if { some x in input; upper(x) == \"A\" }", `{1, "a"}`, ""},
		"an object in which the first member fails": {"p if { some x in input; upper(x) == \"A\" }", `{"a": 1, "b": "a"}`, ""},
		"data in the place of a package":            {"p := x if x := data.b with data.b.o as 2", "", `{{"x": {"o": 2, "p": 5}}}`},
		"not of what fails":                         {"p if not upper(input) == \"A\"", `1`, ""},
		"not of what is undefined":                  {"p if not input.x", `{"y": 1}`, `{{"x": true}}`},
		"not of what holds":                         {"p if not input.x", `{"x": 1}`, `set()`},
	} {
		c, p := compiled(t, "package a\n\n"+tc.module, "x = data.a.p", data)
		got, err := asked(t, p, tc.input)
		if (err != nil) != (tc.want == "") || err == nil && got != tc.want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		var in *ast.Term
		if tc.input != "" {
			in = ast.MustParseTerm(tc.input)
		}
		if got := compare(t, c, p, ast.MustParseBody("x = data.a.p"), data, in); got != same {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// However many ask a rule, it is evaluated once for an input: or a policy in which every rule asks two others never ends.
func TestARuleIsEvaluatedOnce(t *testing.T) {
	_, p := compiled(t, `package a

q := count(numbers.range(1, input.n))

p := count([q | some _ in numbers.range(1, 100)])
`, "x = data.a.p", ast.NewObject())
	input := ast.MustParseTerm(`{"n": 2000}`)
	n := testing.AllocsPerRun(5, func() {
		if _, err := evaluated(t, p, input, topdown.NewCancel()); err != nil {
			t.Fatal(err)
		}
	})
	if n > 50_000 {
		t.Errorf("%v allocations", n)
	}
}

// To load a policy ends when whoever loads it has had enough, though a rule that reads no input takes for ever.
func TestLoadingIsEndedClosed(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	c := rules(t, `package a

list := numbers.range(1, 10000)

p if { some a in list; some b in list; some c in list; some d in list; a + b + c + d == 0 }
`)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p, err := Compile(ctx, c, ast.CapabilitiesForThisVersion(), ast.MustParseBody("x = data.a.p"), ast.NewObject(), nil)
		if err != nil {
			return
		}
		ended := topdown.NewCancel()
		ended.Cancel()
		if got, err := evaluated(t, p, nil, ended); err == nil {
			t.Errorf("what was not evaluated came to %v", got)
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("it is still being loaded")
	}
}

// A query that cannot be planned is refused with what is wrong with it.
func TestQueryThatCannotBePlannedClosed(t *testing.T) {
	t.Parallel()
	_, err := Compile(t.Context(), rules(t, "package a\n\np := 1"), ast.CapabilitiesForThisVersion(), ast.MustParseBody("x = y"), ast.NewObject(), nil)
	if err == nil || !strings.Contains(err.Error(), "unsafe") {
		t.Errorf("got %v", err)
	}
}

// Statements that rules seldom come to, each with how many answers there are, or -1 where it fails. Each stands four blocks deep, in each
// of which what follows the statement is an answer, and so is what follows the block; the last answer follows them all.
func TestStatements(t *testing.T) {
	topdown.RegisterBuiltinFunc("vitrine.silent", func(topdown.BuiltinContext, []*ast.Term, func(*ast.Term) error) error { return nil })
	topdown.RegisterBuiltinFunc("vitrine.twice", func(_ topdown.BuiltinContext, _ []*ast.Term, give func(*ast.Term) error) error {
		if err := give(ast.InternedTerm(1)); err != nil {
			return err
		}
		return give(ast.InternedTerm(2))
	})
	caps := ast.CapabilitiesForThisVersion()
	caps.Builtins = append(caps.Builtins, &ast.Builtin{Name: "vitrine.twice", Decl: types.NewFunction(nil, types.N)},
		&ast.Builtin{Name: "vitrine.silent", Decl: types.NewFunction(nil, types.N)})

	const all, left, none = 9, 8, 2 // it holds, its block is left, and so are those around it
	names := []string{"rules", "holds", "undefined", "fails", "function", ""}
	name := func(s string) ir.Operand { return ir.Operand{Value: ir.StringIndex(slices.Index(names, s))} }
	dynamic := func(path ...ir.Operand) ir.Stmt {
		return &ir.CallDynamicStmt{Path: path, Args: []ir.Local{0, 1}, Result: 5}
	}
	wrong := &ir.LenStmt{Source: local(3), Target: 5}
	never := &ir.IsSetStmt{Source: local(2)}
	for what, tc := range map[string]struct {
		stmt ir.Stmt
		want int
	}{
		"a builtin that answers twice":         {&ir.CallStmt{Func: "vitrine.twice", Result: 5}, -1},
		"a builtin that does not answer":       {&ir.CallStmt{Func: "vitrine.silent", Result: 5}, left},
		"a builtin that has nothing to answer": {&ir.CallStmt{Func: "internal.print", Args: []ir.Operand{local(4)}, Result: 5}, all},
		"with an input, what is undefined":     {&ir.WithStmt{Local: 0, Value: local(2), Block: block(never)}, left},
		"with an input, what holds":            {&ir.WithStmt{Local: 0, Value: local(2), Block: block()}, all},
		"with an input, what fails":            {&ir.WithStmt{Local: 0, Value: local(2), Block: block(wrong)}, -1},
		"with an input, a jump":                {&ir.WithStmt{Local: 0, Value: local(2), Block: block(&ir.BreakStmt{Index: 4})}, none},
		"not a jump":                           {&ir.NotStmt{Block: block(&ir.BreakStmt{Index: 4})}, none},
		"not what is undefined":                {&ir.NotStmt{Block: block(never)}, all},
		"not what holds":                       {&ir.NotStmt{Block: block()}, left},
		"not what fails":                       {&ir.NotStmt{Block: block(wrong)}, -1},
		"a rule by its name":                   {dynamic(name("rules"), name("holds")), all},
		"a rule that is undefined":             {dynamic(name("rules"), name("undefined")), none},
		"a rule that fails":                    {dynamic(name("rules"), name("fails")), -1},
		"the name of a package":                {dynamic(name("rules")), left},
		"a name that nothing has":              {dynamic(name("holds")), left},
		"a number for a name":                  {dynamic(name("rules"), local(3)), left},
		"a function that has arguments":        {dynamic(name("rules"), name("function")), -1},
	} {
		p := planned(&ir.MakeObjectStmt{Target: 2}, &ir.MakeNumberIntStmt{Value: 1, Target: 3}, &ir.MakeArrayStmt{Target: 4})
		p.Static.Strings = nil
		for _, s := range names {
			p.Static.Strings = append(p.Static.Strings, &ir.StringConst{Value: s})
		}
		rule := func(name string, params []ir.Local, stmts ...ir.Stmt) {
			p.Funcs.Funcs = append(p.Funcs.Funcs, &ir.Func{Name: name, Path: []string{"rules", name}, Params: params, Return: 2, Blocks: []*ir.Block{block(stmts...)}})
		}
		returns := &ir.ReturnLocalStmt{Source: 3}
		rule("holds", []ir.Local{0, 1}, &ir.MakeNumberIntStmt{Value: 1, Target: 3}, returns)
		rule("", []ir.Local{0, 1}, &ir.MakeNumberIntStmt{Value: 1, Target: 3}, returns)
		rule("undefined", []ir.Local{0, 1})
		rule("fails", []ir.Local{0, 1}, &ir.MakeNumberIntStmt{Value: 1, Target: 3}, wrong)
		rule("function", []ir.Local{0, 1, 3}, returns)
		empty, given := &ir.MakeObjectStmt{Target: 6}, &ir.ResultSetAddStmt{Value: 6}
		stmt := tc.stmt
		for range 4 {
			stmt = &ir.BlockStmt{Blocks: []*ir.Block{block(stmt, empty, given), block(empty, given)}}
		}
		query := p.Plans.Plans[0].Blocks[0]
		query.Stmts = append(query.Stmts, stmt, empty, given)
		c, err := program(t.Context(), p, caps, ast.NewObject(), nil)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		got, err := evaluated(t, c, nil, topdown.NewCancel())
		if (err != nil) != (tc.want < 0) || err == nil && len(got) != tc.want {
			t.Errorf("%s: %d answers, %v", what, len(got), err)
		}
	}
}

// An object has what was last put into it.
func TestInsertReplaces(t *testing.T) {
	t.Parallel()
	p := planned(append([]ir.Stmt{
		&ir.MakeObjectStmt{Target: 2},
		&ir.ObjectInsertStmt{Key: text, Value: ir.Operand{Value: ir.Bool(false)}, Object: 2},
		&ir.ObjectInsertStmt{Key: text, Value: ir.Operand{Value: ir.Bool(true)}, Object: 2},
	}, answer(2)...)...)
	c, err := program(t.Context(), p, ast.CapabilitiesForThisVersion(), ast.NewObject(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := asked(t, c, ""); err != nil || got != `{{"a": {"a": true}}}` {
		t.Errorf("%s, %v", got, err)
	}
}

// A rule that does nothing with the input but hand it on is not settled without it.
func TestInputHandedOnIsRead(t *testing.T) {
	t.Parallel()
	p := planned(append([]ir.Stmt{&ir.CallStmt{Func: "h", Args: []ir.Operand{local(0), local(1)}, Result: 2}}, answer(2)...)...)
	p.Funcs.Funcs = append(p.Funcs.Funcs, &ir.Func{Name: "h", Params: []ir.Local{0, 1}, Return: 2, Blocks: []*ir.Block{block(
		&ir.CallStmt{Func: "f", Args: []ir.Operand{local(0), local(1), local(0)}, Result: 3}, &ir.ReturnLocalStmt{Source: 3})}})
	c, err := program(t.Context(), p, ast.CapabilitiesForThisVersion(), ast.NewObject(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := asked(t, c, `{"a": 1}`); err != nil || got != `{{"a": {"a": 1}}}` {
		t.Errorf("%s, %v", got, err)
	}
}

// What may have been found in the data is asked for keys of the data's kind only, though another block may have put something else in its place.
func TestKeyOfWhatMayBeOfDataClosed(t *testing.T) {
	t.Parallel()
	p := planned(&ir.MakeNumberIntStmt{Value: 1, Target: 2}, &ir.DotStmt{Source: local(1), Key: ir.Operand{Value: ir.StringIndex(0)}, Target: 4},
		&ir.BlockStmt{Blocks: []*ir.Block{block(&ir.IsSetStmt{Source: local(2)}, &ir.AssignVarStmt{Source: local(2), Target: 4})}},
		&ir.NotStmt{Block: block(&ir.DotStmt{Source: local(4), Key: local(2), Target: 5})})
	c, err := program(t.Context(), p, ast.CapabilitiesForThisVersion(), ast.MustParseTerm(`{"a": {"1": 2}}`).Value, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := asked(t, c, ""); !errors.Is(err, errKey) {
		t.Errorf("%s, %v", got, err)
	}
}

// Where the data has something that is no object, and rules say what is in it, it is the data's.
func TestDataAndRulesOfOneName(t *testing.T) {
	t.Parallel()
	data := ast.MustParseTerm(`{"a": {"b": 5, "c": {"d": 1}}}`).Value
	query := ast.MustParseBody("x = data.a")
	c := ast.MustCompileModules(map[string]string{"b.rego": "package a.b\n\nq := 1 if input", "c.rego": "package a.c\n\nd := 2 if input\n\ne := 3 if input"})
	p, err := Compile(t.Context(), c, ast.CapabilitiesForThisVersion(), query, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := asked(t, p, "{}"); err != nil || got != `{{"x": {"b": 5, "c": {"d": 1, "e": 3}}}}` {
		t.Errorf("%s, %v", got, err)
	}
	if got := compare(t, c, p, query, data, ast.MustParseTerm("{}")); got != same {
		t.Error(got)
	}
}

// An array has what was put into it, in that order, whatever other arrays are made beside it, and one that is put into itself is put in as it was.
func TestArraysBesideEachOther(t *testing.T) {
	t.Parallel()
	value := ir.Operand{Value: ir.Bool(true)}
	for want, stmts := range map[string][]ir.Stmt{
		`{{"a": [true, true]}}`: {&ir.ArrayAppendStmt{Array: 3, Value: value}, &ir.ArrayAppendStmt{Array: 4, Value: local(3)}, &ir.ArrayAppendStmt{Array: 3, Value: value}},
		`{{"a": [[true]]}}`:     {&ir.ArrayAppendStmt{Array: 4, Value: value}, &ir.ArrayAppendStmt{Array: 3, Value: local(4)}},
		`{{"a": [[]]}}`:         {&ir.ArrayAppendStmt{Array: 3, Value: local(3)}},
		`{{"a": []}}`:           nil,
	} {
		p := planned(append([]ir.Stmt{&ir.MakeArrayStmt{Target: 4}, &ir.MakeArrayStmt{Target: 3}}, append(stmts, answer(3)...)...)...)
		c, err := program(t.Context(), p, ast.CapabilitiesForThisVersion(), ast.NewObject(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := asked(t, c, ""); err != nil || got != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}
