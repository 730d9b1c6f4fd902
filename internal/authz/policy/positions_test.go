package policy

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"vitrine/test/long"
)

// TestReasonsHaveTheirLines: each reason of the built-in policy comes from the innermost rule that gives it, and
// the line of that rule is said; the decision is the same as without.
func TestReasonsHaveTheirLines(t *testing.T) {
	long.Alone(t)
	source, err := os.ReadFile("../../../rego/authz.rego")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(source), "\n")
	quick, slow := builtin(), loaded(t, Options{Positions: true})
	for _, tt := range []struct {
		who           []string
		request, rule string
		line          string
	}{
		{[]string{"unix:root"}, "GET /containers/json", "reasons", `reasons contains "role admin"`},
		{[]string{"label:vitrine.role=look"}, "GET /containers/json", "reasons", `reasons contains by_role`},
		{[]string{"label:vitrine.role=look"}, "POST /containers/web/stop", "lacks", `} else := concat("; ", [allowing`},
		{[]string{"label:vitrine.role=look"}, "GET /plugins", "lacks", `of %s; role %s allows that`},
		{[]string{"label:vitrine.role=look"}, "GET /containers/json?unheard=1", "missing", `missing(role) :=`},
		{[]string{"container:web"}, "GET /containers/json", "nobody", `nobody :=`},
	} {
		method, uri, _ := strings.Cut(tt.request, " ")
		in := ask(t, tt.who, method, uri, "")
		a, b := quick.Decide(t.Context(), in), slow.Decide(t.Context(), in)
		if a.Allow != b.Allow || a.Admin != b.Admin || !slices.Equal(a.Reasons, b.Reasons) || len(a.Rules) > 0 {
			t.Errorf("%s: %+v, and with positions %+v", tt.request, a, b)
		}
		found := slices.ContainsFunc(b.Rules, func(r Rule) bool {
			file, line, _ := strings.Cut(r.At, ":")
			n := 0
			for _, c := range line {
				n = 10*n + int(c-'0')
			}
			return strings.HasSuffix(file, "authz.rego") && r.Rule == tt.rule && strings.Contains(lines[n-1], tt.line) && slices.Contains(b.Reasons, r.Reason)
		})
		if !found {
			t.Errorf("%s: %q come from %+v", tt.request, b.Reasons, b.Rules)
		}
	}
}

// TestLoadedForFewQuestions: nothing is made ready for more of them, and they are answered alike.
func TestLoadedForFewQuestions(t *testing.T) {
	long.Alone(t)
	often, once := builtin(), loaded(t, Options{Once: true})
	if often.current.Load().plan == nil || once.current.Load().plan != nil {
		t.Error("the one is not ready for many questions, or the other is")
	}
	for _, who := range []string{"unix:root", "label:vitrine.role=look", "container:web"} {
		for _, uri := range []string{"/containers/json", "/containers/web/logs?stdout=1", "/plugins"} {
			in := ask(t, []string{who}, "GET", uri, "")
			if a, b := often.Decide(t.Context(), in), once.Decide(t.Context(), in); !reflect.DeepEqual(a, b) {
				t.Errorf("%s %s: %+v, and loaded for few questions %+v", who, uri, a, b)
			}
		}
	}
}

// TestPositionsOfOnesOwnRules: of several files, in any form of a rule.
func TestPositionsOfOnesOwnRules(t *testing.T) {
	dir := policyDir(t, "a.rego", module("default allow := false\n\nreasons contains why if some why in no\n"),
		"b.rego", module("no contains \"never\" if count(input.operation.id) == 1\n\nno contains \"never\" if true\n\nno contains sprintf(\"not %s\", [input.operation.id]) if true\n\nno contains \"\" if number == 1\n\nnumber := 1 if true\n"))
	d := loaded(t, Options{Paths: []string{dir}, Positions: true}).Decide(t.Context(), listing())
	var at []string
	for _, r := range d.Rules {
		at = append(at, r.Reason+" "+r.Rule+" "+r.At[strings.LastIndex(r.At, "/")+1:])
	}
	if want := []string{" no b.rego:9", "never no b.rego:5", "not ContainerList no b.rego:7"}; !slices.Equal(at, want) {
		t.Errorf("%q, want %q", at, want)
	}
}
