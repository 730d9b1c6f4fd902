package decide

import (
	"strconv"
	"sync"

	"vitrine/internal/caller/identity"
)

// Limits of ownExecs: what is over them is forgotten, the oldest of whoever has
// most first. An entry costs some 200 bytes.
const (
	execsEach = 256
	execsAll  = 8192
)

// ownExecs remembers who has made which exec, so that a policy can tell one's own
// from another's: whoever makes an exec sees by nothing of it what it did not put in.
// The Engine draws exec ids at random and takes them in full only. What was made
// through another door, or before a restart, is nobody's own.
type ownExecs struct {
	mu    sync.Mutex
	owner map[string]string   // by exec id
	made  map[string][]string // by owner, oldest first
}

// ownerOf is whose an exec is: the process's container and user, its user on
// the host, its listener and user where the gateway sees no processes, or its certificate. "" is nobody.
func ownerOf(id *identity.Identity) string {
	switch id.Kind {
	case identity.Container:
		if id.Container != nil && id.UID != nil {
			return "container:" + id.Container.ID + ":" + strconv.FormatUint(uint64(*id.UID), 10)
		}
	case identity.Host:
		if id.UID != nil {
			return "host:" + strconv.FormatUint(uint64(*id.UID), 10)
		}
	case identity.Peer: // all that tells two of them apart is by whose socket they came
		if id.UID != nil {
			return "peer:" + id.Listener + ":" + strconv.FormatUint(uint64(*id.UID), 10)
		}
	case identity.TLS:
		if id.Certificate != nil {
			return "tls:" + id.Certificate.SHA256
		}
	case identity.Local, identity.Self, identity.Unknown:
	}
	return ""
}

func (x *ownExecs) add(owner, id string) {
	if owner == "" || id == "" {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, known := x.owner[id]; known {
		return
	}
	if x.owner == nil {
		x.owner, x.made = map[string]string{}, map[string][]string{}
	}
	switch {
	case len(x.made[owner]) >= execsEach:
		x.forgetOldest(owner)
	case len(x.owner) >= execsAll:
		x.forgetOldest(x.largest())
	}
	x.owner[id] = owner
	x.made[owner] = append(x.made[owner], id)
}

func (x *ownExecs) largest() (owner string) {
	for o, ids := range x.made {
		if len(ids) > len(x.made[owner]) {
			owner = o
		}
	}
	return owner
}

func (x *ownExecs) forgetOldest(owner string) {
	ids := x.made[owner]
	delete(x.owner, ids[0])
	if x.made[owner] = ids[1:]; len(ids) == 1 {
		delete(x.made, owner)
	}
}

func (x *ownExecs) has(owner, id string) bool {
	if owner == "" {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.owner[id] == owner
}
