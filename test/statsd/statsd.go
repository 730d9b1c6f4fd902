// Package statsd hands lines of DogStatsD to whoever adds them up, for tests: parsed, each as from an origin that the test
// names, and without a socket.
package statsd

import (
	"testing"

	"vitrine/internal/monitor/dogstatsd"
)

// Feed hands lines on. The test ends if one of them is none.
func Feed(tb testing.TB, to dogstatsd.Sink, from *dogstatsd.Origin, lines ...string) {
	tb.Helper()
	var p dogstatsd.Parser
	to.Lock()
	defer to.Unlock()
	for _, line := range lines {
		if reason := hand(&p, to, from, line); reason != dogstatsd.Parsed {
			tb.Fatalf("%.100q: %v", line, reason)
		}
	}
}

// Try hands one line on if it is one.
func Try(to dogstatsd.Sink, from *dogstatsd.Origin, line string) {
	to.Lock()
	defer to.Unlock()
	hand(new(dogstatsd.Parser), to, from, line)
}

func hand(p *dogstatsd.Parser, to dogstatsd.Sink, from *dogstatsd.Origin, line string) dogstatsd.Reason {
	kind, reason := p.Parse([]byte(line))
	if reason != dogstatsd.Parsed {
		return reason
	}
	switch kind {
	case dogstatsd.KindMetric:
		to.Metric(from, &p.Metric)
	case dogstatsd.KindEvent:
		to.Event(from, &p.Event)
	case dogstatsd.KindCheck:
		to.Check(from, &p.Check)
	}
	return reason
}
