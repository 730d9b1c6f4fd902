package main

import (
	"sync"
	"time"

	"vitrine/internal/engine/docker"
)

// lingering is the inventory, and for a minute those containers that have been
// removed: what they have sent may still wait to be attributed and tagged. Such
// a container does not run.
type lingering struct {
	*docker.Inventory

	mu   sync.Mutex
	gone map[string]departed
}

type departed struct {
	container docker.Container
	at        time.Time
}

const (
	lingerFor  = time.Minute
	lingerMost = 1024 // containers
)

// linger makes one. The inventory must not run yet.
func linger(inventory *docker.Inventory) *lingering {
	l := &lingering{Inventory: inventory, gone: map[string]departed{}}
	inventory.OnChange(l.note)
	return l
}

func (l *lingering) note(c docker.Container) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.gone, c.ID)
	if c.Running {
		return
	}
	now := time.Now()
	if len(l.gone) >= lingerMost {
		for id, d := range l.gone {
			if now.Sub(d.at) > lingerFor {
				delete(l.gone, id)
			}
		}
	}
	if len(l.gone) >= lingerMost {
		clear(l.gone)
	}
	l.gone[c.ID] = departed{c, now}
}

// Lookup finds a container by its full id, its name, or a prefix of its id. Only its
// full id finds one that has been removed.
func (l *lingering) Lookup(ref string) (docker.Container, bool) {
	if c, ok := l.Inventory.Lookup(ref); ok {
		return c, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.gone[ref]
	return d.container, ok && time.Since(d.at) <= lingerFor
}
