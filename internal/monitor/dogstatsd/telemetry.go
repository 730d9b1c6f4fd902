package dogstatsd

import (
	"sync"
	"sync/atomic"
	"time"
)

// counts is what a Server counts of itself.
type counts struct {
	processed  [kinds][sources]atomic.Uint64
	refused    [reasons]atomic.Uint64
	notFinite  atomic.Uint64 // single values
	mismatches atomic.Uint64
	rejected   atomic.Uint64 // messages refused for a mismatch

	datagram, stream, udp transport
	connections           atomic.Int64
}

// transport is what is counted of one listener.
type transport struct {
	packets, bytes atomic.Uint64
	truncated      atomic.Uint64 // packets longer than our buffer, or broken off
	lost           atomic.Uint64 // by the kernel, for want of room
	full           atomic.Uint64 // times that the queue was found full, so that senders had to wait or gave up
	originErrors   atomic.Uint64 // packets whose sender was not established
}

// Sample is one value of a Server's telemetry. All but gauges count from its start.
type Sample struct {
	Name  string
	Help  string
	Tags  []string
	Value float64
	Gauge bool
}

// helps say what is counted, by name.
var helps = map[string]string{
	"dogstatsd.processed":                  "Messages, by what became of them.",
	"dogstatsd.values_not_finite":          "Single values that were NaN or infinite.",
	"dogstatsd.origin_mismatches":          "Claims that contradict the kernel.",
	"dogstatsd.origin_mismatches_refused":  "Messages refused for a claim that contradicts the kernel.",
	"dogstatsd.uds_packets":                "Packets from Unix sockets; error: truncated, or a stream broken off.",
	"dogstatsd.udp_packets":                "Packets over UDP; error: truncated.",
	"dogstatsd.uds_packets_bytes":          "Bytes from Unix sockets.",
	"dogstatsd.udp_packets_bytes":          "Bytes over UDP.",
	"dogstatsd.udp_packets_lost":           "Datagrams over UDP that the kernel had no room for.",
	"dogstatsd.uds_queue_full":             "Times that the queue of a Unix socket was found full, so that senders waited or gave up.",
	"dogstatsd.uds_origin_detection_error": "Packets from Unix sockets whose sender was not established.",
	"dogstatsd.uds_connections_refused":    "Stream connections beyond a limit.",
	"dogstatsd.uds_connections":            "Open stream connections.",
}

// Telemetry returns what the Server counts of itself, in the names that users of
// Datadog's Agent know, and a few of our own.
func (s *Server) Telemetry() []Sample {
	var out []Sample
	add := func(name string, v uint64, tags ...string) {
		out = append(out, Sample{Name: name, Help: helps[name], Tags: tags, Value: float64(v)})
	}
	c := &s.counts
	for kind := range kinds {
		for source := range sources {
			add("dogstatsd.processed", c.processed[kind][source].Load(), "message_type:"+Kind(kind).String(), "state:ok", "origin:"+Source(source).String())
		}
	}
	for i := range reasons {
		if r := Reason(i); r != Parsed {
			add("dogstatsd.processed", c.refused[r].Load(), "message_type:"+r.kind().String(), "state:error", "reason:"+r.String())
		}
	}
	add("dogstatsd.values_not_finite", c.notFinite.Load())
	add("dogstatsd.origin_mismatches", c.mismatches.Load())
	add("dogstatsd.origin_mismatches_refused", c.rejected.Load())
	for _, l := range []struct {
		prefix, id string
		t          *transport
	}{{"dogstatsd.uds", "unixgram", &c.datagram}, {"dogstatsd.uds", "unix", &c.stream}, {"dogstatsd.udp", "udp", &c.udp}} {
		tag := "transport:" + l.id
		add(l.prefix+"_packets", l.t.packets.Load()-l.t.truncated.Load(), tag, "state:ok")
		add(l.prefix+"_packets", l.t.truncated.Load(), tag, "state:error")
		add(l.prefix+"_packets_bytes", l.t.bytes.Load(), tag)
	}
	add("dogstatsd.udp_packets_lost", c.udp.lost.Load(), "transport:udp")
	add("dogstatsd.uds_queue_full", c.datagram.full.Load(), "transport:unixgram")
	add("dogstatsd.uds_origin_detection_error", c.datagram.originErrors.Load(), "transport:unixgram")
	add("dogstatsd.uds_origin_detection_error", c.stream.originErrors.Load(), "transport:unix")
	add("dogstatsd.uds_connections_refused", s.conns.Refused(), "transport:unix")
	const connections = "dogstatsd.uds_connections"
	out = append(out, Sample{Name: connections, Help: helps[connections], Tags: []string{"transport:unix"}, Value: float64(c.connections.Load()), Gauge: true})
	return out
}

func (r Reason) kind() Kind {
	if r == badEventHeader || r == badEventLength {
		return KindEvent
	}
	if r == badCheck || r == BadStatus {
		return KindCheck
	}
	return KindMetric
}

// Refused is an example of lines that were refused for one reason.
type Refused struct {
	Reason Reason
	Line   string // as much as fits, quoted by whoever shows it
	Origin Origin
	At     time.Time
	Count  uint64 // of lines refused for this reason, since the start
}

// examples keeps a recent line for each reason.
type examples struct {
	mu   sync.Mutex
	last [reasons]Refused
}

// Between two examples of one reason. A flood of bad lines costs no more than
// its counting.
const exampleEvery = time.Second

func (x *examples) add(r Reason, line []byte, o *Origin) bool {
	const enough = 200
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	if now.Sub(x.last[r].At) < exampleEvery {
		return false
	}
	x.last[r] = Refused{Reason: r, Line: string(line[:min(len(line), enough)]), Origin: *o, At: now}
	return true
}

// Examples returns the latest example of each reason for which lines were refused.
func (s *Server) Examples() []Refused {
	s.examples.mu.Lock()
	defer s.examples.mu.Unlock()
	var out []Refused
	for _, r := range s.examples.last {
		if r.Reason != Parsed {
			r.Count = s.counts.refused[r.Reason].Load()
			out = append(out, r)
		}
	}
	return out
}
