package learn_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/learn"
	"vitrine/internal/authz/record"
	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

// TestDiffPredictsWhatChangesWhenEnforced: of each request, what two policies make of its shape is what they make of
// the request itself, in both directions, with what is blanked, seen and labelled.
func TestDiffPredictsWhatChangesWhenEnforced(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	requests := traffic(clients(), long.Of(300, 100_000), r)
	was, _ := engine(t, base())
	store := record.New(record.Options{Limit: 64 << 20})
	for _, a := range requests {
		ask(t, was, store, decide.Audit, a)
	}
	lines := linesOf(t, store)
	once := map[string]asked{} // by shape
	for _, a := range requests {
		once[fmt.Sprint(a)] = a
	}
	changes := map[string]int{}
	uncertain, total := 0, 0
	for n := range long.Of(20, 50) {
		data := base()
		for range 1 + r.IntN(2) {
			mutate(data, r)
		}
		is, _ := engine(t, data)
		report := learn.Compare(t.Context(), was, is, lines)
		if len(report.Failed) > 0 {
			t.Fatal(report.Failed)
		}
		type key struct{ change, caller, operation string }
		predicted, actual, unsure := map[key]bool{}, map[key]bool{}, map[key]bool{}
		for _, d := range report.Differences {
			predicted[key{d.Change, d.Caller, d.Operation}] = true
			changes[d.Change]++
			if len(d.Uncertain) > 0 {
				unsure[key{"", d.Caller, d.Operation}] = true
				uncertain++
			}
			total++
		}
		for _, a := range once {
			before, after := ask(t, was, nil, decide.Enforce, a), ask(t, is, nil, decide.Enforce, a)
			change := ""
			switch ok := func(v record.Verdict) bool { return v.Answer != record.Deny }; {
			case ok(before) && !ok(after):
				change = "allow-deny"
			case !ok(before) && ok(after):
				change = "deny-allow"
			case ok(before) && !equal(before, after):
				change = "answer"
			}
			op, err := operation.Parse(operation.ExampleRequest(a.method, a.uri, a.body))
			if err != nil {
				t.Fatal(err)
			}
			k := key{change, strings.Split(a.who, ",")[0], op.ID}
			if change != "" {
				actual[k] = true
			}
		}
		for k := range actual {
			if !predicted[k] && !unsure[key{"", k.caller, k.operation}] {
				t.Errorf("policy %d: %v comes unforeseen", n, k)
			}
		}
		for k := range predicted {
			if !actual[k] && !unsure[key{"", k.caller, k.operation}] {
				t.Errorf("policy %d: %v was foreseen and does not come", n, k)
			}
		}
	}
	t.Logf("%d shapes of %d requests; %v, %d of %d differences uncertain", len(lines), len(requests), changes, uncertain, total)
	if changes["allow-deny"] == 0 || changes["deny-allow"] == 0 || changes["answer"] == 0 || uncertain*2 > total {
		t.Errorf("%v, %d of %d differences uncertain", changes, uncertain, total)
	}
}

// equal holds what a door carries out.
func equal(a, b record.Verdict) bool {
	a.Code, b.Code = "", ""
	norm := func(v *record.Verdict) string { text, _ := json.Marshal(v); return string(text) }
	return norm(&a) == norm(&b)
}

func linesOf(t testing.TB, s *record.Store) []*record.Line {
	t.Helper()
	var b strings.Builder
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "hunter2") {
		t.Error("a secret is in the record")
	}
	lines, problems, err := record.Read(strings.NewReader(b.String()), "record")
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	return lines
}

// TestReplayIsWhatWasDecided: under the same policy nothing differs, and nothing is missing.
func TestReplayIsWhatWasDecided(t *testing.T) {
	long.Alone(t)
	e, _ := engine(t, base())
	store := record.New(record.Options{})
	for _, a := range traffic(clients(), 200, rand.New(rand.NewPCG(3, 4))) {
		ask(t, e, store, decide.Enforce, a)
	}
	lines := linesOf(t, store)
	for _, l := range lines {
		again, err := decide.Replay(t.Context(), e, &l.Shape)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(again.Verdict)
		was, _ := json.Marshal(l.Verdict)
		if !reflect.DeepEqual(text, was) || len(again.Missing) > 0 {
			t.Errorf("%s of %s: %s, was %s; missing %v", l.Operation.URI, l.Caller, text, was, again.Missing)
		}
	}
	if r := learn.Compare(t.Context(), e, e, lines); len(r.Differences) > 0 || r.Uncertain > 0 || r.Shapes != len(lines) {
		t.Errorf("%+v", r)
	}
}
