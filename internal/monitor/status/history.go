package status

import (
	"math"
	"time"
)

// Spans of the history, and its steps.
const (
	hour, hourStep = time.Hour, 15 * time.Second
	day, dayStep   = 24 * time.Hour, 10 * time.Minute
)

// History is one container's numbers over a span of time: for each measure a value each Step from
// From on; nil where nothing is known.
type History struct {
	From   time.Time             `json:"from"`
	Step   float64               `json:"step"` // seconds
	Values map[string][]*float64 `json:"values"`
}

// history keeps both spans.
type history struct{ hour, day ring }

func (h *history) add(at time.Time, m *numbers) {
	h.hour.add(at, hourStep, int(hour/hourStep), m)
	h.day.add(at, dayStep, int(day/dayStep), m)
}

// ring is the last steps of time. It grows to its size, and not beyond.
type ring struct {
	codes []code // measures of each step, one after the other
	first int    // of codes: the oldest step, once they are full
	step  int64  // the latest one, that is still added up
	sum   [measures]float64
	n     [measures]uint32
}

// add takes a reading into the step that it falls in: the mean of a step is kept, of memory the most.
func (r *ring) add(at time.Time, step time.Duration, size int, m *numbers) {
	now := at.Unix() / int64(step.Seconds())
	if r.step == 0 {
		r.step = now
	}
	if now-r.step > int64(size) { // all that there was is too old
		*r = ring{codes: r.codes[:0], step: now}
	}
	for ; r.step < now; r.step++ {
		r.close(size)
	}
	for i, v := range m.at {
		switch {
		case math.IsNaN(v):
		case measurement(i) == memory:
			r.sum[i], r.n[i] = max(r.sum[i], v), 1
		default:
			r.sum[i], r.n[i] = r.sum[i]+v, r.n[i]+1
		}
	}
}

// close ends a step.
func (r *ring) close(size int) {
	var row [measures]code
	for i := range row {
		if r.n[i] > 0 {
			row[i] = encode(r.sum[i] / float64(r.n[i]))
		}
	}
	if len(r.codes) < size*int(measures) {
		if n := len(r.codes); n == cap(r.codes) { // by a half, but never beyond the size
			r.codes = append(make([]code, 0, min(max(8*int(measures), n+n/2), size*int(measures))), r.codes...)
		}
		r.codes = append(r.codes, row[:]...)
	} else {
		copy(r.codes[r.first*int(measures):], row[:])
		r.first = (r.first + 1) % size
	}
	r.sum, r.n = [measures]float64{}, [measures]uint32{}
}

// read gives the ring as a History, with the step that is still added up.
func (r *ring) read(step time.Duration) *History {
	n := len(r.codes) / int(measures)
	h := &History{Step: step.Seconds(), Values: map[string][]*float64{}}
	h.From = time.Unix((r.step-int64(n))*int64(step.Seconds()), 0).UTC()
	for m := range measures {
		list := make([]*float64, 0, n+1)
		for i := range n {
			list = append(list, r.codes[(r.first+i)%n*int(measures)+int(m)].decode())
		}
		var last *float64
		if r.n[m] > 0 {
			last = known(r.sum[m] / float64(r.n[m]))
		}
		h.Values[m.String()] = append(list, last)
	}
	return h
}

// code is a number that is not negative, on a scale of logarithms: right within 0.1 % from 0.01 to 2^53, and
// within 0.00001 below. Zero is not known.
type code uint16

const (
	codeUnit  = 1000.0       // the least that counts is a thousandth of one
	codeSteps = 65534.0 / 64 // of a doubling
)

func encode(v float64) code {
	if math.IsNaN(v) || v < 0 {
		return 0
	}
	return code(1 + min(math.Round(math.Log2(1+v*codeUnit)*codeSteps), 65534))
}

func (c code) decode() *float64 {
	if c == 0 {
		return nil
	}
	v := (math.Exp2(float64(c-1)/codeSteps) - 1) / codeUnit
	return &v
}

// History is a container's over the last hour, or the last day; false if it is not known.
func (k *Keeper) History(id string, ofDay bool) (*History, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l, ok := k.known[id]
	if !ok {
		return nil, false
	}
	if ofDay {
		return l.history.day.read(dayStep), true
	}
	return l.history.hour.read(hourStep), true
}

// Sparks are the last so many steps of the hour, of CPU and memory, of each container that is there.
func (k *Keeper) Sparks(steps int) map[string][2][]*float64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[string][2][]*float64{}
	for id, l := range k.known {
		if !l.gone.IsZero() {
			continue
		}
		h := l.history.hour.read(hourStep)
		last := func(m measurement) []*float64 { v := h.Values[m.String()]; return v[max(0, len(v)-steps):] }
		out[id] = [2][]*float64{last(cpu), last(memory)}
	}
	return out
}
