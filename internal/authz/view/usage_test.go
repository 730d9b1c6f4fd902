package view

import (
	"encoding/json"
	"strings"
	"testing"

	"vitrine/internal/engine/operation"
)

const disk = `{
	"LayersSize": 1000, "BuilderSize": 77, "Surprise": {"hidden": 1},
	"Images": [
		{"Id":"i1","RepoTags":["mineimage:1"],"Labels":{"team":"blue"},"Size":10,"SharedSize":3,"Containers":2},
		{"Id":"i2","RepoTags":["hidden:1"],"Labels":null,"Size":20,"Containers":1},
		{"Id":"i3","RepoTags":["alpine:3","hidden:2"],"RepoDigests":["hidden@sha256:1"],"Labels":{},"Size":30,"SharedSize":3,"Containers":9}],
	"Containers": [
		{"Id":"c1","Names":["/mine"],"ImageID":"i1","SizeRw":4},
		{"Id":"c2","Names":["/hidden"],"ImageID":"i3","Labels":{"team":"blue"}},
		{"Id":"untold","Names":["/hidden"],"ImageID":"i1"}],
	"Volumes": [
		{"Name":"minevol","Labels":{"team":"blue"},"UsageData":{"RefCount":1,"Size":5}},
		{"Name":"cache","Labels":null,"UsageData":{"RefCount":12345,"Size":6}},
		{"Name":"hidden","Labels":{"team":"red"},"UsageData":{"RefCount":1,"Size":7}}],
	"BuildCache": [{"ID":"hidden","Description":"hidden"}]
}`

// TestClosedUsageIsOfWhatIsSeen: neither what others have, nor sums in which it is.
func TestClosedUsageIsOfWhatIsSeen(t *testing.T) {
	v := New(blue, map[string][]string{"images": {"alpine"}, "volumes": {"cache"}}, nil)
	op := parse(t, "GET", "/system/df", "")
	p, denial := v.Limit(t.Context(), op, nil, given{"c1": blue, "c2": {"team": "red"}})
	if denial != nil || !p.Filters() {
		t.Fatalf("%v", denial)
	}
	doc, err := p.Apply(t.Context(), []byte(disk))
	if err != nil {
		t.Fatal(err)
	}
	if text := string(doc); strings.Contains(text, "hidden") || strings.Contains(text, "12345") || strings.Contains(text, "Surprise") || strings.Contains(text, "77") {
		t.Errorf("%s", text)
	}
	var got struct {
		LayersSize          int64
		Images              []struct{ Size, Containers, SharedSize int64 }
		Containers, Volumes []struct {
			Name      string
			UsageData *struct{ RefCount, Size int64 }
		}
		BuildCache []any
	}
	if err := json.Unmarshal(doc, &got); err != nil {
		t.Fatal(err)
	}
	if got.LayersSize != 40 || len(got.Images) != 2 || got.Images[0].Containers != 1 || got.Images[1].Containers != 0 || got.Images[0].SharedSize != -1 || len(got.Containers) != 1 || len(got.Volumes) != 2 || got.BuildCache == nil {
		t.Errorf("%s", doc)
	}
	if mine, cache := got.Volumes[0].UsageData, got.Volumes[1].UsageData; mine.RefCount != 1 || cache.RefCount != -1 || cache.Size != 6 {
		t.Errorf("%+v, and of one that is shared %+v", mine, cache)
	}
	if doc, err := p.Apply(t.Context(), []byte(`{"Volumes":[{"Name":"cache"}]}`)); err != nil || strings.Contains(string(doc), "UsageData") {
		t.Errorf("of a volume that nobody has measured: %s, %v", doc, err)
	}
	for _, odd := range []string{`[]`, `{"Images":{}}`, `{"Containers":[1]}`, `{"Volumes":[{"Labels":1}]}`, `{"Containers":[{"Id":1}]}`, `{"Images":[{"Size":"1"}]}`, `{"Images":[{"RepoTags":["alpine"],"RepoDigests":1}]}`} {
		if doc, err := p.Apply(t.Context(), []byte(odd)); err == nil {
			t.Errorf("%s: %s", odd, doc)
		}
	}
}

// TestClosedPrunesOfWhatIsNobodys: by the gateway's label no image is anybody's, and a build cache never is.
func TestClosedPrunesOfWhatIsNobodys(t *testing.T) {
	own := map[string]string{operation.OwnerLabel: "x"}
	prune := func(labels map[string]string, uri string) string {
		p, denial := New(labels, nil, nil).Limit(t.Context(), parse(t, "POST", uri, ""), nil, given{})
		if denial != nil {
			t.Fatalf("%s: %v", uri, denial)
		}
		text, _ := json.Marshal(p.Operation.Params["filters"])
		return string(text)
	}
	if got := prune(blue, "/images/prune"); got != `{"label":{"team=blue":true}}` {
		t.Error(got)
	}
	if got := prune(own, `/images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D`); !strings.Contains(got, `"vitrine.owner=x"`) || !strings.Contains(got, `"vitrine-`) {
		t.Error(got)
	}
	for _, uri := range []string{"/volumes/prune", "/containers/prune"} { // whose labels are their own
		if got := prune(own, uri); got != `{"label":{"vitrine.owner=x":true}}` {
			t.Errorf("%s: %s", uri, got)
		}
	}
	p, _ := New(own, nil, nil).Limit(t.Context(), parse(t, "GET", "/images/json", ""), nil, given{})
	if text, _ := json.Marshal(p.Operation.Params["filters"]); strings.Contains(string(text), "vitrine-") {
		t.Errorf("a list of images is empty: %s", text)
	}
	for _, odd := range []string{`/volumes/prune?filters=%7B%22label%22%3A1%7D`} {
		op, err := operation.Parse(&operation.Request{Method: "POST", URI: odd, Proto: "HTTP/1.1", Header: map[string][]string{}})
		if err != nil {
			continue // nobody is asked of it
		}
		if _, denial := New(own, nil, nil).Limit(t.Context(), op, nil, given{}); denial == nil {
			t.Errorf("%s is carried", odd)
		}
	}
	for _, uri := range []string{"/build/prune?all=1", `/build/prune?filters=%7B%22id%22%3A%7B%22theirs%22%3Atrue%7D%7D`, `/build/prune?filters=%7B%22id%22%3A%5B%22theirs%22%5D%7D`} {
		for _, labels := range []map[string]string{blue, edge} {
			if got := prune(labels, uri); !strings.Contains(got, `{"id":`) || !strings.Contains(got, `"vitrine-`) || strings.Contains(got, "theirs") {
				t.Errorf("%v: %s: %s", labels, uri, got)
			}
		}
	}
}
