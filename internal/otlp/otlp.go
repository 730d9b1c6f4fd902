// Package otlp sends metrics and logs to a receiver that speaks OTLP, such as
// OpenTelemetry's collector, over HTTP or gRPC.
//
// The messages are those that OpenTelemetry generates. What carries them is net/http: both
// protocols are one POST each, and gRPC's differs in a frame of five bytes and in where the status stands (send.go).
// OpenTelemetry's own exporters, or their service stubs, would link a gRPC client and server into a program that
// decides who may use Docker.
//
// Nobody ever waits for a receiver, and one that is dead or slow costs a bounded amount of memory. Metrics
// are cumulative, and are asked of their source part by part while they are sent, so that there is no queue of them:
// a push that does not succeed before the next one is due is given up, and the next one has its sums. Logs wait, encoded, in
// a queue with a bound in bytes, of which no caller may fill more than is left (queue.go). They are sent again until
// the receiver takes or refuses them: it may have one twice, if its answer was lost. What is lost is counted
// by signal, in what Collect gives.
//
// What is sent has been cut and redacted by who gives it: this package knows no secrets but the headers of
// the configuration, which are sent to the endpoint and nowhere else: no redirection is followed, and no proxy used.
package otlp

import (
	"compress/gzip"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"

	"vitrine/internal/version"
)

// Source gives the metrics of now, each time that it is asked, a resource's at a time. It must not hold a lock
// while it yields.
type Source = iter.Seq[*metricspb.ResourceMetrics]

// All gives what each of several sources gives.
func All(sources ...Source) Source {
	return func(yield func(*metricspb.ResourceMetrics) bool) {
		for _, source := range sources {
			for r := range source {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// Exporter sends to one receiver. The nil Exporter takes logs and drops them.
type Exporter struct {
	cfg    Config
	client *http.Client
	logger *slog.Logger
	scope  *commonpb.InstrumentationScope
	// resource is who we are.
	resource *resourcepb.Resource

	logs    queue
	zips    [signals]*gzip.Writer // each is one goroutine's
	sent    [signals]atomic.Uint64
	lost    [signals]atomic.Uint64
	mu      sync.Mutex
	failing [signals]bool // since the last one that succeeded
}

// signal is one of OTLP's kinds of data.
type signal int

const (
	metrics signal = iota
	logs
	signals
)

func (s signal) String() string { return [...]string{"metrics", "logs"}[s] }

// New makes an exporter for a program of ours; nil if there is no endpoint.
func New(cfg Config, program string, logger *slog.Logger) *Exporter {
	if cfg.endpoint == nil {
		return nil
	}
	v, _ := version.Get()
	e := &Exporter{
		cfg: cfg, client: cfg.client(), logger: logger.With("endpoint", cfg.endpoint.String()),
		scope: &commonpb.InstrumentationScope{Name: "vitrine/" + program, Version: v},
		logs:  newQueue(),
	}
	for i := range e.zips {
		e.zips[i], _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // a level that there is; its tables are made when it is first used
	}
	host, _ := os.Hostname() // a resource can do without
	own := []*commonpb.KeyValue{Text("service.namespace", "vitrine"), Text("service.name", program), Text("service.version", v), Text("host.name", host)}
	e.resource = &resourcepb.Resource{Attributes: Merged(own, cfg.resource)}
	return e
}

// Merged are attributes of which later ones win: each is there once, or a receiver may refuse them.
func Merged(lists ...[]*commonpb.KeyValue) (out []*commonpb.KeyValue) {
	at := map[string]int{}
	for _, list := range lists {
		for _, a := range list {
			if i, ok := at[a.GetKey()]; ok {
				out[i] = a
				continue
			}
			at[a.GetKey()] = len(out)
			out = append(out, a)
		}
	}
	return out
}

// Run sends the metrics of a source at each interval and what logs come, if the settings say so, until ctx ends. Then
// it sends what there is, for at most a few seconds.
func (e *Exporter) Run(ctx context.Context, source Source) error {
	const patience = 3 * time.Second // of the end
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(patience, cancel) })
	defer stop()
	var parts sync.WaitGroup
	if e.cfg.sends[metrics] {
		parts.Go(func() { e.sendMetrics(ctx, late, source) })
	}
	parts.Go(func() { e.sendLogs(ctx, late) })
	parts.Wait()
	e.client.CloseIdleConnections()
	return ctx.Err()
}

// deliver sends a message until the receiver takes or refuses it, or ctx ends. n is how many
// points or records it has.
func (e *Exporter) deliver(ctx context.Context, s signal, message []byte, n int) {
	const first, longest = time.Second, 30 * time.Second
	body := e.framed(s, message)
	for wait := first; ; wait = min(2*wait, longest) {
		out := e.try(ctx, s, body)
		switch {
		case out.err == nil:
			refused := min(out.refused, n)
			e.sent[s].Add(uint64(n - refused)) //nolint:gosec // a count
			e.lose(s, refused, "the receiver refused a part: "+out.why)
			e.recovered(s, refused == 0)
			return
		case out.after < 0 || ctx.Err() != nil:
			e.lose(s, n, out.err.Error())
			return
		}
		e.warn(s, out.err)
		select {
		case <-time.After(max(wait-rand.N(wait/2), out.after)): //nolint:gosec // not all hosts in the same moment; nobody gains who guesses it
		case <-ctx.Done():
		}
	}
}

// lose counts what no receiver will have.
func (e *Exporter) lose(s signal, n int, why string) {
	if n == 0 {
		return
	}
	e.lost[s].Add(uint64(n)) //nolint:gosec // a count
	e.warn(s, fmt.Errorf("%s; what is lost is counted in vitrine_otlp_lost_total", why))
}

// warn says that sending does not work, once until it does. The receiver chooses the words, and how many.
func (e *Exporter) warn(s signal, err error) {
	const most = 512
	text := e.cfg.withoutSecrets(err.Error())
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.failing[s] {
		e.failing[s] = true
		e.logger.Warn("OTLP is not being received", "signal", s.String(), "error", text)
	}
}

func (e *Exporter) recovered(s signal, whole bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failing[s] && whole {
		e.failing[s] = false
		e.logger.Info("OTLP is being received again", "signal", s.String(), "lost", e.lost[s].Load())
	}
}

var (
	sentDesc = prometheus.NewDesc("vitrine_otlp_sent_total", "Data points (metrics) and records (logs) that the OTLP receiver took.", []string{"signal"}, nil)
	lostDesc = prometheus.NewDesc("vitrine_otlp_lost_total", "Data points and records that the OTLP receiver refused, or that there was no room or time for.", []string{"signal"}, nil)
)

// Describe implements prometheus.Collector.
func (e *Exporter) Describe(ch chan<- *prometheus.Desc) { ch <- sentDesc; ch <- lostDesc }

// Collect implements prometheus.Collector.
func (e *Exporter) Collect(ch chan<- prometheus.Metric) {
	for s := range signals {
		ch <- prometheus.MustNewConstMetric(sentDesc, prometheus.CounterValue, float64(e.sent[s].Load()), s.String())
		ch <- prometheus.MustNewConstMetric(lostDesc, prometheus.CounterValue, float64(e.lost[s].Load()), s.String())
	}
}
