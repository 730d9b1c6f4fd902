package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
)

var quiet = slog.New(slog.DiscardHandler)

// receiver takes OTLP as its specification says, by either protocol.
type receiver struct {
	*httptest.Server
	answer func(w http.ResponseWriter, n int) (done bool) // of the n-th request; nil: it is taken

	mu      sync.Mutex
	heads   []http.Header
	paths   []string
	bodies  []string
	metrics []*metricspb.ResourceMetrics
	logs    []*logspb.LogRecord
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heads, r.paths = append(r.heads, req.Header), append(r.paths, req.URL.Path)
	if err != nil || r.answer != nil && r.answer(w, len(r.paths)) {
		return
	}
	grpc := req.Header.Get("Content-Type") == "application/grpc"
	compressed := req.Header.Get("Content-Encoding") == "gzip"
	if grpc {
		compressed = body[0] == 1
		if compressed != (req.Header.Get("Grpc-Encoding") == "gzip") || req.ProtoMajor != 2 || req.Header.Get("TE") != "trailers" || int(body[1])<<24|int(body[2])<<16|int(body[3])<<8|int(body[4]) != len(body)-5 {
			http.Error(w, "this is not gRPC", http.StatusBadRequest)
			return
		}
		body = body[5:]
	}
	if compressed {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if body, err = io.ReadAll(z); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	var m metricspb.MetricsData
	var l logspb.LogsData
	if strings.Contains(strings.ToLower(req.URL.Path), "logs") {
		err = proto.Unmarshal(body, &l)
	} else {
		err = proto.Unmarshal(body, &m)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.bodies = append(r.bodies, string(body))
	r.metrics = append(r.metrics, m.GetResourceMetrics()...)
	for _, of := range l.GetResourceLogs() {
		for _, s := range of.GetScopeLogs() {
			r.logs = append(r.logs, s.GetLogRecords()...)
		}
	}
	if grpc {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = w.Write([]byte{0, 0, 0, 0, 0})
		w.Header().Set("Grpc-Status", "0")
	}
}

func (r *receiver) look(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func receive(t *testing.T, start func(s *httptest.Server)) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(r)
	r.Config.Protocols = &http.Protocols{}
	r.Config.Protocols.SetHTTP1(true)
	r.Config.Protocols.SetHTTP2(true)
	r.Config.Protocols.SetUnencryptedHTTP2(true)
	start(r.Server)
	t.Cleanup(r.Close)
	return r
}

// pipes is a listener within the test: in a bubble of synctest nobody's time passes while both ends wait.
type pipes struct {
	conns chan net.Conn
	ended context.Context
	end   context.CancelFunc
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.ended.Done():
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.end(); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// inBubble is a receiver within the test, and an exporter that dials nothing else.
func inBubble(t *testing.T, values map[string]string, said *slog.Logger) (r *receiver, e *Exporter) {
	t.Helper()
	p := &pipes{conns: make(chan net.Conn)}
	p.ended, p.end = context.WithCancel(context.Background())
	r = receive(t, func(s *httptest.Server) {
		_ = s.Listener.Close()
		s.Listener = p
		s.Start()
	})
	values["otlp_endpoint"] = "http://receiver.example"
	e = New(configured(t, values), "test", said)
	e.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, its := net.Pipe()
		select {
		case p.conns <- its:
			return ours, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return r, e
}

// configured reads settings as a program does.
func configured(t *testing.T, values map[string]string) Config {
	t.Helper()
	c, err := configure(values)
	if err != "" {
		t.Fatal(err)
	}
	return c
}

func configure(values map[string]string) (c Config, wrong string) {
	for _, o := range Options(func(c *Config) *Config { return c }) {
		v := o.Default
		if given, ok := values[o.Key]; ok {
			v = []string{given}
		}
		if err := o.Set(&c, v); err != nil {
			return c, o.Key + ": " + err.Error()
		}
	}
	if err := c.Check(); len(err) > 0 {
		return c, err.Error()
	}
	return c, ""
}

// running is an exporter until the test ends, or stop.
func running(t *testing.T, c Config, source Source) (e *Exporter, stop func()) {
	t.Helper()
	e = New(c, "test", quiet)
	return e, run(t, e, source)
}

func run(t *testing.T, e *Exporter, source Source) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx, source) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func record(text string) *logspb.LogRecord { return &logspb.LogRecord{Body: TextValue(text)} }

func none(func(*metricspb.ResourceMetrics) bool) {}

// one is a source of one point.
func one(yield func(*metricspb.ResourceMetrics) bool) {
	var set Set
	set.Add(Name{Name: "a", Unit: "s", In: Counter}, "help", Point(time.Now(), 7, Text("x", "y")))
	yield(Of(nil, set.Metrics()))
}
