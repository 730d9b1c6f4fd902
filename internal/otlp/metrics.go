package otlp

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"
)

const (
	partBytes = 128 << 10 // about how large a request is, and so what is held of the metrics at once
	mostBytes = 2 << 20   // of one resource: receivers refuse a request of 4 MiB, with what else is in it
)

// sendMetrics pushes at each interval until ctx ends, and once more until late ends.
func (e *Exporter) sendMetrics(ctx, late context.Context, source Source) {
	tick := time.NewTicker(e.cfg.interval)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ended = true
		}
		within, cancel := context.WithTimeout(late, e.cfg.interval)
		e.push(within, source)
		cancel()
	}
}

// push sends what the source gives now, in as many requests as it takes. Containers choose how long their tags are: what is too long
// for any request costs its own container alone.
func (e *Exporter) push(ctx context.Context, source Source) {
	var part metricspb.MetricsData
	size, points := 0, 0
	flush := func() {
		if points > 0 {
			e.deliver(ctx, metrics, encoded(&part), points)
		}
		part.ResourceMetrics, size, points = nil, 0, 0
	}
	for r := range source {
		r.Resource = &resourcepb.Resource{Attributes: Merged(r.GetResource().GetAttributes(), e.resource.GetAttributes())} // tags do not say who we are
		for _, s := range r.GetScopeMetrics() {
			s.Scope = e.scope
		}
		n := proto.Size(r)
		if n > mostBytes {
			e.lose(metrics, count(r), fmt.Sprintf("a resource has %d bytes, and %d may be sent", n, mostBytes))
			continue
		}
		if size+n > partBytes {
			flush()
		}
		part.ResourceMetrics = append(part.ResourceMetrics, r)
		points, size = points+count(r), size+n
	}
	flush()
}

// count is how many data points there are.
func count(r *metricspb.ResourceMetrics) (n int) {
	for _, s := range r.GetScopeMetrics() {
		for _, m := range s.GetMetrics() {
			n += len(m.GetGauge().GetDataPoints()) + len(m.GetSum().GetDataPoints()) + len(m.GetSummary().GetDataPoints()) +
				len(m.GetHistogram().GetDataPoints()) + len(m.GetExponentialHistogram().GetDataPoints())
		}
	}
	return n
}

// Instrument says how a metric's values add up.
type Instrument int

// The instruments, as OpenTelemetry's conventions name them.
const (
	Gauge         Instrument = iota
	Counter                  // a sum that only grows
	UpDownCounter            // a sum
)

// Of makes the metrics of one resource.
func Of(attributes []*commonpb.KeyValue, list []*metricspb.Metric) *metricspb.ResourceMetrics {
	return &metricspb.ResourceMetrics{
		Resource:     &resourcepb.Resource{Attributes: attributes},
		ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: list}},
	}
}

// numbers makes a metric of numbers. Sums are cumulative; when they began stands in the points, if it is known.
func numbers(name, unit, help string, in Instrument, points []*metricspb.NumberDataPoint) *metricspb.Metric {
	m := &metricspb.Metric{Name: valid(name), Unit: unit, Description: valid(help)}
	if in == Gauge {
		m.Data = &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{DataPoints: points}}
		return m
	}
	m.Data = &metricspb.Metric_Sum{Sum: &metricspb.Sum{
		DataPoints: points, IsMonotonic: in == Counter,
		AggregationTemporality: metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE,
	}}
	return m
}

// Set collects the metrics of a resource.
type Set struct {
	list []*metricspb.Metric
	by   map[string]*metricspb.Metric // by name, unit and kind
}

// Add adds a point to the metric of a name; two of Prometheus's metrics may be one, told apart by an attribute.
func (s *Set) Add(n Name, help string, p *metricspb.NumberDataPoint) {
	p.Attributes = append(p.Attributes, n.Attributes...)
	key := n.Name + "\x00" + n.Unit + "\x00" + strconv.Itoa(int(n.In))
	m := s.by[key]
	switch {
	case m == nil:
		s.keep(key, numbers(n.Name, n.Unit, help, n.In, []*metricspb.NumberDataPoint{p}))
	case n.In == Gauge:
		m.GetGauge().DataPoints = append(m.GetGauge().GetDataPoints(), p)
	default:
		m.GetSum().DataPoints = append(m.GetSum().GetDataPoints(), p)
	}
}

// Append adds a metric that is not of numbers; its points to those of the same name and kind.
func (s *Set) Append(m *metricspb.Metric) {
	m.Name, m.Description = valid(m.GetName()), valid(m.GetDescription())
	key := fmt.Sprintf("%s\x00%T", m.GetName(), m.GetData())
	same := s.by[key]
	if same == nil {
		s.keep(key, m)
		return
	}
	switch data := same.GetData().(type) {
	case *metricspb.Metric_Summary:
		data.Summary.DataPoints = append(data.Summary.DataPoints, m.GetSummary().GetDataPoints()...)
	case *metricspb.Metric_Histogram:
		data.Histogram.DataPoints = append(data.Histogram.DataPoints, m.GetHistogram().GetDataPoints()...)
	case *metricspb.Metric_ExponentialHistogram:
		data.ExponentialHistogram.DataPoints = append(data.ExponentialHistogram.DataPoints, m.GetExponentialHistogram().GetDataPoints()...)
	}
}

func (s *Set) keep(key string, m *metricspb.Metric) {
	if s.by == nil {
		s.by = map[string]*metricspb.Metric{}
	}
	s.by[key], s.list = m, append(s.list, m)
}

// Metrics are those that were added.
func (s *Set) Metrics() []*metricspb.Metric { return s.list }

// Point is one number at a time.
func Point(at time.Time, v float64, attributes ...*commonpb.KeyValue) *metricspb.NumberDataPoint {
	return &metricspb.NumberDataPoint{TimeUnixNano: Nanos(at), Value: &metricspb.NumberDataPoint_AsDouble{AsDouble: v}, Attributes: attributes}
}

// Nanos is a time as OTLP has it; 0 is none.
func Nanos(t time.Time) uint64 { return uint64(max(0, t.UnixNano())) }

// Text is an attribute. What is no text in a value becomes U+FFFD: a receiver would refuse the whole request.
func Text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: valid(key), Value: TextValue(value)}
}

// TextValue is a value that is a text, as Text has it.
func TextValue(value string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: valid(value)}}
}

// Whole is an attribute that is a number.
func Whole(key string, value int64) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: value}}}
}

// Flag is an attribute that is yes or no.
func Flag(key string, value bool) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: value}}}
}

// Texts is an attribute that is a list of texts.
func Texts(key string, values []string) *commonpb.KeyValue {
	list := &commonpb.ArrayValue{}
	for _, v := range values {
		list.Values = append(list.Values, TextValue(v))
	}
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: list}}}
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
