// Package collect makes one reading of everything, again and again: what the
// Engine says of its containers, what the kernel counts for them, and the host.
//
// It asks the Engine nothing in a collection. The inventory is kept by events,
// and while the Engine is gone the containers that were known are read on, for the
// kernel goes on counting. What fails is counted by its source and logged once, and
// tried again at the next collection; a value that could not be read is absent,
// never zero and never the last one.
//
// A PID from the Engine is believed only if that process's cgroup bears the
// container's id, and only as long as that cgroup exists: an open file of it tells.
//
// An OOM kill inside a container whose PID 1 survives is what the Engine does
// not tell ("Up", exit code 0), so it is an event here. See [Kills].
package collect

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/kernel/kmsg"
	"vitrine/internal/kernel/procfs"
	"vitrine/internal/monitor/oom"
)

// inventory is what a Collector needs of a *docker.Inventory.
type inventory interface {
	Append(list []docker.Container) []docker.Container
	Lookup(ref string) (docker.Container, bool)
	OnEvent(f func(docker.Event))
	Changed() <-chan struct{}
	Ready() bool
	Err() error // why it is not ready
	Unanswered() []docker.Unanswered
}

// Config of a Collector.
type Config struct {
	Proc      string // a proc file system of the host's PID namespace
	Cgroup    string // where the host's cgroup hierarchies are
	Inventory inventory
	// Counts asks the Engine how many images, volumes and networks it has; nil: it is not asked.
	Counts   func(context.Context) (docker.Counts, error)
	Log      *slog.Logger
	MaxFiles int    // of cgroups, kept open; 0: by RLIMIT_NOFILE
	Kmsg     string // the kernel's log, to name the victims of OOM kills where it may be read; "": it is not
}

// Collector collects. Its methods may be called from several goroutines.
type Collector struct {
	cfg     Config
	proc    procfs.FS
	cgroups *cgroup.Host
	hostNet procfs.File
	hostKey string // of the host's network namespace
	events  chan docker.Event
	lost    atomic.Uint64                 // events for which there was no room
	victims func() ([]kmsg.Victim, error) // of the OOM killer since it was last asked; nil: nobody says

	watchers atomic.Int64
	watched  chan struct{} // somebody has begun to watch

	mu      sync.Mutex
	round   uint64 // collections so far
	known   map[string]*tracked
	list    []docker.Container  // in one collection
	owners  map[string]*tracked // in one collection, by network namespace
	buf     []byte
	ifaces  []procfs.Interface // of the host
	snap    Snapshot
	queue   []Event // for the next snapshot
	ends    []ended // whose exit code the inventory is to tell
	counts  *docker.Counts
	devices map[procfs.Device]string
	wasUp   bool
	downAt  time.Time
	rareAt  time.Time // when what changes seldom was last read
	said    map[string]bool
	host    *oom.Host
	blind   int // collections in a row in which no container's processes could be seen
	failing struct{ counts, cpus, devices, net, kills, blind, outside, log string }
}

// New looks at the host, and hooks itself to the inventory, whose Run must not
// have begun.
func New(cfg Config) (*Collector, error) {
	proc := procfs.New(os.DirFS(cfg.Proc))
	self, err := proc.Self()
	if err != nil {
		return nil, fmt.Errorf("%s is not a proc file system of our PID namespace: %w", cfg.Proc, err)
	}
	own, err := proc.Cgroups(self)
	if err != nil {
		return nil, err
	}
	cgroups, err := cgroup.Open(cgroup.Options{Root: cfg.Cgroup, Self: os.Getpid(), Own: cgroup.Of(own), MaxFiles: cfg.MaxFiles})
	if err != nil {
		return nil, err
	}
	c := &Collector{
		cfg: cfg, host: oom.NewHost(time.Now()), proc: proc, cgroups: cgroups, hostNet: procfs.NetDev(cfg.Proc, 1), hostKey: hostMode,
		events: make(chan docker.Event, 4096), watched: make(chan struct{}, 1), known: map[string]*tracked{}, owners: map[string]*tracked{}, said: map[string]bool{},
	}
	if link, err := proc.Namespace(1, "net"); err == nil {
		c.hostKey = link
	}
	c.openLog()
	cfg.Inventory.OnEvent(func(e docker.Event) {
		select {
		case c.events <- e:
		default:
			c.lost.Add(1)
		}
	})
	return c, nil
}

// Run collects as soon as the Engine has told its containers (but does not wait
// long for it), and then every interval until ctx ends, and hands each snapshot to use.
// Between them it follows events, so that a kill is counted before its cgroup is gone.
// While somebody watches it collects more often; see [Collector.Watch].
func (c *Collector) Run(ctx context.Context, interval time.Duration, use func(*Snapshot)) error {
	var counting sync.WaitGroup
	defer counting.Wait()
	counting.Go(func() { c.keepCounts(ctx) })
	c.awaitEngine(ctx)
	next := time.NewTimer(0)
	defer next.Stop()
	var soon <-chan time.Time // when kills are to be decided
	for due := time.Now(); ; {
		if soon == nil && c.waiting() {
			soon = time.After(2 * oom.SettleAfter)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next.C:
			began := time.Now()
			use(c.Collect(began))
			for !due.After(began) { // those that were missed are left out
				due = due.Add(interval)
			}
			c.plan(next, began, due)
			continue
		case <-c.watched:
		case e := <-c.events:
			c.locked(func() { c.follow(e, time.Now()) })
		case <-soon:
			soon = nil
			c.locked(func() { c.settleNow(time.Now()) })
		}
		c.plan(next, c.lastAt(), due)
	}
}

// How often somebody who watches is shown something new: at least, and at most, if there is something to tell.
const (
	watchEvery = 2 * time.Second
	watchLeast = 500 * time.Millisecond
)

// Watch makes Run collect every two seconds at least, and soon after something has happened that is an
// [Event], until stop is called.
func (c *Collector) Watch() (stop func()) {
	c.watchers.Add(1)
	select {
	case c.watched <- struct{}{}:
	default:
	}
	return sync.OnceFunc(func() { c.watchers.Add(-1) })
}

// plan sets the time of the next collection: when it is due, or earlier if somebody watches.
func (c *Collector) plan(next *time.Timer, last, due time.Time) {
	if c.watchers.Load() > 0 {
		every := watchEvery
		c.locked(func() {
			if len(c.queue) > 0 {
				every = watchLeast
			}
		})
		if early := last.Add(every); early.Before(due) {
			due = early
		}
	}
	next.Reset(time.Until(due))
}

func (c *Collector) lastAt() (at time.Time) {
	c.locked(func() { at = c.snap.Time })
	return at
}

func (c *Collector) locked(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *Collector) waiting() (is bool) {
	c.locked(func() { is = c.unsettled() })
	return is
}

func (c *Collector) awaitEngine(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	docker.Await(ctx, c.cfg.Inventory.Changed, c.cfg.Inventory.Ready)
}

func (c *Collector) keepCounts(ctx context.Context) {
	for {
		c.Count(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Minute):
		}
	}
}

// Count asks the Engine what it has besides containers, with a deadline.
func (c *Collector) Count(ctx context.Context) {
	if c.cfg.Counts == nil {
		return
	}
	asking, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	n, err := c.cfg.Counts(asking)
	if ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = nil
	if c.check(sourceEngine, "counts", &c.failing.counts, err) {
		c.counts = &n
	}
}

// Collect makes one snapshot.
func (c *Collector) Collect(now time.Time) *Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	began := time.Now()
	c.round++
	c.followAll(now)
	c.followEnds(now)
	c.engine(now)
	rare := now.Sub(c.rareAt) >= time.Minute
	if rare {
		c.rareAt = now
		c.readRare()
	}
	c.match(now)
	for _, t := range c.known {
		if t.Running && t.reader == nil {
			c.open(t)
		}
	}
	c.checkSight()
	c.readLog()
	c.assignNetworks()
	for _, t := range c.known {
		c.read(t, now)
		if rare || !t.filesCounted {
			c.countFiles(t)
		}
	}
	c.readHost()
	c.readHostKills()

	s := &c.snap
	s.Time, s.Mode, s.Devices = now, c.cgroups.Mode(), c.devices
	s.Containers = s.Containers[:0]
	for _, t := range c.known {
		t.CPUs = s.CPUs
		if t.round == c.round {
			s.Containers = append(s.Containers, &t.Container)
		}
	}
	slices.SortFunc(s.Containers, func(a, b *Container) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	s.Events, c.queue = append(s.Events[:0], c.queue...), c.queue[:0]
	s.Took = time.Since(began)
	return s
}

// readRare reads what changes seldom.
func (c *Collector) readRare() {
	n, err := c.proc.CPUs()
	c.check(sourceProc, "processors", &c.failing.cpus, err)
	c.snap.CPUs = n
	c.devices, err = c.proc.BlockDevices()
	c.check(sourceProc, "block devices", &c.failing.devices, err)
}

// engine notes whether the Engine's list and events can be had.
func (c *Collector) engine(now time.Time) {
	up := c.cfg.Inventory.Ready()
	e := &c.snap.Engine
	switch {
	case up && !c.wasUp && !c.downAt.IsZero():
		c.cfg.Log.Info("the engine is back", "gap", now.Sub(c.downAt))
	case !up && c.wasUp:
		e.Gaps++
		c.downAt = now
		c.cfg.Log.Warn("the engine is gone; known containers are read on")
	}
	c.wasUp = up
	e.Up, e.Err, e.Counts, e.Unanswered = up, c.cfg.Inventory.Err(), c.counts, c.cfg.Inventory.Unanswered()
}

// match brings known in line with the inventory.
func (c *Collector) match(now time.Time) {
	c.list = c.cfg.Inventory.Append(c.list[:0])
	for i := range c.list {
		in := &c.list[i]
		t, ok := c.known[in.ID]
		if !ok {
			t = c.track(in.ID)
		}
		t.round = c.round
		c.update(t, in)
	}
	for id, t := range c.known {
		if t.round == c.round {
			continue
		}
		t.close()
		t.Running = false // what was last said of it is not true any more
		if now.Sub(t.event) > oom.EventLead {
			delete(c.known, id)
		}
	}
	clear(c.list) // it holds the maps of containers
}

// check counts a failure, logs it once for as long as it says the same (last
// remembers it), and tells whether there was none.
func (c *Collector) check(from source, of string, last *string, err error) bool {
	if err == nil {
		if *last != "" {
			*last = ""
			c.cfg.Log.Info("collecting works again", "source", from, "of", of)
		}
		return true
	}
	c.snap.Errors[from]++
	if text := err.Error(); text != *last {
		*last = text
		c.cfg.Log.Warn("collecting failed", "source", from, "of", of, "error", err)
	}
	return false
}
