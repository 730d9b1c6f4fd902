// Package oom tells of OOM kills in containers: whether PID 1 outlived them, which the
// Engine does not tell, or died of them, and whose they were. It is pure: what was
// read and what the Engine said go in, verdicts come out, and it has no clock.
//
// The kernel's counter is the authority. It lives as long as the container's
// cgroup, and so does PID 1: a kill that PID 1 outlives is one that it survived,
// whatever the Engine says. The counter is ahead of the death that it counts, though,
// so a kill waits a moment before PID 1 is asked whether it lives. If PID 1 ends first,
// or the cgroup is gone before its counter was read, the Engine's exit code decides
// (137, by SIGKILL), if the counter or the Engine tells of an OOM.
//
// Kills that wait when PID 1 is killed are all fatal: it outlived none of them. So
// it is when the kernel kills a whole cgroup (memory.oom.group), be it the
// container's, one above, or one inside in which PID 1 is; and on kernels that do not
// say whether they did.
//
// A [Container] is in one of four states:
//
//	          counter rises  PID 1 lives        oom event  SIGKILL ends it    ends otherwise     ended, OOMKilled   new life
//	quiet     counted        quiet              reported   quiet, suspect     quiet              quiet: 1 fatal     quiet
//	reported  counted        reported           reported   quiet: 1 fatal     quiet              quiet: 1 fatal     reported
//	counted   counted        survived: 1 alive  counted    quiet: 1 fatal     survived: 1 alive  quiet: 1 fatal     quiet: 1 fatal, no news
//	survived  counted        survived           survived   survived, suspect  survived           survived, suspect  quiet
//
// In the state survived an oom event counts only if the counter does not account for it,
// and the Engine's OOMKilled, which stays true, proves nothing. A suspect ended by
// SIGKILL, and nobody said why: [Host.Counted] convicts it if the host had a kill then
// that was nobody else's, for the Engine loses oom events (containerd#8893).
package oom

import (
	"time"

	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/kernel/kmsg"
)

// Verdict is what some kills in a container were.
type Verdict struct {
	At        time.Time
	Kills     uint64
	PID1Alive bool // it outlived them; else they are fatal
	Group     bool // the kernel says that it killed a whole cgroup
	Victims   []kmsg.Victim
	// Old ones are from before the monitor's start, and Missed ones of an end of which
	// nothing was told: they count, and are no news.
	Old, Missed bool
}

// Container is one container's kills.
type Container struct {
	host   *Host
	report func(Verdict)

	// Of the running life whose cgroup is read.
	began    time.Time // zero if that is not known
	asOne    bool
	read     bool          // the counter was read
	last     uint64        // what it said
	waiting  uint64        // kills of which it is not decided yet whether PID 1 outlives them
	group    bool          // a whole cgroup was killed with them
	groups   uint64        // what the kernel's counter of those said
	victims  []kmsg.Victim // of the kills that wait
	since    time.Time     // when the last of those was read
	old      bool          // they are from before the monitor's start
	survived bool          // PID 1 outlived some
	// Of the life that events tell of, which may be a later one.
	reported time.Time // when the Engine sent an oom event; zero if it did not
	watched  bool      // it ran while we watched
	deaths   []death   // the last ones, in order
}

// death is an end of the container's processes.
type death struct {
	at    time.Time
	fatal bool // PID 1 was killed for want of memory
	event bool // its event has come
}

const (
	// SettleAfter is how long a kill waits. A process that was sent SIGKILL and has
	// not exited by then shows in /proc as what it is.
	SettleAfter = 500 * time.Millisecond
	// EventLead is how long events may be ahead of the inventory: it inspects a
	// container before it holds it.
	EventLead = 30 * time.Second

	deathsKept  = 16 // of a container that ends again and again
	victimsKept = 16 // of a container whose counter cannot be read
)

// Exit codes that mean something here.
const (
	CodeKilled  = 128 + 9 // of a process that SIGKILL ended
	CodeUnknown = -1      // that nobody can tell
)

// Waits says that kills were counted, and wait to be decided.
func (c *Container) Waits() bool { return c.waiting > 0 }

// Begin starts a new running life, whose counters begin at zero; at is zero if it is
// not known. Kills that wait are those of an end whose event was missed.
func (c *Container) Begin(at time.Time) {
	if c.waiting > 0 {
		c.settle(Verdict{Missed: true})
	}
	c.began, c.read, c.last, c.groups, c.survived = at, false, 0, 0, false
	c.forget()
}

// Start is the Engine's word that it was started.
func (c *Container) Start() { c.watched = true }

// KilledAsOne says that the OOM killer kills all of the container at once.
func (c *Container) KilledAsOne(is bool) { c.asOne = is }

// Victim is one whom the kernel's log names. Tell it before the counter is read.
func (c *Container) Victim(v kmsg.Victim) {
	if len(c.victims) < victimsKept {
		c.victims = append(c.victims, v)
	}
}

// Read takes the kernel's counters of kills and of group kills, and asks, if that
// decides, whether the container's PID 1 is the process that it was, runs, and is
// not about to end.
func (c *Container) Read(now time.Time, kills, groups cgroup.Value, alive func() bool) {
	c.watched = true
	if !kills.Set {
		return
	}
	fresh := kills.N
	if c.read && kills.N >= c.last {
		fresh -= c.last
	}
	if fresh > 0 {
		c.host.attributed += int(fresh)                 //nolint:gosec // kills are few
		c.old = !c.read && c.began.Before(c.host.began) // nobody knows when that was
		c.waiting, c.since = c.waiting+fresh, now
	}
	c.group = c.group || groups.Or(c.groups) > c.groups
	c.read, c.last, c.groups = true, kills.N, groups.Or(c.groups)
	if c.waiting == 0 {
		c.victims = nil // the kernel counts before it logs, so their kills are told already
	}
	// Those from before us have waited; on the next page they would look like new ones.
	if c.waiting > 0 && (c.old || now.Sub(c.since) >= SettleAfter) && alive() {
		c.outlived(now)
	}
}

// Oom is the Engine's oom event. Counted says that the counter was read after it, and
// that no kill is under way: so if PID 1 has outlived kills and none waits, the event
// tells of one of those.
func (c *Container) Oom(at time.Time, counted bool) {
	if counted && c.survived && c.waiting == 0 && c.began.Before(at) {
		return
	}
	c.reported = at
}

// Die is the Engine's word that the container has ended, which first says whether an
// inspect has not told of before.
func (c *Container) Die(at time.Time, code int) (first bool) {
	for i := range c.deaths {
		if d := &c.deaths[i]; !d.event && !d.at.After(at) {
			d.event = true
			return false
		}
	}
	fatal := (code == CodeKilled || code == CodeUnknown) && (c.waiting > 0 || c.reportedBefore(at))
	c.died(death{at: at, fatal: fatal, event: true})
	if code == CodeKilled && !fatal {
		c.host.suspects = append(c.host.suspects, suspect{c, at})
	}
	switch {
	case fatal:
		c.fatal(at)
	case c.waiting > 0:
		c.outlived(at)
	}
	c.reported = time.Time{}
	return true
}

// reportedBefore says that the Engine sent an oom event in the life that ended at that
// time, and not in an earlier one whose end was missed. The Engine notes a start a
// little after it happened.
func (c *Container) reportedBefore(end time.Time) bool {
	const late = 2 * time.Second
	known := c.began.Before(end) // else the Engine tells of a later life already
	return !c.reported.IsZero() && (!known || c.reported.After(c.began.Add(-late)))
}

// Inspect takes the Engine's word for an end whose event said too little, or was
// missed: killed says that it ended by SIGKILL and that the Engine calls that an OOM.
func (c *Container) Inspect(finished time.Time, killed bool) {
	if !c.watched {
		return
	}
	c.watched = false
	if !killed {
		return
	}
	fatal := !c.survived || c.waiting > 0
	known := c.deathAt(finished)
	if known == nil {
		known = c.died(death{at: finished})
		if !fatal { // as Die does; it is too late for the event to do so
			c.host.suspects = append(c.host.suspects, suspect{c, finished})
		}
	}
	if fatal {
		c.convict(known, finished)
	}
}

// convict makes an end one by the OOM killer, unless it is known to be.
func (c *Container) convict(d *death, at time.Time) {
	if d != nil && d.fatal {
		return
	}
	if d != nil {
		d.fatal = true
	}
	c.fatal(at)
}

// fatal decides that PID 1 did not outlive the kills that wait.
func (c *Container) fatal(at time.Time) {
	if c.waiting == 0 {
		c.waiting = 1 // its cgroup was gone before the counter was read
		c.host.attributed++
	}
	c.host.uncounted = c.host.uncounted || c.asOne // it may have been read in the midst of it
	c.settle(Verdict{At: at})
}

// outlived decides that PID 1 did.
func (c *Container) outlived(at time.Time) {
	c.settle(Verdict{At: at, PID1Alive: true, Old: c.old})
	c.survived = true
}

// settle reports what the kills that wait were.
func (c *Container) settle(v Verdict) {
	v.Kills, v.Group, v.Victims = c.waiting, c.group, c.victims
	c.report(v)
	c.forget()
	if !v.Missed {
		c.reported = time.Time{}
	}
}

func (c *Container) forget() { c.waiting, c.group, c.old, c.victims = 0, false, false, nil }

func (c *Container) died(d death) *death {
	c.deaths = append(c.deaths, d)
	if n := len(c.deaths) - deathsKept; n > 0 {
		c.deaths = append(c.deaths[:0], c.deaths[n:]...)
	}
	return &c.deaths[len(c.deaths)-1]
}

// deathAt finds the end that the Engine says was at that time: its event is the
// first one after it.
func (c *Container) deathAt(finished time.Time) *death {
	for i := range c.deaths {
		if d := &c.deaths[i]; !d.at.Before(finished) && d.at.Sub(finished) < EventLead {
			return d
		}
	}
	return nil
}
