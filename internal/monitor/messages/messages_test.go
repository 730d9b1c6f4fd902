package messages

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/tag"
	"vitrine/test/statsd"
)

var (
	none = &dogstatsd.Origin{}
	web1 = &dogstatsd.Origin{Source: dogstatsd.SourceKernel, Container: "web1"}
	web2 = &dogstatsd.Origin{Source: dogstatsd.SourceKernel, Container: "web2"}
)

// tagger has two containers of one service.
type tagger map[string]string

func (g tagger) ContainerTags(id string, level tag.Cardinality) ([]tag.Tag, bool) {
	name, ok := g[id]
	if !ok {
		return nil, false
	}
	tags := []tag.Tag{{Key: "service", Value: "shop"}}
	if level == tag.High {
		tags = append([]tag.Tag{{Key: "container_name", Value: name}}, tags...)
	}
	return tags, true
}

func join(tags []tag.Tag) string {
	var out []string
	for _, t := range tags {
		out = append(out, strings.TrimSuffix(t.Key+":"+t.Value, ":"))
	}
	return strings.Join(out, ",")
}

// show writes a snapshot's series down.
func show(s *Snapshot) []string {
	var out []string
	for _, x := range s.Series {
		line := fmt.Sprintf("%s %s{%s} ", x.Type, x.Name, join(x.Tags))
		switch x.Type {
		case dogstatsd.Count:
			line += fmt.Sprintf("%v total %v", x.Value, x.Total)
		case dogstatsd.Gauge, dogstatsd.Set:
			line += fmt.Sprint(x.Value)
		case dogstatsd.Histogram, dogstatsd.Distribution:
			line += fmt.Sprintf("count %v sum %v min %v max %v total %v", x.Count, x.Sum, x.Min, x.Max, x.TotalCount)
		}
		if x.Host != "" {
			line += " host " + x.Host
		}
		out = append(out, line)
	}
	return out
}

func expect(t *testing.T, s *Snapshot, want ...string) {
	t.Helper()
	if got := show(s); !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTypes(t *testing.T) {
	a := New(Config{})
	statsd.Feed(t, a, none, "c:1|c", "c:2:3|c", "c:1|c|@0.1", "g:1|g", "g:2|g|@0.5", "s:a|s", "s:b|s", "s:a|s",
		"h:1:2|h", "h:3|h|@0.5", "ms:4|ms", "d:5|d", "d:-7|d")
	expect(t, a.Flush(time.Now()),
		"count c{} 16 total 16",
		"distribution d{} count 2 sum -2 min -7 max 5 total 2",
		"gauge g{} 2",
		"histogram h{} count 4 sum 9 min 1 max 3 total 4",
		"histogram ms{} count 1 sum 4 min 4 max 4 total 1",
		"set s{} 2",
	)
	statsd.Feed(t, a, none, "c:1|c", "d:1|d", "s:c|s")
	expect(t, a.Flush(time.Now()),
		"count c{} 1 total 17",
		"distribution d{} count 1 sum 1 min 1 max 1 total 3",
		"gauge g{} 2",
		"histogram h{} count 0 sum 0 min 0 max 0 total 4",
		"histogram ms{} count 0 sum 0 min 0 max 0 total 1",
		"set s{} 1",
	)
}

func TestFiveAggregates(t *testing.T) {
	a := New(Config{})
	for i := 1; i <= 1000; i++ {
		statsd.Feed(t, a, none, fmt.Sprintf("h:%d|h", i), fmt.Sprintf("w:%d|h|@%v", i%2*99+1, []float64{1, 0.01}[i%2]))
	}
	s := a.Flush(time.Now())
	h, w := s.Series[0], s.Series[1]
	near := func(got, want float64) bool { return math.Abs(got-want) <= want/100 }
	if h.Max != 1000 || h.Count != 1000 || h.Avg() != 500.5 || !near(h.Quantile(0.5), 500) || !near(h.Quantile(0.95), 950) {
		t.Errorf("max %v count %v avg %v median %v 95th %v", h.Max, h.Count, h.Avg(), h.Quantile(0.5), h.Quantile(0.95))
	}
	// Half of the samples stand for a hundred each.
	if w.Count != 500+500*100 || !near(w.Quantile(0.5), 100) || !near(w.Quantile(0), 1) {
		t.Errorf("count %v median %v smallest %v", w.Count, w.Quantile(0.5), w.Quantile(0))
	}
}

func TestDistributionsAddUp(t *testing.T) {
	a := New(Config{})
	statsd.Feed(t, a, web1, "d:1:2|d")
	first := a.Flush(time.Now()).Series[0]
	statsd.Feed(t, a, web2, "d:3|d")
	second := a.Flush(time.Now()).Series[0]
	if n := first.TotalSketch.GetCount(); n != 2 {
		t.Errorf("a snapshot was changed: %v", n)
	}
	if n := second.TotalSketch.GetCount(); n != 3 || second.Sketch.GetCount() != 1 {
		t.Errorf("total %v", n)
	}
}

func TestMessageTags(t *testing.T) {
	containers := tagger{"web1": "web.1", "web2": "web.2"}
	for _, tt := range []struct {
		name  string
		lines map[*dogstatsd.Origin]string
		want  []string
	}{
		{"replicas share a series", map[*dogstatsd.Origin]string{web1: "a:1|c|#x:y", web2: "a:2|c|#x:y"}, []string{"count a{service:shop,x:y} 3 total 3"}},
		{
			"apart at high cardinality",
			map[*dogstatsd.Origin]string{web1: "a:1|c|card:high", web2: "a:2|c|#dd.internal.card:high"},
			[]string{"count a{container_name:web.1,service:shop} 1 total 1", "count a{container_name:web.2,service:shop} 2 total 2"},
		},
		{"no tags asked for", map[*dogstatsd.Origin]string{web1: "a:1|c|#x|card:none"}, []string{"count a{x} 1 total 1"}},
		{"no origin", map[*dogstatsd.Origin]string{none: "a:1|c|#x"}, []string{"count a{x} 1 total 1"}},
		{"order and repetition", map[*dogstatsd.Origin]string{web1: "a:1|c|#b:2,a:1", web2: "a:1|c|#a:1,b:2,a:1,"}, []string{"count a{a:1,b:2,service:shop} 2 total 2"}},
		{"a key may repeat", map[*dogstatsd.Origin]string{none: "a:1|c|#k:1,k:2"}, []string{"count a{k:1,k:2} 1 total 1"}},
		{"host", map[*dogstatsd.Origin]string{none: "a:1|c|#host:other,x"}, []string{"count a{x} 1 total 1 host other"}},
		{"internal tags", map[*dogstatsd.Origin]string{none: "a:1|c|#dd.internal.entity_id:x,dd.internal.jmx_check_name:y"}, []string{"count a{} 1 total 1"}},
		{"same type and name, other type", map[*dogstatsd.Origin]string{none: "a:1|c", web1: "a:1|g|card:none"}, []string{"count a{} 1 total 1", "gauge a{} 1"}},
		{
			"a client cannot name a container",
			map[*dogstatsd.Origin]string{web1: "a:1|c|#container_name:db,container_id:db"},
			[]string{"count a{exported_container_id:db,exported_container_name:db,service:shop} 1 total 1"},
		},
		{
			"however it is spelled", // Prometheus reads them so
			map[*dogstatsd.Origin]string{web1: "a:1|c|#container.name:db,container-id:db"},
			[]string{"count a{exported_container-id:db,exported_container.name:db,service:shop} 1 total 1"},
		},
		{"nor without an origin", map[*dogstatsd.Origin]string{none: "a:1|c|#container_name:db"}, []string{"count a{exported_container_name:db} 1 total 1"}},
		{"nor another's service", map[*dogstatsd.Origin]string{web1: "a:1|c|#service:bank"}, []string{"count a{exported_service:bank,service:shop} 1 total 1"}},
		{"its own is no contradiction", map[*dogstatsd.Origin]string{web1: "a:1|c|#service:shop"}, []string{"count a{service:shop} 1 total 1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := New(Config{Tags: containers.ContainerTags})
			for o, line := range tt.lines {
				statsd.Feed(t, a, o, line)
			}
			expect(t, a.Flush(time.Now()), tt.want...)
		})
	}
}

func TestTagsThatChange(t *testing.T) {
	containers := tagger{}
	a := New(Config{Tags: containers.ContainerTags, Cardinality: tag.High, Expiry: 20 * time.Second})
	statsd.Feed(t, a, web1, "a:1|c", "_sc|up|0") // before the inventory knows it
	containers["web1"] = "web.1"
	a.Flush(time.Now())
	statsd.Feed(t, a, web1, "a:1|c", "_sc|up|1")
	s := a.Flush(time.Now())
	expect(t, s, "count a{} 0 total 1", "count a{container_name:web.1,service:shop} 1 total 1")
	if len(s.Checks) != 1 || join(s.Checks[0].Tags) != "container_name:web.1,service:shop" {
		t.Errorf("%+v", s.Checks)
	}
	delete(containers, "web1") // its last messages
	statsd.Feed(t, a, web1, "a:1|c")
	expect(t, a.Flush(time.Now()), "count a{} 0 total 1", "count a{container_name:web.1,service:shop} 1 total 2")
}

func TestExpiry(t *testing.T) {
	a := New(Config{Expiry: 30 * time.Second})
	statsd.Feed(t, a, web1, "a:1|c", "_sc|up|0")
	statsd.Feed(t, a, none, "b:1|g")
	for range 4 {
		statsd.Feed(t, a, none, "b:1|g")
		a.Flush(time.Now())
	}
	s := a.Latest()
	if len(s.Series) != 2 {
		t.Errorf("too early: %v", show(s))
	}
	s = a.Flush(time.Now())
	expect(t, s, "gauge b{} 1")
	if len(s.Checks) != 0 || len(s.Origins) != 1 || s.Origins[0].Used != 1 {
		t.Errorf("%+v, %+v", s.Checks, s.Origins)
	}
	if a.contexts.used != unit {
		t.Errorf("%d in use", a.contexts.used)
	}
	statsd.Feed(t, a, web1, "a:1|c")
	expect(t, a.Flush(time.Now()), "count a{} 1 total 1", "gauge b{} 1")
}

func TestQuotaOfOneIsNotAnothers(t *testing.T) {
	a := New(Config{Quota: 100})
	for i := range 1000 {
		statsd.Feed(t, a, web1, fmt.Sprintf("flood%d:1|c", i), fmt.Sprintf("_sc|flood%d|0", i))
	}
	statsd.Feed(t, a, web2, "a:1|c", "h:1|h")
	statsd.Feed(t, a, web1, "flood0:1|c") // what it has goes on
	s := a.Flush(time.Now())
	if n := len(s.Series); n != 50+2 {
		t.Errorf("%d series", n)
	}
	one, two := s.Origins[0], s.Origins[1]
	if one.Used != 100 || one.Refused != 1900 || two.Refused != 0 || two.Used != 5 {
		t.Errorf("%+v", s.Origins)
	}
	for _, x := range s.Series {
		if x.Name == "flood0" && x.Value != 2 {
			t.Errorf("flood0 is %v", x.Value)
		}
	}
}

func TestLongTagsCostMore(t *testing.T) {
	a := New(Config{Quota: 100})
	for i := range 100 {
		statsd.Feed(t, a, web1, fmt.Sprintf("a:1|c|#%d,%s", i, strings.Repeat("x", 2560)))
	}
	if n := len(a.Flush(time.Now()).Series); n != 8 {
		t.Errorf("%d series of 2.5 KiB for a quota of 100", n)
	}
}

// TestClaimsTakeHalfAtMost: who may claim to be anybody takes the room of others who do,
// and nobody's whom the kernel knows.
func TestClaimsTakeHalfAtMost(t *testing.T) {
	a := New(Config{Quota: 10})
	a.contexts.all = 40 * unit
	for i := range 100 {
		statsd.Feed(t, a, &dogstatsd.Origin{Source: dogstatsd.SourceClient, Container: fmt.Sprintf("%064x", i%5)}, fmt.Sprintf("x%d:1|c", i))
	}
	for i := range 10 {
		statsd.Feed(t, a, web1, fmt.Sprintf("mine%d:1|c", i))
		statsd.Feed(t, a, web2, fmt.Sprintf("mine%d:1|c", i))
	}
	used := 0
	for _, o := range a.Flush(time.Now()).Origins {
		if o.Source == dogstatsd.SourceKernel && o.Refused > 0 {
			t.Errorf("%+v", o)
		}
		used += o.Used
	}
	if used != 40 {
		t.Errorf("%d units are used", used)
	}
}

// TestClaimsTakeHalfOfAnIntervalAtMost: likewise of events and of members of sets,
// and the next interval begins anew.
func TestClaimsTakeHalfOfAnIntervalAtMost(t *testing.T) {
	a := New(Config{})
	a.members, a.recent = newPool(4), newPool(2)
	for range 2 {
		for i := range 100 {
			anybody := &dogstatsd.Origin{Source: dogstatsd.SourceClient, Container: fmt.Sprintf("%064x", i%50)}
			statsd.Feed(t, a, anybody, fmt.Sprintf("s:%d|s", i), "_e{1,1}:a|b")
		}
		statsd.Feed(t, a, web1, "mine:1|s", "mine:1|s", "mine:2|s", "mine:3|s", "_e{1,1}:c|d")
		s := a.Flush(time.Now())
		if len(s.Events) != 11 || s.Events[10].Title != "c" {
			t.Errorf("%d events", len(s.Events))
		}
		expect(t, s, "set mine{} 3", "set s{} 20")
	}
}

// TestLongTagsOfTheContainer: a container's labels are as long as it likes.
func TestLongTagsOfTheContainer(t *testing.T) {
	a := New(Config{Quota: 1000, Tags: tagger{"web1": strings.Repeat("x", 1<<20)}.ContainerTags})
	statsd.Feed(t, a, web1, "a:1|c|card:high")
	if s := a.Flush(time.Now()); len(s.Series) != 0 || s.Origins[0].Refused != 1 {
		t.Errorf("%d series, %+v", len(s.Series), s.Origins)
	}
}

func TestOrderOfTagsIsNoWayRoundTheQuota(t *testing.T) {
	a := New(Config{Quota: 10})
	for i := range 100 {
		statsd.Feed(t, a, web1, fmt.Sprintf("a:1|c|#%sx", strings.Repeat(",", i)))
	}
	s := a.Flush(time.Now())
	expect(t, s, "count a{x} 10 total 10")
	if s.Origins[0].Refused != 90 {
		t.Errorf("%+v", s.Origins)
	}
}

func TestSetMembersAreBounded(t *testing.T) {
	a := New(Config{})
	a.members = newPool(50)
	for i := range 200 {
		statsd.Feed(t, a, web1, fmt.Sprintf("s%d:%d|s", i%2, i))
	}
	statsd.Feed(t, a, web2, "z:1|s")
	expect(t, a.Flush(time.Now()), "set s0{} 25", "set s1{} 25", "set z{} 1")
	statsd.Feed(t, a, web1, "s0:new|s")
	if s := a.Flush(time.Now()); s.Series[0].Value != 1 {
		t.Errorf("%v", show(s))
	}
}

func TestNoInfinities(t *testing.T) {
	a := New(Config{})
	statsd.Feed(t, a, web1, "c:1e308:1e308|c", "c:1e308|c|@1e-300", "n:-1e308:-1e308|c", "h:1e308:-1e308:1e308|h|@1e-300", "d:1e-320:5e-324:0|d")
	for range 2 {
		for _, x := range a.Flush(time.Now()).Series {
			for _, v := range []float64{x.Value, x.Total, x.Count, x.Sum, x.Min, x.Max, x.Avg(), x.Quantile(0.5), x.TotalCount, x.TotalSum} {
				if math.IsInf(v, 0) || math.IsNaN(v) {
					t.Errorf("%+v", x)
				}
			}
		}
		statsd.Feed(t, a, web1, "c:-1e308|c")
	}
}

// TestRecentEvents: the last of each sender are kept, whatever another one sends.
func TestRecentEvents(t *testing.T) {
	a := New(Config{})
	statsd.Feed(t, a, web1, "_e{5,1}:quiet|x")
	a.Flush(time.Now())
	for i := range 3 * recentMost {
		statsd.Feed(t, a, web2, fmt.Sprintf("_e{4,1}:%04d|x", i))
		if i%50 == 0 {
			a.Flush(time.Now())
		}
	}
	got := a.Flush(time.Now()).Recent
	if len(got) != 1+recentOfOne || got[0].Title != "quiet" || got[0].Container != "web1" || got[0].Origin != dogstatsd.SourceKernel || got[recentOfOne].Title != "0599" {
		t.Errorf("%d events: %+v", len(got), got)
	}
	for i := range 2 * recentMost {
		statsd.Feed(t, a, &dogstatsd.Origin{Source: dogstatsd.SourceKernel, Container: strconv.Itoa(i)}, "_e{1,1}:x|x")
	}
	if got := a.Flush(time.Now()).Recent; len(got) != recentMost {
		t.Errorf("%d events", len(got))
	}
	if got := a.Flush(time.Now()).Recent; len(got) != recentMost {
		t.Errorf("%d events after a quiet interval", len(got))
	}
}

// TestTimedIsShown: of a gauge's values the latest counts, whether the client
// has said its time or it has come just now.
func TestTimedIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Config{})
		base := time.Now()
		lines := func(format string, seconds ...any) {
			for i, s := range seconds {
				seconds[i] = base.Unix() + int64(s.(int))
			}
			statsd.Feed(t, a, web1, strings.Split(fmt.Sprintf(format, seconds...), " ")...)
		}
		shows := func(what, want string) {
			t.Helper()
			time.Sleep(10 * time.Second)
			var got []string
			for _, s := range a.Flush(time.Now()).Series {
				at := "now"
				if !s.At.IsZero() {
					at = strconv.FormatInt(s.At.Unix()-base.Unix(), 10)
				}
				got = append(got, fmt.Sprintf("%s=%g/%g at %s", s.Name, s.Value, s.Total, at))
			}
			if strings.Join(got, ", ") != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		lines("g:1|g|T%d g:3|g|T%d g:2|g|T%d", -30, -10, -20)
		shows("the latest", "g=3/0 at -10")
		shows("it stays", "g=3/0 at -10")
		lines("g:4|g")
		shows("one that has come just now", "g=4/0 at now")
		lines("g:5|g|T%d", 15)
		shows("one of before that", "g=4/0 at now")
		lines("g:6|g|T%d g:7|g|T%d", 35, 35)
		shows("one of after that, the last of two", "g=7/0 at 35")
		lines("g:8|g|T%d g:9|g|T%d g:10|g|T%d", -4000, 500, 1000000000)
		shows("too old and ahead of us", "g=7/0 at 35")
		lines("c:1|c|T%d c:2|c|@0.5 c:3|c|T%d", -5, -1000000)
		shows("counts", "c=4/8 at now, g=7/0 at 35")
		shows("counts are added once", "c=0/8 at now, g=7/0 at 35")
		lines("n:1|g|T%d", 1000000000)
		shows("a series of which nothing can be shown", "c=0/8 at now, g=7/0 at 35")
		if o := a.Latest().Origins; len(o) != 1 || o[0].Untimely != 4 {
			t.Errorf("origins: %+v", o)
		}
	})
}

func TestTimed(t *testing.T) {
	a := New(Config{Tags: tagger{"web1": "w"}.ContainerTags})
	statsd.Feed(t, a, web1, "c:3|c|T1656581400|@0.5", "g:1|g|T1656581400", "h:1|h|T1656581400")
	s := a.Flush(time.Now())
	expect(t, s, "count c{service:shop} 0 total 6", "histogram h{service:shop} count 1 sum 1 min 1 max 1 total 1")
}

func TestEventsAndChecks(t *testing.T) {
	a := New(Config{Tags: tagger{"web1": "w"}.ContainerTags})
	a.recent = newPool(2)
	statsd.Feed(t, a, web1, `_e{1,3}:a|b\n|h:me|t:error|#x|d:5`, "_e{1,1}:a|b", "_e{1,1}:c|d", "_sc|db|0|#x", "_sc|db|2|#x|m:down", "_sc|db|1|#y")
	s := a.Flush(time.Now())
	if len(s.Events) != 2 || s.Events[0].Text != "b\n" || s.Events[0].Host != "me" || join(s.Events[0].Tags) != "service:shop,x" || s.Events[0].Time.Unix() != 5 {
		t.Errorf("%+v", s.Events)
	}
	if len(s.Checks) != 2 || s.Checks[0].Status != dogstatsd.StatusCritical || s.Checks[0].Message != "down" || s.Checks[0].Container != "web1" {
		t.Errorf("%+v", s.Checks)
	}
	o := s.Origins[0]
	if o.Events != [4]uint64{2, 0, 0, 1} || o.Checks != [4]uint64{1, 1, 1, 0} || o.Refused != 1 {
		t.Errorf("%+v", o)
	}
	if s = a.Flush(time.Now()); len(s.Events) != 0 || len(s.Checks) != 2 {
		t.Errorf("%+v", s)
	}
}

func TestMessagesAllocateNothing(t *testing.T) {
	a := New(Config{Tags: tagger{"web1": "w"}.ContainerTags})
	var p dogstatsd.Parser
	for _, line := range []string{"page.views:1|c|#a:b,c:d", "h:3.5|h|#x", "d:1:2:3|d|@0.5", "s:member|s", "g:1|g"} {
		l := []byte(line)
		if n := testing.AllocsPerRun(100, func() {
			_, _ = p.Parse(l)
			a.Lock()
			a.Metric(web1, &p.Metric)
			a.Unlock()
		}); n != 0 {
			t.Errorf("%v allocations for %q", n, line)
		}
	}
}

func BenchmarkMetric(b *testing.B) {
	for _, kind := range []string{"c", "g", "h", "d", "s"} {
		b.Run(kind, func(b *testing.B) {
			a := New(Config{})
			var p dogstatsd.Parser
			var lines [][]byte
			for i := range 1000 {
				lines = append(lines, fmt.Appendf(nil, "bench.metric.%d:%d|%s|#env:prod,service:shop,route:r%d,zone:z%d", i, i, kind, i%10, i%3))
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p.Parse(lines[i%1000])
				a.Lock()
				a.Metric(web1, &p.Metric)
				a.Unlock()
				i++
			}
		})
	}
}

func BenchmarkFlush(b *testing.B) {
	a := New(Config{})
	for b.Loop() {
		b.StopTimer()
		for i := range 10000 {
			statsd.Feed(b, a, web1, fmt.Sprintf("m%d:1|c|#a:b,c:d,e:f,g:h", i))
		}
		b.StartTimer()
		a.Flush(time.Now())
	}
}
