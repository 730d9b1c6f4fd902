package dogstatsd

import (
	"bytes"
	"log/slog"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/statsd_exporter/pkg/event"
	"github.com/prometheus/statsd_exporter/pkg/line"

	"vitrine/internal/monitor/tag"
)

// common says whether a line that we understood is in the subset that
// statsd_exporter understands too. Left out, as it differs by intent there:
// sets, events, checks, cardinality and external data, unknown and empty
// fields, packed counters and gauges, a timestamp in front of a bad one, more
// than four fields, tags in the style of others, values that are skipped.
func common(l []byte, m *Metric) bool {
	packed := bytes.IndexByte(l[len(m.Name)+1:bytes.IndexByte(l, '|')], ':') >= 0
	switch {
	case m.Type == Set, m.Cardinality != tag.Unset, len(m.External) > 0, m.Skipped > 0,
		packed, !utf8.Valid(l), bytes.Count(l, []byte("|")) > 5, m.Rate < 0.01 || m.Rate > 1:
		return false
	}
	_, fields := cutField(l[bytes.IndexByte(l, '|')+1:])
	seen := ""
	for len(fields) > 0 {
		var f []byte
		f, fields = cutField(fields)
		known := len(f) > 1 && (strings.IndexByte("@#T", f[0]) >= 0 || len(f) > 2 && f[0] == 'c' && f[1] == ':')
		if !known || strings.IndexByte(seen, f[0]) >= 0 {
			return false
		}
		seen += string(f[:1])
	}
	if !bytes.Contains(l, []byte("|#")) && bytes.IndexByte(l[len(m.Name)+1:], ':') >= 0 {
		return false // it splits such a line into several samples
	}
	return l[len(l)-1] != '|'
}

// FuzzAgainstStatsdExporter holds our reading of a line against that of
// statsd_exporter: value, rate and tags.
func FuzzAgainstStatsdExporter(f *testing.F) {
	for _, l := range steady {
		f.Add([]byte(l))
	}
	f.Add([]byte("a:1.5|g|#k:v|c:abc|T5|@0.5"))
	f.Add([]byte("a:3|ms|@0.1"))
	theirs := line.NewParser()
	theirs.EnableDogstatsdParsing()
	sampleErrors := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "e"}, []string{"reason"})
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "c"})
	log := slog.New(slog.DiscardHandler)

	f.Fuzz(func(t *testing.T, l []byte) {
		if bytes.ContainsAny(l, "\r\n") {
			return
		}
		var p Parser
		kind, reason := p.Parse(l)
		if kind != KindMetric || reason != Parsed || !common(l, &p.Metric) {
			return
		}
		m := &p.Metric
		events := theirs.LineToEvents(string(l), *sampleErrors, counter, counter, counter, log)
		if len(events) == 0 {
			t.Fatalf("%q: %+v, and statsd_exporter refuses it", l, m)
		}
		checkSame(t, l, m, events)
	})
}

func checkSame(t *testing.T, l []byte, m *Metric, events event.Events) {
	want := m.Values[0]
	switch kind, _ := cutField(l[bytes.IndexByte(l, '|')+1:]); {
	case m.Type == Count:
		want /= m.Rate
	case string(kind) == "ms":
		want /= 1000 // it converts to seconds
	}
	if n := int(1 / m.Rate); (m.Type == Histogram || m.Type == Distribution) && len(events) != n {
		t.Fatalf("%q: %d events for rate %v", l, len(events), m.Rate)
	}
	if got := events[0].Value(); math.Float64bits(got) != math.Float64bits(want) {
		t.Fatalf("%q: %v, statsd_exporter says %v", l, want, got)
	}
	if got := events[0].MetricName(); got != string(m.Name) {
		t.Fatalf("%q: name %q, statsd_exporter says %q", l, m.Name, got)
	}
	labels := events[0].Labels()
	if len(m.Local) > 0 && !bytes.Contains(m.Tags, []byte("container_id:")) && labels["container_id"] != string(m.Local) {
		t.Fatalf("%q: c:%s, statsd_exporter says %v", l, m.Local, labels)
	}
	for tag := range m.Tags.All() {
		k, v, ok := strings.Cut(strings.TrimPrefix(string(tag), "#"), ":")
		if !ok || k == "" || v == "" || strings.ContainsFunc(k, notPlain) || bytes.Count(m.Tags, []byte(k+":")) > 1 || k == "container_id" {
			continue // dropped or renamed there
		}
		if labels[k] != v {
			t.Fatalf("%q: tag %q, statsd_exporter says %v", l, tag, labels)
		}
	}
}

func notPlain(r rune) bool { return r < 'a' || r > 'z' }
