package top

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"vitrine/internal/monitor/asks"
	"vitrine/internal/monitor/status"
)

// hostile moves the cursor, sets the title, writes to the clipboard and hides what is after it.
const hostile = "a\x1b[2J\x1b]0;owned\x07\x9b31m\r\nb\u202e\u200b"

func someState() *status.State {
	return &status.State{
		Engine: status.Engine{Up: true}, Running: 3, Stopped: 1, Trouble: 1,
		Containers: []status.Container{
			{ID: "1", Name: "shop", State: "running", Memory: new(float64(32 << 20)), Limit: new(float64(64 << 20)), CPU: new(float64(3)), Problems: []status.Problem{
				{Code: "killed-inside", Severity: status.Critical, Text: "killed 14:02, PID 1 alive, 3 kills"},
			}},
			{ID: "2", Name: hostile, Image: hostile, State: "running", CPU: new(float64(90)), Tags: []string{"team:sre"}},
			{ID: "3", Name: "a-very-long-name-of-a-container-that-somebody-has-made-for-no-reason-at-all", State: "exited", FullIn: new(float64(75))},
			{ID: "4", Name: "自動販売機", State: "running"},
		},
		Events: []status.Event{{Time: time.Now(), Kind: "oom-kill", Name: hostile, Text: hostile, Bad: true}},
	}
}

func someBoard() *asks.Board {
	asked := false
	return &asks.Board{Up: true, DeniedHour: 2, Guard: asks.Guard{Asked: &asked, Revision: "f151f142ba4c"}, Callers: []asks.Caller{
		{Name: "container:ci" + hostile, Cells: []asks.Cell{{Class: "write", Denied: 2, Allowed: 1, Worst: asks.Denied, Last: time.Now()}}},
	}}
}

func press(m *model, keys ...string) {
	for _, k := range keys {
		key := tea.Key{Text: k}
		switch k {
		case "enter":
			key = tea.Key{Code: tea.KeyEnter}
		case "esc":
			key = tea.Key{Code: tea.KeyEscape}
		case "down":
			key = tea.Key{Code: tea.KeyDown}
		case "tab":
			key = tea.Key{Code: tea.KeyTab}
		default:
			key.Code = []rune(k)[0]
		}
		m.Update(tea.KeyPressMsg(key))
	}
}

func screen(m *model) string { return ansi.Strip(m.View().Content) }

// What is wrong stands first, in words, and each size shows the state and the keys.
func TestWhatIsWrongStandsFirst(t *testing.T) {
	m := newModel(t.Context(), nil)
	m.Update(someState())
	m.Update(someBoard())
	for _, size := range []tea.WindowSizeMsg{{Width: 80, Height: 24}, {Width: 200, Height: 60}, {Width: 40, Height: 10}, {Width: 1, Height: 1}, {Width: 0, Height: 0}} {
		m.Update(size)
		lines := strings.Split(screen(m), "\n")
		if size.Height > 0 && len(lines) > size.Height {
			t.Errorf("%+v: %d lines", size, len(lines))
		}
		for _, l := range lines {
			if w := ansi.StringWidth(l); w > max(size.Width, 1) {
				t.Errorf("%+v: a line of %d: %q", size, w, l)
			}
		}
	}
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 24})
	got := screen(m)
	for _, want := range []string{"1 in trouble", "3 running, 1 stopped", "dockerd asks nobody", "2 denied/h", "policy f151f142ba4c", "32.0MiB/64.0MiB", "killed 14:02, PID 1 alive, 3 kills", "1m15s", "自動販売機"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if first := strings.Split(got, "\n")[3]; !strings.HasPrefix(first, "shop") {
		t.Errorf("first stands %q", first)
	}
}

// A terminal obeys nothing that a container is called.
func TestNamesAreNoCommandsToTheTerminalClosed(t *testing.T) {
	m := newModel(t.Context(), nil)
	m.Update(tea.WindowSizeMsg{Width: 160, Height: 30})
	m.Update(someState())
	m.Update(someBoard())
	m.Update(lostMsg{errors.New(hostile)})
	views := []string{m.View().Content}
	m.Update(someState())
	for _, k := range []string{"1", "2", "3"} {
		press(m, k)
		views = append(views, m.View().Content)
	}
	bad := &status.Detail{
		Container: someState().Containers[1], Numbers: []status.Number{{Metric: hostile, Labels: map[string]string{hostile: hostile}}},
		Checks: []status.Check{{Check: hostile, Status: hostile, Message: hostile}}, Networks: []string{hostile}, Events: someState().Events,
	}
	bad.Tags, bad.Problems = []string{hostile}, []status.Problem{{Text: hostile, Severity: status.Note}}
	request := asks.Request{Caller: hostile, URI: hostile, Method: hostile, Verdict: asks.Denied, Reasons: []string{hostile}}
	views = append(views, containerLines(bad, []asks.Request{request})...)
	views = append(views, cellLines(&asks.Detail{Operations: []asks.Operation{{ID: hostile}}, Reasons: []asks.Reason{{Text: hostile}}, Requests: []asks.Request{request}})...)
	for _, v := range views {
		for _, order := range []string{"\x1b[2J", "\x1b]", "\x07", "\x9b", "\r", "\u202e", "\u200b"} {
			if strings.Contains(v, order) {
				t.Errorf("%q in %q", order, v)
			}
		}
	}
}

// TestKeys: what a person reaches with them.
func TestKeys(t *testing.T) {
	m := newModel(t.Context(), nil)
	m.Update(tea.WindowSizeMsg{Width: 160, Height: 30})
	m.Update(someState())
	m.Update(someBoard())
	names := func() (out []string) {
		for _, c := range m.shown() {
			out = append(out, c.ID)
		}
		return out
	}
	for _, step := range []struct {
		keys []string
		want string
	}{
		{nil, "1234"},
		{[]string{"s"}, "2314"}, // by name
		{[]string{"s"}, "2134"}, // by cpu
		{[]string{"r"}, "4312"},
		{[]string{"r", "/", "s", "r", "e", "enter"}, "2"},
		{[]string{"esc"}, "2134"},
		{[]string{"/", "S", "H", "enter"}, "1"},
	} {
		press(m, step.keys...)
		if got := strings.Join(names(), ""); got != step.want {
			t.Errorf("%q: %s, want %s", step.keys, got, step.want)
		}
	}
	press(m, "esc", "down", "down", "down", "down", "down", "down")
	if m.cursor[containers] != 3 {
		t.Errorf("the cursor is on %d of 4", m.cursor[containers])
	}
	press(m, "tab")
	if got := screen(m); !strings.Contains(got, "container:ci") || !strings.Contains(got, "CLASS") {
		t.Errorf("who asks:\n%s", got)
	}
	press(m, "?")
	if got := screen(m); !strings.Contains(got, "sort containers by") {
		t.Errorf("help:\n%s", got)
	}
}

// TestSource: a stream is followed, what it ends with is told, and it is followed again; the token is brought.
func TestSource(t *testing.T) {
	streams := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			http.Error(w, "vitrine: give the token", http.StatusUnauthorized)
		case r.URL.Path == "/api/live":
			streams++
			_ = json.NewEncoder(w).Encode(map[string]any{"state": someState()})
			_ = json.NewEncoder(w).Encode(map[string]any{"board": someBoard()})
		case r.URL.Path == "/api/containers/1":
			_ = json.NewEncoder(w).Encode(map[string]any{"id": "1", "image": "shop:1", "touched": []asks.Request{{URI: "/containers/1/json"}}})
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	s := NewSource(strings.TrimPrefix(server.URL, "http://"), "secret")
	defer s.Close()
	var got []string
	err := s.stream(t.Context(), func(msg any) {
		switch msg.(type) {
		case *status.State:
			got = append(got, "state")
		case *asks.Board:
			got = append(got, "board")
		}
	})
	if strings.Join(got, " ") != "state board" || !errors.Is(err, errEnded) {
		t.Errorf("%s, %v", got, err)
	}
	if d := s.container(t.Context(), "1", "shop"); d.err != nil || !strings.Contains(strings.Join(d.lines, "\n"), "/containers/1/json") {
		t.Errorf("%+v", d)
	}
	if d := s.cell(t.Context(), "x", "y"); d.err == nil {
		t.Error("a cell that is not")
	}
	if err := NewSource(strings.TrimPrefix(server.URL, "http://"), "").Try(t.Context()); err == nil || !strings.Contains(err.Error(), "give the token") {
		t.Errorf("without the token: %v", err)
	}
}
