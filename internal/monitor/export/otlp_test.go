package export

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"vitrine/internal/engine/docker"
	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/series"
	"vitrine/internal/monitor/tag"
	"vitrine/internal/otlp"
)

func joined(attributes []*commonpb.KeyValue) string {
	var out []string
	for _, a := range attributes {
		out = append(out, a.GetKey()+"="+a.GetValue().GetStringValue())
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

// flat has each number of a source as "name{attributes}", of a container with its name before it.
func flat(t *testing.T, source otlp.Source) (map[string]float64, map[string]*metricspb.Metric) {
	t.Helper()
	numbers, others := map[string]float64{}, map[string]*metricspb.Metric{}
	for r := range source {
		if _, err := proto.Marshal(r); err != nil {
			t.Fatal(err)
		}
		whose := ""
		for _, a := range r.GetResource().GetAttributes() {
			if a.GetKey() == "container.name" {
				whose = a.GetValue().GetStringValue() + " "
			}
		}
		for _, m := range r.GetScopeMetrics()[0].GetMetrics() {
			points := append(m.GetGauge().GetDataPoints(), m.GetSum().GetDataPoints()...)
			if len(points) == 0 {
				others[m.GetName()] = m
			}
			for _, p := range points {
				key := whose + m.GetName() + "{" + joined(p.GetAttributes()) + "}"
				if _, twice := numbers[key]; twice {
					t.Errorf("%s is there twice", key)
				}
				numbers[key] = p.GetAsDouble()
			}
		}
	}
	return numbers, others
}

// TestOTLP: OpenTelemetry's names where it has some, ours elsewhere, and values as on the page.
func TestOTLP(t *testing.T) {
	got, others := flat(t, OTLP(filled(), sent(t, web, append(everyType, "neg:-5|c", "neg:7|c", "flag:1|g|#on", "two:1|g|#a:1,a:2")...)))
	for key, want := range map[string]float64{
		"web container.cpu.time{cpu.mode=user}":                           2,
		"web container.memory.usage{}":                                    9 << 20,
		"web vitrine.container.memory.limit{}":                            10 << 20,
		"web vitrine.container.memory.in_use{}":                           0.5,
		"web vitrine.container.oom_kills{pid1_alive=true}":                1,
		"web vitrine.service_check.status{check=docker.container_health}": 2,
		"vitrine.docker.up{}":                                             1,
		"page.views{az=eu-1a,kube_deployment=shop}":                       6,
		"pool.size{kube_deployment=shop}":                                 7,
		"users.uniques{kube_deployment=shop}":                             2,
		"neg{kube_deployment=shop}":                                       7,
		"neg.negative{kube_deployment=shop}":                              5,
		"flag{kube_deployment=shop,on=true}":                              1,
		"two{a=1,2,kube_deployment=shop}":                                 1,
	} {
		if v, ok := got[key]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", key, v, ok, want)
		}
	}
	for _, begins := range []string{
		"web container.network.io{docker_network=front,network.interface.name=eth0", "web container.disk.io{disk.io.direction=read,system.device=",
		"system.network.io{", "vitrine.dogstatsd.contexts{container.id=ccc", "vitrine.dogstatsd.service_check.status{", "vitrine.dogstatsd.processed{", "web container.uptime{",
	} {
		found := false
		for key := range got {
			found = found || strings.HasPrefix(key, begins)
		}
		if !found {
			t.Errorf("nothing begins with %s", begins)
		}
	}
	if p := others["request.duration"].GetSummary().GetDataPoints()[0]; p.GetCount() != 5 || p.GetSum() != 110 || len(p.GetQuantileValues()) != 3 {
		t.Errorf("%s", p)
	}
	d := others["song.length"].GetExponentialHistogram().GetDataPoints()[0]
	if n := total(d.GetPositive().GetBucketCounts()); d.GetCount() != 3 || d.GetSum() != 245.5 || n != 3 {
		t.Errorf("%d in buckets of %s", n, d)
	}
	for key := range got {
		if strings.HasPrefix(key, "docker_") || strings.Contains(key, "_total") {
			t.Errorf("%s is Prometheus's name", key)
		}
	}
}

func total(list []uint64) (n uint64) {
	for _, v := range list {
		n += v
	}
	return n
}

// TestOTLPNamesAreDistinct: no two metrics of the table are one, and each value of the page is sent.
func TestOTLPNamesAreDistinct(t *testing.T) {
	table := collect.NewTable()
	seen := map[string]string{}
	for _, of := range []struct {
		list      []*collect.Metric
		container bool
	}{{table.Containers(), true}, {table.Others(), false}} {
		for _, m := range of.list {
			n := otelName(m, of.container)
			key := n.Name + "{" + joined(n.Attributes) + "}"
			if seen[key] != "" || n.Name == "" || (n.In == otlp.Counter) != m.Counter() {
				t.Errorf("%s is %s, as is %s", m.Prom, key, seen[key])
			}
			seen[key] = m.Prom
			if own := "vitrine."; strings.HasPrefix(m.Prom, "docker_") && !strings.HasPrefix(n.Name, own) && conventions[m.Prom].Name == "" {
				t.Errorf("%s is %s, which is no name of ours", m.Prom, n.Name)
			}
		}
	}
}

// TestOTLPGoesOnWhileContainersChange: those that stay are sent, each once.
func TestOTLPGoesOnWhileContainersChange(t *testing.T) {
	a := series.New(tag.New(tag.Config{}), nil)
	update := func(names ...string) {
		s := &collect.Snapshot{Time: time.Now(), Engine: collect.Engine{Up: true}}
		for _, n := range names {
			s.Containers = append(s.Containers, &collect.Container{Container: docker.Container{ID: n, Name: n, Running: true}})
		}
		a.Update(s)
	}
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("c%02d", i))
	}
	update(names...)
	got := map[string]int{}
	n := 0
	for r := range OTLP(a, nil) {
		for _, attribute := range r.GetResource().GetAttributes() {
			if attribute.GetKey() == "container.name" {
				got[attribute.GetValue().GetStringValue()]++
			}
		}
		if n++; n == 30 {
			update(append([]string{"a", "c010"}, names[10:]...)...)
		}
	}
	for _, name := range names[10:] {
		if got[name] != 1 {
			t.Errorf("%s was sent %d times", name, got[name])
		}
	}
}

// TestClientsNamesAreNotOursClosed: what a client sends is never taken for what we say, by a receiver of OTLP or by a Prometheus behind it.
func TestClientsNamesAreNotOursClosed(t *testing.T) {
	table := collect.NewTable()
	lines := []string{"vitrine.docker.up:0|g", "vitrine_anything:1|c", "container.cpu.time:9|c", "container.cpu.time.seconds:9|c", "container_cpu_time_seconds_total:9|g", "process.cpu.time:9|d", "up:0|g", "target.info:1|h"}
	for _, m := range table.Containers() {
		lines = append(lines, otelName(m, true).Name+":1|g")
	}
	for _, m := range table.Others() {
		lines = append(lines, otelName(m, false).Name+":1|g")
	}
	ours := map[string]bool{}
	for r := range OTLP(filled(), sent(t, web)) {
		for _, m := range r.GetScopeMetrics()[0].GetMetrics() {
			ours[m.GetName()] = true
		}
	}
	clients, kept := 0, false
	for r := range OTLP(filled(), sent(t, web, append(lines, "page.views:1|c")...)) {
		for _, m := range r.GetScopeMetrics()[0].GetMetrics() {
			if !strings.HasPrefix(m.GetDescription(), "DogStatsD ") {
				continue
			}
			clients++
			kept = kept || m.GetName() == "page.views"
			if read := tag.MetricName(m.GetName()); ours[m.GetName()] || strings.HasPrefix(read, "vitrine_") || strings.HasPrefix(read, "container_") || strings.HasPrefix(read, "process_") || read == "up" || read == "target_info" {
				t.Errorf("a client is believed %s", m.GetName())
			}
		}
	}
	if clients < len(lines)/2 || !kept {
		t.Errorf("%d of %d came, page.views %v", clients, len(lines), kept)
	}
}

// TestCheckSaysNotWhoSentItClosed: attributes of ours are there once, and ours.
func TestCheckSaysNotWhoSentItClosed(t *testing.T) {
	found := 0
	for r := range OTLP(filled(), sent(t, web, "_sc|mine|0|h:a|#origin:claimed,check:theirs,container.id:other,host:b,exported_check:x")) {
		for _, m := range r.GetScopeMetrics()[0].GetMetrics() {
			if m.GetName() != "vitrine.dogstatsd.service_check.status" {
				continue
			}
			found++
			got := map[string]string{}
			for _, a := range m.GetGauge().GetDataPoints()[0].GetAttributes() {
				if _, twice := got[a.GetKey()]; twice {
					t.Errorf("%s is there twice", a.GetKey())
				}
				got[a.GetKey()] = a.GetValue().GetStringValue()
			}
			if got["check"] != "mine" || got["origin"] != "kernel" || got["container.id"] != web.Container {
				t.Errorf("%v", got)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d checks", found)
	}
}

// TestContainerSaysNotWhoItIsClosed: its tags are its own to choose.
func TestContainerSaysNotWhoItIsClosed(t *testing.T) {
	a := series.New(tag.New(tag.Config{}), nil)
	a.Update(&collect.Snapshot{Time: time.Now(), Engine: collect.Engine{Up: true}, Containers: []*collect.Container{{Container: docker.Container{
		ID: "1", Name: "evil", Image: "shop/web:1", Running: true, Labels: map[string]string{"com.datadoghq.ad.tags": `["container.image.name:bank","container.runtime.name:x","container.name:web"]`},
	}}}})
	for r := range OTLP(a, nil) {
		got := map[string]string{}
		for _, attribute := range r.GetResource().GetAttributes() {
			if _, twice := got[attribute.GetKey()]; twice {
				t.Errorf("%s is there twice", attribute.GetKey())
			}
			got[attribute.GetKey()] = attribute.GetValue().GetStringValue()
		}
		if got["container.id"] != "" && (got["container.image.name"] != "shop/web" || got["container.runtime.name"] != "docker" || got["container.name"] != "evil") {
			t.Errorf("%v", got)
		}
	}
}

// TestLongTagsAreManyPartsClosed: a client's tags may be as long as a packet, and a receiver takes 4 MiB.
func TestLongTagsAreManyPartsClosed(t *testing.T) {
	var lines []string
	for i := range 60 {
		long := strings.Repeat("x", 8000)
		lines = append(lines, fmt.Sprintf("m%d:1|g|#k:%s", i, long), fmt.Sprintf("_sc|c%d|0|#k:%s", i, long))
	}
	n := 0
	for r := range OTLP(filled(), sent(t, web, lines...)) {
		if size := proto.Size(r); size > textAtOnce+128<<10 {
			t.Errorf("a part of %d bytes", size)
		}
		for _, m := range r.GetScopeMetrics()[0].GetMetrics() {
			if m.GetDescription() == "DogStatsD gauge" || m.GetName() == "vitrine.dogstatsd.service_check.status" {
				n += len(m.GetGauge().GetDataPoints())
			}
		}
	}
	if n != 120 {
		t.Errorf("%d series and checks of 60 each", n)
	}
}
