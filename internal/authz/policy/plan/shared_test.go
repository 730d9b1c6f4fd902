package plan

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// TestSharedValuesStayAsTheyAreClosed: rules that together make one object, one of what another has said, change neither the data, nor the input, nor
// what is settled. (topdown has an error for each of these, too.)
func TestSharedValuesStayAsTheyAreClosed(t *testing.T) {
	const data, input = `{"d": {"o": {"x": 1}}, "s": {"o": [1]}}`, `{"c": 5, "o": {"x": 1}}`
	for _, rules := range [][2]string{
		{`p[k] := data.d.o if some k in ["a"]`, `p.a.b := 1`},
		{`p[k] := input.o if some k in ["a"]`, `p.a.b := 1`},
		{`p[k] := {"x": input.c} if some k in ["a"]`, `p.a.b := 1`},
		{`p[k] := data.s if some k in ["a"]`, `p.a.o contains 3`},
		{`p.a[k] := input.o if some k in ["x"]`, `p.a.x[k] := 2 if some k in ["y"]`},
		{`p[k][l] := data.d.o if { some k in ["a"]; some l in ["b"] }`, `p[k][l][m] := 3 if { some k in ["a"]; some l in ["b"]; some m in ["c"] }`},
	} {
		for _, text := range []string{rules[0] + "\n\n" + rules[1], rules[1] + "\n\n" + rules[0]} {
			c := ast.MustCompileModulesWithOpts(map[string]string{"a.rego": "package a\n\n" + text}, ast.CompileOpts{ParserOptions: ast.ParserOptions{RegoVersion: ast.RegoV1}})
			d, in := ast.MustParseTerm(data), ast.MustParseTerm(input)
			p, err := Compile(t.Context(), c, ast.CapabilitiesForThisVersion(), ast.MustParseBody("x = data.a.p"), d.Value, nil)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			for range 2 {
				if got, err := evaluated(t, p, in, topdown.NewCancel()); err == nil {
					t.Errorf("%s: %v", text, got)
				}
				if d.String() != data || in.String() != input {
					t.Errorf("%s: the data are %v, the input is %v", text, d, in)
				}
			}
		}
	}
}
