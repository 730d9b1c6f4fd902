package operation

import (
	"slices"
	"strings"
	"testing"

	"vitrine/test/long"
)

// TestExamples: each operation has a plain request, and one for each hazard that it may have; a request that has one
// which it may not have would make a proof of nothing.
func TestExamples(t *testing.T) {
	long.Alone(t)
	for i := range catalogue {
		e := &catalogue[i]
		of := Examples()[e.id]
		if len(of) == 0 {
			t.Errorf("%s has no example", e.id)
			continue
		}
		may := MayHave(e.id)
		for _, h := range may {
			if h != HazardUnknownInput && !slices.ContainsFunc(of, func(x Example) bool { return slices.Contains(x.Operation.Hazards, h) }) {
				t.Errorf("%s has no example of %s: give tries a value that tells it", e.id, h)
			}
		}
	}
	if at := Examples()["ContainerStats"]; len(at) < 2 {
		t.Errorf("ContainerStats, of two classes, has %d examples", len(at))
	}
}

// TestMayHaveIsAllThatParseTellsClosed: of all requests that the other tests of keys try, none has a hazard that its
// operation may not have.
func TestMayHaveIsAllThatParseTellsClosed(t *testing.T) {
	long.Alone(t)
	for _, k := range everyKey() {
		set, zero := k.values()
		values := []string{set, zero}
		for value := range functionExamples[classNames[k.class]] {
			values = append(values, value)
		}
		may := MayHave(k.e.id)
		for _, value := range values {
			uri, body := k.written(value)
			op, err := Parse(ExampleRequest(k.e.method, uri, body))
			if err != nil {
				continue
			}
			for _, h := range op.Hazards {
				if !slices.Contains(may, h) {
					t.Errorf("%s %s: %s %s has %s", k.e.id, k.field(), uri, body, h)
				}
			}
		}
	}
}

// TestExamplesAreOfTheirOperation: none is behind another rail than it, and none is twice.
func TestExamplesAreOfTheirOperation(t *testing.T) {
	for i := range catalogue {
		e := &catalogue[i]
		seen := map[string]bool{}
		for _, x := range Examples()[e.id] {
			is := string(x.Operation.Access) + strings.Join(texted(x.Operation.Hazards), " ")
			if x.Operation.Rail != e.rail || seen[is] {
				t.Errorf("%s: %s %s with %s, rail %q", e.id, x.URI, x.Body, is, x.Operation.Rail)
			}
			seen[is] = true
		}
		if !slices.IsSortedFunc(Examples()[e.id], func(a, b Example) int { return len(a.Operation.Hazards) - len(b.Operation.Hazards) }) {
			t.Errorf("%s: those with fewest hazards are not first", e.id)
		}
		if may := MayHave(e.id); !slices.IsSorted(may) || slices.Contains(may, "") {
			t.Errorf("%s may have %q", e.id, may)
		}
	}
}
