package children

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/audit"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(shared.Run(m))
}

var shared = engine.Shared{Prepare: func(e *engine.Engine) error {
	_, err := e.ImportGo("caller:1", "vitrine/test/caller")
	return err
}}

const (
	folder = "/run/vitrine/docker"
	usual  = "/var/run/docker.sock" // where clients look
)

// Two runners share a role, and one of them has another one besides. Two users do too, for what needs no container.
const policyData = `
roles:
  ci:
    access: [ping, list, inspect, stream, content, interactive, write]
    hazards: [env, joined-namespace, named-network, named-volume, host-port]
    own: true
    shared: {images: ["caller", "testcontainers/*"], networks: [bridge]}
    engine_socket: substitute
  plugins:
    operations: [PluginList]
    hazards: [env]
  plain:
    access: [ping, list, inspect, write]
    hazards: [env]
bindings:
  admin: ["unix:root", "local"]
  ci: ["container:runner", "owner:container:runner", "container:other", "owner:container:other", "uid:4401", "owner:uid:4401", "uid:4402"]
  plugins: ["container:runner"]
  plain: ["uid:4403"]
`

type world struct {
	*testing.T
	e *engine.Engine
	p *vitrine.Process
}

// begin starts a gateway on the shared engine, and the two runners.
func begin(t *testing.T, o vitrine.Options) *world {
	t.Helper()
	w := &world{T: t, e: shared.For(t)}
	o.Engine, o.Data = w.e, policyData
	w.p = vitrine.Start(t, o)
	for _, runner := range []string{"runner", "other"} {
		w.e.Docker("run", "--detach", "--name", runner, "--volume", folder+":"+folder+":ro", "caller:1", "sleep", "10000")
	}
	t.Cleanup(func() {
		for name := range strings.FieldsSeq(w.e.Docker("ps", "--all", "--quiet")) {
			_ = w.e.DockerCommand(w.e.Socket, "rm", "--force", "--volumes", name).Run()
		}
	})
	return w
}

// from asks in a container: a runner, by its folder; another, by what it has in place of the Engine's socket.
func (w *world) from(container, method, path, body string) vitrine.Answer {
	w.Helper()
	answer, err := w.ask(container, method, path, body)
	if err != nil {
		w.Fatal(err)
	}
	return answer
}

// ask is from for where no answer may come, as when the policy changes meanwhile.
func (w *world) ask(container, method, path, body string) (answer vitrine.Answer, err error) {
	socket := usual
	if container == "runner" || container == "other" {
		socket = folder + "/docker.sock"
	}
	args := []string{"exec", container, "caller", "ask", socket, method, path}
	if body != "" {
		args = append(args, body)
	}
	text, err := w.e.Output(w.e.Socket, args...)
	if err == nil {
		err = json.Unmarshal([]byte(text), &answer)
	}
	if err != nil {
		return answer, fmt.Errorf("%s asks %s %s: %w %s", container, method, path, err, text)
	}
	return answer, nil
}

func (w *world) want(status int, container, method, path, body string) vitrine.Answer {
	w.Helper()
	answer := w.from(container, method, path, body)
	if answer.Status != status {
		w.Errorf("%s asks %s %s %s: %s, want %d", container, method, path, body, answer, status)
	}
	return answer
}

// bound is a container that mounts the Engine's socket where clients look for it, by a bind.
const bound = `{"Image":"caller:1","Cmd":["sleep","10000"],"HostConfig":{"Binds":["/var/run/docker.sock:/var/run/docker.sock"]}}`

// mounted is the same by a mount, read-only.
const mounted = `{"Image":"caller:1","Cmd":["sleep","10000"],"HostConfig":{"Mounts":[{"Type":"bind","Source":"/run/docker.sock","Target":"/var/run/docker.sock","ReadOnly":true}]}}`

// child has a container make and start another one.
func (w *world) child(of, name, body string) {
	w.Helper()
	w.want(http.StatusCreated, of, "POST", "/containers/create?name="+name, body)
	w.want(http.StatusNoContent, of, "POST", "/containers/"+name+"/start", "")
}

// inspect is one thing that the Engine says of a container.
func (w *world) inspect(container, format string) string {
	w.Helper()
	return w.e.Docker("inspect", "--format", format, container)
}

// lastOf is the record of the latest request that a container made.
func (w *world) lastOf(container string) (last audit.Record) {
	w.Helper()
	w.p.Eventually("a record of what "+container+" asked", func() error {
		for _, r := range slices.Backward(w.p.Audit()) {
			if slices.Contains(r.Caller.Principals, "container:"+container) {
				last = r
				return nil
			}
		}
		return errors.New("there is none")
	})
	return last
}

// TestChildrenAreTheirOwners: a job and what it makes are known as the runner's, see what it sees, and may do no more.
func TestChildrenAreTheirOwners(t *testing.T) {
	w := begin(t, vitrine.Options{})
	w.child("runner", "job", bound)
	w.child("job", "grandchild", mounted)
	w.child("grandchild", "deep", `{"Image":"caller:1","Cmd":["sleep","10000"],"HostConfig":{"Binds":["//run/docker.sock:/var/run/docker.sock:ro"]}}`)
	w.child("other", "foreign", bound)

	for name, flags := range map[string]string{"job": "true", "grandchild": "false", "deep": "false", "foreign": "true"} {
		got := w.inspect(name, "{{range .Mounts}}{{.Source}} {{.Destination}} {{.RW}}{{end}}")
		if got != folder+"/docker.sock /var/run/docker.sock "+flags && got != folder+"/docker.sock /run/docker.sock "+flags {
			t.Errorf("%s has mounted %s", name, got)
		}
		want := "container:runner"
		if name == "foreign" {
			want = "container:other"
		}
		if owner := w.inspect(name, `{{index .Config.Labels "vitrine.owner"}}`); owner != want {
			t.Errorf("%s is %s's", name, owner)
		}
		w.want(http.StatusOK, name, "GET", "/containers/json", "")
		if r := w.lastOf(name); !slices.Contains(r.Caller.Principals, "owner:"+want) || !slices.Contains(r.Caller.Principals, "listener:agents") || r.Caller.Kind != "container" {
			t.Errorf("%s is known as %q", name, r.Caller.Principals)
		}
	}
	for _, asks := range []string{"job", "grandchild", "deep", "runner"} {
		list := w.want(http.StatusOK, asks, "GET", "/containers/json?all=1", "").Body
		for name, there := range map[string]bool{"/job": true, "/grandchild": true, "/deep": true, "/foreign": false, "/runner": false, "/other": false} {
			if strings.Contains(list, `"`+name+`"`) != there {
				t.Errorf("%s sees %s: %t", asks, name, !there)
			}
		}
		w.want(http.StatusOK, asks, "GET", "/containers/job/json", "")
		w.want(http.StatusNotFound, asks, "GET", "/containers/foreign/json", "")
		w.want(http.StatusNotFound, asks, "POST", "/containers/other/exec", `{"Cmd":["true"]}`)
	}
	made := w.want(http.StatusCreated, "deep", "POST", "/containers/job/exec", `{"Cmd":["true"]}`)
	if !strings.Contains(made.Body, "Id") {
		t.Errorf("an exec in a sibling: %s", made)
	}

	t.Run("changed", func(t *testing.T) {
		w := w.on(t)
		w.want(http.StatusCreated, "job", "POST", "/containers/create?name=told", bound)
		want := []audit.Change{{What: "engine_socket", From: usual, To: folder + "/docker.sock"}, {What: "label", To: "vitrine.owner=container:runner"}}
		if r := w.lastOf("job"); !slices.Equal(r.Changed, want) {
			t.Errorf("recorded as changed: %+v", r.Changed)
		}
	})
	t.Run("no more than its owner", func(t *testing.T) { w.on(t).noMore() })
	t.Run("its owner's end", func(t *testing.T) { w.on(t).ownersEnd() })
}

func (w *world) on(t *testing.T) *world {
	on := *w
	on.T, on.e = t, w.e.For(t)
	return &on
}

func (w *world) noMore() {
	w.want(http.StatusOK, "runner", "GET", "/plugins", "")
	w.want(http.StatusForbidden, "job", "GET", "/plugins", "")
	for _, body := range []string{
		`{"Image":"caller:1","HostConfig":{"Privileged":true,"Binds":["/var/run/docker.sock:/var/run/docker.sock"]}}`,
		`{"Image":"caller:1","HostConfig":{"Binds":["/var/run/docker.sock:/var/run/docker.sock","/etc:/e"]}}`,
		`{"Image":"caller:1","HostConfig":{"Binds":["/run:/var/run"]}}`,
		`{"Image":"caller:1","HostConfig":{"Binds":["/run/vitrine:/var/run"]}}`,
		`{"Image":"caller:1","HostConfig":{"Binds":["/run/docker.sock:/x:rshared"]}}`,
		`{"Image":"caller:1","HostConfig":{"PidMode":"host","Binds":["/var/run/docker.sock:/var/run/docker.sock"]}}`,
		`{"Image":"caller:1","HostConfig":{"Binds":["/run/x/../docker.sock:/x"]}}`,
	} {
		w.want(http.StatusForbidden, "job", "POST", "/containers/create?name=more", body)
		w.want(http.StatusForbidden, "runner", "POST", "/containers/create?name=more", body)
	}
}

// ownersEnd: the owner's name becomes free, and is not its children's to take; what they are stays.
func (w *world) ownersEnd() {
	w.e.Docker("rm", "--force", "runner")
	for _, asked := range []struct{ path, body string }{
		{"/containers/create?name=runner", bound},
		{"/containers/create?name=/runner", `{"Image":"caller:1"}`},
		{"/containers/told/rename?name=runner", ""},
	} {
		w.want(http.StatusForbidden, "job", "POST", asked.path, asked.body)
	}
	w.want(http.StatusForbidden, "foreign", "POST", "/containers/create?name=runner", bound)
	w.want(http.StatusOK, "grandchild", "GET", "/containers/job/json", "")

	// A policy without the runner is one without its jobs, at once.
	w.p.WritePolicy("data.yaml", strings.Replace(policyData, `ci: ["container:runner", `, `ci: [`, 1))
	w.p.Eventually("the new policy", func() error {
		answer, err := w.ask("job", "GET", "/containers/json", "") // one that is on its way as the policy changes is broken off
		if err == nil && answer.Status != http.StatusForbidden {
			err = fmt.Errorf("the job is answered %s", answer)
		}
		return err
	})
	w.want(http.StatusOK, "foreign", "GET", "/containers/json", "")
}

// TestSocketSurvivesARestartOfTheGateway: a child goes on with the socket that it has mounted.
func TestSocketSurvivesARestartOfTheGateway(t *testing.T) {
	w := begin(t, vitrine.Options{Activated: true})
	w.child("runner", "job", bound)
	before := w.inspect("job", "{{.State.StartedAt}}")
	w.want(http.StatusOK, "job", "GET", "/containers/json", "")
	for _, end := range []func(){w.p.Stop, w.p.Kill} {
		end()
		w.p.Run()
		if answer := w.from("job", "GET", "/_ping", ""); answer.Status != http.StatusOK && answer.Status != http.StatusServiceUnavailable { // it waits in the queue until the gateway is there
			t.Errorf("the job is answered %s", answer)
		}
		w.p.WaitReady()
		w.want(http.StatusOK, "job", "GET", "/containers/json", "")
		if r := w.lastOf("job"); !slices.Contains(r.Caller.Principals, "owner:container:runner") {
			t.Errorf("the job is known as %q", r.Caller.Principals)
		}
	}
	if now := w.inspect("job", "{{.State.StartedAt}}"); now != before {
		t.Error("the job was started again")
	}
}
