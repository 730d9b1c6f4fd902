package attest

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/cgroupname"
	"vitrine/internal/kernel/procfs"
)

// confirmed is what was found of a container's init right after the Engine had
// named its PID.
type confirmed struct {
	id        string
	pid       int
	start     uint64 // init's start time, in clock ticks since boot
	startedAt string // the Engine's
	mount     string // init's mount namespace; "" if it could not be read
	pids      string // init's PID namespace, likewise
	// roots is the container's own cgroup by hierarchy. It lacks hierarchies in
	// which init's cgroup does not bear the container's id, such as "/".
	roots map[string]string
}

// unread is why nothing could be read of a container's first process.
type unread struct {
	why   error
	apart bool // all its processes are outside of the host's PID namespace, so that none is taken for the host's
}

// index holds the confirmed containers that run.
type index struct {
	mu         sync.RWMutex
	containers map[string]confirmed
	// unread are running containers of which nothing could be read.
	unread map[string]unread
}

func (x *index) has(c docker.Container) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	k, ok := x.containers[c.ID]
	return ok && k.pid == c.Pid && k.startedAt == c.StartedAt
}

// cannotRead says why nothing could be read of a running container, nil if it could.
func (x *index) cannotRead(id string) error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.unread[id].why
}

// observe is told of each container right after its inspect. A container whose
// init is in no cgroup that bears its id gets no root: it confirms nobody.
//
// The Engine names init by its number, which is not a process: between its
// word and our look, init may have died and the number been given away, if only
// for the moment that the Engine itself needs to notice. Process holds the facts
// together by the start time; a cgroup that bears the container's 64-digit id
// then ties them to this container.
func (a *Attestor) observe(c docker.Container) {
	x := &a.known
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.unread, c.ID)
	if !c.Running {
		delete(x.containers, c.ID)
		return
	}
	if k := x.containers[c.ID]; k.pid == c.Pid && k.startedAt == c.StartedAt {
		if s, err := a.proc.Stat(c.Pid); err == nil && s.Start == k.start && !s.Dead() {
			return // a container's root cgroup does not change while its init lives
		}
	}
	delete(x.containers, c.ID)
	init, err := a.proc.Process(c.Pid)
	if init.NamespacesErr != nil && !a.cgroupsAlone { // it may be about to exit
		err = needsPtrace(init.NamespacesErr)
	}
	if err != nil {
		if x.unread == nil {
			x.unread = map[string]unread{}
		}
		x.unread[c.ID] = unread{err, a.endedApart(c.Pid)}
		return
	}
	k := confirmed{
		id: c.ID, pid: c.Pid, start: init.Start, startedAt: c.StartedAt,
		mount: init.Namespaces.Mount, pids: init.Namespaces.PID, roots: map[string]string{},
	}
	if k.mount == "" || k.mount != a.here.ref.Mount { // else the number is a host process's by now
		k.roots = rootCgroups(c.ID, init.Cgroups)
	}
	x.containers[c.ID] = k
}

// endedApart says that a first process has ended, or is about to, outside of the host's PID namespace. Where another of its threads
// goes on, it stays so for as long as the container likes.
func (a *Attestor) endedApart(pid int) bool {
	before, err := a.proc.Stat(pid)
	if err != nil || before.Running() || a.here.ref.PID == "" {
		return false
	}
	ns, err := a.proc.Namespace(pid, "pid")
	if err != nil || ns == a.here.ref.PID {
		return false
	}
	after, err := a.proc.Stat(pid)
	return err == nil && after.Start == before.Start
}

// Roots gives the own cgroups of a container whose init was found, by hierarchy as in
// [procfs.Cgroup]; nil for any other. They must not be changed.
func (a *Attestor) Roots(id string) map[string]string {
	a.known.mu.RLock()
	defer a.known.mu.RUnlock()
	return a.known.containers[id].roots
}

// rootCgroups finds a container's own cgroup in each hierarchy from where its
// init is: the shortest prefix that bears the container's id, since init may
// have moved further down. A hierarchy without the id gives none: the cgroup
// there may be the Engine's, a service's or everybody's, which the container was
// left in (Podman's with only version 2 managed) or moved itself into.
func rootCgroups(id string, lines []procfs.Cgroup) map[string]string {
	out := map[string]string{}
	for _, l := range lines {
		if root, named := cgroupname.ContainerPath(l.Path, id); named {
			out[l.Hierarchy] = root
		}
	}
	return out
}

// within says that path is root or below it, by whole segments.
func within(path, root string) bool {
	return strings.HasPrefix(path, root) && (len(path) == len(root) || path[len(root)] == '/')
}

// innermost finds the container whose root is the longest prefix of a path.
// Two containers that claim one cgroup are a contradiction.
func (x *index) innermost(l procfs.Cgroup) (best confirmed, err error) {
	length := 0
	for _, k := range x.containers {
		root, ok := k.roots[l.Hierarchy]
		if !ok || !within(l.Path, root) || len(root) < length {
			continue
		}
		if len(root) == length {
			err = fmt.Errorf("containers %s and %s claim the same cgroup", best.id, k.id)
			continue
		}
		best, length, err = k, len(root), nil
	}
	return best, err
}

// weigh says where a process is, from facts alone. The error is an *askError where the verdict
// hangs on a container that is not known.
func (a *Attestor) weigh(facts procfs.Process, absent map[string]bool) (id string, kind Kind, err error) {
	a.known.mu.RLock()
	defer a.known.mu.RUnlock()
	c, err := a.known.surrounding(facts.Cgroups, absent)
	if err != nil {
		return "", Unknown, err
	}
	if c.id == "" {
		if err := a.proveHost(facts); err != nil {
			return "", Unknown, err
		}
		return "", Host, nil
	}
	switch init, err := a.proc.Stat(c.pid); {
	case err != nil && !procfs.Gone(err):
		return "", Unknown, fmt.Errorf("look at the init of container %s: %w", c.id, err)
	case err != nil || init.Start != c.start || init.Dead():
		return "", Unknown, &askError{id: c.id}
	}
	if err := a.consistent(facts, c); err != nil {
		return "", Unknown, err
	}
	return c.id, Container, nil
}

// surrounding finds the container in which all cgroups of a process lie; none
// if all lie outside everything that is a container or looks like one.
func (x *index) surrounding(lines []procfs.Cgroup, absent map[string]bool) (confirmed, error) {
	var c confirmed
	for _, l := range lines {
		k, err := x.innermost(l)
		if err != nil {
			return confirmed{}, err
		}
		if k.id != "" && c.id != "" && k.id != c.id {
			return confirmed{}, fmt.Errorf("cgroups of containers %s and %s at once", c.id, k.id)
		}
		if k.id != "" {
			c = k
		}
	}
	for _, l := range lines {
		if !cgroupname.Speaks(l.Path) {
			continue
		}
		root, rooted := c.roots[l.Hierarchy]
		if !within(l.Path, root) { // every path is within ""
			return confirmed{}, fmt.Errorf("in container %s, but not in hierarchy %q", c.id, l.Hierarchy)
		}
		if err := unknownContainer(l.Path[len(root):], rooted, absent); err != nil {
			return confirmed{}, err
		}
	}
	return c, nil
}

// unknownContainer looks for what may be an unknown container in a path, or in the
// rest of one below a known container's root. There it may be that container's
// own (Docker in Docker), or one of the Engine's nested by --cgroup-parent that
// the inventory does not hold yet: the Engine knows.
func unknownContainer(path string, inside bool, absent map[string]bool) error {
	for s := range strings.SplitSeq(path, "/") {
		id, says := cgroupname.Read(s)
		switch {
		case says == cgroupname.Plain || inside && absent[id]:
		case id != "":
			return &askError{id: id, inside: inside}
		case !inside:
			return fmt.Errorf("in the cgroup %q, which looks like a container's that Docker does not know", s)
		}
	}
	return nil
}

// consistent holds a container that the cgroups name against namespaces. A process
// that may write to the cgroup file system can move itself into another
// container's cgroup, but takes its namespaces along.
func (a *Attestor) consistent(facts procfs.Process, c confirmed) error {
	switch mount := facts.Namespaces.Mount; {
	case mount == "" || c.mount == "":
		if a.cgroupsAlone {
			return nil
		}
		return fmt.Errorf("the mount namespace of container %s cannot be read", c.id)
	case mount == a.here.ref.Mount:
		return fmt.Errorf("in a cgroup of container %s with the mount namespace of the host", c.id)
	case mount == c.mount:
		return nil
	case a.known.inMount(mount) != "":
		return fmt.Errorf("in a cgroup of container %s with the mount namespace of container %s", c.id, a.known.inMount(mount))
	}
	return a.ownMounts(facts, c)
}

// ownMounts confirms a process of a container that has a mount namespace of its
// own: containers may make them. So may one that we have not heard of yet, which
// then moves its first process here; but it cannot make one in this container's
// PID namespace, unless it shares that with it.
func (a *Attestor) ownMounts(facts procfs.Process, c confirmed) error {
	if c.pids == a.here.ref.PID {
		return fmt.Errorf("in a cgroup of container %s, whose PID namespace is the host's, with a mount namespace of its own", c.id)
	}
	if other := a.known.alsoInPIDs(c); other != "" {
		return fmt.Errorf("in a cgroup of container %s, whose PID namespace is that of container %s too, with a mount namespace of its own", c.id, other)
	}
	if facts.Namespaces.PID == c.pids {
		return nil
	}
	within, err := a.withinPIDs(facts.PID, c.pids)
	if err == nil && !within {
		err = fmt.Errorf("in a cgroup of container %s with mount and PID namespaces from elsewhere", c.id)
	}
	return err
}

func (x *index) alsoInPIDs(c confirmed) string {
	for _, k := range x.containers {
		if k.id != c.id && k.pids == c.pids {
			return k.id
		}
	}
	return ""
}

func (x *index) inMount(mount string) string {
	for _, k := range x.containers {
		if k.mount == mount {
			return k.id
		}
	}
	return ""
}

// proveHost demands what only a process of the host itself has; cgroups outside
// every container are established already. What remains is who shares the
// host's user and PID namespaces and is in no container's mount namespace:
// services with mounts of their own (PrivateTmp=yes), the Engine itself. Those
// still have the host's root directory; the first process of a container that we
// have not heard of yet has another one.
func (a *Attestor) proveHost(facts procfs.Process) error {
	switch ns, ref := facts.Namespaces, a.here.ref; {
	case a.here.err != nil:
		return a.here.err
	case facts.NamespacesErr != nil:
		return facts.NamespacesErr
	case ns.User != ref.User:
		return errors.New("in a user namespace that is not the host's")
	case ns.PID != ref.PID:
		return errors.New("in a PID namespace that is not the host's")
	case ns.Mount == ref.Mount:
	case !a.inv.Ready():
		return errors.New("in a mount namespace of its own, while the containers are not known")
	case a.known.inMount(ns.Mount) != "":
		return fmt.Errorf("outside of every container's cgroup with the mount namespace of container %s", a.known.inMount(ns.Mount))
	default:
		if err := a.hostRoot(facts.PID); err != nil {
			return err
		}
		if _, err := a.known.blindTo(); err != nil {
			return fmt.Errorf("%w: %w", errBlind, err)
		}
	}
	if a.here.cgroupNS {
		for _, l := range facts.Cgroups {
			if !within(l.Path, "/..") {
				return errors.New("in a cgroup of our own container")
			}
		}
	}
	return nil
}

// hostRoot demands the root directory of PID 1, or of kthreadd where that one's
// cannot be read. (After a switch_root kthreadd still has the initramfs, which
// no process of a container can have either.)
func (a *Attestor) hostRoot(pid int) error {
	same, err := a.sameRoot(pid, 1)
	if err != nil {
		same, err = a.sameRoot(pid, 2)
	}
	if err == nil && !same {
		err = errors.New("in a mount namespace of its own with a root directory that is not the host's")
	}
	return err
}

// blindTo says of which running container the mount namespace is not known, nil if there is none. With an id, another
// look may help: the first process of a container that starts or ends may show nothing for a moment.
func (x *index) blindTo() (id string, err error) {
	for _, k := range x.containers {
		if k.mount == "" {
			return "", fmt.Errorf("the mount namespace of container %s is %w (CAP_SYS_PTRACE is needed)", k.id, ErrNotYet)
		}
	}
	for id, u := range x.unread {
		if !u.apart {
			return id, fmt.Errorf("the first process of container %s is %w: %w", id, ErrNotYet, u.why)
		}
	}
	return "", nil
}
