package sender

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/cgroupname"
	"vitrine/internal/kernel/procfs"
)

// table knows containers by the ids of their cgroups.
type table struct {
	mounts map[string]fs.FS

	mu         sync.Mutex
	owns       map[place]*ownCgroup // the own cgroups of containers that were confirmed
	names      map[uint64]bearing   // cgroups of version 2 that bear a container's name
	slices     map[string]bool      // the folders in which the Engine makes those of its containers
	unconfined map[string]time.Time // containers that may move processes into others' cgroups, with when they ended; zero while they run
	rested     time.Time            // not before this may there be another walk
}

// place is one cgroup: a hierarchy, and its folder's inode in there.
type place struct {
	hierarchy string
	id        uint64
}

// ownCgroup is that of a container, in which its init was found.
type ownCgroup struct {
	container docker.Container
	ended     time.Time // zero while it runs
}

// bearing is one cgroup that lies in, or is, a folder with a container's name.
type bearing struct {
	container string // the id in the folder's name
	root      string // the folder's path
	// rootOnly says that root alone could have made the folder: the host's, or that
	// of a container which may write to the cgroups above its own.
	rootOnly bool
	at       time.Time
}

// Limits of the table, and of a walk.
const (
	namesMost   = 4096
	slicesMost  = 256
	foldersMost = 8192
	restFor     = 9 // times as long as a walk took
)

func newTable(mounts map[string]fs.FS) table {
	return table{
		mounts: mounts, owns: map[place]*ownCgroup{}, names: map[uint64]bearing{}, unconfined: map[string]time.Time{},
		slices: map[string]bool{"/docker": true, "/system.slice": true}, // by default; others with --cgroup-parent
	}
}

// observe is told of each container right after its inspect, with the cgroups, by
// hierarchy, in which its init was found; nil if it was not.
func (t *table) observe(c docker.Container, roots map[string]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if c.Detail != nil && reachesCgroups(c.Detail) {
		t.unconfined[c.ID] = ended(c, now)
	}
	if !c.Running {
		t.end(c.ID, now)
		return
	}
	for hierarchy, mount := range t.mounts {
		root, ok := roots[hierarchy]
		if !ok {
			continue
		}
		if id, ok := inode(mount, root); ok {
			t.owns[place{hierarchy, id}] = &ownCgroup{container: c}
		}
		if bears, _ := cgroupname.Bearing(root); hierarchy == "" && bears == c.ID && len(t.slices) < slicesMost {
			t.slices[path.Dir(root)] = true
		}
	}
}

// ended is when a container ended, zero if it runs. One that does not run may have
// run a moment ago, or begun to, and the Engine is late to tell.
func ended(c docker.Container, now time.Time) time.Time {
	if c.Running {
		return time.Time{}
	}
	if at, err := time.Parse(time.RFC3339Nano, c.Detail.FinishedAt); err == nil && c.Detail.State == "exited" && at.Before(now) {
		return at
	}
	return now
}

// end notes that a container has ended, and forgets those that did so long ago. The
// caller holds mu.
func (t *table) end(id string, now time.Time) {
	over := func(ended time.Time) bool { return !ended.IsZero() && now.Sub(ended) > docker.Afterlife }
	maps.DeleteFunc(t.unconfined, func(_ string, ended time.Time) bool { return over(ended) })
	maps.DeleteFunc(t.owns, func(_ place, r *ownCgroup) bool {
		if r.container.ID == id && r.ended.IsZero() {
			r.ended = now
		}
		return over(r.ended)
	})
}

// unconfinedBut is a container that may move processes and is none of these; "" if there is none.
func (t *table) unconfinedBut(but ...string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, ended := range t.unconfined {
		if !slices.Contains(but, id) && (ended.IsZero() || time.Since(ended) <= docker.Afterlife) {
			return id
		}
	}
	return ""
}

// engines says that the Engine makes its containers' cgroups where that one is.
func (t *table) engines(root string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.slices[path.Dir(root)]
}

// own finds the container whose own cgroup it is.
func (t *table) own(at place) (docker.Container, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r, ok := t.owns[at]; ok {
		return r.container, true
	}
	return docker.Container{}, false
}

func (t *table) named(cgroup uint64) (bearing, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, ok := t.names[cgroup]
	return b, ok
}

// notice remembers the cgroup of a living process, if it bears a container's name.
func (t *table) notice(lines []procfs.Cgroup) {
	mount, ok := t.mounts[""]
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range lines {
		if l.Hierarchy != "" || !cgroupname.Speaks(l.Path) {
			continue
		}
		if id, ok := inode(mount, l.Path); ok {
			t.name(mount, l.Path, id)
		}
	}
}

// name remembers a folder if it bears a container's name. The caller holds mu.
func (t *table) name(mount fs.FS, folder string, id uint64) {
	if _, known := t.names[id]; known {
		return
	}
	container, root := cgroupname.Bearing(folder)
	if container == "" {
		return
	}
	if len(t.names) >= namesMost {
		maps.DeleteFunc(t.names, func(_ uint64, b bearing) bool { return time.Since(b.at) > docker.Afterlife })
	}
	if len(t.names) >= namesMost {
		clear(t.names)
	}
	t.names[id] = bearing{container, root, rootOnly(mount, path.Dir(root)), time.Now()}
}

// walk looks for the confirmed container that a version 2 cgroup lies in, and names
// what it sees on its way. Whoever makes many cgroups could have many walks made, so
// they are rationed: without one it is not known whether there is such a container.
func (t *table) walk(cgroup uint64) (c docker.Container, walked bool) {
	mount, ok := t.mounts[""]
	if !ok {
		return docker.Container{}, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	began := time.Now()
	if began.Before(t.rested) {
		return docker.Container{}, false
	}
	defer func() { t.rested = time.Now().Add(restFor * time.Since(began)) }()
	w := walk{table: t, mount: mount, cgroup: cgroup, left: foldersMost}
	w.below("/", nil)
	if w.found == nil {
		return docker.Container{}, true
	}
	return w.found.container, true
}

type walk struct {
	*table
	mount  fs.FS
	cgroup uint64 // to be found
	left   int    // folders that may still be looked at
	found  *ownCgroup
}

// below walks the cgroups within one that lies in a container; nil for none. What is,
// or looks like, another container does not lie in that one. The order is random, so
// that nobody's many cgroups always come before another's.
func (w *walk) below(folder string, in *ownCgroup) {
	entries, _ := fs.ReadDir(w.mount, fsName(folder)) // of one that has just gone there are none
	//nolint:gosec // no secret hangs on the order
	rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if w.left--; w.left < 0 || w.found != nil {
			return
		}
		child := path.Join(folder, e.Name())
		id, ok := inode(w.mount, child)
		if !ok {
			continue
		}
		within, own := in, w.owns[place{"", id}]
		switch _, says := cgroupname.Read(e.Name()); {
		case own != nil && own.ended.IsZero():
			within = own
		case own != nil || says != cgroupname.Plain:
			within = nil
		}
		if id == w.cgroup && within != nil {
			w.found = within
			return
		}
		w.name(w.mount, child, id)
		w.below(child, within)
	}
}
