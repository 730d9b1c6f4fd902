package collect

import "testing"

// TestHeadroom: 9 MiB left, growing by half a MiB in ten seconds: three minutes.
func TestHeadroom(t *testing.T) {
	w := newWorld(t)
	w.run("leak", 100, "bridge")
	c := w.collector()
	for i := range 5 {
		w.counters("leak", 1<<20+i<<19, 0)
		s := w.collect(c)
		got := find(t, s, "leak").Headroom.Seconds()
		want := float64(9<<20-i<<19) / (1 << 19) * 10
		if i < 2 && got != 0 || i >= 2 && (got < want-0.1 || got > want+0.1) {
			t.Errorf("after %d readings %v seconds, want %v (0 before 20 seconds are seen)", i+1, got, want)
		}
	}
	for range growthPoints {
		w.counters("leak", 3<<20, 0)
		w.collect(c)
	}
	s := w.collect(c)
	if got := find(t, s, "leak").Headroom; got != 0 {
		t.Errorf("%v, though it does not grow any more", got)
	}
}

// TestHeadroomStartsAnew with the container.
func TestHeadroomStartsAnew(t *testing.T) {
	w := newWorld(t)
	w.run("leak", 100, "bridge")
	c := w.collector()
	for i := range 5 {
		w.counters("leak", 1<<20+i<<19, 0)
		w.collect(c)
	}
	w.end("leak", 137, true)
	w.run("leak", 101, "bridge")
	s := w.collect(c)
	if got := find(t, s, "leak"); got.Headroom != 0 || got.Read.IsZero() {
		t.Errorf("headroom %v, read at %v", got.Headroom, got.Read)
	}
}
