package attest

import (
	"strconv"

	"vitrine/internal/peercred"
)

// OwnContainer gives the full id of the container that this process runs in, ""
// for none. known is false while that cannot be told: before the inventory is
// kept, or when our own namespaces cannot be read. We are in a container if
// we are in its init's mount namespace; about ourselves nobody can lie to us.
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
	a.known.mu.RLock()
	id = a.known.inMount(own.Mount)
	a.known.mu.RUnlock()
	return id, id != "" || a.inv.Ready()
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
