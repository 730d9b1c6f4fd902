package view

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/object"
	"vitrine/internal/engine/operation"
)

// liar says of every container that it is blue, along with an error, and that it joins some networks.
type liar struct {
	joined []object.Object
	err    error
}

func (l liar) Object(context.Context, operation.Kind, string) (object.Object, error) {
	return object.Object{Kind: operation.KindContainer, Labels: blue}, l.err
}

func (l liar) JoinedBy(context.Context, string) ([]object.Object, error) { return l.joined, l.err }

func (l liar) AnyBorrowed(such func(map[string]string) bool) (string, error) {
	if such(blue) {
		return "lies", l.err
	}
	return "", l.err
}

func limit(t *testing.T, v View, method, uri, body string, of Engine) (*Plan, *Denial) {
	t.Helper()
	op := parse(t, method, uri, body)
	return v.Limit(t.Context(), op, about(op, world), of)
}

// TestClosedErrorsAreNoYes: what is said along with an error does not count.
func TestClosedErrorsAreNoYes(t *testing.T) {
	l, v := liar{err: errors.New("the Engine does not answer")}, New(blue, nil, nil)
	for uri, list := range map[string]string{"/containers/json": `[{"Id":"1"}]`, "/tasks": `[{"ID":"1","ServiceID":"2"}]`} {
		plan, _ := limit(t, v, http.MethodGet, uri, "", l)
		if got, err := plan.Apply(t.Context(), []byte(list)); err != nil || string(got) != "[]" {
			t.Errorf("%s: %s, %v", uri, got, err)
		}
	}
	if plan, _ := limit(t, v, http.MethodGet, "/events", "", l); plan.Event(t.Context(), []byte(`{"Type":"container","Actor":{"ID":"1"}}`)) {
		t.Error("an event is shown")
	}
	for _, asked := range []string{"/containers/mine/start", "/containers/prune"} {
		if _, denial := limit(t, v, http.MethodPost, asked, "", l); denial == nil || denial.Status != http.StatusServiceUnavailable {
			t.Errorf("%s: %v", asked, denial)
		}
	}
	if plan, denial := limit(t, v, http.MethodPost, "/containers/theirs/start", "", l); denial != nil || !plan.Nothing {
		t.Errorf("%v", denial)
	}
}

// TestClosedNetworksAtAStart: each that a container joins must be in the view, or shared.
func TestClosedNetworksAtAStart(t *testing.T) {
	v := New(blue, map[string][]string{"networks": {"front"}}, nil)
	network := func(name string, known *bool, labels map[string]string) object.Object {
		return object.Object{Kind: operation.KindNetwork, Ref: name, Name: name, Known: known, Labels: labels}
	}
	for name, tc := range map[string]struct {
		joined []object.Object
		status int
	}{
		"none":                    {nil, 0},
		"its own":                 {[]object.Object{network("a", &yes, blue)}, 0},
		"a shared one":            {[]object.Object{network("front", &yes, nil)}, 0},
		"another's":               {[]object.Object{network("a", &yes, blue), network("b", &yes, nil)}, 404},
		"one that is gone":        {[]object.Object{network("front", &never, blue)}, 404},
		"one that cannot be told": {[]object.Object{network("front", nil, blue)}, 404},
	} {
		_, denial := limit(t, v, http.MethodPost, "/containers/mine/start", "", liar{joined: tc.joined})
		if got := denial != nil; got != (tc.status > 0) || got && denial.Status != tc.status {
			t.Errorf("%s: %v", name, denial)
		}
	}
}

// TestClosedOwner: by the label that the gateway gives nobody owns an image.
func TestClosedOwner(t *testing.T) {
	mine := map[string]string{operation.OwnerLabel: "me"}
	v := New(mine, nil, nil)
	if v.owns(operation.KindImage, mine) || !v.owns(operation.KindVolume, mine) || v.owns(operation.KindVolume, nil) {
		t.Error("owner")
	}
	if v := New(blue, nil, nil); !v.owns(operation.KindImage, blue) {
		t.Error("a team's image")
	}
	if v := New(map[string]string{"team": ""}, nil, nil); v.owns(operation.KindVolume, map[string]string{}) || !v.owns(operation.KindVolume, map[string]string{"team": ""}) {
		t.Error("a label without a value")
	}
	all := New(blue, map[string][]string{"images": {"*"}, "volumes": {"front"}}, nil)
	if all.shares(operation.KindImage, "") || !all.shares(operation.KindImage, "x") || all.shares(operation.KindVolume, "front:1") {
		t.Error("shared")
	}
}

// TestClosedMore: what is done with requests that name more than one thing, or one in another way.
func TestClosedMore(t *testing.T) {
	v := New(blue, map[string][]string{"images": {"alpine", "reg/golang:1"}, "volumes": {"mine"}}, nil)
	id := "sha256:" + strings.Repeat("ab", 32)
	known := maps.Clone(world)
	known[id], known["mineimage@"+id] = blue, blue
	for _, tc := range []struct {
		method, uri, body string
		status            int // 0: allowed
		nothing           bool
	}{
		{"GET", "/images/" + id + "/get", "", 0, false},
		{"GET", "/images/mineimage@" + id + "/get", "", 0, false},
		{"GET", "/images/get?names=theirs", "", 404, false},
		{"GET", "/images/get?names=mineimage:1", "", 0, false},
		{"GET", "/containers/json?filters=%7B%22volume%22%3A%5B%22missing%22%5D%7D", "", 0, true},
		{"GET", "/containers/json?filters=%7B%22volume%22%3A%5B%22mine%22%5D%7D", "", 0, false},
		{"DELETE", "/volumes/mine", "", 0, false}, // its own, though it is shared too
		{"POST", "/volumes/create", `{"Name":"untold"}`, 503, false},
		{"POST", "/volumes/create", `{"Name":"several"}`, 409, false},
		{"POST", "/networks/create", `{"Name":"missing","ConfigFrom":{"Network":"theirs"}}`, 404, false},
		{"POST", "/images/create?fromImage=alpine", "", 0, false},
		{"POST", "/images/create?fromImage=reg/golang&tag=1", "", 0, false},
		{"POST", "/images/create?fromImage=reg/golang", "", 403, false},
		{"POST", "/images/create?fromImage=reg/golang&tag=2", "", 403, false},
		{"POST", "/images/create?fromImage=alpine&tag=" + id, "", 0, false},
		{"POST", "/images/create?fromImage=alpine&fromSrc=-", "", 403, false},
		{"POST", "/volumes/prune", "", 0, false},
	} {
		op := parse(t, tc.method, tc.uri, tc.body)
		plan, denial := v.Limit(t.Context(), op, about(op, known), given{"borrowed": blue})
		switch {
		case denial != nil && denial.Status != tc.status, denial == nil && tc.status != 0:
			t.Errorf("%s %s %s: %v", tc.method, tc.uri, tc.body, denial)
		case denial == nil && plan.Nothing != tc.nothing:
			t.Errorf("%s %s %s: nothing %v", tc.method, tc.uri, tc.body, plan.Nothing)
		}
	}
}

// TestWhatIsLeftAlone: only lists are filtered, and only what counts is blanked.
func TestWhatIsLeftAlone(t *testing.T) {
	v := New(blue, map[string][]string{"containers": {"proxy"}}, nil)
	plan, _ := limit(t, v, http.MethodGet, "/containers/mine/json", "", given{})
	if plan.Filters() || plan.Streams() || plan.Filtered() || strings.Contains(plan.Operation.URI, "filters") {
		t.Errorf("an inspect is limited: %s", plan.Operation.URI)
	}
	plan, _ = limit(t, v, http.MethodGet, "/containers/json", "", given{"borrowed": blue})
	if plan == nil || plan.Filtered() {
		t.Error("the daemon leaves out what is shared")
	}
	for _, info := range operation.Operations() {
		if blanks := len(Redact(info.ID)) > 0; blanks != (info.ID == "SystemInfo") {
			t.Errorf("%s: %v", info.ID, Redact(info.ID))
		}
	}
}

// TestClosedAnswersOfAnotherShape are errors, and nothing of them is passed on.
func TestClosedAnswersOfAnotherShape(t *testing.T) {
	v := New(blue, nil, nil)
	for uri, answers := range map[string][]string{
		"/networks/mine":       {`{"Containers":[]}`, `{"Containers":{}`},
		"/networks":            {`[{"Labels":{"team":"blue"},"Containers":1}]`, `[{"Labels":1}]`},
		"/images/mine/json":    {`{"Config":1}`, `{"RepoTags":1}`, `[]`},
		"/images/mine/history": {`[{"Tags":1}]`, `{}`, `[1]`},
		"/images/json":         {`[{"Labels":{"team":"blue"},"RepoTags":1}]`},
		"/volumes":             {`[]`, `{"Volumes":{}}`, `{"Volumes":[{"Name":1}]}`},
	} {
		plan, denial := limit(t, v, http.MethodGet, uri, "", given{})
		if denial != nil {
			t.Fatal(denial)
		}
		for _, answer := range answers {
			if got, err := plan.Apply(t.Context(), []byte(answer)); !errors.Is(err, errUnlike) || got != nil {
				t.Errorf("%s: %s: %s, %v", uri, answer, got, err)
			}
		}
		if got, err := plan.Apply(t.Context(), []byte(" ")); err != nil || len(got) > 0 {
			t.Errorf("%s: nothing: %s, %v", uri, got, err)
		}
	}
}

// TestDecoyOfShortAndLongNames: only what can be an id is taken for one.
func TestDecoyOfShortAndLongNames(t *testing.T) {
	for _, ref := range []string{"abc", "frontend-proxy-1"} {
		if as, _ := decoy(operation.KindContainer, ref); !strings.HasPrefix(as, "vitrine-") {
			t.Errorf("%s: %s", ref, as)
		}
	}
}

// TestAnswerKeepsWhatTheBodyNames: an id that the caller has sent is no news to it.
func TestAnswerKeepsWhatTheBodyNames(t *testing.T) {
	id, other := strings.Repeat("ab12", 16), strings.Repeat("cd34", 16)
	op := parse(t, http.MethodPost, "/containers/create", `{"Image":"alpine:3","HostConfig":{"VolumesFrom":["`+id+`"]}}`)
	plan, denial := New(blue, map[string][]string{"images": {"alpine"}}, nil).Limit(t.Context(), op, nil, given{})
	if denial != nil {
		t.Fatal(denial)
	}
	if got := plan.Answer("No such container: " + id + " or " + other); got != "No such container: "+id+" or …" {
		t.Error(got)
	}
	if !slices.Equal(plan.Hidden, nil) {
		t.Error(plan.Hidden)
	}
}

// TestClosedImageEvents: by the names of what is shared, and by no other.
func TestClosedImageEvents(t *testing.T) {
	plan, _ := limit(t, New(blue, map[string][]string{"images": {"alpine"}}, nil), http.MethodGet, "/events", "", given{})
	for event, want := range map[string]bool{
		`{"Type":"image","Actor":{"ID":"alpine:3"}}`: true, `{"Type":"image","Actor":{"Attributes":{"name":"alpine:3"}}}`: true, `{"Type":"image","Actor":{"ID":"x"}}`: false,
	} {
		if got := plan.Event(t.Context(), []byte(event)); got != want {
			t.Errorf("%s: %v", event, got)
		}
	}
}

// TestClosedEventSaysNoLabelOfTheDaemonsOwnWords: what the daemon calls an image is no label of it, and a container's labels are not read from an event.
func TestClosedEventSaysNoLabelOfTheDaemonsOwnWords(t *testing.T) {
	named := map[string]string{"name": "web", "image": "app"}
	plan, _ := limit(t, New(named, nil, nil), http.MethodGet, "/events", "", given{"1": named, "2": nil})
	if plan.Filtered() {
		t.Errorf("the daemon leaves out what it calls otherwise: %s", plan.Operation.URI)
	}
	for event, want := range map[string]bool{
		`{"Type":"image","Actor":{"ID":"web","Attributes":{"name":"web","image":"app"}}}`:   false,
		`{"Type":"container","Actor":{"ID":"1","Attributes":{"name":"x","image":"y"}}}`:     true,
		`{"Type":"container","Actor":{"ID":"2","Attributes":{"name":"web","image":"app"}}}`: false,
	} {
		if got := plan.Event(t.Context(), []byte(event)); got != want {
			t.Errorf("%s: %v", event, got)
		}
	}
}

// TestEventsAreFilteredByTheDaemon unless something is in the view by its name.
func TestEventsAreFilteredByTheDaemon(t *testing.T) {
	labels := map[string]string{"team": "blue", "name": "web"}
	for _, tc := range []struct {
		v    View
		want bool
	}{
		{New(labels, nil, nil), true},
		{New(labels, map[string][]string{"networks": {"bridge"}, "volumes": {"cache"}}, nil), true},
		{New(labels, map[string][]string{"containers": {"proxy"}}, nil), false},
		{New(labels, map[string][]string{"images": {"alpine"}}, nil), false},
		{New(labels, nil, []string{"ci/a/*"}), false},
	} {
		plan, denial := limit(t, tc.v, http.MethodGet, "/events", "", given{})
		if denial != nil || plan.Filtered() != tc.want || tc.want != strings.Contains(plan.Operation.URI, "team%3Dblue") || strings.Contains(plan.Operation.URI, "web") {
			t.Errorf("%+v: %v, %s", tc.v, denial, plan.Operation.URI)
		}
	}
}

// TestClosedImagesOfSeveralKinds: a shared image stays as it is, whose labels it may have; a name without a tag is all that have it.
func TestClosedImagesOfSeveralKinds(t *testing.T) {
	v := New(blue, map[string][]string{"images": {"alpine", "reg/golang:1"}}, nil)
	for _, tc := range []struct {
		method, uri string
		o           object.Object
		status      int
	}{
		{http.MethodDelete, "/images/alpine:own", object.Object{Names: []string{"alpine:own"}, Labels: blue}, 403},
		{http.MethodGet, "/images/reg/golang/get", object.Object{Names: []string{"reg/golang:1"}}, 403},
		{http.MethodGet, "/images/reg/golang:1/get", object.Object{Names: []string{"reg/golang:1"}}, 0},
	} {
		op := parse(t, tc.method, tc.uri, "")
		tc.o.Role, tc.o.Kind, tc.o.Ref, tc.o.Known = operation.RoleTarget, operation.KindImage, op.Target, &yes
		if _, denial := v.Limit(t.Context(), op, []object.Object{tc.o}, given{}); (denial != nil) != (tc.status > 0) || denial != nil && denial.Status != tc.status {
			t.Errorf("%s %s: %v", tc.method, tc.uri, denial)
		}
	}
}

// TestEventsAreRememberedWithinBounds.
func TestEventsAreRememberedWithinBounds(t *testing.T) {
	plan, _ := limit(t, New(blue, nil, nil), http.MethodGet, "/events", "", liar{})
	for i := range 2*maxSeen + 10 {
		plan.Event(t.Context(), fmt.Appendf(nil, `{"Type":"container","Actor":{"ID":"%d"}}`, i))
		if len(plan.seen) == 0 || len(plan.seen) > maxSeen+1 {
			t.Fatalf("%d are remembered", len(plan.seen))
		}
	}
}
