package export

import (
	"strings"
	"sync"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"

	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/tag"
	"vitrine/internal/otlp"
)

// clientName is a client's own name, or one below dogstatsd where that is ours, in Prometheus's spelling too: a client could say
// that the Engine is up, and a reader has no other way to tell who says so.
func clientName(name string) string {
	if read := strings.TrimSuffix(tag.MetricName(name), "_total"); strings.HasPrefix(read, "vitrine_") || ownNames()[read] {
		return "dogstatsd." + name
	}
	return name
}

// ownNames are those that we send, with and without their units, and Prometheus's.
var ownNames = sync.OnceValue(func() map[string]bool {
	own := map[string]bool{"target_info": true}
	for _, name := range prometheusOwn {
		own[name] = true
	}
	table := collect.NewTable()
	names := otlp.Conventions()
	for _, m := range table.Containers() {
		names = append(names, otelName(m, true))
	}
	for _, m := range table.Others() {
		names = append(names, otelName(m, false))
	}
	for _, n := range names {
		read := tag.MetricName(n.Name)
		own[read] = true
		if unit := map[string]string{"s": "seconds", "By": "bytes", "1": "ratio", "%": "percent"}[n.Unit]; unit != "" {
			own[read+"_"+unit] = true
		}
	}
	return own
})

// clientOTLP adds a client's series under its own name. As on the page, what negative counts take off is a
// counter of its own: a sum that grows may not fall.
func clientOTLP(set *otlp.Set, s *messages.Series, at time.Time) {
	attributes := clientAttributes(s.Host, s.Tags)
	help, named := "DogStatsD "+s.Type.String(), clientName(s.Name)
	number := func(name string, in otlp.Instrument, at time.Time, v float64) {
		set.Add(otlp.Name{Name: name, In: in}, help, otlp.Point(at, v, attributes...))
	}
	switch s.Type {
	case dogstatsd.Count:
		number(named, otlp.Counter, at, s.Added)
		if s.Off > 0 {
			number(named+".negative", otlp.Counter, at, s.Off)
		}
	case dogstatsd.Gauge:
		if !s.At.IsZero() {
			at = s.At
		}
		number(named, otlp.Gauge, at, s.Value)
	case dogstatsd.Set:
		number(named, otlp.Gauge, at, s.Recent.Size)
	case dogstatsd.Histogram:
		set.Append(&metricspb.Metric{Name: named, Description: help, Data: &metricspb.Metric_Summary{
			Summary: &metricspb.Summary{DataPoints: []*metricspb.SummaryDataPoint{summarized(s, at, attributes)}},
		}})
	case dogstatsd.Distribution:
		set.Append(&metricspb.Metric{Name: named, Description: help, Data: &metricspb.Metric_ExponentialHistogram{
			ExponentialHistogram: &metricspb.ExponentialHistogram{
				DataPoints:             []*metricspb.ExponentialHistogramDataPoint{exponential(s, at, attributes)},
				AggregationTemporality: metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE,
			},
		}})
	}
}

func summarized(s *messages.Series, at time.Time, attributes []*commonpb.KeyValue) *metricspb.SummaryDataPoint {
	p := &metricspb.SummaryDataPoint{TimeUnixNano: otlp.Nanos(at), Attributes: attributes, Count: rounded(s.TotalCount), Sum: s.TotalSum}
	if r := s.Recent; r.Known {
		for _, q := range [][2]float64{{0.5, r.Median}, {0.95, r.P95}, {1, r.Max}} {
			p.QuantileValues = append(p.QuantileValues, &metricspb.SummaryDataPoint_ValueAtQuantile{Quantile: q[0], Value: q[1]})
		}
	}
	return p
}

// exponential is a distribution in its buckets; OpenTelemetry's bucket i begins where Prometheus's ends.
func exponential(s *messages.Series, at time.Time, attributes []*commonpb.KeyValue) *metricspb.ExponentialHistogramDataPoint {
	o := sparseOf(s.TotalSketch)
	dense := func(list []bin) *metricspb.ExponentialHistogramDataPoint_Buckets {
		if len(list) == 0 {
			return nil
		}
		first := list[0].index
		out := &metricspb.ExponentialHistogramDataPoint_Buckets{
			Offset: int32(first - 1), BucketCounts: make([]uint64, list[len(list)-1].index-first+1), //nolint:gosec // indices of float64 at the finest schema are below 2^16
		}
		for _, b := range list {
			out.BucketCounts[b.index-first] = b.count
		}
		return out
	}
	return &metricspb.ExponentialHistogramDataPoint{
		TimeUnixNano: otlp.Nanos(at), Attributes: attributes, Count: o.count(), Sum: &s.TotalSum,
		Scale: int32(o.schema), ZeroCount: o.zero, ZeroThreshold: zeroBelow, Positive: dense(o.up), Negative: dense(o.down), //nolint:gosec // at most the finest
	}
}
