package docker

import (
	"maps"
	"time"
)

// Afterlife is how long a container that has ended, or was removed, still matters: what
// it has sent may be on its way.
const Afterlife = time.Minute

const removedMost = 1024 // containers that are remembered; what is over is forgotten

// tombstone is a container as it was when it was removed.
type tombstone struct {
	Container
	at time.Time
}

// Recall finds a container by its full id, and one that was removed for an
// [Afterlife]. It does not run then, and its name may be another's.
func (inv *Inventory) Recall(id string) (Container, bool) {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	if c, ok := inv.byID[id]; ok {
		return c, !c.doubted
	}
	t, ok := inv.removed[id]
	return t.Container, ok && time.Since(t.at) <= Afterlife
}

// bury remembers a container that was removed; the caller holds mu.
func (inv *Inventory) bury(c Container) {
	if len(inv.removed) >= removedMost {
		maps.DeleteFunc(inv.removed, func(_ string, t tombstone) bool { return time.Since(t.at) > Afterlife })
	}
	if len(inv.removed) >= removedMost {
		clear(inv.removed)
	}
	inv.removed[c.ID] = tombstone{c, time.Now()}
}
