package messages

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/tag"
)

// Snapshot is what one interval of messages gave. It does not change.
type Snapshot struct {
	Time     time.Time
	Interval time.Duration // since the snapshot before
	Series   []Series      // sorted by name, then tags
	Events   []event       // of this interval, the oldest first
	Recent   []event       // the last few of each sender, of this interval and before, the oldest first
	Checks   []Check       // the latest of each that has not expired
	Origins  []Usage       // sorted; who has sent since not longer ago than the expiry

	window int
}

// Series is one series' values. A series without a message in the interval is
// still there until it expires: a count is 0 then, a gauge what it was, and of the
// others only the totals mean something.
type Series struct {
	Name string
	Type dogstatsd.Type
	Host string    // of a tag "host:…"; "" for ours
	Tags []tag.Tag // sorted by key, then value; a key may come more than once
	// Given says how many of the Tags are the container's, as against the client's.
	Given int
	Seen  bool // in this interval

	// Value is a count's sum in the interval without values that clients have given a
	// time, a gauge's last value, or a set's size.
	Value float64
	// At is when a gauge had its value, if the client said so; zero otherwise. The
	// latest counts; a value without a time is as of the end of its interval.
	At time.Time
	// Total is a count's sum since the series began, with the values that clients have
	// given a time too. Negative counts lessen it: Total is Added less Off, which only grow.
	Total, Added, Off float64

	// Of a histogram or distribution in the interval, weighted by the sample rate.
	Count, Sum, Min, Max float64
	// Sketch is the interval's, nil if nothing was seen. It must not be changed.
	Sketch *ddsketch.DDSketch
	// TotalCount and TotalSum are Count and Sum since the series began, and TotalSketch is a
	// distribution's sketch. The sketch must not be changed.
	TotalCount, TotalSum float64
	TotalSketch          *ddsketch.DDSketch
	// BelowZero says that some value since the series began was negative, so that TotalSum may fall.
	BelowZero bool

	// Recent is what readers of an interval's values are shown.
	Recent Recent
	// Family and Labels are the name and the tags as Prometheus has them; a counter
	// without its _total.
	Family, Labels string
}

// Avg is the mean of a histogram in the interval; 0 if nothing was seen.
func (s *Series) Avg() float64 {
	if s.Count == 0 {
		return 0
	}
	return s.Sum / s.Count
}

// Quantile is one of a histogram or distribution in the interval, such as 0.5 for
// the median, and 0 if nothing was seen. It is right within 1 %.
func (s *Series) Quantile(q float64) float64 {
	if s.Sketch == nil {
		return 0
	}
	v, err := s.Sketch.GetValueAtQuantile(q)
	if err != nil {
		return 0
	}
	return max(s.Min, min(s.Max, v))
}

// event is one event.
type event struct {
	Title, Text    string
	Time           time.Time
	Host           string
	AggregationKey string
	LowPriority    bool
	Source         string
	Alert          dogstatsd.AlertType
	Tags           []tag.Tag
	Origin         dogstatsd.Source
	Container      string // full id; "" for none
}

// Check is the latest word of one service check.
type Check struct {
	Name      string
	Status    dogstatsd.Status
	Time      time.Time
	Host      string
	Message   string
	Tags      []tag.Tag
	Origin    dogstatsd.Source
	Container string // full id; "" for none

	active int // epoch
	looks  uint64
}

// Usage is what one sender has taken of its quota, and what it has sent.
type Usage struct {
	Source    dogstatsd.Source
	Container string
	Contexts  int    // now
	Used      int    // of the quota, in its units
	Refused   uint64 // messages for want of quota, since we know the origin
	Untimely  uint64 // gauges' values that were too old or ahead of us to be shown
	// Events and Checks count messages since we know the origin, by alert type
	// and by status.
	Events [dogstatsd.AlertError + 1]uint64
	Checks [dogstatsd.StatusUnknown + 1]uint64
}

// Flush ends an interval, and returns its Snapshot, which is then the latest.
func (a *Aggregator) Flush(now time.Time) *Snapshot {
	a.flushing.Lock()
	defer a.flushing.Unlock()
	last := a.latest.Load()
	before := last.Time
	s := &Snapshot{Time: now, Interval: a.cfg.Interval}
	if !before.IsZero() {
		s.Interval = now.Sub(before)
	}
	s.window = a.readers.turn(now)
	for _, t := range a.take(s) {
		if t.seen || t.timedSeen || t.s.everSeen { // else its only value could not be shown
			s.Series = append(s.Series, t.close(now, s.window))
		}
	}
	slices.SortFunc(s.Series, func(x, y Series) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), slices.CompareFunc(x.Tags, y.Tags, tag.Compare),
			cmp.Compare(x.Type, y.Type), strings.Compare(x.Host, y.Host), cmp.Compare(y.Given, x.Given))
	})
	slices.SortFunc(s.Checks, func(x, y Check) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), slices.CompareFunc(x.Tags, y.Tags, tag.Compare), strings.Compare(x.Host, y.Host),
			strings.Compare(x.Container, y.Container), cmp.Compare(x.Origin, y.Origin))
	})
	slices.SortFunc(s.Origins, func(x, y Usage) int {
		return cmp.Or(strings.Compare(x.Container, y.Container), cmp.Compare(x.Source, y.Source))
	})
	s.Recent = recent(last.Recent, s.Events)
	a.latest.Store(s)
	a.retag()
	return s
}

// Events that are kept for people to read: so many of each sender, so that one
// cannot take all the room, and so many in all.
const (
	recentOfOne = 20
	recentMost  = 200
)

func recent(before, now []event) []event {
	all := slices.Concat(before, now)
	var out []event
	of := map[originKey]int{}
	for i := len(all) - 1; i >= 0 && len(out) < recentMost; i-- {
		key := originKey{all[i].Origin, all[i].Container}
		if of[key]++; of[key] <= recentOfOne {
			out = append(out, all[i])
		}
	}
	slices.Reverse(out)
	return out
}

// take takes the interval out of Messages, and what has expired. Senders wait meanwhile,
// so that what can be done later is done later.
func (a *Aggregator) take(s *Snapshot) []taken {
	a.mu.Lock()
	defer a.mu.Unlock()
	expired := func(active int) bool { return time.Duration(a.epoch-active)*a.cfg.Interval > a.cfg.Expiry }

	out := make([]taken, 0, len(a.series))
	for key, x := range a.series {
		if expired(x.active) {
			delete(a.series, key)
			a.untwin(x.looks)
			continue
		}
		out = append(out, x.take())
	}
	for key, from := range a.origins {
		a.forget(from, expired)
		for _, c := range from.results {
			s.Checks = append(s.Checks, *c)
		}
		if from.used == 0 && expired(from.active) {
			delete(a.origins, key)
			continue
		}
		from.members, from.recent = 0, 0
		s.Origins = append(s.Origins, Usage{
			Source: key.source, Container: key.container, Contexts: len(from.contexts), Used: (from.used + unit - 1) / unit,
			Refused: from.refused, Untimely: from.untimely, Events: from.eventTotals, Checks: from.checkTotals,
		})
	}
	a.members.used, a.members.unproven = 0, 0
	a.recent.used, a.recent.unproven = 0, 0
	a.last = nil
	s.Events, a.events = a.events, nil
	a.epoch++
	return out
}

// forget drops what of an origin is gone, by the epoch in which it was last active. The caller holds the lock.
func (a *Aggregator) forget(from *origin, gone func(active int) bool) {
	for key, c := range from.contexts {
		if gone(c.active) {
			delete(from.contexts, key)
			a.contexts.giveBack(from, &from.used, c.cost)
		}
	}
	for key, c := range from.checks {
		if gone(c.active) {
			delete(from.checks, key)
			a.contexts.giveBack(from, &from.used, c.cost)
		}
	}
	for key, c := range from.results {
		if gone(c.active) {
			delete(from.results, key)
			a.untwin(c.looks)
		}
	}
}

// close adds an interval that ends now to the totals.
func (t *taken) close(now time.Time, window int) Series {
	x := t.s
	x.everSeen = true
	out := Series{
		Name: x.Name, Type: x.Type, Host: x.Host, Tags: x.Tags, Given: x.Given, Seen: t.seen,
		Value: t.value, Count: t.count, Sum: t.sum, Sketch: t.sketch, Family: x.Family, Labels: x.Labels,
	}
	switch x.Type {
	case dogstatsd.Count:
		x.total = finite(x.total + finite(t.value+t.timedSum))
		x.totalAdded, x.totalOff = finite(x.totalAdded+t.added), finite(x.totalOff+t.off)
		out.Total, out.Added, out.Off = x.total, x.totalAdded, x.totalOff
	case dogstatsd.Set:
		out.Value = float64(t.size)
	case dogstatsd.Histogram, dogstatsd.Distribution:
		if t.seen {
			out.Min, out.Max = t.smallest, t.biggest
		}
		x.totalCount = finite(x.totalCount + t.count)
		x.totalSum = finite(x.totalSum + t.sum)
		out.TotalCount, out.TotalSum = x.totalCount, x.totalSum
		if x.Type == dogstatsd.Distribution && t.sketch != nil {
			x.addTotal(t.sketch)
		}
		out.TotalSketch, out.BelowZero = x.totalSketch, t.belowZero
	case dogstatsd.Gauge:
		if t.seen {
			x.asOf = now
		}
		if t.timedAt.After(x.asOf) {
			out.Value, out.At = t.timedValue, t.timedAt
		}
	}
	out.Recent = x.recent.next(&out, window)
	return out
}

// addTotal replaces the sketch of all intervals: the one before is in a Snapshot.
func (s *series) addTotal(interval *ddsketch.DDSketch) {
	next := interval.Copy()
	if s.totalSketch != nil {
		_ = next.MergeWith(s.totalSketch) // equal mappings
	}
	s.totalSketch = next
}
