package plan

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"
)

// odd is a statement that nobody knows, and oddValue an operand.
type (
	odd      struct{ ir.Location }
	oddValue struct{ ir.Val }
)

func local(l ir.Local) ir.Operand { return ir.Operand{Value: l} }

func planned(stmts ...ir.Stmt) *ir.Policy {
	return &ir.Policy{
		Static: &ir.Static{Strings: []*ir.StringConst{{Value: "a"}}},
		Plans:  &ir.Plans{Plans: []*ir.Plan{{Blocks: []*ir.Block{{Stmts: stmts}}}}},
		Funcs: &ir.Funcs{Funcs: []*ir.Func{{
			Name: "f", Params: []ir.Local{0, 1, 3}, Return: 2, Blocks: []*ir.Block{{Stmts: []ir.Stmt{&ir.ReturnLocalStmt{Source: 3}}}},
		}}},
	}
}

func block(stmts ...ir.Stmt) *ir.Block { return &ir.Block{Stmts: stmts} }

// text is the text of planned.
var text = ir.Operand{Value: ir.StringIndex(0)}

// answer gives a local by the name a.
func answer(l ir.Local) []ir.Stmt {
	return []ir.Stmt{&ir.MakeObjectStmt{Target: 9}, &ir.ObjectInsertStmt{Key: text, Value: local(l), Object: 9}, &ir.ResultSetAddStmt{Value: 9}}
}

// nested is a statement within so many blocks.
func nested(depth int, stmt ir.Stmt) ir.Stmt {
	for range depth {
		stmt = &ir.BlockStmt{Blocks: []*ir.Block{block(stmt)}}
	}
	return stmt
}

// What is not known is refused when the policy is loaded, wherever it stands.
func TestUnknownIsRefusedClosed(t *testing.T) {
	t.Parallel()
	unknown := ir.Operand{Value: oddValue{}}
	beyond := ir.Operand{Value: ir.StringIndex(1)}
	for name, stmt := range map[string]ir.Stmt{
		"statement":             &odd{},
		"statement in a block":  &ir.BlockStmt{Blocks: []*ir.Block{block(&odd{})}},
		"statement in a not":    &ir.NotStmt{Block: block(&odd{})},
		"statement in a loop":   &ir.ScanStmt{Source: 2, Key: 3, Value: 4, Block: block(&odd{})},
		"statement in a with":   &ir.WithStmt{Local: 0, Value: local(2), Block: block(&odd{})},
		"operand":               &ir.AssignVarStmt{Source: unknown, Target: 2},
		"operand of a once":     &ir.AssignVarOnceStmt{Source: unknown, Target: 2},
		"operand of a dot":      &ir.DotStmt{Source: unknown, Key: local(2), Target: 3},
		"key of a dot":          &ir.DotStmt{Source: local(2), Key: unknown, Target: 3},
		"operand of a len":      &ir.LenStmt{Source: unknown, Target: 2},
		"left":                  &ir.EqualStmt{A: unknown, B: local(2)},
		"right":                 &ir.NotEqualStmt{A: local(2), B: unknown},
		"type":                  &ir.IsSetStmt{Source: unknown},
		"member of an array":    &ir.ArrayAppendStmt{Value: unknown, Array: 2},
		"member of a new array": &ir.BlockStmt{Blocks: []*ir.Block{block(&ir.MakeArrayStmt{Target: 2}, &ir.ArrayAppendStmt{Value: unknown, Array: 2})}},
		"member of a set":       &ir.SetAddStmt{Value: unknown, Set: 2},
		"key of an object":      &ir.ObjectInsertStmt{Key: unknown, Value: local(2), Object: 3},
		"value of an object":    &ir.ObjectInsertOnceStmt{Key: local(2), Value: unknown, Object: 3},
		"value of a with":       &ir.WithStmt{Local: 0, Value: unknown, Block: block()},
		"path of a with":        &ir.WithStmt{Local: 0, Path: []int{7}, Value: local(2), Block: block()},
		"text":                  &ir.AssignVarStmt{Source: beyond, Target: 2},
		"number":                &ir.MakeNumberRefStmt{Index: -1, Target: 2},
		"function":              &ir.CallStmt{Func: "g", Result: 2},
		"argument":              &ir.CallStmt{Func: "f", Args: []ir.Operand{local(0), local(1), unknown}, Result: 2},
		"too few arguments":     &ir.CallStmt{Func: "f", Args: []ir.Operand{local(0), local(1)}, Result: 2},
		"builtin's argument":    &ir.CallStmt{Func: "count", Args: []ir.Operand{unknown}, Result: 2},
		"builtin with a clock":  &ir.CallStmt{Func: "time.now_ns", Result: 2},
		"builtin not permitted": &ir.CallStmt{Func: "upper", Args: []ir.Operand{local(2)}, Result: 2},
		"builtin without code":  &ir.CallStmt{Func: "vitrine.unheard_of", Result: 2},
		"path of a call":        nested(3, &ir.CallDynamicStmt{Path: []ir.Operand{unknown}, Args: []ir.Local{0, 1}, Result: 2}),
		"answer of no object":   &ir.ResultSetAddStmt{Value: 2},
		"answer of another":     &ir.BlockStmt{Blocks: []*ir.Block{block(&ir.MakeObjectStmt{Target: 2}, &ir.ResultSetAddStmt{Value: 3})}},
		"answer with another":   &ir.BlockStmt{Blocks: []*ir.Block{block(&ir.MakeObjectStmt{Target: 2}, &ir.ObjectInsertStmt{Key: text, Value: text, Object: 3}, &ir.ResultSetAddStmt{Value: 2})}},
		"answer with a step":    &ir.BlockStmt{Blocks: []*ir.Block{block(&ir.MakeObjectStmt{Target: 2}, &ir.MakeNumberIntStmt{Value: 1, Target: 3}, &ir.ResultSetAddStmt{Value: 2})}},
		"answer by a variable":  &ir.BlockStmt{Blocks: []*ir.Block{block(&ir.MakeObjectStmt{Target: 2}, &ir.ObjectInsertStmt{Key: local(3), Value: text, Object: 2}, &ir.ResultSetAddStmt{Value: 2})}},
		"name of an answer":     &ir.BlockStmt{Blocks: []*ir.Block{block(&ir.MakeObjectStmt{Target: 2}, &ir.ObjectInsertStmt{Key: beyond, Value: text, Object: 2}, &ir.ResultSetAddStmt{Value: 2})}},
		"value of an answer":    &ir.BlockStmt{Blocks: []*ir.Block{block(&ir.MakeObjectStmt{Target: 2}, &ir.ObjectInsertStmt{Key: text, Value: unknown, Object: 2}, &ir.ResultSetAddStmt{Value: 2})}},
		"jump out of a loop":    &ir.ScanStmt{Source: 2, Key: 3, Value: 4, Block: block(&ir.BreakStmt{Index: 1})},
		"jump out of a block in a loop": &ir.ScanStmt{Source: 2, Key: 3, Value: 4, Block: block(
			&ir.BlockStmt{Blocks: []*ir.Block{block(&ir.BreakStmt{Index: 2})}})},
		"jump out of a not in a loop":  &ir.ScanStmt{Source: 2, Key: 3, Value: 4, Block: block(&ir.NotStmt{Block: block(&ir.BreakStmt{Index: 2})})},
		"jump out of the query":        &ir.BreakStmt{Index: 1},
		"jump out of the query, later": &ir.BlockStmt{Blocks: []*ir.Block{block(&ir.BreakStmt{Index: 2}), block()}},
		"call that may jump":           &ir.BlockStmt{Blocks: []*ir.Block{block(&ir.CallDynamicStmt{Args: []ir.Local{0, 1}, Result: 2})}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caps := ast.CapabilitiesForThisVersion()
			kept := caps.Builtins[:0]
			for _, b := range caps.Builtins {
				if b.Name != "upper" {
					kept = append(kept, b)
				}
			}
			caps.Builtins = append(kept, &ast.Builtin{Name: "vitrine.unheard_of", Decl: types.NewFunction(nil, types.N)})
			if _, err := program(t.Context(), planned(stmt), caps, ast.NewObject(), nil); err == nil {
				t.Error("it was taken")
			}
			inFunction := planned()
			inFunction.Funcs.Funcs = append(inFunction.Funcs.Funcs, &ir.Func{Name: "h", Params: []ir.Local{0, 1}, Return: 2, Blocks: []*ir.Block{block(stmt)}})
			if _, err := program(t.Context(), inFunction, caps, ast.NewObject(), nil); err == nil {
				t.Error("it was taken in a function")
			}
		})
	}
	for name, p := range map[string]*ir.Policy{
		"a function without data":    {Static: &ir.Static{}, Plans: planned().Plans, Funcs: &ir.Funcs{Funcs: []*ir.Func{{Name: "f", Params: []ir.Local{0}}}}},
		"a function of other locals": {Static: &ir.Static{}, Plans: planned().Plans, Funcs: &ir.Funcs{Funcs: []*ir.Func{{Name: "f", Params: []ir.Local{1, 0}}}}},
		"a function without input":   {Static: &ir.Static{}, Plans: planned().Plans, Funcs: &ir.Funcs{Funcs: []*ir.Func{{Name: "f", Params: []ir.Local{2, 1}}}}},
		"a function of other data":   {Static: &ir.Static{}, Plans: planned().Plans, Funcs: &ir.Funcs{Funcs: []*ir.Func{{Name: "f", Params: []ir.Local{0, 2}}}}},
		"no plan":                    {Static: &ir.Static{}, Plans: &ir.Plans{}, Funcs: &ir.Funcs{}},
		"two plans":                  {Static: &ir.Static{}, Plans: &ir.Plans{Plans: []*ir.Plan{{}, {}}}, Funcs: &ir.Funcs{}},
	} {
		if _, err := program(t.Context(), p, ast.CapabilitiesForThisVersion(), ast.NewObject(), nil); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// A statement that is given what it is not for ends the evaluation: it does not come to "undefined", which a not would turn round.
func TestWrongOperandsFailClosed(t *testing.T) {
	t.Parallel()
	for name, stmt := range map[string]ir.Stmt{
		"equal to nothing":     &ir.EqualStmt{A: local(5), B: text},
		"nothing is equal":     &ir.EqualStmt{A: text, B: local(5)},
		"different to nothing": &ir.NotEqualStmt{A: local(5), B: text},
		"nothing is different": &ir.NotEqualStmt{A: text, B: local(5)},
		"nothing, once":        &ir.AssignVarOnceStmt{Source: local(5), Target: 7},
		"at nothing":           &ir.DotStmt{Source: local(6), Key: local(5), Target: 7},
		"length of a number":   &ir.LenStmt{Source: local(2), Target: 3},
		"length of nothing":    &ir.LenStmt{Source: local(5), Target: 3},
		"append to a number":   &ir.ArrayAppendStmt{Value: text, Array: 2},
		"append nothing":       &ir.ArrayAppendStmt{Value: local(5), Array: 4},
		"array of nothing":     &ir.BlockStmt{Blocks: []*ir.Block{{Stmts: []ir.Stmt{&ir.MakeArrayStmt{Target: 7}, &ir.ArrayAppendStmt{Value: local(5), Array: 7}}}}},
		"add to a number":      &ir.SetAddStmt{Value: text, Set: 2},
		"add nothing":          &ir.SetAddStmt{Value: local(5), Set: 3},
		"insert into a number": &ir.ObjectInsertStmt{Key: text, Value: text, Object: 2},
		"insert nothing":       &ir.ObjectInsertStmt{Key: text, Value: local(5), Object: 6},
		"insert at nothing":    &ir.ObjectInsertOnceStmt{Key: local(5), Value: text, Object: 6},
		"merge a number":       &ir.ObjectMergeStmt{A: 2, B: 6, Target: 3},
		"merge with a number":  &ir.ObjectMergeStmt{A: 6, B: 2, Target: 3},
		"answer nothing":       &ir.BlockStmt{Blocks: []*ir.Block{block(answer(5)...)}},
		"call of a builtin":    &ir.CallStmt{Func: "count", Args: []ir.Operand{local(5)}, Result: 3},
		"a builtin that fails": &ir.CallStmt{Func: "to_number", Args: []ir.Operand{text}, Result: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := planned(&ir.MakeNumberIntStmt{Value: 1, Target: 2}, &ir.MakeSetStmt{Target: 3}, &ir.MakeArrayStmt{Target: 4}, &ir.MakeObjectStmt{Target: 6},
				&ir.NotStmt{Block: &ir.Block{Stmts: []ir.Stmt{stmt}}})
			c, err := program(t.Context(), p, ast.CapabilitiesForThisVersion(), ast.NewObject(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := evaluated(t, c, nil, topdown.NewCancel()); err == nil {
				t.Errorf("got %v, and no error", got)
			}
		})
	}
}

func rules(t testing.TB, module string) *ast.Compiler {
	t.Helper()
	c, err := ast.CompileModulesWithOpt(map[string]string{"a.rego": module}, ast.CompileOpts{ParserOptions: ast.ParserOptions{RegoVersion: ast.RegoV1}})
	if err != nil {
		t.Fatal(module, err)
	}
	return c
}

// compiled is a module's program for a query.
func compiled(t testing.TB, module, query string, data ast.Value) (*ast.Compiler, *Program) {
	t.Helper()
	c := rules(t, module)
	p, err := Compile(t.Context(), c, ast.CapabilitiesForThisVersion(), ast.MustParseBody(query), data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, p
}

// Documents that several rules put together in place are what they would be if they had been written down, wherever they are
// compared: as members of sets, as keys, as values.
func TestDocumentsPutTogetherInPlace(t *testing.T) {
	t.Parallel()
	_, p := compiled(t, `package a

deep[x][y] contains z if { some x in ["k", "l"]; some y, z in {"k": 1, "l": 2} }

sets[x] contains y if { some x in ["a", "b", "a"]; some y in input.ys }

objects[x][y] := z if { some x in ["a", "b"]; some y in ["c", "d"]; z := concat("", [x, y]) }

mixed.fixed.a := 1
mixed.fixed[k] := v if some k, v in {"b": 2, "c": 3}
mixed[k].more contains 4 if some k in ["fixed", "other"]

in_set if sets in {{"a": {1, 2, 3}, "b": {1, 2, 3}}}
as_key if {sets: 1}[{"a": {1, 2, 3}, "b": {1, 2, 3}}] == 1
objects_in_set if {"v": objects} in {{"v": {"a": {"c": "ac", "d": "ad"}, "b": {"c": "bc", "d": "bd"}}}}
same_hash if count({objects, {"a": {"c": "ac", "d": "ad"}, "b": {"c": "bc", "d": "bd"}}}) == 1
inner if count({objects.a, {"c": "ac", "d": "ad"}, sets.a, {1, 2, 3}}) == 2

once[x][y] := z if { some x in ["a"]; some y, z in input.ys }
changed_once if once in {{"a": {0: 1, 1: 2, 2: 3, 3: 2}}}
twice[x][y] := z if { some x in ["a"]; some y, z in [1, 2]; input }
changed if twice in {{"a": {0: 1, 1: 2}}}
`, "changed_once = data.a.changed_once; changed = data.a.changed; in_set = data.a.in_set; as_key = data.a.as_key; objects_in_set = data.a.objects_in_set; same = data.a.same_hash; inner = data.a.inner", ast.NewObject())
	got, err := evaluated(t, p, ast.MustParseTerm(`{"ys": [1, 2, 3, 2]}`), topdown.NewCancel())
	want := ast.MustParseTerm(`{"changed_once": true, "changed": true, "in_set": true, "as_key": true, "objects_in_set": true, "same": true, "inner": true}`)
	if err != nil || len(got) != 1 || got[0].Compare(want.Value) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

// A key of the data that topdown takes for the part of a path is an error here, as it may find there what we do not, or fail where
// we find nothing.
func TestKeysOfDataClosed(t *testing.T) {
	t.Parallel()
	data := ast.MustParseTerm(`{"o": {"1": "x", "true": "y"}, "l": ["z"], "s": "text"}`).Value
	for expr, fails := range map[string]bool{
		`data.o[1]`: true, `data.o[input.one]`: true, `data.l["0"]`: true, `data.o[input.list]`: true, `data.o[input.yes]`: true, `data.l[input.list]`: true,
		`data.s[input.list]`: true, `data.o["1"]`: false, `data.l[0]`: false, `data.l[input.zero]`: false, `data.o.missing`: false, `data.s.x`: false,
	} {
		for _, form := range []string{"package a\n\np := " + expr, "package a\n\np if not " + expr, "package a\n\np if { x := " + expr[:6] + "; y := x; not y" + expr[6:] + " }"} {
			_, p := compiled(t, form, "x = data.a.p", data)
			_, err := evaluated(t, p, ast.MustParseTerm(`{"one": 1, "zero": 0, "list": ["1"], "yes": true}`), topdown.NewCancel())
			if (err != nil) != fails {
				t.Errorf("%s: %v", form, err)
			}
		}
	}
}

// Whoever cancels an evaluation ends it: in a loop, in a call and before a builtin.
func TestCancelClosed(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{
		"loop":    `input.list[_]`,
		"call":    `data.a.p`,
		"builtin": `count(input.list)`,
	} {
		_, p := compiled(t, "package a\n\np if input.list", query, ast.NewObject())
		input := ast.MustParseTerm(`{"list": [1]}`)
		if got, err := evaluated(t, p, input, topdown.NewCancel()); err != nil || len(got) != 1 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		cancel := topdown.NewCancel()
		cancel.Cancel()
		if got, err := evaluated(t, p, input, cancel); !errors.Is(err, errCancelled) {
			t.Errorf("%s, cancelled: %v, %v", name, got, err)
		}
	}
	_, p := compiled(t, "package a\n\np if { some a in input.list; some b in input.list; some c in input.list; some d in input.list; a + b + c + d == 0 }", "x = data.a.p", ast.NewObject())
	list := ast.NewArray()
	for i := range 2000 {
		list = list.Append(ast.InternedTerm(i + 1))
	}
	cancel := topdown.NewCancel()
	time.AfterFunc(10*time.Millisecond, cancel.Cancel)
	if got, err := evaluated(t, p, ast.ObjectTerm(ast.Item(ast.StringTerm("list"), ast.NewTerm(list))), cancel); !errors.Is(err, errCancelled) {
		t.Errorf("got %v, %v", got, err)
	}
}

// What reads no input is evaluated when the program is made, and asked anew where other data is put to it.
func TestWhatReadsNoInputIsSettled(t *testing.T) {
	const module = `package a

big := [x | some x in numbers.range(1, data.n)]

size := count({x | some x in big; x > 0})

asks := input.x + size

p contains asks

p contains y if y := size with data.n as 3

p contains y if y := asks with input.x as 7 with data.n as 1
`
	_, p := compiled(t, module, "x = data.a.p", ast.MustParseTerm(`{"n": 1000}`).Value)
	got, err := evaluated(t, p, ast.MustParseTerm(`{"x": 1}`), topdown.NewCancel())
	if err != nil || len(got) != 1 || got[0].Compare(ast.MustParseTerm(`{"x": {1001, 3, 8}}`).Value) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	// Neither big nor size is made again.
	n := testing.AllocsPerRun(10, func() {
		if _, err := evaluated(t, p, ast.MustParseTerm(`{"x": 1}`), topdown.NewCancel()); err != nil {
			t.Fatal(err)
		}
	})
	if n > 500 {
		t.Errorf("%v allocations", n)
	}
}

// What an evaluation found is gone when the next one begins, in the query's own slots too.
func TestEvaluationsOneAfterAnother(t *testing.T) {
	p, err := program(t.Context(), planned(append([]ir.Stmt{&ir.AssignVarOnceStmt{Source: local(0), Target: 4}}, answer(4)...)...), ast.CapabilitiesForThisVersion(), ast.NewObject(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`{"x": 1}`, `{"x": 2}`, `{"x": 3}`} {
		input := ast.MustParseTerm(text)
		got, err := evaluated(t, p, input, topdown.NewCancel())
		if err != nil || len(got) != 1 || got[0].Get(ast.StringTerm("a")).Value.Compare(input.Value) != 0 {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
}

// An array is made in one step, of what stands in its places then: what is appended later, or is the array itself, is not.
func TestArraysAreMadeWhole(t *testing.T) {
	t.Parallel()
	p, err := program(t.Context(), planned(append([]ir.Stmt{
		&ir.MakeArrayStmt{Target: 4}, &ir.ArrayAppendStmt{Value: text, Array: 4}, &ir.ArrayAppendStmt{Value: local(4), Array: 4},
		&ir.MakeNumberIntStmt{Value: 1, Target: 5}, &ir.ArrayAppendStmt{Value: local(5), Array: 4},
	}, answer(4)...)...), ast.CapabilitiesForThisVersion(), ast.NewObject(), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := evaluated(t, p, nil, topdown.NewCancel())
	if err != nil || len(got) != 1 || got[0].Compare(ast.MustParseTerm(`{"a": ["a", ["a"], 1]}`).Value) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

// Evaluations share a program and its constants, and nothing that they make.
func TestEvaluationsAtOneTime(t *testing.T) {
	t.Parallel()
	_, p := compiled(t, `package a

fixed := {"b", "a", "c"}

named[x] contains y if { some x in fixed; some y in input.ys }

all := [x | some x in named[input.of]]
`, "x = data.a.all", ast.NewObject())
	var wg sync.WaitGroup
	for i := range 8 {
		input := ast.MustParseTerm(`{"of": "a", "ys": [` + strings.Repeat("0,", i) + `1]}`)
		want := ast.MustParseTerm(`{"x": [0, 1]}`)
		if i == 0 {
			want = ast.MustParseTerm(`{"x": [1]}`)
		}
		wg.Go(func() {
			for range 50 {
				got, err := evaluated(t, p, input, topdown.NewCancel())
				if err != nil || len(got) != 1 || got[0].Compare(want.Value) != 0 {
					t.Errorf("got %v, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}

// A function is given what nothing in it reads, too: that needs a place like the rest.
func TestFunctionsThatReadNothing(t *testing.T) {
	t.Parallel()
	query, input := ast.MustParseBody("x = data.a.p"), ast.MustParseTerm(`{"a": 1}`)
	for _, module := range []string{
		"default f(_) := true\n\np := f(input.a)",
		"default f(_, _) := 2\n\np := f(1, 2)",
		"default f(_, _, _) := 2\n\nf(x, _, _) := 3 if x == 2\n\np := f(input.a, 2, 3)",
	} {
		c, p := compiled(t, "package a\n\n"+module, "x = data.a.p", ast.NewObject())
		if got := compare(t, c, p, query, ast.NewObject(), input); got != same {
			t.Errorf("%s: %s", module, got)
		}
		if got, err := evaluated(t, p, input, topdown.NewCancel()); err != nil || len(got) != 1 {
			t.Errorf("%s: %v, %v", module, got, err)
		}
	}
}

// To topdown the set, or the object, that rules put together is an empty one if none of them holds, which is something, wherever its place has a constant for a
// name; to OPA's planner it is nothing if that is no text, and a not would say yes to it.
func TestPutTogetherAtNamesThatAreNoTextsClosed(t *testing.T) {
	t.Parallel()
	query := ast.MustParseBody("x = data.a.p")
	for rule, refused := range map[string]bool{
		`q[1] contains "x" if input.b`:              true,
		`q.k[true] contains "x" if input.b`:         true,
		`q[null] contains "x" if input.b`:           true,
		`q[1][x] := "x" if some x in input.list`:    true,
		`q[1][x].y if some x in input.list`:         true,
		`q[1].x := "y" if input.b`:                  true,
		`q.k[x] := "x" if some x in input.list`:     false,
		`q["1"] contains "x" if input.b`:            false,
		`q contains 1 if input.b`:                   false,
		`q[x] contains "x" if some x in input.list`: false,
		`q[1] := "x" if input.b`:                    false,
	} {
		c := rules(t, "package a\n\n"+rule+"\n\np := [count(q), q, [1 | not q[input.one]]]")
		p, err := Compile(t.Context(), c, ast.CapabilitiesForThisVersion(), query, ast.NewObject(), nil)
		if errors.Is(err, errDiffers) != refused {
			t.Errorf("%s: %v", rule, err)
		}
		for _, input := range []string{`{"one": 1}`, `{"one": 1, "b": 1}`, `{"one": "x", "list": [1, 2]}`} {
			if err != nil {
				break
			}
			if got := compare(t, c, p, query, ast.NewObject(), ast.MustParseTerm(input)); got != same {
				t.Errorf("%s, %s: %s", rule, input, got)
			}
		}
	}
}

// A comprehension that is all of an expression is always something, so that the planner leaves it out; to topdown what fails in there fails.
func TestComprehensionsOfWhichNothingIsAskedClosed(t *testing.T) {
	t.Parallel()
	query := ast.MustParseBody("x = data.a.p")
	for body, refused := range map[string]bool{
		`[1 | to_number(input.a) == 1]`:                               true,
		`{1 | to_number(input.a) == 1}; input.a`:                      true,
		`{1: 2 | to_number(input.a) == 1} with input.b as 1`:          true,
		`some x in [1]; {y | some y in [x]; to_number(input.a)}`:      true,
		`input.a; not input.b; every x in [1] { [to_number(x) | x] }`: true,
		`[1 | to_number(input.a) == 1] == [1]`:                        false,
		`x := [1 | to_number(input.a) == 1]; count(x) == 1`:           false,
		`input.list[count([1 | to_number(input.a) == 1])]`:            false,
	} {
		c := rules(t, "package a\n\np if { "+body+" }")
		p, err := Compile(t.Context(), c, ast.CapabilitiesForThisVersion(), query, ast.NewObject(), nil)
		if errors.Is(err, errDiffers) != refused {
			t.Errorf("%s: %v", body, err)
		}
		for _, input := range []string{`{"a": "x"}`, `{"a": 1, "list": [1, 2]}`} {
			if err != nil {
				break
			}
			if got := compare(t, c, p, query, ast.NewObject(), ast.MustParseTerm(input)); got != same {
				t.Errorf("%s, %s: %s", body, input, got)
			}
		}
	}
}
