package export

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/tag"
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
	series []*messages.Series
	labels []string // of each of them; "\x00": it is left out
	// part is the family of which this one has what a strict reader does not take there; nil: none.
	part *family
}

// Names that Prometheus gives to series of its own for each target.
var prometheusOwn = []string{
	"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added",
	"scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes", "ALERTS", "ALERTS_FOR_STATE",
}

// custom writes clients' metrics. Clients choose names, types and tags as they like,
// and not together: a name that is taken gets the kind appended, and a number if it must.
// Which of several has the plain name depends on the names alone.
func (p *page) custom(series []messages.Series, taken map[string]bool, dropped int) {
	for _, name := range prometheusOwn {
		taken[name] = true
	}
	const lost = "dogstatsd_series_dropped"
	taken[lost] = true
	all := families(series)
	for i := 0; i < len(all); i++ {
		f := all[i]
		f.find(taken)
		if f.part == nil {
			dropped += f.label()
			all = append(all, f.parts()...)
		}
		p.clientFamily(f)
	}
	p.heading(lost, "gauge", "Series and service checks that are not on this page because nothing told them from others.")
	p.sample(lost, "", "", "", float64(dropped))
}

// find gives a family a name that is free, and takes it.
func (f *family) find(taken map[string]bool) {
	plain := f.name
	for n := 1; slices.ContainsFunc(f.kind.names(f.name), func(n string) bool { return taken[n] }); n++ {
		f.name = plain + "_" + f.kind.String()
		if n > 1 {
			f.name += "_" + strconv.Itoa(n)
		}
	}
	for _, n := range f.kind.names(f.name) {
		taken[n] = true
	}
}

// families sorts series by what Prometheus will call them.
func families(series []messages.Series) []*family {
	type key struct {
		name string
		kind kind
	}
	all := make(map[key]*family, len(series))
	var out []*family
	var last *family
	for i := range series {
		s := &series[i]
		k := key{s.Family, kindOf(s.Type)}
		f := last
		if f == nil || f.name != k.name || f.kind != k.kind {
			if f = all[k]; f == nil {
				f = &family{name: k.name, kind: k.kind}
				all[k] = f
				out = append(out, f)
			}
		}
		f.series, last = append(f.series, s), f
	}
	slices.SortFunc(out, func(a, b *family) int { return cmp.Or(cmp.Compare(a.kind, b.kind), strings.Compare(a.name, b.name)) })
	return out
}

// leftOut is no label.
const leftOut = "\x00"

// label finds the labels of a family's series, and keeps them apart. It returns how many it
// had to leave out.
func (f *family) label() (dropped int) {
	f.labels = make([]string, len(f.series))
	if len(f.series) == 1 {
		f.labels[0] = f.series[0].Labels
		return 0
	}
	seen := make(labelSets, len(f.series))
	for _, i := range byRight(f.series) {
		s := f.series[i]
		var ok bool
		if f.labels[i], ok = seen.add(s.Labels, s.Name, s.Host, s.Tags); !ok {
			f.labels[i] = leftOut
			dropped++
		}
	}
	return dropped
}

// parts are the families that a family needs besides: a counter may not fall, so what negative
// counts take off is a counter of its own; and quantiles of a summary are not below 0.
func (f *family) parts() []*family {
	part := &family{name: f.name + "_negative", kind: counter, part: f}
	is := func(s *messages.Series) bool { return s.Off > 0 }
	switch f.kind {
	case counter:
	case summary:
		part.name, part.kind = f.name+"_quantile", gauge
		is = func(s *messages.Series) bool { return s.BelowZero && s.Recent.Known }
	case gauge, histogram:
		return nil
	}
	for i, s := range f.series {
		if is(s) && f.labels[i] != leftOut {
			part.series, part.labels = append(part.series, s), append(part.labels, f.labels[i])
		}
	}
	if len(part.series) == 0 {
		return nil
	}
	return []*family{part}
}

// clientFamily writes one.
func (p *page) clientFamily(f *family) {
	each := func(name string, kind kind, what string, write func(s *messages.Series, labels string)) {
		p.clientHeading(name, kind.String(), what, f.series[0].Name)
		for i, s := range f.series {
			if f.labels[i] != leftOut {
				write(s, f.labels[i])
			}
		}
	}
	switch {
	case f.part != nil && f.kind == counter:
		each(f.name, counter, "What negative values take off DogStatsD count ", func(s *messages.Series, l string) { p.sample(f.name+"_total", l, "", "", s.Off) })
	case f.part != nil:
		each(f.name, gauge, "Quantiles, some below 0, of DogStatsD histogram ", func(s *messages.Series, l string) { p.quantiles(f.name, l, s) })
	case f.kind == counter:
		total := f.name + "_total"
		each(f.name, counter, "DogStatsD count ", func(s *messages.Series, l string) { p.sample(total, l, "", "", s.Added) })
	case f.kind == gauge:
		each(f.name, gauge, "DogStatsD "+f.series[0].Type.String()+" ", func(s *messages.Series, l string) {
			v := s.Value
			if s.Type == dogstatsd.Set {
				v = s.Recent.Size
			}
			p.sample(f.name, l, "", "", v)
			p.at(s.At)
		})
	case f.kind == summary:
		each(f.name, summary, "DogStatsD histogram ", func(s *messages.Series, l string) { p.summary(f.name, l, s) })
		recent := func(name, what string, of func(r *messages.Recent) float64) {
			each(name, gauge, what+" of DogStatsD histogram ", func(s *messages.Series, l string) {
				if s.Recent.Known {
					p.sample(name, l, "", "", of(&s.Recent))
				}
			})
		}
		recent(f.name+"_max", "Greatest recent value", func(r *messages.Recent) float64 { return r.Max })
		recent(f.name+"_avg", "Mean in an interval", func(r *messages.Recent) float64 { return r.Avg })
	case f.kind == histogram:
		each(f.name, histogram, "DogStatsD distribution ", func(s *messages.Series, l string) { p.buckets(f.name, l, s) })
	}
}

// byRight orders series by their right to plain labels: what we say of a container goes before
// what a client says, however that is spelled.
func byRight(series []*messages.Series) []int {
	order := make([]int, len(series))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(series[j].Given, series[i].Given) })
	return order
}

// summary writes the median and the 95th percentile, and the sum and the count of all. A sum that
// may fall is none.
func (p *page) summary(name, labels string, s *messages.Series) {
	if s.Recent.Known && !s.BelowZero {
		p.quantiles(name, labels, s)
	}
	if !s.BelowZero {
		p.sample(name+"_sum", labels, "", "", s.TotalSum)
	}
	p.sample(name+"_count", labels, "", "", whole(s.TotalCount))
}

func (p *page) quantiles(name, labels string, s *messages.Series) {
	p.sample(name, labels, "quantile", "0.5", s.Recent.Median)
	p.sample(name, labels, "quantile", "0.95", s.Recent.P95)
}

// labelSets are those that are in use in a family.
type labelSets map[string]bool

// add keeps sets of labels apart: where two differ only in what Prometheus cannot tell, the
// later has its own words in a label dogstatsd_series. False if that does not help.
func (seen labelSets) add(labels, name, host string, tags []tag.Tag) (string, bool) {
	if seen[labels] {
		if labels != "" {
			labels += ","
		}
		labels = string(tag.AppendLabel([]byte(labels), tag.SeriesLabel, own(name, host, tags)))
	}
	if seen[labels] {
		return "", false
	}
	seen[labels] = true
	return labels, true
}

// own is a series in its client's words, if they are few; else some of them and a sum.
func own(name, host string, tags []tag.Tag) string {
	words := []string{name, host}
	for _, t := range tags {
		words = append(words, strings.TrimSuffix(t.String(), ":"))
	}
	all := strings.Join(words, "|")
	const few = 40
	if len(all) <= few && utf8.ValidString(all) {
		return all
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(all)) // it never fails
	return fmt.Sprintf("%s~%016x", strings.ToValidUTF8(all[:min(few, len(all))], "?"), sum.Sum64())
}
