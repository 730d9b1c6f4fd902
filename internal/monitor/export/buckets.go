package export

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"

	"vitrine/internal/monitor/messages"
)

// buckets writes a distribution as a classic histogram: its bounds are 1, 2 and 5 of
// each power of ten that the values span (1 alone, if they span many on both sides of 0), so that
// one that was there stays. A value
// counts as within a bound if the sketch cannot tell it from the bound (1 %). With values below
// 0 the sum may fall, and a strict reader takes neither sum nor count.
func (p *page) buckets(name, labels string, s *messages.Series) {
	bucket := name + "_bucket"
	if p.delimited != nil {
		p.delimited.native = append(p.delimited.native, s)
	}
	if s.TotalSketch != nil {
		p.bounds(s.TotalSketch, func(bound, below float64) {
			p.sample(bucket, labels, "le", p.bound(bound), whole(min(below, s.TotalCount)))
		})
	}
	p.sample(bucket, labels, "le", "+Inf", whole(s.TotalCount))
	if !s.BelowZero {
		p.sample(name+"_sum", labels, "", "", s.TotalSum)
		p.sample(name+"_count", labels, "", "", whole(s.TotalCount))
	}
}

// whole is a count as a strict reader wants it: one by a sample rate may be none.
func whole(count float64) float64 { return math.Round(count) }

// bound is written as each format has it.
func (p *page) bound(v float64) string {
	out := strconv.FormatFloat(v, 'g', -1, 64)
	if p.open && !strings.ContainsAny(out, ".e") {
		out += ".0"
	}
	return out
}

// bounds calls f for each bound around the values, in order, with how many are within it.
func (p *page) bounds(s *ddsketch.DDSketch, f func(bound, within float64)) {
	down, up, zero := s.GetNegativeValueStore(), s.GetPositiveValueStore(), s.GetZeroCount()
	digits := "125"
	if !down.IsEmpty() && !up.IsEmpty() && span(s, down)+span(s, up) > decadesMost {
		digits = "1" // else there would be too many
	}
	within := 0.0
	if !down.IsEmpty() {
		low, _ := down.MinIndex()
		high, _ := down.MaxIndex()
		bounds := ladder(s.Value(low), s.Value(high), digits)
		within = down.TotalCount()
		// The least is the furthest from 0: what is beyond a bound is not within it.
		counts := cumulative(down, s.IndexMapping, bounds, -1)
		for i, bound := range slices.Backward(bounds) {
			f(-bound, within-counts[i])
		}
	}
	if !down.IsEmpty() || zero > 0 {
		within += zero
		f(0, within)
	}
	if !up.IsEmpty() {
		low, _ := up.MinIndex()
		high, _ := up.MaxIndex()
		bounds := ladder(s.Value(low), s.Value(high), digits)
		for i, n := range cumulative(up, s.IndexMapping, bounds, 0) {
			f(bounds[i], within+n)
		}
	}
}

// decadesMost: a sketch has 7 powers of ten on each side of 0, and one side alone up to 25 bounds.
const decadesMost = 6

// span is how many powers of ten a store's values span.
func span(s *ddsketch.DDSketch, of store.Store) float64 {
	low, _ := of.MinIndex()
	high, _ := of.MaxIndex()
	return math.Log10(s.Value(high) / s.Value(low))
}

// cumulative says how much of a store is at most each of the bounds, which are sorted; with
// less -1, how much is below them.
func cumulative(of store.Store, m mapping.IndexMapping, bounds []float64, less int) []float64 {
	counts := make([]float64, len(bounds))
	next, sum := 0, 0.0
	last := m.Index(bounds[0]) + less
	of.ForEach(func(index int, count float64) bool {
		for index > last {
			counts[next] = sum
			if next++; next == len(bounds) {
				return true
			}
			last = m.Index(bounds[next]) + less
		}
		sum += count
		return false
	})
	for ; next < len(bounds); next++ {
		counts[next] = sum
	}
	return counts
}

// ladder has the steps from one at most low to one at least high, with some room
// for a sketch's error; both are above 0.
func ladder(low, high float64, digits string) []float64 {
	low, high = low*0.98, high*1.02
	var out []float64
	for power := int(math.Floor(math.Log10(low))); ; power++ {
		for _, digit := range digits {
			step, err := strconv.ParseFloat(string(digit)+"e"+strconv.Itoa(power), 64)
			if err != nil {
				return out
			}
			if step <= low {
				out = out[:0]
			}
			out = append(out, step)
			if step >= high {
				return out
			}
		}
	}
}
