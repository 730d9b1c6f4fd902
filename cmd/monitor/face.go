package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"vitrine/internal/monitor/asks"
	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/export"
	"vitrine/internal/monitor/page"
	"vitrine/internal/monitor/series"
	"vitrine/internal/monitor/status"
	"vitrine/internal/monitor/tag"
	"vitrine/internal/otlp"
	"vitrine/internal/version"
)

// face is what is shown over HTTP: /metrics and its like, and the page.
type face struct {
	*parts
	received *receiver
	interval time.Duration
	status   *status.Keeper
	asks     *asks.Reader
	page     *page.Page
	self     prometheus.Gatherer
}

// selfMetrics are those of our own process, and of what is sent by OTLP if something is.
func selfMetrics(sent *otlp.Exporter) *prometheus.Registry {
	self := prometheus.NewRegistry()
	program, goVersion := version.Get()
	self.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "monitor_build_info", Help: "Version of the monitor and of Go; always 1.",
		ConstLabels: prometheus.Labels{"version": program, "goversion": goVersion},
	}, func() float64 { return 1 }))
	self.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if sent != nil {
		self.MustRegister(sent)
	}
	return self
}

func (p *parts) face(s *settings, received *receiver, self prometheus.Gatherer) (*face, error) {
	f := &face{parts: p, received: received, self: self, interval: s.interval, status: status.NewKeeper(p.series, s.okExits)}
	f.asks = asks.New(s.admin, func() { f.page.Asked() })
	of := page.Options{
		Status: f.status, Asks: f.asks, Watch: p.collector.Watch, Token: s.token,
		Tags: p.tags(tag.New(s.tags)),
	}
	if d := received.page(); d != nil {
		of.DogStatsD, of.Sent = export.Senders(p.series, d), d.Latest
	}
	var err error
	f.page, err = page.New(of)
	return f, err
}

// collected tells those who look of a collection that the series have.
func (f *face) collected(s *collect.Snapshot) {
	f.status.Update(s.Events)
	f.page.Collected()
}

// server answers on a listener. /metrics and its like are answered to whoever reaches it, whatever name he calls it by: Prometheus
// has no login here.
func (f *face) server(door page.Door, log *slog.Logger) *http.Server {
	mux := http.NewServeMux()
	d := f.received.page()
	mux.Handle("GET /metrics", export.Metrics(f.series, d, f.self))
	if d != nil {
		mux.Handle("GET /dogstatsd", export.Senders(f.series, d))
	}
	mux.HandleFunc("GET /healthz", f.health)
	mux.Handle("/", f.page.Handler(door))
	return &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// health is 503 when collections have stopped. That the Engine is gone is said,
// but starting the monitor again would not bring it back.
func (f *face) health(w http.ResponseWriter, _ *http.Request) {
	answer := struct {
		Status   string    `json:"status"`
		EngineUp bool      `json:"engine_up"`
		Last     time.Time `json:"last_collection"`
	}{Status: "ok"}
	f.series.Look(func(v *series.View) { answer.EngineUp, answer.Last = v.Up, v.Time })
	code := http.StatusOK
	if time.Since(answer.Last) > 3*f.interval {
		answer.Status, code = "no collection", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer) // the reader left
}
