package plan

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
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
				} else if want == "" && outcome != same && outcome != impure && outcome != other {
					t.Error(outcome)
				}
			})
		}
		if n[same] < 1900 || n[impure] > 95 || n[other] > 30 {
			t.Errorf("%s: %v", version, n)
		}
	}
	if n := givenFields.Load(); n < 3000 {
		t.Errorf("%d cases were given fields", n)
	}
}

// What can become of a case.
const (
	same   = "the same answer, or an error where topdown has one"
	impure = "refused, as a builtin needs more than its arguments"
	other  = "refused, as OPA's plan comes to something else"
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
	p, err := Compile(t.Context(), c, caps, query, data, nil)
	if err != nil {
		if strings.Contains(err.Error(), "needs more than its arguments") {
			return impure
		}
		if errors.Is(err, errDiffers) {
			return other
		}
		return err.Error()
	}
	return compare(t, c, p, query, data, input)
}

// compare says whether a program answers as topdown does, and as one that is given the same input by its fields.
func compare(t *testing.T, c *ast.Compiler, p *Program, query ast.Body, data ast.Value, input *ast.Term) (outcome string) {
	t.Helper()
	cancel := topdown.NewCancel()
	defer time.AfterFunc(30*time.Second, cancel.Cancel).Stop()
	got, err := evaluated(t, p, input, cancel)
	if fromFields, fieldErr := byField(t, c, p, query, data, input, cancel); !cancel.Cancelled() && ((err == nil) != (fieldErr == nil) || !slices.Equal(texts(got), texts(fromFields))) {
		return fmt.Sprintf("%v, %v, and by fields %v, %v", got, err, fromFields, fieldErr)
	}
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
	if all := setOf(got); all.Compare(want) != 0 {
		return fmt.Sprintf("%v, and topdown says %v", all, want)
	}
	return same
}

// givenFields counts the programs of byField that were given no more than fields.
var givenFields atomic.Int64

// byField are the answers of a program that knows at which places of the input there is something.
func byField(t *testing.T, c *ast.Compiler, p *Program, query ast.Body, data ast.Value, input *ast.Term, cancel topdown.Cancel) ([]ast.Object, error) {
	t.Helper()
	places, fields := placesOf(input)
	p, err := Compile(t.Context(), c, p.caps, query, data, places)
	if err != nil {
		t.Fatal(err)
	}
	if p.byField {
		givenFields.Add(1)
	}
	answers, err := p.Eval(t.Context(), fields, func() *ast.Term {
		if p.byField {
			t.Error("it is asked for the whole input")
		}
		return input
	}, cancel)
	return objects(answers), err
}

// placesOf are all places of an input that are fields, and some at which there is nothing.
func placesOf(input *ast.Term) (places [][]string, fields []*ast.Term) {
	places = [][]string{}
	each := func(of ast.Value, do func(name string, v *ast.Term)) {
		object, is := of.(ast.Object)
		if !is {
			return
		}
		object.Foreach(func(k, v *ast.Term) {
			if name, is := k.Value.(ast.String); is {
				do(string(name), v)
			}
		})
	}
	each(valueOf(input), func(section string, v *ast.Term) {
		n := len(places)
		each(v.Value, func(name string, v *ast.Term) {
			places, fields = append(places, []string{section, name}), append(fields, v)
		})
		if len(places) == n {
			places, fields = append(places, []string{section}), append(fields, v)
		} else if object := v.Value.(ast.Object); object.Get(ast.StringTerm("nothing")) == nil {
			places, fields = append(places, []string{section, "nothing"}), append(fields, nil)
		}
	})
	return places, fields
}

func texts(answers []ast.Object) (out []string) {
	for _, o := range answers {
		out = append(out, o.String())
	}
	return out
}

// evaluated are the answers of a program as objects.
func evaluated(t *testing.T, p *Program, input *ast.Term, cancel topdown.Cancel) ([]ast.Object, error) {
	t.Helper()
	answers, err := p.Eval(t.Context(), nil, func() *ast.Term { return input }, cancel)
	return objects(answers), err
}

// objects are answers, without the variables that a compiler has made up.
func objects(answers []topdown.QueryResult) (out []ast.Object) {
	for _, r := range answers {
		o := ast.NewObject()
		for k, v := range r {
			if !strings.HasPrefix(string(k), "__localq") {
				o.Insert(ast.StringTerm(string(k)), v)
			}
		}
		out = append(out, o)
	}
	return out
}

func setOf(list []ast.Object) ast.Set {
	all := ast.NewSet()
	for _, o := range list {
		all.Add(ast.NewTerm(o))
	}
	return all
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
	answers, err := topdown.NewQuery(q).WithCompiler(c).WithStore(store).WithTransaction(txn).WithInput(input).WithCancel(cancel).WithStrictBuiltinErrors(true).Run(t.Context())
	return setOf(objects(answers)), err
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
	f.Fuzz(func(t *testing.T, module, input string) {
		if len(input) <= 1<<10 {
			answersAlike(t, map[string]string{"a.rego": "package a\n\n" + module}, input)
		}
	})
}

// answersAlike fails the test if p of the package a is something else by its plan than with topdown, or something where that fails. It reports whether
// there is a plan. To index a comprehension topdown looks at values that nobody asks for, and fails over what fails there: it has no such index here.
func answersAlike(t *testing.T, modules map[string]string, input string) (planned bool) {
	t.Helper()
	parsed := map[string]*ast.Module{}
	for name, text := range modules {
		m, err := ast.ParseModuleWithOpts(name, text, ast.ParserOptions{RegoVersion: ast.RegoV1})
		if err != nil {
			return false
		}
		parsed[name] = m
	}
	c := ast.NewCompiler().WithSkipStages(ast.StageBuildComprehensionIndices)
	if c.Compile(parsed); c.Failed() {
		return false
	}
	var plain any
	if util.UnmarshalJSON([]byte(input), &plain) != nil {
		return false
	}
	data := ast.MustParseTerm(`{"d": {"l": [1, "a", {"b": 2}], "o": {"1": "x", "x": [true]}}}`).Value
	query := ast.MustParseBody("x = data.a.p")
	p, err := Compile(t.Context(), c, ast.CapabilitiesForThisVersion(), query, data, nil)
	if err != nil {
		return false
	}
	if got := compare(t, c, p, query, data, ast.NewTerm(ast.MustInterfaceToValue(plain))); got != same && got != onData && !strings.HasPrefix(got, "an error: ") {
		t.Error(got)
	}
	return true
}
