package attest

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/cgroup"
)

// places knows containers by the ids of their cgroups, which are the inodes of
// the cgroups' folders. The kernel never gives such an id twice, so that one
// still names its container when that has ended.
type places struct {
	mounts map[string]fs.FS

	mu    sync.Mutex
	roots map[place]*resident
	// none holds ids in which nobody was found, until a moment later: to find out
	// is a walk.
	none map[place]time.Time
	// parents are the folders in which the Engine makes those of its containers.
	parents map[string]bool

	// movers are the containers that may move processes into others' cgroups, and
	// when they have ended: zero while they run.
	movers map[string]time.Time

	walks time.Time // not before this may somebody be looked for again

	sightings sightings
}

type place struct {
	hierarchy string
	id        uint64
}

type resident struct {
	container docker.Container
	root      string    // path of its own cgroup in the hierarchy
	ended     time.Time // zero while it runs
}

// How long the ids of an ended container's cgroups are kept, for messages that
// are still on their way; and for how long nobody stays nobody.
const (
	afterlife   = time.Minute
	nobody      = time.Second
	parentsMost = 256 // folders
)

func (p *places) init(mounts map[string]fs.FS) {
	p.mounts, p.roots, p.none = mounts, map[place]*resident{}, map[place]time.Time{}
	p.parents = map[string]bool{"/docker": true, "/system.slice": true} // by default; others with --cgroup-parent
	p.movers = map[string]time.Time{}
	p.sightings.seen = map[uint64]sighting{}
}

// move notes whether a container may move processes. One that does not run may have
// run a moment ago, or begun to, and the Engine is late to tell.
func (p *places) move(c docker.Container) {
	if c.Detail == nil || !c.Detail.ReachesCgroups {
		return
	}
	var ended time.Time
	if !c.Running {
		ended = time.Now()
		if at, err := time.Parse(time.RFC3339Nano, c.Detail.FinishedAt); err == nil && c.Detail.State == "exited" && at.Before(ended) {
			ended = at
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.movers[c.ID] = ended
}

// moverBeside is a container that may move processes and is none of these; ""
// if there is none.
func (p *places) moverBeside(ids ...string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for mover, ended := range p.movers {
		if !slices.Contains(ids, mover) && (ended.IsZero() || time.Since(ended) <= afterlife) {
			return mover
		}
	}
	return ""
}

// engines says that the Engine makes its containers' cgroups in a folder.
func (p *places) engines(folder string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.parents[folder]
}

func (p *places) add(c docker.Container, roots map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for hierarchy, mount := range p.mounts {
		root, ok := roots[hierarchy]
		if !ok {
			continue
		}
		if id, ok := inode(mount, root); ok {
			p.roots[place{hierarchy, id}] = &resident{container: c, root: root}
		}
		if bears, _ := bearer(root); hierarchy == "" && bears == c.ID && len(p.parents) < parentsMost {
			p.parents[path.Dir(root)] = true
		}
	}
	clear(p.none)
}

func (p *places) end(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for mover, ended := range p.movers {
		if !ended.IsZero() && now.Sub(ended) > afterlife {
			delete(p.movers, mover)
		}
	}
	for at, r := range p.roots {
		switch {
		case r.container.ID == id && r.ended.IsZero():
			r.ended = now
		case !r.ended.IsZero() && now.Sub(r.ended) > afterlife:
			delete(p.roots, at)
		}
	}
}

// root finds the container whose own cgroup has the id.
func (p *places) root(at place) (docker.Container, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r, ok := p.roots[at]; ok {
		return r.container, true
	}
	return docker.Container{}, false
}

// find is root, or else looks for the container around the cgroup with the id. That
// is a walk, and who makes many cgroups could have many made: without one it is not
// certain that there is no such container.
func (p *places) find(at place) (c docker.Container, ok, certain bool) {
	if c, ok := p.root(at); ok {
		return c, true, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	mount, ok := p.mounts[at.hierarchy]
	if !ok {
		return docker.Container{}, false, true
	}
	began := time.Now()
	if until, ok := p.none[at]; ok && began.Before(until) {
		return docker.Container{}, false, true
	}
	if began.Before(p.walks) {
		return docker.Container{}, false, false
	}
	defer func() { p.walks = time.Now().Add(restFor * time.Since(began)) }()
	budget := 4096 // folders to look at, in all
	for known, r := range p.roots {
		if known.hierarchy == at.hierarchy && r.ended.IsZero() && p.below(mount, r.root, at, &budget) {
			return r.container, true, true
		}
	}
	if len(p.none) >= 1024 {
		clear(p.none)
	}
	p.none[at] = time.Now().Add(nobody)
	return docker.Container{}, false, true
}

// below walks the cgroups within a container's own. It stays out of what is, or
// looks like, another container.
func (p *places) below(mount fs.FS, folder string, at place, budget *int) bool {
	entries, err := fs.ReadDir(mount, strings.TrimPrefix(folder, "/"))
	if err != nil {
		return false
	}
	for _, e := range entries {
		if _, says := cgroup.ReadName(e.Name()); says != cgroup.Plain || !e.IsDir() {
			continue
		}
		if *budget--; *budget < 0 {
			return false
		}
		child := path.Join(folder, e.Name())
		id, ok := inode(mount, child)
		if !ok || p.roots[place{at.hierarchy, id}] != nil {
			continue
		}
		if id == at.id || p.below(mount, child, at, budget) {
			return true
		}
	}
	return false
}

// inode is the number of a folder: in a cgroup file system, the cgroup's id.
func inode(mount fs.FS, path string) (uint64, bool) {
	st, _, ok := stat(mount, strings.TrimPrefix(path, "/"))
	if !ok {
		return 0, false
	}
	return st.Ino, true
}

func stat(mount fs.FS, name string) (*syscall.Stat_t, fs.FileMode, bool) {
	info, err := fs.Stat(mount, name)
	if err != nil {
		return nil, 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return st, info.Mode(), ok
}
