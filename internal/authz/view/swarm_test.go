package view

import (
	"slices"
	"strings"
	"testing"

	"vitrine/internal/engine/operation"
)

// TestClosedListsOfASwarm: services, secrets, configs and nodes are in a view by their own labels, which are not those of their tasks, and
// tasks as their service is. In a view of a network there are none.
func TestClosedListsOfASwarm(t *testing.T) {
	const (
		labelled = `[{"ID":"1","Spec":{"Labels":{"team":"blue"}}},{"ID":"2","Labels":{"team":"blue"},"Spec":{"Labels":{"team":"red"}}},{"ID":"3"}]`
		its      = `[{"ID":"1","Spec":{"Labels":{"team":"blue"}}}]`
		services = `[{"ID":"1","Spec":{"Labels":{"team":"blue"}}},{"ID":"2","Spec":{"TaskTemplate":{"ContainerSpec":{"Labels":{"team":"blue"}}}}}]`
		tasks    = `[{"ID":"1","ServiceID":"mine"},{"ID":"2","ServiceID":"theirs","Labels":{"team":"blue"}},{"ID":"3","ServiceID":"mine"},{"ID":"4","ServiceID":"untold"},{"ID":"5"},{"ID":"6","ServiceID":"theirs"}]`
		forged   = `[{"ID":"1","Spec":{"Name":"edge","Labels":{"vitrine.network":"edge"}}},{"ID":"2","Name":"edge","ServiceID":"edge"}]`
	)
	for _, tc := range []struct {
		labels         map[string]string
		uri, doc, want string
		filtered       bool // the daemon can do it
	}{
		{blue, "/services", labelled, its, true},
		{blue, "/services", services, its, true},
		{blue, "/secrets", labelled, its, true},
		{blue, "/configs", labelled, its, true},
		{blue, "/nodes", labelled, its, false},
		{blue, "/tasks", tasks, `[{"ID":"1","ServiceID":"mine"},{"ID":"3","ServiceID":"mine"}]`, false},
		{edge, "/services", forged, `[]`, false},
		{edge, "/secrets", forged, `[]`, false},
		{edge, "/configs", forged, `[]`, false},
		{edge, "/nodes", forged, `[]`, false},
		{edge, "/tasks", forged, `[]`, false},
	} {
		of := &counting{given: given{"mine": blue, "theirs": {"team": "red"}, "edge": {"net": "edge", operation.NetworkLabel: "edge"}}}
		plan, denial := New(tc.labels, nil, nil).Limit(t.Context(), parse(t, "GET", tc.uri, ""), nil, of)
		if denial != nil || !plan.Filters() || plan.Filtered() != tc.filtered {
			t.Fatalf("%s: %+v", tc.uri, denial)
		}
		if got, err := plan.Apply(t.Context(), []byte(tc.doc)); err != nil || string(got) != tc.want {
			t.Errorf("%v: %s: %s, %v", tc.labels, tc.uri, got, err)
		}
		slices.Sort(of.asked)
		if once := slices.Compact(slices.Clone(of.asked)); !slices.Equal(once, of.asked) || len(of.asked) > 0 && tc.uri != "/tasks" || strings.Contains(strings.Join(of.asked, " "), string(operation.KindTask)) {
			t.Errorf("%v: %s: asked for %q", tc.labels, tc.uri, of.asked)
		}
	}
}
