package collect

import (
	"slices"
	"strconv"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/kmsg"
)

// oomState is what is known of OOM kills in a container's running life.
//
// The kernel's counter is the authority. It lives as long as the container's
// cgroup, and so does PID 1: a kill that PID 1 outlives is one that it survived,
// whatever the Engine says. The counter is ahead of the death that it counts, though, so a
// kill waits a moment before PID 1 is asked whether it lives. If PID 1 ends first, or
// the cgroup is gone before its counter was read, the Engine's exit code decides
// (137, by SIGKILL), if the counter or the Engine tells of an OOM.
//
// Kills that wait when PID 1 is killed are all fatal: it outlived none of them. So
// it is when the kernel kills a whole cgroup (memory.oom.group), be it the
// container's, one above, or one inside in which PID 1 is; and on kernels that do not say
// whether they did.
type oomState struct {
	// Of the running life whose cgroup is read.
	read      bool          // the counter was read
	last      uint64        // what it said
	unsettled uint64        // kills of which it is not decided yet whether PID 1 outlives them
	group     bool          // a whole cgroup was killed with them
	groups    uint64        // what the kernel's counter of those said
	victims   []kmsg.Victim // of the unsettled kills
	since     time.Time     // when the last of them was read
	old       bool          // they are from before the monitor's start
	outlived  bool          // PID 1 outlived some, so that the Engine's OOMKilled, which stays, proves nothing
	// Of the life that events tell of, which may be a later one.
	told    time.Time // when the Engine sent an oom event; zero if it did not
	watched bool      // it ran while we watched
	deaths  []death   // the last ones, in order
}

// death is an end of the container's processes.
type death struct {
	at    time.Time
	fatal bool // PID 1 was killed for want of memory
	event bool // its event has come
}

// deathsKept bounds what is remembered of a container that ends again and again.
const deathsKept = 16

func (o *oomState) died(d death) {
	o.deaths = append(o.deaths, d)
	if n := len(o.deaths) - deathsKept; n > 0 {
		o.deaths = append(o.deaths[:0], o.deaths[n:]...)
	}
}

// eventOf finds the end that the Engine says was at that time: its event is the
// first one after it.
func (o *oomState) eventOf(finished time.Time) *death {
	for i := range o.deaths {
		if d := &o.deaths[i]; !d.at.Before(finished) && d.at.Sub(finished) < eventLead {
			return d
		}
	}
	return nil
}

// settleAfter is how long a kill waits. A process that was sent SIGKILL and has
// not exited by then shows in /proc as what it is.
const settleAfter = 500 * time.Millisecond

// newLife: the counters begin at zero again. Kills that are not settled yet are
// those of an end whose event was missed.
func (o *oomState) newLife(k *Kills) {
	k.Fatal += o.unsettled
	o.read, o.last, o.groups, o.outlived = false, 0, 0, false
	o.settled()
}

func (o *oomState) settled() { o.unsettled, o.group, o.old, o.victims = 0, false, false, nil }

// countKills compares the kernel's counter with that of the last reading.
func (c *Collector) countKills(t *tracked, now time.Time) {
	o := &t.oom
	o.watched = true
	counter := t.Stats.OOM.Kills
	if !counter.Set {
		return
	}
	killed := counter.N
	if o.read && counter.N >= o.last {
		killed -= o.last
	}
	if killed > 0 {
		c.host.attributed += int(killed)      //nolint:gosec // kills are few
		o.old = !o.read && c.startedBefore(t) // nobody knows when that was
		o.unsettled, o.since = o.unsettled+killed, now
	}
	groups := t.Stats.OOM.GroupKills.Or(o.groups)
	o.group = o.group || groups > o.groups
	o.read, o.last, o.groups = true, counter.N, groups
	if o.unsettled == 0 {
		o.victims = nil // the kernel counts before it logs, so their kills are told already
	}
	// Those from before us have waited; on the next page they would look like new ones.
	if o.unsettled > 0 && (o.old || now.Sub(o.since) >= settleAfter) && c.alive(t) {
		c.survived(t, now)
	}
}

// alive says that the container's init is the process that it was, runs, and
// is not about to end.
func (c *Collector) alive(t *tracked) bool {
	status, err1 := c.proc.Status(t.Pid)
	s, err2 := c.proc.Stat(t.Pid)
	return err1 == nil && err2 == nil && !status.Killed && s.Start == t.start && s.Running()
}

// survived decides that PID 1 outlived the kills.
func (c *Collector) survived(t *tracked, at time.Time) {
	o := &t.oom
	t.Kills.Survived += o.unsettled
	if o.old {
		c.cfg.Log.Info("the OOM killer killed in a container before the monitor started, and PID 1 lives on",
			"container", t.Name, "kills", o.unsettled)
	} else {
		c.tellKill(t, at, o.unsettled, true)
	}
	o.settled()
	o.outlived, o.told = true, time.Time{}
}

// unsettled says that some container's kills, or its end, wait to be decided.
func (c *Collector) unsettled() bool {
	if len(c.ends) > 0 {
		return true
	}
	for _, t := range c.known {
		if t.oom.unsettled > 0 && t.reader != nil {
			return true
		}
	}
	return false
}

// settleNow reads those containers again whose kills wait to be decided.
func (c *Collector) settleNow(now time.Time) {
	c.followEnds(now)
	c.readLog()
	for _, t := range c.known {
		if t.oom.unsettled > 0 {
			c.read(t, now)
		}
	}
}

// startedBefore says that the container ran before the monitor did.
func (c *Collector) startedBefore(t *tracked) bool {
	at, err := time.Parse(time.RFC3339Nano, t.StartedAt)
	return err != nil || at.Before(c.began)
}

func (c *Collector) tellKill(t *tracked, at time.Time, kills uint64, alive bool) {
	c.queue = append(c.queue, Event{
		Time: at, Name: EventOOMKill, ContainerID: t.ID, ContainerName: t.Name, PID1Alive: alive, Kills: kills,
		Group: t.oom.group, Victims: t.oom.victims,
	})
	more := []any{"container", t.Name, "kills", kills, "pid1_alive", alive, "group", t.oom.group}
	if len(t.oom.victims) > 0 {
		more = append(more, "victims", t.oom.victims)
	}
	c.cfg.Log.Warn("the OOM killer killed in a container", more...)
}

// ended is an end whose exit code is to be asked of the inventory.
type ended struct {
	t     *tracked
	event docker.Event
	since time.Time // when it was told of
}

// followEnds takes those that the inventory knows by now, and does not wait for ever
// for the others: a container may be removed at once.
func (c *Collector) followEnds(now time.Time) {
	c.ends = slices.DeleteFunc(c.ends, func(e ended) bool {
		code, known := c.exitCode(e.t, e.event)
		if known || now.Sub(e.since) > 2*settleAfter {
			c.die(e.t, e.event, code)
			return true
		}
		return false
	})
}

// accounted says that an oom event of that time tells nothing that the counter,
// as it was read now, did not tell before: PID 1 has outlived what it speaks of.
func (t *tracked) accounted(now, event time.Time) bool {
	began, err := time.Parse(time.RFC3339Nano, t.StartedAt)
	return err == nil && began.Before(event) && t.Read.Equal(now) && t.Stats.OOM.Kills.Set && !t.Stats.OOM.Under &&
		t.oom.unsettled == 0 && t.oom.outlived
}

// die judges an end, unless an inspect was faster.
func (c *Collector) die(t *tracked, e docker.Event, code int) {
	c.readLog()
	t.Exits++
	t.LastExit = Exit{e.Time, code}
	c.queue = append(c.queue, Event{Time: e.Time, Name: EventExit, ContainerID: t.ID, ContainerName: t.Name, ExitCode: code})
	for i := range t.oom.deaths {
		if d := &t.oom.deaths[i]; !d.event && !d.at.After(e.Time) {
			d.event = true
			return
		}
	}
	fatal := (code == exitKilled || code == exitUnknown) && (t.oom.unsettled > 0 || t.toldOfOOM(e.Time))
	t.oom.died(death{at: e.Time, fatal: fatal, event: true})
	if code == exitKilled && !fatal {
		c.host.suspects = append(c.host.suspects, suspect{t, e.Time})
	}
	c.settle(t, e.Time, fatal)
	t.close()
}

// exitKilled is the exit code of a process that SIGKILL ended.
const exitKilled = 128 + 9

// exitUnknown is the exit code that nobody can tell.
const exitUnknown = -1

// exitCodeKey is how a die event gives the exit code, unless the container has a
// label of that name: the Engine puts the labels over its own words.
const exitCodeKey = "exitCode"

// exitCode is that of an end. Of a container that says itself what its exit code is, it
// is the inspect's; false while there is none.
func (c *Collector) exitCode(t *tracked, e docker.Event) (code int, known bool) {
	in, ok := c.cfg.Inventory.Lookup(e.ID)
	if !ok {
		in = t.Container.Container
	}
	if _, labeled := in.Labels[exitCodeKey]; !labeled {
		if n, err := strconv.Atoi(e.Attributes[exitCodeKey]); err == nil {
			return n, true
		}
		return exitUnknown, true
	}
	if exit, ended := exitOf(&in); ended && !e.Time.Before(exit.At) && e.Time.Sub(exit.At) < eventLead {
		return exit.Code, true
	}
	return exitUnknown, false
}

// toldOfOOM says that the Engine sent an oom event in the life that ended at
// that time, and not in an earlier one whose end was missed. The Engine notes a start a
// little after it happened.
func (t *tracked) toldOfOOM(end time.Time) bool {
	const late = 2 * time.Second
	began, err := time.Parse(time.RFC3339Nano, t.StartedAt)
	known := err == nil && began.Before(end) // else the Engine tells of a later life already
	return !t.oom.told.IsZero() && (!known || t.oom.told.After(began.Add(-late)))
}

// settle decides what the undecided kills were, now that PID 1 has ended.
func (c *Collector) settle(t *tracked, at time.Time, fatal bool) {
	o := &t.oom
	switch {
	case fatal:
		if o.unsettled == 0 {
			o.unsettled = 1 // its cgroup was gone before the counter was read
			c.host.attributed++
		}
		c.host.uncounted = c.host.uncounted || t.asOne // it may have been read in the midst of it
		t.Kills.Fatal += o.unsettled
		c.tellKill(t, at, o.unsettled, false)
		o.settled()
	case o.unsettled > 0:
		c.survived(t, at)
	}
	o.told = time.Time{}
}

// settleByInspect takes the Engine's word for an end whose event said too
// little, or was missed.
func (c *Collector) settleByInspect(t *tracked) {
	d := t.Detail
	if t.Running || !t.oom.watched || d == nil || d.State != "exited" && d.State != "dead" && d.State != "restarting" {
		return
	}
	t.oom.watched = false
	finished, err := time.Parse(time.RFC3339Nano, d.FinishedAt)
	if err != nil || !d.OOMKilled || d.ExitCode != exitKilled {
		return
	}
	fatal := !t.oom.outlived || t.oom.unsettled > 0
	known := t.oom.eventOf(finished)
	if known == nil {
		t.oom.died(death{at: finished})
		known = &t.oom.deaths[len(t.oom.deaths)-1]
		if !fatal { // as die does; it is too late for the event to do so
			c.host.suspects = append(c.host.suspects, suspect{t, finished})
		}
	}
	if fatal && !known.fatal {
		known.fatal = true
		c.settle(t, finished, true)
	}
}
