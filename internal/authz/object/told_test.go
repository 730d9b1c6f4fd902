package object

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/engine/operation"
)

// TestImageByEachOfItsNames: an image is the one that the daemon takes a name for, and no other.
func TestImageByEachOfItsNames(t *testing.T) {
	var objects Told
	for _, text := range []string{"image:alpine,id=sha256:0f3c", "image:r.example.com/app:2,id=sha256:aa", "container:alpine"} {
		o, err := ParseTold(text)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
	for ref, want := range map[string]string{
		"alpine": "sha256:0f3c", "alpine:latest": "sha256:0f3c", "docker.io/library/alpine": "sha256:0f3c", "index.docker.io/library/alpine:latest": "sha256:0f3c", "sha256:0f3c": "sha256:0f3c",
		"r.example.com/app:2": "sha256:aa",
		"alpine:3":            "", "library/alpin": "", "r.example.com/app": "", "other/alpine": "", "Alpine": "", "sha256:0f3d": "",
	} {
		if o, ok := objects.find(operation.KindImage, ref); o.ID != want || ok != (want != "") {
			t.Errorf("%s: %q, want %q", ref, o.ID, want)
		}
	}
	if _, ok := objects.find(operation.KindContainer, "alpine:latest"); ok {
		t.Error("an image for a container")
	}
}

// told reads objects in words.
func told(t *testing.T, texts ...string) (objects Told) {
	t.Helper()
	for _, text := range texts {
		o, err := ParseTold(text)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
	return objects
}

func TestParseTold(t *testing.T) {
	o := told(t, "container:web,id=0f3c,image=nginx:1,label=team=blue,label=empty=,label=a=b=c,network=edge,network=db")[0]
	if o.Kind != operation.KindContainer || o.Name != "web" || o.ID != "0f3c" || o.Image != "nginx:1" || !*o.Known || len(o.Labels) != 3 || o.Labels["team"] != "blue" || o.Labels["a"] != "b=c" || !slices.Equal(o.Networks, []string{"edge", "db"}) {
		t.Errorf("%+v", o)
	}
	if o := told(t, "volume:v")[0]; o.ID != "v" || !*o.Known || o.Labels == nil || !slices.Equal(o.Names, []string{"v"}) {
		t.Errorf("%+v", o)
	}
	if o := told(t, "image:alpine,none")[0]; *o.Known {
		t.Errorf("%+v", o)
	}
}

// TestParseToldClosed: what is not understood is an error that says how it is written, and no object.
func TestParseToldClosed(t *testing.T) {
	for text, says := range map[string]string{
		"web": "no kind or no name", "container:": "no kind or no name", "": "no kind or no name", "containers:web": `no kind "containers"`,
		"container:web,id=": `"id="`, "container:web,network=": `"network="`, "container:web,x=y": `"x=y"`, "container:web,y": `"y"`, "container:web,label=team": `"label=team"`, "container:web,team=a=b": `"team=a=b"`, "container:web,": `""`,
		"container:web,none,id=1": `"none"`, "container:web,id=1,none": `"none"`,
	} {
		o, err := ParseTold(text)
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "write e.g.") || o.Known != nil {
			t.Errorf("%q: %+v, %v", text, o, err)
		}
	}
}

// TestToldObjects: what is told of is what a request names, and of nothing else anything is said.
func TestToldObjects(t *testing.T) {
	objects := told(t, "container:web,id=0f3c,label=team=blue,label=vitrine.owner=x", "image:web,label=vitrine.owner=x", "container:db,id=web2,label=vitrine.owner=y", "container:gone,none", "network:host,id=aaaa", "network:front,id=bbbb")
	ask := func(method, uri, body string) *operation.Operation {
		t.Helper()
		req := &operation.Request{Method: method, URI: uri, Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(body))}
		req.ReadBody = func() ([]byte, error) { return []byte(body), nil }
		op, err := operation.Parse(req)
		if err != nil {
			t.Fatal(err)
		}
		return op
	}
	for uri, want := range map[string]string{"web": "0f3c", "0f": "0f3c", "web2": "web2", "we": "web2"} {
		if o := objects.Objects(t.Context(), ask("POST", "/containers/"+uri+"/stop", ""))[0]; o.Known == nil || !*o.Known || o.ID != want || o.Ref != uri || o.Role != operation.RoleTarget {
			t.Errorf("%s: %+v", uri, o)
		}
	}
	if o := objects.Objects(t.Context(), ask("POST", "/containers/gone/stop", ""))[0]; o.Known == nil || *o.Known || o.ID != "" || o.Name != "" || o.Kind != operation.KindContainer {
		t.Errorf("one that there is not: %+v", o)
	}
	if o := objects.Objects(t.Context(), ask("POST", "/containers/other/stop", ""))[0]; o.Known != nil || !strings.Contains(o.Why, "--object") || o.Kind != operation.KindContainer {
		t.Errorf("one of which nothing is told: %+v", o)
	}
	for network, want := range map[string]bool{"aa": true, "aaaa": true, "bbbb": false, "front": false, "other": false} {
		fields, err := objects.HostNetworks(t.Context(), ask("POST", "/services/create", `{"Name":"s","TaskTemplate":{"ContainerSpec":{"Image":"a"},"Networks":[{"Target":"`+network+`"}]}}`))
		if err != nil || (len(fields) > 0) != want {
			t.Errorf("%s: %v, %v", network, fields, err)
		}
	}
	if o, err := objects.Object(t.Context(), operation.KindContainer, "0f3c"); err != nil || o.Labels["team"] != "blue" {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := objects.Object(t.Context(), operation.KindContainer, "other"); err == nil {
		t.Errorf("of one of which nothing is told: %+v", o)
	}
	if has, err := append(objects, told(t, "container:job,label=vitrine.owner=x", "container:db2,label=vitrine.owner=y")...).Owned(t.Context(), operation.KindContainer, "x"); err != nil || !slices.Equal(has, []string{"0f3c", "job"}) {
		t.Errorf("%q, %v", has, err)
	}
}

// TestExecsAreNotToldOfClosed: whether one waits is not known where there is no Engine.
func TestExecsAreNotToldOfClosed(t *testing.T) {
	if waits, err := told(t, "container:web").ExecWaits(t.Context(), "0f3c"); waits || err == nil {
		t.Errorf("%v, %v", waits, err)
	}
}
