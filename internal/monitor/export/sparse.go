package export

import (
	"math"
	"slices"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/store"
	dto "github.com/prometheus/client_model/go"
)

// sparse is a distribution in the buckets that Prometheus calls a native histogram's and
// OpenTelemetry an exponential one's: bucket i has the values above base^(i-1), up to base^i,
// where base is 2^(2^-schema).
type sparse struct {
	schema   int
	zero     uint64
	up, down []bin // of values above 0 and, without their sign, below it; by index, none empty
}

type bin struct {
	index int
	count uint64
}

// With the finest schema a bucket is about as wide as a sketch's; a coarser one keeps each side to so many.
const finest, binsMost = 5, 160

// zeroBelow is what a bucket for zero counts: nothing smaller is told from it.
const zeroBelow = 1e-128

// sparseOf makes one of a sketch, nil of none. Counts by a sample rate are rounded, each bucket by itself: so none of
// them ever falls, which a reader would take for a new beginning.
func sparseOf(s *ddsketch.DDSketch) *sparse {
	if s == nil {
		return &sparse{schema: finest}
	}
	out := &sparse{schema: finest, zero: rounded(s.GetZeroCount())}
	for _, side := range []store.Store{s.GetPositiveValueStore(), s.GetNegativeValueStore()} {
		if side.IsEmpty() {
			continue
		}
		low, _ := side.MinIndex()
		high, _ := side.MaxIndex()
		for indexOf(s.Value(high), out.schema)-indexOf(s.Value(low), out.schema) >= binsMost {
			out.schema--
		}
	}
	out.up, out.down = out.bins(s, s.GetPositiveValueStore()), out.bins(s, s.GetNegativeValueStore())
	return out
}

func (o *sparse) bins(s *ddsketch.DDSketch, side store.Store) []bin {
	var list []bin
	index, sum := 0, 0.0
	end := func() {
		if n := rounded(sum); n > 0 {
			list = append(list, bin{index, n})
		}
	}
	side.ForEach(func(in int, count float64) bool {
		if i := indexOf(s.Value(in), o.schema); i != index {
			end()
			index, sum = i, 0
		}
		sum += count
		return false
	})
	end()
	return list
}

// indexOf is the bucket of a value above 0.
func indexOf(v float64, schema int) int { return int(math.Ceil(math.Ldexp(math.Log2(v), schema))) }

// rounded is a count as a bucket has it. A sample rate can make it any number; it ends where numbers are no longer whole.
func rounded(count float64) uint64 { return uint64(math.Round(min(count, 1<<53))) }

// count is that of all values.
func (o *sparse) count() uint64 {
	n := o.zero
	for _, b := range slices.Concat(o.up, o.down) {
		n += b.count
	}
	return n
}

// into writes it beside the classic buckets of a histogram.
func (o *sparse) into(h *dto.Histogram, sum float64) {
	schema, zero, below, n := int32(o.schema), o.zero, zeroBelow, o.count() //nolint:gosec // at most the finest
	h.Schema, h.ZeroThreshold, h.ZeroCount, h.SampleCount, h.SampleSum = &schema, &below, &zero, &n, &sum
	h.PositiveSpan, h.PositiveDelta = spans(o.up)
	h.NegativeSpan, h.NegativeDelta = spans(o.down)
	if len(o.up)+len(o.down) == 0 { // what tells it from a classic one that is empty
		h.PositiveSpan = []*dto.BucketSpan{{Offset: new(int32), Length: new(uint32)}}
	}
}

// spans are the buckets as the format has them: runs of neighbours, and each count less the one before.
func spans(list []bin) (out []*dto.BucketSpan, deltas []int64) {
	next, before := 0, int64(0)
	for _, b := range list {
		if len(out) == 0 || b.index != next {
			offset := int32(b.index - next) //nolint:gosec // indices of float64 at the finest schema are below 2^16
			out = append(out, &dto.BucketSpan{Offset: &offset, Length: new(uint32)})
		}
		*out[len(out)-1].Length++
		n := int64(b.count) //nolint:gosec // nobody counts so far
		deltas = append(deltas, n-before)
		next, before = b.index+1, n
	}
	return out, deltas
}
