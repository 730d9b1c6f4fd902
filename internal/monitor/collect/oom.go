package collect

import (
	"slices"
	"strconv"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/monitor/oom"
)

// track begins to remember a container.
func (c *Collector) track(id string) *tracked {
	t := &tracked{}
	t.oom = c.host.Watch(func(v oom.Verdict) { c.settled(t, v) })
	c.known[id] = t
	return t
}

// settled counts kills, and tells of them if they are news.
func (c *Collector) settled(t *tracked, v oom.Verdict) {
	if v.PID1Alive {
		t.Kills.Survived += v.Kills
	} else {
		t.Kills.Fatal += v.Kills
	}
	switch {
	case v.Missed:
	case v.Old:
		c.cfg.Log.Info("the OOM killer killed in a container before the monitor started, and PID 1 lives on",
			"container", t.Name, "kills", v.Kills)
	default:
		c.queue = append(c.queue, Event{
			Time: v.At, Name: EventOOMKill, ContainerID: t.ID, ContainerName: t.Name, PID1Alive: v.PID1Alive, Kills: v.Kills,
			Group: v.Group, Victims: v.Victims,
		})
		more := []any{"container", t.Name, "kills", v.Kills, "pid1_alive", v.PID1Alive, "group", v.Group}
		if len(v.Victims) > 0 {
			more = append(more, "victims", v.Victims)
		}
		c.cfg.Log.Warn("the OOM killer killed in a container", more...)
	}
}

// alive says that the container's init is the process that it was, runs, and
// is not about to end.
func (c *Collector) alive(t *tracked) bool {
	status, err1 := c.proc.Status(t.Pid)
	s, err2 := c.proc.Stat(t.Pid)
	return err1 == nil && err2 == nil && !status.Killed && s.Start == t.start && s.Running()
}

// unsettled says that some container's kills, or its end, wait to be decided.
func (c *Collector) unsettled() bool {
	if len(c.ends) > 0 {
		return true
	}
	for _, t := range c.known {
		if t.oom.Waits() && t.reader != nil {
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
		if t.oom.Waits() {
			c.read(t, now)
		}
	}
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
		if known || now.Sub(e.since) > 2*oom.SettleAfter {
			c.die(e.t, e.event, code)
			return true
		}
		return false
	})
}

// die takes an end. Unless an inspect has told of it, nothing of that life is read any more.
func (c *Collector) die(t *tracked, e docker.Event, code int) {
	c.readLog()
	t.Exits++
	t.LastExit = Exit{e.Time, code}
	c.queue = append(c.queue, Event{Time: e.Time, Name: EventExit, ContainerID: t.ID, ContainerName: t.Name, ExitCode: code})
	if t.oom.Die(e.Time, code) {
		t.close()
	}
}

// readHostKills is the last step of a collection, when all else is attributed.
func (c *Collector) readHostKills() {
	total, err := c.proc.OOMKills()
	c.snap.OOMKills = cgroup.Value{N: total, Set: err == nil}
	c.check(sourceProc, "OOM kills of the host", &c.failing.kills, err)
	c.host.Counted(c.snap.OOMKills)
}

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
		return oom.CodeUnknown, true
	}
	if exit, ended := exitOf(&in); ended && !e.Time.Before(exit.At) && e.Time.Sub(exit.At) < oom.EventLead {
		return exit.Code, true
	}
	return oom.CodeUnknown, false
}
