package aggregate

import (
	"unicode/utf8"

	"vitrine/internal/dogstatsd"
	"vitrine/internal/tag"
)

// keyUnit is how many bytes of name and tags cost as much again. They are on each
// line of a series, of which a distribution has dozens.
const keyUnit = 256

// room is how long a name and its tags are on the page, in bytes, at least: what
// is no text is escaped there, and five times as long. Of the tags that the sender's
// container has, which are as long as that likes, some are free.
func room(sent []byte, tags []tag.Tag) int {
	const free = 2048
	size := len(sent)
	if !utf8.Valid(sent) {
		size *= 5
	}
	all := 0
	for _, t := range tags {
		all += len(t.Key) + len(t.Value)
	}
	return max(size, all-free)
}

func cost(t dogstatsd.Type) int {
	switch t {
	case dogstatsd.Histogram:
		return 4
	case dogstatsd.Distribution:
		return 8
	case dogstatsd.Count, dogstatsd.Gauge, dogstatsd.Set:
	}
	return 1
}

func (a *Messages) charge(from *origin, cost int) bool {
	if from.used+cost > a.cfg.Quota || a.used+cost > a.cfg.Most {
		return false
	}
	// Who may claim to be anybody has as many quotas as there are containers.
	if from.key.source != dogstatsd.SourceKernel && a.unproven+cost > max(a.cfg.Quota, a.cfg.Most/2) {
		return false
	}
	a.book(from, cost)
	return true
}

func (a *Messages) release(from *origin, cost int) { a.book(from, -cost) }

func (a *Messages) book(from *origin, cost int) {
	from.used += cost
	a.used += cost
	if from.key.source != dogstatsd.SourceKernel {
		a.unproven += cost
	}
}
