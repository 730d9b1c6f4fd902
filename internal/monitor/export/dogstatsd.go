package export

import (
	"cmp"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/tag"
)

// DogStatsD is what the page shows of DogStatsD clients.
type DogStatsD struct {
	Latest    func() *messages.Snapshot
	Read      func(reader string) *messages.Snapshot // Latest, for one who comes again and again; nil: Latest
	Telemetry func() []dogstatsd.Sample
	Examples  func() []dogstatsd.Refused
	Quota     int // of each sender
}

// read is the snapshot for a request. A reader is known by its address without the port, as it
// may connect anew each time, and by what it calls itself.
func (d *DogStatsD) read(r *http.Request) *messages.Snapshot {
	if d.Read == nil {
		return d.Latest()
	}
	const enough = 100 // of what it calls itself
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	agent := r.UserAgent()
	return d.Read(host + " " + agent[:min(len(agent), enough)])
}

// dogstatsd writes all of it. names are containers' by id.
func (p *page) dogstatsd(d *DogStatsD, s *messages.Snapshot, names map[string]string, taken map[string]bool) {
	p.telemetry(d.Telemetry(), taken)
	names = distinct(s.Origins, names)
	p.origins(s.Origins, names, taken)
	dropped := p.checks(s.Checks, names, taken)
	p.custom(s.Series, taken, dropped)
}

// telemetry writes what the server counts of itself. Samples of one name may be apart.
func (p *page) telemetry(samples []dogstatsd.Sample, taken map[string]bool) {
	slices.SortStableFunc(samples, func(a, b dogstatsd.Sample) int { return cmp.Compare(a.Name, b.Name) })
	for i, s := range samples {
		name, kind := strings.ReplaceAll(s.Name, ".", "_"), "counter"
		if s.Gauge {
			kind = "gauge"
		} else {
			name += "_total"
		}
		if i == 0 || samples[i-1].Name != s.Name {
			p.ours(taken, name, kind, s.Help)
		}
		p.b = append(p.b, name...)
		sep := byte('{')
		for _, t := range s.Tags {
			key, value, _ := strings.Cut(t, ":")
			p.label(&sep, key, value)
		}
		p.value(sep, s.Value)
	}
}

// ours writes the heading of a metric that is not a client's, and takes its name.
func (p *page) ours(taken map[string]bool, name, kind, help string) {
	take(taken, name)
	p.heading(name, kind, help)
}

// take takes a name of ours, and what OpenMetrics keeps for a counter.
func take(taken map[string]bool, name string) {
	taken[name] = true
	if family, ok := strings.CutSuffix(name, "_total"); ok {
		taken[family], taken[family+"_created"] = true, true
	}
}

// ofOrigin is one value of a sender.
type ofOrigin struct {
	labels [][2]string
	value  float64
}

// originMetrics are what there is to say of each sender.
var originMetrics = []struct {
	name, kind, help string
	values           func(o *messages.Usage) []ofOrigin
}{
	{"dogstatsd_contexts", "gauge", "Contexts that a sender has now.", func(o *messages.Usage) []ofOrigin { return one(float64(o.Contexts)) }},
	{"dogstatsd_quota_used", "gauge", "What a sender has taken of its quota.", func(o *messages.Usage) []ofOrigin { return one(float64(o.Used)) }},
	{"dogstatsd_messages_refused_total", "counter", "Messages refused because a sender's quota was used up.", func(o *messages.Usage) []ofOrigin { return one(float64(o.Refused)) }},
	{"dogstatsd_timestamps_refused_total", "counter", "Gauge values with a time more than an hour behind ours, or more than a minute ahead.", func(o *messages.Usage) []ofOrigin { return one(float64(o.Untimely)) }},
	{"dogstatsd_events_total", "counter", "Events that a sender has sent.", func(o *messages.Usage) []ofOrigin {
		return counted(o.Events[:], "alert_type", func(i int) string { return dogstatsd.AlertType(i).String() })
	}},
	{"dogstatsd_service_checks_total", "counter", "Results of service checks that a sender has sent.", func(o *messages.Usage) []ofOrigin {
		return counted(o.Checks[:], "status", func(i int) string { return dogstatsd.Status(i).String() })
	}},
}

func one(v float64) []ofOrigin { return []ofOrigin{{nil, v}} }

// origins writes what each sender has sent, and has taken of its quota.
func (p *page) origins(origins []messages.Usage, names map[string]string, taken map[string]bool) {
	for _, m := range originMetrics {
		p.ours(taken, m.name, m.kind, m.help)
		for i := range origins {
			o := &origins[i]
			for _, v := range m.values(o) {
				p.b = append(p.b, m.name...)
				sep := byte('{')
				p.label(&sep, "origin", o.Source.String())
				if o.Container != "" {
					p.label(&sep, "container_name", cmp.Or(names[o.Container], o.Container))
				}
				for _, l := range v.labels {
					p.label(&sep, l[0], l[1])
				}
				p.value(sep, v.value)
			}
		}
	}
}

// distinct are the names of containers that no other one has: not two while one is
// renamed, and nobody is called by another's id.
func distinct(origins []messages.Usage, names map[string]string) map[string]string {
	holders := map[string]string{}
	shared := map[string]bool{}
	for i := range origins {
		id := origins[i].Container
		name := cmp.Or(names[id], id)
		if other, ok := holders[name]; ok && other != id {
			shared[name] = true
		}
		holders[name] = id
	}
	out := map[string]string{}
	for id, name := range names {
		if !shared[name] {
			out[id] = name
		}
	}
	return out
}

func counted(n []uint64, label string, name func(int) string) []ofOrigin {
	out := make([]ofOrigin, len(n))
	for i, v := range n {
		out[i] = ofOrigin{[][2]string{{label, name(i)}}, float64(v)}
	}
	return out
}

// checks writes the latest word of each service check of each sender: of replicas, whose tags
// are equal, one may be down. It returns how many it had to leave out.
func (p *page) checks(checks []messages.Check, names map[string]string, taken map[string]bool) (dropped int) {
	const name = "dogstatsd_service_check_status"
	p.ours(taken, name, "gauge", "Latest status of a service check: 0 ok, 1 warning, 2 critical, 3 unknown.")
	seen := make(labelSets, len(checks))
	for i := range checks {
		c := &checks[i]
		ours := []tag.Tag{{Key: "check", Value: c.Name}, {Key: "origin", Value: c.Origin.String()}}
		if c.Container != "" {
			ours = append(ours, tag.Tag{Key: "container_name", Value: cmp.Or(names[c.Container], c.Container)})
		}
		labels, ok := seen.add(tag.Labels(c.Host, c.Tags, ours...), c.Name, c.Host, c.Tags)
		if !ok {
			dropped++
			continue
		}
		p.sample(name, labels, "", "", float64(c.Status))
	}
	return dropped
}

// sample writes one line with labels that are ready, and one more if it has a name.
func (p *page) sample(name, labels, label, value string, v float64) {
	p.b = append(p.b, name...)
	sep := byte('{')
	if labels != "" {
		p.b = append(append(p.b, sep), labels...)
		sep = ','
	}
	if label != "" {
		p.label(&sep, label, value)
	}
	p.value(sep, v)
}

// at gives the last line a time of its own, if it has one: in milliseconds, or in
// seconds in OpenMetrics.
func (p *page) at(t time.Time) {
	if t.IsZero() {
		return
	}
	p.b[len(p.b)-1] = ' '
	p.b = strconv.AppendInt(p.b, t.Unix(), 10) // clients give whole seconds
	if !p.open {
		p.b = append(p.b, "000"...)
	}
	p.b = append(p.b, '\n')
}

// clientHeading is the heading of a client's metric. Its name ends as it likes, and is as long.
func (p *page) clientHeading(family, kind, what, name string) {
	p.begin()
	if !p.open && kind == "counter" {
		family += "_total"
	}
	name = p.help(name[:min(len(name), messages.HelpMost)])
	if len(name) > messages.HelpMost { // escapes
		name = "…"
	}
	p.b = append(append(append(append(append(append(p.b, "# HELP "...), family...), ' '), what...), name...), ".\n# TYPE "...)
	p.b = append(append(append(append(p.b, family...), ' '), kind...), '\n')
}
