package attest

import (
	"errors"
	"fmt"

	"vitrine/internal/engine/docker"
)

// InCgroup says which container the processes of a version 2 cgroup belong to,
// by the cgroup's id. It is for the senders of samples that have exited, of whom
// nothing else is left: a process that may write to the cgroup file system can
// have moved itself into another container's. So the answer is Unknown as long as
// another container may do that, other than our own. A process of the host's root still can. Not for deciding.
//
// Ask soon: of a container that the Engine has not told of yet, only what is
// seen of its cgroup while that is there can be remembered. The answer is then
// one for later.
func (a *Attestor) InCgroup(id uint64) Attestation {
	at := a.inCgroup(id)
	if at.Kind == Container {
		if mover := a.moverBeside(at.Container.ID); mover != "" {
			return Attestation{Err: fmt.Errorf("container %s may move processes into others' cgroups", mover)}
		}
	}
	return at
}

// moverBeside is a container that may have moved a process into the cgroup of
// another one. The one that we run in is none: what it may do is given to us.
func (a *Attestor) moverBeside(id string) string {
	mover := a.places.moverBeside(id)
	if mover == "" {
		return ""
	}
	own, _ := a.OwnContainer()
	return a.places.moverBeside(id, own)
}

func (a *Attestor) inCgroup(id uint64) Attestation {
	c, ok, certain := a.places.find(place{"", id})
	if ok {
		return found(c, ok)
	}
	at := a.sighted(id)
	at.Later = at.Later || at.Kind == Unknown && !certain
	return at
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
func (a *Attestor) Claimed(c Claim) Attestation {
	switch {
	case c.ID != "":
		got, ok := a.inv.Lookup(c.ID)
		return found(got, ok && got.ID == c.ID && got.Running)
	case c.Inode != 0:
		hierarchy := ""
		if _, ok := a.places.mounts["memory"]; ok {
			hierarchy = "memory"
		}
		return found(a.places.root(place{hierarchy, c.Inode})) // claims are free: no walk for one
	case c.PodUID != "":
		return found(a.inPod(c))
	}
	return Attestation{Err: errors.New("no claim")}
}

func (a *Attestor) inPod(want Claim) (docker.Container, bool) {
	if want.Name == "" {
		want.Name = "POD"
	}
	a.known.mu.RLock()
	defer a.known.mu.RUnlock()
	for id := range a.known.containers {
		c, ok := a.inv.Lookup(id)
		uid, name := c.Pod()
		if ok && uid == want.PodUID && name == want.Name {
			return c, true
		}
	}
	return docker.Container{}, false
}

func found(c docker.Container, ok bool) Attestation {
	if !ok {
		return Attestation{Err: errNoSuch}
	}
	return Attestation{Kind: Container, Container: c}
}
