package export

import (
	"strings"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"vitrine/internal/monitor/collect"
	"vitrine/internal/otlp"
)

// conventions are OpenTelemetry's names (semantic conventions 1.43), where it has one that means the same. What they say of
// OOM kills, throttling, limits and pressure is nothing.
var conventions = map[string]otlp.Name{
	"docker_cpu_user_seconds_total":      {Name: "container.cpu.time", Unit: "s", In: otlp.Counter, Attributes: of1("cpu.mode", "user")},
	"docker_cpu_system_seconds_total":    {Name: "container.cpu.time", Unit: "s", In: otlp.Counter, Attributes: of1("cpu.mode", "system")},
	"docker_mem_usage_bytes":             {Name: "container.memory.usage", Unit: "By", In: otlp.UpDownCounter},
	"docker_mem_working_set_bytes":       {Name: "container.memory.working_set", Unit: "By", In: otlp.UpDownCounter},
	"docker_mem_rss_bytes":               {Name: "container.memory.rss", Unit: "By", In: otlp.UpDownCounter},
	"docker_net_receive_bytes_total":     network("container.network.io", "By", "receive"),
	"docker_net_transmit_bytes_total":    network("container.network.io", "By", "transmit"),
	"docker_io_read_bytes_total":         {Name: "container.disk.io", Unit: "By", In: otlp.Counter, Attributes: of1("disk.io.direction", "read")},
	"docker_io_write_bytes_total":        {Name: "container.disk.io", Unit: "By", In: otlp.Counter, Attributes: of1("disk.io.direction", "write")},
	startTime:                            {Name: "container.uptime", Unit: "s", In: otlp.Gauge},
	"host_net_receive_bytes_total":       network("system.network.io", "By", "receive"),
	"host_net_transmit_bytes_total":      network("system.network.io", "By", "transmit"),
	"host_net_receive_packets_total":     network("system.network.packet.count", "{packet}", "receive"),
	"host_net_transmit_packets_total":    network("system.network.packet.count", "{packet}", "transmit"),
	"host_net_receive_errors_total":      network("system.network.errors", "{error}", "receive"),
	"host_net_transmit_errors_total":     network("system.network.errors", "{error}", "transmit"),
	"host_net_receive_dropped_total":     network("system.network.packet.dropped", "{packet}", "receive"),
	"host_net_transmit_dropped_total":    network("system.network.packet.dropped", "{packet}", "transmit"),
	"docker_cpu_throttled_seconds_total": {Name: "vitrine.container.cpu.throttled_time", Unit: "s", In: otlp.Counter}, // the ratio would have its name
}

// startTime is told as the time since then.
const startTime = "docker_container_start_time_seconds"

func of1(key, value string) []*commonpb.KeyValue { return []*commonpb.KeyValue{otlp.Text(key, value)} }

func network(name, unit, direction string) otlp.Name {
	return otlp.Name{Name: name, Unit: unit, In: otlp.Counter, Attributes: of1("network.io.direction", direction)}
}

// areas are the parts of a container's metrics, as ours begin and as OpenTelemetry calls them.
var areas = [][2]string{{"cpu_", ".cpu"}, {"mem_", ".memory"}, {"net_", ".network"}, {"io_", ".disk"}, {"pressure_", ".pressure"}, {"container_", ""}, {"", ""}}

// otelName is what a metric of the table is called in OTLP.
func otelName(m *collect.Metric, ofContainer bool) otlp.Name {
	if n, ok := conventions[m.Prom]; ok {
		return n
	}
	counter := m.Counter()
	whose, rest, _ := strings.Cut(m.Prom, "_")
	if !ofContainer {
		return otlp.Ours("vitrine."+whose, rest, counter)
	}
	for _, area := range areas {
		if short, ok := strings.CutPrefix(rest, area[0]); ok {
			return otlp.Ours("vitrine.container"+area[1], short, counter)
		}
	}
	return otlp.Name{} // the last area has all
}

// otelLabel is what a label is called in OTLP.
func otelLabel(name string) string {
	switch name {
	case "interface":
		return "network.interface.name"
	case "device":
		return "system.device"
	case "container_id":
		return "container.id"
	case "container_name":
		return "container.name"
	}
	return name
}
