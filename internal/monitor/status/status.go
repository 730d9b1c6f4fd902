// Package status is what a person who looks wants to know: what is wrong now, on
// top; each container in a line of numbers; and what they were in the last day.
//
// It is made from the series of package series, and of the events between two
// of them, so that a page, a terminal and an exporter never differ. A [Problem]
// is a finding about now: it goes when its cause does. The thresholds are
// constants here, and stand in docs/page.md.
//
// The history of a container is a ring in memory of fixed size: an hour in steps
// of 15 s, and a day in steps of 10 minutes, with a measure in 16 bits that is right
// within 0.1 %. That is 5 KiB a container, 5 MiB for 1000. Those that are gone are
// kept for an hour, and the last 200 of them at most; so are the last 500 events.
//
// Nothing here draws, and nothing asks the Engine or the kernel. What a container is
// called, and the tags that it has, are its maker's word: who shows them must
// show them as text.
package status

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/series"
	"vitrine/internal/monitor/tag"
)

// Limits of what is kept of the past.
const (
	goneFor    = time.Hour // how long a container is kept that the Engine does not list any more
	goneMost   = 200
	eventsMost = 500
)

// State is everything at one moment.
type State struct {
	Time    time.Time `json:"time"` // of the last collection; zero before the first
	Engine  Engine    `json:"engine"`
	Running int       `json:"running"`
	Stopped int       `json:"stopped"`
	Trouble int       `json:"trouble"` // containers with a problem that is more than a note
	// Containers are all, what is wrong first; then by name.
	Containers []Container `json:"containers"`
	// Gone are those that the Engine listed in the last hour and does not any more, the latest first.
	Gone   []gone  `json:"gone"`
	Events []Event `json:"events"` // the newest first
}

// Engine is what is known of the Docker Engine.
type Engine struct {
	Up         bool    `json:"up"`
	Why        string  `json:"why,omitempty"`        // it is not up
	Gaps       float64 `json:"gaps"`                 // how often its events were lost
	Unanswered int     `json:"unanswered,omitempty"` // containers about which it does not answer
}

// Container is one container now. A number that is not known, or does not apply, is absent.
type Container struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Image    string    `json:"image"`
	State    string    `json:"state"`            // the Engine's word: "running", "exited", …
	Health   string    `json:"health,omitempty"` // "healthy", …; "" without a health check
	Started  string    `json:"started,omitempty"`
	Tags     []string  `json:"tags"` // key:value
	Problems []Problem `json:"problems,omitempty"`

	CPU       *float64 `json:"cpu,omitempty"`       // percent of one core
	Throttled *float64 `json:"throttled,omitempty"` // part of the scheduler's periods, 0 to 1
	Memory    *float64 `json:"memory,omitempty"`    // working set, bytes
	Limit     *float64 `json:"limit,omitempty"`     // of memory, bytes
	FullIn    *float64 `json:"full_in,omitempty"`   // seconds until memory is at its limit, as it grows now
	NetIn     *float64 `json:"net_in,omitempty"`    // bytes a second
	NetOut    *float64 `json:"net_out,omitempty"`
	Disk      *float64 `json:"disk,omitempty"` // bytes a second, read and written
	Threads   *float64 `json:"threads,omitempty"`
	Restarts  float64  `json:"restarts"` // by its restart policy
	Kills     uint64   `json:"kills"`    // processes that the OOM killer killed and PID 1 outlived, in this life
}

// gone is a container that is not there any more.
type gone struct {
	ID   string    `json:"id"`
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// Event is something that happened.
type Event struct {
	Time time.Time `json:"time"`
	Kind string    `json:"kind"` // "oom-kill" or "exit"
	ID   string    `json:"id"`
	Name string    `json:"name"`
	Text string    `json:"text"`
	Bad  bool      `json:"bad"`
}

// Keeper keeps the status. Its methods may be called from several goroutines.
type Keeper struct {
	series  *series.Aggregator
	okExits []int

	mu     sync.Mutex
	round  uint64
	known  map[string]*life
	events []Event // the oldest first
}

// life is what is remembered of a container.
type life struct {
	name    string
	round   uint64    // the last in which it was there
	gone    time.Time // zero while it is there
	started string
	before  float64 // kills before this running life
	killed  time.Time
	victims string
	lastEnd time.Time // it ended
	ends    []time.Time
	history history
}

// NewKeeper makes one of the series of a. okExits are the exit codes that are no failure.
func NewKeeper(a *series.Aggregator, okExits []int) *Keeper {
	return &Keeper{series: a, okExits: okExits, known: map[string]*life{}}
}

// Update takes over what the series are now, and what happened since the last time.
func (k *Keeper) Update(events []collect.Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.round++
	var now time.Time
	k.series.Look(func(v *series.View) {
		now = v.Time
		for _, c := range v.Containers {
			k.keep(c, now)
		}
	})
	for i := range events {
		k.happened(&events[i])
	}
	for _, l := range k.known {
		if l.round != k.round && l.gone.IsZero() {
			l.gone = now
		}
	}
	k.forget(now)
}

func (k *Keeper) keep(c *series.Container, now time.Time) {
	l, ok := k.known[c.ID]
	if !ok {
		l = &life{started: c.StartedAt}
		k.known[c.ID] = l
	}
	m := measure(c)
	if l.started != c.StartedAt {
		l.started, l.before, l.killed, l.victims = c.StartedAt, m.survived, time.Time{}, ""
	}
	l.name, l.round, l.gone = c.Name, k.round, time.Time{}
	l.history.add(now, &m)
}

// happened takes an event. A kill is of the container's present life, unless that began after it.
func (k *Keeper) happened(e *collect.Event) {
	out := Event{Time: e.Time, Kind: "exit", ID: e.ContainerID, Name: e.ContainerName, Text: e.Sentence()}
	l := k.known[e.ContainerID]
	switch e.Name {
	case collect.EventOOMKill:
		out.Kind, out.Bad = "oom-kill", true
		if l != nil && e.PID1Alive {
			if began, err := time.Parse(time.RFC3339Nano, l.started); err != nil || !e.Time.Before(began) {
				l.killed, l.victims = e.Time, e.Who()
			}
		}
	case collect.EventExit:
		out.Bad = !slices.Contains(k.okExits, e.ExitCode)
		if l != nil {
			l.end(e.Time)
		}
	}
	k.events = append(k.events, out)
	if n := len(k.events) - eventsMost; n > 0 {
		k.events = append(k.events[:0], k.events[n:]...)
	}
}

// end remembers the last few ends.
func (l *life) end(at time.Time) {
	l.lastEnd = at
	l.ends = append(l.ends, at)
	if len(l.ends) > endsKept {
		l.ends = slices.Delete(l.ends, 0, 1)
	}
}

const endsKept = 20

// forget drops who is gone for long, or first of too many.
func (k *Keeper) forget(now time.Time) {
	var gone []string
	for id, l := range k.known {
		switch {
		case l.gone.IsZero():
		case now.Sub(l.gone) > goneFor:
			delete(k.known, id)
		default:
			gone = append(gone, id)
		}
	}
	if len(gone) <= goneMost {
		return
	}
	slices.SortFunc(gone, func(a, b string) int { return k.known[a].gone.Compare(k.known[b].gone) })
	for _, id := range gone[:len(gone)-goneMost] {
		delete(k.known, id)
	}
}

// State is the status now.
func (k *Keeper) State() *State {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &State{Containers: []Container{}, Gone: []gone{}, Events: []Event{}}
	k.series.Look(func(v *series.View) {
		s.Time, s.Engine = v.Time, engine(v)
		for _, c := range v.Containers {
			out := k.container(c, v.Time)
			if c.Running {
				s.Running++
			} else {
				s.Stopped++
			}
			if out.worst() > Note {
				s.Trouble++
			}
			s.Containers = append(s.Containers, out)
		}
	})
	slices.SortStableFunc(s.Containers, func(a, b Container) int {
		return cmp.Or(cmp.Compare(b.worst(), a.worst()), strings.Compare(a.Name, b.Name))
	})
	for id, l := range k.known {
		if !l.gone.IsZero() {
			s.Gone = append(s.Gone, gone{id, l.name, l.gone})
		}
	}
	slices.SortFunc(s.Gone, func(a, b gone) int { return cmp.Or(b.At.Compare(a.At), strings.Compare(a.ID, b.ID)) })
	s.Events = append(s.Events, k.events...)
	slices.Reverse(s.Events)
	return s
}

func engine(v *series.View) Engine {
	e := Engine{Up: v.Up}
	for i := range v.Checks {
		if v.Checks[i].Name == series.CheckService && !v.Up {
			e.Why = v.Checks[i].Message
		}
	}
	for i := range v.Rest {
		switch s := &v.Rest[i]; s.Metric.Prom {
		case "docker_gaps_total":
			e.Gaps = s.Value
		case "docker_inventory_unanswered":
			e.Unanswered++
		}
	}
	return e
}

func (k *Keeper) container(c *series.Container, now time.Time) Container {
	m := measure(c)
	out := Container{
		ID: c.ID, Name: c.Name, Image: c.Image, Tags: []string{}, State: "running", Started: c.StartedAt,
		CPU: m.of(cpu), Throttled: m.of(throttled), Memory: m.of(memory), Limit: known(m.limit), FullIn: known(m.fullIn),
		NetIn: m.of(netIn), NetOut: m.of(netOut), Disk: m.of(disk), Threads: known(m.threads), Restarts: zero(m.restarts),
	}
	if d := c.Detail; d != nil {
		out.State, out.Health = d.State, d.Health
	}
	for _, t := range c.Tags.At(tag.Low) {
		out.Tags = append(out.Tags, t.String())
	}
	l := k.known[c.ID]
	if l == nil {
		l = &life{started: c.StartedAt}
	}
	out.Kills = uint64(max(0, m.survived-l.before))
	out.Problems = problems(c, &out, &m, l, now)
	return out
}
