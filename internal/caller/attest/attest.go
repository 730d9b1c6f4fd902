// Package attest says where the process at the other end of a socket runs: in
// which confirmed container, or as a proven process of the host itself.
//
// It rests on three things that a peer does not control: the kernel's word on
// who connected (package peercred), what /proc says of that process while a
// pidfd shows it alive, and the Engine's word on which process is a container's
// init. A path in a cgroup file is not one of them: users own cgroup subtrees,
// a container with cgroups mounted read-write moves itself, a zombie's path
// reads "/". So a path names a container only if it lies in the very cgroup in
// which that container's init was found, and never names the host: the host is
// proven by its namespaces.
//
// It never concludes. Whatever is unreadable, contradictory or not known yet is
// Unknown, with the reason in Err, and the caller must not remember it. A
// positive answer holds as long as the peer is Alive and the container's Pid
// and StartedAt are those that it was given for.
//
// It needs CAP_SYS_PTRACE, to read the namespaces of others' processes.
package attest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/procfs"
)

// Kind is what could be established of a process. The zero value is Unknown.
type Kind int

// The kinds of processes.
const (
	Unknown   Kind = iota
	Host           // proven to be the host's own
	Container      // in a container that Docker knows
	Peer           // of another PID namespace: the kernel gives ids, and no process
)

// Attestation is what could be established of one peer.
type Attestation struct {
	Kind      Kind
	Container docker.Container // for Container, as of now
	Err       error            // for Unknown: why; an [ErrNotYet] if the Engine may tell more in a moment
	// UID and GID are the peer's, in our own user namespace; nil where that
	// does not map them. Groups lacks those that are not mapped.
	UID, GID *uint32
	Groups   []uint32
}

// Inventory is what an Attestor needs of a *docker.Inventory.
type Inventory interface {
	OnChange(func(docker.Container))
	Refresh(ctx context.Context, ref string) (docker.Container, error)
	Lookup(ref string) (docker.Container, bool)
	Has(id string) bool
	Running() []docker.Container
	Ready() bool
}

// Options of an Attestor.
type Options struct {
	// Proc is the proc file system of our own PID namespace; /proc if zero.
	Proc *procfs.FS
	// CgroupsAlone believes cgroups where namespaces cannot be read, so that
	// samples can be attributed without CAP_SYS_PTRACE. A container that may
	// write to the cgroup file system can then pass for another. Not for
	// deciding.
	CgroupsAlone bool
	// Seen is told the cgroups of a living process whose container the inventory does
	// not hold, before the Engine is asked about it; may be nil.
	Seen func([]procfs.Cgroup)
	// Own names the container that we run in, [NoContainer] for none; "": we find out. See
	// [Attestor.OwnContainer].
	Own string
}

// Attestor attests peers. Its methods may be called from many goroutines.
type Attestor struct {
	proc         procfs.FS
	inv          Inventory
	known        index
	here         here
	cgroupsAlone bool
	seen         func([]procfs.Cgroup)
	own          string
	ownNamed     atomic.Pointer[string] // its id, once it was found

	// Of procfs; fixtures of tests have none of it.
	withinPIDs func(pid int, outer string) (bool, error)
	sameRoot   func(pid, other int) (bool, error)

	overflowUID, overflowGID uint32
}

// New makes an Attestor and hooks it to the inventory, whose Run must not have
// begun.
func New(inv Inventory, opts Options) *Attestor {
	a := &Attestor{inv: inv, proc: procfs.New(os.DirFS("/proc")), cgroupsAlone: opts.CgroupsAlone, seen: opts.Seen, own: opts.Own}
	if opts.Proc != nil {
		a.proc = *opts.Proc
	}
	a.withinPIDs, a.sameRoot = a.proc.WithinPIDNamespace, a.proc.SameRoot
	a.here = lookAround(a.proc)
	a.overflowUID, a.overflowGID = a.proc.OverflowUID(), a.proc.OverflowGID()
	a.known.containers = map[string]confirmed{}
	inv.OnChange(a.observe)
	return a
}

// HostProvable says why no caller can be proven to be the host's: nil if one can.
func (a *Attestor) HostProvable() error { return a.here.err }

// Attest establishes where the peer runs. It asks the Engine at most a few
// times, each with the inventory's deadline, and only about containers that the
// inventory does not hold. With a context that has ended it asks nobody.
func (a *Attestor) Attest(ctx context.Context, p *peercred.Peer) Attestation {
	if p == nil {
		return Attestation{Err: peercred.ErrNoCredentials}
	}
	out := a.ids(p)
	if p.PID == 0 || !a.here.initPIDs {
		if out.UID == nil {
			out.Err = errors.New("the peer's user id is not mapped here")
			return out
		}
		out.Kind = Peer
		return out
	}
	c, kind, err := a.locate(ctx, p)
	if err != nil {
		out.Err = err
		return out
	}
	out.Kind, out.Container = kind, c
	return out
}

// exiting gives ErrDead for a process that has given its namespaces back, and perhaps its cgroups, though it may
// still count as alive: then no fact that was read of the process means anything.
func (a *Attestor) exiting(pid int) error {
	s, err := a.proc.Stat(pid)
	if !s.Running() { // what cannot be read is not said to exit
		err = procfs.ErrDead
	}
	return err
}

// ids takes the overflow ids out. They stand for every id that our user
// namespace does not map, and so for nobody.
func (a *Attestor) ids(p *peercred.Peer) Attestation {
	var out Attestation
	if uid := p.UID; uid != a.overflowUID {
		out.UID = &uid
	}
	if gid := p.GID; gid != a.overflowGID {
		out.GID = &gid
	}
	for _, g := range p.Groups {
		if g != a.overflowGID {
			out.Groups = append(out.Groups, g)
		}
	}
	return out
}

// locate weighs the facts of the peer's process. That may need to know a
// container that the inventory does not hold: then the Engine is asked, and all
// is weighed anew. In the end the peer must still be alive, so that the facts are
// the peer's, and not those of a later process with the same number.
func (a *Attestor) locate(ctx context.Context, p *peercred.Peer) (docker.Container, Kind, error) {
	if err := p.Alive(); err != nil {
		return docker.Container{}, Unknown, err
	}
	facts, err := a.proc.Process(p.PID)
	if err != nil {
		return docker.Container{}, Unknown, err
	}
	if facts.NamespacesErr != nil {
		if !a.cgroupsAlone {
			return docker.Container{}, Unknown, needsPtrace(facts.NamespacesErr)
		}
		// One that exits has given them back, and can stay so for long: what is left proves nothing.
		if err := a.exiting(p.PID); err != nil {
			return docker.Container{}, Unknown, err
		}
	}
	refreshed := map[string]bool{} // ids; true: the Engine says that there is no such container
	until := time.Now().Add(patience)
	for range 4 {
		id, kind, err := a.weigh(facts, refreshed)
		if ask, ok := errors.AsType[*askError](err); ok {
			if a.seen != nil {
				a.seen(facts.Cgroups)
			}
			if err = a.ask(ctx, ask, refreshed); err == nil {
				continue
			}
		}
		if errors.Is(err, errBlind) {
			if err = a.sight(ctx, until); err == nil {
				continue
			}
		}
		if err == nil {
			err = p.Alive()
		}
		if err != nil {
			return docker.Container{}, Unknown, err
		}
		if kind == Host {
			return docker.Container{}, Host, nil
		}
		c, _ := a.inv.Lookup(id) // one that is not there does not run
		if !c.Running {
			return docker.Container{}, Unknown, fmt.Errorf("container %s has stopped, or Docker does not answer about it", id)
		}
		return c, Container, nil
	}
	return docker.Container{}, Unknown, errors.New("too many container-like cgroups around the process, or containers that begin and end")
}

// askError says that a verdict hangs on a container of which the Engine must be asked.
type askError struct {
	id string
	// inside says that the process lies in a container that is known anyway: the
	// Engine may say that it knows no such container within.
	inside bool
}

func (e *askError) Error() string { return "container " + e.id + " is not known" }

// ErrNotYet is why something about a container is not known that the Engine may tell of
// a moment later.
var ErrNotYet = errors.New("not known yet")

func (a *Attestor) ask(ctx context.Context, q *askError, refreshed map[string]bool) error {
	if _, again := refreshed[q.id]; again {
		return fmt.Errorf("container %s does not confirm the process", q.id)
	}
	c, err := a.inv.Refresh(ctx, q.id)
	refreshed[q.id] = errors.Is(err, docker.ErrNotFound)
	switch {
	case refreshed[q.id] && q.inside:
		return nil
	case refreshed[q.id]:
		return fmt.Errorf("look up container %s: %w", q.id, err)
	case err != nil:
		return fmt.Errorf("look up container %s: %w (%w)", q.id, err, ErrNotYet)
	case c.ID != q.id:
		return fmt.Errorf("container %s is not confirmed", q.id)
	case !a.known.has(c):
		if err := a.known.cannotRead(q.id); err != nil {
			return fmt.Errorf("container %s is not confirmed: its init is %w: %w", q.id, ErrNotYet, err)
		}
		return fmt.Errorf("container %s is not confirmed: its init is %w", q.id, ErrNotYet)
	}
	return nil
}

// errBlind says that a verdict hangs on containers whose first processes could not be read.
var errBlind = errors.New("in a mount namespace of its own, while some container's cannot be read")

// patience is how long a process may wait until all running containers are seen.
const patience = 2 * time.Second

// sight asks the Engine about the containers of which nothing could be read: it may have named a first process that was
// not ready to be looked at, or one that has ended, before the Engine itself notices.
func (a *Attestor) sight(ctx context.Context, until time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for pause := 5 * time.Millisecond; ; pause *= 2 {
		a.known.mu.RLock()
		id, err := a.known.blindTo()
		a.known.mu.RUnlock()
		if err == nil {
			return nil
		}
		if id == "" || ctx.Err() != nil {
			return fmt.Errorf("%w: %w", errBlind, err)
		}
		if _, err := a.inv.Refresh(ctx, id); err != nil && !errors.Is(err, docker.ErrNotFound) {
			return fmt.Errorf("%w: look up container %s: %w (%w)", errBlind, id, err, ErrNotYet)
		}
		if a.known.cannotRead(id) == nil {
			continue
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// needsPtrace names the capability by which namespaces can be read.
func needsPtrace(err error) error {
	if procfs.Exhausted(err) {
		return err
	}
	return fmt.Errorf("%w (CAP_SYS_PTRACE is needed)", err)
}
