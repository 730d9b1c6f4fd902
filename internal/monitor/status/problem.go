package status

import (
	"fmt"
	"time"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/series"
)

// Severity says how bad a problem is.
type Severity int

// The severities.
const (
	Note     Severity = iota + 1 // worth knowing
	Warning                      // on its way to be bad
	Critical                     // does not do what it is there for
)

// MarshalText writes the severity as a word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads such a word.
func (s *Severity) UnmarshalText(b []byte) error {
	for one := Note; one <= Critical; one++ {
		if one.String() == string(b) {
			*s = one
			return nil
		}
	}
	return fmt.Errorf("%q is no severity", b)
}

// String is the severity as a word.
func (s Severity) String() string {
	return [...]string{"none", "note", "warning", "critical"}[s]
}

// Problem is one thing that is wrong with a container now. Its codes stand in docs/page.md.
type Problem struct {
	Code     string     `json:"code"`
	Severity Severity   `json:"severity"`
	Text     string     `json:"text"`
	Since    *time.Time `json:"since,omitempty"` // if that is known
}

// worst is the severity of the worst problem; 0 if there is none.
func (c *Container) worst() Severity {
	var worst Severity
	for i := range c.Problems {
		worst = max(worst, c.Problems[i].Severity)
	}
	return worst
}

// When numbers are a problem.
const (
	memoryHigh     = 0.9              // working set by limit
	fullSoon       = 10 * time.Minute // until memory is at its limit, if more than half of it is used
	fullLater      = time.Hour
	throttledHigh  = 0.25           // of the periods
	endRecent      = 24 * time.Hour // an end with a bad exit code, of what does not run
	crashRecent    = time.Hour      // of what runs again
	oftenRestarted = 3              // in that time
)

// problems are all of a container, the worst first within what belongs together.
func problems(c *series.Container, row *Container, m *numbers, l *life, now time.Time) []Problem {
	var out []Problem
	add := func(code string, severity Severity, since time.Time, format string, args ...any) {
		p := Problem{Code: code, Severity: severity, Text: fmt.Sprintf(format, args...)}
		if !since.IsZero() {
			p.Since = &since
		}
		out = append(out, p)
	}
	if row.Kills > 0 && c.Running {
		add("killed-inside", Critical, l.killed, "%s%s, PID 1 alive, %s", killedAt(l.killed), l.victims, plural(row.Kills, "kill"))
	}
	for i := range c.Checks {
		switch check := &c.Checks[i]; check.Name {
		case series.CheckHealth:
			if check.Status == dogstatsd.StatusCritical {
				add("unhealthy", Critical, time.Time{}, "its health check fails")
			}
		case series.CheckExit:
			ended(c, m, l, check, now, add)
		}
	}
	switch row.State {
	case "restarting":
		add("restarting", Critical, l.lastEnd, "is being restarted, %s so far", plural(uint64(row.Restarts), "time"))
	case "dead":
		add("dead", Critical, time.Time{}, "dead: the Engine could not remove it")
	case "paused":
		add("paused", Note, time.Time{}, "paused")
	}
	memoryProblems(m, add)
	if t := m.at[throttled]; t >= throttledHigh {
		add("throttled", Warning, time.Time{}, "throttled in %.0f %% of the scheduler's periods", 100*t)
	}
	if c.Running && !c.Read && row.State == "running" {
		add("unread", Note, time.Time{}, "its counters cannot be read; the monitor's log says why")
	}
	return out
}

func killedAt(at time.Time) string {
	if at.IsZero() {
		return "killed before the monitor looked"
	}
	return "killed " + at.Format("15:04")
}

// ended tells of the last end of a container: of one that is down, or came back by its restart policy.
func ended(c *series.Container, m *numbers, l *life, check *messages.Check, now time.Time, add func(string, Severity, time.Time, string, ...any)) {
	bad := check.Status == dogstatsd.StatusCritical
	age := now.Sub(check.Time)
	switch {
	case c.Running:
		recent := 0
		for _, at := range l.ends {
			if now.Sub(at) < crashRecent {
				recent++
			}
		}
		if bad && recent >= oftenRestarted {
			add("crashing", Critical, check.Time, "ended %s in the last hour", plural(uint64(recent), "time"))
		} else if bad && recent > 0 {
			add("crashed", Warning, check.Time, "ended with a failure at %s, and was started again", check.Time.Format("15:04"))
		}
	case bad && age < endRecent && m.fatal > 0 && c.Detail != nil && c.Detail.ExitCode == 137:
		add("oom-death", Critical, check.Time, "died of the OOM killer at %s", check.Time.Format("15:04"))
	case bad && age < endRecent && c.Detail != nil && c.Detail.State == "exited":
		add("failed", Warning, check.Time, "ended with exit code %d at %s", c.Detail.ExitCode, check.Time.Format("15:04"))
	}
}

func memoryProblems(m *numbers, add func(string, Severity, time.Time, string, ...any)) {
	left := time.Duration(zero(m.fullIn) * float64(time.Second))
	switch {
	case left > 0 && left < fullSoon && m.inUse > 0.5:
		add("memory-full-soon", Critical, time.Time{}, "memory reaches its limit in %s", about(left))
	case left > 0 && left < fullLater && m.inUse > 0.5:
		add("memory-full-soon", Warning, time.Time{}, "memory reaches its limit in %s", about(left))
	case m.inUse >= memoryHigh:
		add("memory-high", Warning, time.Time{}, "memory is at %.0f %% of its limit", 100*m.inUse)
	}
}

// about is a time in one unit.
func about(d time.Duration) string {
	if d < 2*time.Minute {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
}

func plural(n uint64, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
