package export

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/tag"
	"vitrine/test/statsd"
)

var (
	web    = &dogstatsd.Origin{Source: dogstatsd.SourceKernel, Container: strings.Repeat("c", 64)}
	nobody = &dogstatsd.Origin{}
)

// webTags knows the container web of the snapshot.
type webTags struct{}

func (webTags) ContainerTags(_ string, level tag.Cardinality) ([]tag.Tag, bool) {
	tags := []tag.Tag{{Key: "kube_deployment", Value: "shop"}}
	if level == tag.High {
		tags = append([]tag.Tag{{Key: "container_name", Value: "web"}}, tags...)
	}
	return tags, true
}

// sent is what clients' messages give.
func sent(t *testing.T, o *dogstatsd.Origin, lines ...string) *DogStatsD {
	t.Helper()
	m := messages.New(messages.Config{Tags: webTags{}.ContainerTags})
	server := dogstatsd.New(dogstatsd.Config{}, nil, m)
	statsd.Feed(t, m, o, lines...)
	m.Flush(time.Now())
	return &DogStatsD{Latest: m.Latest, Telemetry: server.Telemetry, Examples: server.Examples, Quota: 20000}
}

func scrapeSent(t *testing.T, d *DogStatsD, accept string) string {
	t.Helper()
	self := prometheus.NewRegistry()
	self.MustRegister(collectors.NewGoCollector())
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	Metrics(filled(), d, self).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// everyType is one message of each.
var everyType = []string{
	"page.views:3|c|@0.5|#az:eu-1a", "pool.size:7|g", "users.uniques:a|s", "users.uniques:b|s",
	"request.duration:1:2:3:4:100|h", "song.length:0.5:240:5|d|#genre:jazz", "queue:1|g|#container_name:db|card:high",
	"_e{5,4}:title|text|t:warning", "_sc|app.ok|2|#az:eu-1a",
}

func TestDogStatsDPage(t *testing.T) {
	body := scrapeSent(t, sent(t, web, everyType...), "")
	for _, want := range []string{
		`page_views_total{az="eu-1a",kube_deployment="shop"} 6`,
		`pool_size{kube_deployment="shop"} 7`,
		`users_uniques{kube_deployment="shop"} 2`,
		`request_duration{kube_deployment="shop",quantile="0.5"} 3`,
		`request_duration{kube_deployment="shop",quantile="0.95"} `,
		`request_duration_sum{kube_deployment="shop"} 110`,
		`request_duration_count{kube_deployment="shop"} 5`,
		`request_duration_max{kube_deployment="shop"} 100`,
		`request_duration_avg{kube_deployment="shop"} 22`,
		`song_length_bucket{genre="jazz",kube_deployment="shop",le="0.5"} 1`,
		`song_length_bucket{genre="jazz",kube_deployment="shop",le="2"} 1`,
		`song_length_bucket{genre="jazz",kube_deployment="shop",le="5"} 2`,
		`song_length_bucket{genre="jazz",kube_deployment="shop",le="200"} 2`,
		`song_length_bucket{genre="jazz",kube_deployment="shop",le="500"} 3`,
		`song_length_bucket{genre="jazz",kube_deployment="shop",le="+Inf"} 3`,
		`song_length_sum{genre="jazz",kube_deployment="shop"} 245.5`,
		`queue{container_name="web",exported_container_name="db",kube_deployment="shop"} 1`,
		`dogstatsd_events_total{origin="kernel",container_name="web",alert_type="warning"} 1`,
		`dogstatsd_service_checks_total{origin="kernel",container_name="web",status="critical"} 1`,
		`dogstatsd_service_check_status{az="eu-1a",check="app.ok",container_name="web",kube_deployment="shop",origin="kernel"} 2`,
		`dogstatsd_contexts{origin="kernel",container_name="web"} `,
		`dogstatsd_processed_total{message_type="metrics",state="ok",origin="kernel"} `,
		`dogstatsd_uds_packets_bytes_total{transport="unixgram"} `,
		`dogstatsd_uds_connections{transport="unix"} `,
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("no line %s", want)
		}
	}
	if t.Failed() {
		t.Log(body[strings.Index(body, "# HELP dogstatsd"):])
	}
}

// names that want to break the page, or to pass for somebody else's.
var nasty = []string{
	"x:1|c", "x:2|g", "x:3|h", "x:4|d", "x:a|s", "x.total:5|c", "x_total:6|g", "x_count:7|g", "x_gauge:8|g", "x_max:1|c",
	"page.views:1|c", "page_views:2|c", "page-views:4|c", "page.views:8|c|#a.b:1", "page.views:16|c|#a_b:1", "page.views:32|c|#a:1,b",
	"up:0|g", "docker_up:0|g", "docker.mem.in_use.ratio:9|g|#container_name:web", "dogstatsd.processed:1|c", "go_goroutines:1|g",
	"docker.service.check.status:3|g|#check:docker.service_up", "_sc|docker.service_up|2", "docker.container:1|g", "dogstatsd_events:1|c", "dogstatsd.series.dropped:1|g", "go_gc_duration_seconds_count:1|g",
	"1st:1|c", "\u00e9\xff\\\"{}:1|c|#\u00e9\xff:\xff\"\\,__name__:up,:empty,le:1,quantile:2,host:h", "_total:1|c", ".:1|g",
	"d:-5:0:5:1e-300:-1e300|d|#le:1", "d:1e-9:1e300|d", "_sc|a|0|#check:b", "_sc|a|1|#exported_check:b", "big:1e308:1e308|c",
	"t:1|g|#a:1,a:2", "t:2|g|#a:1;2", "t:3|g|#host:x", "t:4|g|#Host:x",
}

// TestNamesCannotBreakThePage: whatever clients call their metrics, both formats
// can be read, and no two series or families are one.
func TestNamesCannotBreakThePage(t *testing.T) {
	d := sent(t, nobody, nasty...)
	for _, accept := range []string{"", "application/openmetrics-text;version=1.0.0"} {
		body := scrapeSent(t, d, accept)
		families, series := map[string]bool{}, map[string]bool{}
		for line := range strings.Lines(body) {
			if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
				name, _, _ = strings.Cut(name, " ")
				if families[name] && !strings.HasPrefix(name, "go_") { // client_golang has two of one name
					t.Errorf("%q: two families %s", accept, name)
				}
				families[name] = true
			} else if !strings.HasPrefix(line, "#") {
				name := line[:strings.LastIndexByte(line, ' ')]
				if series[name] {
					t.Errorf("%q: two series %s", accept, name)
				}
				series[name] = true
			}
		}
		if !strings.Contains(body, "\ndogstatsd_series_dropped 0\n") {
			t.Error("series were dropped")
		}
		for _, want := range []string{
			`docker_up 1`, `docker_service_check_status{check="docker.service_up"} 0`, `docker_mem_in_use_ratio{container_name="web"} 0.5`, `x_total 1`, `x_gauge 2`,
			`up_gauge 0`, `page_views_total{dogstatsd_series="page_views|"} 2`, `page_views_total{a_b="1"} 8`,
		} {
			if !strings.Contains(body, "\n"+want+"\n") {
				t.Errorf("%q: no line %s", accept, want)
			}
		}
		if regexp.MustCompile(`(?m)^up[ {]`).MatchString(body) {
			t.Error("a client says whether the target is up")
		}
		if accept == "" {
			parser := expfmt.NewTextParser(model.LegacyValidation)
			if _, err := parser.TextToMetricFamilies(strings.NewReader(body)); err != nil {
				t.Errorf("%v in\n%s", err, body)
			}
		}
	}
}

// TestSeriesLabelOfAClient: the label that keeps series apart is not a client's, or
// one line would have it twice, and Prometheus would refuse the whole page.
func TestSeriesLabelOfAClient(t *testing.T) {
	body := scrapeSent(t, sent(t, nobody, "a.b:1|c|#dogstatsd_series:x", "a_b:2|c|#dogstatsd_series:x", "a-b:3|c|#dogstatsd-series:x"), "")
	for line := range strings.Lines(body) {
		if strings.Count(line, " dogstatsd_series=")+strings.Count(line, ",dogstatsd_series=")+strings.Count(line, "{dogstatsd_series=") > 1 {
			t.Errorf("a label twice: %s", line)
		}
	}
	if n := strings.Count(body, "\na_b_total{"); n != 3 {
		t.Errorf("%d series of 3", n)
	}
}

// TestNamesThatOpenMetricsKeeps: a family's own names are nobody else's, also
// those that we do not use.
func TestNamesThatOpenMetricsKeeps(t *testing.T) {
	body := scrapeSent(t, sent(t, nobody, "x:1|c", "x_created:1|g", "h:1|h", "h_created:1|g", "docker_oom_kills_created:1|g", "dogstatsd_events_created:1|g"), "")
	for _, taken := range []string{"x_created", "docker_oom_kills_created", "dogstatsd_events_created"} {
		if strings.Contains(body, "# TYPE "+taken+" ") || !strings.Contains(body, "\n"+taken+"_gauge 1\n") {
			t.Errorf("a client has the name %s", taken)
		}
	}
	if !strings.Contains(body, "\nh_created 1\n") || !strings.Contains(body, "\nh_summary_count 1\n") { // gauges go first
		t.Error("h and h_created are not told apart")
	}
}

// TestOriginsOfOneName: two containers are two senders, whatever they are called.
func TestOriginsOfOneName(t *testing.T) {
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	origins := []messages.Usage{{Source: dogstatsd.SourceKernel, Container: a}, {Source: dogstatsd.SourceClient, Container: a}, {Source: dogstatsd.SourceKernel, Container: b}}
	for _, names := range []map[string]string{{a: "web", b: "web"}, {b: a}, {a: "web", b: "shop"}} {
		p := page{}
		p.origins(origins, distinct(origins, names), map[string]bool{})
		seen := map[string]bool{}
		for line := range strings.Lines(string(p.b)) {
			if seen[line] {
				t.Errorf("%v: twice: %s", names, line)
			}
			seen[line] = true
		}
	}
}

// TestSameNamesEveryTime: which of several metrics has the plain name does not
// depend on who came first.
func TestSameNamesEveryTime(t *testing.T) {
	backwards := make([]string, len(nasty))
	for i, line := range nasty {
		backwards[len(nasty)-1-i] = line
	}
	names := func(lines []string) string {
		var out []string
		body := scrapeSent(t, sent(t, nobody, lines...), "")
		for line := range strings.Lines(body[strings.Index(body, "# HELP dogstatsd_service_check_status"):]) {
			if !strings.HasPrefix(line, "#") {
				out = append(out, line[:strings.LastIndexByte(line, ' ')])
			}
		}
		return strings.Join(out, "\n")
	}
	if a, b := names(nasty), names(backwards); a != b {
		t.Errorf("forwards:\n%s\nbackwards:\n%s", a, b)
	}
}

// TestDogStatsDPromtool: Prometheus's own tool likes what well-behaved clients
// send, and reads what others do.
func TestDogStatsDPromtool(t *testing.T) {
	check := func(lines []string) (string, int) {
		return checkMetrics(t, scrapeSent(t, sent(t, web, lines...), ""))
	}
	if out, code := check(everyType); code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
	const taste = 3 // of names, which are the clients'
	if out, code := check(nasty); code != taste {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// TestBuckets: bounds stay once they were there, and what is counted in them never falls.
func TestBuckets(t *testing.T) {
	tests := []struct{ values, want string }{
		{"3", "2:0 5:1"},
		{"5", "2:0 5:1 10:1"},
		{"0.2:20", "0.1:0 0.2:1 0.5:1 1:1 2:1 5:1 10:1 20:2 50:2"},
		{"0", "0:1"},
		{"-3:0:3", "-5:0 -2:1 0:2 2:2 5:3"},
		{"-20:-1", "-50:0 -20:1 -10:1 -5:1 -2:1 -1:2 -0.5:2 0:2"},
	}
	for _, tt := range tests {
		body := scrapeSent(t, sent(t, nobody, "d:"+tt.values+"|d"), "")
		var got []string
		for _, m := range regexp.MustCompile(`(?m)^d_bucket\{le="([^+"]*)"\} (.*)$`).FindAllStringSubmatch(body, -1) {
			got = append(got, fmt.Sprintf("%s:%s", m[1], m[2]))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %s, want %s", tt.values, strings.Join(got, " "), tt.want)
		}
	}
}
