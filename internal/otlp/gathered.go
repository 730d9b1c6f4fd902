package otlp

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// A Name is what OpenTelemetry calls a metric of Prometheus's.
type Name struct {
	Name, Unit string
	In         Instrument
	Attributes []*commonpb.KeyValue // that the name of the other was a part of
}

// conventions are OpenTelemetry's names (semantic conventions 1.43) for what client_golang tells of a process.
var conventions = map[string]Name{
	"process_cpu_seconds_total":            {Name: "process.cpu.time", Unit: "s", In: Counter},
	"process_resident_memory_bytes":        {Name: "process.memory.usage", Unit: "By", In: UpDownCounter},
	"process_virtual_memory_bytes":         {Name: "process.memory.virtual", Unit: "By", In: UpDownCounter},
	"process_open_fds":                     {Name: "process.unix.file_descriptor.count", Unit: "{file_descriptor}", In: UpDownCounter},
	"process_network_receive_bytes_total":  {Name: "process.network.io", Unit: "By", In: Counter, Attributes: []*commonpb.KeyValue{Text("network.io.direction", "receive")}},
	"process_network_transmit_bytes_total": {Name: "process.network.io", Unit: "By", In: Counter, Attributes: []*commonpb.KeyValue{Text("network.io.direction", "transmit")}},
	"go_goroutines":                        {Name: "go.goroutine.count", Unit: "{goroutine}", In: UpDownCounter},
	"go_gc_gogc_percent":                   {Name: "go.config.gogc", Unit: "%", In: UpDownCounter},
	"go_gc_gomemlimit_bytes":               {Name: "go.memory.limit", Unit: "By", In: UpDownCounter},
	"go_sched_gomaxprocs_threads":          {Name: "go.processor.limit", Unit: "{thread}", In: UpDownCounter},
	"go_memstats_alloc_bytes_total":        {Name: "go.memory.allocated", Unit: "By", In: Counter},
	"go_memstats_mallocs_total":            {Name: "go.memory.allocations", Unit: "{allocation}", In: Counter},
	"go_memstats_next_gc_bytes":            {Name: "go.memory.gc.goal", Unit: "By", In: UpDownCounter},
}

// Conventions are the names of OpenTelemetry's that a program of ours sends of its own process.
func Conventions() []Name { return slices.Collect(maps.Values(conventions)) }

// Ours is the name of a metric that no convention knows, below a namespace of ours: what a reader of OTLP that speaks
// Prometheus makes of it is the name that the page has.
func Ours(namespace, prom string, counter bool) Name {
	n := Name{Name: prom, In: Gauge}
	if counter {
		n.In = Counter
	}
	n.Name = strings.TrimSuffix(n.Name, "_total")
	for suffix, unit := range map[string]string{"_seconds": "s", "_bytes": "By", "_ratio": "1"} {
		if short, ok := strings.CutSuffix(n.Name, suffix); ok {
			n.Name, n.Unit = short, unit
		}
	}
	n.Name = namespace + "." + n.Name
	return n
}

// nameOf is what a metric of a program of ours is called; false for one that is not sent.
func nameOf(f *dto.MetricFamily) (Name, bool) {
	prom := f.GetName()
	if n, ok := conventions[prom]; ok {
		return n, true
	}
	if strings.HasPrefix(prom, "go_") || strings.HasPrefix(prom, "process_") {
		return Name{}, false
	}
	namespace := "vitrine"
	rest, ours := strings.CutPrefix(prom, "vitrine_")
	if !ours {
		if rest, ours = strings.CutPrefix(prom, "monitor_"); ours {
			namespace = "vitrine.monitor"
		}
	}
	return Ours(namespace, rest, f.GetType() == dto.MetricType_COUNTER), true
}

// Gathered gives the metrics of a program's own registry. Sums began with the process.
func Gathered(from prometheus.Gatherer, logger *slog.Logger) Source {
	return func(yield func(*metricspb.ResourceMetrics) bool) {
		list, err := gathered(from, time.Now())
		if err != nil {
			logger.Error("metrics of our own process are not all sent", "error", err.Error())
		}
		yield(Of(nil, list))
	}
}

// gathered are those that can be had.
func gathered(from prometheus.Gatherer, at time.Time) ([]*metricspb.Metric, error) {
	families, err := from.Gather()
	var began uint64
	for _, f := range families {
		if f.GetName() == "process_start_time_seconds" {
			began = uint64(f.GetMetric()[0].GetGauge().GetValue() * float64(time.Second))
		}
	}
	var set Set
	for _, f := range families {
		if n, ok := nameOf(f); ok {
			n.add(&set, f, Nanos(at), began)
		}
	}
	return set.Metrics(), err
}

func (n Name) add(set *Set, f *dto.MetricFamily, at, began uint64) {
	if f.GetType() == dto.MetricType_HISTOGRAM {
		set.Append(n.histogram(f, at, began))
		return
	}
	for _, m := range f.GetMetric() {
		p := &metricspb.NumberDataPoint{TimeUnixNano: at, Attributes: attributes(m)}
		if n.In == Counter {
			p.StartTimeUnixNano = began
		}
		v := m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue() // of which it has one
		p.Value = &metricspb.NumberDataPoint_AsDouble{AsDouble: v}
		set.Add(n, f.GetHelp(), p)
	}
}

func (n Name) histogram(f *dto.MetricFamily, at, began uint64) *metricspb.Metric {
	h := &metricspb.Histogram{AggregationTemporality: metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE}
	for _, m := range f.GetMetric() {
		in := m.GetHistogram()
		sum, total := in.GetSampleSum(), in.GetSampleCount()
		p := &metricspb.HistogramDataPoint{TimeUnixNano: at, StartTimeUnixNano: began, Attributes: attributes(m), Count: total, Sum: &sum}
		below := uint64(0)
		for _, b := range in.GetBucket() {
			p.ExplicitBounds = append(p.ExplicitBounds, b.GetUpperBound())
			p.BucketCounts = append(p.BucketCounts, b.GetCumulativeCount()-below)
			below = b.GetCumulativeCount()
		}
		p.BucketCounts = append(p.BucketCounts, total-below)
		h.DataPoints = append(h.DataPoints, p)
	}
	return &metricspb.Metric{Name: n.Name, Unit: n.Unit, Description: f.GetHelp(), Data: &metricspb.Metric_Histogram{Histogram: h}}
}

func attributes(m *dto.Metric) (out []*commonpb.KeyValue) {
	for _, l := range m.GetLabel() {
		out = append(out, Text(l.GetName(), l.GetValue()))
	}
	return out
}
