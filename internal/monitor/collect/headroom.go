package collect

import (
	"time"

	"vitrine/internal/kernel/cgroup"
)

// growth remembers how much memory a container used lately.
type growth struct {
	at    [growthPoints]time.Time
	bytes [growthPoints]float64
	n     int // points in all; the last growthPoints of them are kept
}

const (
	growthPoints = 30               // five minutes at the usual interval
	growthSpan   = 20 * time.Second // a shorter look back says nothing
	growthLimit  = 24 * time.Hour   // what is further away than that is not foreseen
)

// headroom adds a reading, and is the time until the working set is at the
// limit if it grows on along the line through the last readings; 0 if it does not grow.
func (g *growth) headroom(now time.Time, m cgroup.Memory) time.Duration {
	if !m.WorkingSet.Set || !m.Limit.Set {
		return 0
	}
	if last := (g.n - 1 + growthPoints) % growthPoints; g.n > 0 && !now.After(g.at[last]) {
		return 0
	}
	g.at[g.n%growthPoints], g.bytes[g.n%growthPoints] = now, float64(m.WorkingSet.N)
	g.n++
	slope, span := g.slope(now)
	left := float64(m.Limit.N) - float64(m.WorkingSet.N)
	if span < growthSpan || slope <= 0 || left <= 0 {
		return 0
	}
	seconds := left / slope
	if seconds > growthLimit.Seconds() {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}

// slope is that of the straight line with the least squares, in bytes a second.
func (g *growth) slope(now time.Time) (perSecond float64, span time.Duration) {
	n := min(g.n, growthPoints)
	var sumT, sumB, sumTT, sumTB float64
	for i := range n {
		age := g.at[i].Sub(now)
		span = max(span, -age)
		t := age.Seconds()
		sumT += t
		sumB += g.bytes[i]
		sumTT += t * t
		sumTB += t * g.bytes[i]
	}
	d := float64(n)*sumTT - sumT*sumT
	if d <= 0 {
		return 0, span
	}
	return (float64(n)*sumTB - sumT*sumB) / d, span
}
