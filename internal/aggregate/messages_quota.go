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

// pool is something that is limited for each origin and for all of them together.
type pool struct {
	one, all       int // how much one origin may have, and all may
	used, unproven int // what all have, and the part of it of those whom the kernel did not establish
}

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
