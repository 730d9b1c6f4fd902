package plan

import (
	"maps"
	"math/rand/v2"
	"regexp"
	"strconv"
	"testing"

	"vitrine/test/long"
)

// forms are of rules, of what stands in them, and of inputs. A word in capitals is any one of its forms, of which the first has none in it, or comes to an end.
var forms = map[string][]string{
	"RULE": {
		"p := TERM if { BODY }", "p contains TERM if { BODY }", "p[TERM] := TERM if { BODY }", "p[SCALAR] contains TERM if { BODY }", "p[TERM].k contains TERM if { BODY }",
		"p.k[SCALAR].x := TERM if { BODY }", "p[TERM] := TERM if { BODY }\n\np.a := TERM if { BODY }", "default p := SCALAR\n\np := TERM if { BODY }",
		"p := TERM if { BODY } else := GROUND if { GROUND }", "p := TERM if { BODY }\n\np := TERM if { BODY }",
	},
	"FUNCTION": {
		"f(a) := TERM if { BODY }", "default f(_) := SCALAR", "default f(_) := SCALAR\n\nf(PARAM) := TERM if { BODY }", "f(PARAM) := TERM if { BODY }\n\nf(SCALAR) := GROUND",
		"f(PARAM) := TERM if { BODY } else := SCALAR",
	},
	"PARAM": {"a", "[_, a]", `{"a": a}`},
	"BODY":  {"BIND", "BIND; EXPR", "BIND; EXPR; EXPR"},
	"BIND":  {"x := GROUND", "some x in GROUND", "some x, _ in GROUND", "x := input.a[_]", "[x, _] = input.b"},
	"EXPR": {
		"ANY", "TERM", "[to_number(ANY) | BODY]", "ANY == TERM", "ANY[_] == TERM", "ANY != TERM", "TERM = ANY", "TERM < TERM", "not TERM", "not ANY == TERM", "every v in ANY { v != TERM }", "walk(TERM, [_, x])",
		"ANY == TERM with TARGET as TERM", "TERM with TARGET as TERM", "not TERM with TARGET as TERM",
	},
	"TERM": {
		"x", "ANY", "ANY", "SCALAR", "GROUND", "[TERM, x]", "{TERM, TERM}", "{SCALAR: TERM}", "[TERM | BODY]", "{TERM | BODY}", "{TERM: x | BODY}",
		"count(ANY)", "to_number(ANY)", "sort(ANY)", "object.keys(ANY)", "object.get(ANY, TERM, x)", "(ANY + 1)", "(ANY - ANY)", "(TERM in ANY)",
	},
	"ANY":    {"input.b", "EARLIER", "EARLIER", "EARLIER", "EARLIER", "input.a", "input.c[TERM]", "input.a.b", "input[x]", "input", "data.d.l[TERM]", "data.d.o[TERM]", "data.d[x]"},
	"GROUND": {"input.a", "input.b", "input.c.a", `[1, "a"]`, "{1, true, null}", `{"a": 1, "b": [1]}`, "data.d.l", "data.d.o"},
	"SCALAR": {"1", "0", "1.0", `"a"`, `"b"`, `"1"`, `"x"`, "true", "false", "null"},
	"TARGET": {"input", "input.a", "input.a.b", "data.d.l", "data.d.o.x"},
	"INPUT":  {`{"a": VALUE, "b": VALUE, "c": VALUE}`},
	"VALUE":  {"1", "0", `"a"`, `"1"`, "true", "null", "[VALUE, VALUE]", "[VALUE]", `{"a": VALUE}`, `{"a": VALUE, "b": VALUE}`, "{}"},
}

var word = regexp.MustCompile("[A-Z]+")

// written is a text of a form; what is deeper than depth is the first of its forms.
func written(r *rand.Rand, forms map[string][]string, form string, depth int) string {
	return word.ReplaceAllStringFunc(form, func(word string) string {
		all := forms[word]
		if depth == 0 {
			all = all[:1]
		}
		return written(r, forms, all[r.IntN(len(all))], max(depth-1, 0))
	})
}

// Random rules that ask others come to what topdown says for a random input, or have no plan. Of the few there are without VITRINE_LONG one fails at least
// for each fault that random rules have found.
func TestRandomRulesClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	all := long.Of(300, 20_000)
	planned := 0
	for seed := range all {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			r, forms, modules := rand.New(rand.NewPCG(30, uint64(seed))), maps.Clone(forms), map[string]string{}
			forms["EARLIER"] = []string{"a"}
			modules["b.rego"] = "package b\n\n" + written(r, forms, "FUNCTION", 4)
			forms["EARLIER"] = []string{"x", "data.b.f(TERM)"}
			modules["b.rego"] += "\n\n" + written(r, forms, "RULE", 4)
			forms["EARLIER"] = []string{"data.b.p", "data.b.p[TERM]", "data.b.f(TERM)", "data.b.f(x)", "data.b[x]"}
			modules["a.rego"] = "package a\n\n" + written(r, forms, "RULE", 4)
			input := written(r, forms, "INPUT", 3)
			t.Logf("%s\n\n%s\n\n%s", modules["b.rego"], modules["a.rego"], input)
			if answersAlike(t, modules, input) {
				planned++
			}
		})
	}
	if planned < all/3 {
		t.Errorf("of %d policies %d had a plan", all, planned)
	}
}
