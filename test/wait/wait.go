// Package wait lets tests wait for what others do in their own time: it polls,
// with a deadline, and never sleeps in hope.
package wait

import (
	"bytes"
	"sync"
	"testing"
	"time"
)

// pause is the time between two looks.
const pause = 5 * time.Millisecond

// Until waits until is reports true, and fails the test after 10 s.
func Until(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(pause) {
		if time.Now().After(end) {
			tb.Fatalf("not within 10 s: %s", what)
		}
	}
}

// NoError tries f until it gives nil, and returns its last error after limit.
func NoError(limit time.Duration, f func() error) error {
	for end := time.Now().Add(limit); ; time.Sleep(pause) {
		err := f()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
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
