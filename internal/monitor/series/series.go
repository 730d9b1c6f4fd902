// Package series turns the collections of containers and host into the series of
// one interval: each value gets its tags, and each counter its rate. What is to be said of a container's
// health, state and end it says as service checks, of the type that a client's have (package messages). It keeps the last
// interval only. A counter that went back, or that has just begun, has no rate: a rate is
// never guessed.
package series

import (
	"slices"
	"sync"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/tag"
)

// Sample is one metric's value in an interval.
type Sample struct {
	Metric *collect.Metric
	Labels collect.Labels // values of Metric.Labels
	Value  float64
	// Rate is the growth a second of a counter since the collection before, if HasRate.
	Rate    float64
	HasRate bool
}

// Converted is the value under the metric's second name, in that name's unit:
// of a counter the rate. False if it has no such name, or no rate yet.
func (s *Sample) Converted() (float64, bool) {
	switch {
	case s.Metric.Name == "":
		return 0, false
	case s.Metric.Counter():
		return s.Rate * s.Metric.Scale(), s.HasRate
	}
	return s.Value * s.Metric.Scale(), true
}

// Container is a container and its series.
type Container struct {
	docker.Container
	Tags   *tag.Tags
	High   []tag.Tag        // of Tags, at that cardinality: all
	Series []Sample         // in the order of the table
	Checks []messages.Check // what there is to say of its end, its health and its state
	// Read says that the kernel's counters were read.
	Read bool

	at      time.Time // of Series
	started string
	detail  *docker.Detail
	exit    collect.Exit
	up      bool // the Engine answers
	image   string
	rev     uint64
	seen    uint64
}

// View is one interval.
type View struct {
	Time       time.Time
	Mode       cgroup.Mode
	Up         bool             // the Engine answers
	Containers []*Container     // by name
	Rest       []Sample         // of the host, the Engine and the monitor
	Checks     []messages.Check // of the Engine
	Events     []collect.Event
}

// keptEvents is how many events a View looks back on.
const keptEvents = 100

// Aggregator keeps the last interval of containers and host.
type Aggregator struct {
	tagger  *tag.Tagger
	table   *collect.Table
	okExits []int

	mu      sync.RWMutex
	view    View
	byID    map[string]*Container
	images  map[string]*byImage
	names   []string // of images, in one update
	emitted []Sample // of one container, or of the rest, in one update: before they take the place of the interval before
	seen    uint64
	emit    collect.Emit
}

// byImage counts containers.
type byImage struct{ running, stopped int }

// New makes an Aggregator. okExits are the exit codes of containers that are no failure.
func New(tagger *tag.Tagger, okExits []int) *Aggregator {
	a := &Aggregator{tagger: tagger, table: collect.NewTable(), okExits: okExits, byID: map[string]*Container{}, images: map[string]*byImage{}}
	a.emit = func(m *collect.Metric, v float64, l collect.Labels) {
		a.emitted = append(a.emitted, Sample{Metric: m, Labels: l, Value: v})
	}
	return a
}

// Table is every metric that there is, for exporters that need to declare them.
func (a *Aggregator) Table() *collect.Table { return a.table }

// Look calls f with the last interval, which is empty before the first. f must
// not keep what it sees, nor change it.
func (a *Aggregator) Look(f func(*View)) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	f(&a.view)
}

// Update takes a new interval over from a snapshot.
func (a *Aggregator) Update(s *collect.Snapshot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen++
	dt := s.Time.Sub(a.view.Time)
	v := &a.view
	v.Time, v.Mode, v.Up = s.Time, s.Mode, s.Engine.Up
	v.Containers = v.Containers[:0]
	for _, c := range s.Containers {
		v.Containers = append(v.Containers, a.container(s, c))
	}
	for id, c := range a.byID {
		if c.seen != a.seen {
			delete(a.byID, id)
		}
	}
	a.emitted = a.emitted[:0]
	a.table.Rest(s, a.emit)
	a.perImage()
	v.Rest = a.replace(v.Rest, dt)
	v.service(s.Engine.Err)
	v.Events = append(v.Events, s.Events...)
	if n := len(v.Events) - keptEvents; n > 0 {
		v.Events = append(v.Events[:0], v.Events[n:]...)
	}
}

func (a *Aggregator) container(s *collect.Snapshot, in *collect.Container) *Container {
	c, ok := a.byID[in.ID]
	if !ok {
		c = &Container{}
		a.byID[in.ID] = c
	}
	news := !ok || c.rev != in.Rev || c.detail != in.Detail
	if news {
		c.Tags, c.rev, c.detail = a.tagger.Tags(&in.Container), in.Rev, in.Detail
		c.High, c.image = c.Tags.At(tag.High), c.Tags.Get("docker_image")
	}
	c.seen, c.Container, c.Read = a.seen, in.Container, !in.Read.IsZero()
	if news || c.exit != in.LastExit || c.up != s.Engine.Up {
		c.exit, c.up = in.LastExit, s.Engine.Up
		a.check(c)
	}
	for i := range c.Checks {
		if c.Checks[i].Name != CheckExit {
			c.Checks[i].Time = s.Time
		}
	}
	a.emitted = a.emitted[:0]
	a.table.Container(s, in, a.emit)
	at := s.Time
	if c.Read {
		at = in.Read
	}
	dt := at.Sub(c.at)
	if c.started != in.StartedAt {
		dt = 0
	}
	c.Series = a.replace(c.Series, dt)
	c.started, c.at = in.StartedAt, at
	return c
}

// replace puts what was emitted in place of the interval before, which gives it rates; dt is 0 where there are none.
func (a *Aggregator) replace(before []Sample, dt time.Duration) []Sample {
	rates(before, a.emitted, dt)
	return append(before[:0], a.emitted...)
}

// perImage emits how many containers each image has. Those of an image that
// was asked for by its id are in no count, as they have no name to be counted under.
func (a *Aggregator) perImage() {
	for _, n := range a.images {
		*n = byImage{}
	}
	for _, c := range a.view.Containers {
		if c.image == "" {
			continue
		}
		n := a.images[c.image]
		if n == nil {
			n = &byImage{}
			a.images[c.image] = n
		}
		if c.Running {
			n.running++
		} else {
			n.stopped++
		}
	}
	a.names = a.names[:0]
	for name, n := range a.images {
		if *n == (byImage{}) {
			delete(a.images, name)
			continue
		}
		a.names = append(a.names, name)
	}
	slices.Sort(a.names)
	for _, name := range a.names {
		n := a.images[name]
		a.table.Image(name, n.running, n.stopped, a.emit)
	}
}

// rates compares counters with those of the interval before. Series come in the
// same order each time, but for those that came or went.
func rates(before, now []Sample, dt time.Duration) {
	if dt <= 0 {
		return
	}
	at := 0
	for i := range now {
		s := &now[i]
		if !s.Metric.Counter() {
			continue
		}
		j := find(before, at, s)
		if j < 0 {
			continue
		}
		at = j + 1
		if old := before[j].Value; s.Value >= old {
			s.Rate, s.HasRate = (s.Value-old)/dt.Seconds(), true
		}
	}
}

// find looks for a series from there on, and then from the start.
func find(list []Sample, from int, s *Sample) int {
	for n := range list {
		i := (from + n) % len(list)
		if list[i].Metric == s.Metric && list[i].Labels == s.Labels {
			return i
		}
	}
	return -1
}
