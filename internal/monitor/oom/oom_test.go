package oom

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/kernel/kmsg"
)

// state is what is known of the kills in a container's running life; see the package.
type state int

const (
	quiet state = iota
	reported
	counted
	survived
)

func (c *Container) state() state {
	switch {
	case c.Waits():
		return counted
	case !c.reported.IsZero():
		return reported
	case c.survived:
		return survived
	}
	return quiet
}

// String is the state's name, as in the package's table.
func (s state) String() string { return [...]string{"quiet", "reported", "counted", "survived"}[s] }

// life is a container's, of which the test tells.
type life struct {
	*Container
	host     *Host
	now      time.Time
	kills    uint64 // by the kernel's counter
	alive    bool
	verdicts []Verdict
}

var start = time.Unix(1_700_000_000, 0)

func newLife() *life {
	l := &life{host: NewHost(start), now: start.Add(time.Hour), alive: true}
	l.Container = l.host.Watch(func(v Verdict) { l.verdicts = append(l.verdicts, v) })
	l.host.Counted(n(0))
	l.Begin(start.Add(time.Minute))
	l.read()
	return l
}

func n(value uint64) cgroup.Value { return cgroup.Value{N: value, Set: true} }

// read reads the counter, a while after what was before.
func (l *life) read() {
	l.now = l.now.Add(2 * SettleAfter)
	l.Read(l.now, n(l.kills), cgroup.Value{}, func() bool { return l.alive })
}

// The events of the package's table, by its heads.
var events = []struct {
	name   string
	happen func(l *life)
}{
	{"counter rises", func(l *life) { l.kills++; l.read() }},
	{"PID 1 lives", func(l *life) { l.read() }},
	{"oom event", func(l *life) { l.Oom(l.now, true) }},
	{"SIGKILL ends it", func(l *life) { l.Die(l.now, CodeKilled) }},
	{"ends otherwise", func(l *life) { l.Die(l.now, 0) }},
	{"ended, OOMKilled", func(l *life) { l.Inspect(l.now, true) }},
	{"new life", func(l *life) { l.Begin(l.now) }},
}

// in brings a container into a state.
func in(t *testing.T, s state) *life {
	t.Helper()
	l := newLife()
	switch s {
	case quiet:
	case reported:
		l.Oom(l.now, true)
	case counted:
		l.kills++
		l.read()
	case survived:
		l.kills++
		l.read()
		l.read()
	}
	if l.state() != s {
		t.Fatalf("%s, not %s", l.state(), s)
	}
	l.verdicts, l.host.suspects = nil, nil
	return l
}

// cell is what becomes of a container, as the package's table says it.
func (l *life) cell() string {
	out := l.state().String()
	for _, v := range l.verdicts {
		what := "fatal"
		if v.PID1Alive {
			what = "alive"
		}
		out += fmt.Sprintf(": %d %s", v.Kills, what)
		if v.Missed {
			out += ", no news"
		}
	}
	if len(l.host.suspects) > 0 {
		out += ", suspect"
	}
	return out
}

// TestTable: the table in the package's comment is what happens.
func TestTable(t *testing.T) {
	source, err := os.ReadFile("oom.go")
	if err != nil {
		t.Fatal(err)
	}
	var want [][]string
	row := []string{""}
	for _, e := range events {
		row = append(row, e.name)
	}
	want = append(want, row)
	for s := quiet; s <= survived; s++ {
		row := []string{s.String()}
		for _, e := range events {
			l := in(t, s)
			e.happen(l)
			row = append(row, l.cell())
		}
		want = append(want, row)
	}
	widths := make([]int, len(row))
	for _, row := range want {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	var table bytes.Buffer
	for _, row := range want {
		line := ""
		for i, cell := range row {
			line += fmt.Sprintf("%-*s", widths[i]+2, cell)
		}
		fmt.Fprintf(&table, "//\t%s\n", strings.TrimRight(line, " "))
	}
	if !bytes.Contains(source, table.Bytes()) {
		t.Errorf("the package's comment does not have this table:\n%s", table.String())
	}
}

// TestKillWaits: the counter is ahead of the death that it counts.
func TestKillWaits(t *testing.T) {
	l := newLife()
	l.kills++
	l.read()
	l.now = l.now.Add(SettleAfter - time.Millisecond)
	l.Read(l.now, n(1), cgroup.Value{}, func() bool { t.Error("asked at once whether PID 1 lives"); return true })
	l.alive = false // about to end
	for range 3 {
		l.read()
	}
	if l.state() != counted || len(l.verdicts) > 0 {
		t.Errorf("%s, %+v before PID 1 has ended", l.state(), l.verdicts)
	}
	l.kills += 2
	l.read()
	l.Die(l.now, CodeKilled)
	if got := l.cell(); got != "quiet: 3 fatal" {
		t.Error(got)
	}
}

// TestOldKillsAreNoNews: those from before the monitor's start wait no longer.
func TestOldKillsAreNoNews(t *testing.T) {
	for _, began := range []time.Time{{}, start.Add(-time.Hour)} {
		l := newLife()
		l.Begin(began)
		l.kills = 2
		l.read()
		if len(l.verdicts) != 1 || !l.verdicts[0].Old || l.verdicts[0].Kills != 2 || l.state() != survived {
			t.Errorf("%s, %+v", l.state(), l.verdicts)
		}
	}
}

// TestEndIsJudgedOnce, whether the event or the inspect tells of it first.
func TestEndIsJudgedOnce(t *testing.T) {
	for name, tell := range map[string][]func(l *life){
		"the event first":     {func(l *life) { l.Die(l.now.Add(time.Second), CodeKilled) }, func(l *life) { l.Inspect(l.now, true) }},
		"the inspect first":   {func(l *life) { l.Inspect(l.now, true) }, func(l *life) { l.Die(l.now.Add(time.Second), CodeKilled) }},
		"and then once more":  {func(l *life) { l.Inspect(l.now, true) }, func(l *life) { l.Inspect(l.now, true) }},
		"its code is unknown": {func(l *life) { l.Die(l.now.Add(time.Second), CodeUnknown) }, func(l *life) { l.Inspect(l.now, true) }},
	} {
		l := in(t, reported)
		for _, f := range tell {
			f(l)
		}
		if len(l.verdicts) != 1 || l.verdicts[0].PID1Alive || l.verdicts[0].Kills != 1 {
			t.Errorf("%s: %+v", name, l.verdicts)
		}
	}
}

// TestOomEventOfAnEarlierLife: it says nothing of how this one ended.
func TestOomEventOfAnEarlierLife(t *testing.T) {
	l := in(t, reported)
	l.Begin(l.now.Add(time.Hour)) // the end was missed
	l.Die(l.now.Add(2*time.Hour), CodeKilled)
	if got := l.cell(); got != "quiet, suspect" {
		t.Error(got)
	}
}

// TestSuspects: an end by SIGKILL is the OOM killer's if the host had a kill that is nobody's.
func TestSuspects(t *testing.T) {
	for _, tt := range []struct {
		name   string
		happen func(l *life)
		want   string
	}{
		{"a kill", func(l *life) { l.host.Counted(n(1)) }, "quiet: 1 fatal"},
		{"none", func(l *life) { l.host.Counted(n(0)) }, "quiet"},
		{"another container's", func(l *life) {
			other := l.host.Watch(func(Verdict) {})
			other.Read(l.now, n(1), cgroup.Value{}, func() bool { return true })
			l.host.Counted(n(1))
		}, "quiet"},
		{"a whole container's, of which nobody knows how many they were", func(l *life) {
			other := l.host.Watch(func(Verdict) {})
			other.KilledAsOne(true)
			other.Oom(l.now, false)
			other.Die(l.now, CodeKilled)
			l.host.Counted(n(9))
		}, "quiet"},
		{"not readable", func(l *life) { l.host.Counted(cgroup.Value{}) }, "quiet"},
	} {
		l := newLife()
		l.Die(l.now, CodeKilled)
		tt.happen(l)
		if got := l.cell(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	l := newLife()
	l.host.Counted(n(1)) // just before its end is told
	l.Die(l.now, CodeKilled)
	l.host.Counted(n(1))
	if got := l.cell(); got != "quiet: 1 fatal" {
		t.Error(got)
	}
}

// TestVictimsAreThoseThatWait: of kills that were told already, the log names nobody anew.
func TestVictimsAreThoseThatWait(t *testing.T) {
	l := newLife()
	l.Victim(kmsg.Victim{Name: "counted before"})
	l.read()
	for i := range 2 * victimsKept {
		l.Victim(kmsg.Victim{PID: i})
	}
	l.kills++
	l.read()
	l.read()
	if got := l.verdicts[0].Victims; len(got) != victimsKept || slices.ContainsFunc(got, func(v kmsg.Victim) bool { return v.Name != "" }) {
		t.Errorf("%d victims, %v", len(got), got[0])
	}
}

// TestManyEnds: of a container that ends again and again the last few are remembered.
func TestManyEnds(t *testing.T) {
	l := newLife()
	for range 10 * deathsKept {
		l.now = l.now.Add(time.Minute)
		l.Die(l.now, 1)
	}
	if len(l.deaths) != deathsKept || !l.deaths[deathsKept-1].at.Equal(l.now) {
		t.Errorf("%d ends, the last one at %v", len(l.deaths), l.deaths[len(l.deaths)-1].at)
	}
}
