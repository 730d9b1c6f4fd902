package policy

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"vitrine/internal/authz/policy/plan"
	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

// A plan decides, and says, what topdown does: each operation, with more hazards, paths and names than the catalogue has, by callers of all kinds.
func TestPlanDecidesTheSameClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	g := loaded(t, Options{Paths: []string{policyDir(t, "data.yaml", everyKey, "extra.rego", oddRules)}}).current.Load()
	byPlan, byTopdown := *g, *g
	byPlan.evaluate, byTopdown.evaluate = byPlan.byPlan, byTopdown.byTopdown
	bound := boundPrincipals(g.vetted.data)
	for id, examples := range operation.Examples() {
		r := rand.New(rand.NewPCG(2, uint64(len(id))))
		for range long.Of(3, 200) {
			in := somethingAsked(r, examples, bound)
			if got, want := byPlan.fresh(t.Context(), in), byTopdown.fresh(t.Context(), in); !reflect.DeepEqual(got, want) {
				t.Fatalf("%v asks %s with %v, %v, makes %v, enters %v:\n%+v\nby topdown:\n%+v", in.Caller.Principals, id,
					in.Operation.Hazards, in.Operation.HostPath, in.Operation.Mints, in.Enters, got, want)
			}
		}
	}
}

// What is decided by a plan: the built-in rules, with an operator's beside them, first looks and rules of one's own. With positions
// topdown decides, and where there is no plan.
func TestWhoEvaluatesClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	const clock = extraTop + "\ndeny contains \"x\" if input.operation.id == \"ContainerDelete\"\n"
	own := module("default allow := false\n\nallow if input.operation.id == \"ContainerList\"")
	for name, opts := range map[string]Options{
		"built-in": {}, "beside them": {Paths: []string{policyDir(t, "data.yaml", extraData, "a.rego", clock)}}, "own": {Paths: []string{policyDir(t, "authz.rego", own)}},
	} {
		for _, positions := range []bool{false, true} {
			opts.Positions = positions
			g := loaded(t, opts).current.Load()
			if (g.plan != nil) == positions || g.first != nil && g.first.plan == nil {
				t.Errorf("%s, positions %v: planned %v, %v", name, positions, g.plan != nil, g.unplanned)
			}
		}
	}
}

// The built-in rules, and an operator's beside them, are given the input by its fields: nobody puts all of it together.
func TestRulesAreGivenFields(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for name, opts := range map[string]Options{
		"built-in": {}, "every key": {Paths: []string{policyDir(t, "data.yaml", everyKey)}},
		"beside them": {Paths: []string{policyDir(t, "data.yaml", extraData, "a.rego", extraTop+"\ndeny contains \"x\" if input.operation.id == \"ContainerDelete\"\n")}},
	} {
		for g := loaded(t, opts).current.Load(); g != nil; g = g.first {
			input, err := g.asks.give(listing())
			if err != nil {
				t.Fatal(err)
			}
			whole := func() *ast.Term {
				t.Errorf("%s: all of the input is asked for", name)
				return input.term()
			}
			if _, err := g.plan.Eval(t.Context(), input.fields, whole, topdown.NewCancel()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Where a plan fails topdown is asked, whose word counts: it does not look at a rule that cannot change the answer any more.
func TestFailedPlanAsksTopdownClosed(t *testing.T) {
	t.Parallel()
	in := ask(t, nil, "GET", "/images/json", "")
	for name, tt := range map[string]struct {
		rules  string
		allow  bool
		failed string
	}{
		"it does not look":       {"default allow := false\n\nallow if input.operation.id == \"ImageList\"\n\nallow if { input.operation.id == \"ImageList\"; to_number(input.operation.id) == 1 }", true, ""},
		"it fails, too":          {"default allow := false\n\nallow if { input.operation.id == \"ImageList\"; to_number(input.operation.id) == 1 }", false, "to_number"},
		"it finds another value": {"default allow := false\n\nallow := input.operation.id == \"ImageList\"\n\nallow := false if input.operation.id == \"ImageList\"", false, "conflict"},
	} {
		g := loaded(t, Options{Paths: []string{policyDir(t, "authz.rego", module(tt.rules))}}).current.Load()
		input, err := g.asks.give(in)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := g.byPlan(t.Context(), input, topdown.NewCancel()); err == nil || !strings.HasPrefix(err.Error(), "the plan of the policy failed") {
			t.Errorf("%s: the plan says %+v, %v", name, d, err)
		}
		if d := g.fresh(t.Context(), in); d.Allow != tt.allow || d.Failed == tt.allow || !strings.Contains(strings.Join(d.Reasons, ""), tt.failed) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// Without a plan topdown decides; with one of something else, whose answer is no decision, nobody is let in.
func TestPlanThatSaysNothingClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	g := builtin().current.Load()
	admin := listing()
	admin.Caller = callerNamed([]string{"local"})
	for query, why := range map[string]string{
		`allow = true; x = ["one", "two"][_]`: "2 answers", `allow = true; false`: "0 answers", `allow = "yes"`: "not a boolean", `maybe_allow = ["yes"]`: "not a boolean",
		`x = true`: "undefined", `maybe_allow = []`: "undefined", `maybe_allow = true`: "undefined", `maybe_allow = [true, true]`: "undefined",
	} {
		p, err := plan.Compile(t.Context(), g.compiler, capabilities(), ast.MustParseBody(query), ast.NewObject(), nil)
		if err != nil {
			t.Fatal(query, err)
		}
		odd := *g
		odd.plan = p
		odd.evaluate = odd.byPlan
		if d := odd.fresh(t.Context(), admin); d.Allow || !d.Failed || !strings.Contains(d.Reasons[0], why) {
			t.Errorf("%s: %+v", query, d)
		}
	}
	none := *g
	none.plan, none.unplanned = nil, errors.New("none")
	none.evaluate = none.eval
	if d := none.fresh(context.Background(), admin); !d.Allow {
		t.Errorf("without a plan: %+v", d)
	}
	var log strings.Builder
	e := New(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := e.swap(t.Context(), &none, Status{}); err != nil || !strings.Contains(log.String(), "take several times as long") {
		t.Errorf("without a plan: %v, %s", err, log.String())
	}
}
