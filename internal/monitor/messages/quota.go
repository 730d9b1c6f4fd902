package messages

import (
	"strings"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/tag"
)

// What a sender has taken is counted in bytes of the page that Prometheus reads, as that is what
// it costs us and Prometheus at each scrape: a whole quota of 20000 units is a page of less than 5 MB.
const (
	unit = 240 // bytes

	nearlyFull = 16 * unit

	// BucketsMost is how many bounds of a distribution are on the page at most, without +Inf.
	BucketsMost = 26
	// seriesLabelMost is how long the label can be that keeps series apart that are one to
	// Prometheus, in bytes.
	seriesLabelMost = 128
	// HelpMost is how much of a client's name is in a help text, in bytes.
	HelpMost = 100

	valueMost = 24 // bytes of a number
)

// checkRest is what the line of a service check has besides its own labels, in bytes: a name, and its
// sender.
const checkRest = 170

// form is how series of a type are on the page: how many lines and headings, what is in each of
// them besides names, labels and numbers, in bytes, and what a short one costs all the same.
type form struct{ lines, rest, headings, words, least int }

func formOf(t dogstatsd.Type) form {
	switch t {
	case dogstatsd.Histogram: // two quantiles, sum, count, greatest, mean; its sketch counts too
		return form{6, 22, 4, 100, 4 * unit}
	case dogstatsd.Distribution: // and +Inf, sum, count
		return form{BucketsMost + 3, 26, 1, 64, 8 * unit}
	case dogstatsd.Count, dogstatsd.Gauge, dogstatsd.Set:
	}
	return form{1, 16, 1, 56, unit}
}

// price is what a series costs. Of two that are one to Prometheus, one has a label more.
func (s *series) price(twin bool) int {
	of := formOf(s.Type)
	line := len(s.Family) + len(s.Labels) + of.rest + valueMost
	if twin {
		line += seriesLabelMost
	}
	heading := 2*len(s.Family) + min(2*len(s.Name), HelpMost) + of.words
	return max(of.least, of.lines*line+of.headings*heading)
}

// pool is something that is limited for each origin and for all of them together.
type pool struct {
	one, all       int // how much one origin may have, and all may
	used, unproven int // what all have, and the part of it of those whom the kernel did not establish
}

// newPool lets all together have ten times as much as one, and half of that those who are not established by the kernel.
func newPool(one int) pool { return pool{one: one, all: 10 * one} }

// take gives an origin, which has so much already, n more if it may have them.
func (p *pool) take(from *origin, has *int, n int) bool {
	if *has+n > p.one || p.used+n > p.all {
		return false
	}
	// Who may claim to be anybody has as many quotas as there are containers.
	if from.key.source != dogstatsd.SourceKernel && p.unproven+n > max(p.one, p.all/2) {
		return false
	}
	p.add(from, has, n)
	return true
}

func (p *pool) giveBack(from *origin, has *int, n int) { p.add(from, has, -n) }

func (p *pool) add(from *origin, has *int, n int) {
	*has += n
	p.used += n
	if from.key.source != dogstatsd.SourceKernel {
		p.unproven += n
	}
}

// familyOf is what Prometheus calls a metric, without a counter's _total.
func familyOf(name string, t dogstatsd.Type) string {
	name = tag.MetricName(name)
	if t != dogstatsd.Count {
		return name
	}
	if short := strings.TrimSuffix(name, "_total"); short != "" {
		return short
	}
	return "_"
}
