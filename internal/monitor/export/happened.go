package export

import (
	"slices"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/oom"
	"vitrine/internal/monitor/series"
	"vitrine/internal/otlp"
	"vitrine/internal/printable"
)

// Happened gives log a record of OTLP for each event: what the OOM killer did in containers, and their ends. It counts against the container, so
// that one that is started and killed again and again keeps out no other's. okExits are the exit codes that are no failure.
func Happened(a *series.Aggregator, events []collect.Event, okExits []int, log func(account string, r *logspb.LogRecord)) {
	if len(events) == 0 {
		return
	}
	records := make([]*logspb.LogRecord, len(events))
	a.Look(func(v *series.View) {
		known := map[string]*series.Container{}
		for _, c := range v.Containers {
			known[c.ID] = c
		}
		for i := range events {
			records[i] = happened(&events[i], known[events[i].ContainerID], okExits)
		}
	})
	for i, r := range records {
		log(events[i].ContainerID, r)
	}
}

// happened is one; c is nil where the container is gone.
func happened(e *collect.Event, c *series.Container, okExits []int) *logspb.LogRecord {
	r := &logspb.LogRecord{
		TimeUnixNano: otlp.Nanos(e.Time), ObservedTimeUnixNano: otlp.Nanos(e.Time), EventName: "vitrine.container.exit",
		Body: otlp.TextValue(printable.Line(e.ContainerName) + ": " + e.Sentence()),
	}
	of := []*commonpb.KeyValue{otlp.Text("container.id", e.ContainerID), otlp.Text("container.name", e.ContainerName), otlp.Text("container.runtime.name", "docker")}
	warn := !slices.Contains(okExits, e.ExitCode)
	if e.Name == collect.EventOOMKill {
		r.EventName, warn = "vitrine.container.oom_kill", true
		of = append(of, otlp.Whole("vitrine.oom.kills", int64(e.Kills)), otlp.Flag("vitrine.oom.pid1_alive", e.PID1Alive), otlp.Flag("vitrine.oom.group", e.Group)) //nolint:gosec // a count
		var victims []string
		for _, v := range e.Victims {
			victims = append(victims, v.String())
		}
		if victims != nil {
			of = append(of, otlp.Texts("vitrine.oom.victims", victims))
		}
	} else if e.ExitCode != oom.CodeUnknown {
		of = append(of, otlp.Whole("process.exit.code", int64(e.ExitCode)))
	}
	switch r.SeverityNumber, r.SeverityText = logspb.SeverityNumber_SEVERITY_NUMBER_INFO, "INFO"; {
	case e.PID1Alive: // what Docker does not tell
		r.SeverityNumber, r.SeverityText = logspb.SeverityNumber_SEVERITY_NUMBER_ERROR, "ERROR"
	case warn:
		r.SeverityNumber, r.SeverityText = logspb.SeverityNumber_SEVERITY_NUMBER_WARN, "WARN"
	}
	if c != nil {
		of = otlp.Merged(shortTags(c), append(images(c), of...)) // a container chooses keys of tags; who it is, and what befell it, they do not say
	}
	r.Attributes = of
	return r
}

// shortTags are a container's, if they are not so long that a receiver would take no record with them.
func shortTags(c *series.Container) []*commonpb.KeyValue {
	if tags := tagAttributes(c.High); proto.Size(&commonpb.KeyValueList{Values: tags}) <= textAtOnce {
		return tags
	}
	return nil
}
