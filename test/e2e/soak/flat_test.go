package soak

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// held is what authz-plugin holds at one time.
type held struct {
	at                        time.Duration
	memory, files, goroutines float64
}

func (h held) String() string {
	return fmt.Sprintf("%.1f MiB, %.0f descriptors, %.0f goroutines", h.memory/(1<<20), h.files, h.goroutines)
}

// sample looks every now and then, outside of gaps, until ctx ends.
func (s *soak) sample(ctx context.Context, every time.Duration) (samples []held) {
	for begin := time.Now(); len(samples) == 0 || pause(ctx, every); {
		if open, _ := s.now(); open {
			continue
		}
		samples = append(samples, held{time.Since(begin), s.metric("process_resident_memory_bytes"), s.metric("process_open_fds"), s.metric("go_goroutines")})
	}
	return samples
}

// Beside what callers who come and go make of it at any moment, this may have been added by the end.
const (
	moreMemory     = 6 << 20
	moreFiles      = 12
	moreGoroutines = 24
)

// flat asserts that nothing grows: the slope of what was sampled after a fifth of the time, over the rest of it.
func flat(t *testing.T, samples []held) {
	t.Helper()
	samples = samples[len(samples)/5:]
	for _, of := range []struct {
		what  string
		value func(held) float64
		most  float64
		unit  float64
	}{
		{"MiB of memory", func(h held) float64 { return h.memory }, moreMemory, 1 << 20},
		{"descriptors", func(h held) float64 { return h.files }, moreFiles, 1},
		{"goroutines", func(h held) float64 { return h.goroutines }, moreGoroutines, 1},
	} {
		grown := slope(samples, of.value) * (samples[len(samples)-1].at - samples[0].at).Seconds()
		t.Logf("%s: %+.1f over the time, by the slope of %d samples", of.what, grown/of.unit, len(samples))
		if grown > of.most {
			t.Errorf("%s grew by %.1f, and may by %.0f", of.what, grown/of.unit, of.most/of.unit)
		}
	}
}

// slope is by how much a value grows in a second: the median over all pairs of samples (Theil and Sen's), which a few high ones
// do not move.
func slope(samples []held, value func(held) float64) float64 {
	var all []float64
	for i, a := range samples {
		for _, b := range samples[i+1:] {
			all = append(all, (value(b)-value(a))/(b.at-a.at).Seconds())
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// TestSlope of values that grow, that do not, and that do not but for two.
func TestSlope(t *testing.T) {
	line := func(value func(i int) float64) (samples []held) {
		for i := range 20 {
			samples = append(samples, held{at: time.Duration(i) * time.Second, memory: value(i)})
		}
		return samples
	}
	for name, tt := range map[string]struct {
		value func(i int) float64
		want  float64
	}{
		"grows": {func(i int) float64 { return 5 + 3*float64(i) }, 3},
		"flat":  {func(int) float64 { return 7 }, 0},
		"peaks": {func(i int) float64 { return float64(i / 18 * 1000) }, 0},
	} {
		if got := slope(line(tt.value), func(h held) float64 { return h.memory }); got != tt.want {
			t.Errorf("%s: %g, want %g", name, got, tt.want)
		}
	}
}
