package attest

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/kernel/procfs"
)

// sightings remembers cgroups that bear a container's id, by their own ids, as
// long as they are there: a container whose only process exits at once is gone
// before the Engine has told of it, and its cgroup too. An id is never given
// twice, so what was seen stays right; whether it means anything is decided
// when the Engine has told.
type sightings struct {
	mu   sync.Mutex
	seen map[uint64]sighting // by cgroup id, in the version 2 hierarchy
	next time.Time           // not before this may the tree be searched again
}

// sighting is one cgroup that lies in, or is, a folder with a container's name.
type sighting struct {
	container string // the id in the folder's name
	root      string // the folder's path
	// rootOnly says that root alone could have made the folder: the host's, or that
	// of a container which may write to the cgroups above its own.
	rootOnly bool
	at       time.Time
}

// Limits of the memory of cgroups and of the search for them, which may take a
// tenth of one processor's time.
const (
	sightingsMost = 4096
	foldersMost   = 8192
	restFor       = 9 // times as long as a search took
)

// bearer finds the folder with a container's name that a path leads to or through.
// Nothing above it may look like a container: there another one may make folders as
// it likes. Nothing below it may either.
func bearer(p string) (id, root string) {
	for end := range prefixes(p) {
		last := p[strings.LastIndexByte(p[:end], '/')+1 : end]
		inName, says := cgroup.ReadName(last)
		switch {
		case says == cgroup.Plain:
		case id != "" || says != cgroup.Own:
			return "", ""
		default:
			id, root = inName, p[:end]
		}
	}
	return id, root
}

// notice remembers the cgroup of a living process.
func (p *places) notice(lines []procfs.Cgroup) {
	mount, ok := p.mounts[""]
	if !ok {
		return
	}
	for _, l := range lines {
		if l.Hierarchy != "" || !speaks(l.Path) {
			continue
		}
		p.sightings.mu.Lock()
		p.sightings.see(mount, l.Path)
		p.sightings.mu.Unlock()
	}
}

// see remembers the folder at a path if it is a container's.
func (s *sightings) see(mount fs.FS, folder string) {
	id, root := bearer(folder)
	if id == "" {
		return
	}
	cgroup, ok := inode(mount, folder)
	if !ok {
		return
	}
	if _, known := s.seen[cgroup]; known {
		return
	}
	if len(s.seen) >= sightingsMost {
		s.expire()
	}
	s.seen[cgroup] = sighting{id, root, rootOnly(mount, path.Dir(root)), time.Now()}
}

// expire makes room: what is old goes, or else all.
func (s *sightings) expire() {
	for cgroup, x := range s.seen {
		if time.Since(x.at) > afterlife {
			delete(s.seen, cgroup)
		}
	}
	if len(s.seen) >= sightingsMost {
		clear(s.seen)
	}
}

// find looks for the cgroup with an id in what was seen, or else in the tree.
// Without a search it is not certain that there is none.
func (s *sightings) find(mount fs.FS, id uint64) (x sighting, ok, certain bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x, ok := s.seen[id]; ok {
		return x, true, true
	}
	began := time.Now()
	if began.Before(s.next) {
		return sighting{}, false, false
	}
	budget := foldersMost
	s.search(mount, "/", &budget)
	ended := time.Now()
	s.next = ended.Add(restFor * ended.Sub(began))
	x, ok = s.seen[id]
	return x, ok, true
}

func (s *sightings) search(mount fs.FS, folder string, budget *int) {
	entries, err := fs.ReadDir(mount, fsName(folder))
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if *budget--; *budget < 0 {
			return
		}
		child := path.Join(folder, e.Name())
		s.see(mount, child)
		s.search(mount, child, budget)
	}
}

// fsName is how a file system calls a folder: without the slash, and its root ".".
func fsName(folder string) string { return cmp.Or(strings.TrimPrefix(folder, "/"), ".") }

// rootOnly says that only root may make folders in one: no other user owns it,
// or one above it, or may write there.
func rootOnly(mount fs.FS, folder string) bool {
	for {
		st, mode, ok := stat(mount, fsName(folder))
		if !ok || st.Uid != 0 || mode&0o022 != 0 {
			return false
		}
		if folder == "/" || folder == "." {
			return true
		}
		folder = path.Dir(folder)
	}
}

// sighted judges a cgroup that was seen while it was there.
//
// A container that runs has the root cgroup in which its init was found. Of one
// that ended before that nothing is left but the folder's name, which is believed
// only where the Engine makes its containers' folders. Either way nobody but root
// can have made the folder: else the container's name might have been put there
// before, or instead of, the container.
func (a *Attestor) sighted(cgroup uint64) Attestation {
	mount, ok := a.places.mounts[""]
	if !ok {
		return found(docker.Container{}, false)
	}
	x, ok, certain := a.places.sightings.find(mount, cgroup)
	if !ok {
		return Attestation{Err: errNoSuch, Later: !certain}
	}
	c, ok := a.inv.Lookup(x.container)
	if !ok || c.ID != x.container {
		return Attestation{Err: fmt.Errorf("container %s is not known", x.container), Later: true}
	}
	a.known.mu.RLock()
	k, confirmed := a.known.containers[c.ID]
	a.known.mu.RUnlock()
	switch {
	case !x.rootOnly:
		return found(c, false)
	case confirmed:
		return found(c, k.roots[""] == x.root)
	case c.Running:
		return Attestation{Err: fmt.Errorf("container %s is not confirmed", c.ID), Later: true}
	}
	return found(c, a.places.engines(path.Dir(x.root)))
}
