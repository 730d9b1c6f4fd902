//go:build linux && amd64

package qemu

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/monitor/collect"
)

// runtimeMiB is what a Go program takes for itself, at most.
const runtimeMiB = 12

func guest(t *testing.T) {
	r := newRig(t)
	for _, situation := range []struct {
		name string
		test func(*testing.T, *rig)
	}{
		{"limits are those that were set", limits},
		{"limits of a cgroup above hold", limitsAbove},
		{"memory is what was touched", memoryTouched},
		{"swap is what did not fit", swap},
		{"throttled by its quota", throttled},
		{"I/O is what was written and read", diskIO},
		{"a child is killed and PID 1 survives", childKilled},
		{"a child is killed in a cgroup inside", childKilledInside},
		{"PID 1 is killed", pid1Killed},
		{"the whole container is killed at once", groupKilled},
		{"a whole cgroup inside is killed at once", groupKilledInside},
		{"an agent in a cgroup namespace of its own", privateAgent},
	} {
		t.Run(situation.name, func(t *testing.T) { situation.test(t, r) })
	}
}

func within(t *testing.T, what string, got cgroup.Value, least, most uint64) {
	t.Helper()
	if !got.Set || got.N < least || got.N > most {
		t.Errorf("%s is %+v, want %d to %d", what, got, least, most)
	}
}

func exactly(t *testing.T, what string, got cgroup.Value, want uint64) {
	t.Helper()
	within(t, what, got, want, want)
}

// limits has what `docker run -m 64m --memory-swap 96m --memory-reservation 16m
// --cpus 0.5 --pids-limit 40 --cpuset-cpus 1` sets.
func limits(t *testing.T, r *rig) {
	c := r.run(t, "limits", "threads 5", options{limits: map[string]string{
		"memory.max": "67108864", "memory.swap.max": "33554432", "memory.low": "16777216",
		"cpu.max": "50000 100000", "cpu.weight": "50", "pids.max": "40", "cpuset.cpus": "1",
	}})
	c.ready()
	s := c.read().Stats
	exactly(t, "memory limit", s.Memory.Limit, 64*mib)
	exactly(t, "limit of memory and swap", s.Memory.SwapLimit, 96*mib)
	exactly(t, "soft limit", s.Memory.SoftLimit, 16*mib)
	exactly(t, "quota", s.CPU.QuotaUsec, 50000)
	exactly(t, "period", s.CPU.PeriodUsec, 100000)
	exactly(t, "weight", s.CPU.Weight, 50)
	exactly(t, "CPUs", s.CPU.CPUs, 1)
	exactly(t, "limit of tasks", s.Pids.Limit, 40)
	exactly(t, "tasks", s.Pids.Current, c.status("Threads"))
	if got := s.CPU.LimitCores(2); got != 0.5 {
		t.Errorf("may use %v cores, want 0.5", got)
	}

	free := r.run(t, "no limits", "hold 1", options{})
	free.ready()
	s = free.read().Stats
	for what, v := range map[string]cgroup.Value{
		"memory limit": s.Memory.Limit, "limit of memory and swap": s.Memory.SwapLimit,
		"soft limit": s.Memory.SoftLimit, "quota": s.CPU.QuotaUsec, "limit of tasks": s.Pids.Limit,
	} {
		if v.Set {
			t.Errorf("%s is %d, and none was set", what, v.N)
		}
	}
	if got := s.CPU.LimitCores(2); got != 2 {
		t.Errorf("may use %v cores, want 2", got)
	}
}

// limitsAbove has what --cgroup-parent does to a container whose parent has less
// memory than it: the parent's limit is the one at which the kernel kills.
func limitsAbove(t *testing.T, r *rig) {
	parent := filepath.Join(cgroupRoot, "limited.slice")
	if err := os.Mkdir(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(parent) })
	for file, content := range map[string]string{"cgroup.subtree_control": "+memory", "memory.max": "33554432", "memory.swap.max": "0"} {
		write(t, filepath.Join(parent, file), content)
	}
	c := r.run(t, "limited", "parent", options{parent: "limited.slice", limits: map[string]string{"memory.max": "67108864"}})
	c.ready()
	s := c.read().Stats
	exactly(t, "memory limit", s.Memory.Limit, 32*mib)
	exactly(t, "limit of memory and swap", s.Memory.SwapLimit, 32*mib)
	if got, ok := s.Memory.WorkingSetInUse(); !ok || got != float64(s.Memory.WorkingSet.N)/(32*mib) {
		t.Errorf("container.memory.in_use is %v, %v", got, ok)
	}
	c.tell()
	if l := c.line(); l != "signal: killed" {
		t.Fatalf("the child ended so: %s", l)
	}
	if got := told(c); !strings.HasPrefix(got, "1, pid1_alive=true, [exe (") {
		t.Errorf("told: %s", got)
	}
	within(t, "peak", c.read().Stats.Memory.Peak, 16*mib, 33*mib) // what is charged at once is counted first
}

func memoryTouched(t *testing.T, r *rig) {
	c := r.run(t, "memory", "hold 24", options{limits: map[string]string{"memory.max": "67108864", "memory.swap.max": "0"}})
	c.ready()
	s := c.read().Stats
	within(t, "rss", s.Memory.RSS, 24*mib, (24+runtimeMiB)*mib)
	within(t, "usage", s.Memory.Usage, s.Memory.RSS.N, (24+2*runtimeMiB)*mib)
	within(t, "working set", s.Memory.WorkingSet, s.Memory.RSS.N, s.Memory.Usage.N)
	within(t, "peak", s.Memory.Peak, s.Memory.Usage.N, 64*mib)
	within(t, "kernel", s.Memory.Kernel, 1, 4*mib)
	within(t, "page faults", s.Memory.PageFaults, 24*mib/4096, 1<<20)
	exactly(t, "swap", s.Memory.Swap, 0)
	exactly(t, "kills", s.OOM.Kills, 0)
	near(t, "rss against VmRSS of /proc", s.Memory.RSS.N, c.status("RssAnon")*1024, mib)
	if got, ok := s.Memory.InUse(); !ok || got < 24.0/64 || got > (24.0+runtimeMiB)/64 {
		t.Errorf("docker.mem.in_use is %v, %v; want about %v", got, ok, 24.0/64)
	}
	if got, ok := s.Memory.SwapInUse(); !ok || got < 24.0/64 || got > (24.0+runtimeMiB)/64 {
		t.Errorf("without swap docker.mem.sw_in_use is %v, %v; want about %v", got, ok, 24.0/64)
	}
}

func near(t *testing.T, what string, got, want, apart uint64) {
	t.Helper()
	if got > want+apart || want > got+apart {
		t.Errorf("%s: %d and %d are more than %d apart", what, got, want, apart)
	}
}

// swap: 28 MiB in 16, and once more, so that the pages go back and forth.
func swap(t *testing.T, r *rig) {
	began := time.Now()
	c := r.run(t, "swap", "thrash 28", options{limits: map[string]string{"memory.max": "16777216", "memory.swap.max": "33554432"}})
	c.ready()
	s := c.read().Stats
	within(t, "rss", s.Memory.RSS, 4*mib, 16*mib)
	within(t, "swap", s.Memory.Swap, 12*mib, 32*mib)
	within(t, "rss and swap", cgroup.Value{N: s.Memory.RSS.N + s.Memory.Swap.N, Set: true}, 28*mib, (28+runtimeMiB)*mib)
	within(t, "times at the limit", s.Memory.LimitHits, 1, 1<<40)
	within(t, "major page faults", s.Memory.MajorPageFaults, 100, 1<<40)
	exactly(t, "kills", s.OOM.Kills, 0)
	near(t, "swap against VmSwap of /proc", s.Memory.Swap.N, c.status("VmSwap")*1024, 2*mib)
	want := float64(s.Memory.RSS.N+s.Memory.Swap.N) / (48 * mib)
	if got, ok := s.Memory.SwapInUse(); !ok || got != want || got < 28.0/48 || got > (28.0+runtimeMiB)/48 {
		t.Errorf("docker.mem.sw_in_use is %v, %v; want %v", got, ok, want)
	}
	stalled(t, "memory", s.Pressure.Memory, time.Millisecond, time.Since(began))
}

// stalled: what waited did so for that time at least, and not for longer than it was there.
func stalled(t *testing.T, what string, p cgroup.Stall, least, wall time.Duration) {
	t.Helper()
	within(t, what+" pressure, some", p.SomeNsec, uint64(least), uint64(wall))
	within(t, what+" pressure, full", p.FullNsec, 1, p.SomeNsec.N)
}

// throttled: one busy thread, and a fifth of a core. It has one processor, because the kernel adds up
// the time throttled over all of them.
func throttled(t *testing.T, r *rig) {
	created := time.Now()
	c := r.run(t, "throttled", "spin", options{limits: map[string]string{"cpu.max": "20000 100000", "cpuset.cpus": "1"}})
	c.ready()
	first, began := c.read(), time.Now()
	var last collect.Container
	eventually(t, "ten periods more", func() bool {
		last = c.read()
		return last.Stats.CPU.Periods.N >= first.Stats.CPU.Periods.N+10
	})
	wall := time.Since(began)
	from, to := first.Stats.CPU, last.Stats.CPU
	periods, stopped := to.Periods.N-from.Periods.N, to.ThrottledPeriods.N-from.ThrottledPeriods.N
	if stopped*10 < periods*8 || stopped > periods {
		t.Errorf("throttled in %d of %d periods, want nearly all", stopped, periods)
	}
	if cores := float64(to.UsageNsec.N-from.UsageNsec.N) / float64(wall); cores < 0.1 || cores > 0.3 {
		t.Errorf("used %.2f cores, want 0.2", cores)
	}
	if part := float64(to.ThrottledNsec.N-from.ThrottledNsec.N) / float64(wall); part < 0.5 || part > 1 {
		t.Errorf("was throttled for %.2f of the time, want 0.8", part)
	}
	stalled(t, "CPU", last.Stats.Pressure.CPU, wall/2, time.Since(created))
	near(t, "usage against user and system", to.UsageNsec.N, to.UserNsec.N+to.SystemNsec.N, 1e6)

	c.tell()
	own, err := strconv.ParseUint(c.line(), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "usage against getrusage", c.read().Stats.CPU.UsageNsec.N, own, own/10+20e6)
}

// diskIO: what `docker run --device-write-bps --device-read-bps` sets, so that 8 MiB need about half a second, and 4 MiB a quarter.
func diskIO(t *testing.T, r *rig) {
	began := time.Now()
	c := r.run(t, "io", "write 8", options{limits: map[string]string{"io.max": "1:1 wbps=16777216 rbps=16777216"}})
	c.ready()
	s := c.read().Stats
	stalled(t, "I/O", s.Pressure.IO, 250*time.Millisecond, time.Since(began))
	if len(s.IO) != 1 {
		t.Fatalf("devices %+v, want one", s.IO)
	}
	d := s.IO[0]
	if d.Major != 1 || d.Minor != 1 || d.WriteBytes != 8*mib || d.ReadBytes != 4*mib || d.WriteOps == 0 || d.ReadOps == 0 {
		t.Errorf("got %+v, want 8 MiB written and 4 MiB read on 1:1", d)
	}
}

// told are the kills that the collector tells of until it has told of one.
func told(c *container) string {
	c.t.Helper()
	var out []string
	eventually(c.t, "the kill is told", func() bool {
		for _, e := range c.rig.collector.Collect(time.Now()).Events {
			if e.Name == collect.EventOOMKill && e.ContainerID == c.id {
				text := fmt.Sprintf("%d, pid1_alive=%v", e.Kills, e.PID1Alive)
				if e.Group {
					text += ", group"
				}
				if len(e.Victims) > 0 {
					text += fmt.Sprint(", ", e.Victims)
				}
				out = append(out, text)
			}
		}
		return len(out) > 0
	})
	return strings.Join(out, "; ")
}

// forge writes into the kernel's log what the kernel writes of a victim, as root may.
func (c *container) forge() {
	c.t.Helper()
	path := "/docker/" + c.id
	for _, line := range []string{
		"<6>oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,oom_memcg=" + path + ",task_memcg=" + path + ",task=forged,pid=7,uid=0\n",
		"<3>Memory cgroup out of memory: Killed process 7 (forged) total-vm:1kB\n",
	} {
		write(c.t, "/dev/kmsg", line)
	}
}

// overflowLog writes more into the kernel's log than it holds, so that who reads on has missed some.
func overflowLog(t *testing.T) {
	t.Helper()
	for range 1500 {
		write(t, "/dev/kmsg", strings.Repeat("x", 900))
	}
}

// childKilled is the talk's dead forwarder.
func childKilled(t *testing.T, r *rig) {
	c := r.run(t, "memleak-forked", "parent", options{limits: map[string]string{"memory.max": "33554432", "memory.swap.max": "0"}})
	c.ready()
	exactly(t, "kills before", c.read().Stats.OOM.Kills, 0)
	c.forge()
	c.tell()
	if l := c.line(); l != "signal: killed" {
		t.Fatalf("the child ended so: %s", l)
	}
	if got := told(c); !regexp.MustCompile(`^1, pid1_alive=true, \[exe \(\d+\)\]$`).MatchString(got) {
		t.Errorf("told: %s", got)
	}
	got := c.read()
	exactly(t, "kills", got.Stats.OOM.Kills, 1)
	within(t, "times out of memory", got.Stats.OOM.Events, 1, 1000)
	if got.Kills != (collect.Kills{Survived: 1}) {
		t.Errorf("kills %+v, want one that was survived", got.Kills)
	}
}

// childKilledInside: PID 1 has put itself into a cgroup inside, as systemd does. The kernel
// counts the kill there and in every cgroup above; we count it once. What its log says is found though what was
// before it is overwritten.
func childKilledInside(t *testing.T, r *rig) {
	c := r.run(t, "init-inside", "parent", options{inside: "init.scope"})
	c.ready()
	write(t, c.dir+"/cgroup.subtree_control", "+memory")
	write(t, c.dir+"/init.scope/memory.max", "33554432")
	write(t, c.dir+"/init.scope/memory.swap.max", "0")
	c.read()
	overflowLog(t)
	c.tell()
	if l := c.line(); l != "signal: killed" {
		t.Fatalf("the child ended so: %s", l)
	}
	if got := told(c); !strings.HasPrefix(got, "1, pid1_alive=true, [exe (") {
		t.Errorf("told: %s", got)
	}
	if got := c.read().Kills; got != (collect.Kills{Survived: 1}) {
		t.Errorf("kills %+v, want one", got)
	}
}

// pid1Killed: the counter is read while the cgroup still exists, and the
// removed cgroup is no error.
func pid1Killed(t *testing.T, r *rig) {
	c := r.run(t, "memleak-pid1", "leak", options{limits: map[string]string{"memory.max": "33554432", "memory.swap.max": "0"}})
	c.ready()
	c.read()
	c.tell()
	if err := c.cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Fatalf("PID 1 ended so: %v", err)
	}
	end := time.Now()
	exactly(t, "kills", c.read().Stats.OOM.Kills, 1)
	c.ended(end)
	if got, want := told(c), fmt.Sprintf("1, pid1_alive=false, [exe (%d)]", c.cmd.Process.Pid); got != want {
		t.Errorf("told: %s, want %s", got, want)
	}
	got := c.read()
	if got.Kills != (collect.Kills{Fatal: 1}) || !got.Read.IsZero() {
		t.Errorf("kills %+v, read at %v; want a fatal one, and nothing read", got.Kills, got.Read)
	}
}

// familyKills is how often the kernel counts a cgroup of that many processes
// that it kills at once: each, the one that it chose first mostly twice, and again those
// whose first thread has gone while it goes through them. Those that die of
// something else before it comes to them are not counted, so least says how
// many nothing else kills (mm/oom_kill.c: __oom_kill_process).
func familyKills(t *testing.T, s *cgroup.Stats, least, processes uint64) uint64 {
	t.Helper()
	within(t, "kills", s.OOM.Kills, least, 2*processes+1)
	exactly(t, "groups killed", s.OOM.GroupKills, 1)
	return s.OOM.Kills.N
}

// groupKilled: memory.oom.group is how systemd's OOMPolicy=kill and Kubernetes
// ask that nothing of a container is left when one of its processes is killed.
func groupKilled(t *testing.T, r *rig) {
	c := r.run(t, "family", "family", options{limits: map[string]string{
		"memory.max": "50331648", "memory.swap.max": "0", "memory.oom.group": "1",
	}})
	c.ready()
	c.read()
	c.tell()
	if err := c.cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Fatalf("PID 1 ended so: %v", err)
	}
	end := time.Now()
	s := c.read().Stats
	kills := familyKills(t, &s, 2, 4) // the leak and PID 1, whose end is the others' in its PID namespace
	c.ended(end)
	if got := told(c); !strings.HasPrefix(got, fmt.Sprintf("%d, pid1_alive=false, group, [exe (", kills)) {
		t.Errorf("told: %s", got)
	}
	if got := c.read().Kills; got != (collect.Kills{Fatal: kills}) {
		t.Errorf("kills %+v, want %d fatal ones", got, kills)
	}
}

func groupKilledInside(t *testing.T, r *rig) {
	const name = "family-inside"
	job := filepath.Join(cgroupRoot, "docker", idOf(name), "job")
	c := r.run(t, name, "family "+job, options{inside: "init.scope"})
	c.ready()
	write(t, c.dir+"/cgroup.subtree_control", "+memory")
	if err := os.Mkdir(job, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{"memory.max": "33554432", "memory.swap.max": "0", "memory.oom.group": "1"} {
		write(t, filepath.Join(job, file), content)
	}
	c.read()
	c.tell()
	if l := c.line(); l != "signal: killed, signal: killed, signal: killed" {
		t.Fatalf("the three ended so: %s", l)
	}
	got := told(c)
	found := c.read()
	kills := familyKills(t, &found.Stats, 3, 3)
	if !strings.HasPrefix(got, fmt.Sprintf("%d, pid1_alive=true, group, [exe (", kills)) || found.Kills != (collect.Kills{Survived: kills}) {
		t.Errorf("told: %s; kills %+v", got, found.Kills)
	}
}

func privateAgent(t *testing.T, r *rig) {
	c := r.run(t, "seen", "hold 16", options{})
	c.ready()
	outside := c.read().Stats.Memory.RSS.N
	agent := r.run(t, "agent", fmt.Sprint("agent ", c.cmd.Process.Pid), options{host: true})
	l := agent.line()
	own, rest, _ := strings.Cut(l, " ")
	path, rss, _ := strings.Cut(rest, " ")
	inside, err := strconv.ParseUint(rss, 10, 64)
	if err != nil || own != "/" || path != "/../"+c.id {
		t.Fatalf("the agent says %q", l)
	}
	near(t, "rss from inside and outside", inside, outside, mib)
}
