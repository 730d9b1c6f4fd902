package attest

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
