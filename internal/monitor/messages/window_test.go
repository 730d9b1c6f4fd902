package messages

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/test/statsd"
)

// TestOnceIsSeenByEveryReader: what a client sent in one interval is on some page that each reader
// gets, whoever else reads, and however often, up to once in a minute.
func TestOnceIsSeenByEveryReader(t *testing.T) {
	type reader struct {
		name   string
		every  time.Duration
		offset time.Duration
	}
	pair := []reader{{"nat prometheus", 30 * time.Second, 0}, {"nat prometheus", 30 * time.Second, 13 * time.Second}}
	for name, readers := range map[string][]reader{
		"as often as an interval": {{"a", 10 * time.Second, time.Second}},
		"each quarter":            {{"a", 15 * time.Second, time.Second}},
		"each half minute":        {{"a", 30 * time.Second, 7 * time.Second}},
		"each minute":             {{"a", time.Minute, 7 * time.Second}},
		"beside one in a hurry":   {{"a", time.Minute, 7 * time.Second}, {"b", time.Second, 0}},
		"a pair of one name":      pair,
		"many":                    {{"a", time.Minute, 3 * time.Second}, {"b", 15 * time.Second, 0}, {"c", 45 * time.Second, 20 * time.Second}, {"d", 5 * time.Minute, 0}, {"e", time.Second, 0}},
	} {
		a := New(Config{})
		saw := make([]map[int]bool, len(readers))
		for i := range saw {
			saw[i] = map[int]bool{}
		}
		start := time.Now()
		const length = 20 * time.Minute
		sentAt := map[int]time.Duration{}
		r := rand.New(rand.NewPCG(1, 1))
		for at, id := time.Duration(0), 0; at < length; at += time.Second {
			if at%(10*time.Second) == 0 {
				a.Flush(start.Add(at))
			}
			if r.IntN(20) == 0 {
				id++
				sentAt[id] = at
				statsd.Feed(t, a, none, fmt.Sprintf("h%d:%d|h", id, id), fmt.Sprintf("s%d:x|s", id))
			}
			for i, x := range readers {
				if at < x.offset || (at-x.offset)%x.every != 0 {
					continue
				}
				for _, s := range a.Read(x.name).Series {
					if s.Recent.Known && s.Type == dogstatsd.Histogram {
						var id int
						_, _ = fmt.Sscanf(s.Name, "h%d", &id)
						saw[i][id] = true
						if late := at - sentAt[id]; late > 2*windowMost+20*time.Second {
							t.Errorf("%s: a value of %v ago is shown", name, late)
						}
						if v := float64(id); s.Recent.Max != v || s.Recent.Avg != v || s.Recent.Median != v {
							t.Errorf("%s: %+v", name, s)
						}
					} else if s.Recent.Known && s.Recent.Size != 1 {
						t.Errorf("%s: %+v", name, s)
					}
				}
			}
		}
		for i, x := range readers {
			for id, at := range sentAt {
				if at < length-3*time.Minute && !saw[i][id] && x.every <= time.Minute {
					t.Errorf("%s: %s (%v) did not see what was sent after %v", name, x.name, x.every, at)
				}
			}
		}
	}
}

// TestMaxIsTheWindows: a reader of every other interval misses no maximum.
func TestMaxIsTheWindows(t *testing.T) {
	a := New(Config{})
	now := time.Now()
	flush := func(value int) *Series {
		if value > 0 {
			statsd.Feed(t, a, none, fmt.Sprintf("h:%d|h", value))
		}
		now = now.Add(10 * time.Second)
		return &a.Flush(now).Series[0]
	}
	for _, step := range []struct {
		value, reads int
		max, avg     float64
	}{
		{9, 0, 9, 9}, {3, 0, 9, 3}, {2, 1, 9, 2}, {1, 1, 9, 1}, {4, 0, 9, 4}, {0, 2, 9, 4}, {0, 2, 4, 4}, {0, 2, 0, 0}, {5, 0, 5, 5},
	} {
		s := flush(step.value)
		if s.Recent.Max != step.max || s.Recent.Avg != step.avg {
			t.Errorf("%+v: %+v", step, s.Recent)
		}
		for range step.reads {
			a.Read("me")
		}
	}
}

// TestManyReadersHoldNothingForEver: nor does it cost memory to be read under ever new names.
func TestManyReadersHoldNothingForEver(t *testing.T) {
	a := New(Config{})
	now := time.Now()
	statsd.Feed(t, a, none, "h:1|h")
	for i := range 60 {
		a.Flush(now)
		for j := range 50 {
			a.Read(fmt.Sprintf("reader %d", i*50+j))
		}
		now = now.Add(10 * time.Second)
	}
	if n := len(a.readers.reads); n > readersMost {
		t.Errorf("%d readers are remembered", n)
	}
	for _, s := range a.Flush(now).Series {
		if s.Recent.Known {
			t.Errorf("%+v", s.Recent)
		}
	}
}
