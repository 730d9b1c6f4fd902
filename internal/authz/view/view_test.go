package view

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/object"
	"vitrine/internal/engine/operation"
)

func parse(t *testing.T, method, uri, body string) *operation.Operation {
	t.Helper()
	req := &operation.Request{Method: method, URI: uri, Proto: "HTTP/1.1", Header: http.Header{}, ContentLength: int64(len(body))}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.ReadBody = func() ([]byte, error) { return []byte(body), nil }
	}
	op, err := operation.Parse(req)
	if err != nil {
		t.Fatalf("%s %s %s: %v", method, uri, body, err)
	}
	return op
}

// given are labels of containers by id; an id that is missing cannot be told. The label net is the network that it is in.
type given map[string]map[string]string

func (g given) Object(_ context.Context, kind operation.Kind, id string) (object.Object, error) {
	labels, ok := g[id]
	if !ok {
		return object.Object{}, errors.New("the Engine does not answer")
	}
	return object.Object{Kind: kind, Known: &yes, ID: id, Labels: labels, Networks: strings.Fields(labels["net"])}, nil
}

func (g given) JoinedBy(_ context.Context, id string) ([]object.Object, error) {
	if id != "id-of-waits" {
		return nil, nil
	}
	return []object.Object{{Kind: operation.KindNetwork, Ref: "later", Known: &yes, Name: "later", Labels: map[string]string{"team": "red"}}}, nil
}

func (g given) AnyBorrowed(such func(map[string]string) bool) (string, error) {
	if such(g["borrowed"]) {
		return "bb:lies", nil
	}
	return "", nil
}

var (
	blue  = map[string]string{"team": "blue"}
	yes   = true
	never = false
)

// about gives a request's objects the labels of their names, as far as they have any.
func about(op *operation.Operation, labels map[string]map[string]string) (list []object.Object) {
	for _, n := range op.Objects() {
		o := object.Object{Role: n.Role, Kind: n.Kind, Ref: n.Ref, Known: &never}
		switch l, ok := labels[n.Ref]; {
		case strings.HasPrefix(n.Ref, "untold"):
			o.Known, o.Why, o.Untold = nil, "the daemon does not answer", n.Ref == "untold-by-any"
		case n.Ref == "several":
			o.Known, o.Why, o.Several = nil, "2 may be meant", true
		case ok:
			o.Known, o.ID, o.Name, o.Names, o.Labels = &yes, "id-of-"+n.Ref, n.Ref, []string{n.Ref}, l
			o.Networks = strings.Fields(l["net"])
		}
		list = append(list, o)
	}
	return list
}

var world = map[string]map[string]string{
	"mine": blue, "waits": blue, "mineimage": blue, "mineimage:1": blue, "alpine": {}, "theirs": {"team": "red"}, "bare": {}, "front": {}, "alpine:3": {}, "shadow": {"Team": "blue", "team": "blue "},
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef": {"team": "red"}, "reg:5000/a/theirs:1": {"team": "red"},
	"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef": {"team": "red"},
}

// TestClosedOutsideTheView: what is done with a request for each kind of object that it names.
func TestClosedOutsideTheView(t *testing.T) {
	v := New(blue, map[string][]string{"networks": {"front"}, "images": {"alpine", "lib*"}, "nonsense": {"theirs"}, "containers": {"front"}}, nil)
	for _, tc := range []struct {
		method, uri, body string
		want              string // "as asked", "hidden", or the denial's status
	}{
		{"GET", "/containers/mine/json", "", "as asked"},
		{"GET", "/containers/theirs/json", "", "hidden"},
		{"GET", "/containers/bare/json", "", "hidden"},
		{"GET", "/containers/shadow/json", "", "hidden"},
		{"GET", "/containers/missing/json", "", "missing"},
		{"GET", "/containers/several/json", "", "missing"},
		{"POST", "/containers/mine/start", "", "as asked"},
		{"POST", "/containers/waits/start", "", "404"},
		{"POST", "/containers/waits/restart", "", "404"},
		{"POST", "/containers/waits/stop", "", "as asked"},
		{"POST", "/networks/missing/connect", `{"Container":"mine"}`, "404"},
		{"POST", "/networks/theirs/connect", `{"Container":"mine"}`, "404"},
		{"POST", "/networks/theirs/disconnect", `{"Container":"mine"}`, "404"},
		{"POST", "/networks/create", `{"Name":"missing"}`, "as asked"},
		{"POST", "/networks/create", `{"Name":"mine"}`, "as asked"},
		{"POST", "/networks/create", `{"Name":"theirs"}`, "409"},
		{"POST", "/networks/create", `{"Name":"front"}`, "409"},
		{"POST", "/networks/create", `{"Name":"several"}`, "409"},
		{"GET", "/images/alpine/get", "", "as asked"},
		{"GET", "/images/mineimage/get", "", "403"},
		{"GET", "/images/mineimage:1/get", "", "as asked"},
		{"GET", "/images/missing/get", "", "missing"},
		{"POST", "/images/alpine:3/push", "", "403"},
		{"POST", "/images/create?fromImage=docker.io/index.docker.io/alpine", "", "403"},
		{"GET", "/containers/untold/json", "", "503"},
		{"GET", "/containers/untold-by-any/json", "", "403"},
		{"GET", "/containers/front/json", "", "as asked"},
		{"POST", "/containers/front/stop", "", "403"},
		{"POST", "/containers/mine/stop", "", "as asked"},
		{"DELETE", "/containers/theirs?force=1", "", "hidden"},
		{"GET", "/networks/front", "", "as asked"},
		{"DELETE", "/networks/front", "", "403"},
		{"DELETE", "/networks/mine", "", "as asked"},
		{"POST", "/networks/front/connect", `{"Container":"mine"}`, "as asked"},
		{"POST", "/networks/front/connect", `{"Container":"theirs"}`, "404"},
		{"POST", "/networks/front/connect", `{"Container":"front"}`, "403"},
		{"POST", "/networks/front/connect", `{"Container":"missing"}`, "404"},
		{"POST", "/networks/mine/connect", `{"Container":"mine","EndpointConfig":{"NetworkID":"theirs"}}`, "404"},
		{"GET", "/images/alpine:3/json", "", "as asked"},
		{"DELETE", "/images/alpine:3", "", "403"},
		{"GET", "/images/theirs/json", "", "hidden"},
		{"GET", "/images/reg:5000/a/theirs:1/json", "", "hidden"},
		{"POST", "/containers/create", `{"Image":"theirs"}`, "404"},
		{"POST", "/containers/create", `{"Image":"missing"}`, "404"},
		{"POST", "/containers/create", `{"Image":"alpine:3","HostConfig":{"NetworkMode":"missing"}}`, "404"},
		{"POST", "/containers/create", `{"Image":"alpine:3","HostConfig":{"NetworkMode":"theirs"}}`, "404"},
		{"POST", "/containers/create", `{"Image":"alpine:3","HostConfig":{"Binds":["missing:/x"]}}`, "as asked"},
		{"POST", "/containers/create", `{"Image":"alpine:3","HostConfig":{"Binds":["theirs:/x"]}}`, "404"},
		{"POST", "/containers/create", `{"Image":"alpine:3","HostConfig":{"VolumesFrom":["theirs"]}}`, "404"},
		{"POST", "/containers/create", `{"Image":"alpine:3","HostConfig":{"PidMode":"container:missing"}}`, "404"},
		{"POST", "/volumes/create", `{"Name":"theirs"}`, "409"},
		{"POST", "/volumes/create", `{"Name":"missing"}`, "as asked"},
		{"GET", `/containers/json?filters={"since":["theirs"]}`, "", "hidden"},
		{"GET", `/containers/json?filters={"since":["theirs"],"before":["bare"]}`, "", "hidden"},
		{"GET", "/plugins", "", "403"},
		{"GET", "/secrets/mine", "", "as asked"},
		{"GET", "/secrets/theirs", "", "hidden"},
		{"GET", "/tasks/theirs", "", "hidden"},
		{"GET", "/nodes/missing", "", "missing"},
		{"GET", "/services/theirs/logs?stdout=1", "", "hidden"},
		{"GET", `/tasks?filters={"service":["theirs"]}`, "", "hidden"},
		{"POST", "/images/load", "", "403"},
		{"POST", "/containers/prune", "", "as asked"},
		{"POST", "/images/create?fromImage=alpine&tag=3", "", "as asked"},
		{"POST", "/images/create?fromImage=docker.io/library/alpine&tag=3", "", "as asked"},
		{"POST", "/images/create?fromImage=theirs&tag=1", "", "403"},
		{"POST", "/images/create?fromSrc=-&repo=alpine", "", "403"},
		{"POST", "/images/create?fromImage=alpine&repo=theirs", "", "403"},
	} {
		op := parse(t, tc.method, strings.NewReplacer(`{"`, "%7B%22", `"`, "%22", `[`, "%5B", `]`, "%5D", `}`, "%7D").Replace(tc.uri), tc.body)
		plan, denial := v.Limit(t.Context(), op, about(op, world), given{})
		got := "as asked"
		switch {
		case denial != nil && plan != nil:
			t.Error("a plan along with a denial")
		case denial != nil:
			got = http.StatusText(denial.Status)
			got = map[string]string{"Not Found": "404", "Forbidden": "403", "Conflict": "409", "Service Unavailable": "503"}[got]
		case plan.Nothing:
			if got = "hidden"; len(plan.Hidden) == 0 {
				got = "missing"
			}
			for _, name := range []string{"theirs", "bare", "shadow", "missing", "several"} {
				if strings.Contains(plan.Operation.URI, name) {
					t.Errorf("%s %s is forwarded as %s", tc.method, tc.uri, plan.Operation.URI)
				}
			}
		}
		if got != tc.want {
			t.Errorf("%s %s %s: %s (%v), want %s", tc.method, tc.uri, tc.body, got, denial, tc.want)
		}
	}
}

// TestClosedEveryOperation: whatever operation names an object outside the view in its path does not reach it, and one of
// which nobody has said how it is limited is refused.
func TestClosedEveryOperation(t *testing.T) {
	v := New(blue, nil, nil)
	limited := 0
	for _, info := range operation.Operations() {
		how, known := table[info.ID]
		if known != Can(info.ID) || known == (how.what == refused) {
			t.Errorf("%s: known %v, can %v", info.ID, known, Can(info.ID))
		}
		if known {
			limited++
		}
	}
	if limited != len(table) {
		t.Errorf("%d operations of the table exist, of %d", limited, len(table))
	}
	for _, path := range []string{"/containers/theirs/json", "/containers/theirs/logs?stdout=1", "/containers/theirs/archive?path=/x", "/containers/theirs/export", "/containers/theirs/stats", "/containers/theirs/top"} {
		plan, denial := v.Limit(t.Context(), parse(t, http.MethodGet, path, ""), about(parse(t, http.MethodGet, path, ""), world), given{})
		if denial != nil || !slices.Equal(plan.Hidden, []string{"theirs"}) {
			t.Errorf("%s: %v", path, denial)
		}
	}
}

// TestDecoyIsOfTheSameForm: the daemon says of it what it would say of the name.
func TestDecoyIsOfTheSameForm(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for _, tc := range []struct {
		kind           operation.Kind
		ref            string
		prefix, suffix string
		hex            int
	}{
		{operation.KindContainer, "web", "vitrine-", "", 0},
		{operation.KindContainer, id, "", "", 64},
		{operation.KindContainer, id[:12], "", "", 12},
		{operation.KindImage, "web", "vitrine-", "", 0},
		{operation.KindImage, "reg.example:5000/team/web:1.2", "reg.example:5000/team/vitrine-", ":1.2", 0},
		{operation.KindImage, "sha256:" + id, "sha256:", "", 71},
		{operation.KindImage, "web@sha256:" + id, "web@sha256:", "", 75},
	} {
		as, back := decoy(tc.kind, tc.ref)
		if as == tc.ref || !strings.HasPrefix(as, tc.prefix) || !strings.HasSuffix(as, tc.suffix) || tc.hex > 0 && len(as) != tc.hex {
			t.Errorf("%s: %s", tc.ref, as)
		}
		if got := strings.NewReplacer(back...).Replace(as); got != tc.ref {
			t.Errorf("%s comes back as %s", tc.ref, got)
		}
	}
}

// TestAnswerLeavesOutOtherIDs: the text of an error has the caller's own names in it, and no others' ids.
func TestAnswerLeavesOutOtherIDs(t *testing.T) {
	id := strings.Repeat("ab12", 16)
	v := New(blue, nil, nil)
	op := parse(t, http.MethodPost, "/containers/theirs/stop", "")
	plan, _ := v.Limit(t.Context(), op, about(op, world), given{})
	if got := plan.Answer("No such container: " + plan.Operation.Path[len("/containers/"):len(plan.Operation.Path)-len("/stop")]); got != "No such container: theirs" {
		t.Error(got)
	}
	op = parse(t, http.MethodPost, "/containers/mine/rename?name=x", "")
	plan, _ = v.Limit(t.Context(), op, about(op, world), given{})
	plan.Pinned(operation.Pins{{Ref: "mine", ID: strings.Repeat("cd34", 16)}})
	text := `Conflict. The container name "/x" is already in use by container "` + id + `". ` + strings.Repeat("cd34", 16) + ` is running`
	if got := plan.Answer(text); got != `Conflict. The container name "/x" is already in use by container "…". mine is running` {
		t.Error(got)
	}
	op = parse(t, http.MethodGet, "/containers/"+id+"/json", "")
	plan, _ = v.Limit(t.Context(), op, about(op, world), given{})
	if got := plan.Answer("No such container: " + id); got != "No such container: "+id {
		t.Error(got)
	}
	var none *Plan
	if none.Answer(text) != text || none.Filters() || none.Streams() {
		t.Error("what is not limited is changed")
	}
}

// TestClosedListsAndNetworks: what is outside the view is in no list, and in no network's.
func TestClosedListsAndNetworks(t *testing.T) {
	of := given{"1": blue, "2": {"team": "red"}}
	v := New(blue, map[string][]string{"networks": {"bridge"}, "images": {"alpine"}, "volumes": {"cache-*"}}, nil)
	for _, tc := range []struct{ uri, answer, want string }{
		{"/containers/json", `[{"Id":"1","Labels":{}},{"Id":"2","Labels":{"team":"blue"}},{"Id":"3","Labels":{"team":"blue"}}]`, `[{"Id":"1","Labels":{}}]`},
		{"/containers/json", `[]`, `[]`},
		{"/containers/json", `null`, `null`},
		{"/images/json", `[{"Id":"a","Labels":{"team":"blue"},"Containers":3,"SharedSize":7,"Manifests":[{"ImageData":{"Containers":["2"]}}]},{"Id":"b","Labels":null,"RepoTags":["alpine:3"]},{"Id":"c","RepoTags":["alpinist:3","x/alpine:1"]},{"Id":"d","RepoTags":null}]`, `[{"Containers":-1,"Id":"a","Labels":{"team":"blue"},"SharedSize":-1},{"Id":"b","Labels":null,"RepoTags":["alpine:3"]}]`},
		{"/images/alpine/json", `{"Id":"b","RepoTags":["planted:1","alpine:3"],"RepoDigests":["planted@sha256:00"],"Identity":{"Pull":[{"Repository":"planted"}]},"Config":{"Labels":{"a":"b"}}}`, `{"Config":{"Labels":{"a":"b"}},"Id":"b","RepoDigests":[],"RepoTags":["alpine:3"]}`},
		{"/images/mine/json", `{"Id":"b","RepoTags":["mine:1"],"Config":{"Labels":{"team":"blue"}}}`, `{"Config":{"Labels":{"team":"blue"}},"Id":"b","RepoTags":["mine:1"]}`},
		{"/images/alpine/history", `[{"Id":"b","Tags":["planted:1","alpine:3"]},{"Id":"c","Tags":null}]`, `[{"Id":"b","Tags":["alpine:3"]},{"Id":"c","Tags":null}]`},
		{"/volumes", `{"Volumes":[{"Name":"x","Labels":{"team":"blue"}},{"Name":"cache-1"},{"Name":"acache-1"}],"Warnings":null}`, `{"Volumes":[{"Name":"x","Labels":{"team":"blue"}},{"Name":"cache-1"}],"Warnings":null}`},
		{"/volumes", `{"Volumes":null}`, `{"Volumes":null}`},
		{"/networks", `[{"Name":"bridge","Containers":{"1":{"Name":"a"},"2":{"Name":"b"}},"Peers":[{}]},{"Name":"theirs"}]`, `[{"Containers":{"1":{"Name":"a"}},"Name":"bridge"}]`},
		{"/networks", `[{"Id":"nameless"}]`, `[]`},
		{"/networks/bridge", `{"Name":"bridge","Containers":{"2":{"Name":"b"},"3":{}},"Services":{"s":{}}}`, `{"Containers":{},"Name":"bridge"}`},
	} {
		op := parse(t, http.MethodGet, tc.uri, "")
		plan, denial := v.Limit(t.Context(), op, nil, of)
		if denial != nil || !plan.Filters() {
			t.Fatal(denial)
		}
		got, err := plan.Apply(t.Context(), []byte(tc.answer))
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: %s, %v, want %s", tc.uri, got, err, tc.want)
		}
	}
	op := parse(t, http.MethodGet, "/containers/json", "")
	plan, _ := v.Limit(t.Context(), op, nil, of)
	for _, odd := range []string{`{}`, `[1]`, `[{"Id":1}]`, `"x"`, `[`, `[{"Id":"1"}`, `[{"Id":"1"}] [{"Id":"2"}]`} {
		if got, err := plan.Apply(t.Context(), []byte(odd)); err == nil {
			t.Errorf("%s: %s", odd, got)
		}
	}
}

// TestClosedEvents: only containers and images in the view have events.
func TestClosedEvents(t *testing.T) {
	of := given{"1": blue, "2": {"team": "red"}}
	plan, denial := New(blue, map[string][]string{"containers": {"proxy"}}, nil).Limit(t.Context(), parse(t, http.MethodGet, "/events", ""), nil, of)
	if denial != nil || !plan.Streams() {
		t.Fatal(denial)
	}
	shown := func(event string) bool { return plan.Event(t.Context(), []byte(event)) }
	for event, want := range map[string]bool{
		`{"Type":"container","Actor":{"ID":"1"}}`:                               true,
		`{"Type":"container","Actor":{"ID":"2","Attributes":{"team":"blue"}}}`:  false,
		`{"Type":"container","Actor":{"ID":"3","Attributes":{"team":"blue"}}}`:  false,
		`{"Type":"container","Actor":{"ID":"9","Attributes":{"name":"proxy"}}}`: true,
		`{"Type":"image","Actor":{"ID":"i","Attributes":{"team":"blue"}}}`:      true,
		`{"Type":"image","Actor":{"ID":"i","Attributes":{"name":"theirs"}}}`:    false,
		`{"Type":"network","Actor":{"ID":"n","Attributes":{"container":"1"}}}`:  false,
		`{"Type":"volume","Actor":{"ID":"v","Attributes":{"team":"blue"}}}`:     false,
		`{"Type":"daemon"}`: false,
		`no event`:          false,
	} {
		if got := shown(event); got != want {
			t.Errorf("%s: %v", event, got)
		}
	}
	delete(of, "1") // it is gone
	if !shown(`{"Type":"container","Action":"destroy","Actor":{"ID":"1"}}`) {
		t.Error("the end of a container that was seen is not shown")
	}
	of["3"] = blue // the Engine answers again
	if !shown(`{"Type":"container","Actor":{"ID":"3"}}`) {
		t.Error("a container that could not be told once is never shown")
	}
}

// counting notes what it is asked about.
type counting struct {
	given
	asked []string
}

func (c *counting) Object(ctx context.Context, kind operation.Kind, id string) (object.Object, error) {
	c.asked = append(c.asked, string(kind)+" "+id)
	return c.given.Object(ctx, kind, id)
}

// TestEventsAskOnce: of a container whose labels are known the daemon is not asked again.
func TestEventsAskOnce(t *testing.T) {
	of := &counting{given: given{"1": blue, "2": nil}}
	plan, _ := New(blue, nil, nil).Limit(t.Context(), parse(t, http.MethodGet, "/events", ""), nil, of)
	for range 3 {
		for id, want := range map[string]bool{"1": true, "2": false} {
			if got := plan.Event(t.Context(), []byte(`{"Type":"container","Actor":{"ID":"`+id+`"}}`)); got != want {
				t.Errorf("%s: %v", id, got)
			}
		}
	}
	if len(of.asked) != 2 {
		t.Errorf("asked about %q", of.asked)
	}
}

// TestUnlimitedSaysWhatToDoInstead where there is something.
func TestUnlimitedSaysWhatToDoInstead(t *testing.T) {
	for asked, instead := range map[string]bool{"POST /images/load": true, "GET /plugins": false} {
		method, uri, _ := strings.Cut(asked, " ")
		if why := Unlimited(parse(t, method, uri, "")); strings.Contains(why, "docker import") != instead {
			t.Errorf("%s: %s", asked, why)
		}
	}
}

// TestClosedPrune: the daemon takes an image's labels for its containers'.
func TestClosedPrune(t *testing.T) {
	op := parse(t, http.MethodPost, "/containers/prune", "")
	if _, denial := New(blue, nil, nil).Limit(t.Context(), op, nil, given{"borrowed": blue}); denial == nil || !strings.Contains(denial.Reason, "bb:lies") {
		t.Errorf("%v", denial)
	}
	shares := map[string][]string{"containers": {"x"}, "volumes": {"x"}, "networks": {"x"}, "images": {"x"}}
	for _, uri := range []string{"/containers/prune", "/volumes/prune", "/networks/prune"} {
		plan, denial := New(blue, shares, nil).Limit(t.Context(), parse(t, http.MethodPost, uri, ""), nil, given{})
		if denial != nil {
			t.Fatal(denial)
		}
		var filters map[string]map[string]bool
		if err := json.Unmarshal([]byte(plan.Operation.Query.Get("filters")), &filters); err != nil || !filters["label"]["team=blue"] {
			t.Errorf("%s removes %s", uri, plan.Operation.URI)
		}
	}
}

// TestFilterKeepsTheClientsOwn: in either form that the daemon takes.
func TestFilterKeepsTheClientsOwn(t *testing.T) {
	for filters, want := range map[string]string{
		"":                                  `{"label":{"team=blue":true}}`,
		`%7B%22label%22%3A%5B%22a%22%5D%7D`: `{"label":["a","team=blue"]}`,
		`%7B%22name%22%3A%5B%22a%22%5D%7D`:  `{"label":["team=blue"],"name":["a"]}`,
		`%7B%22label%22%3A%7B%22team%3Dblue%22%3Afalse%2C%22b%22%3Atrue%7D%7D`: `{"label":{"b":true,"team=blue":true}}`,
	} {
		plan, denial := New(blue, nil, nil).Limit(t.Context(), parse(t, http.MethodGet, "/containers/json?filters="+filters, ""), nil, given{})
		if denial != nil {
			t.Fatal(denial)
		}
		if got := plan.Operation.Query.Get("filters"); got != want || !plan.Filtered() {
			t.Errorf("%s: %s, want %s", filters, got, want)
		}
	}
}

// TestClosedLimitOfAList: the daemon counts what is not seen, too, where it cannot leave that out itself.
func TestClosedLimitOfAList(t *testing.T) {
	shares := New(blue, map[string][]string{"containers": {"front"}}, nil)
	for _, tc := range []struct {
		of    View
		limit string
		ok    bool
	}{{shares, "1", false}, {shares, "-1", true}, {shares, "0", true}, {shares, "", true}, {shares, "x", true}, {New(blue, nil, nil), "1", true}} { // not a number: the daemon refuses it
		if _, denial := tc.of.Limit(t.Context(), parse(t, http.MethodGet, "/containers/json?limit="+tc.limit, ""), nil, given{}); (denial == nil) != tc.ok {
			t.Errorf("%+v: %+v", tc, denial)
		}
	}
	if _, denial := shares.Limit(t.Context(), parse(t, http.MethodGet, "/containers/mine/json?limit=1", ""), nil, given{}); denial != nil {
		t.Errorf("what is no list has no limit: %+v", denial)
	}
}

// TestSharedNames: of an image each tag of a repository, of others the name, and no name that only begins so.
func TestSharedNames(t *testing.T) {
	v := New(blue, map[string][]string{"images": {"alpine", "reg/golang:1", "lib*"}, "networks": {"front"}}, nil)
	for name, want := range map[string]bool{
		"alpine": true, "alpine:3": true, "alpine@sha256:00": true, "alpine-evil:3": false, "x/alpine:3": false, "alpine/evil:3": false,
		"reg/golang:1": true, "reg/golang:2": false, "library": true, "": false,
	} {
		if got := v.shares(operation.KindImage, name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if v.shares(operation.KindVolume, "front") || !v.shares(operation.KindNetwork, "x", "front") {
		t.Error("kinds are mixed up")
	}
	if kinds := Kinds(); len(kinds) != 4 || !slices.Contains([]operation.Kind{kinds["images"]}, operation.KindImage) {
		t.Error(kinds)
	}
}

// BenchmarkList is a list of 1 000 containers, all of which are shown.
func BenchmarkList(b *testing.B) {
	const row = `{"Id":"mine","Names":["/web"],"Image":"nginx:1","ImageID":"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","Command":"sleep 1000","Created":1764300000,"Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}],"Labels":{"team":"blue","com.docker.compose.project":"bench","com.docker.compose.service":"web"},"State":"running","Status":"Up 2 hours","HostConfig":{"NetworkMode":"default"},"NetworkSettings":{"Networks":{"bridge":{"IPAMConfig":null,"Links":null,"Aliases":null,"NetworkID":"0f3c","EndpointID":"9a2b","Gateway":"172.17.0.1","IPAddress":"172.17.0.2","IPPrefixLen":16,"MacAddress":"02:42:ac:11:00:02"}}},"Mounts":[]}`
	doc := []byte("[" + strings.Repeat(row+",", 999) + row + "]\n")
	req := &operation.Request{Method: "GET", URI: "/containers/json", Proto: "HTTP/1.1", Header: http.Header{}}
	op, err := operation.Parse(req)
	if err != nil {
		b.Fatal(err)
	}
	plan, _ := New(blue, nil, nil).Limit(b.Context(), op, nil, given{"mine": blue})
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		if got, err := plan.Apply(b.Context(), doc); err != nil || len(got) != len(doc)-1 {
			b.Fatal(len(got), err)
		}
	}
}
