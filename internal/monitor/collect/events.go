package collect

import (
	"time"

	"vitrine/internal/engine/docker"
)

// followAll takes the events that are waiting.
func (c *Collector) followAll(now time.Time) {
	c.snap.Errors[sourceEvents] += c.lost.Swap(0)
	for {
		select {
		case e := <-c.events:
			c.follow(e, now)
		default:
			return
		}
	}
}

// follow takes one event. A container that is not known yet may end before the
// next collection, and is told of all the same.
func (c *Collector) follow(e docker.Event, now time.Time) {
	switch e.Action {
	case "start", "oom", "die":
	default:
		return
	}
	t, ok := c.known[e.ID]
	if !ok {
		t = c.track(e.ID)
		t.ID, t.Name = e.ID, e.Attributes["name"]
	}
	t.event = now
	switch e.Action {
	case "start":
		t.oom.Start()
	case "oom":
		c.readNow(t, now)
		t.oom.Oom(e.Time, t.Read.Equal(now) && t.Stats.OOM.Kills.Set && !t.Stats.OOM.Under)
	case "die":
		if code, known := c.exitCode(t, e); known {
			c.die(t, e, code)
		} else {
			c.ends = append(c.ends, ended{t, e, now})
		}
	}
}

// readNow reads a container between collections: soon its counters may be gone.
func (c *Collector) readNow(t *tracked, now time.Time) {
	in, ok := c.cfg.Inventory.Lookup(t.ID)
	if !ok || !in.Running {
		return
	}
	c.update(t, &in)
	if t.reader == nil {
		c.open(t)
	}
	c.readLog()
	c.read(t, now)
}
