package top

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"vitrine/internal/monitor/asks"
	"vitrine/internal/monitor/export"
	"vitrine/internal/monitor/status"
	"vitrine/internal/printable"
)

// Colours say again what words say: a terminal without any shows all.
var (
	bold  = lipgloss.NewStyle().Bold(true)
	dim   = lipgloss.NewStyle().Faint(true)
	red   = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
	amber = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	green = lipgloss.NewStyle().Foreground(lipgloss.Green)
	here  = lipgloss.NewStyle().Reverse(true)
)

// rows is how many lines the list has room for.
func (m *model) rows() int { return max(1, m.height-4) }

// View draws the screen.
func (m *model) View() tea.View {
	lines := []string{m.stateLine(), m.tabLine()}
	switch {
	case m.help:
		lines = append(lines, helpLines()...)
	case m.detail != nil:
		lines = append(lines, m.detailLines()...)
	case m.tab == containers:
		lines = append(lines, m.containerTable()...)
	case m.tab == askers:
		lines = append(lines, m.askersTable()...)
	default:
		lines = append(lines, m.eventsTable()...)
	}
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	lines = append(lines[:max(0, min(len(lines), m.height-1))], m.footer())
	for i, l := range lines {
		lines[i] = ansi.Truncate(l, m.width, "…")
	}
	view := tea.NewView(strings.Join(lines, "\n"))
	view.AltScreen = true
	view.WindowTitle = "vitrine"
	return view
}

// stateLine is the state of everything.
func (m *model) stateLine() string {
	if m.lost != nil {
		return red.Render("no monitor: "+printable.Line(m.lost.Error())) + dim.Render(", trying again")
	}
	if m.state == nil {
		return dim.Render("waiting for the monitor…")
	}
	s := m.state
	parts := []string{bold.Render("vitrine")}
	switch {
	case !s.Engine.Up:
		parts = append(parts, red.Render("engine gone: "+printable.Line(s.Engine.Why)))
	case s.Trouble > 0:
		parts = append(parts, red.Render(fmt.Sprintf("%d in trouble", s.Trouble)))
	default:
		parts = append(parts, green.Render("nothing wrong"))
	}
	parts = append(parts, fmt.Sprintf("%d running, %d stopped", s.Running, s.Stopped))
	if s.Engine.Gaps > 0 {
		parts = append(parts, amber.Render(fmt.Sprintf("%.0f gaps", s.Engine.Gaps)))
	}
	return strings.Join(append(parts, m.guardParts()...), "  ")
}

// guardParts say what is known of authz-plugin.
func (m *model) guardParts() []string {
	b := m.board
	if b == nil || !b.Up {
		return []string{dim.Render("who asks: not seen")}
	}
	var parts []string
	switch asked := b.Guard.Asked; {
	case asked == nil:
	case *asked:
		parts = append(parts, green.Render("dockerd asks"))
	default:
		parts = append(parts, red.Render("dockerd asks nobody"))
	}
	denied := fmt.Sprintf("%d denied/h", b.DeniedHour)
	if b.DeniedHour > 0 {
		denied = amber.Render(denied)
	}
	parts = append(parts, denied)
	if b.WouldDenyHour > 0 {
		parts = append(parts, amber.Render(fmt.Sprintf("%d would be", b.WouldDenyHour)))
	}
	if b.Guard.Revision != "" {
		parts = append(parts, dim.Render("policy "+printable.Line(b.Guard.Revision)))
	}
	return parts
}

func (m *model) tabLine() string {
	var parts []string
	for t := range tab(tabs) {
		name := fmt.Sprintf(" %d %s ", int(t)+1, t)
		if t == m.tab {
			name = here.Render(name)
		}
		parts = append(parts, name)
	}
	line := strings.Join(parts, " ")
	if m.tab == containers {
		line += dim.Render("  sorted by " + m.order.String())
	}
	if m.typing || m.filter != "" {
		line += "  filter: " + bold.Render(m.filter)
		if m.typing {
			line += "▏"
		}
	}
	return line
}

func (m *model) footer() string {
	keys := "q quit  tab view  / filter  s sort  r reverse  enter details  ? help"
	if m.detail != nil || m.help {
		keys = "esc back  ↑↓ scroll  q quit"
	}
	return dim.Render(keys)
}

func helpLines() []string {
	return strings.Split(`
  ↑ ↓ j k          move, page with PgUp PgDn, g G to either end
  tab, 1 2 3       containers, who asks Docker, events
  enter            a container, or a caller's requests, in full; esc goes back
  s, r             sort containers by trouble, name, cpu, memory, network; reverse
  /                filter by name, image, state, tag, caller or text; esc clears it
  q                leave

  CPU is of one core, THR the part of the scheduler's periods in which it was throttled, FULL IN when
  memory reaches its limit as it grows now. What is wrong stands on top, whatever "Up" Docker says.`, "\n")
}

// window is what of a list of n is on the screen, so that the cursor is.
func (m *model) window(n, room int) (from, to int) {
	from = max(0, min(m.cursor[m.tab]-room/2, n-room))
	return from, min(n, from+room)
}

// table draws the rows that there is room for, below a head.
func (m *model) table(head string, n int, row func(i int) string) []string {
	lines := []string{dim.Render(head)}
	from, to := m.window(n, m.rows()-1)
	for i := from; i < to; i++ {
		line := ansi.Truncate(row(i), m.width, "…")
		if i == m.cursor[m.tab] {
			line = here.Render(pad(ansi.Strip(line), m.width))
		}
		lines = append(lines, line)
	}
	return lines
}

func (m *model) containerTable() []string {
	list := m.shown()
	if m.state != nil && len(list) == 0 {
		return []string{"", "  no container" + m.that()}
	}
	name := max(12, min(32, m.width-62))
	head := pad("NAME", name) + fmt.Sprintf("%7s %5s %17s %8s  %s", "CPU", "THR", "MEMORY", "FULL IN", "STATE")
	return m.table(head, len(list), func(i int) string {
		c := list[i]
		return pad(printable.Line(c.Name), name-1) + " " + fmt.Sprintf("%7s %5s %17s %8s  ", shown(c.CPU, percent), shown(c.Throttled, fraction), memory(c), shown(c.FullIn, seconds)) + condition(c)
	})
}

func (m *model) that() string {
	if m.filter == "" {
		return ""
	}
	return " that the filter leaves"
}

// condition is what is wrong with a container, or that nothing is.
func condition(c *status.Container) string {
	if len(c.Problems) == 0 {
		return printable.Line(strings.Join(slices.DeleteFunc([]string{c.State, c.Health}, func(s string) bool { return s == "" }), ", "))
	}
	var parts []string
	for i := range c.Problems {
		p := &c.Problems[i]
		style := amber
		switch p.Severity {
		case status.Critical:
			style = red
		case status.Note:
			style = dim
		case status.Warning:
		}
		parts = append(parts, style.Render(printable.Line(p.Text)))
	}
	return strings.Join(parts, "; ")
}

func memory(c *status.Container) string {
	if c.Memory == nil {
		return "-"
	}
	if c.Limit == nil {
		return export.Bytes(*c.Memory)
	}
	return export.Bytes(*c.Memory) + "/" + export.Bytes(*c.Limit)
}

func (m *model) askersTable() []string {
	if b := m.board; b == nil || !b.Up {
		lines := []string{"", "  who asks Docker cannot be seen"}
		if b != nil {
			lines = append(lines, "  "+printable.Line(b.Why), "  "+printable.Line(b.Hint))
		}
		return lines
	}
	list := m.asked()
	if len(list) == 0 {
		return []string{"", "  nobody has asked yet" + m.that()}
	}
	name := max(20, min(44, m.width-56))
	head := pad("CALLER", name) + fmt.Sprintf("%-15s %9s %9s %9s  %s", "CLASS", "ALLOWED", "WOULD", "DENIED", "LAST")
	return m.table(head, len(list), func(i int) string {
		c := list[i].cell
		line := pad(printable.Line(list[i].caller.Name), name-1) + " " + fmt.Sprintf("%-15s %9d %9d %9d  %s", printable.Line(c.Class), c.Allowed, c.WouldDeny, c.Denied, clock(c.Last))
		return verdictStyle(c.Worst).Render(line)
	})
}

func verdictStyle(v asks.Verdict) lipgloss.Style {
	switch v {
	case asks.Denied:
		return red
	case asks.WouldDeny:
		return amber
	case asks.Allowed:
	}
	return lipgloss.NewStyle()
}

func (m *model) eventsTable() []string {
	list := m.happened()
	if len(list) == 0 {
		return []string{"", "  nothing has happened since the monitor looked" + m.that()}
	}
	return m.table(pad("TIME", 20)+pad("CONTAINER", 24)+"WHAT", len(list), func(i int) string {
		e := list[i]
		line := pad(clock(e.Time), 20) + pad(printable.Line(e.Name), 23) + " " + printable.Line(e.Text)
		if e.Bad {
			return red.Render(line)
		}
		return line
	})
}

func (m *model) detailLines() []string {
	d := m.detail
	lines := []string{bold.Render(d.title)}
	if d.err != nil {
		return append(lines, "", red.Render(printable.Line(d.err.Error())))
	}
	from := min(m.scroll, max(0, len(d.lines)-1))
	return append(lines, d.lines[from:min(len(d.lines), from+m.rows()-1)]...)
}

// containerLines is a container in full.
func containerLines(d *status.Detail, touched []asks.Request) []string {
	lines := []string{
		fmt.Sprintf("%s  %s  %s", printable.Line(d.Image), printable.Line(d.State), printable.Line(d.Health)),
		"cpu " + shown(d.CPU, percent) + "  throttled " + shown(d.Throttled, fraction) + "  memory " + memory(&d.Container) + "  full in " + shown(d.FullIn, seconds) +
			"  net in " + shown(d.NetIn, export.Bytes) + "/s out " + shown(d.NetOut, export.Bytes) + "/s  disk " + shown(d.Disk, export.Bytes) + "/s",
		fmt.Sprintf("restarts %.0f  threads %s", d.Restarts, shown(d.Threads, func(v float64) string { return fmt.Sprintf("%.0f", v) })),
	}
	part := func(name string, n int, line func(i int) string) { lines = section(lines, name, n, line) }
	part("What is wrong", len(d.Problems), func(i int) string { return condition(&status.Container{Problems: d.Problems[i : i+1]}) })
	part("Who asked Docker for it", len(touched), func(i int) string { return requestLine(&touched[i]) })
	part("What happened", len(d.Events), func(i int) string { return clock(d.Events[i].Time) + "  " + printable.Line(d.Events[i].Text) })
	part("Checks", len(d.Checks), func(i int) string {
		c := &d.Checks[i]
		return pad(printable.Line(c.Check), 28) + " " + pad(printable.Line(c.Status), 9) + printable.Line(c.Message)
	})
	part("Networks", len(d.Networks), func(i int) string { return printable.Line(d.Networks[i]) })
	part("Tags", len(d.Tags), func(i int) string { return printable.Line(d.Tags[i]) })
	part("Metrics", len(d.Numbers), func(i int) string {
		n := &d.Numbers[i]
		rate := ""
		if n.Rate {
			rate = "/s"
		}
		return pad(printable.Line(n.Metric), 44) + fmt.Sprintf(" %16.6g%-3s ", n.Value, rate) + printable.Line(labels(n.Labels))
	})
	return lines
}

func labels(all map[string]string) string {
	var out []string
	for k, v := range all {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// cellLines are a caller's requests of a class in full.
func cellLines(d *asks.Detail) []string {
	lines := section(nil, "Operations", len(d.Operations), func(i int) string {
		o := &d.Operations[i]
		return fmt.Sprintf("%-28s allowed %d, would deny %d, denied %d", printable.Line(o.ID), o.Allowed, o.WouldDeny, o.Denied)
	})
	lines = section(lines, "Reasons", len(d.Reasons), func(i int) string {
		r := &d.Reasons[i]
		return fmt.Sprintf("%s  %d times, last %s", printable.Line(r.Text), r.Count, clock(r.Last))
	})
	return section(lines, "Requests", len(d.Requests), func(i int) string { return requestLine(&d.Requests[i]) })
}

// section adds a part with a line for each of its things; none if there are none.
func section(lines []string, name string, n int, line func(i int) string) []string {
	if n > 0 {
		lines = append(lines, "", bold.Render(name))
	}
	for i := range n {
		lines = append(lines, "  "+line(i))
	}
	return lines
}

func requestLine(r *asks.Request) string {
	line := clock(r.Time) + "  " + pad(string(r.Verdict), 11) + printable.Line(r.Caller+"  "+r.Method+" "+r.URI)
	if len(r.Reasons) > 0 && r.Verdict != asks.Allowed {
		line += "  " + printable.Line(strings.Join(r.Reasons, "; "))
	}
	return verdictStyle(r.Verdict).Render(line)
}

// pad makes a text as wide as that, cut or filled.
func pad(s string, width int) string {
	s = ansi.Truncate(s, width, "…")
	return s + strings.Repeat(" ", max(0, width-ansi.StringWidth(s)))
}

func shown(v *float64, format func(float64) string) string {
	if v == nil {
		return "-"
	}
	return format(*v)
}

func percent(v float64) string  { return fmt.Sprintf("%.1f%%", v) }
func fraction(v float64) string { return fmt.Sprintf("%.0f%%", 100*v) }
func seconds(v float64) string {
	return time.Duration(v * float64(time.Second)).Round(time.Second).String()
}

// clock is a time of today, or a date with it.
func clock(t time.Time) string {
	if t = t.Local(); time.Since(t) < 24*time.Hour {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04:05")
}
