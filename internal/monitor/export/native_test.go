package export

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/messages"
	"vitrine/test/wait"
)

const protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

// decoded reads a page in protobuf's format.
func decoded(t *testing.T, page string) map[string]*dto.MetricFamily {
	t.Helper()
	out := map[string]*dto.MetricFamily{}
	dec := expfmt.NewDecoder(strings.NewReader(page), expfmt.NewFormat(expfmt.TypeProtoDelim))
	for {
		f := &dto.MetricFamily{}
		switch err := dec.Decode(f); {
		case errors.Is(err, io.EOF):
			return out
		case err != nil:
			t.Fatal(err)
		case out[f.GetName()] != nil:
			t.Fatalf("%s is there twice", f.GetName())
		}
		out[f.GetName()] = f
	}
}

// TestPageIsTheSameInProtobuf: whatever senders send, it is the text page but for native histograms.
func TestPageIsTheSameInProtobuf(t *testing.T) {
	for i, d := range []*DogStatsD{
		nil, sent(t, nobody), sent(t, web, everyType...), sent(t, nobody, nasty...), sent(t, nobody, timed(time.Now())...),
		sent(t, nobody, "neg:-5|c", "h:-5|h", "d:-5|d", "third:1|c|@0.3", "third:1:2|d|@0.3", "x:1|c", "x:-3|c", "d2:1:2|d|@1e-200", "e:1|d|#a", "e:-2|d|#b", "e:3|d|#c:x\\y\"z"),
	} {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		text, err := parser.TextToMetricFamilies(strings.NewReader(scrapeSent(t, d, "text/plain")))
		if err != nil {
			t.Fatal(err)
		}
		got := decoded(t, scrapeSent(t, d, protobuf))
		for name, want := range text {
			if len(want.GetMetric()) == 0 || strings.HasPrefix(name, "go_") {
				continue
			}
			for _, m := range got[name].GetMetric() { // what only protobuf has, and the time of ours
				if h := m.GetHistogram(); h != nil {
					if h.Schema == nil || h.GetPositiveSpan() == nil && h.GetNegativeSpan() == nil {
						t.Errorf("page %d: %s has no native histogram", i, m)
					}
					h.Schema, h.ZeroThreshold, h.ZeroCount, h.PositiveSpan, h.PositiveDelta, h.NegativeSpan, h.NegativeDelta = nil, nil, nil, nil, nil, nil, nil
					h.SampleSum, h.SampleCount = nil, nil
				}
			}
			for _, m := range want.GetMetric() {
				if h := m.GetHistogram(); h != nil {
					h.SampleSum, h.SampleCount = nil, nil
				}
			}
			if got[name].String() != want.String() {
				t.Errorf("page %d: %s is\n%s, want\n%s", i, name, got[name], want)
			}
		}
	}
}

// TestNativeHistogramHoldsWhatWasSent: each value in the bucket around it, within a sketch's error, and no other.
func TestNativeHistogramHoldsWhatWasSent(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		schema int
	}{
		{[]float64{1}, 5},
		{[]float64{0, 0, 3}, 5},
		{[]float64{-2, -4, 0, 1, 1.5, 31}, 5},
		{[]float64{1e-3, 1e3}, 3},
		{[]float64{-1e-2, 1e-2, 1e2, -1e2}, 3},
	} {
		var text []string
		for _, v := range tt.values {
			text = append(text, fmt.Sprint(v))
		}
		s := &sent(t, nobody, "d:"+strings.Join(text, ":")+"|d").Latest().Series[0]
		got := sparseOf(s.TotalSketch)
		if got.count() != uint64(len(tt.values)) || got.schema > tt.schema {
			t.Errorf("%v: %+v", tt.values, got)
		}
		base := math.Exp2(math.Ldexp(1, -got.schema))
		for _, v := range tt.values {
			side := got.up
			if v < 0 {
				side = got.down
			}
			within := func(b bin) bool {
				high := math.Pow(base, float64(b.index))
				return math.Abs(v) > high/base*0.98 && math.Abs(v) < high*1.02
			}
			if v != 0 && !slices.ContainsFunc(side, within) {
				t.Errorf("%v is in no bucket of %+v", v, got)
			}
		}
		if len(got.up) > binsMost || len(got.down) > binsMost {
			t.Errorf("%v: %d buckets", tt.values, len(got.up))
		}
	}
}

// TestNativeCountsNeverFall: a reader takes a bucket that falls for a new beginning.
func TestNativeCountsNeverFall(t *testing.T) {
	m := messages.New(messages.Config{Tags: webTags{}.ContainerTags})
	var p dogstatsd.Parser
	before := map[int]uint64{}
	for i := range 40 {
		if _, reason := p.Parse(fmt.Appendf(nil, "d:%d:1:1.01:2|d|@0.3", 1+i%3)); reason != dogstatsd.Parsed {
			t.Fatal(reason)
		}
		m.Lock()
		m.Metric(nobody, &p.Metric)
		m.Unlock()
		now := map[int]uint64{}
		for _, b := range sparseOf(m.Flush(time.Now()).Series[0].TotalSketch).up {
			now[b.index] = b.count
		}
		for index, n := range before {
			if now[index] < n {
				t.Fatalf("bucket %d falls from %d to %d", index, n, now[index])
			}
		}
		before = now
	}
}

// TestPrometheusReadsNativeHistograms: Debian's, as its users start it, and computes with what it read.
func TestPrometheusReadsNativeHistograms(t *testing.T) {
	t.Parallel()
	prometheus, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("VITRINE_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip("prometheus is not installed (scripts/setup.sh)")
	}
	d := sent(t, web, "latency:0.1:0.2:0.3:0.4|d", "below:-1:-2:5|d")
	asked := make(chan string, 100)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.Header.Get("Accept"):
		default:
		}
		Metrics(filled(), d, nil).ServeHTTP(w, r)
	}))
	t.Cleanup(target.Close)
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: monitor\n  static_configs: [{targets: [%q]}]\n", strings.TrimPrefix(target.URL, "http://"))
	if err := os.WriteFile(filepath.Join(dir, "p.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	free := httptest.NewServer(nil)
	address := free.Listener.Addr().String()
	free.Close()
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), prometheus, "--config.file="+dir+"/p.yml", "--storage.tsdb.path="+dir+"/data",
		"--web.listen-address="+address, "--enable-feature=native-histograms")
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for query, want := range map[string]string{
		`histogram_count(latency)`:                       "4",
		`histogram_sum(latency)`:                         "1",
		`histogram_quantile(0.5, latency) > 0.19 < 0.21`: "",
		`histogram_count(below)`:                         "3",
		`histogram_sum(below)`:                           "2",
		`docker_mem_in_use_ratio{container_name="web"}`:  "0.5",
		`up`: "1",
	} {
		var last string
		wait.Until(t, query, func() bool {
			last = queried(t, address, query)
			return last != "" && (want == "" || last == want)
		})
	}
	if first := <-asked; !strings.Contains(first, "protobuf") {
		t.Errorf("it asks for %s", first)
	}
}

// queried is the one value that a query gives, "" for none.
func queried(t *testing.T, address, query string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/api/v1/query?query="+url.QueryEscape(query), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil { // it starts
		return ""
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || len(answer.Data.Result) != 1 {
		return ""
	}
	return cmp.Or(fmt.Sprint(answer.Data.Result[0].Value[1]), "-")
}
