package plan

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/test/cases"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/util"
)

// TestComplianceCases holds the evaluation to OPA's own cases for evaluators, about four thousand, as topdown answers them with strict errors: each is answered
// alike, or fails alike. What may be otherwise is listed: a refusal when the rules are loaded, and an error where topdown has none.
func TestComplianceCases(t *testing.T) {
	for version, rego := range map[string]ast.RegoVersion{"v0": ast.RegoV0, "v1": ast.RegoV1} {
		n := map[string]int{}
		for _, tc := range complianceCases(t, version) {
			t.Run(version+"/"+tc.Note, func(t *testing.T) {
				for k, v := range tc.Env {
					t.Setenv(k, v)
				}
				outcome := compliance(t, rego, tc)
				n[outcome]++
				if want := exception(tc.Note); want != "" && want != outcome {
					t.Errorf("%s, and not %s, as the list of exceptions says", outcome, want)
				} else if want == "" && outcome != same && outcome != impure {
					t.Error(outcome)
				}
			})
		}
		if n[same] < 1900 || n[impure] > 95 {
			t.Errorf("%s: %v", version, n)
		}
	}
}

// What can become of a case.
const (
	same   = "the same answer, or an error where topdown has one"
	impure = "refused, as a builtin needs more than its arguments"
	onData = "an error, as a key of the data may mean several things"
	absent = "not compiled, as it calls a builtin of topdown's own tests"
)

// exception is what becomes of a case that is not answered, "" of others.
func exception(note string) string {
	switch note {
	case "time/time caching":
		return absent
	case "baseandvirtualdocs/base/virtual: ground key", "compositebasedereference/array", "compositebasedereference/object", "compositebasedereference/set",
		"data/negative case: nested integer", "data/nested integer", "data/toplevel integer", "eqexpr/indexing: intersection",
		"evaltermexpr/ref undefined (path)", "varreferences/embedded ref binding", "withkeyword/with rule chain":
		return onData
	}
	return ""
}

// complianceCases are in OPA's module, as files.
func complianceCases(t *testing.T, version string) []cases.TestCase {
	t.Helper()
	load := reflect.ValueOf(cases.Load).Pointer()
	file, _ := runtime.FuncForPC(load).FileLine(load)
	set, err := cases.Load(filepath.Join(filepath.Dir(file), "testdata", version))
	if err != nil {
		t.Fatal(err)
	}
	return set.Sorted().Cases
}

func compliance(t *testing.T, rego ast.RegoVersion, tc cases.TestCase) (outcome string) {
	t.Helper()
	caps := ast.CapabilitiesForThisVersion(ast.CapabilitiesExperimentalKeywords(tc.ExperimentalKeywords))
	modules := map[string]string{}
	for i, m := range tc.Modules {
		modules[fmt.Sprintf("test-%d.rego", i)] = m
	}
	c, err := ast.CompileModulesWithOpt(modules, ast.CompileOpts{ParserOptions: ast.ParserOptions{RegoVersion: rego, Capabilities: caps}})
	if err != nil {
		return absent
	}
	data := ast.Value(ast.NewObject())
	if tc.Data != nil {
		data = ast.MustInterfaceToValue(*tc.Data)
	}
	var input *ast.Term
	if tc.InputTerm != nil {
		input = ast.MustParseTerm(*tc.InputTerm)
	} else if tc.Input != nil {
		input = ast.NewTerm(ast.MustInterfaceToValue(*tc.Input))
	}
	query := ast.MustParseBody(tc.Query)
	p, err := Compile(t.Context(), c, caps, query, data)
	if err != nil {
		if strings.Contains(err.Error(), "needs more than its arguments") {
			return impure
		}
		return err.Error()
	}
	return compare(t, c, p, query, data, input)
}

// compare says whether a program answers as topdown does.
func compare(t *testing.T, c *ast.Compiler, p *Program, query ast.Body, data ast.Value, input *ast.Term) (outcome string) {
	t.Helper()
	cancel := topdown.NewCancel()
	defer time.AfterFunc(30*time.Second, cancel.Cancel).Stop()
	got, err := p.Eval(t.Context(), input, cancel)
	want, wantErr := byTopdown(t, c, query, data, input, cancel)
	switch {
	case cancel.Cancelled(), err != nil && wantErr != nil:
		return same
	case errors.Is(err, errKey):
		return onData
	case err != nil:
		return "an error: " + err.Error()
	case wantErr != nil:
		return fmt.Sprintf("no error but %v, and topdown fails: %v", got, wantErr)
	}
	all := ast.NewSet()
	for _, o := range got {
		all.Add(ast.NewTerm(o))
	}
	if all.Compare(want) != 0 {
		return fmt.Sprintf("%v, and topdown says %v", all, want)
	}
	return same
}

func byTopdown(t *testing.T, c *ast.Compiler, query ast.Body, data ast.Value, input *ast.Term, cancel topdown.Cancel) (ast.Set, error) {
	t.Helper()
	q, err := c.QueryCompiler().Compile(query.Copy())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := ast.JSON(data)
	if err != nil {
		t.Fatal(err)
	}
	store := inmem.NewFromObject(plain.(map[string]any))
	txn, err := store.NewTransaction(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := ast.NewSet()
	answers, err := topdown.NewQuery(q).WithCompiler(c).WithStore(store).WithTransaction(txn).WithInput(input).WithCancel(cancel).WithStrictBuiltinErrors(true).Run(t.Context())
	for _, r := range answers {
		o := ast.NewObject()
		for k, v := range r {
			if !strings.HasPrefix(string(k), "__localq") {
				o.Insert(ast.StringTerm(string(k)), v)
			}
		}
		out.Add(ast.NewTerm(o))
	}
	return out, err
}

// FuzzPlan looks for rules that come to something else than with topdown, or to something where that fails.
func FuzzPlan(f *testing.F) {
	for _, module := range []string{
		"p contains x if some x in input.a", "p := x if { x := input.b; not x == 1 } else := 2", "p[k].v contains v if some k, v in input", "default p := 3\n\np if every x in input.a { x > 0 }",
		"q(x) := y if { y := x + 1 }\n\np := [y | y := q(input.a[_])]", "p := input.c with input.c as 5", "p if data.d.o[input.b]", "p := {k: v | some k, v in data.d.l}", "p := data.a",
		"p contains 1 if input.a[0] == 1 with data.d.l as [2]\n\np contains count(data.d.l)", "p := walk(input)", "p.a.b := 1\n\np.a.c := input.b", "p := 1 if input.a\n\np := 2 if input.b",
	} {
		f.Add(module, `{"a": [1, 2], "b": "x", "c": {"d": null}}`)
	}
	data := ast.MustParseTerm(`{"d": {"l": [1, "a", {"b": 2}], "o": {"1": "x", "x": [true]}}}`).Value
	caps := ast.CapabilitiesForThisVersion()
	f.Fuzz(func(t *testing.T, module, input string) {
		c, err := ast.CompileModulesWithOpt(map[string]string{"a.rego": "package a\n\n" + module}, ast.CompileOpts{ParserOptions: ast.ParserOptions{RegoVersion: ast.RegoV1}})
		if err != nil || len(input) > 1<<10 {
			return
		}
		var plain any
		if util.UnmarshalJSON([]byte(input), &plain) != nil {
			return
		}
		in := ast.NewTerm(ast.MustInterfaceToValue(plain))
		query := ast.MustParseBody("x = data.a.p")
		p, err := Compile(t.Context(), c, caps, query, data)
		if err != nil {
			return
		}
		if got := compare(t, c, p, query, data, in); got != same && got != onData && !strings.HasPrefix(got, "an error: ") {
			t.Error(got)
		}
	})
}
