// Package messages makes the series of one interval out of DogStatsD messages, and keeps
// the last interval, which does not change, so that exporters may look at any time.
//
// A series is a name, a type and the final tags: the client's own and those of
// the container that sent it, at the cardinality that was asked for. Containers
// whose tags are equal share their series, as replicas of one service should; others
// never do, unless they ask for no tags. What a client says in a tag never passes for what
// we say: a tag whose key we may give to a container, whether or not it is given to this
// message, is kept as exported_<key>, unless the client's own container has the very tag.
//
// Memory is bounded for each origin, so that one container cannot take the
// agent from all others: a quota of contexts (a context is a name with tags, as sent), of
// set members and of events. What is beyond is dropped and counted, never
// another's. Contexts that fall silent expire.
//
// Counts have a total that only grows while the series lives, for Prometheus;
// it starts again from 0 with us, which rate() understands. Everything else is the
// interval's. Percentiles are of a DDSketch: right within 1 %.
package messages

import (
	"cmp"
	"context"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/tag"
)

// Config configures an Aggregator.
type Config struct {
	Interval    time.Duration   // between two snapshots; 10 s if zero
	Expiry      time.Duration   // of what is silent; 5 min if zero
	Cardinality tag.Cardinality // of messages that ask for none; low if zero

	// Quota is how much one origin may have, 20000 if zero, in units of 240 bytes of the
	// page that Prometheus reads: a short count, gauge, set or check is 1, a histogram 4, a
	// distribution 8.
	Quota int

	// Tags are a container's by its full id at a cardinality, sorted; false if the container is not known. nil: messages have
	// their own tags alone.
	Tags func(id string, level tag.Cardinality) ([]tag.Tag, bool)
	// Keys are those that only these Tags may have, besides those of [tag.Rules].
	Keys   []string
	Logger *slog.Logger
}

// How many members of sets, and events, one origin may send in an interval.
const setMembers, recentEvents = 100_000, 100

// Aggregator adds messages up. It is a dogstatsd.Sink. The caller runs it, and reads [Aggregator.Latest].
type Aggregator struct {
	cfg  Config
	log  *slog.Logger
	seed maphash.Seed

	flushing sync.Mutex // one Flush at a time
	latest   atomic.Pointer[Snapshot]
	readers  readers

	mu      sync.Mutex // held by Lock: guards what follows
	origins map[originKey]*origin
	last    *origin // of the last message, most often that of the next one too
	lastKey originKey
	series  map[string]*series
	ours    map[string]bool // keys that are not clients' to use, as Prometheus reads them
	epoch   int             // counts flushes
	events  []event
	key     []byte // scratch

	contexts, members, recent pool           // the last two are of this interval
	twins                     map[uint64]int // how many series are one to Prometheus, by a hash of what it sees of them
}

type originKey struct {
	source    dogstatsd.Source
	container string
}

// origin is who sends.
type origin struct {
	key      originKey
	contexts map[string]*alias
	checks   map[string]*checkAlias
	results  map[string]*Check       // by identity
	tags     [tag.High + 1][]tag.Tag // by level, once asked for
	tagged   [tag.High + 1]bool
	used     int // of Config.Quota, in bytes
	full     int // the epoch in which it had next to nothing left

	members, recent int                                 // of this interval
	refused         uint64                              // messages for want of quota, since the start
	untimely        uint64                              // gauges' values that are too old or ahead of us to be shown, since the start
	eventTotals     [dogstatsd.AlertError + 1]uint64    // since the start
	checkTotals     [dogstatsd.StatusUnknown + 1]uint64 // since the start
	active          int                                 // epoch
}

// alias is a context: a series in the words of one sender.
type alias struct {
	*series
	cost   int
	active int  // epoch
	falls  bool // it has paid for what negative counts need
}

// checkAlias is a check in the words of its sender.
type checkAlias struct {
	*Check
	cost   int
	active int // epoch
}

// New makes one.
func New(cfg Config) *Aggregator {
	cfg.Interval = cmp.Or(cfg.Interval, 10*time.Second)
	cfg.Expiry = cmp.Or(cfg.Expiry, 5*time.Minute)
	cfg.Cardinality = cmp.Or(cfg.Cardinality, tag.Low)
	cfg.Quota = cmp.Or(cfg.Quota, 20000)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Aggregator{
		cfg: cfg, log: cfg.Logger, seed: maphash.MakeSeed(),
		origins: map[originKey]*origin{}, series: map[string]*series{}, epoch: 1,
		contexts: newPool(cfg.Quota * unit), members: newPool(setMembers), recent: newPool(recentEvents), twins: map[uint64]int{},
	}
	a.latest.Store(&Snapshot{})
	a.ours = map[string]bool{}
	for _, r := range tag.Rules() {
		a.ours[tag.Name(r.Key)] = true
	}
	for _, key := range cfg.Keys {
		a.ours[tag.Name(key)] = true
	}
	return a
}

// Run makes a Snapshot each interval until ctx ends.
func (a *Aggregator) Run(ctx context.Context) {
	t := time.NewTicker(a.cfg.Interval)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			a.Flush(now)
		case <-ctx.Done():
			return
		}
	}
}

// Latest is the last Snapshot, never nil.
func (a *Aggregator) Latest() *Snapshot { return a.latest.Load() }

// Read is Latest for a reader who comes again and again, under a name of its own. The values
// of one interval stay until such readers have had time to see them.
func (a *Aggregator) Read(reader string) *Snapshot {
	s := a.latest.Load()
	a.readers.note(reader, s.window)
	return s
}

// Lock is held while the messages of a packet are handed over.
func (a *Aggregator) Lock() { a.mu.Lock() }

// Unlock ends what Lock began.
func (a *Aggregator) Unlock() { a.mu.Unlock() }

func (a *Aggregator) origin(o *dogstatsd.Origin) *origin {
	key := originKey{o.Source, o.Container}
	if a.last != nil && a.lastKey == key {
		return a.last
	}
	from := a.origins[key]
	if from == nil {
		from = &origin{key: key, contexts: map[string]*alias{}, checks: map[string]*checkAlias{}, results: map[string]*Check{}}
		a.origins[key] = from
	}
	from.active = a.epoch
	a.last, a.lastKey = from, key
	return from
}

// Metric takes one metric message. The caller holds the lock.
func (a *Aggregator) Metric(o *dogstatsd.Origin, m *dogstatsd.Metric) {
	from := a.origin(o)
	// Neither a name nor tags hold a '|', so that a key has one reading.
	a.key = append(append(append(a.key[:0], m.Name...), '|', byte(m.Type), byte(m.Cardinality)), m.Tags...)
	c := from.contexts[string(a.key)]
	if c == nil {
		if c = a.context(from, m); c == nil {
			from.refused++
			return
		}
	}
	c.active = a.epoch
	c.series.active = a.epoch
	if m.Type == dogstatsd.Count && !c.falls && slices.ContainsFunc(m.Values, negative) {
		if !a.contexts.take(from, &from.used, c.cost) { // as much again: a counter of its own
			from.refused++
			return
		}
		c.cost, c.falls = 2*c.cost, true
	}
	if m.Time != 0 && (m.Type == dogstatsd.Count || m.Type == dogstatsd.Gauge) {
		from.addTimed(c.series, m)
		return
	}
	if m.Type == dogstatsd.Set {
		if !a.members.take(from, &from.members, 1) {
			from.refused++
			return
		}
		if !c.addMember(maphash.Bytes(a.seed, m.Member)) {
			a.members.giveBack(from, &from.members, 1)
		}
		return
	}
	c.add(m)
}

func negative(v float64) bool { return v < 0 }

// context makes a context that is new, if the origin's quota allows it.
func (a *Aggregator) context(from *origin, m *dogstatsd.Metric) *alias {
	if from.full == a.epoch || from.used+formOf(m.Type).least > a.contexts.one { // a flood of what is beyond costs little
		return nil
	}
	l := a.label(from, m.Tags, m.Cardinality)
	key := identity(string(m.Name), m.Type, &l)
	s, known := a.series[key]
	if !known {
		s = a.newSeries(m, &l)
	}
	twins := a.twins[s.looks]
	if !known {
		twins++
	}
	c := &alias{series: s, cost: s.price(twins > 1)}
	if !a.contexts.take(from, &from.used, c.cost) {
		if a.contexts.one-from.used < nearlyFull {
			from.full = a.epoch
		}
		return nil
	}
	if !known {
		a.series[key], a.twins[s.looks] = s, twins
	}
	from.contexts[string(a.key)] = c
	return c
}

func (a *Aggregator) newSeries(m *dogstatsd.Metric, l *labeled) *series {
	s := &series{
		Name: string(m.Name), Type: m.Type, Host: l.host, Tags: l.tags, Given: len(l.given),
		Family: familyOf(string(m.Name), m.Type), Labels: tag.Labels(l.host, l.tags),
	}
	s.looks = maphash.String(a.seed, s.Family+"{"+s.Labels)
	return s
}

// A gauge's value that has its own time is shown if the time is that recent: Prometheus takes no
// older values (its head block goes back an hour). Some clocks are ahead of ours, and a value of
// theirs is shown as of now: at its own time, Prometheus would refuse all others until then.
const (
	behindMost = time.Hour
	aheadMost  = time.Minute
)

// addTimed takes a value that has its own time: it is no part of an interval. A sender's
// clock orders its own values alone; another's that comes later takes their place.
func (from *origin) addTimed(s *series, m *dogstatsd.Metric) {
	at := time.Unix(m.Time, 0)
	age := time.Since(at)
	if age < 0 && age >= -aheadMost {
		at = time.Now().Truncate(time.Second)
	}
	for _, v := range m.Values {
		switch {
		case m.Type == dogstatsd.Count:
			s.timedSum, s.timedSeen = finite(s.timedSum+finite(v/m.Rate)), true
			s.grow(finite(v / m.Rate))
		case age > behindMost || age < -aheadMost:
			from.untimely++
		case s.timedFrom != from || !at.Before(s.timedAt):
			s.timedValue, s.timedAt, s.timedFrom, s.timedSeen = v, at, from, true
		}
	}
}

// Event takes one event message. The caller holds the lock.
func (a *Aggregator) Event(o *dogstatsd.Origin, e *dogstatsd.Event) {
	from := a.origin(o)
	from.eventTotals[e.Alert]++
	if !a.recent.take(from, &from.recent, 1) {
		from.refused++
		return
	}
	l := a.label(from, e.Tags, e.Cardinality)
	a.events = append(a.events, event{
		Title: string(e.Title), Text: string(e.Text), Time: timeOr(e.Time), Host: cmp.Or(string(e.Host), l.host),
		AggregationKey: string(e.AggregationKey), LowPriority: e.LowPriority, Source: string(e.Source), Alert: e.Alert,
		Tags: l.tags, Origin: from.key.source, Container: from.key.container,
	})
}

// Check takes one service check message. The caller holds the lock.
func (a *Aggregator) Check(o *dogstatsd.Origin, c *dogstatsd.Check) {
	from := a.origin(o)
	from.checkTotals[c.Status]++
	a.key = append(append(append(a.key[:0], c.Name...), '|', byte(c.Cardinality)), c.Tags...)
	a.key = append(append(a.key, '|'), c.Host...)
	known := from.checks[string(a.key)]
	if known == nil {
		if from.used+unit > a.contexts.one {
			from.refused++
			return
		}
		if known = a.checkContext(from, c); known == nil {
			from.refused++
			return
		}
		from.checks[string(a.key)] = known
	}
	const enough = 1024 // of a message that is kept
	known.active = a.epoch
	known.Status, known.Time, known.Check.active = c.Status, timeOr(c.Time), a.epoch
	known.Message = string(c.Message[:min(len(c.Message), enough)])
}

// checkContext makes a check's context, if the origin's quota allows it. However its tags are
// ordered, a check of one sender has one latest word.
func (a *Aggregator) checkContext(from *origin, c *dogstatsd.Check) *checkAlias {
	l := a.label(from, c.Tags, c.Cardinality)
	l.host = cmp.Or(string(c.Host), l.host)
	key := identity(string(c.Name), 0, &l)
	check, known := from.results[key]
	if !known {
		check = &Check{Name: string(c.Name), Tags: l.tags, Host: l.host, Origin: from.key.source, Container: from.key.container}
	}
	labels := tag.Labels(l.host, l.tags, tag.Tag{Key: "check", Value: check.Name})
	check.looks = maphash.String(a.seed, from.key.container+"{"+labels)
	twins := a.twins[check.looks]
	if !known {
		twins++
	}
	alias := &checkAlias{Check: check, cost: max(unit, len(labels)+checkRest)}
	if twins > 1 {
		alias.cost += seriesLabelMost
	}
	if !a.contexts.take(from, &from.used, alias.cost) {
		return nil
	}
	if !known {
		from.results[key], a.twins[check.looks] = check, twins
	}
	return alias
}

// untwin forgets one of the series that are one to Prometheus.
func (a *Aggregator) untwin(looks uint64) {
	if a.twins[looks]--; a.twins[looks] == 0 {
		delete(a.twins, looks)
	}
}

func timeOr(seconds int64) time.Time {
	if seconds == 0 {
		return time.Now()
	}
	return time.Unix(seconds, 0)
}
