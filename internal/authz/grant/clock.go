package grant

import (
	"sync"
	"time"
)

// Clock tells the time, and never one before one that it has told. It goes on with the
// kernel's monotonic clock, and is put forward by the host's clock where that is ahead (it was
// set forward, or the machine slept), never back. So what ends by a Clock has ended.
type Clock struct {
	read func() (wall time.Time, running time.Duration)

	mu     sync.Mutex
	latest time.Time     // told
	since  time.Duration // running, when latest was told
}

// NewClock makes a clock of the host's; read, for tests, gives what the host's clock says and
// how long the kernel's monotonic one has been running. nil: those of this process.
func NewClock(read func() (wall time.Time, running time.Duration)) *Clock {
	if read == nil {
		began := time.Now()
		read = func() (time.Time, time.Duration) { return time.Now().Round(0).UTC(), time.Since(began) }
	}
	return &Clock{read: read}
}

// now is the time, at least the latest that was told, and what has passed since.
func (c *Clock) now() time.Time {
	wall, running := c.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forward(wall, running)
	return c.latest
}

// atLeast says that it was at some time already.
func (c *Clock) atLeast(at time.Time) {
	_, running := c.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forward(at, running)
}

// forward puts the clock to where it must be by now; the caller holds mu.
func (c *Clock) forward(at time.Time, running time.Duration) {
	if !c.latest.IsZero() && running > c.since {
		c.latest = c.latest.Add(running - c.since)
	}
	c.since = max(c.since, running)
	if at.After(c.latest) {
		c.latest = at
	}
}
