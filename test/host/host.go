// Package host is a host for tests: its /proc, and an Engine's inventory of what runs on it. Nothing of the machine is in it.
package host

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing/fstest"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/procfs"
)

// Namespaces are those of the host's own processes, as the texts of their links.
const Namespaces = "user:[1] pid:[2] mnt:[3]"

// Ids of containers.
const (
	Mon  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	Web  = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	Evil = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
)

// Host is one. It is an inventory too, of what it holds; its methods are for one goroutine.
type Host struct {
	Proc   fstest.MapFS
	Engine map[string]docker.Container // what an inspect answers
	Held   map[string]docker.Container // what the inventory holds

	Unready bool // the inventory has not been filled yet
	Down    bool // the daemon is blocked
	Asked   []string
	OnAsk   func() // while the daemon answers

	hooks   []func(docker.Container)
	changed chan struct{}
}

// New has PID 1, kthreadd, and us as process 500, a service of the host.
func New() *Host {
	h := &Host{
		Proc: fstest.MapFS{}, changed: make(chan struct{}),
		Engine: map[string]docker.Container{}, Held: map[string]docker.Container{},
	}
	h.Process(1, "/init.scope", Namespaces)
	h.Process(2, "/", Namespaces)
	h.Stat(2, "S", procfs.FlagKernelThread)
	h.Process(500, "/system.slice/vitrine.service", Namespaces)
	h.File("self", "500")
	return h
}

// File adds a file, or a link where /proc has one.
func (h *Host) File(name, content string) {
	f := &fstest.MapFile{Data: []byte(content)}
	if strings.Contains(name, "/ns/") || name == "self" {
		f.Mode = fs.ModeSymlink
	}
	h.Proc[name] = f
}

// Stat gives a process another state and flags. It began at ten times its number.
func (h *Host) Stat(pid int, state string, flags int) {
	h.File(fmt.Sprintf("%d/stat", pid), fmt.Sprintf("%d (x) %s 1 1 1 0 -1 %d 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n", pid, state, flags, 10*pid))
}

// Process adds one whose cgroup is path in three hierarchies of a hybrid host,
// or, with line ends, whose cgroup file is path. Namespaces are the links' texts.
func (h *Host) Process(pid int, path, namespaces string) {
	h.Stat(pid, "S", 0)
	h.File(fmt.Sprintf("%d/status", pid), fmt.Sprintf("Name:\tx\nUid:\t0\t0\t0\t0\nNSpid:\t%d\n", pid))
	if !strings.Contains(path, "\n") {
		path = fmt.Sprintf("4:memory:%s\n3:cpu,cpuacct:%s\n0::%s\n", path, path, path)
	}
	h.File(fmt.Sprintf("%d/cgroup", pid), path)
	for link := range strings.FieldsSeq(namespaces + " cgroup:[9]") {
		kind, _, _ := strings.Cut(link, ":")
		h.File(fmt.Sprintf("%d/ns/%s", pid, kind), link)
	}
}

// Container adds a running container with its init, which the inventory holds.
func (h *Host) Container(id string, pid int, path, namespaces string) {
	h.Process(pid, path, namespaces)
	if !strings.Contains(namespaces, "pid:[2]") {
		h.File(fmt.Sprintf("%d/status", pid), fmt.Sprintf("Name:\tx\nUid:\t0\t0\t0\t0\nNSpid:\t%d\t1\n", pid))
	}
	h.Engine[id] = docker.Container{ID: id, Name: id[:3], Running: true, Pid: pid, StartedAt: "once"}
	h.Held[id] = h.Engine[id]
}

// ContainerNS are the namespaces of container number n.
func ContainerNS(n int) string { return fmt.Sprintf("user:[1] pid:[%d] mnt:[%d]", 100+n, 200+n) }

// Late makes a container one that the inventory has not heard of.
func (h *Host) Late(id string) { delete(h.Held, id) }

// Tell tells whoever listens of a container.
func (h *Host) Tell(c docker.Container) {
	for _, f := range h.hooks {
		f(c)
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// Peer is who connected as uid 0, pinned while process pid lived.
func (h *Host) Peer(pid int) *peercred.Peer {
	return peercred.FromStartTime(procfs.New(h.Proc), pid, 0, 0, []uint32{0, 65534, 10})
}

// OnChange hooks somebody to the inventory, as a *docker.Inventory does; so do the methods below.
func (h *Host) OnChange(f func(docker.Container)) { h.hooks = append(h.hooks, f) }

// Changed is closed when somebody is told of a container.
func (h *Host) Changed() <-chan struct{} { return h.changed }

// Ready says that the inventory has been filled.
func (h *Host) Ready() bool { return !h.Unready }

// Has says that the inventory holds a container.
func (h *Host) Has(id string) bool { _, ok := h.Held[id]; return ok }

// Lookup gives a container that the inventory holds.
func (h *Host) Lookup(ref string) (docker.Container, bool) {
	c, ok := h.Held[ref]
	return c, ok
}

// Recall is Lookup: there are no tombstones.
func (h *Host) Recall(id string) (docker.Container, bool) { return h.Lookup(id) }

// Running are the containers that run.
func (h *Host) Running() (list []docker.Container) {
	for _, c := range h.Held {
		if c.Running {
			list = append(list, c)
		}
	}
	return list
}

// Refresh asks the Engine about a container, and tells of it.
func (h *Host) Refresh(_ context.Context, ref string) (docker.Container, error) {
	h.Asked = append(h.Asked, ref)
	if h.OnAsk != nil {
		h.OnAsk()
	}
	if h.Down {
		return docker.Container{}, context.DeadlineExceeded
	}
	c, ok := h.Engine[ref]
	if !ok {
		return docker.Container{}, docker.ErrNotFound
	}
	h.Held[ref] = c
	h.Tell(c)
	return c, nil
}
