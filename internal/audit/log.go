package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queued   = 4096        // records that wait for the writer
	patience = time.Second // how long a caller waits for a place in the queue
	kept     = 1000        // records that Recent and Follow can look back on
	followed = 256         // records that a slow follower may lag behind
)

// Log writes records to one place, and keeps the last ones.
type Log struct {
	w       io.Writer
	logger  *slog.Logger
	queue   chan Record
	flushed chan struct{}

	lost     atomic.Uint64
	failing  atomic.Pointer[string] // the last write's error; nil while writing works
	patience time.Duration

	mu        sync.Mutex
	recent    []Record // a ring, next is the oldest once it is full
	next      int
	followers map[chan Record]struct{}
}

// NewLog makes a log that writes to w. Run must be called for records to reach w.
func NewLog(w io.Writer, logger *slog.Logger) *Log {
	return &Log{
		w: w, logger: logger, patience: patience,
		queue: make(chan Record, queued), flushed: make(chan struct{}),
		followers: map[chan Record]struct{}{},
	}
}

// Run writes records until ctx ends, then writes what is queued and returns.
func (l *Log) Run(ctx context.Context) error {
	defer close(l.flushed)
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	for {
		select {
		case r := <-l.queue:
			l.write(&buf, enc, r)
		case <-ctx.Done():
			for len(l.queue) > 0 {
				l.write(&buf, enc, <-l.queue)
			}
			return nil
		}
	}
}

// write writes r and whatever else is queued by now, in one system call.
func (l *Log) write(buf *bytes.Buffer, enc *json.Encoder, r Record) {
	const batch = 64 << 10
	buf.Reset()
	n := uint64(0)
	for more := true; more; {
		if err := enc.Encode(r); err != nil {
			l.fail(1, fmt.Errorf("encode audit record %s: %w", r.ID, err))
		} else {
			n++
		}
		more = buf.Len() < batch
		if more {
			select {
			case r = <-l.queue:
			default:
				more = false
			}
		}
	}
	if _, err := l.w.Write(buf.Bytes()); err != nil {
		l.fail(n, fmt.Errorf("write audit records: %w", err))
		return
	}
	l.failing.Store(nil)
}

func (l *Log) fail(n uint64, err error) {
	l.lost.Add(n)
	msg := err.Error()
	if old := l.failing.Swap(&msg); old == nil {
		l.logger.Error("audit log is not being written", "error", msg)
	}
}

// Add takes one record. It waits for a place in the queue for up to a second,
// and counts the record as lost after that.
func (l *Log) Add(r Record) {
	l.remember(r)
	select {
	case l.queue <- r:
		return
	default:
	}
	timer := time.NewTimer(l.patience)
	defer timer.Stop()
	select {
	case l.queue <- r:
	case <-l.flushed:
		l.fail(1, fmt.Errorf("audit record %s came after the log was closed", r.ID))
	case <-timer.C:
		l.fail(1, fmt.Errorf("audit record %s waited %s for the writer", r.ID, l.patience))
	}
}

// Lost is how many records were decided and never written.
func (l *Log) Lost() uint64 { return l.lost.Load() }

// Health is nil while records are being written.
func (l *Log) Health() error {
	if msg := l.failing.Load(); msg != nil {
		return fmt.Errorf("audit: %s; %d records lost", *msg, l.Lost())
	}
	return nil
}

func (l *Log) remember(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.recent) < kept {
		l.recent = append(l.recent, r)
	} else {
		l.recent[l.next] = r
		l.next = (l.next + 1) % kept
	}
	for f := range l.followers {
		select {
		case f <- r:
		default: // too slow: it ends, and its reader sees that
			delete(l.followers, f)
			close(f)
		}
	}
}

// Recent returns the last n records, oldest first.
func (l *Log) Recent(n int) []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recentLocked(n)
}

func (l *Log) recentLocked(n int) []Record {
	n = max(0, min(n, len(l.recent)))
	out := make([]Record, 0, n)
	for i := len(l.recent) - n; i < len(l.recent); i++ {
		out = append(out, l.recent[(l.next+i)%len(l.recent)])
	}
	return out
}

// Follow returns the last n records and a channel of those that come after
// them, without a gap. The channel is closed when ctx ends or when its reader
// falls too far behind.
func (l *Log) Follow(ctx context.Context, n int) ([]Record, <-chan Record) {
	f := make(chan Record, followed)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.followers[f] = struct{}{}
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, ok := l.followers[f]; ok {
			delete(l.followers, f)
			close(f)
		}
	})
	return l.recentLocked(n), f
}
