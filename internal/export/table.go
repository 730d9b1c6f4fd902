package export

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"vitrine/internal/aggregate"
	"vitrine/internal/collect"
)

// unknown stands for what is not known, or does not apply.
const unknown = "-"

// column is one of the table.
type column struct {
	title string
	text  func(c *aggregate.Container, of values) string
}

// values are a container's by their first names; several series of one metric
// are added up.
type values map[string]*sum

type sum struct {
	value, as float64
	hasAs     bool
}

func (v values) add(s *aggregate.Series) {
	key := s.Metric.Prom
	if key == "docker_oom_kills_total" {
		key += " " + s.Labels[0]
	}
	got := v[key]
	if got == nil {
		got = &sum{hasAs: true}
		v[key] = got
	}
	as, ok := s.Converted()
	got.value, got.as, got.hasAs = got.value+s.Value, got.as+as, got.hasAs && ok
}

func of(c *aggregate.Container) values {
	v := values{}
	for i := range c.Series {
		v.add(&c.Series[i])
	}
	return v
}

func (v values) value(metric string, format func(float64) string) string {
	if s, ok := v[metric]; ok {
		return format(s.value)
	}
	return unknown
}

func (v values) as(metric string, format func(float64) string) string {
	if s, ok := v[metric]; ok && s.hasAs {
		return format(s.as)
	}
	return unknown
}

func columns() []column {
	plain := func(metric string, format func(float64) string) func(*aggregate.Container, values) string {
		return func(_ *aggregate.Container, v values) string { return v.value(metric, format) }
	}
	converted := func(metric string, format func(float64) string) func(*aggregate.Container, values) string {
		return func(_ *aggregate.Container, v values) string { return v.as(metric, format) }
	}
	return []column{
		{"CONTAINER", func(c *aggregate.Container, _ values) string { return printable(c.Name) }},
		{"STATE", func(c *aggregate.Container, _ values) string { return state(c) }},
		{"CPU", converted("docker_cpu_usage_seconds_total", percent)},
		{"THROTTLED", plain("docker_cpu_throttled_ratio", fraction)},
		{"MEM", plain("docker_mem_working_set_bytes", Bytes)},
		{"LIMIT", plain("docker_mem_limit_bytes", Bytes)},
		{"IN USE", plain("docker_mem_in_use_ratio", fraction)},
		{"+SWAP", plain("docker_mem_sw_in_use_ratio", fraction)},
		{"FULL IN", plain("docker_mem_headroom_seconds", duration)},
		{"OOM KILLS", func(_ *aggregate.Container, v values) string { return kills(v) }},
		{"THREADS", plain("docker_threads", integer)},
		{"NET IN/s", converted("docker_net_receive_bytes_total", Bytes)},
		{"NET OUT/s", converted("docker_net_transmit_bytes_total", Bytes)},
		{"READ/s", converted("docker_io_read_bytes_total", Bytes)},
		{"WRITE/s", converted("docker_io_write_bytes_total", Bytes)},
	}
}

// Table writes a table of all containers, and below it what happened. A column
// in which nothing is known of any container is left out.
func Table(w io.Writer, v *aggregate.View) error {
	rows := make([]string, len(v.Containers)+1)
	for i, col := range columns() {
		cells, shown := []string{col.title}, i == 0
		for _, c := range v.Containers {
			cell := col.text(c, of(c))
			cells, shown = append(cells, cell), shown || cell != unknown
		}
		for j := 0; shown && j < len(rows); j++ {
			rows[j] += cells[j] + "\t"
		}
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(tw, strings.TrimSuffix(row, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	for _, e := range v.Events {
		fmt.Fprintln(w, Sentence(e))
	}
	return nil
}

// Sentence says what happened, for people.
func Sentence(e collect.Event) string {
	at := e.Time.Format(time.TimeOnly)
	name := printable(e.ContainerName)
	switch {
	case e.Name == collect.EventExit:
		return fmt.Sprintf("%s %s ended with exit code %d", at, name, e.ExitCode)
	case e.PID1Alive:
		return fmt.Sprintf("%s %s: the OOM killer killed %d inside%s, and PID 1 lives on: the container may be stuck", at, name, e.Kills, victims(e))
	}
	return fmt.Sprintf("%s %s died of the OOM killer%s", at, name, victims(e))
}

func victims(e collect.Event) string {
	var names []string
	for _, v := range e.Victims {
		names = append(names, printable(v.String()))
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}

func state(c *aggregate.Container) string {
	switch {
	case c.Detail == nil && c.Running:
		return "running"
	case c.Detail == nil:
		return unknown
	case c.Detail.State == "exited":
		return fmt.Sprintf("exited (%d)", c.Detail.ExitCode)
	case c.Running && c.Detail.Health != "":
		return c.Detail.State + ", " + c.Detail.Health
	}
	return c.Detail.State
}

// kills tells apart those that the container survived, and those that ended it.
func kills(v values) string {
	alive, dead := v["docker_oom_kills_total true"], v["docker_oom_kills_total false"]
	var out []string
	if alive != nil && alive.value > 0 {
		out = append(out, fmt.Sprintf("%.0f, PID 1 alive", alive.value))
	}
	if dead != nil && dead.value > 0 {
		out = append(out, fmt.Sprintf("%.0f fatal", dead.value))
	}
	if len(out) == 0 {
		return "0"
	}
	return strings.Join(out, "; ")
}

// printable keeps names from moving a terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

func percent(v float64) string  { return fmt.Sprintf("%.1f%%", v) }
func fraction(v float64) string { return percent(100 * v) }
func integer(v float64) string  { return fmt.Sprintf("%.0f", v) }
func duration(v float64) string {
	return time.Duration(v * float64(time.Second)).Round(time.Second).String()
}

// Bytes is a number of bytes with a binary unit, in three or four digits.
func Bytes(v float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	i := 0
	for v >= 1023.5 && i < len(units)-1 {
		v /= 1024
		i++
	}
	if i == 0 || v >= 100 {
		return fmt.Sprintf("%.0f%s", v, units[i])
	}
	return fmt.Sprintf("%.1f%s", v, units[i])
}
