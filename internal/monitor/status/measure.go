package status

import (
	"math"

	"vitrine/internal/monitor/series"
)

// measurement is one of the numbers whose history is kept.
type measurement int

// The measures.
const (
	cpu       measurement = iota // percent of one core
	throttled                    // part of the periods, 0 to 1
	memory                       // working set, bytes
	netIn                        // bytes a second
	netOut                       // bytes a second
	disk                         // bytes a second, read and written
	measures
)

// String is the measure's name, as in the API.
func (m measurement) String() string {
	return [...]string{"cpu", "throttled", "memory", "net_in", "net_out", "disk"}[m]
}

// numbers of a container; NaN is not known.
type numbers struct {
	at              [measures]float64
	limit, fullIn   float64
	inUse           float64
	threads         float64
	restarts        float64
	survived, fatal float64 // OOM kills
}

var nan = math.NaN()

func (m *numbers) of(which measurement) *float64 { return known(m.at[which]) }

// known is nil for what is not.
func known(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	return &v
}

func zero(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}

// measure finds a container's numbers in its series. Rates of several interfaces or devices are
// added up; one that has no rate yet leaves the sum unknown.
func measure(c *series.Container) numbers {
	m := numbers{limit: nan, fullIn: nan, inUse: nan, threads: nan, restarts: nan}
	for i := range m.at {
		m.at[i] = nan
	}
	for i := range c.Series {
		s := &c.Series[i]
		switch s.Metric.Prom {
		case "docker_cpu_usage_seconds_total":
			m.rate(cpu, s, s.Metric.Scale())
		case "docker_cpu_throttled_ratio":
			m.at[throttled] = s.Value
		case "docker_mem_working_set_bytes":
			m.at[memory] = s.Value
		case "docker_mem_limit_bytes":
			m.limit = s.Value
		case "docker_mem_headroom_seconds":
			m.fullIn = s.Value
		case "docker_mem_working_set_ratio":
			m.inUse = s.Value
		case "docker_net_receive_bytes_total":
			m.rate(netIn, s, 1)
		case "docker_net_transmit_bytes_total":
			m.rate(netOut, s, 1)
		case "docker_io_read_bytes_total", "docker_io_write_bytes_total":
			m.rate(disk, s, 1)
		case "docker_threads":
			m.threads = s.Value
		case "docker_container_restarts_total":
			m.restarts = s.Value
		case "docker_oom_kills_total":
			if s.Labels[0] == "true" {
				m.survived = s.Value
			} else {
				m.fatal = s.Value
			}
		}
	}
	return m
}

func (m *numbers) rate(which measurement, s *series.Sample, scale float64) {
	if s.HasRate {
		m.at[which] = zero(m.at[which]) + s.Rate*scale
	}
}
