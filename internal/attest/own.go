package attest

import (
	"path"
	"strconv"

	"vitrine/internal/peercred"
)

// OwnContainer gives the full id of the container that this process runs in, ""
// for none. known is false while that cannot be told: before the inventory is
// kept, or when we see too little. We are in a container if we are in its
// init's mount namespace. Where we cannot see that one (without pid: host), Docker's
// mount on our /etc/hostname names the container; it is our own mount namespace,
// so who could forge that is us.
func (a *Attestor) OwnContainer() (id string, known bool) {
	self, err := a.proc.Self()
	if err != nil {
		return "", false
	}
	own, err := a.proc.Namespaces(self)
	if err != nil {
		return "", false
	}
	if own.Mount == a.here.ref.Mount && own.Mount != "" {
		return "", true
	}
	if !a.inv.Ready() {
		return "", false
	}
	if a.here.initPIDs { // else the numbers of containers' init processes mean others here
		a.known.mu.RLock()
		defer a.known.mu.RUnlock()
		if id = a.known.inMount(own.Mount); id != "" || !a.known.blind() {
			return id, true
		}
	}
	return a.hostnameContainer(self)
}

// hostnameContainer is the running container in whose folder our hostname file lies.
func (a *Attestor) hostnameContainer(self int) (id string, known bool) {
	root, err := a.proc.MountRoot(self, "/etc/hostname")
	if err != nil {
		return "", false
	}
	id = path.Base(path.Dir(root))
	c, ok := a.inv.Lookup(id)
	if !ok || c.ID != id || !c.Running {
		return "", false
	}
	return id, true
}

// Group names those who share what a caller may use up: the container in whose
// cgroup the peer is, or its user. A container that is not known yet, and who
// imitates one, shares with others of that kind and user, so that one that has
// just begun takes nothing from the host's. It is a guess for limits, taken when
// a connection is accepted and proven by nothing; never decide by it.
func (a *Attestor) Group(p *peercred.Peer) string {
	user := "uid:" + strconv.FormatUint(uint64(p.UID), 10)
	lines, err := a.proc.Cgroups(p.PID)
	if err != nil {
		return user
	}
	a.known.mu.RLock()
	defer a.known.mu.RUnlock()
	for _, l := range lines {
		if c, err := a.known.innermost(l); err == nil && c.id != "" && speaks(l.Path) {
			return "container:" + c.id
		}
	}
	for _, l := range lines {
		if strangers(l.Path, false, nil) != nil {
			return "container-" + user
		}
	}
	return user
}
