package attest

import (
	"errors"
	"fmt"
	"path"
	"strconv"

	"vitrine/internal/kernel/cgroupname"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/procfs"
)

// noContainer is [Options.Own] of one that runs in no container.
const noContainer = "none"

// OwnContainer gives the full id of the container that this process runs in, ""
// for none. The error says why that cannot be told, and what would help; it is an
// [ErrNotYet] where it may be told later. We are in a container if we are in its
// init's mount namespace. Where we cannot see that one (without pid: host), Docker's
// mount on our /etc/hostname names the container; it is our own mount namespace,
// so who could forge that is us.
func (a *Attestor) OwnContainer() (id string, err error) {
	if a.own == noContainer {
		return "", nil
	}
	if a.own != "" {
		return a.namedContainer()
	}
	self, err := a.proc.Self()
	if err != nil {
		return "", noHelp(err)
	}
	own, err := a.proc.Namespaces(self)
	if err != nil {
		return "", noHelp(err)
	}
	if own.Mount == a.here.ref.Mount {
		return "", nil
	}
	if !a.inv.Ready() {
		return "", fmt.Errorf("the Engine's containers are %w", ErrNotYet)
	}
	blind := a.here.err
	if a.here.initPIDs { // else the numbers of containers' init processes mean others here
		a.known.mu.RLock()
		id = a.known.inMount(own.Mount)
		_, blind = a.known.blindTo()
		a.known.mu.RUnlock()
		if id != "" || blind == nil {
			return id, nil
		}
	}
	return a.hostnameContainer(self, blind)
}

func noHelp(err error) error {
	return fmt.Errorf("%w; name our container in own_container, or say that there is none: own_container=%s", err, noContainer)
}

// namedContainer is the one that the operator names. It stays the one that it was
// when it was found: a name may be another's later, and we do not move.
func (a *Attestor) namedContainer() (string, error) {
	if id := a.ownNamed.Load(); id != nil {
		return *id, nil
	}
	c, _ := a.inv.Lookup(a.own) // one that is not there does not run
	switch {
	case !a.inv.Ready():
		return "", fmt.Errorf("the Engine's containers are %w", ErrNotYet)
	case !c.Running:
		return "", fmt.Errorf("own_container is %q, and the Engine tells of no container of that name or id that runs: %w", a.own, ErrNotYet)
	}
	a.ownNamed.Store(&c.ID)
	return c.ID, nil
}

// hostnameContainer is the running container in whose folder our hostname file lies.
// blind is why there was no better way.
func (a *Attestor) hostnameContainer(self int, blind error) (id string, err error) {
	root, err := a.proc.MountRoot(self, "/etc/hostname")
	if err != nil {
		return "", noHelp(err)
	}
	id = path.Base(path.Dir(root))
	if found, _ := cgroupname.Read(id); found != id {
		return "", noHelp(fmt.Errorf("%w, and there is no mount of Docker's on /etc/hostname that would name our container: run it with pid: host", blind))
	}
	if !a.inv.Has(id) {
		return "", noHelp(fmt.Errorf("%w, and the Engine has no container %s, whose hostname file is ours", blind, id))
	}
	if c, _ := a.inv.Lookup(id); c.ID != id || !c.Running {
		return "", fmt.Errorf("the state of container %s, in which we seem to run, is %w", id, ErrNotYet)
	}
	// One that joins the network namespace of another has that one's file.
	for _, c := range a.inv.Running() {
		if c.Detail != nil && c.Detail.NetworkMode == "container:"+id {
			return "", noHelp(fmt.Errorf("%w, and container %s has the hostname file of container %s too: run it with pid: host", blind, c.ID, id))
		}
	}
	return id, nil
}

// Group names those who share what a caller may use up: the container in whose
// cgroup the peer is, or the peer's user. A peer in a container that is not known yet, or
// in what imitates one, shares with other such peers of its user, so that a container that
// has just begun takes nothing from the host's processes. Nor does what has the numbers of the host's users and is none of
// them: all peers that have exited share with each other, since nothing is left that says where they were, and root of a container connects
// by children of any user; so do all of other user namespaces, as a user may have thousands of ids in one. The group is a guess for limits,
// taken when a connection is accepted and proven by nothing; never decide by it.
func (a *Attestor) Group(p *peercred.Peer) string {
	user := "uid:" + strconv.FormatUint(uint64(p.UID), 10)
	if p.PID == 0 {
		return user
	}
	lines, _ := a.proc.Cgroups(p.PID) // without any, the user is left
	users, _ := a.proc.Namespace(p.PID, "user")
	if errors.Is(a.exiting(p.PID), procfs.ErrDead) || errors.Is(p.Alive(), procfs.ErrDead) {
		return "exited"
	}
	a.known.mu.RLock()
	defer a.known.mu.RUnlock()
	for _, l := range lines {
		if c, err := a.known.innermost(l); err == nil && c.id != "" {
			return "container:" + c.id
		}
	}
	for _, l := range lines {
		if unknownContainer(l.Path, false, nil) != nil {
			return "container-" + user
		}
	}
	if ref := a.here.ref.User; ref != "" && users != "" && users != ref {
		return "user-namespaces"
	}
	return user
}
