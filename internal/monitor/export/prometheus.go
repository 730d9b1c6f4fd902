// Package export shows the series of the last interval, of containers and host and of what DogStatsD clients
// sent: as a page for Prometheus to scrape, as JSON, as a table for people, and as what package otlp sends.
//
// The page is written straight from the series, and not with client_golang's
// registry, which would make a tree of all of them for each scrape: 60 series of each of
// 1000 containers would then cost more memory than all the rest of the monitor. What
// client_golang knows better, the monitor's own process, it writes into the same page.
//
// A page is made whole before it is sent, so a slow reader delays nobody. Label
// values may hold any bytes (containers choose some of them), and are escaped.
package export

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/series"
	"vitrine/internal/monitor/tag"
)

// scrapes is how many pages may be made at once.
const scrapes = 4

// Metrics is the page for Prometheus, in its text format, in OpenMetrics, or in protobuf with native histograms. d is
// what DogStatsD clients sent, and self has the metrics of the monitor's own process;
// either may be nil.
func Metrics(a *series.Aggregator, d *DogStatsD, self prometheus.Gatherer) http.Handler {
	var text, binary spare
	return atMost(scrapes, func(w http.ResponseWriter, r *http.Request) {
		format := expfmt.NegotiateAccept(r.Header, expfmt.NewFormat(expfmt.TypeTextPlain), expfmt.NewFormat(expfmt.TypeOpenMetrics), expfmt.NewFormat(expfmt.TypeProtoDelim))
		open := format.FormatType() == expfmt.TypeOpenMetrics
		spare := &text
		if format.FormatType() == expfmt.TypeProtoDelim {
			spare = &binary
		}
		p := spare.take()
		p.open = open
		if spare == &binary && p.delimited == nil {
			p.delimited = &delimited{}
		}
		a.Look(func(v *series.View) { p.view(v, a.Table()) })
		taken, err := p.gather(self, format)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if d != nil {
			for _, m := range append(a.Table().Containers(), a.Table().Others()...) {
				take(taken, m.Prom)
			}
			taken[statusName], taken[infoName], taken[strings.TrimSuffix(infoName, "_info")] = true, true, true
			p.dogstatsd(d, d.read(r), containerNames(a), taken)
		}
		done, err := p.end()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", string(format))
		_, _ = w.Write(done) // the reader left
		spare.keep(p, len(done))
	})
}

// spare keeps what the last page was made in for the next one: a new one each time would be most of our garbage, and of our memory.
type spare struct{ kept atomic.Pointer[page] }

func (s *spare) take() *page {
	p := s.kept.Swap(nil)
	if p == nil {
		return &page{}
	}
	p.b = p.b[:0]
	if p.delimited != nil {
		p.delimited.done.Reset()
		p.delimited.err = nil
	}
	return p
}

// keep keeps a page that was sent, unless it is far larger than what it held.
func (s *spare) keep(p *page, held int) {
	const slack = 64 << 10
	room := cap(p.b)
	if p.delimited != nil {
		room = p.delimited.done.Cap()
	}
	if room <= 2*held+slack {
		s.kept.Store(p)
	}
}

// page is one that is being made.
type page struct {
	b         []byte
	open      bool       // OpenMetrics
	delimited *delimited // protobuf; nil: text
}

// end is the whole page.
func (p *page) end() ([]byte, error) {
	p.begin()
	switch {
	case p.delimited != nil:
		return p.delimited.done.Bytes(), p.delimited.err
	case p.open:
		p.b = append(p.b, "# EOF\n"...)
	}
	return p.b, nil
}

// Write appends, and never fails.
func (p *page) Write(b []byte) (int, error) {
	p.b = append(p.b, b...)
	return len(b), nil
}

func (p *page) view(v *series.View, t *collect.Table) {
	if v.Time.IsZero() {
		return
	}
	var named []*series.Container
	for i, c := range v.Containers {
		if c.Name != "" && (i == 0 || v.Containers[i-1].Name != c.Name) { // two have one name while one is renamed
			named = append(named, c)
		}
	}
	for _, m := range t.Containers() {
		begun := false
		for _, c := range named {
			p.family(m, c.Series, c.Name, &begun)
		}
	}
	p.info(named)
	for _, m := range t.Others() {
		begun := false
		p.family(m, v.Rest, "", &begun)
	}
	p.heading(statusName, "gauge", statusHelp)
	p.statuses(v.Checks, "")
	for _, c := range named {
		p.statuses(c.Checks, c.Name)
	}
}

// statusName is the metric that has the service checks.
const (
	statusName = "docker_service_check_status"
	statusHelp = "Status of a service check: 0 ok, 1 warning, 2 critical, 3 unknown."
)

func (p *page) statuses(checks []messages.Check, container string) {
	for i := range checks {
		p.b = append(p.b, statusName...)
		sep := byte('{')
		p.label(&sep, "check", checks[i].Name)
		if container != "" {
			p.label(&sep, "container_name", container)
		}
		p.value(sep, float64(checks[i].Status))
	}
}

// family writes those of a metric among series; its heading before the first.
func (p *page) family(m *collect.Metric, series []series.Sample, container string, begun *bool) {
	for i := range series {
		s := &series[i]
		if s.Metric != m {
			continue
		}
		if !*begun {
			kind := "gauge"
			if m.Counter() {
				kind = "counter"
			}
			p.heading(m.Prom, kind, m.Help)
			*begun = true
		}
		p.b = append(p.b, m.Prom...)
		sep := byte('{')
		if container != "" {
			p.label(&sep, "container_name", container)
		}
		for j, name := range m.Labels {
			p.label(&sep, name, s.Labels[j])
		}
		p.value(sep, s.Value)
	}
}

// heading writes what Prometheus shows of a metric. OpenMetrics knows a counter
// without its _total, and has units.
func (p *page) heading(name, kind, help string) {
	p.begin()
	if p.open {
		name = strings.TrimSuffix(strings.TrimSuffix(name, "_total"), "_info")
	}
	fmt.Fprintf(p, "# HELP %s %s\n# TYPE %s %s\n", name, p.help(help), name, kind)
	if unit := unit(name); p.open && unit != "" {
		fmt.Fprintf(p, "# UNIT %s %s\n", name, unit)
	}
}

var (
	helpText = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	openText = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// help escapes a text; only OpenMetrics knows of quotes in it.
func (p *page) help(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if p.open {
		return openText.Replace(text)
	}
	return helpText.Replace(text)
}

// unit is the base unit that a metric's name ends with; "" if it has none.
func unit(prom string) string {
	prom = strings.TrimSuffix(prom, "_total")
	for _, unit := range []string{"bytes", "seconds", "ratio"} {
		if strings.HasSuffix(prom, "_"+unit) {
			return unit
		}
	}
	return ""
}

func (p *page) label(sep *byte, name, value string) {
	p.b = tag.AppendLabel(append(p.b, *sep), name, value)
	*sep = ','
}

// value ends a line; sep tells whether there were labels.
func (p *page) value(sep byte, v float64) {
	if sep == ',' {
		p.b = append(p.b, '}')
	}
	p.b = append(p.b, ' ')
	p.b = strconv.AppendFloat(p.b, v, 'g', -1, 64)
	p.b = append(p.b, '\n')
}

// infoName is the metric that has a container's tags as labels, to join with.
const (
	infoName = "docker_container_info"
	infoHelp = "Tags of the container, see docs/tags.md; always 1."
)

func (p *page) info(containers []*series.Container) {
	seen := map[string]bool{}
	for i, c := range containers {
		if i == 0 {
			kind := "gauge"
			if p.open {
				kind = "info"
			}
			p.heading(infoName, kind, infoHelp)
		}
		p.b = append(p.b, infoName...)
		sep := byte('{')
		p.label(&sep, "container_name", c.Name)
		clear(seen)
		seen["container_name"] = true
		for key, values := range tag.ByKey(c.High) {
			if name := tag.Name(key); !seen[name] { // else two keys that Prometheus can't tell apart
				seen[name] = true
				p.label(&sep, name, strings.Join(values, ","))
			}
		}
		p.value(sep, 1)
	}
}

// untyped makes a counter a metric of no type. OpenMetrics knows a counter without its _total, and
// refuses the page if a gauge has that name, as go_memstats_alloc_bytes does.
func untyped(f *dto.MetricFamily) {
	if f.GetName() == strings.TrimSuffix(f.GetName(), "_total") {
		return
	}
	f.Type = dto.MetricType_UNTYPED.Enum()
	for _, m := range f.GetMetric() {
		v := m.GetCounter().GetValue()
		m.Untyped, m.Counter = &dto.Untyped{Value: &v}, nil
	}
}

// gather writes the metrics of our own process, and returns their names.
func (p *page) gather(self prometheus.Gatherer, format expfmt.Format) (names map[string]bool, err error) {
	names = map[string]bool{}
	if self == nil {
		return names, nil
	}
	families, err := self.Gather()
	if err != nil {
		return nil, fmt.Errorf("gather metrics of our own process: %w", err)
	}
	var to io.Writer = p
	if p.begin(); p.delimited != nil {
		to = &p.delimited.done
	}
	enc := expfmt.NewEncoder(to, format)
	for _, f := range families {
		names[f.GetName()] = true
	}
	for _, f := range families {
		if p.open && names[strings.TrimSuffix(f.GetName(), "_total")] && f.GetType() == dto.MetricType_COUNTER {
			untyped(f)
		}
		if err := enc.Encode(f); err != nil {
			return nil, fmt.Errorf("write metrics of our own process: %w", err)
		}
		for _, suffix := range []string{"", "_sum", "_count", "_bucket"} {
			names[f.GetName()+suffix], names[strings.TrimSuffix(f.GetName(), "_total")] = true, true
		}
	}
	return names, nil
}
