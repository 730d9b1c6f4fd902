package export

import (
	"cmp"
	"slices"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/series"
	"vitrine/internal/monitor/tag"
	"vitrine/internal/otlp"
)

// How much of OTLP's metrics there is at once: requests are made of such parts.
const (
	containersAtOnce = 4
	seriesAtOnce     = 200
	textAtOnce       = 64 << 10 // bytes of names and tags, which clients choose
)

// OTLP gives what the page has, for OpenTelemetry: each container is a resource. d may be nil, as for Metrics.
func OTLP(a *series.Aggregator, d *DogStatsD) otlp.Source {
	return func(yield func(*metricspb.ResourceMetrics) bool) {
		var part []*metricspb.ResourceMetrics
		a.Look(func(v *series.View) { part = append(part, host(v)) })
		for last := ""; len(part) > 0; {
			for _, r := range part {
				if !yield(r) {
					return
				}
			}
			part = part[:0]
			a.Look(func(v *series.View) { // which may have changed since the last part
				for _, c := range v.Containers {
					if c.Name > last && len(part) < containersAtOnce {
						part, last = append(part, container(v.Time, c)), c.Name
					}
				}
			})
		}
		if d == nil {
			return
		}
		s := d.Latest()
		if !yield(otlp.Of(nil, d.telemetryOTLP(s).Metrics())) {
			return
		}
		for part := range otlp.All(
			parts(s.Series, func(set *otlp.Set, c *messages.Series) int {
				clientOTLP(set, c, s.Time)
				return len(c.Name) + len(c.Labels)
			}),
			parts(s.Checks, func(set *otlp.Set, c *messages.Check) int {
				attributes := checkAttributes(c)
				set.Add(check("vitrine.dogstatsd."), statusHelp, otlp.Point(s.Time, float64(c.Status), attributes...))
				return proto.Size(&commonpb.KeyValueList{Values: attributes})
			}),
		) {
			if !yield(part) {
				return
			}
		}
	}
}

// parts makes a source of a list, so that none of its parts is much for a receiver. add gives how much text it was.
func parts[T any](list []T, add func(set *otlp.Set, one *T) (text int)) otlp.Source {
	return func(yield func(*metricspb.ResourceMetrics) bool) {
		for rest := list; len(rest) > 0; {
			var set otlp.Set
			n := 0
			for text := 0; n < min(len(rest), seriesAtOnce) && text < textAtOnce; n++ {
				text += add(&set, &rest[n])
			}
			rest = rest[n:]
			if !yield(otlp.Of(nil, set.Metrics())) {
				return
			}
		}
	}
}

// host has what is of no container.
func host(v *series.View) *metricspb.ResourceMetrics {
	var set otlp.Set
	addSamples(&set, v.Rest, v.Time, false)
	addChecks(&set, v.Checks, v.Time)
	return otlp.Of(nil, set.Metrics())
}

func container(at time.Time, c *series.Container) *metricspb.ResourceMetrics {
	var set otlp.Set
	addSamples(&set, c.Series, at, true)
	addChecks(&set, c.Checks, at)
	who := append(images(c), otlp.Text("container.id", c.ID), otlp.Text("container.name", c.Name), otlp.Text("container.runtime.name", "docker"))
	return otlp.Of(otlp.Merged(tagAttributes(c.High), who), set.Metrics()) // a container chooses keys of tags; who it is they do not say
}

// images say what a container runs.
func images(c *series.Container) (out []*commonpb.KeyValue) {
	if image := c.Tags.Get("image_name"); image != "" {
		out = append(out, otlp.Text("container.image.name", image))
	}
	if t := c.Tags.Get("image_tag"); t != "" {
		out = append(out, otlp.Texts("container.image.tags", []string{t}))
	}
	return out
}

func addSamples(set *otlp.Set, samples []series.Sample, at time.Time, ofContainer bool) {
	for i := range samples {
		s := &samples[i]
		v := s.Value
		if s.Metric.Prom == startTime {
			v = max(0, float64(at.UnixMilli())/1000-v)
		}
		var attributes []*commonpb.KeyValue
		for j, name := range s.Metric.Labels {
			attributes = append(attributes, otlp.Text(otelLabel(name), s.Labels[j]))
		}
		set.Add(otelName(s.Metric, ofContainer), s.Metric.Help, otlp.Point(at, v, attributes...))
	}
}

// check is the metric of service checks.
func check(prefix string) otlp.Name {
	return otlp.Name{Name: prefix + "service_check.status", In: otlp.Gauge}
}

func addChecks(set *otlp.Set, checks []messages.Check, at time.Time) {
	for i := range checks {
		set.Add(check("vitrine."), statusHelp, otlp.Point(at, float64(checks[i].Status), otlp.Text("check", checks[i].Name)))
	}
}

// telemetryOTLP is what the server counts of itself, and what each sender has sent.
func (d *DogStatsD) telemetryOTLP(s *messages.Snapshot) *otlp.Set {
	var set otlp.Set
	for _, t := range d.Telemetry() {
		n := otlp.Name{Name: "vitrine." + t.Name, In: otlp.Counter}
		if t.Gauge {
			n.In = otlp.Gauge
		}
		var attributes []*commonpb.KeyValue
		for _, pair := range t.Tags {
			key, value, _ := strings.Cut(pair, ":")
			attributes = append(attributes, otlp.Text(key, value))
		}
		set.Add(n, t.Help, otlp.Point(s.Time, t.Value, attributes...))
	}
	for _, m := range originMetrics {
		n := otlp.Ours("vitrine.dogstatsd", strings.TrimPrefix(m.name, "dogstatsd_"), m.kind == "counter")
		for i := range s.Origins {
			o := &s.Origins[i]
			for _, v := range m.values(o) {
				var attributes []*commonpb.KeyValue
				for _, l := range v.labels {
					attributes = append(attributes, otlp.Text(l[0], l[1]))
				}
				set.Add(n, m.help, otlp.Point(s.Time, v.value, sender(o.Source.String(), o.Container, attributes...)...))
			}
		}
	}
	return &set
}

// sender are attributes that say who sent something, besides more.
func sender(origin, container string, more ...*commonpb.KeyValue) []*commonpb.KeyValue {
	more = append(more, otlp.Text("origin", origin))
	if container != "" {
		more = append(more, otlp.Text("container.id", container))
	}
	return more
}

func checkAttributes(c *messages.Check) []*commonpb.KeyValue {
	ours := sender(c.Origin.String(), c.Container, otlp.Text("check", c.Name))
	return otlp.Merged(clientAttributes(c.Host, c.Tags, ours...), ours)
}

// clientAttributes are a client's. One whose key is of ours is exported_<key>, as on the page.
func clientAttributes(host string, tags []tag.Tag, ours ...*commonpb.KeyValue) []*commonpb.KeyValue {
	out := tagAttributes(tags)
	for _, a := range out {
		if slices.ContainsFunc(ours, func(o *commonpb.KeyValue) bool { return tag.Name(o.GetKey()) == tag.Name(a.GetKey()) }) {
			a.Key = "exported_" + a.GetKey()
		}
	}
	if host != "" {
		out = append(out, otlp.Text("host", host))
	}
	return otlp.Merged(out)
}

// tagAttributes are tags as Prometheus's labels have them: one without a value is "true", several of a key are one list.
func tagAttributes(tags []tag.Tag) (out []*commonpb.KeyValue) {
	for key, values := range tag.ByKey(tags) {
		for i, v := range values {
			values[i] = cmp.Or(v, "true")
		}
		out = append(out, otlp.Text(tag.Legible(key), tag.Legible(strings.Join(values, ","))))
	}
	return out
}
