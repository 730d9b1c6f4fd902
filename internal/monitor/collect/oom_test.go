package collect

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/internal/kernel/kmsg"
)

// TestDeadForwarder is the talk's: a child is killed, PID 1 lives on, the Engine
// says Up, and in the end exit code 0.
func TestDeadForwarder(t *testing.T) {
	w := newWorld(t)
	w.run("memleak-forked", 100, "bridge")
	c := w.collector()
	w.collect(c)
	w.counters("memleak-forked", 1<<20, 1)
	if got := told(w.collect(c)); got != "" {
		t.Errorf("told before PID 1 had time to end: %s", got)
	}
	s := w.collect(c)
	if got := told(s); got != "memleak-forked: 1, pid1_alive=true" {
		t.Errorf("told: %s", got)
	}
	if got := find(t, s, "memleak-forked"); got.Kills != (Kills{Survived: 1}) || !got.Running {
		t.Errorf("kills %+v, running %v", got.Kills, got.Running)
	}
	if got := told(w.collect(c)); got != "" {
		t.Errorf("told again: %s", got)
	}
	w.end("memleak-forked", 0, true) // the Engine's OOMKilled stays true after a kill that was survived
	w.event("die", "memleak-forked", 0)
	s = w.collect(c)
	if got := find(t, s, "memleak-forked").Kills; got != (Kills{Survived: 1}) || told(s) != "" {
		t.Errorf("kills %+v, told: %s", got, told(s))
	}
}

// TestExitCodeOfALabelClosed: the Engine writes a container's labels over what its
// events say. An image with a label exitCode does not choose how it ended.
func TestExitCodeOfALabelClosed(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after func(w *world, die func())
		want  Exit
		kills Kills
	}{
		{"the inspect is faster", func(w *world, die func()) { w.end("liar", 137, true); die() }, Exit{Code: 137}, Kills{Fatal: 1}},
		{"the event is", func(w *world, die func()) { die(); w.collecting.followAll(w.now); w.end("liar", 137, true) }, Exit{Code: 137}, Kills{Fatal: 1}},
		{"no kill", func(w *world, die func()) { die(); w.collecting.followAll(w.now); w.end("liar", 3, false) }, Exit{Code: 3}, Kills{}},
		{"removed at once", func(w *world, die func()) {
			w.event("oom", "liar", 0)
			delete(w.containers, id("liar"))
			die()
			w.collecting.followAll(w.now)
		}, Exit{Code: -1}, Kills{Fatal: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.run("liar", 100, "bridge")
			in := w.containers[id("liar")]
			in.Labels = map[string]string{"exitCode": "0"}
			w.containers[id("liar")] = in
			w.collecting = w.collector()
			w.collect(w.collecting)
			tt.after(w, func() { w.event("die", "liar", 0) })
			s := w.collect(w.collecting)
			if _, there := w.containers[id("liar")]; !there {
				// It is told of all the same.
			} else if got := find(t, s, "liar"); got.LastExit.Code != tt.want.Code || got.Kills != tt.kills {
				t.Errorf("ended with %d, kills %+v", got.LastExit.Code, got.Kills)
			}
			codes, fatal := []int{}, uint64(0)
			for _, e := range s.Events {
				if e.Name == EventExit {
					codes = append(codes, e.ExitCode)
				} else if !e.PID1Alive {
					fatal += e.Kills
				}
			}
			if len(codes) != 1 || codes[0] != tt.want.Code || fatal != tt.kills.Fatal {
				t.Errorf("told of exit codes %v, and %d kills", codes, fatal)
			}
		})
	}
}

// TestPID1Killed: the container ended by it. The cgroup is gone before its
// counter can be read, so the Engine's word counts, in whichever way it comes.
func TestPID1Killed(t *testing.T) {
	tests := []struct {
		name  string
		after func(w *world)
		want  Kills
	}{
		{"oom event, then die", func(w *world) {
			w.end("leak", 137, true)
			w.event("oom", "leak", 0)
			w.event("die", "leak", 137)
		}, Kills{Fatal: 1}},
		{"the oom event is lost, inspect tells", func(w *world) {
			w.end("leak", 137, true)
			w.event("die", "leak", 137)
		}, Kills{Fatal: 1}},
		{"both events are lost", func(w *world) { w.end("leak", 137, true) }, Kills{Fatal: 1}},
		{"docker kill", func(w *world) {
			w.end("leak", 137, false)
			w.event("die", "leak", 137)
		}, Kills{}},
		{"restarted by its policy, twice", func(w *world) {
			for pid := range 2 {
				w.event("oom", "leak", 0)
				w.event("die", "leak", 137)
				w.end("leak", 137, true)
				w.run("leak", 101+pid, "bridge")
				w.event("start", "leak", 0)
			}
		}, Kills{Fatal: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.run("leak", 100, "bridge")
			c := w.collector()
			w.collect(c)
			tt.after(w)
			w.collect(c)
			s := w.collect(c)
			if got := find(t, s, "leak").Kills; got != tt.want {
				t.Errorf("kills %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestShortLived: a container that came and went between two collections is
// told of, by its name.
func TestShortLived(t *testing.T) {
	w := newWorld(t)
	c := w.collector()
	w.collect(c)
	w.event("start", "brief", 0)
	w.event("oom", "brief", 0)
	w.collect(c) // the inventory does not hold it yet
	w.event("die", "brief", 137)
	s := w.collect(c)
	if got := told(s); got != "brief: 1, pid1_alive=false" || len(s.Containers) != 0 {
		t.Errorf("told: %s; containers %v", got, s.Containers)
	}
	for range 5 {
		w.collect(c)
	}
	if len(c.known) != 0 {
		t.Error("it is never forgotten")
	}
}

// TestRemovedByForce: the last container is removed while it runs. It is kept in
// mind for the events that are to come, but nothing of it is looked for.
func TestRemovedByForce(t *testing.T) {
	w := newWorld(t)
	w.run("last", 100, "bridge")
	c := w.collector()
	w.collect(c)
	w.end("last", 137, false)
	delete(w.containers, id("last"))
	w.event("die", "last", 137)
	for range 3 {
		w.now = w.now.Add(-9 * time.Second) // a second after the last one
		if s := w.collect(c); s.Errors != (failures{}) || len(s.Containers) != 0 {
			t.Errorf("errors %v, containers %v", s.Errors, s.Containers)
		}
	}
	if strings.Contains(w.log.String(), "can be seen") {
		t.Errorf("the log says %s", w.log.String())
	}
}

// TestKilledAtTheEnd: the counter is read when PID 1 is about to end. The exit
// code says whether it was the victim.
func TestKilledAtTheEnd(t *testing.T) {
	ends := map[string]func(w *world){
		"zombie": func(w *world) {
			w.write(w.proc, "100/stat", "100 (sh) Z 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1000 0 0\n")
		},
		"exiting": func(w *world) {
			w.write(w.proc, "100/stat", "100 (sh) R 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 1000 0 0\n")
		},
		"SIGKILL waits for it": func(w *world) { w.dying(100) },
	}
	for name, end := range ends {
		for code, want := range map[int]Kills{137: {Fatal: 1}, 0: {Survived: 1}} {
			w := newWorld(t)
			w.run("leak", 100, "bridge")
			c := w.collector()
			w.collect(c)
			w.counters("leak", 1<<20, 1)
			end(w)
			for range 3 {
				if got := told(w.collect(c)); got != "" {
					t.Errorf("%s: told before it is known: %s", name, got)
				}
			}
			w.end("leak", code, true)
			w.event("die", "leak", code)
			s := w.collect(c)
			if got := find(t, s, "leak").Kills; got != want || len(s.Events) != 2 {
				t.Errorf("%s, exit code %d: kills %+v, events %+v, want %+v", name, code, got, s.Events, want)
			}
		}
	}
}

// TestEndMissed: kills were read, and then the container runs anew, and nobody
// told of its end: PID 1 outlived none of them.
func TestEndMissed(t *testing.T) {
	w := newWorld(t)
	w.run("leak", 100, "bridge")
	c := w.collector()
	w.collect(c)
	w.counters("leak", 1<<20, 2)
	w.collect(c)
	w.run("leak", 101, "bridge")
	s := w.collect(c)
	if got := find(t, s, "leak").Kills; got != (Kills{Fatal: 2}) {
		t.Errorf("kills %+v", got)
	}
}

// TestGroupKill: with memory.oom.group the kernel kills all that is in the cgroup,
// and counts each.
func TestGroupKill(t *testing.T) {
	tests := []struct {
		name  string
		group int // -1: a kernel that does not say
		after func(w *world)
		want  Kills
		told  string
	}{
		{"the container's, PID 1 too", 1, func(w *world) {
			w.end("group", 137, true)
			w.event("die", "group", 137)
		}, Kills{Fatal: 3}, "group: 3, pid1_alive=false"},
		{"before Linux 5.17, or by a cgroup above", -1, func(w *world) {
			w.end("group", 137, true)
			w.event("die", "group", 137)
		}, Kills{Fatal: 3}, "group: 3, pid1_alive=false"},
		{"the event is lost", 1, func(w *world) { w.end("group", 137, true) }, Kills{Fatal: 3}, "group: 3, pid1_alive=false"},
		{"that of a cgroup inside, and PID 1 is outside of it", 1, func(w *world) { w.process(100, cgroupOf("group"), "net:[100]") }, Kills{Survived: 3}, "group: 3, pid1_alive=true"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.run("group", 100, "bridge")
			c := w.collector()
			w.collect(c)
			w.counters("group", 1<<20, 3)
			if tt.group >= 0 {
				w.write(w.cgroup, cgroupOf("group")+"/memory.events", fmt.Sprintf("oom 1\noom_kill 3\noom_group_kill %d\n", tt.group))
			}
			w.dying(100)
			if got := told(w.collect(c)); got != "" {
				t.Errorf("told before it is known: %s", got)
			}
			tt.after(w)
			s := w.collect(c)
			kill := slices.IndexFunc(s.Events, func(e Event) bool { return e.Name == EventOOMKill && e.Group == (tt.group > 0) })
			if got := find(t, s, "group").Kills; got != tt.want || told(s) != tt.told || kill < 0 {
				t.Errorf("kills %+v, events %+v; want %+v, %s", got, s.Events, tt.want, tt.told)
			}
		})
	}
}

// TestGroupKillIsNotAnothers: how many were killed with a whole container is not
// known if its counter is gone, so what the host counted is no word on another one.
func TestGroupKillIsNotAnothers(t *testing.T) {
	for group, want := range map[string]Kills{"1\n": {}, "0\n": {Fatal: 1}} {
		w := newWorld(t)
		w.run("group", 100, "bridge")
		w.run("other", 101, "bridge")
		w.write(w.cgroup, cgroupOf("group")+"/memory.oom.group", group)
		c := w.collector()
		w.collect(c)
		w.hostKills(9)
		w.event("oom", "group", 0)
		for _, name := range []string{"group", "other"} {
			w.end(name, 137, name == "group")
			w.event("die", name, 137)
		}
		w.collect(c)
		s := w.collect(c)
		if got := find(t, s, "group").Kills; got != (Kills{Fatal: 1}) {
			t.Errorf("kills %+v", got)
		}
		if got := find(t, s, "other").Kills; got != want {
			t.Errorf("memory.oom.group %q: kills of another container %+v, want %+v", group, got, want)
		}
	}
}

// TestVictims: the kernel's log names those whom the counter counts, and nobody else.
func TestVictims(t *testing.T) {
	forwarder := kmsg.Victim{Name: "forwarder", PID: 4711, Cgroup: cgroupOf("leak") + "/inner"}
	leak := kmsg.Victim{Name: "leak", PID: 100, Cgroup: cgroupOf("leak")}
	tests := []struct {
		name  string
		log   []kmsg.Victim // when the kill is read
		after func(w *world, say func(...kmsg.Victim))
		want  string
	}{
		{"a child", []kmsg.Victim{forwarder}, nil, "[forwarder (4711)]"},
		{"of another container", []kmsg.Victim{{Name: "x", PID: 1, Cgroup: cgroupOf("other")}, {Name: "y", PID: 2, Cgroup: cgroupOf("leak") + "0"}, {Name: "z", PID: 3, Cgroup: "/user.slice" + cgroupOf("leak")}}, nil, "[]"},
		{"nobody may read it", nil, nil, "[]"},
		{"PID 1, and the counter was not read", nil, func(w *world, say func(...kmsg.Victim)) {
			say(leak)
			w.event("oom", "leak", 0)
			w.end("leak", 137, true)
			w.event("die", "leak", 137)
		}, "[leak (100)]"},
		{"a child, and then PID 1", []kmsg.Victim{forwarder}, func(w *world, say func(...kmsg.Victim)) {
			say(leak)
			w.end("leak", 137, true)
			w.event("die", "leak", 137)
		}, "[forwarder (4711) leak (100)]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.run("leak", 100, "bridge")
			c := w.collector()
			var log []kmsg.Victim
			c.victims = func() ([]kmsg.Victim, error) { defer func() { log = nil }(); return log, nil }
			log = []kmsg.Victim{{Name: "counted before", PID: 9, Cgroup: cgroupOf("leak")}}
			w.collect(c)
			log = tt.log
			if tt.log != nil || tt.after == nil {
				w.counters("leak", 1<<20, 1)
			}
			w.collect(c)
			if tt.after != nil {
				tt.after(w, func(v ...kmsg.Victim) { log = v })
			}
			for _, e := range w.collect(c).Events {
				if got := fmt.Sprint(e.Victims); e.Name == EventOOMKill && got != tt.want {
					t.Errorf("victims %s, want %s", got, tt.want)
				}
			}
			if got := w.log.String(); !strings.Contains(got, "the OOM killer killed") || strings.Contains(got, "victims=") != (tt.want != "[]") {
				t.Errorf("the log says %s", got)
			}
		})
	}
}

// TestNoLogOfTheKernel: the monitor says once why victims have no names, and goes on.
func TestNoLogOfTheKernel(t *testing.T) {
	w := newWorld(t)
	_, err := New(Config{Proc: w.proc, Cgroup: w.cgroup, Inventory: w, Kmsg: w.proc + "/kmsg", Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	if err != nil || strings.Count(w.log.String(), "counted, but not named") != 1 {
		t.Errorf("error %v; the log says %s", err, w.log.String())
	}
}

// TestStoppedAfterKill: PID 1 outlived a kill, and later the stuck container is
// stopped with SIGKILL. The Engine's OOMKilled is still true, and proves nothing.
func TestStoppedAfterKill(t *testing.T) {
	tests := []struct {
		name  string
		after func(w *world)
		want  Kills
	}{
		{"docker stop", func(w *world) {
			w.end("stuck", 137, true)
			w.event("die", "stuck", 137)
		}, Kills{Survived: 1}},
		{"docker stop, and the event is lost", func(w *world) { w.end("stuck", 137, true) }, Kills{Survived: 1}},
		{"a second oom event of the same kill", func(w *world) {
			w.event("oom", "stuck", 0)
			w.collect(w.collecting)
			w.end("stuck", 137, true)
			w.event("die", "stuck", 137)
		}, Kills{Survived: 1}},
		{"PID 1 is killed in the end", func(w *world) {
			w.hostKills(7)
			w.end("stuck", 137, true)
			w.event("die", "stuck", 137)
		}, Kills{Survived: 1, Fatal: 1}},
		{"PID 1 is killed in the end, and the event is lost", func(w *world) {
			w.hostKills(7)
			w.end("stuck", 137, true)
		}, Kills{Survived: 1, Fatal: 1}},
		{"and the event comes late", func(w *world) {
			w.hostKills(7)
			w.end("stuck", 137, true)
			w.collect(w.collecting)
			w.event("die", "stuck", 137)
		}, Kills{Survived: 1, Fatal: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.run("stuck", 100, "bridge")
			c := w.collector()
			w.collect(c)
			w.event("oom", "stuck", 0)
			w.counters("stuck", 1<<20, 1)
			w.hostKills(6)
			w.collect(c)
			w.collect(c)
			tt.after(w)
			w.collect(c)
			s := w.collect(c)
			if got := find(t, s, "stuck").Kills; got != tt.want {
				t.Errorf("kills %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestKillsBeforeTheMonitor: a container that had kills when the monitor came
// is counted, for its PID 1 has survived them, but is no news.
func TestKillsBeforeTheMonitor(t *testing.T) {
	w := newWorld(t)
	w.run("stuck", 100, "bridge")
	w.counters("stuck", 1<<20, 2)
	in := w.containers[id("stuck")]
	in.StartedAt = "2020-01-01T00:00:00Z"
	w.containers[id("stuck")] = in
	c := w.collector()
	s := w.collect(c)
	if got := find(t, s, "stuck").Kills; got != (Kills{Survived: 2}) || told(s) != "" {
		t.Errorf("kills %+v, told: %s", got, told(s))
	}
	w.counters("stuck", 1<<20, 3)
	w.collect(c)
	if got := told(w.collect(c)); got != "stuck: 1, pid1_alive=true" {
		t.Errorf("told: %s", got)
	}
}

// TestLostOOMEvent: the Engine says nothing but exit code 137, but the host had
// a kill that was nobody else's. Without one it was `docker kill`.
func TestLostOOMEvent(t *testing.T) {
	tests := []struct {
		name  string
		after func(w *world, c *Collector)
		want  Kills
	}{
		{"a kill", func(w *world, _ *Collector) { w.hostKills(6) }, Kills{Fatal: 1}},
		{"no kill", func(*world, *Collector) {}, Kills{}},
		{"counted just before the collection before", func(w *world, c *Collector) { w.hostKills(6); w.collect(c) }, Kills{Fatal: 1}},
		{"long ago", func(w *world, c *Collector) { w.hostKills(6); w.collect(c); w.collect(c) }, Kills{}},
		{"another container's", func(w *world, _ *Collector) {
			w.hostKills(6)
			w.counters("other", 1<<20, 1)
		}, Kills{}},
		{"no vmstat", func(w *world, _ *Collector) { w.write(w.proc, "vmstat", "nr_free 1\n") }, Kills{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.run("leak", 100, "bridge")
			w.run("other", 101, "bridge")
			c := w.collector()
			w.collect(c)
			tt.after(w, c)
			w.end("leak", 137, false)
			w.event("die", "leak", 137)
			w.collect(c)
			s := w.collect(c)
			if got := find(t, s, "leak").Kills; got != tt.want {
				t.Errorf("kills %+v, want %+v", got, tt.want)
			}
		})
	}
}
