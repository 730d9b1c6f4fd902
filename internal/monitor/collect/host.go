package collect

import (
	"time"

	"vitrine/internal/kernel/cgroup"
)

// hostKills compares the kernel's count of all OOM kills with those that are
// known to be containers'. The Engine loses oom events (containerd#8893), and of a
// container that ends by a kill nothing else is left but its exit code, which `docker
// kill` gives as well. If in that time the host had a kill that is nobody's, it was
// the container's.
type hostKills struct {
	total      cgroup.Value // at the last collection
	attributed int          // since then
	over       int          // nobody's at the last collection
	uncounted  bool         // since then a whole container was killed, and it is not certain how many that were
	suspects   []suspect
}

// suspect is a container that ended by SIGKILL, and nobody said why.
type suspect struct {
	t  *tracked
	at time.Time
}

// settleSuspects is the last step of a collection, when all else is attributed.
func (c *Collector) settleSuspects() {
	h := &c.host
	suspects := h.suspects
	h.suspects = h.suspects[:0]
	total, err := c.proc.OOMKills()
	c.snap.OOMKills = cgroup.Value{N: total, Set: err == nil}
	if !c.check(SourceProc, "OOM kills of the host", &c.failing.kills, err) {
		return
	}
	before := h.total
	h.total = c.snap.OOMKills
	if !before.Set {
		h.attributed, h.uncounted = 0, false
		return
	}
	fresh := int(total-before.N) - h.attributed //nolint:gosec // kills are few
	left := fresh + h.over
	for _, s := range suspects {
		if left <= 0 || h.uncounted {
			break
		}
		left--
		if d := s.t.oom.eventOf(s.at); d == nil || !d.fatal {
			if d != nil {
				d.fatal = true
			}
			c.settle(s.t, s.at, true)
		}
	}
	// A kill may be counted just before a collection, and its container's end be told just after it.
	h.over, h.attributed = max(0, min(left, fresh)), 0
	if h.uncounted {
		h.over, h.uncounted = 0, false
	}
}
