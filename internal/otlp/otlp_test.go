package otlp

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"vitrine/test/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
	if grpc {
		if req.ProtoMajor != 2 || req.Header.Get("TE") != "trailers" || int(body[1])<<24|int(body[2])<<16|int(body[3])<<8|int(body[4]) != len(body)-5 {
			http.Error(w, "this is not gRPC", http.StatusBadRequest)
			return
		}
		body = body[5:]
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
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx, source) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return e, stop
}

func record(text string) *logspb.LogRecord { return &logspb.LogRecord{Body: TextValue(text)} }

// one is a source of one point.
func one(yield func(*metricspb.ResourceMetrics) bool) {
	var set Set
	set.Add(Name{Name: "a", Unit: "s", In: Counter}, "help", Point(time.Now(), 7, Text("x", "y")))
	yield(Of(nil, set.Metrics()))
}

// TestEveryWay: both signals by both protocols, plain, with certificates of both sides, and over a Unix socket.
func TestEveryWay(t *testing.T) {
	plain := func(s *httptest.Server) { s.Start() }
	dir := t.TempDir()
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		for name, way := range map[string]struct {
			start func(s *httptest.Server)
			set   func(r *receiver) map[string]string
		}{
			"plain": {plain, func(r *receiver) map[string]string { return map[string]string{"otlp_endpoint": r.URL} }},
			"TLS": {func(s *httptest.Server) {
				s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
				s.EnableHTTP2 = true
				s.StartTLS()
			}, func(r *receiver) map[string]string {
				cert, key := keyPair(t, dir, r.TLS.Certificates[0])
				return map[string]string{"otlp_endpoint": r.URL, "otlp_certificate": cert, "otlp_client_certificate": cert, "otlp_client_key": key}
			}},
			"Unix": {func(s *httptest.Server) {
				_ = s.Listener.Close()
				var err error
				if s.Listener, err = net.Listen("unix", filepath.Join(dir, strings.ReplaceAll(protocol, "/", "")+".sock")); err != nil {
					t.Fatal(err)
				}
				s.Start()
			}, func(r *receiver) map[string]string {
				return map[string]string{"otlp_endpoint": "unix://" + r.Listener.Addr().String()}
			}},
		} {
			t.Run(protocol+" "+name, func(t *testing.T) {
				r := receive(t, way.start)
				values := way.set(r)
				values["otlp_protocol"], values["otlp_headers"], values["otlp_resource"] = protocol, "authorization=Bearer%20s3cret,x-tenant=a", "host.name=web-1,team=a%2Cb"
				e, stop := running(t, configured(t, values), one)
				e.Log("a", record("hello"))
				stop() // and with it the last push
				r.look(func() {
					if len(r.logs) != 1 || r.logs[0].GetBody().GetStringValue() != "hello" || len(r.metrics) != 1 {
						t.Fatalf("%d logs, %d metrics of %v", len(r.logs), len(r.metrics), r.paths)
					}
					of := r.metrics[0].GetResource().GetAttributes()
					for _, want := range []string{"service.name=test", "service.namespace=vitrine", "host.name=web-1", "team=a,b"} {
						if !slices.ContainsFunc(of, func(a *keyValue) bool { return a.GetKey()+"="+a.GetValue().GetStringValue() == want }) {
							t.Errorf("no %s in %v", want, of)
						}
					}
					for _, h := range r.heads {
						if h.Get("Authorization") != "Bearer s3cret" || h.Get("X-Tenant") != "a" {
							t.Errorf("headers %v", h)
						}
					}
				})
				if e.sent[logs].Load() != 1 || e.sent[metrics].Load() != 1 || e.lost[logs].Load()+e.lost[metrics].Load() != 0 {
					t.Errorf("sent %d and %d", e.sent[logs].Load(), e.sent[metrics].Load())
				}
			})
		}
	}
}

// keyPair writes a certificate and its key.
func keyPair(t *testing.T, dir string, c tls.Certificate) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, key: keyBlock(t, c)} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestRestartedReceiverHasEverythingOnce: what it did not take while it was away is sent again.
func TestRestartedReceiverHasEverythingOnce(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			r := receive(t, func(s *httptest.Server) { s.Start() })
			r.answer = func(w http.ResponseWriter, n int) bool {
				switch {
				case n > 2:
					return false
				case protocol == "grpc" && n == 2:
					w.Header().Set("Content-Type", "application/grpc")
					w.Header().Set("Grpc-Status", "14")
					w.Header().Set("Grpc-Message", "not%20yet")
				default:
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return true
			}
			e, stop := running(t, configured(t, map[string]string{"otlp_endpoint": r.URL, "otlp_protocol": protocol}), nil)
			const n = 3000
			for i := range n {
				e.Log(fmt.Sprint(i%7), record(fmt.Sprint(i)))
			}
			wait.Until(t, "all arrived", func() bool { return e.sent[logs].Load() == n })
			stop()
			for i, l := range r.logs {
				if l.GetBody().GetStringValue() != fmt.Sprint(i) {
					t.Fatalf("record %d is %s", i, l)
				}
			}
			if len(r.logs) != n || e.lost[logs].Load() != 0 || len(r.paths) < 2+n/batchRecords {
				t.Errorf("%d arrived by %d requests, %d are lost", len(r.logs), len(r.paths), e.lost[logs].Load())
			}
		})
	}
}

// TestDeadReceiverCostsNobodyAnythingClosed: nobody waits, memory is bounded, what is lost is counted, and a loud caller does not
// keep out a quiet one.
func TestDeadReceiverCostsNobodyAnythingClosed(t *testing.T) {
	var said bytes.Buffer
	e := New(configured(t, map[string]string{"otlp_endpoint": "http://127.0.0.1:1"}), "test", slog.New(slog.NewTextHandler(&said, nil)))
	r := record(strings.Repeat("x", 1000))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const n = 50_000
	for range n {
		e.Log("loud", r)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2*queueBytes {
		t.Errorf("%d bytes for a queue of %d", grown, queueBytes)
	}
	waits := uint64(len(e.logs.list))
	if e.lost[logs].Load() != n-waits || waits < 1000 {
		t.Errorf("%d wait, %d are lost", waits, e.lost[logs].Load())
	}
	for range 100 {
		e.Log("quiet", r)
	}
	if got := uint64(len(e.logs.list)); got != waits+100 {
		t.Errorf("of 100 records of a quiet caller %d have found a place", got-waits)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	from := time.Now()
	_ = e.Run(ctx, one)
	if took := time.Since(from); took > 20*time.Second || e.lost[logs].Load() != n+100 || e.lost[metrics].Load() != 1 {
		t.Errorf("the end took %s; %d records and %d points are lost", took, e.lost[logs].Load(), e.lost[metrics].Load())
	}
	if lines := strings.Count(said.String(), "\n"); lines != 2 || !strings.Contains(said.String(), "vitrine_otlp_lost_total") {
		t.Errorf("it says\n%s", &said)
	}
}

// TestHangingReceiverDoesNotKeepTheProgramFromEnding, nor metrics from being given up.
func TestHangingReceiverDoesNotKeepTheProgramFromEnding(t *testing.T) {
	t.Parallel()
	r := receive(t, func(s *httptest.Server) { s.Start() })
	free := make(chan struct{})
	t.Cleanup(func() { close(free) })
	r.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-free })
	e, stop := running(t, configured(t, map[string]string{"otlp_endpoint": r.URL, "otlp_metrics_interval": "1s"}), one)
	e.Log("a", record("x"))
	wait.Until(t, "a push is given up", func() bool { return e.lost[metrics].Load() > 0 })
	from := time.Now()
	stop()
	if took := time.Since(from); took > 30*time.Second || e.lost[logs].Load() != 1 {
		t.Errorf("the end took %s, %d records are lost", took, e.lost[logs].Load())
	}
}

// TestRefusedIsLost, once, and is not sent again; of an answer that refuses a part, that part.
func TestRefusedIsLost(t *testing.T) {
	part := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 2)
	part = appendField(appendField(nil, 2, []byte("?")), 1, append(part, appendField(nil, 2, []byte("too old"))...))
	for name, tt := range map[string]struct {
		protocol string
		answer   func(w http.ResponseWriter)
		lost     uint64
	}{
		"HTTP, bad request":       {"http/protobuf", func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest) }, 3},
		"HTTP, not authenticated": {"http/protobuf", func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) }, 3},
		"HTTP, a part":            {"http/protobuf", func(w http.ResponseWriter) { _, _ = w.Write(part) }, 2},
		"HTTP, nonsense":          {"http/protobuf", func(w http.ResponseWriter) { _, _ = w.Write([]byte("\x0a\xff\xff")) }, 0},
		"gRPC, invalid argument":  {"grpc", func(w http.ResponseWriter) { w.Header().Set("Grpc-Status", "3") }, 3},
		"gRPC, too large":         {"grpc", func(w http.ResponseWriter) { w.Header().Set("Grpc-Status", "8") }, 3},
		"gRPC, no status":         {"grpc", func(http.ResponseWriter) {}, 3},
		"gRPC, a part": {"grpc", func(w http.ResponseWriter) {
			w.Header().Set("Trailer", "Grpc-Status")
			_, _ = w.Write(append([]byte{0, 0, 0, 0, byte(len(part))}, part...))
			w.Header().Set("Grpc-Status", "0")
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := receive(t, func(s *httptest.Server) { s.Start() })
			r.answer = func(w http.ResponseWriter, _ int) bool { tt.answer(w); return true }
			e, stop := running(t, configured(t, map[string]string{"otlp_endpoint": r.URL, "otlp_protocol": tt.protocol}), nil)
			for range 3 {
				e.Log("a", record("x"))
			}
			stop()
			if len(r.paths) != 1 || e.lost[logs].Load() != tt.lost || e.sent[logs].Load() != 3-tt.lost {
				t.Errorf("%d requests, %d lost, %d sent", len(r.paths), e.lost[logs].Load(), e.sent[logs].Load())
			}
		})
	}
}

// TestReceiverFillsNoLogClosed: it may say much, and again and again.
func TestReceiverFillsNoLogClosed(t *testing.T) {
	var said bytes.Buffer
	e := New(configured(t, map[string]string{"otlp_endpoint": "http://x"}), "test", slog.New(slog.NewTextHandler(&said, nil)))
	_, _, err := httpAnswer(&http.Response{StatusCode: http.StatusBadRequest, Status: "400 " + strings.Repeat("\xff no", 10_000)}, nil)
	e.warn(logs, err)
	if said.Len() > 2000 || !strings.Contains(said.String(), "the receiver answers 400") {
		t.Errorf("%d bytes: %.300s", said.Len(), &said)
	}
}

// TestFullReceiverThatSaysSoIsAskedAgain: what passes is told from a request that is too large for ever.
func TestFullReceiverThatSaysSoIsAskedAgain(t *testing.T) {
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding} {
		full := encoding.EncodeToString([]byte("\x08\x08\x1a\x2atype.googleapis.com/google.rpc.RetryInfo"))
		resp := &http.Response{StatusCode: http.StatusOK, Trailer: http.Header{"Grpc-Status": {"8"}, "Grpc-Status-Details-Bin": {full}}}
		if _, after, err := grpcAnswer(resp, nil); err == nil || after != 0 {
			t.Errorf("%s, %v", after, err)
		}
	}
}

// TestSecretsGoToTheEndpointAloneClosed: no redirection is followed, and no proxy of the environment used.
func TestSecretsGoToTheEndpointAloneClosed(t *testing.T) {
	other := receive(t, func(s *httptest.Server) { s.Start() })
	r := receive(t, func(s *httptest.Server) { s.Start() })
	r.answer = func(w http.ResponseWriter, _ int) bool {
		w.Header().Set("Location", other.URL+"/v1/logs")
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"} {
		t.Setenv(name, other.URL)
	}
	e, stop := running(t, configured(t, map[string]string{"otlp_endpoint": r.URL, "otlp_headers": "authorization=s3cret"}), nil)
	e.Log("a", record("x"))
	stop()
	if len(other.paths) != 0 || len(r.paths) != 1 || e.lost[logs].Load() != 1 {
		t.Errorf("%v %v", r.paths, other.paths)
	}
	if e.client.Transport.(*http.Transport).Proxy != nil {
		t.Error("it asks for a proxy")
	}
}

// TestLargeMetricsAreManyRequests, none larger than a receiver takes.
func TestLargeMetricsAreManyRequests(t *testing.T) {
	r := receive(t, func(s *httptest.Server) { s.Start() })
	many := func(yield func(*metricspb.ResourceMetrics) bool) {
		for range 200 {
			one(func(m *metricspb.ResourceMetrics) bool {
				m.ScopeMetrics[0].Metrics[0].Description = strings.Repeat("x", 20_000)
				return yield(m)
			})
		}
	}
	_, stop := running(t, configured(t, map[string]string{"otlp_endpoint": r.URL}), many)
	stop()
	for _, b := range r.bodies {
		if len(b) > 1<<20 {
			t.Errorf("a request of %d bytes", len(b))
		}
	}
	if len(r.metrics) != 200 || len(r.bodies) < 10 {
		t.Errorf("%d resources in %d requests", len(r.metrics), len(r.bodies))
	}
}

// TestResourceThatNoReceiverTakesCostsNoOtherClosed: a container chooses its tags; it is left out, and counted, and nobody else is.
func TestResourceThatNoReceiverTakesCostsNoOtherClosed(t *testing.T) {
	r := receive(t, func(s *httptest.Server) { s.Start() })
	three := func(yield func(*metricspb.ResourceMetrics) bool) {
		one(yield)
		one(func(m *metricspb.ResourceMetrics) bool {
			m.Resource = Of([]*keyValue{Text("tag", strings.Repeat("x", 5<<20))}, nil).Resource
			return yield(m)
		})
		one(yield)
	}
	e, stop := running(t, configured(t, map[string]string{"otlp_endpoint": r.URL}), three)
	stop()
	if len(r.metrics) != 2 || e.lost[metrics].Load() != 1 || e.sent[metrics].Load() != 2 {
		t.Errorf("%d resources came; %d points are lost, %d sent", len(r.metrics), e.lost[metrics].Load(), e.sent[metrics].Load())
	}
}

// TestTagsDoNotSayWhoWeAreClosed: what a source gives of a container does not stand above what we and the settings say.
func TestTagsDoNotSayWhoWeAreClosed(t *testing.T) {
	r := receive(t, func(s *httptest.Server) { s.Start() })
	forged := func(yield func(*metricspb.ResourceMetrics) bool) {
		one(func(m *metricspb.ResourceMetrics) bool {
			m.Resource = Of([]*keyValue{Text("service.name", "forged"), Text("host.name", "forged"), Text("team", "sre")}, nil).Resource
			return yield(m)
		})
	}
	_, stop := running(t, configured(t, map[string]string{"otlp_endpoint": r.URL, "otlp_resource": "host.name=web-1"}), forged)
	stop()
	got := map[string]string{}
	for _, a := range r.metrics[0].GetResource().GetAttributes() {
		if _, twice := got[a.GetKey()]; twice {
			t.Errorf("%s is there twice", a.GetKey())
		}
		got[a.GetKey()] = a.GetValue().GetStringValue()
	}
	if got["service.name"] != "test" || got["host.name"] != "web-1" || got["team"] != "sre" {
		t.Errorf("%v", got)
	}
}

// TestSilentReceiverKeepsNoConnectionClosed: one that takes a connection and does not shake hands would have one more with each try,
// until the program has no files left.
func TestSilentReceiverKeepsNoConnectionClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(configured(t, map[string]string{"otlp_endpoint": "https://receiver.example:4318"}), "test", quiet)
		ours, its := net.Pipe()
		e.client.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
		if _, _, err := e.try(t.Context(), logs, []byte("x")); err == nil {
			t.Error("there was no answer")
		}
		_ = its.SetReadDeadline(time.Now().Add(time.Minute))
		if n, err := io.Copy(io.Discard, its); err != nil {
			t.Errorf("a minute later the connection is open: %d bytes, %v", n, err)
		}
		_ = its.Close()
	})
}

// TestCounts: both signals have both.
func TestCounts(t *testing.T) {
	e := New(configured(t, map[string]string{"otlp_endpoint": "http://x"}), "test", quiet)
	e.sent[metrics].Add(1)
	e.lost[logs].Add(2)
	reg := prometheus.NewRegistry()
	reg.MustRegister(e)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got = append(got, fmt.Sprint(f.GetName(), " ", m.GetLabel()[0].GetValue(), " ", m.GetCounter().GetValue()))
		}
	}
	if want := []string{"vitrine_otlp_lost_total logs 2", "vitrine_otlp_lost_total metrics 0", "vitrine_otlp_sent_total logs 0", "vitrine_otlp_sent_total metrics 1"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestNoEndpointNoExporter: and logs are dropped.
func TestNoEndpointNoExporter(t *testing.T) {
	e := New(configured(t, nil), "test", quiet)
	if e != nil {
		t.Fatal("there is one")
	}
	e.Log("a", record("x"))
}

// TestGathered: what a program counts of itself, by OpenTelemetry's names where there are some.
func TestGathered(t *testing.T) {
	reg := prometheus.NewRegistry()
	add := func(c prometheus.Collector) { reg.MustRegister(c) }
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vitrine_decisions_total", Help: "Decisions."}, []string{"verdict"})
	counter.WithLabelValues("deny").Add(3)
	times := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "vitrine_decision_duration_seconds", Buckets: []float64{1, 2}, NativeHistogramBucketFactor: 1.1})
	for _, v := range []float64{0.5, 1.5, 1.6, 7} {
		times.Observe(v)
	}
	add(counter)
	add(times)
	for name, v := range map[string]float64{
		"process_start_time_seconds": 1000, "process_open_fds": 9, "go_threads": 4, "monitor_collection_duration_seconds": 2, "process_resident_memory_bytes": 5,
	} {
		add(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name}, func() float64 { return v }))
	}
	for _, name := range []string{"process_network_receive_bytes_total", "process_network_transmit_bytes_total"} {
		add(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name}, func() float64 { return 8 }))
	}
	list, err := gathered(reg, time.Unix(2000, 0))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]*metricspb.Metric{}
	for _, m := range list {
		if got[m.GetName()] != nil {
			t.Errorf("%s is there twice", m.GetName())
		}
		got[m.GetName()] = m
	}
	if len(got) != 6 {
		t.Errorf("%d metrics: %v", len(got), list)
	}
	d := got["vitrine.decisions"].GetSum()
	if p := d.GetDataPoints()[0]; !d.GetIsMonotonic() || p.GetAsDouble() != 3 || p.GetStartTimeUnixNano() != 1000e9 || p.GetTimeUnixNano() != 2000e9 || p.GetAttributes()[0].GetValue().GetStringValue() != "deny" {
		t.Errorf("%s", d)
	}
	h := got["vitrine.decision_duration"]
	if p := h.GetHistogram().GetDataPoints()[0]; h.GetUnit() != "s" || p.GetCount() != 4 || p.GetSum() != 10.6 || !slices.Equal(p.GetBucketCounts(), []uint64{1, 2, 1}) || !slices.Equal(p.GetExplicitBounds(), []float64{1, 2}) {
		t.Errorf("%s", h)
	}
	if m := got["process.unix.file_descriptor.count"]; m.GetSum().GetIsMonotonic() || m.GetSum().GetDataPoints()[0].GetAsDouble() != 9 {
		t.Errorf("%s", m)
	}
	if m := got["process.network.io"]; len(m.GetSum().GetDataPoints()) != 2 || m.GetUnit() != "By" {
		t.Errorf("%s", m)
	}
	if m := got["vitrine.monitor.collection_duration"]; m.GetUnit() != "s" || m.GetGauge() == nil {
		t.Errorf("%s", m)
	}
}
