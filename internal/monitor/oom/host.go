package oom

import (
	"time"

	"vitrine/internal/kernel/cgroup"
)

// Host compares the kernel's count of all OOM kills with those that are known to be
// containers'. The Engine loses oom events (containerd#8893), and of a container that
// ends by a kill nothing else is left but its exit code, which `docker kill` gives as
// well. If in that time the host had a kill that is nobody's, it was the container's.
type Host struct {
	began      time.Time
	total      cgroup.Value // at the last collection
	attributed int          // since then
	over       int          // nobody's at the last collection
	uncounted  bool         // since then a whole container was killed, and it is not certain how many that were
	suspects   []suspect
}

// suspect is a container that ended by SIGKILL, and nobody said why.
type suspect struct {
	*Container
	at time.Time
}

// NewHost is a host that is watched from that time on.
func NewHost(began time.Time) *Host { return &Host{began: began} }

// Watch adds a container. Its verdicts are reported from within the methods of both.
func (h *Host) Watch(report func(Verdict)) *Container { return &Container{host: h, report: report} }

// Counted takes the kernel's count of kills on the host, as the last step of a
// collection, when all else is attributed.
func (h *Host) Counted(total cgroup.Value) {
	suspects := h.suspects
	h.suspects = h.suspects[:0]
	if !total.Set {
		return
	}
	before := h.total
	h.total = total
	if !before.Set {
		h.attributed, h.uncounted = 0, false
		return
	}
	fresh := int(total.N-before.N) - h.attributed //nolint:gosec // kills are few
	left := fresh + h.over
	for _, s := range suspects {
		if left <= 0 || h.uncounted {
			break
		}
		left--
		s.convict(s.deathAt(s.at), s.at)
	}
	// A kill may be counted just before a collection, and its container's end be told just after it.
	h.over, h.attributed = max(0, min(left, fresh)), 0
	if h.uncounted {
		h.over, h.uncounted = 0, false
	}
}
