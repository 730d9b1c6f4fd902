package docker

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// TestClosedListThatSomebodyMakesLong: whoever may make containers and networks chooses how long their labels are, and so how long
// the lists of all; the others are not to be unknown for that.
func TestClosedListThatSomebodyMakesLong(t *testing.T) {
	e := newEngine(t)
	const most, each = 1 << 20, 100 << 10
	const n = most/each + 1
	c := e.client()
	c.most = most
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"Id":%q,"Names":["/c%d"],"Name":"n%d","State":"running","Labels":{"a":%q}}`, id(i), i, i, strings.Repeat("x", each))
	}
	list := "[" + strings.Join(rows, ",") + "]"
	e.others = map[string]string{"/containers/json": list, "/networks": list}
	containers, err := c.containerList(t.Context())
	if err != nil || len(containers) != n || containers[n-1].ID != id(n-1) {
		t.Errorf("%d containers, %v", len(containers), err)
	}
	networks, err := c.networkList(t.Context())
	if err != nil || len(networks) != n || networks[n-1].Name != fmt.Sprint("n", n-1) {
		t.Errorf("%d networks, %v", len(networks), err)
	}
	e.others["/networks"] = `[{"Id":"` + strings.Repeat("x", most) + `"}]`
	if _, err := c.networkList(t.Context()); err == nil || !strings.Contains(err.Error(), "an element has more than") {
		t.Errorf("an element without an end: %v", err)
	}
}

func TestElementsClosed(t *testing.T) {
	for text, want := range map[string]string{
		`[1, 2]` + "\n": "1 2 <nil>", `[]`: "<nil>", ` null `: "<nil>",
		``: "EOF", `[`: "EOF", `[1`: "1 EOF", `[1,]`: "1 invalid character", `[1}`: "1 invalid character", `{}`: "it is no list", `"a"`: "it is no list",
		`[1] 2`: "1 something follows the list", `[] x`: "something follows the list", `null 1`: "something follows the list",
	} {
		got := ""
		err := elements(json.NewDecoder(strings.NewReader(text)), "", func(e json.RawMessage) error { got += string(e) + " "; return nil })
		if got += fmt.Sprint(err); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestElementsUnderAKeyClosed(t *testing.T) {
	for text, want := range map[string]string{
		`{"Warnings":["a",{}],"Volumes":[1,2],"x":null}`: "1 2 <nil>", `{"Volumes":null}`: "<nil>", `{}`: "<nil>",
		`{"Volumes":{}}`: "it is no list", `[]`: "it is no object", `{"Volumes":[1]`: "1 EOF", `{"x":`: "EOF", `{"Volumes":[]} 2`: "something follows the list", ``: "EOF",
	} {
		got := ""
		err := elements(json.NewDecoder(strings.NewReader(text)), "Volumes", func(e json.RawMessage) error { got += string(e) + " "; return nil })
		if got += fmt.Sprint(err); !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestCountsOfLongLists: whoever makes networks and volumes labels them, so that nobody can say how long the lists are.
func TestCountsOfLongLists(t *testing.T) {
	const most = 1000
	c := NewClient(answers{
		"/images/json": `[` + strings.Repeat(`{"RepoTags":["a:1"]},`, most) + `{}]`,
		"/volumes":     `{"Warnings":null,"Volumes":[` + strings.Repeat(`{"Labels":{"a":"b"}},`, most) + `{}]}`,
		"/volumes?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D": `{"Volumes":null}`,
		"/networks": `[` + strings.Repeat(`{"Labels":{"a":"b"}},`, most) + `{}]`,
	})
	c.most = most
	if n, err := c.Counts(t.Context()); err != nil || len(n.Images) != most+1 || n.Volumes != most+1 || n.Networks != most+1 || n.Dangling != 0 {
		t.Errorf("%d %+v, %v", len(n.Images), n.Volumes, err)
	}
}

// TestLabelledClosed: what the daemon says of each kind, and no answer is no list of none.
func TestLabelledClosed(t *testing.T) {
	const filter = "filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D"
	inv := NewInventory(NewClient(answers{
		"/containers/json?all=1&" + filter: `[{"Id":"c1"},{"Id":"c2"}]`,
		"/networks?" + filter:              `[{"Id":"n1","Name":"n"}]`,
		"/volumes?" + filter:               `{"Volumes":[{"Name":"v1"},{"Name":"v2"}],"Warnings":null}`,
	}), slog.New(slog.DiscardHandler))
	for resource, want := range map[string][]string{"containers": {"c1", "c2"}, "networks": {"n1"}, "volumes": {"v1", "v2"}} {
		if ids, err := inv.Labelled(t.Context(), resource, "a=b"); !slices.Equal(ids, want) || err != nil {
			t.Errorf("%s: %q, %v", resource, ids, err)
		}
		if ids, err := inv.Labelled(t.Context(), resource, "other"); err == nil {
			t.Errorf("%s: %q without an answer", resource, ids)
		}
	}
}
