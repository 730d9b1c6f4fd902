package view

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"vitrine/internal/authz/object"
	"vitrine/internal/engine/operation"
)

var edge = map[string]string{operation.NetworkLabel: "edge"}

var networked = map[string]map[string]string{
	"web": {"net": "db edge"}, "db": {"net": "db"}, "forged": {operation.NetworkLabel: "edge"}, "edge": {}, "other": {operation.NetworkLabel: "edge"}, "data": {operation.NetworkLabel: "edge"}, "img": {operation.NetworkLabel: "edge"},
}

// TestClosedViewOfANetwork: containers are in it that are in the network, by no label, and nothing else but the network itself, which is shared.
func TestClosedViewOfANetwork(t *testing.T) {
	for asked, want := range map[string]string{
		"GET /containers/web/json": "as asked", "GET /containers/db/json": "hidden", "GET /containers/forged/json": "hidden", "GET /containers/missing/json": "missing",
		"POST /containers/web/stop": "as asked", "DELETE /containers/db": "hidden", "POST /exec/web/resize": "as asked", "GET /exec/db/json": "hidden",
		"GET /networks/edge": "as asked", "DELETE /networks/edge": "403", "GET /networks/other": "hidden",
		"GET /volumes/data": "hidden", "GET /images/img/json": "hidden", "GET /volumes/edge": "hidden", "GET /images/edge/json": "hidden", // of its name
		"GET /containers/json": "as asked", "GET /networks": "as asked", "GET /events": "as asked",
		"POST /containers/prune": "403", "POST /networks/prune": "403", "POST /volumes/prune": "403", "POST /images/prune": "403",
	} {
		method, uri, _ := strings.Cut(asked, " ")
		op := parse(t, method, uri, "")
		plan, denial := New(edge, nil, nil).Limit(t.Context(), op, about(op, networked), given(networked))
		got := "as asked"
		switch {
		case denial != nil:
			got = map[int]string{http.StatusForbidden: "403", http.StatusNotFound: "404"}[denial.Status]
		case len(plan.Hidden) > 0:
			got = "hidden"
		case plan.Nothing:
			got = "missing"
		case plan.Operation.URI != op.URI || plan.Filtered():
			got = plan.Operation.URI
		}
		if got != want {
			t.Errorf("%s: %s (%v), want %s", asked, got, denial, want)
		}
	}
}

// TestNetworkAndLabels: both hold, and the daemon is asked for what it knows.
func TestNetworkAndLabels(t *testing.T) {
	v := New(map[string]string{operation.NetworkLabel: "edge", "team": "blue"}, nil, nil)
	for name, o := range map[string]object.Object{"both": {Labels: blue, Networks: []string{"edge"}}, "label": {Labels: blue}, "network": {Networks: []string{"edge"}}} {
		if o.Kind = operation.KindContainer; v.Has(&o) != (name == "both") {
			t.Error(name)
		}
	}
	image := object.Object{Kind: operation.KindImage, Names: []string{"ci/web:1"}}
	if named, without := New(edge, nil, []string{"ci/*"}), New(edge, nil, nil); !named.Has(&image) || without.Has(&image) {
		t.Error("an image is its own by its name, and is in no network")
	}
	op := parse(t, "GET", "/containers/json", "")
	plan, _ := v.Limit(t.Context(), op, nil, given(networked))
	if filters, _ := plan.Operation.Params["filters"].(map[string]any); !plan.Filtered() || len(filters) != 1 || strings.Contains(plan.Operation.URI, "vitrine.network") || !strings.Contains(plan.Operation.URI, "team") {
		t.Error(plan.Operation.URI)
	}
	op = parse(t, "GET", "/networks", "")
	if plan, _ := v.Limit(t.Context(), op, nil, given(networked)); plan.Filtered() {
		t.Errorf("the network that is shared is filtered out: %s", plan.Operation.URI)
	}
}

// TestListsOfANetwork leave out what is in none, and who else is in it with that.
func TestListsOfANetwork(t *testing.T) {
	for _, tc := range []struct{ uri, doc, want string }{
		{"/containers/json", `[{"Id":"web"},{"Id":"db"},{"Id":"forged"},{"Id":"untold"}]`, `[{"Id":"web"}]`},
		{"/networks", `[{"Name":"edge"},{"Name":"db","Labels":{"vitrine.network":"edge"}}]`, `[{"Name":"edge"}]`},
		{"/networks/edge", `{"Name":"edge","Containers":{"web":{},"db":{}}}`, `{"Containers":{"web":{}},"Name":"edge"}`},
		{"/volumes", `{"Volumes":[{"Name":"data","Labels":{"vitrine.network":"edge"}}]}`, `{"Volumes":[]}`},
		{"/images/json", `[{"Id":"img","Labels":{"vitrine.network":"edge"}}]`, `[]`},
	} {
		op := parse(t, "GET", tc.uri, "")
		plan, denial := New(edge, nil, nil).Limit(t.Context(), op, about(op, networked), given(networked))
		if denial != nil {
			t.Fatal(denial.Reason)
		}
		if got, err := plan.Apply(t.Context(), []byte(tc.doc)); err != nil || string(got) != tc.want {
			t.Errorf("%s: %s, %v", tc.uri, got, err)
		}
	}
}

// moving is a container that comes into a network, leaves it and is gone.
type moving struct {
	given
	now func() (networks []string, err error)
}

func (m moving) Object(context.Context, operation.Kind, string) (object.Object, error) {
	networks, err := m.now()
	return object.Object{Kind: operation.KindContainer, Networks: networks}, err
}

// TestEventsOfANetwork are those of what is in it at that moment, and the last ones of what was.
func TestEventsOfANetwork(t *testing.T) {
	var networks []string
	var err error
	op := parse(t, "GET", "/events", "")
	plan, _ := New(edge, nil, nil).Limit(t.Context(), op, nil, moving{now: func() ([]string, error) { return networks, err }})
	gone := errors.New("it is gone")
	for i, step := range []struct {
		networks []string
		err      error
		want     bool
	}{{nil, gone, false}, {nil, nil, false}, {[]string{"edge"}, nil, true}, {nil, gone, true}, {[]string{"db"}, nil, false}, {nil, gone, false}} {
		networks, err = step.networks, step.err
		if got := plan.Event(t.Context(), []byte(`{"Type":"container","Actor":{"ID":"web"}}`)); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
}
