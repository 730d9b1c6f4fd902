package otlp

import (
	"bytes"
	"context"
	"crypto/tls"
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
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEveryWay: both signals by both protocols, plain, with certificates of both sides, and over a Unix socket.
func TestEveryWay(t *testing.T) {
	plain := func(s *httptest.Server) { s.Start() }
	dir := t.TempDir()
	for _, protocol := range []string{"http/protobuf", "grpc", "http/protobuf gzip", "grpc gzip"} {
		protocol, compression, _ := strings.Cut(protocol, " ")
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
				if s.Listener, err = net.Listen("unix", filepath.Join(dir, strings.ReplaceAll(protocol, "/", "")+compression+".sock")); err != nil {
					t.Fatal(err)
				}
				s.Start()
			}, func(r *receiver) map[string]string {
				return map[string]string{"otlp_endpoint": "unix://" + r.Listener.Addr().String()}
			}},
		} {
			t.Run(protocol+" "+name+" "+compression, func(t *testing.T) {
				r := receive(t, way.start)
				values := way.set(r)
				values["otlp_protocol"], values["otlp_headers"], values["otlp_resource"] = protocol, "authorization=Bearer%20s3cret,x-tenant=a", "host.name=web-1,team=a%2Cb"
				if compression != "" {
					values["otlp_compression"] = compression
				}
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
						if compression != h.Get("Content-Encoding")+h.Get("Grpc-Encoding") {
							t.Errorf("compressed is %q", h)
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
			synctest.Test(t, func(t *testing.T) {
				r, e := inBubble(t, map[string]string{"otlp_protocol": protocol}, quiet)
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
				stop := run(t, e, none)
				const n = 3000
				for i := range n {
					e.Log(fmt.Sprint(i%7), record(fmt.Sprint(i)))
				}
				time.Sleep(10 * time.Second)
				stop()
				for i, l := range r.logs {
					if l.GetBody().GetStringValue() != fmt.Sprint(i) {
						t.Fatalf("record %d is %s", i, l)
					}
				}
				if len(r.logs) != n || e.sent[logs].Load() != n || e.lost[logs].Load() != 0 || len(r.paths) < 2+n/batchRecords {
					t.Errorf("%d arrived by %d requests, %d are lost", len(r.logs), len(r.paths), e.lost[logs].Load())
				}
			})
		})
	}
}

// TestDeadReceiverCostsNobodyAnythingClosed: nobody waits, memory is bounded, what is lost is counted, and a loud caller does not
// keep out a quiet one.
func TestDeadReceiverCostsNobodyAnythingClosed(t *testing.T) {
	var said bytes.Buffer
	e := New(configured(t, map[string]string{"otlp_endpoint": "http://receiver.example"}), "test", slog.New(slog.NewTextHandler(&said, nil)))
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
	synctest.Test(t, func(t *testing.T) {
		e.client.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		from := time.Now()
		_ = e.Run(ctx, one)
		if took := time.Since(from); took > 4*time.Second || e.lost[logs].Load() != n+100 || e.lost[metrics].Load() != 1 {
			t.Errorf("the end took %s; %d records and %d points are lost", took, e.lost[logs].Load(), e.lost[metrics].Load())
		}
	})
	if lines := strings.Count(said.String(), "\n"); lines != 2 || !strings.Contains(said.String(), "vitrine_otlp_lost_total") {
		t.Errorf("it says\n%s", &said)
	}
}

// TestHangingReceiverDoesNotKeepTheProgramFromEnding, nor metrics from being given up.
func TestHangingReceiverDoesNotKeepTheProgramFromEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, e := inBubble(t, map[string]string{"otlp_metrics_interval": "1s"}, quiet)
		free := make(chan struct{})
		r.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-free })
		stop := run(t, e, one)
		e.Log("a", record("x"))
		time.Sleep(5 * time.Second)
		if e.lost[metrics].Load() < 3 {
			t.Errorf("in 5 s %d pushes were given up", e.lost[metrics].Load())
		}
		from := time.Now()
		stop()
		if took := time.Since(from); took > 4*time.Second || e.lost[logs].Load() != 1 {
			t.Errorf("the end took %s, %d records are lost", took, e.lost[logs].Load())
		}
		close(free)
	})
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
	e, stop := running(t, configured(t, map[string]string{"otlp_endpoint": r.URL, "otlp_headers": "authorization=s3cret"}), none)
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

// TestRecordThatNoReceiverTakesCostsNoOtherClosed: it is left out, and counted.
func TestRecordThatNoReceiverTakesCostsNoOtherClosed(t *testing.T) {
	r := receive(t, func(s *httptest.Server) { s.Start() })
	e, stop := running(t, configured(t, map[string]string{"otlp_endpoint": r.URL}), none)
	e.Log("a", record("before"))
	e.Log("b", record(strings.Repeat("x", recordBytes)))
	e.Log("a", record("after"))
	stop()
	if len(r.logs) != 2 || e.lost[logs].Load() != 1 || e.sent[logs].Load() != 2 {
		t.Errorf("%d records came; %d are lost, %d sent", len(r.logs), e.lost[logs].Load(), e.sent[logs].Load())
	}
}

// TestSignals: what is not asked for is not sent, and not lost.
func TestSignals(t *testing.T) {
	for signals, want := range map[string][2]int{"metrics,logs": {1, 1}, "metrics": {1, 0}, "logs": {0, 1}} {
		r := receive(t, func(s *httptest.Server) { s.Start() })
		e, stop := running(t, configured(t, map[string]string{"otlp_endpoint": r.URL, "otlp_signals": signals}), one)
		e.Log("a", record("x"))
		stop()
		if len(r.metrics) != want[0] || len(r.logs) != want[1] || e.lost[logs].Load()+e.lost[metrics].Load() != 0 {
			t.Errorf("%s: %d metrics, %d logs", signals, len(r.metrics), len(r.logs))
		}
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
		if out := e.try(t.Context(), logs, []byte("x")); out.err == nil {
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
