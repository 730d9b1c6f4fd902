package status

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/kernel/kmsg"
	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/series"
	"vitrine/internal/monitor/tag"
)

var began = time.Date(2026, 11, 27, 14, 0, 0, 0, time.UTC)

// world is a keeper that is told of containers.
type world struct {
	series *series.Aggregator
	*Keeper
	now  time.Time
	list []*collect.Container
}

func newWorld() *world {
	a := series.New(tag.New(tag.Config{}), []int{0, 143})
	return &world{series: a, Keeper: NewKeeper(a, []int{0, 143}), now: began}
}

// runs adds a container that runs and was read.
func (w *world) runs(name string, change ...func(*collect.Container)) *collect.Container {
	c := &collect.Container{Container: docker.Container{
		ID: strings.Repeat(fmt.Sprintf("%02x", len(w.list)+1), 32), Name: name, Running: true, StartedAt: began.Format(time.RFC3339Nano),
		Detail: &docker.Detail{State: "running"},
	}, Throttled: -1, Read: w.now}
	for _, f := range change {
		f(c)
	}
	w.list = append(w.list, c)
	return c
}

// tick collects after that time.
func (w *world) tick(after time.Duration, events ...collect.Event) *State {
	w.now = w.now.Add(after)
	for _, c := range w.list {
		if !c.Read.IsZero() {
			c.Read = w.now
		}
	}
	w.series.Update(&collect.Snapshot{Time: w.now, Containers: w.list, Events: events, Engine: collect.Engine{Up: true}})
	w.Update(events)
	return w.State()
}

// told are a container's problems as "severity code: text".
func told(s *State, name string) (out []string) {
	i := slices.IndexFunc(s.Containers, func(c Container) bool { return c.Name == name })
	for _, p := range s.Containers[i].Problems {
		out = append(out, fmt.Sprintf("%s %s: %s", p.Severity, p.Code, p.Text))
	}
	return out
}

func set(n uint64) cgroup.Value { return cgroup.Value{N: n, Set: true} }

// TestDeadForwarder: what the Engine calls healthy is on top, with when and how often; a new start ends it.
func TestDeadForwarder(t *testing.T) {
	w := newWorld()
	w.runs("aaa")
	c := w.runs("forwarder")
	w.tick(0)
	c.Kills.Survived = 3
	s := w.tick(2*time.Minute, collect.Event{
		Time: began.Add(2 * time.Minute), Name: collect.EventOOMKill, ContainerID: c.ID, ContainerName: c.Name, PID1Alive: true, Kills: 3,
		Victims: []kmsg.Victim{{Name: "fluentd", PID: 7}},
	})
	if got := told(s, "forwarder"); !slices.Equal(got, []string{"critical killed-inside: killed 14:02 (fluentd (7)), PID 1 alive, 3 kills"}) {
		t.Errorf("problems %q", got)
	}
	if s.Containers[0].Name != "forwarder" || s.Trouble != 1 || s.Running != 2 {
		t.Errorf("first is %s, %d in trouble of %d", s.Containers[0].Name, s.Trouble, s.Running)
	}
	if len(s.Events) != 1 || s.Events[0].Kind != "oom-kill" || !s.Events[0].Bad || !strings.Contains(s.Events[0].Text, "PID 1 lives on") {
		t.Errorf("events %+v", s.Events)
	}
	c.StartedAt = began.Add(3 * time.Minute).Format(time.RFC3339Nano)
	if s = w.tick(2 * time.Minute); told(s, "forwarder") != nil || s.Trouble != 0 {
		t.Errorf("after a restart: %q", told(s, "forwarder"))
	}
	c.Kills.Survived = 4
	if got := told(w.tick(time.Second), "forwarder"); len(got) != 1 || !strings.Contains(got[0], "killed before the monitor looked, PID 1 alive, 1 kill") {
		t.Errorf("a kill without an event: %q", got)
	}
}

// TestProblems: each of them, and its near miss.
func TestProblems(t *testing.T) {
	memory := func(used, limit uint64, left time.Duration) func(*collect.Container) {
		return func(c *collect.Container) {
			c.Stats.Memory.WorkingSet, c.Stats.Memory.Limit, c.Headroom = set(used), set(limit), left
		}
	}
	ended := func(state string, code int, ago time.Duration, fatal uint64) func(*collect.Container) {
		return func(c *collect.Container) {
			c.Running, c.Detail.State, c.Detail.ExitCode, c.Read = false, state, code, time.Time{}
			c.LastExit, c.Kills.Fatal = collect.Exit{At: began.Add(-ago), Code: code}, fatal
		}
	}
	for name, tt := range map[string]struct {
		change func(*collect.Container)
		want   string // "" for none
	}{
		"nothing":                   {func(*collect.Container) {}, ""},
		"full in minutes":           {memory(60, 100, 5*time.Minute), "critical memory-full-soon: memory reaches its limit in 5 min"},
		"full in seconds":           {memory(60, 100, 80*time.Second), "critical memory-full-soon: memory reaches its limit in 80 s"},
		"full in an hour":           {memory(60, 100, 30*time.Minute), "warning memory-full-soon: memory reaches its limit in 30 min"},
		"growing from little":       {memory(40, 100, 5*time.Minute), ""},
		"growing slowly":            {memory(60, 100, 2*time.Hour), ""},
		"full and not growing":      {memory(93, 100, 0), "warning memory-high: memory is at 93 % of its limit"},
		"nearly so":                 {memory(89, 100, 0), ""},
		"throttled":                 {func(c *collect.Container) { c.Throttled = 0.6 }, "warning throttled: throttled in 60 % of the scheduler's periods"},
		"a little throttled":        {func(c *collect.Container) { c.Throttled = 0.2 }, ""},
		"unhealthy":                 {func(c *collect.Container) { c.Detail.Health = "unhealthy" }, "critical unhealthy: its health check fails"},
		"starting":                  {func(c *collect.Container) { c.Detail.Health = "starting" }, ""},
		"paused":                    {func(c *collect.Container) { c.Detail.State = "paused" }, "note paused: paused"},
		"not readable":              {func(c *collect.Container) { c.Read = time.Time{} }, "note unread: its counters cannot be read; the monitor's log says why"},
		"failed":                    {ended("exited", 1, time.Hour, 0), "warning failed: ended with exit code 1 at 13:00"},
		"failed long ago":           {ended("exited", 1, 25*time.Hour, 0), ""},
		"stopped":                   {ended("exited", 143, time.Hour, 0), ""},
		"killed by the OOM killer":  {ended("exited", 137, time.Hour, 1), "critical oom-death: died of the OOM killer at 13:00"},
		"killed by a person":        {ended("exited", 137, time.Hour, 0), "warning failed: ended with exit code 137 at 13:00"},
		"dead":                      {ended("dead", 0, time.Hour, 0), "critical dead: dead: the Engine could not remove it"},
		"restarting again":          {func(c *collect.Container) { ended("restarting", 0, 0, 0)(c); c.Detail.Restarts = 12 }, "critical restarting: is being restarted, 12 times so far"},
		"a kill of one that is out": {func(c *collect.Container) { ended("exited", 0, time.Hour, 0)(c); c.Kills.Survived = 2 }, ""},
	} {
		w := newWorld()
		c := w.runs("it")
		tt.change(c)
		w.tick(0)
		if got := strings.Join(told(w.tick(0), "it"), "; "); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// TestProblemsPage: each code has a row in docs/page.md.
func TestProblemsPage(t *testing.T) {
	source, err := os.ReadFile("problem.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../../docs/page.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`add\("([a-z-]+)"`).FindAllSubmatch(source, -1)
	if len(codes) < 12 {
		t.Errorf("%d codes in the source", len(codes))
	}
	for _, code := range codes {
		if !regexp.MustCompile("(?m)^\\| .*`" + string(code[1]) + "`.* \\|").Match(page) {
			t.Errorf("docs/page.md does not say what %s is", code[1])
		}
	}
}

// TestCrashing: one crash that a restart policy mends is a warning, several in an hour are more.
func TestCrashing(t *testing.T) {
	w := newWorld()
	c := w.runs("it")
	w.tick(0)
	for n, want := range []string{"warning crashed", "warning crashed", "critical crashing: ended 3 times in the last hour"} {
		c.LastExit = collect.Exit{At: w.now, Code: 1}
		s := w.tick(time.Minute, collect.Event{Time: w.now, Name: collect.EventExit, ContainerID: c.ID, ExitCode: 1})
		if got := strings.Join(told(s, "it"), "; "); !strings.HasPrefix(got, want) {
			t.Errorf("crash %d: %q, want %q", n+1, got, want)
		}
	}
	if got := told(w.tick(2*time.Hour), "it"); got != nil {
		t.Errorf("two hours later: %q", got)
	}
}

// TestHistory: the mean of each step, of memory the most; what was not known is null; the ring turns.
func TestHistory(t *testing.T) {
	w := newWorld()
	c := w.runs("it")
	c.Stats.Memory.WorkingSet = set(100)
	w.tick(0)
	c.Stats.Memory.WorkingSet = set(300)
	w.tick(5 * time.Second)
	c.Stats.Memory.WorkingSet = set(200)
	w.tick(5 * time.Second)
	c.Read = time.Time{}
	w.tick(5 * time.Second) // a step in which nothing is read
	w.tick(15 * time.Second)
	h, ok := w.History(c.ID, false)
	if !ok {
		t.Fatal("no history")
	}
	var got []string
	for _, v := range h.Values["memory"] {
		if v == nil {
			got = append(got, "-")
		} else {
			got = append(got, fmt.Sprintf("%.0f", *v))
		}
	}
	if want := []string{"300", "-", "-"}; !slices.Equal(got, want) || h.Step != 15 || !h.From.Equal(began) {
		t.Errorf("%v each %v s from %v, want %v", got, h.Step, h.From, want)
	}
	if _, ok := w.History("nobody", false); ok {
		t.Error("nobody has a history")
	}
}

func TestRingTurns(t *testing.T) {
	var r ring
	const size = 240
	at := began
	for i := range 1000 {
		m := numbers{}
		m.at[cpu] = float64(i)
		r.add(at.Add(time.Duration(i)*hourStep), hourStep, size, &m)
	}
	cpu := r.read(hourStep).Values["cpu"]
	if len(cpu) != size+1 || cap(r.codes) != size*int(measures) {
		t.Fatalf("%d steps, room for %d", len(cpu), cap(r.codes))
	}
	for i, v := range cpu {
		if want := float64(1000 - size - 1 + i); v == nil || math.Abs(*v-want) > want/1000 {
			t.Fatalf("step %d is %v, want %v", i, v, want)
		}
	}
	m := numbers{}
	r.add(at.Add(48*time.Hour), hourStep, size, &m)
	if cpu = r.read(hourStep).Values["cpu"]; len(cpu) != 1 || *cpu[0] != 0 {
		t.Errorf("after a long gap: %v", cpu)
	}
}

// TestCode: a number is right within a thousandth.
func TestCode(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		v := math.Exp2(rnd.Float64()*59 - 6)
		if got := encode(v).decode(); math.Abs(*got-v) > v/1000 {
			t.Fatalf("%v comes back as %v", v, *got)
		}
	}
	if encode(math.NaN()).decode() != nil || encode(-1).decode() != nil || *encode(0).decode() != 0 || encode(math.Inf(1)).decode() == nil {
		t.Error("the ends of the scale")
	}
}

// TestBounded: a day of containers, and those that are gone, have the memory that the package comment says.
func TestBounded(t *testing.T) {
	const containers = 40
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	lives := make([]history, containers)
	m := numbers{at: [measures]float64{12, 0.3, 1e9, 1e6, 1e6, 5e5}}
	for at := began; at.Before(began.Add(25 * time.Hour)); at = at.Add(hourStep) {
		for i := range lives {
			lives[i].add(at, &m)
		}
	}
	if used := heap() - before; used > containers*5<<10+16<<10 { // and what else is on the heap by now
		t.Errorf("the history of %d containers takes %d KiB", containers, used>>10)
	}
	runtime.KeepAlive(lives)

	w := newWorld()
	for n := range 3 * goneMost {
		w.list = nil
		w.runs("short").ID = fmt.Sprintf("%064x", n)
		w.tick(100*time.Millisecond, collect.Event{Name: collect.EventExit, ContainerID: w.list[0].ID})
	}
	if s := w.State(); len(s.Gone) != goneMost || len(s.Events) != eventsMost || len(w.known) != goneMost+1 {
		t.Errorf("%d gone, %d events, %d known", len(s.Gone), len(s.Events), len(w.known))
	}
	last := w.State().Gone[0]
	if d, ok := w.Detail(last.ID); !ok || d.State != "gone" || d.Gone.IsZero() || len(d.Events) != 1 {
		t.Errorf("one that is gone: %+v", d)
	}
	w.list = nil
	w.tick(2 * time.Hour)
	w.tick(2 * time.Hour)
	if s := w.State(); len(s.Gone) != 0 || len(w.known) != 0 {
		t.Errorf("%d are gone, and remembered", len(s.Gone))
	}
}
