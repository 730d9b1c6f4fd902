package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"vitrine/test/wait"
)

// TestGarbageFillsTheHeapUpToItsGoal, and is a quarter of what lives beyond that.
func TestGarbageFillsTheHeapUpToItsGoal(t *testing.T) {
	for live, want := range map[uint64]int{
		0: mostGC, 4 << 20: 400, 5 << 20: 300, 10 << 20: 100, 15 << 20: 33, 16 << 20: 25, 19 << 20: 25, 20 << 20: 25, 1 << 40: 25,
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d MiB live: %d %%, want %d", live>>20, got, want)
		}
	}
}

// TestHeapIsKeptAfterEachCollection: what lives grows and shrinks again.
func TestHeapIsKeptAfterEachCollection(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	keepHeap()
	percent := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	for range 2 {
		func() {
			much := make([]byte, 2*heapGoal)
			wait.Until(t, "much to live", func() bool { runtime.GC(); return percent() == leastGC })
			runtime.KeepAlive(much)
		}()
		wait.Until(t, "little to live", func() bool { runtime.GC(); time.Sleep(time.Millisecond); return percent() > leastGC })
	}
}

// TestOperatorsGOGCStands.
func TestOperatorsGOGCStands(t *testing.T) {
	t.Setenv("GOGC", "50")
	before := debug.SetGCPercent(50)
	defer debug.SetGCPercent(before)
	keepHeap()
	runtime.GC()
	if got := debug.SetGCPercent(50); got != 50 {
		t.Errorf("%d %%", got)
	}
}
