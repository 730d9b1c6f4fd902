package collect

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/kernel/procfs"
	"vitrine/internal/monitor/oom"
)

// tracked is a container, and what is remembered of it between collections.
type tracked struct {
	Container
	round   uint64         // the last collection at which the inventory held it
	event   time.Time      // when an event last told of it
	reader  *cgroup.Reader // nil while it does not run, or could not be found yet
	memory  string         // the cgroup that counts its memory in this life; "" if not known
	start   uint64         // of init, with which Pid names a process
	last    time.Time      // when reader last read; zero if it did not yet
	oom     *oom.Container
	growth  growth
	net     network
	failing [sources]string

	filesCounted bool // once since reader is there
	unseen       bool // there is no process with its PID
	outside      bool // its cgroups cannot be seen from here
}

// update takes over what the Engine says. A new start, or an end, ends what the
// kernel counted.
func (c *Collector) update(t *tracked, in *docker.Container) {
	if t.reader != nil && (!in.Running || in.Pid != t.Pid || in.StartedAt != t.StartedAt) {
		t.close()
	}
	if in.StartedAt != t.StartedAt { // the counters begin at zero
		began, _ := time.Parse(time.RFC3339Nano, in.StartedAt)
		t.oom.Begin(began)
		t.growth, t.memory = growth{}, ""
	}
	news := in.Detail != t.Detail
	t.Container.Container = *in
	exit, ended := exitOf(in)
	if ended && news {
		t.LastExit = exit
	}
	if ended {
		t.oom.Inspect(exit.At, in.Detail.OOMKilled && exit.Code == oom.CodeKilled)
	}
}

// exitOf is the end that an inspect tells of; false while the container runs.
func exitOf(c *docker.Container) (Exit, bool) {
	d := c.Detail
	if c.Running || d == nil || d.State != "exited" && d.State != "dead" && d.State != "restarting" {
		return Exit{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, d.FinishedAt)
	return Exit{at, d.ExitCode}, err == nil
}

// close forgets what was counted in a running life that has ended.
func (t *tracked) close() {
	if t.reader != nil {
		t.reader.Close()
		t.reader = nil
	}
	t.Read, t.Headroom, t.OpenFiles = time.Time{}, 0, cgroup.Value{}
	t.Interfaces, t.Sharing = t.Interfaces[:0], 0
}

var errForeign = errors.New("a process of another PID namespace; run the monitor in the host's")

var errNotItsCgroup = errors.New("the cgroup of the process with its PID does not bear the container's id")

// open finds the container's cgroups through its init. The PID is the Engine's,
// and may be another's by now; a process in a cgroup that bears the container's id is
// in the container.
func (c *Collector) open(t *tracked) {
	err := c.tryOpen(t)
	t.unseen, t.outside = gone(err), errors.Is(err, cgroup.ErrOutside)
	if t.unseen || t.outside {
		err = nil // it ended, and the Engine is about to say so; or see checkSight
	}
	c.check(sourceProc, t.Name, &t.failing[sourceProc], err)
}

var errBlind = errors.New("no process of any container can be seen; run the monitor in the host's PID namespace (docker run --pid host), " +
	"or mount the host's /proc and name it with --proc")

// checkSight notices that we look at the wrong processes: twice in a row no
// container that runs had any. One alone may have just ended. And it notices cgroups
// that are not mounted where we look.
func (c *Collector) checkSight() {
	running, unseen := 0, 0
	var outside error
	for _, t := range c.known {
		if !t.Running {
			continue
		}
		running++
		if t.reader == nil && t.unseen {
			unseen++
		}
		if t.reader == nil && t.outside {
			outside = cgroup.ErrOutside
		}
	}
	c.check(sourceCgroup, "containers", &c.failing.outside, outside)
	if running == 0 || unseen < running {
		c.blind = 0
	} else {
		c.blind++
	}
	var err error
	if c.blind > 1 {
		err = errBlind
	}
	c.check(sourceProc, "containers", &c.failing.blind, err)
}

func (c *Collector) tryOpen(t *tracked) error {
	p, err := c.proc.Process(t.Pid)
	if err != nil {
		return err
	}
	m := cgroup.Of(p.Cgroups)
	if !c.cgroups.Bears(t.ID, m) {
		return fmt.Errorf("pid %d: %w", t.Pid, errNotItsCgroup)
	}
	reader, err := c.cgroups.Container(t.ID, m)
	// On cgroup v1 a process that exits is in the hierarchies' roots already, so
	// what was found, or not, counts only if the process runs.
	if now, statErr := c.proc.Stat(t.Pid); statErr != nil || !now.Running() || now.Start != p.Start {
		if err == nil {
			reader.Close()
		}
		return procfs.ErrDead
	}
	if err != nil {
		return err
	}
	for _, skipped := range reader.Skipped {
		c.sayOnce(t, skipped.Error(), skipped)
	}
	t.reader, t.start, t.last, t.filesCounted = reader, p.Start, time.Time{}, false
	t.memory = reader.Memory
	t.oom.KilledAsOne(reader.KilledAsOne)
	t.net.init(c, t)
	return nil
}

// sayOnce logs, of the first container that it happens to, what cannot be had here.
func (c *Collector) sayOnce(t *tracked, what string, why error) {
	if !c.said[what] {
		c.said[what] = true
		c.cfg.Log.Info("some counters cannot be had", "first_container", t.Name, "reason", why)
	}
}

// gone says that a process ended while it was looked at.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) ||
		errors.Is(err, procfs.ErrDead) || errors.Is(err, procfs.ErrChanged)
}

// read reads what the kernel counts for a container. The network is read first:
// that the cgroup exists afterwards shows that the PID was still the container's.
func (c *Collector) read(t *tracked, now time.Time) {
	t.Read = time.Time{}
	if t.reader == nil {
		return
	}
	c.readNetwork(t)
	before, first := t.Stats.CPU, t.last.IsZero()
	err := t.reader.Read(&t.Stats)
	if errors.Is(err, cgroup.ErrRemoved) {
		t.close()
		return
	}
	c.check(sourceCgroup, t.Name, &t.failing[sourceCgroup], err)
	t.Read, t.last = now, now
	t.Throttled = throttled(before, t.Stats.CPU)
	if first {
		t.Throttled = -1
	}
	t.oom.Read(now, t.Stats.OOM.Kills, t.Stats.OOM.GroupKills, func() bool { return c.alive(t) })
	t.Headroom = t.growth.headroom(now, t.Stats.Memory)
}

// throttled is the part of the periods between two readings in which the
// container was throttled; -1 if there is none.
func throttled(from, to cgroup.CPU) float64 {
	if !from.Periods.Set || !to.Periods.Set || !from.ThrottledPeriods.Set || !to.ThrottledPeriods.Set ||
		to.Periods.N <= from.Periods.N || to.ThrottledPeriods.N < from.ThrottledPeriods.N {
		return -1
	}
	return float64(to.ThrottledPeriods.N-from.ThrottledPeriods.N) / float64(to.Periods.N-from.Periods.N)
}

// countFiles adds up the open files of all processes of a container. A sum
// without those that we may not see would be wrong, so there is none.
func (c *Collector) countFiles(t *tracked) {
	t.OpenFiles = cgroup.Value{}
	if t.reader == nil {
		return
	}
	t.filesCounted = true
	pids, err := t.reader.Processes()
	if err != nil {
		return // it ended, and the next reading says so
	}
	sum := 0
	for _, pid := range pids {
		n, err := procfs.OpenFiles(c.cfg.Proc, pid)
		if pid == 0 {
			err = errForeign
		}
		if err != nil && !gone(err) {
			c.sayOnce(t, "open files", err)
			return
		}
		sum += n
	}
	t.OpenFiles = cgroup.Value{N: uint64(sum), Set: true}
}
