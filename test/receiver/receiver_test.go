package receiver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.yaml.in/yaml/v3"

	"vitrine/test/transcript"
	"vitrine/test/wait"
)

// example is the block of docs/outputs.md below a comment that names it.
func example(t *testing.T, name string) map[string]any {
	t.Helper()
	const page = "../../docs/outputs.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "<!-- example: "+name+" -->\n```yaml\n")
	if !found {
		t.Fatalf("%s has no example %s", page, name)
	}
	for _, b := range transcript.Blocks(t, page) {
		if strings.HasPrefix(after, b.Text) {
			var doc map[string]any
			if err := yaml.Unmarshal([]byte(b.Text), &doc); err != nil {
				t.Fatal(err)
			}
			return doc
		}
	}
	t.Fatalf("the example %s is no block", name)
	return nil
}

// collector is the receiver of OpenTelemetry's collector, as the example configures it but for its addresses.
type collector struct {
	http, grpc string
	unix       string // in place of grpc, as the page says of a managed plugin; "" for none

	mu      sync.Mutex
	parts   []receiver.Metrics
	logs    map[string]int     // how often each record came, by its id
	numbers map[string]float64 // the last value of each metric of numbers
	who     map[string]bool    // services
}

func newCollector(t *testing.T, unix string) *collector {
	t.Helper()
	c := &collector{unix: unix, http: free(t), grpc: free(t), logs: map[string]int{}, numbers: map[string]float64{}, who: map[string]bool{}}
	c.start(t)
	t.Cleanup(func() { c.stop(t) })
	return c
}

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (c *collector) start(t *testing.T) {
	t.Helper()
	given := example(t, "collector")["receivers"].(map[string]any)["otlp"].(map[string]any)
	protocols := given["protocols"].(map[string]any)
	for name, address := range map[string]string{"http": c.http, "grpc": c.grpc} {
		protocols[name].(map[string]any)["endpoint"] = address
	}
	if c.unix != "" {
		protocols["grpc"] = map[string]any{"endpoint": c.unix, "transport": "unix"}
	}
	factory := otlpreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig()
	if err := confmap.NewFromStringMap(given).Unmarshal(cfg); err != nil {
		t.Fatal(err)
	}
	metrics, err := consumer.NewMetrics(c.metrics)
	if err != nil {
		t.Fatal(err)
	}
	logs, err := consumer.NewLogs(c.records)
	if err != nil {
		t.Fatal(err)
	}
	set := receivertest.NewNopSettings(factory.Type())
	m, err := factory.CreateMetrics(t.Context(), set, cfg, metrics)
	if err != nil {
		t.Fatal(err)
	}
	l, err := factory.CreateLogs(t.Context(), set, cfg, logs)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []receiver.Metrics{m, l} {
		if err := part.Start(t.Context(), componenttest.NewNopHost()); err != nil {
			t.Fatal(err)
		}
	}
	c.parts = []receiver.Metrics{m, l}
}

func (c *collector) stop(t *testing.T) {
	t.Helper()
	for _, part := range c.parts {
		if err := part.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
	c.parts = nil
}

func (c *collector) metrics(_ context.Context, all pmetric.Metrics) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range all.ResourceMetrics().All() {
		name, _ := r.Resource().Attributes().Get("service.name")
		host, _ := r.Resource().Attributes().Get("host.name")
		c.who[name.AsString()+"@"+host.AsString()] = true
		for _, s := range r.ScopeMetrics().All() {
			for _, m := range s.Metrics().All() {
				switch m.Type() {
				case pmetric.MetricTypeSum:
					for _, p := range m.Sum().DataPoints().All() {
						c.numbers[m.Name()] = p.DoubleValue()
					}
				case pmetric.MetricTypeGauge:
					for _, p := range m.Gauge().DataPoints().All() {
						c.numbers[m.Name()] = p.DoubleValue()
					}
				case pmetric.MetricTypeExponentialHistogram:
					for _, p := range m.ExponentialHistogram().DataPoints().All() {
						c.numbers[m.Name()] = float64(p.Count())
					}
				case pmetric.MetricTypeSummary:
					for _, p := range m.Summary().DataPoints().All() {
						c.numbers[m.Name()] = p.Sum()
					}
				case pmetric.MetricTypeHistogram:
					for _, p := range m.Histogram().DataPoints().All() {
						c.numbers[m.Name()] = float64(p.Count())
					}
				}
			}
		}
	}
	return nil
}

func (c *collector) records(_ context.Context, all plog.Logs) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range all.ResourceLogs().All() {
		for _, s := range r.ScopeLogs().All() {
			for _, l := range s.LogRecords().All() {
				var body struct{ ID, Operation string }
				id, _ := l.Attributes().Get("vitrine.record.id")
				if err := json.Unmarshal([]byte(l.Body().Str()), &body); err != nil || body.ID != id.Str() || l.EventName() != "vitrine.decision" {
					return fmt.Errorf("a record of %q: %v", l.Body().AsString(), err)
				}
				c.logs[body.ID]++
			}
		}
	}
	return nil
}

func (c *collector) number(name string) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.numbers[name]
}

func (c *collector) recorded() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.logs)
}

func (c *collector) has(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.logs[id] > 0
}

func (c *collector) services() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.who))
}

// program builds one of ours and runs it until the test ends.
func program(t *testing.T, name string, args ...string) *wait.Buffer {
	t.Helper()
	binary := filepath.Join(t.TempDir(), name)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/"+name)
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return start(t, binary, args...)
}

// start runs a program until the test ends.
func start(t *testing.T, binary string, args ...string) *wait.Buffer {
	t.Helper()
	log := &wait.Buffer{}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said\n%s", binary, log)
		}
	})
	return log
}

// monitor runs one without an Engine, which answers at an address, and gives a DogStatsD client of it.
func monitor(t *testing.T, args ...string) (address string, send func(lines ...string)) {
	t.Helper()
	dir := t.TempDir()
	address = free(t)
	program(t, "monitor", append([]string{
		"run", "--config", "", "--docker", "unix://" + dir + "/none.sock", "--http", address, "--interval", "1s",
		"--dogstatsd-socket", dir + "/dsd/dsd.sock", "--dogstatsd-interval", "1s", "--admin-socket", "",
	}, args...)...)
	var client net.Conn
	wait.Until(t, "the monitor receives", func() bool {
		var err error
		client, err = net.Dial("unixgram", dir+"/dsd/dsd.sock")
		return err == nil
	})
	t.Cleanup(func() { _ = client.Close() })
	return address, func(lines ...string) {
		t.Helper()
		for _, line := range lines {
			if _, err := client.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestMonitorsSumsOverARestartOfTheCollector are what clients have sent, by both protocols.
func TestMonitorsSumsOverARestartOfTheCollector(t *testing.T) {
	for _, way := range []string{"http/protobuf", "grpc", "grpc over a Unix socket", "http/protobuf gzip", "grpc gzip"} {
		t.Run(way, func(t *testing.T) {
			protocol, rest, _ := strings.Cut(way, " ")
			unix, compression := "", "none"
			switch rest {
			case "gzip":
				compression = rest
			case "over a Unix socket":
				unix = filepath.Join(t.TempDir(), "otlp.sock")
			}
			c := newCollector(t, unix)
			endpoint := map[string]string{"http/protobuf": "http://" + c.http, "grpc": "http://" + c.grpc}[protocol]
			if unix != "" {
				endpoint = "unix://" + unix
			}
			_, send := monitor(t, "--otlp-endpoint", endpoint, "--otlp-protocol", protocol, "--otlp-compression", compression, "--otlp-metrics-interval", "1s", "--otlp-resource", "host.name=web-1")
			batch := func() {
				send("page.views:2|c", "page.views:1|c|@0.5", "size:1:2:3|d", "latency:2:4|h", "pool:7|g", "below:-1|c")
			}
			sums := func(n float64) func() bool {
				return func() bool {
					return c.number("page.views") == 4*n && c.number("size") == 3*n && c.number("latency") == 6*n && c.number("pool") == 7 && c.number("below.negative") == n
				}
			}
			batch()
			wait.Until(t, "the first sums", sums(1))
			c.stop(t)
			batch()
			c.start(t)
			batch()
			wait.Until(t, "all sums", sums(3))
			wait.Until(t, "what is said of the Engine and ourselves", func() bool {
				return c.number("process.memory.usage") > 1<<20 && c.number("go.goroutine.count") > 1 && c.number("vitrine.dogstatsd.contexts") > 0 && c.number("vitrine.otlp_sent") > 0
			})
			if who := c.services(); len(who) != 1 || who[0] != "monitor@web-1" {
				t.Errorf("resources are %v", who)
			}
		})
	}
}

// engine answers as an Engine without containers.
func engine(t *testing.T, dir string) (socket string) {
	t.Helper()
	socket = filepath.Join(dir, "engine.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/events"):
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case strings.HasSuffix(r.URL.Path, "/_ping"):
			_, _ = w.Write([]byte("OK"))
		case strings.HasSuffix(r.URL.Path, "/version"), strings.HasSuffix(r.URL.Path, "/info"):
			_, _ = w.Write([]byte("{}"))
		default:
			_, _ = w.Write([]byte("[]"))
		}
	})}}
	server.Start()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return socket
}

// TestRecordsOverARestartOfTheCollector: each arrives, and each is what the audit file has.
func TestRecordsOverARestartOfTheCollector(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			c := newCollector(t, "")
			dir := t.TempDir()
			settings := example(t, "authz-plugin")
			settings["otlp_endpoint"], settings["otlp_protocol"], settings["otlp_metrics_interval"] = "http://"+c.http, protocol, "1s"
			if protocol == "grpc" {
				settings["otlp_endpoint"] = "http://" + c.grpc
			}
			text, err := yaml.Marshal(settings)
			if err != nil {
				t.Fatal(err)
			}
			for name, content := range map[string]string{"config.yaml": string(text), "policy/authz.rego": "package docker.authz\n\nimport rego.v1\n\ndefault allow := false\n\nallow if input.operation.access == \"ping\"\n"} {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			door := filepath.Join(dir, "door", "door.sock")
			program(t, "authz-plugin", "serve", "--config", dir+"/config.yaml", "--plugin-socket", "", "--listen", "agents=unix://"+door, "--upstream", "unix://"+engine(t, dir),
				"--policy", dir+"/policy", "--state-dir", "", "--grants", "", "--admin-socket", "", "--audit", dir+"/audit.log")
			client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", door)
			}}}
			ask := func(uri string) int {
				resp, err := client.Get("http://d" + uri)
				if err != nil {
					return 0
				}
				defer resp.Body.Close()
				return resp.StatusCode
			}
			wait.Until(t, "the gateway answers", func() bool { return ask("/_ping") == http.StatusOK })
			burst := func() {
				for range 300 {
					ask("/_ping")
					ask("/containers/json?filters=%7B%7D&secret=hunter2")
				}
			}
			burst()
			wait.Until(t, "the first records", func() bool { return c.recorded() > 0 })
			c.stop(t)
			burst()
			c.start(t)
			burst()
			lines := func() [][]byte {
				written, err := os.ReadFile(dir + "/audit.log")
				if err != nil {
					t.Fatal(err)
				}
				return bytes.Split(bytes.TrimSpace(written), []byte("\n"))
			}
			wait.Until(t, "all records", func() bool { n := len(lines()); return n >= 1801 && c.recorded() == n })
			for _, line := range lines() {
				var r struct{ ID string }
				if err := json.Unmarshal(line, &r); err != nil || !c.has(r.ID) {
					t.Fatalf("%s was not received (%v)", line, err)
				}
			}
			wait.Until(t, "the numbers of it", func() bool {
				return c.number("vitrine.decision_duration") >= 1801 && c.number("vitrine.policy_last_load_success") == 1
			})
			if who := c.services(); len(who) != 1 || who[0] != "authz-plugin@web-1" {
				t.Errorf("resources are %v", who)
			}
		})
	}
}

// TestVictoriaMetricsHasTheSums of what it scrapes, over a restart of it.
func TestVictoriaMetricsHasTheSums(t *testing.T) {
	binary, err := exec.LookPath("victoria-metrics")
	if err != nil {
		if os.Getenv("VITRINE_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip("victoria-metrics is not installed (scripts/setup.sh)")
	}
	target, send := monitor(t)
	dir, address := t.TempDir(), free(t)
	if err := os.WriteFile(dir+"/scrape.yml", []byte("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: monitor\n  static_configs: [{targets: ["+target+"]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	value := func(query string) string {
		resp, err := http.Get("http://" + address + "/api/v1/query?query=" + query)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		var answer struct {
			Data struct{ Result []struct{ Value [2]any } }
		}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || len(answer.Data.Result) != 1 {
			return "none"
		}
		return fmt.Sprint(answer.Data.Result[0].Value[1])
	}
	run := func(t *testing.T) {
		start(t, binary, "-promscrape.config="+dir+"/scrape.yml", "-storageDataPath="+dir+"/data", "-httpListenAddr="+address, "-search.latencyOffset=0s", "-search.disableCache")
	}
	t.Run("before", func(t *testing.T) {
		run(t)
		send("page.views:3|c", "size:1:2|d")
		wait.Until(t, "the first sums", func() bool { return value("page_views_total") == "3" && value("size_count") == "2" })
	})
	send("page.views:4|c", "size:1:2|d")
	t.Run("after", func(t *testing.T) {
		run(t)
		send("page.views:1|c")
		wait.Until(t, "all sums", func() bool { return value("page_views_total") == "8" && value("size_sum") == "6" })
		wait.Until(t, "what it had before", func() bool { return value("count_over_time(page_views_total[10m])>1") != "none" })
	})
}
