package audit

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queued   = 4096                 // records that wait for the writer
	patience = time.Second          // how long a caller waits for a place in the queue
	delay    = 2 * time.Millisecond // from a record to its writing, with all that come meanwhile
	rounds   = 50                   // delays without a record, after which the writer sleeps until one comes
	batch    = 256                  // records that are written without delay
	kept     = 1000                 // records that Recent and Follow can look back on
	followed = 256                  // records that a slow follower may lag behind
)

// Log writes records to one place, and keeps the last ones.
type Log struct {
	w       io.Writer
	format  Format
	logger  *slog.Logger
	wake    chan struct{}
	flushed chan struct{}

	lost     atomic.Uint64
	failing  atomic.Pointer[string] // the last write's error; nil while writing works
	patience time.Duration

	mu        sync.Mutex
	waiting   []Record       // for the writer
	by        map[string]int // and how many of each caller
	room      chan struct{}  // closed when the writer has taken what waited
	asleep    bool           // the writer sleeps until it is woken
	ended     bool           // nobody writes any more
	recent    []Record       // a ring, next is the oldest once it is full
	next      int
	followers map[chan Record]struct{}
}

// NewLog makes a log that writes lines of a format to w. Run must be called for records to reach w.
func NewLog(w io.Writer, format Format, logger *slog.Logger) *Log {
	return &Log{
		w: w, format: format, logger: logger, patience: patience,
		wake: make(chan struct{}, 1), flushed: make(chan struct{}), room: make(chan struct{}),
		by: map[string]int{}, followers: map[chan Record]struct{}{},
	}
}

// hurry wakes the writer.
func (l *Log) hurry() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run writes records until ctx ends, then writes what is queued and returns.
// While records come it looks for them every now and then: to wake it for each
// would cost more than all else of it, on the time of who waits for an answer.
func (l *Log) Run(ctx context.Context) error {
	defer close(l.flushed)
	var spare []Record
	var buf []byte
	look := time.NewTimer(delay)
	defer look.Stop()
	for idle, ended := 0, false; ; {
		records := l.take(spare, ended)
		for rest := records; len(rest) > 0; {
			buf, rest = l.write(buf[:0], rest)
		}
		clear(records)
		spare = records[:0]
		idle++
		if len(records) > 0 {
			idle = 0
		}
		switch {
		case ended && idle > 0:
			return nil
		case !ended && idle > rounds && l.sleep():
			ended = l.wait(ctx, nil)
			idle = 0
		case !ended:
			look.Reset(delay)
			ended = l.wait(ctx, look.C)
		}
	}
}

// wait waits for a call, or for the time; it reports whether ctx has ended.
func (l *Log) wait(ctx context.Context, look <-chan time.Time) (ended bool) {
	select {
	case <-l.wake:
	case <-look:
	case <-ctx.Done():
		return true
	}
	return false
}

// sleep says that the next record must wake the writer, unless there is one.
func (l *Log) sleep() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asleep = len(l.waiting) == 0
	return l.asleep
}

// take empties the queue; the last time, it closes it.
func (l *Log) take(spare []Record, last bool) []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	records := l.waiting
	l.ended = last && len(records) == 0
	l.waiting = spare
	clear(l.by)
	if len(records) > 0 {
		close(l.room)
		l.room = make(chan struct{})
	}
	return records
}

// write writes what goes into one system call, and returns the rest; buf is to be used again.
func (l *Log) write(buf []byte, records []Record) (used []byte, rest []Record) {
	const most = 64 << 10
	n := uint64(0)
	for len(records) > 0 && len(buf) < most {
		var err error
		if buf, err = l.format(buf, &records[0]); err != nil {
			l.fail(1, fmt.Errorf("encode audit record %s: %w", records[0].ID, err))
		} else {
			n++
		}
		records = records[1:]
	}
	if _, err := l.w.Write(buf); err != nil {
		l.fail(n, fmt.Errorf("write audit records: %w", err))
		return buf, records
	}
	l.failing.Store(nil)
	return buf, records
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
	key := r.Caller.account()
	room := l.add(key, &r, true)
	if room == nil {
		return
	}
	timer := time.NewTimer(l.patience)
	defer timer.Stop()
	for room != nil {
		select {
		case <-room:
			room = l.add(key, &r, false)
		case <-l.flushed:
			l.fail(1, fmt.Errorf("audit record %s came after the log was closed", r.ID))
			return
		case <-timer.C:
			l.fail(1, fmt.Errorf("audit record %s waited %s for the writer", r.ID, l.patience))
			return
		}
	}
}

// add queues a record, or says what to wait for. No caller may have more in the
// queue than is left of it: whoever fills it waits for the writer alone.
func (l *Log) add(key string, r *Record, first bool) (room <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if first {
		l.remember(r)
	}
	if l.ended || l.by[key] >= queued-len(l.waiting) {
		return l.room
	}
	l.by[key]++
	l.waiting = append(l.waiting, *r)
	if l.asleep || len(l.waiting) == batch {
		l.asleep = false
		l.hurry()
	}
	return nil
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

// remember keeps a record for Recent and Follow; the caller holds mu.
func (l *Log) remember(r *Record) {
	if len(l.recent) < kept {
		l.recent = append(l.recent, *r)
	} else {
		l.recent[l.next] = *r
		l.next = (l.next + 1) % kept
	}
	for f := range l.followers {
		select {
		case f <- *r:
		default: // too slow: it ends, and its reader sees that
			delete(l.followers, f)
			close(f)
		}
	}
}

// Recent returns the last records, oldest first.
func (l *Log) Recent() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Concat(l.recent[l.next:], l.recent[:l.next])
}

// Follow returns the last records and a channel of those that come after
// them, without a gap. The channel is closed when ctx ends or when its reader
// falls too far behind.
func (l *Log) Follow(ctx context.Context) ([]Record, <-chan Record) {
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
	return slices.Concat(l.recent[l.next:], l.recent[:l.next]), f
}
