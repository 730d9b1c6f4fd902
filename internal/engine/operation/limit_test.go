package operation

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestClosedLabelsOfWhatIsMade: each place in which a request gives labels is found, and is given those of the policy; what the
// request gives otherwise is an error, and the operation itself stays as it is.
func TestClosedLabelsOfWhatIsMade(t *testing.T) {
	mount := func(of string) string {
		return `"Mounts":[{"Type":"volume","Target":"/x"` + of + `},{"Type":"bind","Source":"/s","Target":"/y"}]`
	}
	for _, tc := range []struct {
		req  *Request
		gave []string // of the label a
		want int      // places that are labelled
	}{
		{post("/containers/create", `{"Image":"x"}`), nil, 1},
		{post("/containers/create", `{"Image":"x","Labels":{"a":"b"}}`), []string{"b"}, 1},
		{post("/containers/create", `{"Image":"x","HostConfig":{`+mount("")+`}}`), nil, 2},
		{post("/containers/create", `{"Image":"x","HostConfig":{`+mount(`,"VolumeOptions":{"Labels":{"a":"c"}}`)+`}}`), []string{"c"}, 2},
		{post("/containers/create", `{"Image":"x","HostConfig":{"Binds":["data:/x","/s:/y","cache:/z:ro,nocopy","odd:/o:z"]}}`), nil, 3},
		{post("/networks/create", `{"Name":"n","Labels":{"a":""}}`), []string{""}, 1},
		{post("/volumes/create", `{"Name":"v"}`), nil, 1},
		{post("/services/create", `{"Name":"s","TaskTemplate":{"ContainerSpec":{"Image":"x","Labels":{"a":"d"},`+mount("")+`}}}`), []string{"d"}, 3},
		{post("/build?labels=%7B%22a%22%3A%22b%22%7D", ""), []string{"b"}, 1},
		{post("/secrets/x/update?version=1", `{"Labels":{"a":"b"}}`), []string{"b"}, 1},
		{post("/configs/x/update?version=1", `{"Name":"c"}`), nil, 1},
		{post("/containers/web/stop", ""), nil, 0},
	} {
		op := mustParse(t, tc.req)
		before, uri := string(op.Canonical), op.URI
		if got := op.GivenLabel("a"); !slices.Equal(got, tc.gave) {
			t.Errorf("%s %s gives %q, want %q", op.ID, before, got, tc.gave)
		}
		with, err := op.WithLabels(map[string]string{"team": "blue"})
		if err != nil {
			t.Fatalf("%s: %v", op.ID, err)
		}
		if got := with.GivenLabel("team"); len(got) != tc.want || slices.ContainsFunc(got, func(v string) bool { return v != "blue" }) || op.MakesLabelled() != (tc.want > 0) {
			t.Errorf("%s %s has the label at %q", op.ID, with.Canonical, got)
		}
		if tc.want > 0 && !strings.Contains(string(with.Canonical)+with.URI, "blue") {
			t.Errorf("%s: what is forwarded has no label: %s %s", op.ID, with.URI, with.Canonical)
		}
		if got := with.GivenLabel("a"); !slices.Equal(got, tc.gave) {
			t.Errorf("%s: of its own %q is left", op.ID, got)
		}
		if string(op.Canonical) != before || op.URI != uri {
			t.Errorf("%s has been changed", op.ID)
		}
		_, err = op.WithLabels(map[string]string{"a": "other"})
		if (err != nil) != (len(tc.gave) > 0) {
			t.Errorf("%s gives %q: %v", op.ID, tc.gave, err)
		}
	}
}

// TestLabelsOfThePolicyAreMinted, as if the request had given them.
func TestLabelsOfThePolicyAreMinted(t *testing.T) {
	with, err := mustParse(t, post("/containers/create", `{"Image":"x"}`)).WithLabels(map[string]string{"team": "blue"})
	if err != nil || !slices.Contains(with.Mints, "label:team=blue") {
		t.Errorf("%v, %v", with.Mints, err)
	}
}

// TestImageLabels: an image that is built or committed is given labels, the request's own word notwithstanding.
func TestImageLabels(t *testing.T) {
	labels := map[string]string{"vitrine.owner": "", BuiltByLabel: `a"b$c\d`}
	commit := parsed(t, http.MethodPost, "/commit?container=x&repo=r&changes=CMD+true&changes=LABEL+vitrine.owner%3Dme")
	got, err := commit.WithImageLabels(labels)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"CMD true", "LABEL vitrine.owner=me", `LABEL "vitrine.built-by"="a\"b\$c\\d"`, `LABEL "vitrine.owner"=""`}
	if again := parsed(t, http.MethodPost, got.URI); !slices.Equal(again.Query["changes"], want) || len(commit.Query["changes"]) != 2 {
		t.Errorf("%q of %q", again.Query["changes"], commit.Query["changes"])
	}
	if _, err := commit.WithImageLabels(map[string]string{"a\nb": ""}); err == nil {
		t.Error("a line end")
	}
	build := parsed(t, http.MethodPost, `/build?t=x&labels={"k":"v"}`)
	if got, err = build.WithImageLabels(labels); err != nil || !reflect.DeepEqual(got.Params["labels"], map[string]any{"k": "v", "vitrine.owner": "", BuiltByLabel: labels[BuiltByLabel]}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := parsed(t, http.MethodPost, `/build?t=x&labels={"vitrine.owner":"me"}`).WithImageLabels(labels); err == nil {
		t.Error("what the build says itself")
	}
	list := parsed(t, http.MethodGet, "/images/json")
	if got, err = list.WithImageLabels(labels); err != nil || got != list {
		t.Error("a list")
	}
}

// TestClosedLabelsOfACommitAreNoPartOfItsChanges: the last of these is ended, however it would go on.
func TestClosedLabelsOfACommitAreNoPartOfItsChanges(t *testing.T) {
	for changes, ok := range map[string]bool{
		"CMD echo \\": false, "CMD echo \\ \t": false, "CMD a\\\nCMD b\\": false, "CMD echo \\\n\n# a comment": false, "# escape=`\nCMD echo `": false, "\\": false,
		"CMD echo": true, "CMD a \\\n b": true, "# a comment\\": true, "": true,
	} {
		commit := parsed(t, http.MethodPost, "/commit?container=x&repo=r&changes=LABEL+vitrine.owner%3Dme&changes="+url.QueryEscape(changes))
		if got, err := commit.WithImageLabels(map[string]string{"vitrine.owner": ""}); (err == nil) != ok {
			t.Errorf("%q: %v, %v", changes, got, err)
		}
	}
}

func parsed(t *testing.T, method, uri string) *Operation {
	t.Helper()
	op, err := Parse(&Request{Method: method, URI: uri, Proto: "HTTP/1.1", Header: http.Header{}})
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// TestFiltersOfAView: the daemon is asked for what has the labels too, in the form in which the client wrote its own filters, which
// hold as before; of a filter that is set the client's values are gone.
func TestFiltersOfAView(t *testing.T) {
	for _, tc := range []struct{ given, labels, set string }{ // filters as JSON; "" are none
		{"", `{"label":{"team=blue":true}}`, `{"name":{"web":true}}`},
		{`{}`, `{"label":{"team=blue":true}}`, `{"name":{"web":true}}`},
		{`{"label":["a=b"]}`, `{"label":["a=b","team=blue"]}`, `{"label":["a=b"],"name":["web"]}`},
		{`{"status":["exited"]}`, `{"label":["team=blue"],"status":["exited"]}`, `{"name":["web"],"status":["exited"]}`},
		{`{"label":{"a=b":true}}`, `{"label":{"a=b":true,"team=blue":true}}`, `{"label":{"a=b":true},"name":{"web":true}}`},
		{`{"name":{"other":true}}`, `{"label":{"team=blue":true},"name":{"other":true}}`, `{"name":{"web":true}}`},
		{`{"name":["other"]}`, `{"label":["team=blue"],"name":["other"]}`, `{"name":["web"]}`},
	} {
		uri := "/v1.41/containers/json?all=1"
		if tc.given != "" {
			uri += "&filters=" + url.QueryEscape(tc.given)
		}
		op := parsed(t, http.MethodGet, uri)
		before, shown := op.URI, fmt.Sprint(op.Params)
		labels, err1 := op.WithLabelFilter(map[string]string{"team": "blue"})
		set, err2 := op.WithFilter("name", "web")
		if err := errors.Join(err1, err2); err != nil {
			t.Fatalf("%s: %v", tc.given, err)
		}
		for got, want := range map[*Operation]string{labels: tc.labels, set: tc.set} {
			if uri := "/v1.41/containers/json?" + (url.Values{"all": {"1"}, "filters": {want}}).Encode(); got.URI != uri {
				t.Errorf("%s is asked by %s, want %s", tc.given, got.URI, uri)
			}
			if again := parsed(t, http.MethodGet, got.URI); !reflect.DeepEqual(again.Params, got.Params) || again.Query.Get("filters") != got.Query.Get("filters") {
				t.Errorf("%s: it is judged as %v and read as %v", tc.given, got.Params, again.Params)
			}
		}
		if op.URI != before || fmt.Sprint(op.Params) != shown {
			t.Errorf("%s has been changed: %s %v", tc.given, op.URI, op.Params)
		}
	}
}
