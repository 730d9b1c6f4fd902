package audit

import (
	"bytes"
	"strconv"
	"strings"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"

	"vitrine/internal/otlp"
)

// OTLP is the record for OpenTelemetry, and whom it counts against: the body is the line of a format, or why there is none, and the
// attributes have those facts of it that one looks for, by OpenTelemetry's conventions where these have a name.
func OTLP(r *Record, f Format) (account string, _ *logspb.LogRecord) {
	line, err := f(nil, r)
	if err != nil {
		line = []byte(err.Error())
	}
	out := &logspb.LogRecord{
		TimeUnixNano: otlp.Nanos(r.Time), ObservedTimeUnixNano: otlp.Nanos(r.Time), EventName: "vitrine.decision",
		SeverityNumber: logspb.SeverityNumber_SEVERITY_NUMBER_INFO, SeverityText: "INFO",
		Body: otlp.TextValue(string(bytes.TrimSuffix(line, []byte("\n")))),
	}
	switch {
	case r.Differential != "":
		out.SeverityNumber, out.SeverityText = logspb.SeverityNumber_SEVERITY_NUMBER_ERROR, "ERROR"
	case r.Verdict() != "allow":
		out.SeverityNumber, out.SeverityText = logspb.SeverityNumber_SEVERITY_NUMBER_WARN, "WARN"
	}
	add := func(key, value string) {
		if value != "" {
			out.Attributes = append(out.Attributes, otlp.Text(key, value))
		}
	}
	if r.Event != "" {
		out.EventName = "vitrine." + r.Event
	}
	path, query, _ := strings.Cut(r.URI, "?")
	add("vitrine.record.id", r.ID)
	add("vitrine.verdict", r.Verdict())
	add("vitrine.operation", r.Operation)
	add("vitrine.access", string(r.Access))
	add("vitrine.code", r.Code)
	add("vitrine.door", r.Door)
	add("vitrine.policy.revision", r.PolicyRevision)
	add("vitrine.caller.kind", string(r.Caller.Kind))
	add("container.id", r.Caller.ContainerID)
	add("process.executable.path", r.Caller.Exe)
	add("http.request.method", r.Method)
	add("url.path", path)
	add("url.query", query)
	if r.Caller.UID != nil {
		add("user.id", strconv.FormatUint(uint64(*r.Caller.UID), 10))
	}
	out.Attributes = append(out.Attributes, others(r)...)
	return r.Caller.account(), out
}

// others are the attributes that are no texts.
func others(r *Record) []*commonpb.KeyValue {
	list := []*commonpb.KeyValue{otlp.Texts("vitrine.caller.principals", r.Caller.Principals)}
	if r.Caller.PID != 0 {
		list = append(list, otlp.Whole("process.pid", int64(r.Caller.PID)))
	}
	if r.Status != 0 {
		list = append(list, otlp.Whole("http.response.status_code", int64(r.Status)))
	}
	return list
}
