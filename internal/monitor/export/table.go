package export

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/series"
	"vitrine/internal/printable"
)

// unknown stands for what is not known, or does not apply.
const unknown = "-"

// column is one of the table.
type column struct {
	title string
	text  func(c *series.Container, of values) string
}

// values are a container's by their first names; several series of one metric
// are added up.
type values map[string]*sum

type sum struct {
	value, as float64
	hasAs     bool
}

func (v values) add(s *series.Sample) {
	key := s.Metric.Prom
	if key == oomKills {
		key = killsOf(s.Labels[0])
	}
	got := v[key]
	if got == nil {
		got = &sum{hasAs: true}
		v[key] = got
	}
	as, ok := s.Converted()
	got.value, got.as, got.hasAs = got.value+s.Value, got.as+as, got.hasAs && ok
}

const oomKills = "docker_oom_kills_total"

// killsOf is where values have the kills that PID 1 outlived, or those that it did not.
func killsOf(pid1Alive string) string { return oomKills + " " + pid1Alive }

func of(c *series.Container) values {
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
	plain := func(metric string, format func(float64) string) func(*series.Container, values) string {
		return func(_ *series.Container, v values) string { return v.value(metric, format) }
	}
	converted := func(metric string, format func(float64) string) func(*series.Container, values) string {
		return func(_ *series.Container, v values) string { return v.as(metric, format) }
	}
	return []column{
		{"CONTAINER", func(c *series.Container, _ values) string { return printable.Line(c.Name) }},
		{"STATE", state},
		{"OOM KILLS", kills},
		{"CPU", converted("docker_cpu_usage_seconds_total", percent)},
		{"THROTTLED", plain("docker_cpu_throttled_ratio", fraction)},
		{"MEMORY", func(_ *series.Container, v values) string { return memory(v) }},
		{"IN USE", plain("docker_mem_in_use_ratio", fraction)},
		{"+SWAP", plain("docker_mem_sw_in_use_ratio", fraction)},
		{"FULL IN", plain("docker_mem_headroom_seconds", duration)},
		{"RESTARTS", some(plain("docker_container_restarts_total", integer), "0")},
		{"NET IN/OUT", pair("docker_net_receive_bytes_total", "docker_net_transmit_bytes_total")},
		{"DISK R/W", pair("docker_io_read_bytes_total", "docker_io_write_bytes_total")},
		{"THREADS", plain("docker_threads", integer)},
		{"FILES", plain("docker_open_files", integer)},
	}
}

// some leaves out a value that says nothing.
func some(text func(*series.Container, values) string, nothing string) func(*series.Container, values) string {
	return func(c *series.Container, v values) string {
		if s := text(c, v); s != nothing {
			return s
		}
		return unknown
	}
}

// pair shows the rates of two counters, in bytes a second, unless both stand still.
func pair(in, out string) func(*series.Container, values) string {
	return some(func(_ *series.Container, v values) string {
		if v[in] == nil || v[out] == nil {
			return unknown
		}
		return v.as(in, Bytes) + "/" + v.as(out, Bytes)
	}, "0B/0B")
}

// memory is the working set, and the limit if there is one.
func memory(v values) string {
	used := v.value("docker_mem_working_set_bytes", Bytes)
	if _, limited := v["docker_mem_limit_bytes"]; limited {
		used += "/" + v.value("docker_mem_limit_bytes", Bytes)
	}
	return used
}

// Table writes a table of all containers, and below it what happened. A column
// that says nothing of any container is left out, and so are the last ones where
// there is no room for them: width is the terminal's, in characters; 0 for no end.
func Table(w io.Writer, v *series.View, width int) error {
	all := make([]values, len(v.Containers))
	for i, c := range v.Containers {
		all[i] = of(c)
	}
	rows := make([]string, len(v.Containers)+1)
	var left []string // out
	used := 0
	for i, col := range columns() {
		cells, shown := []string{col.title}, i == 0
		for j, c := range v.Containers {
			cell := col.text(c, all[j])
			cells, shown = append(cells, cell), shown || cell != unknown
		}
		if !shown {
			continue
		}
		wide := 0
		for _, cell := range cells {
			wide = max(wide, utf8.RuneCountInString(cell))
		}
		if width > 0 && i > 0 && (len(left) > 0 || used+wide > width) {
			left = append(left, col.title)
			continue
		}
		used += wide + gap
		for j, cell := range cells {
			rows[j] += cell + "\t"
		}
	}
	tw := tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(tw, strings.TrimSuffix(row, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	if len(left) > 0 {
		fmt.Fprintf(w, "no room for %s\n", strings.Join(left, ", "))
	}
	if n := unseenFiles(v.Containers, all); n > 0 {
		fmt.Fprintf(w, "the open files of some containers (%d) cannot be seen: before Linux 6.2 that takes CAP_SYS_PTRACE\n", n)
	}
	for _, e := range v.Events {
		fmt.Fprintln(w, sentence(e))
	}
	return nil
}

// gap is the number of spaces between two columns.
const gap = 2

// unseenFiles counts containers of which all is known but their open files.
func unseenFiles(containers []*series.Container, all []values) int {
	n := 0
	for i, c := range containers {
		if _, seen := all[i]["docker_open_files"]; c.Read && !seen {
			n++
		}
	}
	return n
}

// sentence says what happened, and when.
func sentence(e collect.Event) string {
	name := printable.Line(e.ContainerName)
	if e.PID1Alive {
		name += ":"
	}
	return e.Time.Format(time.TimeOnly) + " " + name + " " + e.Sentence()
}

// state says that a container died of the OOM killer if we have seen that. The Engine alone says
// only that there was a kill inside: the container may have outlived it, and have been killed later.
func state(c *series.Container, v values) string {
	switch {
	case c.Detail == nil && c.Running:
		return "running"
	case c.Detail == nil:
		return unknown
	case c.Detail.State == "exited":
		exited := fmt.Sprintf("exited (%d)", c.Detail.ExitCode)
		if dead := v[killsOf("false")]; dead != nil && dead.value > 0 {
			return exited + ", OOM"
		}
		if c.Detail.OOMKilled {
			return exited + ", OOM kill inside"
		}
		return exited
	case c.Running && c.Detail.Health != "":
		return c.Detail.State + ", " + c.Detail.Health
	}
	return c.Detail.State
}

// kills tells apart those that the container survived, and those that ended it.
// How many there were before anybody looked is not known.
func kills(c *series.Container, v values) string {
	alive, dead := v[killsOf("true")], v[killsOf("false")]
	var out []string
	if alive != nil && alive.value > 0 {
		out = append(out, fmt.Sprintf("%.0f, PID 1 alive", alive.value))
	}
	if dead != nil && dead.value > 0 {
		out = append(out, fmt.Sprintf("%.0f fatal", dead.value))
	}
	switch {
	case len(out) == 0 && c.Read:
		return "0"
	case len(out) == 0:
		return unknown
	}
	return strings.Join(out, "; ")
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
