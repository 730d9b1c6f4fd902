package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/policy"
	"vitrine/internal/version"
)

// Metrics counts decisions. Every name has a row in docs/audit.md.
type Metrics struct {
	registry     *prometheus.Registry
	decisions    *prometheus.CounterVec
	differential prometheus.Counter
	redacted     prometheus.Counter
	duration     prometheus.Histogram
	hour         lastHour
}

// Sources are what the metrics read at each scrape.
type Sources struct {
	Policy func() policy.Status
	Lost   func() uint64 // audit records never written
	// Candidate counts the requests that a candidate for the policy would decide otherwise, by direction, and those
	// that it had no time for; nil: there is none.
	Candidate func() (differs map[string]uint64, skipped uint64)
	PutOut    func() uint64        // shapes that the record has not, or no more; nil: there is no record
	OTLP      prometheus.Collector // what is sent by OTLP; nil: nothing is
	// Gauges are further values by metric name, with their help.
	Gauges []Gauge
}

// Gauge is one value read at each scrape.
type Gauge struct {
	Name, Help string
	Value      func() float64
}

// NewMetrics registers the metrics of this process and its decisions.
func NewMetrics(src Sources) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vitrine_decisions_total",
			Help: "Decisions by operation, kind of caller and verdict (allow, deny, would-deny).",
		}, []string{"operation", "caller_kind", "verdict"}),
		differential: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "vitrine_differential_total",
			Help: "Requests that dockerd read otherwise than the gateway judged them, or whose ticket was unknown or used. All denied.",
		}),
		redacted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "vitrine_redacted_answers_total",
			Help: "Answers in which values were blanked.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "vitrine_decision_duration_seconds",
			Help:    "Time to identify, parse and decide, in seconds; without reading the body.",
			Buckets: []float64{.000002, .000005, .00001, .000025, .00005, .0001, .00025, .0005, .001, .005, .025, .1, .5, 2},
			// Beside them, for readers that ask for it, buckets of which each is at most a tenth wider than the one below.
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
		}),
	}
	program, goVersion := version.Get()
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "vitrine_build_info", Help: "Version of this program and of Go; always 1.",
		ConstLabels: prometheus.Labels{"version": program, "goversion": goVersion},
	}, func() float64 { return 1 }))
	m.registry.MustRegister(m.decisions, m.differential, m.redacted, m.duration,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collector(src.policy),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "vitrine_audit_records_lost_total",
			Help: "Audit records that could not be written.",
		}, func() float64 { return float64(src.Lost()) }),
	)
	if src.Candidate != nil {
		m.registry.MustRegister(collector(src.candidate))
	}
	if src.PutOut != nil {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "vitrine_record_shapes_put_out_total",
			Help: "Shapes of decisions that were put out of the record to make room, or not taken into it.",
		}, func() float64 { return float64(src.PutOut()) }))
	}
	if src.OTLP != nil {
		m.registry.MustRegister(src.OTLP)
	}
	for _, g := range src.Gauges {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.Name, Help: g.Help}, g.Value))
	}
	return m
}

// Gatherer gives all of them.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Observe counts one decision.
func (m *Metrics) Observe(r audit.Record) {
	if r.Differential != "" {
		m.differential.Inc()
	}
	if r.Redacted {
		m.redacted.Inc()
	}
	m.hour.count(&r, time.Now())
	m.decisions.WithLabelValues(r.Operation, string(r.Caller.Kind), r.Verdict()).Inc()
	m.duration.Observe(r.Duration.Seconds())
}

// collector is asked at each scrape. It describes nothing beforehand: which series there are hangs on what it finds, so that
// those of a replaced revision do not stay behind.
type collector func(ch chan<- prometheus.Metric)

// Describe implements prometheus.Collector.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) { c(ch) }

var (
	policyInfo = prometheus.NewDesc("vitrine_policy_info",
		"The policy that decides, by revision; always 1. Absent while none is loaded.", []string{"revision", "source"}, nil)
	policyLoaded = prometheus.NewDesc("vitrine_policy_loaded_timestamp_seconds",
		"When the policy that decides was loaded, in seconds since the epoch.", nil, nil)
	policyOK = prometheus.NewDesc("vitrine_policy_last_load_success",
		"1 if the last load of a policy succeeded, 0 if it was refused; /healthz says why.", nil, nil)
	candidateDiffers = prometheus.NewDesc("vitrine_candidate_differs_total",
		"Requests that the candidate for the policy would have decided otherwise, by direction.", []string{"direction"}, nil)
	candidateSkipped = prometheus.NewDesc("vitrine_candidate_skipped_total",
		"Decisions that the candidate for the policy had no time for.", nil, nil)
)

func (src *Sources) policy(ch chan<- prometheus.Metric) {
	s := src.Policy()
	if s.Revision != "" {
		ch <- prometheus.MustNewConstMetric(policyInfo, prometheus.GaugeValue, 1, s.Revision, s.Source)
		ch <- prometheus.MustNewConstMetric(policyLoaded, prometheus.GaugeValue, float64(s.LoadedAt.Unix()))
	}
	ok := 1.0
	if s.LastError != "" {
		ok = 0
	}
	ch <- prometheus.MustNewConstMetric(policyOK, prometheus.GaugeValue, ok)
}

func (src *Sources) candidate(ch chan<- prometheus.Metric) {
	differs, skipped := src.Candidate()
	for direction, n := range differs {
		ch <- prometheus.MustNewConstMetric(candidateDiffers, prometheus.CounterValue, float64(n), direction)
	}
	ch <- prometheus.MustNewConstMetric(candidateSkipped, prometheus.CounterValue, float64(skipped))
}
