// Package wait lets tests wait for what others do in their own time: it polls,
// with a deadline, and never sleeps in hope. Every deadline grows with the load of
// the machine: a test that passes on a quiet one passes beside other work.
package wait

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

const (
	pause = 5 * time.Millisecond // between two looks, but for the first few
	// grace multiplies what is waited for something that need not come soon: the load is a minute's, and knows little of
	// the last seconds.
	grace = 3
)

// Until waits until is reports true, and fails the test after half a minute of patience.
func Until(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	look := looks()
	for begin := time.Now(); !is(); look() {
		if waited := time.Since(begin); waited > grace*Patience(10*time.Second) {
			tb.Fatalf("not within %s: %s", waited.Round(time.Second), what)
		}
	}
}

// NoError tries f until it gives nil, and returns its last error when three times the patience
// of limit has come to its end.
func NoError(limit time.Duration, f func() error) error {
	look := looks()
	for begin := time.Now(); ; look() {
		err := f()
		if err == nil || time.Since(begin) > grace*Patience(limit) {
			return err
		}
	}
}

// looks sleeps before the next look: for a moment at first, as most of what is waited for is there by then.
func looks() (next func()) {
	now := pause / 32
	return func() {
		time.Sleep(now)
		now = min(2*now, pause)
	}
}

// Patience is how long to wait for what takes less than limit on a quiet machine:
// longer by as much as there are processes that want to run for each processor,
// and ten times as long at the most.
func Patience(limit time.Duration) time.Duration {
	var running float64
	text, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		_, _ = fmt.Sscan(string(text), &running) // 0 where there is no number
	}
	return time.Duration(float64(limit) * min(1+running/float64(runtime.NumCPU()), 10))
}

// Buffer is what one goroutine or process writes while a test reads.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
