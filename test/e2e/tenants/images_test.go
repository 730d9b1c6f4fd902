package tenants

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The role that builds shares every image, as a Dockerfile may begin with any; the other one does not.
const imagesData = `
roles:
  tenant:
    access: [ping, list, inspect, stream, content, interactive, write]
    hazards: [env, named-volume, outbound]
    own: true
    shared: {images: ["bb"]}
    image_names: ["ci/$owner/*", "localhost:1/$owner/*"]
  builder:
    operations: [ImageBuild]
    hazards: [env, outbound]
    own: true
    shared: {images: ["*"]}
    image_names: ["ci/$owner/*"]
bindings:
  admin: ["unix:root", "local"]
  tenant: ["uid:4301", "uid:4302"]
  builder: ["uid:4301", "uid:4302"]
`

// buildContext is an archive with a Dockerfile.
func buildContext(t *testing.T, dockerfile string) string {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(dockerfile)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestImages: each builds, commits, imports, tags, pushes and removes images of names of its own, runs them, and neither sees nor moves the other's.
func TestImages(t *testing.T) {
	t.Parallel()
	w := worldOf(t, imagesData)
	const mine, its = "ci/uid_4301/", "ci/uid_4302/"
	want := func(uid, status int, method, path, body string) string {
		t.Helper()
		answer := w.ask(uid, method, path, body)
		if answer.Status != status {
			t.Errorf("%d: %s %s: %s, want %d", uid, method, path, answer, status)
		}
		return answer.Body
	}
	built := func(uid int, name, dockerfile string) {
		t.Helper()
		if got := want(uid, http.StatusOK, http.MethodPost, "/build?nocache=1&t="+name, buildContext(t, dockerfile)); strings.Contains(got, "errorDetail") {
			t.Errorf("build %s: %s", name, got)
		}
	}
	label := func(image, key string) string {
		return strings.TrimSpace(w.e.Docker("image", "inspect", "--format", `{{index .Config.Labels "`+key+`"}}`, image))
	}
	runs := func(uid int, name, image string) {
		t.Helper()
		id := w.made(uid, "/containers/create?name="+name, `{"Image":"`+image+`","Cmd":["sleep","1000"]}`)
		want(uid, http.StatusNoContent, http.MethodPost, "/containers/"+name+"/start", "")
		if owner := strings.TrimSpace(w.e.Docker("inspect", "--format", `{{index .Config.Labels "vitrine.owner"}}`, id)); owner != "uid:"+map[int]string{a: "4301", b: "4302"}[uid] {
			t.Errorf("%s is %q's", name, owner)
		}
	}

	built(b, its+"app:1", "FROM bb:1\nLABEL planted=planted\nRUN echo planted > /planted\n")
	w.planted = []string{its, "planted"}
	built(a, mine+"app:1", "FROM bb:1\nRUN echo mine > /mine\n")
	if owner, by := label(mine+"app:1", "vitrine.owner"), label(mine+"app:1", "vitrine.built-by"); owner != "" || by != "uid:4301" {
		t.Errorf("labelled as %q's, built by %q", owner, by)
	}
	// A step of the cache has the other's proxy, which is no part of what it is found by.
	step := "FROM bb:1\nRUN echo via $http_proxy > /via\n"
	built(b, its+"via:1&buildargs="+url.QueryEscape(`{"http_proxy":"planted"}`), step)
	want(a, http.StatusForbidden, http.MethodPost, "/build?t="+mine+"via:1", buildContext(t, step))
	want(a, http.StatusOK, http.MethodPost, "/build?t="+mine+"via:1&cachefrom="+url.QueryEscape(`["`+mine+`app:1"]`), buildContext(t, step))
	if got := w.e.Docker("run", "--rm", "--network", "none", mine+"via:1", "cat", "/via"); got != "via" {
		t.Errorf("what was built has another's step: %q", got)
	}
	runs(a, "one", mine+"app:1")
	want(a, http.StatusCreated, http.MethodPost, "/commit?container=one&repo="+mine+"kept&tag=1", "")
	runs(a, "two", mine+"kept:1")
	want(a, http.StatusCreated, http.MethodPost, "/images/bb:1/tag?repo="+mine+"base&tag=1", "")
	want(a, http.StatusCreated, http.MethodPost, "/images/"+mine+"app:1/tag?repo=docker.io/"+mine+"app&tag=2", "")
	want(a, http.StatusOK, http.MethodPost, "/images/create?fromSrc=-&repo="+mine+"plain&tag=1", buildContext(t, "x"))
	want(a, http.StatusCreated, http.MethodPost, "/images/"+mine+"app:1/tag?repo=localhost:1/uid_4301/app&tag=1", "")
	if got := w.ask(a, http.MethodPost, "/images/localhost:1/uid_4301/app/push?tag=1", "{}"); got.Status == http.StatusForbidden || strings.Contains(got.Body, "vitrine") {
		t.Errorf("push: %s", got) // there is no registry
	}
	var listed []struct{ RepoTags []string }
	if err := json.Unmarshal([]byte(want(a, http.StatusOK, http.MethodGet, "/images/json", "")), &listed); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, i := range listed {
		for _, name := range i.RepoTags {
			names[name] = true
		}
	}
	for _, name := range []string{mine + "app:1", mine + "app:2", mine + "kept:1", mine + "base:1", mine + "plain:1", "localhost:1/uid_4301/app:1", "bb:1"} {
		if !names[name] {
			t.Errorf("%s is not listed: %v", name, names)
		}
	}
	built(b, its+"forged:1", "FROM bb:1\nLABEL planted=planted name="+mine+"app:1 image="+mine+"app:1\n")
	want(b, http.StatusCreated, http.MethodPost, "/images/"+its+"forged:1/tag?repo="+its+"forged&tag=2", "")
	want(b, http.StatusOK, http.MethodDelete, "/images/"+its+"forged:2", "")
	want(a, http.StatusOK, http.MethodDelete, "/images/"+mine+"app:2", "")
	now := time.Now()
	events := want(a, http.StatusOK, http.MethodGet, fmt.Sprintf("/events?since=1&until=%d.%09d&filters=", now.Unix(), now.Nanosecond())+url.QueryEscape(`{"type":["image"]}`), "")
	if !strings.Contains(events, `"name":"`+mine+`app:2"`) || strings.Contains(events, "forged") {
		t.Errorf("events of a's images, and of none that say that they are: %s", events)
	}
	want(a, http.StatusOK, http.MethodGet, "/images/"+mine+"app:1/json", "")
	want(a, http.StatusOK, http.MethodGet, "/images/"+mine+"app:1/history", "")

	id := strings.TrimSpace(w.e.Docker("image", "inspect", "--format", "{{.Id}}", its+"app:1"))
	for _, ref := range []string{its + "app:1", its + "app", id, strings.TrimPrefix(id, "sha256:")[:12], "docker.io/" + its + "app:1"} {
		none := strings.Replace(strings.Replace(ref, "app", "non", 1), id[7:15], "01234567", 1)
		for _, asked := range []struct{ method, path, body string }{
			{"GET", "/images/REF/json", ""},
			{"GET", "/images/REF/history", ""},
			{"GET", "/images/REF/get", ""},
			{"DELETE", "/images/REF?force=1", ""},
			{"POST", "/images/REF/tag?repo=" + mine + "stolen", ""},
			{"POST", "/containers/create", `{"Image":"REF"}`},
			{"GET", "/images/get?names=REF", ""},
		} {
			ask := func(ref string) (int, string) {
				answer := w.ask(a, asked.method, strings.Replace(asked.path, "REF", ref, 1), strings.Replace(asked.body, "REF", ref, 1))
				return answer.Status, strings.ReplaceAll(answer.Body, strings.TrimPrefix(ref, "docker.io/"), "REF")
			}
			status, hidden := ask(ref)
			if missing, absent := ask(none); status != missing || request.ReplaceAllString(hidden, "") != request.ReplaceAllString(absent, "") || status < 400 {
				t.Errorf("%s %s of %s: %d %s; of what does not exist: %d %s", asked.method, asked.path, ref, status, hidden, missing, absent)
			}
		}
	}
	for path, body := range map[string]string{ // names that are not a's to give, take or send
		"/images/" + mine + "app:1/tag?repo=" + its + "app&tag=1": "",
		"/images/" + mine + "app:1/tag?repo=bb&tag=1":             "",
		"/images/" + mine + "app:1/tag?repo=CI/uid_4301/app":      "",
		"/commit?container=one&repo=" + its + "app&tag=1":         "",
		"/commit?container=one":                                   "",
		"/images/create?fromSrc=-&repo=" + its + "app&tag=1":      buildContext(t, "x"),
		"/images/" + its + "app/push?tag=1":                       "",
		"/images/bb/push?tag=1":                                   "",
		"/images/load":                                            buildContext(t, "x"),
		"/build?nocache=1&t=" + its + "app:1":                     buildContext(t, "FROM bb:1"),
		"/build?nocache=1&t=" + mine + "app:1&t=" + its + "app:1": buildContext(t, "FROM bb:1"),
		"/build?nocache=1":                                        buildContext(t, "FROM bb:1"),
		"/build?nocache=1&t=" + mine + "x&labels=" + url.QueryEscape(`{"vitrine.owner":"uid:4302"}`): buildContext(t, "FROM bb:1"),
	} {
		if answer := w.ask(a, http.MethodPost, path, body); answer.Status != http.StatusForbidden {
			t.Errorf("POST %s: %s", path, answer)
		}
	}
	want(a, http.StatusNotFound, http.MethodPost, "/commit?container=missing&repo="+mine+"x", "")
	built(b, its+"box:1", "FROM bb:1\n") // and b still has all that it had
	runs(b, "plantedbox", its+"app:1")
	want(a, http.StatusNotFound, http.MethodPost, "/commit?container=plantedbox&repo="+mine+"x", "")
	if now := strings.TrimSpace(w.e.Docker("image", "inspect", "--format", "{{.Id}}", its+"app:1")); now != id {
		t.Errorf("b's image is another one: %s, was %s", now, id)
	}
	w.ownershipStays(mine, its)
}

// ownershipStays: what is renamed, committed, tagged, imported or made of a labelled image stays whose it was.
func (w *world) ownershipStays(mine, its string) {
	w.Helper()
	root := func(name string) bool {
		for _, uid := range []int{a, b} {
			if w.ask(uid, http.MethodGet, "/containers/"+name+"/json", "").Status != http.StatusNotFound {
				return false
			}
		}
		return true
	}
	w.planted = nil
	// What root makes of a's image, or of one that claims to be a's, is nobody's.
	w.e.Docker("create", "--name", "rootsown", mine+"app:1")
	w.e.Docker("create", "--name", "rootskept", mine+"kept:1")
	for _, name := range []string{"rootsown", "rootskept"} {
		if !root(name) {
			w.Errorf("%s, which root made of a's image, is a tenant's", name)
		}
	}
	// A commit of a's container, by root, under a name of nobody's.
	w.e.Docker("commit", "one", "roots:1")
	w.e.Docker("create", "--name", "rootscommit", "roots:1")
	if !root("rootscommit") || w.ask(a, http.MethodGet, "/images/roots:1/json", "").Status != http.StatusNotFound {
		w.Error("an image that root made of a's container is a's")
	}
	// a renames its own onto what b's was called: it stays a's.
	for _, ask := range []struct {
		uid, status        int
		method, path, body string
	}{
		{b, http.StatusNoContent, http.MethodPost, "/containers/plantedbox/rename?name=elsewhere", ""},
		{a, http.StatusNoContent, http.MethodPost, "/containers/two/rename?name=plantedbox", ""},
		{b, http.StatusNotFound, http.MethodGet, "/containers/plantedbox/json", ""},
		{a, http.StatusOK, http.MethodGet, "/containers/plantedbox/json", ""},
		{a, http.StatusNotFound, http.MethodGet, "/containers/elsewhere/json", ""},
		{b, http.StatusOK, http.MethodGet, "/containers/elsewhere/json", ""},
		{b, http.StatusNotFound, http.MethodPost, "/images/" + mine + "app:1/tag?repo=" + its + "x", ""},
		{a, http.StatusForbidden, http.MethodPost, "/services/create", `{"Name":"x","TaskTemplate":{"ContainerSpec":{"Image":"bb:1"}}}`},
	} {
		if answer := w.ask(ask.uid, ask.method, ask.path, ask.body); answer.Status != ask.status {
			w.Errorf("%d: %s %s: %s, want %d", ask.uid, ask.method, ask.path, answer, ask.status)
		}
	}
}
