package plans

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

const bindingsB2 = `
bindings:
  admin: ["unix:root", "local"]
  look: ["uid:4711"]
`

// TestPlanB2OrchestratorsDoNotNotice: a client of dockerd's own socket gets the
// same answers with us as without us, and keeps the streams that it has.
func TestPlanB2OrchestratorsDoNotNotice(t *testing.T) {
	p := begin(t, false)
	was, err := os.Stat(p.e.Socket)
	must(t, err)
	alone := p.orchestrate()
	events, err := p.e.Client().Get("http://docker/events") // from before, and on
	must(t, err)
	defer events.Body.Close()
	p.vitrine(vitrine.Options{Data: bindingsB2})
	if with := p.orchestrate(); !slices.Equal(with, alone) {
		t.Errorf("an orchestrator saw\n%q\nand with the plugin\n%q", alone, with)
	}
	is, err := os.Stat(p.e.Socket)
	must(t, err)
	if !os.SameFile(was, is) || was.Mode() != is.Mode() || *was.Sys().(*syscall.Stat_t) != touched(is, was) {
		t.Errorf("docker.sock was %+v and is %+v", was, is)
	}
	seen := make(chan string, 1)
	go func() {
		text := make([]byte, 1<<20)
		n, _ := io.ReadAtLeast(events.Body, text, 100)
		seen <- string(text[:n])
	}()
	select {
	case text := <-seen:
		if !strings.Contains(text, `"Action":"create"`) {
			t.Errorf("the stream from before goes on with %.300s", text)
		}
	case <-time.After(wait.Patience(10 * time.Second)):
		t.Error("the stream from before has ended or hangs")
	}
	// Undisturbed, but seen.
	for _, r := range p.p.Audit() {
		if r.Caller.Kind == "local" && !r.Allow {
			t.Errorf("refused: %+v", r)
		}
	}
}

// touched is the status of a file, with the times of another: connecting touches a socket.
func touched(is, was os.FileInfo) syscall.Stat_t {
	st, old := *is.Sys().(*syscall.Stat_t), was.Sys().(*syscall.Stat_t)
	st.Atim, st.Mtim, st.Ctim = old.Atim, old.Mtim, old.Ctim
	return st
}

// orchestrate does on dockerd's own socket what an orchestrator does, which
// includes all that we would refuse to others, and returns what it saw.
func (p *plan) orchestrate() []string {
	p.Helper()
	var saw []string
	for _, command := range []string{
		"network create --label o=1 net",
		"volume create --label o=1 vol",
		"run --detach --name task --network net --volume vol:/data --mount type=bind,source=/,target=/host,readonly --pid host --cap-add NET_ADMIN " +
			"--cap-drop ALL --security-opt no-new-privileges --env A=" + secret + " --label o=1 --restart always bb:1 sleep 1000",
		"ps --filter label=o=1 --format {{.Names}}:{{.State}}:{{.Labels}}",
		"inspect --format {{.Config.Env}}{{.HostConfig.Binds}}{{range.HostConfig.Mounts}}{{.Source}}:{{.Target}}{{end}}{{.HostConfig.PidMode}} task",
		"exec task sh -c echo>/data/x;ls<none>/data",
		"exec task ls /data",
		"update --memory 64m --memory-swap 64m task",
		"rename task job",
		"cp job:/etc/passwd -",
		"commit --message x job made:1",
		"tag made:1 made:2",
		"image inspect --format {{.Comment}} made:2",
		"restart --time 0 job",
		"logs job",
		"top job",
		"stats --no-stream --format {{.Name}} job",
		"pause job",
		"unpause job",
		"stop --time 0 job",
		"wait job",
		"rm --volumes job",
		"rmi made:1 made:2",
		"network rm net",
		"volume rm vol",
		"swarm init --advertise-addr 127.0.0.1",
		"service create --detach --no-resolve-image --replicas 0 --name svc bb:1",
		"service ls --format {{.Name}}:{{.Replicas}}",
		"node ls --format {{.Status}}",
		"service rm svc",
		"swarm leave --force",
		"info --format {{.Swarm.LocalNodeState}}:{{.ContainersRunning}}",
	} {
		out, err := p.e.CombinedOutput(p.e.Socket, strings.Fields(command)...)
		verb, _, _ := strings.Cut(command, " --")
		line := fmt.Sprintf("%s: %v %d bytes", verb, err, len(out))
		if strings.Contains(command, "--format") {
			line = fmt.Sprintf("%s: %v %s", verb, err, out)
		}
		if strings.Contains(out, "vitrine") || err != nil && !strings.Contains(command, "<none>") {
			p.Errorf("docker %s: %v\n%s", command, err, out)
		}
		saw = append(saw, line)
	}
	return saw
}

// TestPlanB2UserMayLookOnly: an unprivileged user on the gateway's socket, and
// root beside it.
func TestPlanB2UserMayLookOnly(t *testing.T) {
	p := begin(t, false)
	p.vitrine(vitrine.Options{Data: bindingsB2})
	docker := func(uid int, arg ...string) (string, error) {
		cmd := p.e.DockerCommand(p.p.Socket, arg...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		cmd.Env = append(cmd.Env, "DOCKER_CONFIG=/nonexistent")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, arg := range [][]string{
		{"ps"},
		{"inspect", "web"},
		{"images"},
		{"volume", "ls"},
		{"network", "inspect", "bridge"},
		{"info"},
		{"version"},
		{"image", "inspect", "bb:1"},
		{"events", "--since", "1s", "--until", "0s"},
	} {
		if out, err := docker(4711, arg...); err != nil || strings.Contains(out, secret) {
			t.Errorf("docker %v: %v\n%s", arg, err, out)
		}
	}
	before := p.e.Docker("ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}")
	for _, arg := range [][]string{
		{"run", "--rm", "bb:1", "true"},
		{"create", "bb:1"},
		{"exec", "web", "true"},
		{"logs", "web"},
		{"cp", "web:/etc/passwd", "-"},
		{"stop", "web"},
		{"kill", "web"},
		{"rm", "--force", "web"},
		{"rename", "web", "made"},
		{"top", "web"},
		{"volume", "create", "made"},
		{"network", "create", "made"},
		{"tag", "bb:1", "made:1"},
		{"export", "web"},
		{"save", "bb:1"},
		{"diff", "web"},
		{"commit", "web"},
		{"system", "prune", "--force"},
		{"swarm", "init"},
		{"plugin", "disable", "vitrine"},
		{"update", "--memory=64m", "web"},
	} {
		if out, err := docker(4711, arg...); err == nil || !strings.Contains(out, "vitrine: uid:4711 may not") {
			t.Errorf("docker %v: %v\n%.300s", arg, err, out)
		}
	}
	for _, arg := range [][]string{{"ps"}, {"inspect", "web"}, {"run", "--rm", "bb:1", "true"}} {
		if out, err := docker(4712, arg...); err == nil || !strings.Contains(out, "no role is bound to the caller") {
			t.Errorf("docker %v of a stranger: %v\n%.300s", arg, err, out)
		}
	}
	after := p.e.Docker("ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}") +
		p.e.Docker("volume", "ls", "--quiet") + p.e.Docker("network", "ls", "--quiet", "--filter", "name=made") + p.e.Docker("images", "--quiet", "made")
	if after != before {
		t.Errorf("the daemon has\n%s\nand had\n%s", after, before)
	}
	if out, err := docker(0, "run", "--rm", "--volume", "/:/host:ro", "--pid=host", "bb:1", "echo", "hello"); err != nil || out != "hello\n" {
		t.Errorf("docker run of root: %v\n%s", err, out)
	}
	records := p.p.Audit()
	if last := records[len(records)-1]; last.Caller.UID == nil || *last.Caller.UID != 0 {
		t.Errorf("root is recorded as %+v", last)
	} else {
		p.caller(last, "host", "unix:root")
	}

	// dockerd's own socket is closed to that user by its mode, as ever.
	if conn, err := vitrine.As(t, 4711).Dial(p.e.Socket); err == nil {
		_ = conn.Close()
		t.Error("an unprivileged user may connect to docker.sock")
	}
}

// TestPlanB2KernelSpeaks: who asks is the user that the kernel names, whatever it says of itself.
func TestPlanB2KernelSpeaks(t *testing.T) {
	p := begin(t, false)
	p.vitrine(vitrine.Options{Data: bindingsB2})
	for uid, want := range map[int]struct {
		principal string
		list      int
		create    int
	}{4711: {"uid:4711", http.StatusOK, http.StatusForbidden}, 4712: {"uid:4712", http.StatusForbidden, http.StatusForbidden}} {
		user := vitrine.As(t, uid)
		dial := func() net.Conn {
			conn, err := user.Dial(p.p.Socket)
			must(t, err)
			t.Cleanup(func() { _ = conn.Close() })
			return conn
		}
		r := p.ask(dial(), expected{method: "GET", path: list, status: want.list})
		p.caller(r, "host", want.principal)
		if r.Caller.PID != user.Pid() || *r.Caller.UID != uint32(uid) {
			t.Errorf("process %d is recorded as %+v", user.Pid(), r.Caller)
		}
		r = p.ask(dial(), expected{method: "POST", path: create, body: body, status: want.create})
		p.caller(r, "host", want.principal)
	}
	for _, path := range []string{"/containers/web/attach?stream=1&stdin=1", "/containers/web/attach/ws?stream=1", "/exec/x/start"} {
		method := "POST"
		if strings.Contains(path, "/ws") {
			method = "GET"
		}
		conn, err := vitrine.As(t, 4711).Dial(p.p.Socket)
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		p.ask(conn, expected{method: method, path: path, status: 403, says: "vitrine: uid:4711 may not"})
	}
	if p.made() {
		t.Error("a container was created")
	}
}
