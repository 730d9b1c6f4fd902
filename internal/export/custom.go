package export

import (
	"cmp"
	"slices"
	"strings"

	"vitrine/internal/aggregate"
	"vitrine/internal/dogstatsd"
	"vitrine/internal/tag"
)

// kind is what Prometheus makes of a DogStatsD type. The first in this order has
// the better claim to a name.
type kind int

const (
	counter kind = iota
	gauge
	summary
	histogram
)

func (k kind) String() string { return [...]string{"counter", "gauge", "summary", "histogram"}[k] }

func kindOf(t dogstatsd.Type) kind {
	switch t {
	case dogstatsd.Count:
		return counter
	case dogstatsd.Histogram:
		return summary
	case dogstatsd.Distribution:
		return histogram
	case dogstatsd.Gauge, dogstatsd.Set:
	}
	return gauge
}

// names are all that samples of a family may be called, and the family itself. Two
// families may not share one, or a strict reader refuses the page. We write no
// _created, but OpenMetrics keeps that name for us.
func (k kind) names(family string) []string {
	switch k {
	case counter:
		return []string{family, family + "_total", family + "_created"}
	case summary:
		return []string{family, family + "_sum", family + "_count", family + "_created", family + "_max", family + "_avg"}
	case histogram:
		return []string{family, family + "_sum", family + "_count", family + "_created", family + "_bucket"}
	case gauge:
	}
	return []string{family}
}

// family is what Prometheus knows as one metric.
type family struct {
	name   string
	kind   kind
	series []*aggregate.CustomSeries
}

// Names that Prometheus gives to series of its own for each target.
var prometheusOwn = []string{
	"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added",
	"scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes", "ALERTS", "ALERTS_FOR_STATE",
}

// custom writes clients' metrics. Clients choose names, types and tags as they like,
// and not together: a name that is taken gets the kind appended, as often as it
// takes. Which of several has the plain name depends on the names alone.
func (p *page) custom(series []aggregate.CustomSeries, taken map[string]bool, dropped int) {
	for _, name := range prometheusOwn {
		taken[name] = true
	}
	const lost = "dogstatsd_series_dropped"
	taken[lost] = true
	for _, f := range families(series) {
		for slices.ContainsFunc(f.kind.names(f.name), func(n string) bool { return taken[n] }) {
			f.name += "_" + f.kind.String()
		}
		for _, n := range f.kind.names(f.name) {
			taken[n] = true
		}
		dropped += p.customFamily(f)
	}
	p.heading(lost, "gauge", "Series that are not on this page because Prometheus could not tell them from others.")
	p.sample(lost, "", "", "", float64(dropped))
}

// families sorts series by what Prometheus will call them.
func families(series []aggregate.CustomSeries) []*family {
	type key struct {
		name string
		kind kind
	}
	all := map[key]*family{}
	var out []*family
	for i := range series {
		s := &series[i]
		k := key{metricName(s.Name), kindOf(s.Type)}
		if k.kind == counter {
			k.name = cmp.Or(strings.TrimSuffix(k.name, "_total"), "_")
		}
		if all[k] == nil {
			all[k] = &family{name: k.name, kind: k.kind}
			out = append(out, all[k])
		}
		all[k].series = append(all[k].series, s)
	}
	slices.SortFunc(out, func(a, b *family) int { return cmp.Or(cmp.Compare(a.kind, b.kind), strings.Compare(a.name, b.name)) })
	return out
}

// metricName makes a client's name one of Prometheus's: "page.views" is page_views.
func metricName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, name)
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}

// customFamily writes one family, and returns how many series it had to leave out.
func (p *page) customFamily(f *family) (dropped int) {
	labels := make([]string, len(f.series))
	ok := make([]bool, len(f.series))
	seen := labelSets{}
	for _, i := range byRight(f.series) {
		s := f.series[i]
		if labels[i], ok[i] = seen.labels(s.Name, s.Host, s.Tags); !ok[i] {
			dropped++
		}
	}
	each := func(heading, kind, what string, write func(s *aggregate.CustomSeries, labels string)) {
		p.clientHeading(heading, kind, what+" "+f.series[0].Name+".")
		for i, s := range f.series {
			if ok[i] {
				write(s, labels[i])
			}
		}
	}
	switch f.kind {
	case counter:
		each(f.name, "counter", "DogStatsD count", func(s *aggregate.CustomSeries, l string) { p.sample(f.name+"_total", l, "", "", s.Total) })
	case gauge:
		each(f.name, "gauge", "DogStatsD "+f.series[0].Type.String(), func(s *aggregate.CustomSeries, l string) {
			p.sample(f.name, l, "", "", s.Value)
			p.at(s.At)
		})
	case summary:
		each(f.name, "summary", "DogStatsD histogram", func(s *aggregate.CustomSeries, l string) { p.summary(f.name, l, s) })
		each(f.name+"_max", "gauge", "Greatest value in the interval of DogStatsD histogram", func(s *aggregate.CustomSeries, l string) {
			if s.Seen {
				p.sample(f.name+"_max", l, "", "", s.Max)
			}
		})
		each(f.name+"_avg", "gauge", "Mean in the interval of DogStatsD histogram", func(s *aggregate.CustomSeries, l string) {
			if s.Seen {
				p.sample(f.name+"_avg", l, "", "", s.Avg())
			}
		})
	case histogram:
		each(f.name, "histogram", "DogStatsD distribution", func(s *aggregate.CustomSeries, l string) { p.buckets(f.name, l, s) })
	}
	return dropped
}

// byRight orders series by their right to plain labels: what we say of a container goes before
// what a client says, however that is spelled.
func byRight(series []*aggregate.CustomSeries) []int {
	order := make([]int, len(series))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(series[j].Given, series[i].Given) })
	return order
}

// summary writes the median and the 95th percentile of the interval, if it had
// any values, and the sum and the count of all.
func (p *page) summary(name, labels string, s *aggregate.CustomSeries) {
	if s.Seen {
		p.sample(name, labels, "quantile", "0.5", s.Quantile(0.5))
		p.sample(name, labels, "quantile", "0.95", s.Quantile(0.95))
	}
	p.sample(name+"_sum", labels, "", "", s.TotalSum)
	p.sample(name+"_count", labels, "", "", s.TotalCount)
}

// ownLabel keeps series apart that are one to Prometheus.
const ownLabel = "dogstatsd_series"

// labelSets are those that are in use in a family.
type labelSets map[string]bool

// labels makes labels of tags and of what we say more, and keeps the sets apart: where two differ only
// in what Prometheus cannot tell, the later has its own words in a label
// dogstatsd_series. False if that does not help.
func (seen labelSets) labels(name, host string, tags []tag.Tag, more ...[2]string) (string, bool) {
	type label struct{ name, value string }
	var all []label
	for _, l := range more {
		all = append(all, label{l[0], l[1]})
	}
	if host != "" {
		all = append(all, label{"host", host})
	}
	for _, t := range tags {
		l := label{tag.Name(t.Key), cmp.Or(t.Value, "true")} // an empty label is none
		if slices.Contains(more, [2]string{l.name, l.value}) {
			continue
		}
		if l.name == "le" || l.name == "quantile" || l.name == ownLabel || slices.ContainsFunc(more, func(m [2]string) bool { return m[0] == l.name }) {
			l.name = "exported_" + l.name
		}
		all = append(all, l)
	}
	slices.SortStableFunc(all, func(a, b label) int { return strings.Compare(a.name, b.name) })
	var out page
	sep := byte('{')
	for i := 0; i < len(all); {
		end := i + 1
		values := []string{all[i].value}
		for ; end < len(all) && all[end].name == all[i].name; end++ {
			values = append(values, all[end].value)
		}
		out.label(&sep, all[i].name, strings.Join(values, ","))
		i = end
	}
	key := strings.TrimPrefix(string(out.b), "{")
	if seen[key] {
		out.label(&sep, ownLabel, own(name, host, tags))
		key = strings.TrimPrefix(string(out.b), "{")
	}
	if seen[key] {
		return "", false
	}
	seen[key] = true
	return key, true
}

// own is a series in its client's words.
func own(name, host string, tags []tag.Tag) string {
	words := []string{name, host}
	for _, t := range tags {
		words = append(words, strings.TrimSuffix(t.String(), ":"))
	}
	return strings.Join(words, "|")
}
