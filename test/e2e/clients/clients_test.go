package clients

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

const (
	lookUID      = 4201 // may look
	operatorUID  = 4202 // may do everything, but is not admin
	execerUID    = 4203 // may exec and inspect, and so may the next one
	recreatorUID = 4205 // may create what has no hazard
	pinglessUID  = 4206 // may exec and inspect, and not ping
	secret       = "s3cr3t"
)

const policyData = `
roles:
  operator: {operations: ["*"], hazards: ["*"]}
  execer: {access: [ping], operations: [ContainerExec, ContainerInspect], hazards: [env]}
  pingless: {operations: [ContainerExec, ContainerInspect], hazards: [env]}
  recreator: {operations: [ContainerCreate]}
bindings:
  admin: ["unix:root", "local"]
  look: ["uid:4201"]
  operator: ["uid:4202"]
  execer: ["uid:4203", "uid:4204"]
  recreator: ["uid:4205"]
  pingless: ["uid:4206"]
`

// limits are so short that whatever counts an open stream as idle cuts it.
const limits = "idle_seconds=4;header_seconds=4;body_seconds=4"

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(m.Run())
}

func TestClientsWithTickets(t *testing.T) { testClients(t, false) }

func TestClientsOfTheGatewayAlone(t *testing.T) { testClients(t, true) }

func testClients(t *testing.T, alone bool) {
	t.Parallel()
	w := newWorld(t, alone)
	idle := w.openIdleStream()
	targets := w.startPrometheus()
	for _, one := range []struct {
		name string
		test func(*world)
	}{
		{"look/docker", (*world).dockerLooks},
		{"look/Go library", (*world).goLooks},
		{"look/Python library", (*world).pythonLooks},
		{"look/BuildKit Closed", (*world).buildKitClosed},
		{"execer/its own exec Closed", (*world).ownExec},
		{"pingless/is told what it lacks", (*world).pingless},
		{"recreator/from inspect", (*world).recreate},
		{"operator/containers by name", (*world).named},
		{"admin/run with input", (*world).runWithInput},
		{"admin/exec on a terminal", (*world).execOnATerminal},
		{"admin/attach", (*world).attach},
		{"admin/attach without Upgrade", (*world).attachWithoutUpgrade},
		{"admin/exec without Upgrade", (*world).execWithoutUpgrade},
		{"admin/build", (*world).build},
		{"admin/BuildKit", (*world).buildKit},
		{"admin/commit", (*world).commit},
		{"admin/copy", (*world).copyBothWays},
		{"admin/save two images", (*world).saveTwo},
		{"admin/load 200 MB", (*world).loadLarge},
		{"admin/push and pull", (*world).pushAndPull},
		{"admin/short jobs of a service", (*world).shortJobs},
		{"admin/logs while it writes", (*world).logsWhileItWrites},
		{"admin/events", (*world).events},
		{"admin/stats", (*world).stats},
		{"admin/HTTP 1.0", (*world).http10},
	} {
		t.Run(one.name, func(t *testing.T) { one.test(w.on(t)) })
	}
	t.Run("look/Prometheus", func(t *testing.T) { targets(w.on(t)) })
	t.Run("admin/a stream idle for longer than any limit", func(t *testing.T) { idle(w.on(t)) })
}

// World is an Engine behind the gateway, with things in it to look at.
type world struct {
	*testing.T
	e    *engine.Engine
	p    *vitrine.Process
	look *vitrine.User
	clis []string // the docker command lines of this machine
}

func newWorld(t *testing.T, alone bool) *world {
	t.Helper()
	e := engine.Start(t, engine.Options{})
	w := &world{T: t, e: e, look: vitrine.As(t, lookUID), clis: commandLines(t, e)}
	w.check(e.ImportBusybox())
	e.Docker("volume", "create", "data")
	e.Docker("run", "--detach", "--name", "web", "--env", "TOKEN="+secret, "--expose", "8080", "--label", "team=sre", "bb:1", "sleep", "1000")
	w.p = vitrine.Start(t, vitrine.Options{Engine: e, Data: policyData, Alone: alone, Args: limitFlags()})
	if !alone {
		w.p.Plug(nil)
	}
	return w
}

func limitFlags() (flags []string) {
	for limit := range strings.SplitSeq(limits, ";") {
		flags = append(flags, "--limits", limit)
	}
	return flags
}

// on is the world of a subtest.
func (w *world) on(t *testing.T) *world {
	sub := *w
	sub.T, sub.e = t, w.e.For(t)
	return &sub
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// command is docker on the gateway's socket, as root.
func (w *world) command(arg ...string) *exec.Cmd { return w.e.DockerCommand(w.p.Socket, arg...) }

// as makes a command another user's.
func as(cmd *exec.Cmd, uid uint32) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	cmd.Dir = "/"
	return cmd
}

// output runs a command that must succeed within a minute and returns what it printed.
func (w *world) output(cmd *exec.Cmd) string {
	w.Helper()
	out, err := w.try(cmd)
	if err != nil {
		w.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return out
}

// refused runs a command that must fail with a message of ours.
func (w *world) refused(cmd *exec.Cmd) {
	w.Helper()
	out, err := w.try(cmd)
	if err == nil || !strings.Contains(out, "vitrine: uid:4201 may not") && !strings.Contains(out, "vitrine: uid:4202 may not") {
		w.Errorf("%s: %v, want a refusal of vitrine's:\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}

func (w *world) try(cmd *exec.Cmd) (string, error) {
	w.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	w.check(cmd.Start())
	defer time.AfterFunc(wait.Patience(time.Minute), func() { _ = cmd.Process.Kill() }).Stop()
	err := cmd.Wait()
	return out.String(), err
}

// docker runs docker as admin through the gateway, and returns what it printed without the last newline.
func (w *world) docker(arg ...string) string {
	w.Helper()
	return strings.TrimSuffix(w.output(w.command(arg...)), "\n")
}

// input runs docker as admin through the gateway with a standard input.
func (w *world) input(text string, arg ...string) string {
	w.Helper()
	cmd := w.command(arg...)
	cmd.Stdin = strings.NewReader(text)
	return w.output(cmd)
}

// wants complains of what is missing in a text.
func (w *world) wants(text string, parts ...string) {
	w.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			w.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

// hides complains of a secret in a text.
func (w *world) hides(text string) {
	w.Helper()
	if strings.Contains(text, secret) {
		w.Errorf("the secret is shown:\n%s", text)
	}
}

// dial connects to the gateway as admin; whatever happens on the connection must happen within half a minute.
func (w *world) dial() *net.UnixConn {
	w.Helper()
	c, err := net.Dial("unix", w.p.Socket)
	w.check(err)
	w.Cleanup(func() { _ = c.Close() })
	w.check(c.SetDeadline(time.Now().Add(wait.Patience(30 * time.Second))))
	return c.(*net.UnixConn)
}

// eventually tries f until it gives nil.
func (w *world) eventually(what string, f func() error) {
	w.Helper()
	if err := wait.NoError(30*time.Second, f); err != nil {
		w.Fatalf("waited 30 s for %s: %v", what, err)
	}
}

// memory reads a line such as VmHWM of the gateway's /proc/<pid>/status, in bytes.
func (w *world) memory(name string) int {
	w.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.p.Pid()))
	w.check(err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			w.check(err)
			return kib << 10
		}
	}
	w.Fatal(errors.New(name + " is not in /proc/<pid>/status"))
	return 0
}

// folder makes a folder with these files, that every user may read.
func (w *world) folder(files map[string]string) string {
	w.Helper()
	dir := vitrine.OpenDir(w)
	for name, text := range files {
		w.check(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return dir
}
