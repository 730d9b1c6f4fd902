package export

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/tag"
	"vitrine/test/long"
	"vitrine/test/statsd"
)

// serviceTags are those of a container of a service, as long as they usually are.
type serviceTags struct{}

func (serviceTags) ContainerTags(string, tag.Cardinality) ([]tag.Tag, bool) {
	return []tag.Tag{
		{Key: "compose_project", Value: "shop"},
		{Key: "compose_service", Value: "web"},
		{Key: "docker_image", Value: "registry.example.com/shop/web:1.2.3"},
		{Key: "image_id", Value: "sha256:" + strings.Repeat("c0ffee00", 8)},
		{Key: "image_name", Value: "registry.example.com/shop/web"},
		{Key: "image_tag", Value: "1.2.3"},
		{Key: "runtime", Value: "docker"},
		{Key: "short_image", Value: "web"},
	}, true
}

// wide are values that need as many lines as any.
const wide = "1e-3:1:1e3:-1e3:-1:-1e-3:0"

// senders fill a quota in different ways, each with as many lines as it takes. None of
// them is nice.
var greedy = map[string]func(i int) string{
	"counts":                  func(i int) string { return fmt.Sprintf("flood.%d:1|c", i) },
	"counts of one name":      func(i int) string { return fmt.Sprintf("c:1|c|#%d", i) },
	"long numbers":            func(i int) string { return fmt.Sprintf("c:1.2345678901234567e+300|c|#%d", i) },
	"gauges":                  func(i int) string { return fmt.Sprintf("g%d:1|g", i) },
	"gauges with a time":      func(i int) string { return fmt.Sprintf("g:-1.2345678901234567e-300|g|#%d|T%d", i, time.Now().Unix()) },
	"sets":                    func(i int) string { return fmt.Sprintf("s%d:1|s", i) },
	"negative counts":         func(i int) string { return fmt.Sprintf("n%d:-1.2345678901234567e+300|c", i) },
	"falling counts":          func(i int) string { return fmt.Sprintf("n%d:%d|c", i/2, 1-i%2*2) },
	"histograms":              func(i int) string { return fmt.Sprintf("h:1:2:3|h|#%d", i) },
	"histograms below 0":      func(i int) string { return fmt.Sprintf("h%d:-1.2345678901234567e-30:2:3|h", i) },
	"distributions":           func(i int) string { return fmt.Sprintf("d:%s|d|#%d", wide, i) },
	"distributions of names":  func(i int) string { return fmt.Sprintf("d%d:1e-7:1:1e-3|d|@3e-7", i) },
	"distributions and rates": func(i int) string { return fmt.Sprintf("d%d:1:1e7|d|@1.2345e-200", i) },
	"long tags":               func(i int) string { return fmt.Sprintf("d:%s|d|#%d%s", wide, i, strings.Repeat("x", 8000)) },
	"escaped tags":            func(i int) string { return fmt.Sprintf("d:%s|d|#%d%s", wide, i, strings.Repeat(`"`, 8000)) },
	"no text":                 func(i int) string { return fmt.Sprintf("d:%s|d|#%d%s", wide, i, strings.Repeat("\xff", 8000)) },
	"short keys":              func(i int) string { return fmt.Sprintf("c:1|c|#%d%s", i, strings.Repeat(",\xff", 400)) },
	"names that are no text":  func(i int) string { return fmt.Sprintf("%d%s:1|c", i, strings.Repeat("\xff\"", 30)) },
	"long names":              func(i int) string { return fmt.Sprintf("%d%s:1|c", i, strings.Repeat("n", 7000)) },
	"spellings of one series": func(i int) string { return fmt.Sprintf("%s:1|c", spelled("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o", i)) },
	"spellings of one tag": func(i int) string {
		return fmt.Sprintf("d:%s|d|#%s", wide, spelled("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o", i))
	},
	"types of one name": func(i int) string { return fmt.Sprintf("x%d:1|%s", i/5, []string{"c", "g", "h", "d", "s"}[i%5]) },
	"names that are taken": func(i int) string {
		return fmt.Sprintf("x%s:1|%s", strings.Repeat("_gauge", i/4), []string{"c", "g", "h", "d"}[i%4])
	},
	"numbered names": func(i int) string {
		return fmt.Sprintf("x_%s_%d:1|c", []string{"gauge", "summary", "histogram"}[i%3], i/3)
	},
	"checks":              func(i int) string { return fmt.Sprintf("_sc|check%d|1|m:%s", i, strings.Repeat("m", 1000)) },
	"spellings of checks": func(i int) string { return fmt.Sprintf("_sc|c|1|#%s", spelled("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o", i)) },
	"expensive words":     func(i int) string { return fmt.Sprintf("w.%d:1|h|#%s", i, strings.Repeat("a.b:c\\\\,", 20)) },
}

// spelled writes a name in one of many ways that are one to Prometheus.
func spelled(name string, way int) string {
	b := []byte(name)
	for i := range b {
		if b[i] == '.' {
			if way&1 > 0 {
				b[i] = '-'
			}
			way >>= 1
		}
	}
	return string(b)
}

// filledBy has a sender fill its quota.
func filledBy(tb testing.TB, tags func(string, tag.Cardinality) ([]tag.Tag, bool), quota int, line func(i int) string) *DogStatsD {
	tb.Helper()
	m := messages.New(messages.Config{Tags: tags, Quota: quota})
	server := dogstatsd.New(dogstatsd.Config{}, nil, m)
	for i := range 25000 {
		if i == 300 || i == 1000 || i%2500 == 2499 {
			if o := m.Flush(time.Now()).Origins[0]; o.Refused > 100 {
				break // there is no room for more
			}
		}
		statsd.Feed(tb, m, web, line(i))
	}
	m.Flush(time.Now())
	return &DogStatsD{Latest: m.Latest, Telemetry: server.Telemetry, Examples: server.Examples, Quota: quota}
}

// TestQuotaIsAPriceOfThePageClosed: whatever a sender fills its quota with, the page has less than
// 5 MB of it, in proportion: a quota is filled whole only if there is time for it.
func TestQuotaIsAPriceOfThePageClosed(t *testing.T) {
	long.Alone(t)
	quota := long.Of(2000, 20_000)
	most := 250 * quota
	for accept, tags := range map[string]func(string, tag.Cardinality) ([]tag.Tag, bool){"": nil, "application/openmetrics-text;version=1.0.0": serviceTags{}.ContainerTags} {
		own := len(scrapeSent(t, sent(t, web), accept))
		for name, line := range greedy {
			d := filledBy(t, tags, quota, line)
			n, o := len(scrapeSent(t, d, accept))-own, d.Latest().Origins[0]
			if n > most || o.Used > quota || o.Refused == 0 {
				t.Errorf("%s (%q): %d bytes, %+v", name, accept, n, o)
			}
		}
	}
}

// TestBoundsAreFew: whatever values a distribution has.
func TestBoundsAreFew(t *testing.T) {
	long.Alone(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var values []string
		low, high := r.Float64()*40-20, r.Float64()*40-20
		for range 1 + r.IntN(30) {
			v := fmt.Sprintf("%.3ge%d", 1+9*r.Float64(), int(low+(high-low)*r.Float64()))
			switch r.IntN(4) {
			case 0:
				v = "-" + v
			case 1:
				v = "0"
			}
			values = append(values, v)
		}
		body := scrapeSent(t, sent(t, nobody, "d:"+strings.Join(values, ":")+"|d"), "")
		if n := strings.Count(body, "\nd_bucket{") - 1; n > messages.BucketsMost || n < 1 {
			t.Errorf("%v: %d bounds", values, n)
		}
	}
}

// BenchmarkScrape is what a sender's whole quota costs a scrape, in CPU time too.
func BenchmarkScrape(b *testing.B) {
	for _, name := range []string{"counts", "histograms", "distributions", "distributions of names", "names that are taken", "spellings of one series", "checks"} {
		b.Run(name, func(b *testing.B) {
			d := filledBy(b, serviceTags{}.ContainerTags, 20_000, greedy[name])
			h := Metrics(filled(), d, nil)
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", nil)
			size := 0
			before := cpu(b)
			for b.Loop() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				size = w.Body.Len()
			}
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(size)/1e6, "MB")
			b.ReportMetric(float64(len(d.Latest().Series)), "series")
		})
	}
}

func cpu(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
