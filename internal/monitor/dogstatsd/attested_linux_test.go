package dogstatsd

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vitrine/internal/caller/attest"
	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/unixsocket"
	"vitrine/internal/monitor/sender"
)

// engine is an inventory, and the cgroups of its containers are real.
type engine struct {
	t      *testing.T
	mounts map[string]string // by hierarchy
	parent string
	hooks  []func(docker.Container)
	slow   bool // to answer

	mu         sync.Mutex
	containers map[string]docker.Container
}

// tell tells of a container.
func (e *engine) tell(c docker.Container) {
	e.mu.Lock()
	e.containers[c.ID] = c
	e.mu.Unlock()
	for _, hook := range e.hooks {
		hook(c)
	}
}

func (e *engine) OnChange(f func(docker.Container)) { e.hooks = append(e.hooks, f) }
func (e *engine) Changed() <-chan struct{}          { return nil }
func (e *engine) Ready() bool                       { return true }
func (e *engine) Has(string) bool                   { return false }
func (e *engine) Running() []docker.Container       { return nil }
func (e *engine) Refresh(context.Context, string) (docker.Container, error) {
	if e.slow {
		return docker.Container{}, context.DeadlineExceeded
	}
	return docker.Container{}, docker.ErrNotFound
}

func (e *engine) Recall(id string) (docker.Container, bool) { return e.Lookup(id) }

func (e *engine) Lookup(id string) (docker.Container, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	return c, ok
}

// newEngine makes a cgroup of the test's own in each hierarchy that matters.
func newEngine(t *testing.T) *engine {
	t.Helper()
	needRoot(t)
	e := &engine{t: t, mounts: map[string]string{}, containers: map[string]docker.Container{}}
	e.parent = fmt.Sprintf("vitrine-dogstatsd-test-%d", os.Getpid())
	for hierarchy, paths := range map[string][]string{"": {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}, "memory": {"/sys/fs/cgroup/memory"}} {
		for _, p := range paths {
			if _, err := os.Stat(filepath.Join(p, "cgroup.procs")); err == nil && e.mounts[hierarchy] == "" {
				e.mounts[hierarchy] = p
			}
		}
	}
	if e.mounts[""] == "" {
		cannot(t, "no cgroup version 2")
	}
	return e
}

// cgroup makes one in each hierarchy, removed when the test ends.
func (e *engine) cgroup(name string) (folders []string) {
	for _, mount := range e.mounts {
		dir := filepath.Join(mount, e.parent, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			e.t.Fatal(err)
		}
		folders = append(folders, dir)
		e.t.Cleanup(func() {
			_ = unix.Rmdir(dir)
			_ = unix.Rmdir(filepath.Dir(dir))
		})
	}
	return folders
}

// The ways to run a sender in a cgroup.
var (
	hosts     = []string{}                                  // in the namespaces of the host
	elsewhere = []string{"unshare", "-p", "-m", "-f", "--"} // in namespaces of its own
)

// of runs a sender in the namespaces of a container, as docker exec does.
func (e *engine) of(id string) []string {
	pid := strconv.Itoa(e.containers[id].Pid)
	return []string{"nsenter", "-p", "-m", "-t", pid, "--"}
}

// process runs a sender in a cgroup. It returns when the sender has sent, or has
// exited if it does not stay.
func (e *engine) process(cgroup, path, line string, how []string, stay bool) {
	e.t.Helper()
	// The shell waits until it is in its cgroup.
	cmd := exec.Command("/bin/sh", append([]string{"-c", `read go; exec "$@"`, "sh"}, append(how, os.Args[0])...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), quickExit, "DSD_SEND_TO=" + path, "DSD_LINE=" + line, "DSD_TIMES=1"}
	if stay {
		cmd.Env = append(cmd.Env, "DSD_STAY=1")
	}
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		e.t.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	for _, dir := range e.cgroup(cgroup) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Appendf(nil, "%d", cmd.Process.Pid), 0); err != nil {
			e.t.Fatal(err)
		}
	}
	if _, err := in.Write([]byte{'\n'}); err != nil {
		e.t.Fatal(err)
	}
	if !stay {
		if err := cmd.Wait(); err != nil {
			e.t.Fatal(err)
		}
		return
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		e.t.Fatalf("the sender did not send: %v", err)
	}
	e.t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
}

// run starts a container. Its init does nothing but stay.
func (e *engine) run(id string) {
	e.t.Helper()
	init := exec.Command("/bin/cat")
	init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	in, err := init.StdinPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	if err := init.Start(); err != nil {
		e.t.Fatal(err)
	}
	for _, dir := range e.cgroup(id) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Appendf(nil, "%d", init.Process.Pid), 0); err != nil {
			e.t.Fatal(err)
		}
	}
	e.t.Cleanup(func() { _ = in.Close(); _ = init.Wait() })
	e.tell(docker.Container{ID: id, Name: id[:3], Running: true, Pid: init.Process.Pid, StartedAt: "once"})
}

// listening is a Server with real attestation.
type listening struct {
	*Server
	finder
	sink *recorder
}

// finder says when it could not tell of a process, of which it has seen by then what there is.
type finder struct {
	*sender.Finder
	asked chan struct{}
}

func (f finder) Attest(ctx context.Context, p *peercred.Peer) attest.Attestation {
	at := f.Finder.Attest(ctx, p)
	if at.Kind == attest.Unknown {
		select {
		case f.asked <- struct{}{}:
		default:
		}
	}
	return at
}

// listen opens a Server's socket, to be served when the test likes.
func (e *engine) listen() (l *listening, serve func()) {
	t := e.t
	t.Helper()
	dir, err := os.MkdirTemp("", "dsd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cgroups := map[string]fs.FS{}
	for hierarchy, mount := range e.mounts {
		cgroups[hierarchy] = os.DirFS(mount)
	}
	l = &listening{sink: &recorder{}, finder: finder{sender.New(e, cgroups, attest.Options{}), make(chan struct{}, 1)}}
	if err := l.HostProvable(); err != nil {
		cannot(t, err.Error())
	}
	cfg := Config{Datagram: unixsocket.File{Path: filepath.Join(dir, "d"), Mode: 0o722}, Logger: slog.New(slog.DiscardHandler)}
	l.Server = New(cfg, l.finder, l.sink)
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	return l, func() {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- l.Serve(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestListedTooLate: a container's only process sends and exits, and all that
// is left when the Engine tells of the container is the Engine's word.
func TestListedTooLate(t *testing.T) {
	if !kernelNamesExited(t) {
		cannot(t, "this kernel does not tell the cgroup of a process that has exited (Linux 6.15)")
	}
	web, late := strings.Repeat("a", 64), strings.Repeat("c", 64)
	for _, tt := range []struct{ name, cgroup, want string }{
		{"where the Engine puts containers", late, late},
		{"deeper", late + "/app", late},
		{"made by another container", web + "/" + late, "none"},
		{"with a name around it", "x" + late, "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newEngine(t)
			e.slow = true
			l, serve := e.listen()
			serve()
			e.run(web)
			e.process(tt.cgroup, l.cfg.Datagram.Path, "x:1|c", elsewhere, false)
			select {
			case <-l.asked:
			case <-time.After(10 * time.Second):
				t.Fatal("nobody asked for the cgroup")
			}
			for dir := tt.cgroup; dir != "." && dir != web; dir = filepath.Dir(dir) {
				for _, mount := range e.mounts {
					if err := unix.Rmdir(filepath.Join(mount, e.parent, dir)); err != nil {
						t.Fatal(err)
					}
				}
			}
			e.tell(docker.Container{ID: late, Name: "late"})
			if got := l.sink.wait(t, 1)[0]; got != "count x from "+tt.want {
				t.Errorf("got %q, want it from %q", got, tt.want)
			}
		})
	}
}

// TestAdversaries holds senders that would pass for others against the real
// kernel, cgroups and attestation.
func TestAdversaries(t *testing.T) {
	web, db, ghost := strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64)
	exited := web
	if !kernelNamesExited(t) {
		exited = "none"
	}
	inside := []string{"of web"}
	for _, tt := range []struct {
		name, cgroup, line string
		how                []string
		stay               bool
		want               string
	}{
		{"a process of a container", web, "x:1|c", inside, true, web},
		{"deeper in a container", web + "/app", "x:1|c", inside, true, web},
		{"claims another's id", web, "x:1|c|c:ci-" + db, inside, true, web},
		{"exits at once", web, "x:1|c", inside, false, exited},
		{"exits at once, and claims", web, "x:1|c|c:ci-" + db, inside, false, exited},
		{"in another user and PID namespace", web, "x:1|c", append(inside, "unshare", "-U", "-p", "-m", "-f", "--"), true, web},
		{"a folder like a container's", ghost, "x:1|c|c:ci-" + db, elsewhere, true, "none"},
		{"a folder like a container's, and exits", ghost, "x:1|c|c:ci-" + db, elsewhere, false, "none"},
		{"a folder like a known container's", "user/docker-" + web + ".scope", "x:1|c", elsewhere, true, "none"},
		{"moved itself into another's cgroup", db, "x:1|c", inside, true, "none"},
		{"in a container's cgroup with namespaces from elsewhere", web, "x:1|c", elsewhere, true, "none"},
		{"in a container's cgroup from the host", web, "x:1|c", hosts, true, "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newEngine(t)
			l, serve := e.listen()
			e.run(web)
			e.run(db)
			how := tt.how
			if len(how) > 0 && how[0] == "of web" {
				how = append(e.of(web), how[1:]...)
			}
			e.process(tt.cgroup, l.cfg.Datagram.Path, tt.line, how, tt.stay)
			serve()
			if got := l.sink.wait(t, 1)[0]; got != "count x from "+tt.want {
				t.Errorf("got %q, want it from %q", got, tt.want)
			}
		})
	}
}
