// Package engine starts real Docker Engines for tests: Debian's dockerd, or another that VITRINE_ENGINE names (see
// scripts/engine.sh), in a folder, mount and network namespace, and
// cgroup of its own, by scripts/engine.sh, which the demo uses too. The machine's own Docker is never asked and never
// changed.
//
// Inside the namespaces every default path holds (/run/docker.sock, /etc/docker, /run/docker/plugins); Path tells
// where the same file lies outside, so that a test can open a socket of the plugin in its own process, or change the
// policy. PIDs and UIDs are the host's. The network's loopback is the engine's own: use Dial, or Command.
//
// What it will not do: pull an image (bb:1, made of busybox-static, is the only one), or hide that something is
// missing. Without root or dockerd a test is skipped, and where VITRINE_REQUIRE is set it fails instead; the same holds
// for an engine that a test names, and VITRINE_REQUIRE_ENGINES.
//
// The caller closes an engine from Open; one from Start closes itself with its test. An engine starts and stops in
// about a second together: prefer one a test, and one a package only where tests do not configure it.
package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/test/wait"
)

// Options says how an engine starts.
type Options struct {
	Name       string         // 26, 28 or 28c, as VITRINE_ENGINE has it; "" is what VITRINE_ENGINE says
	DaemonJSON map[string]any // contents of daemon.json
	Flags      []string       // further flags of dockerd
	TLS        *CA            // listen on TLSAddress too, with client certificates of this authority (--tlsverify)
}

// TLSAddress is where an engine with Options.TLS listens, on its own loopback.
const TLSAddress = "127.0.0.1:2376"

// Engine is a running private Docker Engine.
type Engine struct {
	Dir    string // its folder
	Socket string // dockerd's own socket, as seen from outside the namespaces
	name   string // Options.Name
	script string
	flags  []string
	tb     testing.TB // nil right after Open
}

// Require skips the test, or fails it where VITRINE_REQUIRE is set, unless engines can be started here.
func Require(tb testing.TB) {
	tb.Helper()
	if err := usable(); err != nil {
		if os.Getenv("VITRINE_REQUIRE") != "" {
			tb.Fatalf("a real engine is required: %v", err)
		}
		tb.Skipf("needs a real engine: %v", err)
	}
}

// requireNamed skips the test, or fails it where VITRINE_REQUIRE_ENGINES is set, unless the engine of that name is there.
func requireNamed(tb testing.TB, name string) {
	tb.Helper()
	if err := laidOut(name); err != nil {
		if os.Getenv("VITRINE_REQUIRE_ENGINES") != "" {
			tb.Fatalf("VITRINE_REQUIRE_ENGINES is set: %v", err)
		}
		tb.Skip(err)
	}
}

// laidOut asks scripts/engines.sh whether the engine of that name is there.
func laidOut(name string) error {
	script, err := findScript()
	if err != nil {
		return err
	}
	if exec.Command(filepath.Join(filepath.Dir(script), "engines.sh"), "path", name).Run() != nil {
		return fmt.Errorf("the engine %s is not there; scripts/engines.sh fetches it", name)
	}
	return nil
}

func usable() error {
	if os.Geteuid() != 0 {
		return errors.New("not root")
	}
	// Asked by the test's own process, so that the go command does not take one engine's result for another's.
	if name := os.Getenv("VITRINE_ENGINE"); name != "" && name != "20" {
		if err := laidOut(name); err != nil {
			return err
		}
	}
	for _, name := range []string{"dockerd", "nsenter", "busybox"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%w; scripts/setup.sh installs what is missing", err)
		}
	}
	return nil
}

// Start starts an engine for one test, and stops it with the test. When the test fails, the end of dockerd's log is
// shown.
func Start(tb testing.TB, o Options) *Engine {
	tb.Helper()
	Require(tb)
	if o.Name != "" {
		requireNamed(tb, o.Name)
	}
	e, err := Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	e.tb = tb
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the end of dockerd's log:\n%s", tail(e.Log(), 30))
		}
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

// Open starts an engine that outlives a test: for TestMain, where several tests share one. Nothing is left behind when
// it returns an error.
func Open(o Options) (*Engine, error) {
	script, err := findScript()
	if err != nil {
		return nil, err
	}
	if err := noticeSources(filepath.Dir(filepath.Dir(script))); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "vitrine-") // t.TempDir is too long for the sockets
	if err != nil {
		return nil, err
	}
	e := &Engine{Dir: dir, Socket: filepath.Join(dir, "run/docker.sock"), name: o.Name, script: script, flags: o.Flags}
	if err := e.configure(o); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := e.run("start", e.flags...); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.introduce()
	return e, nil
}

var introduced sync.Map // by which name an engine was asked for

// introduce prints once a test process which engine and which command line it has.
func (e *Engine) introduce() {
	name := e.name
	if name == "" {
		name = os.Getenv("VITRINE_ENGINE")
	}
	if _, done := introduced.LoadOrStore(name, true); done {
		return
	}
	out, err := exec.Command(e.script, "versions", e.Dir).Output()
	if err != nil { // it does not answer everybody
		introduced.Delete(name)
		return
	}
	fmt.Printf("engine: %s", out)
}

// noticeSources looks at every source of the module. The go command takes a test's
// result from its cache unless a file has changed that the test itself has looked at; of
// what a test builds and runs it knows nothing.
func noticeSources(module string) error {
	for _, folder := range []string{"cmd", "internal", "rego", "scripts", "test"} {
		if err := filepath.WalkDir(filepath.Join(module, folder), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				_, err = os.Stat(path)
			}
			if errors.Is(err, fs.ErrNotExist) { // by now
				return nil
			}
			return err
		}); err != nil {
			return fmt.Errorf("look at the sources: %w", err)
		}
	}
	return nil
}

// For returns the same engine for one test that shares it: Docker then ends that test when it fails.
func (e *Engine) For(tb testing.TB) *Engine {
	shared := *e
	shared.tb = tb
	return &shared
}

func (e *Engine) configure(o Options) error {
	if err := os.MkdirAll(e.Path("/etc/docker"), 0o755); err != nil {
		return err
	}
	if o.TLS != nil {
		server, err := o.TLS.Server("127.0.0.1", "localhost")
		if err != nil {
			return err
		}
		e.flags = append(e.flags, "--host=tcp://"+TLSAddress, "--tlsverify",
			"--tlscacert="+o.TLS.File, "--tlscert="+server.CertFile, "--tlskey="+server.KeyFile)
	}
	return e.WriteDaemonJSON(o.DaemonJSON)
}

// Close kills everything that belongs to the engine and removes its folder.
func (e *Engine) Close() error { return e.run("stop") }

// Path returns where a path inside the namespaces, below /run or /etc, lies outside of them; other paths are the same.
func (e *Engine) Path(inside string) string {
	if strings.HasPrefix(inside, "/run/") || strings.HasPrefix(inside, "/etc/") {
		return e.Dir + inside
	}
	return inside
}

// WriteDaemonJSON replaces daemon.json; Hangup or Restart makes dockerd read it.
func (e *Engine) WriteDaemonJSON(v map[string]any) error {
	if v == nil {
		v = map[string]any{}
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(e.Path("/etc/docker/daemon.json"), data, 0o644)
}

// Hangup sends dockerd SIGHUP and waits until its log says that it has read daemon.json again.
func (e *Engine) Hangup() error {
	const done = "Reloaded configuration"
	before := strings.Count(e.Log(), done)
	if err := e.run("hup"); err != nil {
		return err
	}
	for deadline := time.Now().Add(wait.Patience(30 * time.Second)); strings.Count(e.Log(), done) == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("dockerd has been sent SIGHUP, and has not reloaded its configuration in time")
		}
	}
	return nil
}

// Restart ends dockerd with SIGTERM, waits, and starts it again with the same flags in the same namespaces.
func (e *Engine) Restart() error {
	if err := e.run("term"); err != nil {
		return err
	}
	return e.Resume()
}

// SetFlags replaces the flags of an engine without TLS; dockerd has them from Restart or Resume on.
func (e *Engine) SetFlags(flags ...string) { e.flags = flags }

// Kill ends dockerd with SIGKILL; containers, namespaces and managed plugins stay.
func (e *Engine) Kill() error { return e.run("kill") }

// Resume starts dockerd again after Kill.
func (e *Engine) Resume() error { return e.run("start", e.flags...) }

// Pid returns dockerd's process id.
func (e *Engine) Pid() (int, error) { return e.readPid("dockerd") }

// holderPid returns the process id of the holder: a process that does nothing but keep the namespaces.
func (e *Engine) holderPid() (int, error) { return e.readPid("holder") }

func (e *Engine) readPid(name string) (int, error) {
	data, err := os.ReadFile(filepath.Join(e.Dir, "state", name))
	if err != nil {
		return 0, err
	}
	pid, _, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	return strconv.Atoi(pid)
}

// Cgroup returns the engine's cgroup parent, such as /vitrine-0123456789ab; it is the same in every hierarchy.
func (e *Engine) Cgroup() (string, error) {
	data, err := os.ReadFile(filepath.Join(e.Dir, "state/cgroup"))
	return "/" + strings.TrimSpace(string(data)), err
}

// Log returns dockerd's log so far; what managed plugins print is in it.
func (e *Engine) Log() string {
	data, err := os.ReadFile(filepath.Join(e.Dir, "dockerd.log"))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// Client returns an HTTP client for dockerd's own socket. URLs have any host: http://docker/_ping.
func (e *Engine) Client() *http.Client { return SocketClient(e.Socket) }

// SocketClient returns an HTTP client that connects to a Unix socket whatever the URL's host. It keeps no idle
// connections.
func SocketClient(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}}
}

// Command returns a command that runs inside the engine's mount and network namespaces; its process is the command
// itself. Whatever of it still runs is killed when the engine closes.
func (e *Engine) Command(name string, arg ...string) *exec.Cmd {
	cmd := exec.Command(e.script, append([]string{"exec", e.Dir, name}, arg...)...)
	cmd.Env = Environ()
	return cmd
}

// Environ is os.Environ without the variables that are for tests alone: our programs object to settings that they do
// not know and that look like theirs.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "VITRINE_REQUIRE") || strings.HasPrefix(v, "VITRINE_ENGINE")
	})
}

// DockerCommand returns the engine's own docker command line, asking the given socket (an outside path), without the user's
// Docker configuration. Set its SysProcAttr.Credential to ask as somebody else.
func (e *Engine) DockerCommand(socket string, arg ...string) *exec.Cmd {
	cmd := exec.Command(e.CLI(), append([]string{"--host", "unix://" + socket}, arg...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "DOCKER_CONFIG=" + e.Dir + "/state/docker"}
	return cmd
}

// CLI is the path of the engine's own docker command line.
func (e *Engine) CLI() string { return filepath.Join(e.Dir, "state/bin/docker") }

// Docker runs the docker command line against dockerd's own socket and returns its standard output without the last
// newline. A failure ends the test: use DockerCommand where one is expected, and For with an engine from Open.
func (e *Engine) Docker(arg ...string) string {
	e.tb.Helper()
	out, err := e.Output(e.Socket, arg...)
	if err != nil {
		e.tb.Fatalf("docker %s: %v", strings.Join(arg, " "), err)
	}
	return strings.TrimSuffix(out, "\n")
}

// Output runs the docker command line against the given socket and returns its standard output; what it said on the
// way is in the error.
//
// Exit status 126 of an exec says that the runtime could not start the process: then nothing has run, and it is asked
// again, twice at most. runc 1.1 fails so now and then on cgroup v1 (https://github.com/opencontainers/runc/issues/1884).
func (e *Engine) Output(socket string, arg ...string) (string, error) {
	e.tb.Helper()
	return e.started(output, socket, arg)
}

// CombinedOutput is Output for a command that may fail: what it prints on either of its outputs.
func (e *Engine) CombinedOutput(socket string, arg ...string) (string, error) {
	e.tb.Helper()
	return e.started(func(cmd *exec.Cmd) (string, error) {
		out, err := cmd.CombinedOutput()
		return string(out), err
	}, socket, arg)
}

// started runs the docker command line; see Output.
func (e *Engine) started(run func(*exec.Cmd) (string, error), socket string, arg []string) (out string, err error) {
	e.tb.Helper()
	for range 3 {
		out, err = run(e.DockerCommand(socket, arg...))
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 126 || arg[0] != "exec" {
			break
		}
		e.tb.Logf("the runtime did not start an exec: docker %s: %v %s", strings.Join(arg, " "), err, out)
	}
	return out, err
}

// ImportBusybox makes the image bb:1.
func (e *Engine) ImportBusybox() error { return e.run("busybox") }

// ImportImage makes an image like bb:1 that has more programs in /bin, with their libraries.
func (e *Engine) ImportImage(name string, programs ...string) error {
	return e.run("busybox", append([]string{name}, programs...)...)
}

// ImportGo builds the program of a package of ours without libc, makes an image like bb:1 that has it in /bin, and
// returns the path of the program outside, where every user may run it.
func (e *Engine) ImportGo(image, pkg string) (string, error) {
	program := filepath.Join(e.Dir, "state", path.Base(pkg))
	cmd := exec.Command("go", "build", "-o", program, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return program, e.ImportImage(image, program)
}

// RunRegistry starts docker-registry on 127.0.0.1:port of the engine's network namespace and returns that address.
func (e *Engine) RunRegistry(port int) (string, error) {
	return fmt.Sprintf("127.0.0.1:%d", port), e.run("registry", strconv.Itoa(port))
}

// run runs scripts/engine.sh COMMAND DIR.
func (e *Engine) run(command string, arg ...string) error {
	cmd := exec.Command(e.script, append([]string{command, e.Dir}, arg...)...)
	cmd.Env = append(os.Environ(), "ENGINE_OWNER="+strconv.Itoa(os.Getpid())) // a test that panics or times out
	if e.name != "" {
		cmd.Env = append(cmd.Env, "VITRINE_ENGINE="+e.name)
	}
	if _, err := output(cmd); err != nil {
		return fmt.Errorf("engine %s: %w", command, err)
	}
	return nil
}

// output runs a command and returns its standard output; an error has its standard error.
func output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		// dockerd says on the output why an exec could not start.
		return string(out), fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()+tail(string(out), 5)))
	}
	return string(out), nil
}

// findScript looks for scripts/engine.sh in the folders above: a test runs in its package's folder.
func findScript() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, "scripts/engine.sh")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find scripts/engine.sh above the working directory: %w", fs.ErrNotExist)
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
