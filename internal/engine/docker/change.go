package docker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// errOvertaken says that a container ended, or got another name, while it was
// inspected.
var errOvertaken = errors.New("something happened to the container meanwhile")

// store puts c in, unless it is overtaken by what happened to the container or by
// an answer to a later question; it returns what the inventory then holds.
func (inv *Inventory) store(c Container) (Container, error) {
	inv.apply.Lock()
	defer inv.apply.Unlock()
	inv.mu.Lock()
	old, had := inv.byID[c.ID]
	switch {
	case c.asked < inv.passed[c.ID]:
		inv.mu.Unlock()
		return Container{}, errOvertaken
	case had && c.asked < old.asked:
		inv.mu.Unlock()
		return old, nil
	case had && same(old, c):
		c.Rev = old.Rev
	default:
		inv.rev++
		c.Rev = inv.rev
	}
	inv.put(c)
	inv.mu.Unlock()
	defer inv.announce()
	inv.settle(c.ID)
	if old.Running && (!c.Running || c.Pid != old.Pid || c.StartedAt != old.StartedAt) {
		inv.died(c.ID) // its event was missed
	}
	for _, f := range inv.onChange {
		f(c)
	}
	return c, nil
}

func same(a, b Container) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Image == b.Image && a.ImageID == b.ImageID &&
		a.Running == b.Running && a.Pid == b.Pid && a.StartedAt == b.StartedAt &&
		a.ImageKnown == b.ImageKnown && maps.Equal(a.Labels, b.Labels) && maps.Equal(a.ImageLabels, b.ImageLabels)
}

// put replaces a container; the caller holds mu.
func (inv *Inventory) put(c Container) {
	inv.dropName(c.ID)
	inv.expected = without(inv.expected, c.ID)
	if !inv.details && c.Detail != nil {
		c.Detail = c.Detail.brief()
	}
	inv.byID[c.ID] = c
	inv.takeName(c.ID, c.Name)
}

// without is a map without a key. A map keeps the room of all that were ever in it, so an empty one is a new one.
func without[V any](m map[string]V, key string) map[string]V {
	if delete(m, key); len(m) == 0 {
		return map[string]V{}
	}
	return m
}

// takeName: a name belongs to who had it last. The caller holds mu.
func (inv *Inventory) takeName(id, name string) {
	if name != "" {
		inv.byName[name] = id
	}
}

func (inv *Inventory) dropName(id string) {
	name := inv.name(id)
	if inv.byName[name] == id {
		delete(inv.byName, name)
	}
}

// name is the last one that a container is known to have had; the caller holds mu.
func (inv *Inventory) name(id string) string {
	if c, ok := inv.byID[id]; ok {
		return c.Name
	}
	return inv.expected[id]
}

// expect notes that there is a container, before it has been inspected. asOf orders
// the Engine's word among what else is known: 0 is now.
func (inv *Inventory) expect(id, name string, asOf uint64) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if _, known := inv.byID[id]; known || asOf != 0 && asOf < inv.passed[id] {
		return
	}
	inv.dropName(id)
	inv.expected[id] = name
	inv.takeName(id, name)
	inv.notify()
}

// rename gives a container the name that an event says it has now.
func (inv *Inventory) rename(id, name string) {
	inv.apply.Lock()
	defer inv.apply.Unlock()
	inv.mu.Lock()
	inv.seq++
	inv.passed[id] = inv.seq
	c, known := inv.byID[id]
	if known {
		inv.rev++
		c.Name, c.Rev, c.asked = name, inv.rev, inv.seq
		inv.put(c)
	} else {
		inv.dropName(id)
		inv.expected[id] = name
		inv.takeName(id, name)
	}
	inv.mu.Unlock()
	defer inv.announce()
	if !known {
		return
	}
	for _, f := range inv.onChange {
		f(c)
	}
}

// stop notes that a container's processes have ended, and forgets it if removed.
func (inv *Inventory) stop(id string, removed bool) {
	inv.apply.Lock()
	defer inv.apply.Unlock()
	inv.mu.Lock()
	inv.seq++
	inv.passed[id] = inv.seq
	c, ok := inv.byID[id]
	wasRunning := c.Running
	if ok {
		inv.rev++
		c.Running, c.Pid, c.Rev, c.asked = false, 0, inv.rev, inv.seq
		inv.put(c)
	}
	if removed {
		inv.dropName(id)
		if ok {
			inv.bury(c)
		}
		delete(inv.byID, id)
		inv.expected = without(inv.expected, id)
		delete(inv.unanswered, id)
	}
	inv.mu.Unlock()
	defer inv.announce()
	if !ok {
		return
	}
	if wasRunning {
		inv.died(id)
	}
	for _, f := range inv.onChange {
		f(c)
	}
}

func (inv *Inventory) died(id string) {
	for _, f := range inv.onDie {
		f(id)
	}
}

// sweep forgets what was there at the sweep before: every inspect that was under
// way then has met its deadline.
func (inv *Inventory) sweep() {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	maps.DeleteFunc(inv.passed, func(_ string, seq uint64) bool { return seq <= inv.swept })
	inv.swept = inv.seq
}

// Unanswered is a container about which the Engine has been asked, and does not
// answer, or says what cannot be understood.
type Unanswered struct {
	ID, Name string    // as the Engine has told; the name may be "" or of yesterday
	Since    time.Time // when that was noticed
	Err      error
	hangs    bool // to ask once more is to wait once more
}

// Unanswered are the containers about which the Engine does not answer, by their ids.
func (inv *Inventory) Unanswered() []Unanswered {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	var out []Unanswered
	for _, u := range inv.unanswered {
		out = append(out, u)
	}
	slices.SortFunc(out, func(a, b Unanswered) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// unanswer notes that the Engine does not answer about a container. doubted says that
// what was known of it may not be true any longer.
func (inv *Inventory) unanswer(id string, why error, hangs, doubted bool) {
	inv.mu.Lock()
	u, again := inv.unanswered[id]
	if !again {
		u.Since = time.Now()
	}
	u.ID, u.Name, u.Err, u.hangs = id, inv.name(id), why, hangs
	inv.unanswered[id] = u
	if c, ok := inv.byID[id]; ok && doubted && !c.doubted {
		c.doubted = true
		inv.byID[id] = c
	}
	inv.notify()
	inv.mu.Unlock()
	if !again {
		inv.log.Warn("the engine does not answer about a container, of which nothing new is known until it does; the others are not concerned",
			"container_id", id, "container_name", u.Name, "error", why)
	}
}

// settle is the opposite.
func (inv *Inventory) settle(id string) {
	inv.mu.Lock()
	u, was := inv.unanswered[id]
	delete(inv.unanswered, id)
	if was {
		inv.notify()
	}
	if c, ok := inv.byID[id]; ok && c.doubted {
		c.doubted = false
		inv.byID[id] = c
	}
	inv.mu.Unlock()
	if was {
		inv.log.Info("the engine answers about a container again", "container_id", id, "container_name", u.Name, "after", time.Since(u.Since))
	}
}

// Changed gives a channel that is closed when something in the inventory changes
// the next time, and the hooks have been told.
func (inv *Inventory) Changed() <-chan struct{} {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.changed == nil {
		inv.changed = make(chan struct{})
	}
	return inv.changed
}

// Await waits until something holds, or ctx ends. It looks again after each change, as of
// [Inventory.Changed].
func Await(ctx context.Context, changed func() <-chan struct{}, holds func() bool) {
	for {
		next := changed()
		if holds() {
			return
		}
		select {
		case <-next:
		case <-ctx.Done():
			return
		}
	}
}

// announce is notify, for who does not hold mu.
func (inv *Inventory) announce() {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.notify()
}

// notify: something has changed. The caller holds mu.
func (inv *Inventory) notify() {
	if inv.changed != nil {
		close(inv.changed)
		inv.changed = nil
	}
}
