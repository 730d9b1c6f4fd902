// Package top is the page of the monitor for a terminal: what is wrong now on top, who asks Docker for
// what, and what happened, as it happens.
//
// It shows what a running monitor answers under /api/, and so never differs from the page; it reads no kernel's
// file and asks no Engine. It changes nothing.
//
// Names, tags, targets and messages are the choice of who makes containers and asks Docker. A terminal obeys
// what it is shown, so each text is cleaned of all that is not printed before it comes near the screen, here in [clean].
package top

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"vitrine/internal/command"
	"vitrine/internal/monitor/asks"
	"vitrine/internal/monitor/status"
	"vitrine/internal/printable"
)

// Options are what Run needs.
type Options struct {
	Source *Source
	In     io.Reader
	Out    io.Writer
	// Environ are the variables of the terminal: TERM, NO_COLOR, COLORTERM, each NAME=VALUE.
	Environ []string
}

// Run shows until the person leaves or ctx ends. It leaves the terminal as it was.
func Run(ctx context.Context, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := tea.NewProgram(newModel(ctx, o.Source), tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithEnvironment(environment(o.Environ)))
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		o.Source.follow(ctx, func(msg any) { p.Send(msg) })
	}()
	_, err := p.Run()
	cancel()
	<-followed
	if errors.Is(err, tea.ErrInterrupted) || errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// environment adds NO_COLOR=1 where no colour is to be written. Bubbletea writes colours to each terminal but TERM=dumb,
// and takes NO_COLOR=yes for no.
func environment(of []string) []string {
	if command.Colourless(of) {
		return append(slices.Clip(of), "NO_COLOR=1") // the last one counts
	}
	return of
}

// tab is what the screen shows.
type tab int

const (
	containers tab = iota
	askers
	events
)

const tabs = 3

func (t tab) String() string { return [...]string{"containers", "who asks Docker", "events"}[t] }

// order is a column that containers are sorted by.
type order int

const (
	byTrouble order = iota
	byName
	byCPU
	byMemory
	byNetwork
)

const orders = 5

func (o order) String() string { return [...]string{"trouble", "name", "cpu", "memory", "network"}[o] }

// model is all that the screen shows. It is changed by Update alone.
type model struct {
	ctx    context.Context //nolint:containedctx // bubbletea's commands get none
	source *Source

	width, height int
	state         *status.State
	board         *asks.Board
	lost          error // the monitor does not answer

	tab     tab
	cursor  [tabs]int
	order   order
	reverse bool
	filter  string
	typing  bool // the filter is being written
	help    bool
	detail  *detail // open on top of the list; nil: none
	scroll  int     // of the detail
}

// detail is one container, or one caller, in full.
type detail struct {
	title string
	lines []string
	err   error
}

func newModel(ctx context.Context, s *Source) *model {
	return &model{ctx: ctx, source: s, width: 80, height: 24}
}

// Init asks for nothing: news come by themselves.
func (m *model) Init() tea.Cmd { return nil }

// Update takes a key, a new size, or news.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case *status.State:
		m.state, m.lost = msg, nil
	case *asks.Board:
		m.board = msg
	case lostMsg:
		m.lost = msg.why
	case *detail:
		m.detail, m.scroll = msg, 0
	case tea.KeyPressMsg:
		return m, m.key(msg)
	}
	m.keepCursor()
	return m, nil
}

func (m *model) key(key tea.KeyPressMsg) tea.Cmd {
	defer m.keepCursor()
	if m.typing {
		m.write(key)
		return nil
	}
	switch k := key.String(); k {
	case "q", "ctrl+c":
		return tea.Quit
	case "esc", "backspace", "left", "h":
		m.back()
	case "?":
		m.help = !m.help
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup", "ctrl+b":
		m.move(-m.rows())
	case "pgdown", "ctrl+f", "space":
		m.move(m.rows())
	case "home", "g":
		m.move(-1 << 30)
	case "end", "G":
		m.move(1 << 30)
	case "tab", "1", "2", "3":
		m.detail, m.help = nil, false
		if m.tab = (m.tab + 1) % tabs; k != "tab" {
			m.tab = tab(k[0] - '1')
		}
	case "s":
		m.order = (m.order + 1) % orders
	case "r":
		m.reverse = !m.reverse
	case "/":
		m.typing, m.detail = true, nil
	case "enter", "right", "l":
		return m.open()
	}
	return nil
}

// back leaves what is on top.
func (m *model) back() {
	switch {
	case m.help:
		m.help = false
	case m.detail != nil:
		m.detail = nil
	default:
		m.filter = ""
	}
}

// write takes a key of the filter.
func (m *model) write(key tea.KeyPressMsg) {
	switch key.String() {
	case "enter", "ctrl+c":
		m.typing = false
	case "esc":
		m.typing, m.filter = false, ""
	case "backspace":
		if r := []rune(m.filter); len(r) > 0 {
			m.filter = string(r[:len(r)-1])
		}
	default:
		m.filter += printable.Line(key.Text)
	}
}

func (m *model) move(by int) {
	if m.detail != nil {
		m.scroll = max(0, min(m.scroll+by, len(m.detail.lines)-1))
		return
	}
	m.cursor[m.tab] += by
}

// keepCursor keeps it on a row.
func (m *model) keepCursor() {
	m.cursor[m.tab] = max(0, min(m.cursor[m.tab], m.length()-1))
}

// length is how many rows the list has.
func (m *model) length() int {
	switch m.tab {
	case containers:
		return len(m.shown())
	case askers:
		return len(m.asked())
	case events:
		return len(m.happened())
	}
	return 0
}

// open asks for what is below the cursor in full.
func (m *model) open() tea.Cmd {
	at := m.cursor[m.tab]
	switch {
	case m.detail != nil:
	case m.tab == containers && at < len(m.shown()):
		c := m.shown()[at]
		return func() tea.Msg { return m.source.container(m.ctx, c.ID, printable.Line(c.Name)) }
	case m.tab == askers && at < len(m.asked()):
		c := m.asked()[at]
		return func() tea.Msg { return m.source.cell(m.ctx, c.caller.Name, c.cell.Class) }
	}
	return nil
}

// shown are the containers that the filter leaves, sorted.
func (m *model) shown() []*status.Container {
	if m.state == nil {
		return nil
	}
	var out []*status.Container
	for i := range m.state.Containers {
		c := &m.state.Containers[i]
		if m.fits(append([]string{c.Name, c.Image, c.State}, c.Tags...)...) {
			out = append(out, c)
		}
	}
	number := func(of func(*status.Container) *float64) func(a, b *status.Container) int {
		return func(a, b *status.Container) int { return cmp.Compare(zero(of(b)), zero(of(a))) }
	}
	by := map[order]func(a, b *status.Container) int{
		byName:   func(a, b *status.Container) int { return strings.Compare(a.Name, b.Name) },
		byCPU:    number(func(c *status.Container) *float64 { return c.CPU }),
		byMemory: number(func(c *status.Container) *float64 { return c.Memory }),
		byNetwork: func(a, b *status.Container) int {
			return cmp.Compare(zero(b.NetIn)+zero(b.NetOut), zero(a.NetIn)+zero(a.NetOut))
		},
	}[m.order]
	if by != nil { // else as they come: what is wrong first
		slices.SortStableFunc(out, by)
	}
	if m.reverse {
		slices.Reverse(out)
	}
	return out
}

func zero(v *float64) float64 {
	if v == nil {
		return 0
	}
	return *v
}

// askedRow is one caller's requests of one class.
type askedRow struct {
	caller *asks.Caller
	cell   *asks.Cell
}

func (m *model) asked() []askedRow {
	if m.board == nil {
		return nil
	}
	var out []askedRow
	for i := range m.board.Callers {
		c := &m.board.Callers[i]
		for j := range c.Cells {
			if m.fits(append([]string{c.Name, c.Cells[j].Class}, c.Principals...)...) {
				out = append(out, askedRow{c, &c.Cells[j]})
			}
		}
	}
	if m.reverse {
		slices.Reverse(out)
	}
	return out
}

func (m *model) happened() []*status.Event {
	if m.state == nil {
		return nil
	}
	var out []*status.Event
	for i := range m.state.Events {
		if e := &m.state.Events[i]; m.fits(e.Name, e.Text, e.Kind) {
			out = append(out, e)
		}
	}
	if m.reverse {
		slices.Reverse(out)
	}
	return out
}

// fits says whether the filter leaves what has these words.
func (m *model) fits(words ...string) bool {
	return m.filter == "" || slices.ContainsFunc(words, func(w string) bool {
		return strings.Contains(strings.ToLower(w), strings.ToLower(m.filter))
	})
}

// lostMsg says that the monitor does not answer.
type lostMsg struct{ why error }

var errEnded = errors.New("the monitor ended the stream")
