// Package vitrine starts the real authz-plugin for end-to-end tests, beside a
// private Engine (package engine) or alone, and asks it as a caller would.
//
// The binary is built once a test process, with the race detector when the test
// has it. It runs inside the engine's mount and network namespaces, so that
// dockerd finds its plugin socket; PIDs and UIDs are the host's. It is stopped
// by its process id with the test, which fails if it does not exit 0 when asked
// to, or reports a data race.
package vitrine

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/test/engine"
	"vitrine/test/wait"
)

// Options say how it starts.
type Options struct {
	Engine *engine.Engine // required
	// Args are further flags of serve; those given here win over the defaults.
	Args []string
	// Data is the policy's data.yaml, Rego a whole policy of its own; without either
	// the built-in policy decides. The files lie in PolicyDir.
	Data, Rego string
	// Alone runs a gateway without the plugin's socket.
	Alone bool
	// Activated: the gateway's socket is the test's, which listens on it for the process as systemd would, so that it
	// outlives the process.
	Activated bool
	// NotReady: Start does not wait, as the Engine does not run or the policy is no good.
	NotReady bool
}

// Process is a running authz-plugin.
type Process struct {
	Engine    *engine.Engine
	Socket    string // the gateway's, as seen from outside the namespaces
	Admin     string // the admin socket, likewise
	PolicyDir string
	AuditFile string
	StateDir  string // where the last good policy is kept

	tb    testing.TB
	opts  Options
	cmd   *exec.Cmd
	log   *wait.Buffer
	ended chan struct{}

	activated *os.File
}

// Start starts it for one test and waits until the gateway and the policy are ready,
// unless the options say otherwise.
func Start(tb testing.TB, o Options) *Process {
	tb.Helper()
	dir := o.Engine.Path("/etc/docker/vitrine")
	p := &Process{
		Engine: o.Engine, tb: tb, opts: o, PolicyDir: dir,
		Socket:    o.Engine.Path("/run/vitrine/docker/docker.sock"),
		Admin:     o.Engine.Path("/run/vitrine-admin/admin.sock"),
		AuditFile: filepath.Join(o.Engine.Dir, "state/audit.log"), // goes with the engine
		StateDir:  filepath.Join(o.Engine.Dir, "state/vitrine"),
	}
	for _, folder := range []string{dir, p.StateDir} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	for name, content := range map[string]string{"data.yaml": o.Data, "authz.rego": o.Rego} {
		if content != "" {
			p.WritePolicy(name, content)
		}
	}
	if o.Activated {
		p.activate()
	}
	p.Run()
	tb.Cleanup(func() {
		p.Stop()
		if tb.Failed() {
			tb.Logf("authz-plugin's log:\n%s", p.Log())
		}
	})
	if !o.NotReady {
		p.WaitReady()
	}
	return p
}

// WritePolicy replaces a file of the policy's folder, as an editor does.
func (p *Process) WritePolicy(name, content string) {
	p.tb.Helper()
	tmp := filepath.Join(p.PolicyDir, "."+name+".new")
	if err := os.WriteFile(tmp, []byte(content), 0o644); err != nil {
		p.tb.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(p.PolicyDir, name)); err != nil {
		p.tb.Fatal(err)
	}
}

// Run starts the process, again after Stop or Kill.
func (p *Process) Run() {
	p.tb.Helper()
	args := []string{"serve", "--audit", p.AuditFile, "--log-level", "debug", "--state-dir", p.StateDir}
	if p.opts.Alone {
		args = append(args, "--plugin-socket", "")
	}
	args = append([]string{Binary(p.tb)}, append(args, p.opts.Args...)...)
	if p.activated != nil {
		args = append([]string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=agents exec "$@" --listen agents=fd://agents,host=/run/vitrine/docker/docker.sock`, "sh"}, args...)
	}
	p.cmd = p.Engine.Command(args[0], args[1:]...)
	if p.activated != nil {
		p.cmd.ExtraFiles = []*os.File{p.activated}
	}
	p.log = &wait.Buffer{}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.ended = make(chan struct{})
	if err := p.cmd.Start(); err != nil {
		p.tb.Fatal(err)
	}
	cmd, ended := p.cmd, p.ended
	go func() { _ = cmd.Wait(); close(ended) }()
}

// activate listens on the gateway's socket.
func (p *Process) activate() {
	p.tb.Helper()
	if err := os.MkdirAll(filepath.Dir(p.Socket), 0o755); err != nil {
		p.tb.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.Socket, Net: "unix"})
	if err == nil {
		err = os.Chmod(p.Socket, 0o666)
	}
	if err != nil {
		p.tb.Fatal(err)
	}
	p.tb.Cleanup(func() { _ = l.Close() })
	if p.activated, err = l.File(); err != nil {
		p.tb.Fatal(err)
	}
	p.tb.Cleanup(func() { _ = p.activated.Close() })
}

// WaitReady waits until the health check finds the Engine answering, the
// inventory kept and a policy loaded.
func (p *Process) WaitReady() {
	p.tb.Helper()
	p.Eventually("authz-plugin to be healthy", func() error {
		h, err := p.Health()
		if err != nil {
			return err
		}
		for _, check := range []string{"upstream", "inventory", "policy"} {
			if h.Checks[check] != "ok" {
				return fmt.Errorf("%s: %s", check, h.Checks[check])
			}
		}
		return nil
	})
}

// Health is the answer of /healthz.
type Health struct {
	Status string            `json:"status"`
	Checks map[string]string `json:"checks"`
}

// Health asks the admin socket.
func (p *Process) Health() (Health, error) { return HealthAt(p.Admin) }

// HealthAt asks the admin socket at path: of a managed plugin, which is no Process.
func HealthAt(path string) (Health, error) {
	var h Health
	text, err := get(path, "/healthz")
	if err != nil {
		return h, err
	}
	return h, json.Unmarshal([]byte(text), &h)
}

// Metrics is the text of /metrics.
func (p *Process) Metrics() string {
	p.tb.Helper()
	text, err := MetricsAt(p.Admin)
	if err != nil {
		p.tb.Fatal(err)
	}
	return text
}

// MetricsAt is the text of /metrics of the admin socket at path.
func MetricsAt(path string) (string, error) { return get(path, "/metrics") }

func get(socket, path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait.Patience(5*time.Second))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://vitrine"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := engine.SocketClient(socket).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// Pid is the process id of authz-plugin.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Log is what it printed so far.
func (p *Process) Log() string { return p.log.String() }

// Audit reads the audit log so far, with the records of all that has been answered: they are written a moment after.
func (p *Process) Audit() (records []audit.Record) {
	p.tb.Helper()
	last := p.lastDecision()
	if err := wait.NoError(20*time.Second, func() error {
		records = AuditIn(p.tb, p.AuditFile)
		if last.ID != "" && !slices.ContainsFunc(records, func(r audit.Record) bool { return r.ID == last.ID && r.Event == last.Event }) {
			return fmt.Errorf("the audit log has no record of %s, which was decided", last.ID)
		}
		return nil
	}); err != nil {
		p.tb.Fatal(err)
	}
	return records
}

// lastDecision is the newest record that the process has in memory, the zero one if it has none, or does not run.
func (p *Process) lastDecision() (last audit.Record) {
	text, err := get(p.Admin, "/decisions?n=1")
	if err == nil {
		_ = json.Unmarshal([]byte(text), &last) // it may be empty
	}
	return last
}

// AuditIn reads an audit log, of whomever's.
func AuditIn(tb testing.TB, file string) []audit.Record {
	tb.Helper()
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		tb.Fatal(err)
	}
	var out []audit.Record
	for line := range strings.Lines(string(data)) {
		if !strings.HasSuffix(line, "\n") {
			break // being written
		}
		var r audit.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			tb.Fatalf("audit line %q: %v", line, err)
		}
		out = append(out, r)
	}
	return out
}

// Stop asks it to end, and fails the test unless it does so in order.
func (p *Process) Stop() {
	p.tb.Helper()
	select {
	case <-p.ended:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(wait.Patience(45 * time.Second)):
		_ = p.cmd.Process.Signal(syscall.SIGABRT) // shows the goroutines in the log
		<-p.ended
		p.tb.Error("authz-plugin was sent SIGTERM, and did not end")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.tb.Errorf("authz-plugin ended with exit code %d", code)
	}
}

// Kill ends it with SIGKILL.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Eventually tries f until it gives nil, for a minute of patience.
func (p *Process) Eventually(what string, f func() error) {
	p.tb.Helper()
	began := time.Now()
	for {
		err := f()
		if err == nil {
			return
		}
		if waited := time.Since(began); waited > wait.Patience(time.Minute) {
			p.tb.Fatalf("waited %s for %s: %v\n%s", waited, what, err, p.Log())
		}
		select {
		case <-p.ended:
			p.tb.Fatalf("waited for %s, but authz-plugin has ended:\n%s", what, p.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

var binary = sync.OnceValues(build)

// Binary builds cmd/authz-plugin once a test process and returns its path.
func Binary(tb testing.TB) string {
	tb.Helper()
	path, err := binary()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// build leaves the binary in the user's cache, apart from other checkouts': the go command notices whether it is up to date.
func build() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "vitrine").Output() // the tests may be another module's
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	dir := filepath.Join(cache, "vitrine-test", fmt.Sprintf("%x", sha256.Sum256(module))[:12])
	name := "authz-plugin"
	args := []string{"build"}
	if Race {
		name += "-race"
		args = append(args, "-race")
	}
	path := filepath.Join(dir, name)
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid()) // others may be running the old one
	cmd := exec.Command("go", append(args, "-o", fresh, "vitrine/cmd/authz-plugin")...)
	cmd.Dir = strings.TrimSpace(string(module))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build authz-plugin: %w\n%s", err, out)
	}
	return path, os.Rename(fresh, path)
}
