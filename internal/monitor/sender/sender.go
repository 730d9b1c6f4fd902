// Package sender says which container a sample comes from: [attest] for a process
// that lives, and for one that has exited the kernel's word on its cgroup, which is
// all that is left of it. A version 2 cgroup has an id, the inode of its folder, that
// the kernel never gives twice: an id that was once seen to be a container's names
// that container for ever.
//
// One table knows the ids. Three things fill it: the cgroup of each container that
// package attest has confirmed; the cgroups of living processes whose container the
// Engine has not told of; and a walk over the hierarchy, which may take a tenth of
// one processor's time. What a cgroup that bears the name of an unconfirmed container
// means is decided when it is asked for, by what the Engine has told until then.
//
// The answer is right or absent, as far as samples go: a process that may write to
// the cgroup file system can move itself into another container's cgroup and exit.
// So as long as another container may do that, other than our own, nothing is said
// of processes that have exited. A process of the host's root still can. Nothing
// here is for deciding.
package sender

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"vitrine/internal/caller/attest"
	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/procfs"
)

// Finder finds senders' containers. Its methods may be called from many goroutines.
type Finder struct {
	*attest.Attestor

	inv     inventory
	proc    procfs.FS
	cgroups table
}

// inventory is what a Finder needs of a *docker.Inventory.
type inventory interface {
	attest.Inventory
	Recall(id string) (docker.Container, bool)
	Changed() <-chan struct{}
}

// New makes a Finder, with an Attestor of those options, and hooks both to the
// inventory, whose Run must not have begun. The mounts are the cgroup hierarchies by
// name, as in [procfs.Cgroup]: version 2's "" tells senders that have exited, and
// version 1's "memory" is what clients know themselves by where it is mounted.
func New(inv inventory, mounts map[string]fs.FS, opts attest.Options) *Finder {
	f := &Finder{inv: inv, proc: procfs.New(os.DirFS("/proc")), cgroups: newTable(mounts)}
	if opts.Proc != nil {
		f.proc = *opts.Proc
	}
	opts.Seen = f.cgroups.notice
	f.Attestor = attest.New(inv, opts)
	// After the Attestor's own hook: a container that it confirms is confirmed by now.
	inv.OnChange(func(c docker.Container) { f.cgroups.observe(c, f.Roots(c.ID)) })
	return f
}

// Changed gives a channel that is closed when the Engine has told something the next time.
func (f *Finder) Changed() <-chan struct{} { return f.inv.Changed() }

// errNoSuch: the Engine knows no container by what was found.
var errNoSuch = errors.New("no such container")

// Attest is [attest.Attestor.Attest], and for a process that has exited, or is about
// to, what its cgroup says. An answer that is an [attest.ErrNotYet] may be another one
// when something has Changed. Of a container that the Engine has not told of, only what
// is seen of its cgroup while that is there can be remembered: so ask soon.
func (f *Finder) Attest(ctx context.Context, p *peercred.Peer) attest.Attestation {
	at := f.Attestor.Attest(ctx, p)
	if at.Kind != attest.Unknown || !f.exited(p, at.Err) {
		return at
	}
	if id, ok := p.CgroupID(); ok {
		return f.inCgroup(id)
	}
	return attest.Attestation{Err: fmt.Errorf("%w, and the kernel does not tell where it was", procfs.ErrDead)}
}

// exited says that a process has exited, or that its first thread has, whose pidfd
// then still shows it alive, or that it is about to.
func (f *Finder) exited(p *peercred.Peer, why error) bool {
	if errors.Is(why, procfs.ErrDead) || errors.Is(why, peercred.ErrReleased) || p.Alive() != nil {
		return true
	}
	s, err := f.proc.Stat(p.PID)
	return err == nil && !s.Running() && p.Alive() == nil
}

// inCgroup says which container the processes of a version 2 cgroup belong to.
func (f *Finder) inCgroup(id uint64) attest.Attestation {
	at := f.known(id)
	if at.Kind != attest.Container && !errors.Is(at.Err, attest.ErrNotYet) { // the walk may find more
		switch c, walked := f.cgroups.walk(id); {
		case c.ID != "":
			at = found(c, true)
		default:
			if at = f.known(id); at.Kind != attest.Container && !walked {
				at.Err = fmt.Errorf("%w: whether there is one is %w", at.Err, attest.ErrNotYet)
			}
		}
	}
	if at.Kind == attest.Container {
		if other := f.unconfinedBut(at.Container.ID); other != "" {
			return attest.Attestation{Err: fmt.Errorf("container %s may move processes into others' cgroups", other)}
		}
	}
	return at
}

// unconfinedBut is a container that may have moved a process into the cgroup of another
// one. The one that we run in is none: what it may do is given to us.
func (f *Finder) unconfinedBut(id string) string {
	if f.cgroups.unconfinedBut(id) == "" {
		return ""
	}
	own, _ := f.OwnContainer()
	return f.cgroups.unconfinedBut(id, own)
}

// known is what the table knows of a cgroup.
//
// A container that runs has the cgroup in which its init was found. Of one that
// ended before that nothing is left but the folder's name, which is believed only
// where the Engine makes its containers' folders. Either way nobody but root can have
// made the folder: else the container's name might have been put there before, or
// instead of, the container.
func (f *Finder) known(cgroup uint64) attest.Attestation {
	c, ok := f.cgroups.own(place{"", cgroup})
	if ok {
		return found(c, true)
	}
	named, ok := f.cgroups.named(cgroup)
	if !ok {
		return found(c, false)
	}
	if c, ok = f.inv.Recall(named.container); !ok {
		return attest.Attestation{Err: fmt.Errorf("container %s is %w", named.container, attest.ErrNotYet)}
	}
	roots := f.Roots(c.ID)
	switch {
	case !named.rootOnly:
		return found(c, false)
	case roots != nil:
		return found(c, roots[""] == named.root)
	case c.Running:
		return attest.Attestation{Err: fmt.Errorf("the init of container %s is %w", c.ID, attest.ErrNotYet)}
	}
	return found(c, f.cgroups.engines(named.root))
}

// Claim is what a process says of the container that it runs in.
type Claim struct {
	ID     string // the container's full id
	Inode  uint64 // of its cgroup's folder: the memory controller's on version 1, else version 2's
	PodUID string // Kubernetes' id of its pod, and the name of the container in it;
	Name   string // without a name, the pod's sandbox stands for the pod
}

// Claimed says which running container a claim means, if it means any. It
// remains a claim: nothing says that the container made it.
func (f *Finder) Claimed(c Claim) attest.Attestation {
	switch {
	case c.ID != "":
		got, ok := f.inv.Recall(c.ID)
		return found(got, ok && got.Running)
	case c.Inode != 0:
		hierarchy := ""
		if _, ok := f.cgroups.mounts["memory"]; ok {
			hierarchy = "memory"
		}
		return found(f.cgroups.own(place{hierarchy, c.Inode})) // claims are free: no walk for one
	case c.PodUID != "":
		return found(f.inPod(c))
	}
	return attest.Attestation{Err: errors.New("no claim")}
}

func (f *Finder) inPod(want Claim) (docker.Container, bool) {
	if want.Name == "" {
		want.Name = "POD"
	}
	for _, c := range f.inv.Running() {
		if uid, name := c.Pod(); uid == want.PodUID && name == want.Name && f.Roots(c.ID) != nil {
			return f.inv.Lookup(c.ID)
		}
	}
	return docker.Container{}, false
}

func found(c docker.Container, ok bool) attest.Attestation {
	if !ok {
		return attest.Attestation{Err: errNoSuch}
	}
	return attest.Attestation{Kind: attest.Container, Container: c}
}
