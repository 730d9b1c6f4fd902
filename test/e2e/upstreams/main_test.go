package upstreams

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

const (
	ownerUID = 4300 // whose a rootless engine is
	lookUID  = 4301 // may look
	secret   = "s3cr3t"
	folder   = "/run/vitrine/docker" // the gateway's, in an engine's namespaces
)

const bindings = `
bindings:
  admin: ["unix:root"]
  look: ["uid:4301", "label:vitrine.role=look"]
  monitor: ["container:monitor"]
`

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(m.Run())
}

// world is an engine in namespaces that a private Docker holds, and a gateway in front of it.
type world struct {
	*testing.T
	e      *engine.Engine // the Docker that holds the namespaces
	p      *vitrine.Process
	tools  string // folder of Podman and what it runs on
	inside string // the engine's own socket, in the namespaces
	cgroup string // the parent of its containers
	caller string // the program test/caller, outside
}

// begin starts the Docker that holds the namespaces, and makes the image that all engines are given.
func begin(t *testing.T) *world {
	t.Helper()
	e := engine.Start(t, engine.Options{})
	w := &world{T: t, e: e}
	script, err := filepath.Abs("../../../scripts/engines.sh")
	w.check(err)
	out, err := exec.Command(script, "path", "podman").Output()
	if err != nil {
		if os.Getenv("VITRINE_REQUIRE_ENGINES") != "" {
			t.Fatal("Podman is required, and not there; scripts/engines.sh podman fetches it")
		}
		t.Skip("Podman is not there; scripts/engines.sh podman fetches it")
	}
	w.tools = strings.TrimSpace(string(out))
	w.caller, err = e.ImportGo("caller:1", "vitrine/test/caller")
	w.check(err)
	parent, err := e.Cgroup()
	w.check(err)
	w.cgroup = parent + "/upstream"
	e.Docker("create", "--name", "image", "caller:1", "true")
	e.Docker("export", "--output", w.archive(), "image")
	w.check(os.Chmod(w.archive(), 0o644))
	return w
}

func (w *world) archive() string { return filepath.Join(w.e.Dir, "state/image.tar") }

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// file writes one that the engine's namespaces have, for everybody to read.
func (w *world) file(inside, text string) {
	w.Helper()
	at := w.e.Path(inside)
	w.check(os.MkdirAll(filepath.Dir(at), 0o755))
	w.check(os.WriteFile(at, []byte(text), 0o644))
}

// owned makes a folder that is the owner's of a rootless engine.
func (w *world) owned(inside string) {
	w.Helper()
	at := w.e.Path(inside)
	w.check(os.MkdirAll(filepath.Dir(at), 0o755))
	w.check(os.MkdirAll(at, 0o700))
	w.check(os.Chown(at, ownerUID, ownerUID))
}

// serve starts a program in the namespaces, as the user of a rootless engine unless uid is 0, and waits until the engine
// answers at w.inside.
func (w *world) serve(uid int, env []string, command ...string) {
	w.Helper()
	env = append([]string{"env", "-i", "PATH=" + w.tools + "/bin:" + os.Getenv("PATH") + ":/usr/sbin:/sbin"}, env...)
	if uid != 0 {
		as := strconv.Itoa(uid)
		env = append([]string{"setpriv", "--reuid=" + as, "--regid=" + as, "--clear-groups"}, env...)
	}
	// In the engine's cgroup: what a rootless engine leaves running is in namespaces of its own, and must end with the test.
	enter := []string{"sh", "-c", `for f in /sys/fs/cgroup/*"$0"/daemon/cgroup.procs /sys/fs/cgroup"$0"/daemon/cgroup.procs; do [ ! -e "$f" ] || echo 0 >"$f"; done; exec "$@"`, path.Dir(w.cgroup)}
	all := slices.Concat(enter, env, command)
	cmd := w.e.Command(all[0], all[1:]...)
	var log wait.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	w.check(cmd.Start())
	done := make(chan struct{})
	var ended error
	go func() { ended = cmd.Wait(); close(done) }()
	w.Cleanup(func() {
		if w.Failed() {
			w.Logf("the engine said:\n%s", log.String())
		}
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-done:
		case <-time.After(wait.Patience(10 * time.Second)): // it is killed with its namespaces
		}
	})
	wait.Until(w.T, "the engine to answer", func() bool {
		select {
		case <-done:
			w.Fatalf("the engine ended: %v\n%s", ended, log.String())
		default:
		}
		return w.direct("version") == nil
	})
}

// direct asks the engine itself, by docker's command line.
func (w *world) direct(arg ...string) error {
	out, err := w.e.DockerCommand(w.e.Path(w.inside), arg...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("docker %s: %w: %s", strings.Join(arg, " "), err, out)
	}
	return err
}

// gateway starts one in front of the engine.
func (w *world) gateway(arg ...string) {
	w.Helper()
	w.p = vitrine.Start(w.T, vitrine.Options{Engine: w.e, Data: bindings, Alone: true, Args: append([]string{"--upstream=unix://" + w.inside}, arg...)})
}

// run starts a container in the engine itself.
func (w *world) run(name string, flags ...string) {
	w.Helper()
	w.check(w.direct(slices.Concat([]string{"run", "--detach", "--name", name, "--network", "none", "--volume", folder + ":" + folder, "--env", "KEY=" + secret}, flags, []string{"caller:1", "sleep", "1000"})...))
}

// in asks the gateway in a container.
func (w *world) in(container, method, path string) (vitrine.Answer, audit.Record) {
	w.Helper()
	var a vitrine.Answer
	r := w.p.Recorded(w.T, func() {
		out, err := w.e.Output(w.e.Path(w.inside), "exec", container, "caller", "ask", folder+"/docker.sock", method, path)
		if err != nil {
			w.Fatalf("ask in %s: %v", container, err)
		}
		w.check(json.Unmarshal([]byte(out), &a))
	})
	return a, r
}

// as asks the gateway as a user of the host.
func (w *world) as(uid int, method, path string) vitrine.Answer {
	w.Helper()
	var c net.Conn
	var err error
	if uid == 0 {
		c, err = net.Dial("unix", w.p.Socket)
	} else {
		c, err = vitrine.As(w.T, uid).Dial(w.p.Socket)
	}
	w.check(err)
	defer c.Close()
	var a vitrine.Answer
	w.p.Recorded(w.T, func() { // so that the next one's record is not taken for this one's
		a, err = vitrine.Ask(c, method, path, "")
		w.check(err)
	})
	return a
}

// wants holds an answer against a status, and what must and, with "!", must not be in it.
func (w *world) wants(what string, a vitrine.Answer, status int, parts ...string) {
	w.Helper()
	if a.Status != status {
		w.Errorf("%s: %v, want %d", what, a, status)
	}
	for _, part := range parts {
		not, absent := strings.CutPrefix(part, "!")
		if strings.Contains(a.Body, not) == absent {
			w.Errorf("%s: %q in it is %v: %v", what, not, absent, a)
		}
	}
}

// known waits until the gateway knows a container: the inventory follows the engine's events.
func (w *world) known(name string) {
	w.Helper()
	w.p.Eventually("the gateway to list "+name, func() error {
		if a := w.as(0, "GET", "/containers/json"); !strings.Contains(a.Body, "/"+name+`"`) {
			return errors.New(a.String())
		}
		return nil
	})
}

// warned waits for a warning of serve's.
func (w *world) warned(text string) {
	w.Helper()
	w.p.Eventually("the warning "+text, func() error {
		for line := range strings.Lines(w.p.Log()) {
			if strings.Contains(line, "level=WARN") && strings.Contains(line, text) {
				return nil
			}
		}
		return errors.New("there is none")
	})
}
