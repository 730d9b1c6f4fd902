package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"vitrine/test/wait"
)

// TestGarbageFillsTheHeapUpToItsGoal, has its room beyond that, and is a quarter of what lives where that is more.
func TestGarbageFillsTheHeapUpToItsGoal(t *testing.T) {
	for live, want := range map[uint64]int{
		0: mostGC, 4 << 20: 400, 5 << 20: 300, 6 << 20: 233, 10 << 20: 140, 20 << 20: 70, 50 << 20: 28, 56 << 20: 25, 60 << 20: 25, 1 << 40: 25,
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
			much := make([]byte, 4*heapGoal)
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
