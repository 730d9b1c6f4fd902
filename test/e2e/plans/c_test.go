package plans

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// A proxied plan has the gateway in a container named gateway, beside a daemon
// that knows of no plugin.
type proxied struct {
	*testing.T
	e *engine.Engine
}

const dataC = `
roles:
  write:
    operations: ["*"]
    hazards: ["*"]
bindings:
  admin: ["unix:root", "label:never=true"]
`

// proxy starts the gateway's container as the compose file does, with further
// flags, and waits until it answers an agent.
func proxy(t *testing.T, bindings string, flags ...string) *proxied {
	t.Helper()
	engine.Require(t)
	p := &proxied{t, engine.Start(t, engine.Options{})}
	program := vitrine.Binary(t)
	must(t, p.e.ImportImage("gateway:1", program))
	_, err := p.e.ImportGo("caller:1", "vitrine/test/caller")
	must(t, err)
	policy := filepath.Join(p.e.Dir, "state/policy")
	writeFile(t, filepath.Join(policy, "data.yaml"), dataC+bindings)
	p.e.Docker(slices.Concat([]string{
		"run", "--detach", "--name", "gateway", "--network=none", "--read-only", "--cap-drop=ALL", "--cap-add=SYS_PTRACE", "--cap-add=DAC_READ_SEARCH",
		"--security-opt=no-new-privileges", "--volume=/run:/host/run:ro", "--volume=/etc/passwd:/host/etc/passwd:ro",
		"--volume=" + policy + ":/policy:ro", "--volume=socket:/run/vitrine/docker", "--volume=admin:/run/vitrine-admin",
	}, flags, []string{
		"gateway:1", filepath.Base(program), "serve", "--plugin-socket=", "--upstream=unix:///host/run/docker.sock",
		"--passwd=/host/etc/passwd", "--policy=/policy", "--audit=/run/vitrine-admin/audit.log",
		"--admin-allow=unix:root", "--admin-allow=peer-uid:0", // the latter is how root is seen without pid: host
	})...)
	t.Cleanup(func() {
		out, _ := p.e.DockerCommand(p.e.Socket, "logs", "gateway").CombinedOutput()
		if t.Failed() || bytes.Contains(out, []byte("DATA RACE")) {
			t.Errorf("the gateway's log:\n%s", out)
		}
	})
	p.eventually("the gateway to be healthy", func() error {
		h, err := vitrine.HealthAt(p.e.Dir + "/data/volumes/admin/_data/admin.sock")
		for _, check := range []string{"upstream", "inventory", "policy"} {
			if err == nil && h.Checks[check] != "ok" {
				err = fmt.Errorf("%s: %s", check, h.Checks[check])
			}
		}
		return err
	})
	return p
}

// agent starts a container as unprivileged as one can be, with the shared volume.
func (p *proxied) agent(name string, flags ...string) string {
	p.Helper()
	return p.e.Docker(slices.Concat([]string{
		"run", "--detach", "--name", name, "--network=none", "--user=65532:65532", "--cap-drop=ALL", "--read-only",
		"--security-opt=no-new-privileges", "--volume=socket:/run/vitrine/docker:ro",
	}, flags, []string{"caller:1", "sleep", "1000"})...)
}

// ask asks in a container and returns the record, which is the gateway's newest.
func (p *proxied) ask(container string, want expected) audit.Record {
	p.Helper()
	before := len(p.records())
	args := []string{"exec", container, "caller", "ask", "/run/vitrine/docker/docker.sock", want.method, want.path}
	if want.body != "" {
		args = append(args, want.body)
	}
	var got vitrine.Answer
	must(p.T, json.Unmarshal([]byte(p.e.Docker(args...)), &got))
	what := fmt.Sprintf("%s %s in %s", want.method, want.path, container)
	if got.Status != want.status || !strings.Contains(got.Body, want.says) || want.hides != "" && strings.Contains(got.Body, want.hides) {
		p.Errorf("%s is answered %.300s, want %d and %q, without %q", what, got, want.status, want.says, want.hides)
	}
	var records []audit.Record
	p.eventually("the audit record", func() error {
		if records = p.records()[before:]; len(records) == 0 {
			return errors.New("there is none")
		}
		return nil
	})
	if len(records) != 1 || records[0].Allow != (want.status < 400) {
		p.Errorf("%s is recorded as %+v", what, records)
	}
	return records[0]
}

// records are the gateway's so far.
func (p *proxied) records() []audit.Record {
	p.Helper()
	text, err := os.ReadFile(p.e.Dir + "/data/volumes/admin/_data/audit.log")
	must(p.T, err)
	var all []audit.Record
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // being written
		}
		var r audit.Record
		must(p.T, json.Unmarshal(line, &r))
		all = append(all, r)
	}
	return all
}

func (p *proxied) eventually(what string, try func() error) {
	p.Helper()
	if err := wait.NoError(20*time.Second, try); err != nil {
		p.Fatalf("waited for %s: %v", what, err)
	}
}

func TestPlanCProxyInAContainer(t *testing.T) {
	p := proxy(t, `  look: ["label:vitrine.role=look"]
  write: ["label:vitrine.role=write"]
`, "--pid=host")
	agent := p.agent("agent", "--label=vitrine.role=look", "--env=TOKEN="+secret)
	p.looksOnly("agent")
	r := p.ask("agent", expected{method: "GET", path: list, status: 200, says: "/agent"})
	if r.Caller.Kind != "container" || r.Caller.ContainerID != agent || r.Caller.Principals[0] != "container:agent" || *r.Caller.UID != 65532 || r.Door != "gateway" {
		t.Errorf("the agent is recorded as %+v", r)
	}
	p.agent("stranger")
	p.ask("stranger", expected{method: "GET", path: list, status: 403, says: "vitrine: container:stranger may not ContainerList"})
	p.agent("writer", "--label=vitrine.role=write")
	p.guardsItself("writer")

	// Paths of the host are looked up in dockerd's root directory, through a user's closed folder too.
	closed, bind := p.linked()
	p.ask("writer", expected{method: "POST", path: create, body: bind, status: 201})
	if got := p.e.Docker("inspect", "--format", "{{.HostConfig.Binds}}", "made"); got != "["+closed+"/real:/x]" {
		t.Errorf("made mounts %s", got)
	}
}

// linked makes a folder that only its user can look into, with a link in it, and a
// request that mounts that.
func (p *proxied) linked() (closed, bind string) {
	p.Helper()
	closed = filepath.Join(p.e.Dir, "closed")
	must(p.T, os.MkdirAll(closed+"/real", 0o755))
	must(p.T, errors.Join(os.Symlink("real", closed+"/l"), os.Chmod(closed, 0o700), os.Chown(closed, 65532, 65532)))
	return closed, fmt.Sprintf(`{"Image":"caller:1","HostConfig":{"Binds":[%q]}}`, closed+"/l:/x")
}

// TestPlanCWithoutHostPIDs: then nobody's process is known, and callers are user ids.
func TestPlanCWithoutHostPIDs(t *testing.T) {
	p := proxy(t, `  look: ["peer-uid:65532"]
  write: ["peer-uid:65531"]
  monitor: ["container:agent", "label:vitrine.role=look", "uid:65530", "container-uid:65530"]
`)
	p.eventually("the gateway to say what it cannot see", func() error {
		out, err := p.e.DockerCommand(p.e.Socket, "logs", "gateway").CombinedOutput()
		if err == nil && !strings.Contains(string(out), "callers are known by user id alone") {
			err = errors.New("it says nothing of it")
		}
		return err
	})
	p.agent("agent", "--env=TOKEN="+secret)
	p.looksOnly("agent")
	r := p.ask("agent", expected{method: "GET", path: list, status: 200, says: "/agent"})
	if r.Caller.Kind != "peer" || !slices.Equal(r.Caller.Principals, []string{"peer-uid:65532", "peer-gid:65532", "listener:agents"}) || r.Caller.ContainerID != "" {
		t.Errorf("the agent is recorded as %+v", r)
	}
	// Neither root nor what is bound to containers and the host's users means anything here.
	for name, user := range map[string]string{"root": "0", "labelled": "65530"} {
		p.agent(name, "--user="+user, "--label=vitrine.role=look")
		r = p.ask(name, expected{method: "GET", path: list, status: 403, says: "no role is bound to the caller"})
		if r.Caller.Kind != "peer" {
			t.Errorf("%s is recorded as %+v", name, r)
		}
	}
	p.agent("writer", "--user=65531")
	p.guardsItself("writer")
	closed, _ := p.linked()
	p.ask("writer", expected{
		method: "POST", path: "/volumes/create", status: 403, says: "it lacks unresolved: true",
		body: fmt.Sprintf(`{"Name":"made","DriverOpts":{"type":"none","o":"bind","device":%q}}`, closed+"/l"),
	})
}

// looksOnly: an agent sees, without secrets, and touches nothing.
func (p *proxied) looksOnly(agent string) {
	p.Helper()
	for path, says := range map[string]string{
		"/_ping": "OK", "/version": "ApiVersion", "/info": "ContainersRunning", list: "/" + agent,
		"/images/json": "caller:1", "/volumes": "socket", "/networks": "bridge", "/containers/" + agent + "/json": "TOKEN=",
	} {
		p.ask(agent, expected{method: "GET", path: path, status: 200, says: says, hides: secret})
	}
	before := p.state()
	for _, c := range []expected{
		{method: "POST", path: "/containers/create?name=made", body: `{"Image":"caller:1"}`},
		{method: "POST", path: "/containers/gateway/stop"},
		{method: "POST", path: "/containers/gateway/exec", body: `{"Cmd":["true"]}`},
		{method: "DELETE", path: "/containers/" + agent + "?force=1"},
		{method: "POST", path: "/volumes/create", body: `{"Name":"made"}`},
		{method: "GET", path: "/containers/gateway/logs?stdout=1"},
		{method: "GET", path: "/containers/gateway/archive?path=/policy"},
	} {
		c.status, c.says = 403, "vitrine: "
		p.ask(agent, c)
	}
	if after := p.state(); after != before {
		p.Errorf("the daemon has\n%s\nand had\n%s", after, before)
	}
}

// guardsItself: who may write everything still does not reach the gateway's own
// container, by whatever name.
func (p *proxied) guardsItself(writer string) {
	p.Helper()
	id := p.e.Docker("inspect", "--format", "{{.Id}}", "gateway")
	p.ask(writer, expected{method: "POST", path: "/volumes/create", body: `{"Name":"made"}`, status: 201})
	p.ask(writer, expected{method: "DELETE", path: "/volumes/made", status: 204})
	before := p.state()
	for _, name := range []string{"gateway", id, id[:12]} {
		for _, c := range []expected{
			{method: "POST", path: "/containers/NAME/stop"},
			{method: "POST", path: "/containers/NAME/kill"},
			{method: "POST", path: "/containers/NAME/pause"},
			{method: "POST", path: "/containers/NAME/restart"},
			{method: "POST", path: "/containers/NAME/rename?name=made"},
			{method: "POST", path: "/containers/NAME/update", body: `{"Memory":8000000}`},
			{method: "POST", path: "/containers/NAME/exec", body: `{"Cmd":["true"]}`},
			{method: "POST", path: "/containers/NAME/attach?stream=1"},
			{method: "GET", path: "/containers/NAME/archive?path=/policy"},
			{method: "DELETE", path: "/containers/NAME?force=1"},
			{method: "POST", path: "/containers/create?name=made", body: `{"Image":"caller:1","HostConfig":{"PidMode":"container:NAME"}}`},
			{method: "POST", path: "/containers/create?name=made", body: `{"Image":"caller:1","HostConfig":{"VolumesFrom":["NAME"]}}`},
		} {
			if name != "gateway" && !strings.Contains(c.path, "stop") && !strings.Contains(c.path, "exec") {
				continue
			}
			c.path, c.body = strings.ReplaceAll(c.path, "NAME", name), strings.ReplaceAll(c.body, "NAME", name)
			c.status, c.says = 403, "it reaches the container that Vitrine runs in"
			p.ask(writer, c)
		}
	}
	if after := p.state(); after != before {
		p.Errorf("the daemon has\n%s\nand had\n%s", after, before)
	}
}

// state is what dockerd's own socket shows.
func (p *proxied) state() string {
	p.Helper()
	return p.e.Docker("ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}") + "\n" +
		p.e.Docker("inspect", "--format", "{{.ExecIDs}} {{.HostConfig.Memory}} {{.State.StartedAt}}", "gateway") + "\n" +
		p.e.Docker("volume", "ls", "--quiet")
}
