package tenants

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"vitrine/test/wait"
)

const burdened = `
roles:
  tenant:
    access: [ping, list, inspect, stream, content, interactive, write]
    hazards: [env]
    own: true
    shared: {images: ["bb", "fat"]}
    image_names: ["ci/$owner/*"]
bindings:
  admin: ["unix:root", "local"]
  tenant: ["uid:4301", "uid:4302"]
`

// TestWhatAnImageCarriesClosed: a container is not given by its image what its maker may not ask for: what fills everybody's lists, what keeps
// the daemon busy, what hangs the runtime.
func TestWhatAnImageCarriesClosed(t *testing.T) {
	t.Parallel()
	w := worldOf(t, burdened)
	w.e.Docker("create", "--name", "base", "bb:1", "sleep", "1000")
	long := strings.Repeat("x", 33<<10)
	for tag, changes := range map[string][]string{
		"health": {`HEALTHCHECK --interval=10ms CMD true`},
		"ports":  {`EXPOSE 1-1001/tcp`},
		"labels": {`LABEL a=` + long, `LABEL b=` + long},
		"name":   {`ENTRYPOINT ["` + long + `"]`},
	} {
		commit := []string{"commit"}
		for _, change := range changes {
			commit = append(commit, "--change", change)
		}
		w.e.Docker(append(commit, "base", "fat:"+tag)...)
		for _, image := range []string{"fat:" + tag, strings.TrimSpace(w.e.Docker("inspect", "--type=image", "--format", "{{.Id}}", "fat:"+tag))} {
			answer := w.ask(a, http.MethodPost, "/containers/create?name="+tag, `{"Image":"`+image+`","Cmd":["sleep","1000"]}`)
			if answer.Status != http.StatusForbidden || !strings.Contains(answer.Body, "beyond what a container may have the daemon do") || !strings.Contains(answer.Body, "limits") {
				t.Errorf("a container of %s: %.500s", image, answer)
			}
		}
		w.e.Docker("create", "--name", "of-"+tag, "fat:"+tag)
	}
	if answer := w.ask(a, http.MethodPost, "/images/fat:labels/tag?repo=ci/uid_4301/fat", ""); answer.Status != http.StatusForbidden || !strings.Contains(answer.Body, "has Labels beyond") {
		t.Errorf("a tag, which is an event with all labels: %.500s", answer)
	}
	if answer := w.ask(a, http.MethodPost, "/images/fat:health/tag?repo=ci/uid_4301/fat", ""); answer.Status != http.StatusCreated {
		t.Errorf("a tag of what its containers alone carry: %.500s", answer)
	}
	w.e.Docker("commit", "--change", `HEALTHCHECK --interval=1s CMD true`, "--change", "EXPOSE 80/tcp", "base", "fat:none")
	w.made(a, "/containers/create?name=plain", `{"Image":"fat:none","Cmd":["sleep","1000"]}`)
	if answer := w.ask(a, http.MethodPost, "/containers/create?name=gone", `{"Image":"bb:nothing"}`); answer.Status != http.StatusNotFound {
		t.Errorf("of an image that is not there: %s", answer)
	}
}

// TestExecsThatAreNeverStartedClosed: the daemon keeps each of them, so nobody makes any number of them, and none that the runtime cannot start
// and never gives up. What is started, and what has gone with its container, does not count.
func TestExecsThatAreNeverStartedClosed(t *testing.T) {
	t.Parallel()
	w := worldOf(t, burdened)
	for _, uid := range []int{a, b} {
		w.made(uid, fmt.Sprintf("/containers/create?name=box%d", uid), `{"Image":"bb:1","Cmd":["sleep","1000"]}`)
		if answer := w.ask(uid, http.MethodPost, fmt.Sprintf("/containers/box%d/start", uid), ""); answer.Status != http.StatusNoContent {
			t.Fatalf("start: %s", answer)
		}
	}
	exec := func(uid int) (id string, status int) {
		answer := w.ask(uid, http.MethodPost, fmt.Sprintf("/containers/box%d/exec", uid), `{"Cmd":["true"]}`)
		var made struct{ ID string }
		_ = json.Unmarshal([]byte(answer.Body), &made)
		if answer.Status == http.StatusForbidden && !strings.Contains(answer.Body, "[ceiling]") {
			t.Errorf("an exec: %s", answer)
		}
		return made.ID, answer.Status
	}
	for _, body := range []string{`{"Cmd":["` + strings.Repeat("x", 17<<10) + `"]}`, `{"Cmd":["true"],"WorkingDir":"/` + strings.Repeat("a/", 9<<10) + `"}`} {
		if answer := w.ask(a, http.MethodPost, fmt.Sprintf("/containers/box%d/exec", a), body); answer.Status != http.StatusForbidden || !strings.Contains(answer.Body, "limits") {
			t.Errorf("an exec that hangs the runtime: %s", answer)
		}
	}
	var first string
	for n := range 129 {
		id, status := exec(a)
		if want := http.StatusCreated; n < 128 && status != want {
			t.Fatalf("exec %d: %d", n, status)
		} else if n == 128 && status != http.StatusForbidden {
			t.Fatalf("one more than there may be: %d", status)
		}
		if n == 0 {
			first = id
		}
	}
	if _, status := exec(b); status != http.StatusCreated {
		t.Errorf("another caller's: %d", status)
	}
	if answer := w.ask(a, http.MethodPost, "/exec/"+first+"/start", `{"Detach":true}`); answer.Status != http.StatusOK {
		t.Errorf("start: %s", answer)
	}
	if _, status := exec(a); status != http.StatusCreated {
		t.Errorf("after one was started: %d", status)
	}
	if _, status := exec(a); status != http.StatusForbidden {
		t.Errorf("two for the one that was started: %d", status)
	}
	if answer := w.ask(a, http.MethodPost, fmt.Sprintf("/containers/box%d/restart?t=0", a), ""); answer.Status != http.StatusNoContent {
		t.Fatalf("restart: %s", answer)
	}
	wait.Until(t, "an exec after the container that had them has ended", func() bool { // as the Engine's events say, a moment after its answer
		_, status := exec(a)
		return status == http.StatusCreated
	})
}
