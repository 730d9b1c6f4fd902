package sender

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"vitrine/internal/caller/attest"
	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/procfs"
)

// world is a host: its /proc, and what its Engine says.
type world struct {
	t       *testing.T
	proc    fstest.MapFS
	engine  map[string]docker.Container // what an inspect answers
	held    map[string]docker.Container // what the inventory holds
	hooks   []func(docker.Container)
	changed chan struct{}

	down  bool   // the daemon is blocked
	onAsk func() // while the daemon answers
}

const (
	hostNS = "user:[1] pid:[2] mnt:[3]"
	mon    = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	web    = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	evil   = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
)

// newWorld has PID 1, kthreadd, and us as process 500, a service of the host.
func newWorld(t *testing.T) *world {
	w := &world{
		t: t, proc: fstest.MapFS{}, changed: make(chan struct{}),
		engine: map[string]docker.Container{}, held: map[string]docker.Container{},
	}
	w.process(1, "/init.scope", hostNS)
	w.process(2, "/", hostNS)
	w.stat(2, "S", procfs.FlagKernelThread)
	w.process(500, "/system.slice/vitrine.service", hostNS)
	w.file("self", "500")
	return w
}

// file adds a file, or a link where /proc has one.
func (w *world) file(name, content string) {
	f := &fstest.MapFile{Data: []byte(content)}
	if strings.Contains(name, "/ns/") || name == "self" {
		f.Mode = fs.ModeSymlink
	}
	w.proc[name] = f
}

func (w *world) stat(pid int, state string, flags int) {
	w.file(fmt.Sprintf("%d/stat", pid), fmt.Sprintf("%d (x) %s 1 1 1 0 -1 %d 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n", pid, state, flags, 10*pid))
}

// process adds one whose cgroup is path in three hierarchies of a hybrid host,
// or, with line ends, whose cgroup file is path. Namespaces are the links' texts.
func (w *world) process(pid int, path, namespaces string) {
	w.stat(pid, "S", 0)
	w.file(fmt.Sprintf("%d/status", pid), fmt.Sprintf("Name:\tx\nUid:\t0\t0\t0\t0\nNSpid:\t%d\n", pid))
	if !strings.Contains(path, "\n") {
		path = fmt.Sprintf("4:memory:%s\n3:cpu,cpuacct:%s\n0::%s\n", path, path, path)
	}
	w.file(fmt.Sprintf("%d/cgroup", pid), path)
	for link := range strings.FieldsSeq(namespaces + " cgroup:[9]") {
		kind, _, _ := strings.Cut(link, ":")
		w.file(fmt.Sprintf("%d/ns/%s", pid, kind), link)
	}
}

// containerNS are the namespaces of container number n.
func containerNS(n int) string { return fmt.Sprintf("user:[1] pid:[%d] mnt:[%d]", 100+n, 200+n) }

// container adds a running container with its init, which the inventory holds
// as soon as the world is begun.
func (w *world) container(id string, pid int, path, namespaces string) {
	w.process(pid, path, namespaces)
	if !strings.Contains(namespaces, "pid:[2]") {
		w.file(fmt.Sprintf("%d/status", pid), fmt.Sprintf("Name:\tx\nUid:\t0\t0\t0\t0\nNSpid:\t%d\t1\n", pid))
	}
	w.engine[id] = docker.Container{ID: id, Name: id[:3], Running: true, Pid: pid, StartedAt: "once"}
	w.held[id] = w.engine[id]
}

// late makes a container one that the inventory has not heard of.
func (w *world) late(id string) { delete(w.held, id) }

func (w *world) OnChange(f func(docker.Container)) { w.hooks = append(w.hooks, f) }

// hook tells of a container.
func (w *world) hook(c docker.Container) {
	for _, f := range w.hooks {
		f(c)
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) Has(id string) bool { _, ok := w.held[id]; return ok }

func (w *world) Running() (list []docker.Container) {
	for _, c := range w.held {
		if c.Running {
			list = append(list, c)
		}
	}
	return list
}
func (w *world) Ready() bool { return true }

func (w *world) Lookup(ref string) (docker.Container, bool) {
	c, ok := w.held[ref]
	return c, ok
}

func (w *world) Recall(id string) (docker.Container, bool) { return w.Lookup(id) }

func (w *world) Changed() <-chan struct{} { return w.changed }

func (w *world) Refresh(_ context.Context, ref string) (docker.Container, error) {
	if w.onAsk != nil {
		w.onAsk()
	}
	if w.down {
		return docker.Container{}, context.DeadlineExceeded
	}
	c, ok := w.engine[ref]
	if !ok {
		return docker.Container{}, docker.ErrNotFound
	}
	w.held[ref] = c
	w.hook(c)
	return c, nil
}

// begin makes the finder, with the inventory filled.
func (w *world) begin(mounts map[string]fs.FS) *Finder {
	p := procfs.New(w.proc)
	f := New(w, mounts, attest.Options{Proc: &p})
	for _, c := range w.held {
		w.hook(c)
	}
	return f
}

// peer is who connected as uid 0, pinned while process pid lived.
func (w *world) peer(pid int) *peercred.Peer {
	return peercred.FromStartTime(procfs.New(w.proc), pid, 0, 0, []uint32{0, 65534, 10})
}

// is holds an attestation against want: a container's id, or else a part of why it is unknown.
func (w *world) is(at attest.Attestation, want string) {
	w.t.Helper()
	got := at.Container.ID
	if at.Kind != attest.Container {
		if got = fmt.Sprint(at.Err); len(want) != 64 && strings.Contains(got, want) {
			return
		}
	}
	if got != want {
		w.t.Errorf("attested %q, want %q", got, want)
	}
}
