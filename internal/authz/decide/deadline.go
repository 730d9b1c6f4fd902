package decide

import (
	"context"
	"sync"
	"time"
)

// deadline is context.WithTimeout that sets no timer before somebody waits for it.
// Most decisions are made from memory, in microseconds; setting a timer for each
// would wake a thread that sleeps until a later one.
type deadline struct {
	context.Context
	at time.Time

	mu      sync.Mutex
	timed   context.Context //nolint:containedctx // it is this context, with a timer
	cancel  context.CancelFunc
	stopped bool
}

func withDeadline(ctx context.Context, timeout time.Duration) *deadline {
	return &deadline{Context: ctx, at: time.Now().Add(timeout)}
}

// stop ends the context; it must be called.
func (d *deadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	if d.cancel != nil {
		d.cancel()
	}
}

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) {
	if at, ok := d.Context.Deadline(); ok && at.Before(d.at) {
		return at, true
	}
	return d.at, true
}

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timed == nil {
		d.timed, d.cancel = context.WithDeadline(d.Context, d.at)
		if d.stopped {
			d.cancel()
		}
	}
	return d.timed.Done()
}

// Err implements context.Context.
func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.timed != nil:
		return d.timed.Err()
	case d.Context.Err() != nil:
		return d.Context.Err()
	case d.stopped:
		return context.Canceled
	case !time.Now().Before(d.at):
		return context.DeadlineExceeded
	}
	return nil
}
