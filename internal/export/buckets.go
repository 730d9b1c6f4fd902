package export

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"

	"vitrine/internal/aggregate"
)

// bin is one of a sketch's.
type bin struct{ value, count float64 }

// buckets writes a distribution as a classic histogram: its bounds are 1, 2 and 5 of
// each power of ten that the values span, so that one that was there stays. A value
// counts as within a bound if the sketch cannot tell it from the bound (1 %).
func (p *page) buckets(name, labels string, s *aggregate.CustomSeries) {
	if s.TotalSketch != nil {
		bins := bins(s.TotalSketch)
		next, below := 0, 0.0
		for _, bound := range bounds(bins) {
			for next < len(bins) && within(s.TotalSketch.IndexMapping, bins[next].value, bound) {
				below += bins[next].count
				next++
			}
			p.sample(name+"_bucket", labels, "le", p.bound(bound), min(below, s.TotalCount))
		}
	}
	p.sample(name+"_bucket", labels, "le", "+Inf", s.TotalCount)
	p.sample(name+"_sum", labels, "", "", s.TotalSum)
	p.sample(name+"_count", labels, "", "", s.TotalCount)
}

// bound is written as each format has it.
func (p *page) bound(v float64) string {
	out := strconv.FormatFloat(v, 'g', -1, 64)
	if p.open && !strings.ContainsAny(out, ".e") {
		out += ".0"
	}
	return out
}

func bins(s *ddsketch.DDSketch) []bin {
	var out []bin
	s.ForEach(func(value, count float64) bool {
		out = append(out, bin{value, count})
		return false
	})
	slices.SortFunc(out, func(a, b bin) int {
		if a.value < b.value {
			return -1
		}
		return 1
	})
	return out
}

func within(m mapping.IndexMapping, value, bound float64) bool {
	switch {
	case value == 0 || bound == 0 || value < 0 != (bound < 0):
		return value <= bound
	case value > 0:
		return m.Index(value) <= m.Index(bound)
	}
	return m.Index(-value) >= m.Index(-bound)
}

// bounds are those around bins, which are sorted.
func bounds(bins []bin) []float64 {
	split := slices.IndexFunc(bins, func(b bin) bool { return b.value > 0 })
	if split < 0 {
		split = len(bins)
	}
	negative := slices.IndexFunc(bins, func(b bin) bool { return b.value >= 0 })
	if negative < 0 {
		negative = len(bins)
	}
	var out []float64
	if negative > 0 {
		for _, b := range ladder(-bins[negative-1].value, -bins[0].value) {
			out = append(out, -b)
		}
		slices.Reverse(out)
	}
	if split > 0 {
		out = append(out, 0)
	}
	if split < len(bins) {
		out = append(out, ladder(bins[split].value, bins[len(bins)-1].value)...)
	}
	return out
}

// ladder has the steps from one at most low to one at least high, with some room
// for a sketch's error; both are above 0.
func ladder(low, high float64) []float64 {
	low, high = low*0.98, high*1.02
	var out []float64
	for power := int(math.Floor(math.Log10(low))); ; power++ {
		for _, digit := range []string{"1", "2", "5"} {
			step, err := strconv.ParseFloat(digit+"e"+strconv.Itoa(power), 64)
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
