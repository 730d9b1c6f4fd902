package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// A decision leaves about ten kilobytes of garbage, and little lives: with Go's default, collecting took a third of a busy
// gateway's time. So garbage may fill the heap up to heapGoal, be heapRoom where more lives (of 10 000 containers, 10 MiB, which would
// be looked at twice as often), and a quarter of what lives where that is more still.
const (
	heapGoal    = 20 << 20
	heapRoom    = 14 << 20
	leastGC     = 25 // percent
	mostGC      = 400
	heapLive    = "/gc/heap/live:bytes"
	sameEnough  = 10 // percent: to set it stops the program for a moment
	emptyHeapGC = 1 << 20
)

// keepHeap sees to that after each collection. It does nothing where the environment sets GOGC.
func keepHeap() {
	if os.Getenv("GOGC") != "" {
		return
	}
	k := &heapKeeper{percent: 100}
	k.collected()
}

type heapKeeper struct{ percent int }

// collected sets the next collection, and has itself called after that.
func (k *heapKeeper) collected() {
	sample := []metrics.Sample{{Name: heapLive}}
	metrics.Read(sample)
	if next := gcPercent(sample[0].Value.Uint64()); next > k.percent+sameEnough || next < k.percent-sameEnough || next < k.percent && next == leastGC {
		debug.SetGCPercent(next)
		k.percent = next
	}
	runtime.SetFinalizer(&collection{of: k}, func(c *collection) { c.of.collected() })
}

// collection is found to be garbage by the next one. (It is no tiny object, which would be kept with others.)
type collection struct {
	of *heapKeeper
	_  [16]byte
}

// gcPercent is by how much the heap may grow before the next collection.
func gcPercent(live uint64) int {
	live = max(live, emptyHeapGC)
	room := uint64(heapRoom)
	if live < heapGoal-heapRoom {
		room = heapGoal - live
	}
	return int(min(max(room*100/live, leastGC), mostGC))
}
