package messages

import (
	"math"
	"sync"
	"time"

	"vitrine/internal/monitor/dogstatsd"
)

// What is of one interval (sets, quantiles, means, maxima) would be seen by few readers: most
// come each 15 to 60 s, and an interval has 10. It stays for a window, and the one after it. A
// window ends when each reader has come twice, so that two of one name have seen it too, and
// after a minute at the latest: nobody is shown what is long past, and nobody who comes
// seldom, or has gone, holds it for the others.
const (
	readsOfWindow = 2
	windowMost    = 70 * time.Second // a minute, and some room for readers that are a little late
	readersMost   = 64               // of more it is not known who has come
)

// readers counts windows, and who has come in this one.
type readers struct {
	mu     sync.Mutex
	window int
	began  time.Time
	reads  map[string]int
}

func (r *readers) note(reader string, window int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reads == nil {
		r.reads = map[string]int{}
	}
	if _, known := r.reads[reader]; window == r.window && (known || len(r.reads) < readersMost) {
		r.reads[reader]++
	}
}

// turn ends the window if its time has come, and returns the number of the one that is.
func (r *readers) turn(now time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	over := len(r.reads) > 0 && len(r.reads) < readersMost
	for _, n := range r.reads {
		over = over && n >= readsOfWindow
	}
	if !over && now.Sub(r.began) < windowMost {
		return r.window
	}
	r.window, r.began = r.window+1, now
	for reader, n := range r.reads {
		if n == 0 {
			delete(r.reads, reader) // gone
		} else {
			r.reads[reader] = 0
		}
	}
	return r.window
}

// Recent has what is of an interval: of the last one with values, if that is not long ago.
type Recent struct {
	Known            bool
	Size             float64 // of a set
	Avg, Median, P95 float64 // of a histogram
	Max              float64 // of a histogram: the greatest of all values as recent
}

// kept is what a series keeps for that.
type kept struct {
	Recent
	window int     // of Recent
	before float64 // the greatest of the window before; -Inf: it had no values
}

// next takes an interval into account, and returns what is shown after it.
func (r *kept) next(s *Series, window int) Recent {
	if r.Known && window-r.window > 1 {
		*r = kept{}
	}
	if !s.Seen || s.Type != dogstatsd.Histogram && s.Type != dogstatsd.Set {
		return r.shown(window)
	}
	switch {
	case !r.Known:
		r.before, r.Max = math.Inf(-1), math.Inf(-1)
	case window != r.window:
		r.before, r.Max = r.Max, math.Inf(-1)
	}
	r.window, r.Known = window, true
	if s.Type == dogstatsd.Set {
		r.Size = s.Value
		return r.Recent
	}
	r.Avg, r.Median, r.P95, r.Max = s.Avg(), s.Quantile(0.5), s.Quantile(0.95), max(r.Max, s.Max)
	return r.shown(window)
}

func (r *kept) shown(window int) Recent {
	out := r.Recent
	if window == r.window {
		out.Max = max(out.Max, r.before)
	}
	return out
}
