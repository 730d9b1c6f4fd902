package messages

import (
	"math"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/tag"
)

// Sketches are right within 1/128, which is the Agent's accuracy too. 1024 bins
// on each side of zero hold seven orders of magnitude; of wider values the
// smallest lose accuracy.
const (
	accuracy = 1.0 / 128
	bins     = 1024
)

// series is one line of output. Messages change what is of the interval, under
// the lock; only Flush touches the totals.
type series struct {
	Name  string
	Type  dogstatsd.Type
	Host  string
	Tags  []tag.Tag
	Given int // how many of the Tags we have given

	Family, Labels string // as Prometheus has them
	looks          uint64 // hash of the two

	active int // epoch of the last message
	interval

	timedFrom *origin // who sent timedValue

	total                float64 // of a count
	totalAdded, totalOff float64 // of a count
	totalCount, totalSum float64
	totalSketch          *ddsketch.DDSketch // never changed once it is in a Snapshot
	everSeen             bool
	recent               kept
	asOf                 time.Time // end of the last interval in which a gauge came without a time
}

// interval is what a series has had in one.
type interval struct {
	seen              bool
	value             float64 // a count's sum, a gauge's last
	count, sum        float64 // of a histogram or distribution; weighted by the sample rate
	smallest, biggest float64
	sketch            *ddsketch.DDSketch
	members           map[uint64]struct{}
	added, off        float64 // of a count: by values above 0, and off by those below
	belowZero         bool    // a histogram or distribution has had a value that is, also in an interval before

	// Of values with a time of their own.
	timedSeen  bool
	timedSum   float64   // of a count
	timedValue float64   // of a gauge, the latest, also of an interval before
	timedAt    time.Time // its time; zero: none
}

// add takes a message's values.
func (s *series) add(m *dogstatsd.Metric) {
	first := !s.seen
	s.seen = true
	switch m.Type {
	case dogstatsd.Count:
		for _, v := range m.Values {
			v = finite(v / m.Rate)
			s.value = finite(s.value + v)
			s.grow(v)
		}
	case dogstatsd.Gauge:
		s.value = m.Values[len(m.Values)-1]
	case dogstatsd.Histogram, dogstatsd.Distribution:
		if s.sketch == nil {
			s.sketch = newSketch()
		}
		if first {
			s.smallest, s.biggest = m.Values[0], m.Values[0]
		}
		weight := 1 / m.Rate
		for _, v := range m.Values {
			s.count = finite(s.count + weight)
			s.sum = finite(s.sum + finite(v*weight))
			s.smallest, s.biggest = min(s.smallest, v), max(s.biggest, v)
			s.belowZero = s.belowZero || v < 0
			_ = s.sketch.AddWithCount(clamp(v), weight) // it refuses only what clamp leaves out
		}
	case dogstatsd.Set:
	}
}

// grow keeps apart what adds to a count and what takes off: each of the two sums only grows.
func (s *series) grow(v float64) {
	if v < 0 {
		s.off = finite(s.off - v)
	} else {
		s.added = finite(s.added + v)
	}
}

// addMember says whether a member of a set is new.
func (s *series) addMember(hash uint64) bool {
	s.seen = true
	if s.members == nil {
		s.members = map[uint64]struct{}{}
	}
	before := len(s.members)
	s.members[hash] = struct{}{}
	return len(s.members) > before
}

// newSketch is empty. The mapping is as good as the logarithm's, and cheaper.
func newSketch() *ddsketch.DDSketch {
	m, err := mapping.NewCubicallyInterpolatedMapping(accuracy)
	if err != nil {
		panic(err) // the accuracy is a constant
	}
	return ddsketch.NewDDSketch(m, store.NewCollapsingLowestDenseStore(bins), store.NewCollapsingLowestDenseStore(bins))
}

// finite keeps a sum from overflowing: no output has room for an infinity, nor
// for what infinities add up to.
func finite(v float64) float64 { return max(-math.MaxFloat64, min(math.MaxFloat64, v)) }

// clamp keeps a value within what a sketch can index.
func clamp(v float64) float64 {
	const most = math.MaxFloat64 / 1e10
	return max(-most, min(most, v))
}

// taken is what a series had in one interval.
type taken struct {
	s *series
	interval
	size int // how many members there were
}

// take ends the interval for a series.
func (s *series) take() taken {
	t := taken{s, s.interval, len(s.members)}
	s.interval = interval{members: s.members, belowZero: s.belowZero, timedValue: s.timedValue, timedAt: s.timedAt}
	if s.Type == dogstatsd.Gauge {
		s.value = t.value
	}
	if len(s.members) > 1024 {
		s.members = nil // the next interval may be a quiet one
	}
	clear(s.members)
	return t
}
