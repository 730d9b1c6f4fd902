package gateway

import (
	"context"
	"slices"
	"sync"
	"time"
)

// leftEvery is how often we look whether a client that has ended its half of
// the connection has left altogether.
const leftEvery = 250 * time.Millisecond

// brief is how long a request takes for which nobody looks whether its client leaves: most are over by then, and a hook
// in a context costs more than all else of it.
const brief = 20 * time.Millisecond

// connected is the context of a request: it ends when the client has left, or by end. net/http ends the request's own
// when it reads the end of the client's half; on a Unix socket the kernel says whether the other half is still open.
type connected struct {
	context.Context // the request's values, and not its end
	request         context.Context
	conn            *conn

	mu     sync.Mutex
	done   chan struct{} // nil: nobody has asked for it
	ended  bool
	hooks  []*func()
	unhook func() bool // from the request's context; nil: nothing is hooked to it yet
}

// whileConnected begins to look when the request is no longer brief. end must be called.
func (t *task) whileConnected() *connected {
	c := &connected{Context: context.WithoutCancel(t.r.Context()), request: t.r.Context(), conn: t.conn}
	c.conn.lookAfter(c)
	return c
}

// look hooks to the end of the request's own context, which has none if the request goes by the lane.
func (c *connected) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.request.Done() == nil {
		go c.halfClosed()
	} else {
		c.unhook = context.AfterFunc(c.request, c.halfClosed)
	}
}

// halfClosed waits until the client has left altogether, or the request is over.
func (c *connected) halfClosed() {
	for c.conn.peer != nil && !hungUp(c.conn) && sleep(c, leftEvery) {
	}
	c.end()
}

// end ends it, and what hangs on it.
func (c *connected) end() {
	c.conn.over(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	if c.unhook != nil {
		c.unhook()
	}
	if c.done != nil {
		close(c.done)
	}
	for _, f := range c.hooks {
		go (*f)()
	}
	c.hooks = nil
}

// AfterFunc is [context.AfterFunc] of it, which asks for this method.
func (c *connected) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		go f()
		return func() bool { return false }
	}
	c.hooks = append(c.hooks, &f)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		n := len(c.hooks)
		c.hooks = slices.DeleteFunc(c.hooks, func(h *func()) bool { return h == &f })
		return len(c.hooks) < n
	}
}

// Done implements context.Context.
func (c *connected) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.ended {
			close(c.done)
		}
	}
	return c.done
}

// Err implements context.Context.
func (c *connected) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return context.Canceled
	}
	return nil
}

// atEnd is context.AfterFunc, at less cost if it is a request's.
func atEnd(ctx context.Context, f func()) (stop func() bool) {
	if c, ok := ctx.(*connected); ok {
		return c.AfterFunc(f)
	}
	return context.AfterFunc(ctx, f)
}

// looking is the one timer of a connection, whose requests come one after the other.
type looking struct {
	mu    sync.Mutex
	timer *time.Timer
	at    *connected
}

// lookAfter makes a request look for its client's end if it is not over by then.
func (l *looking) lookAfter(c *connected) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at = c; l.timer == nil {
		l.timer = time.AfterFunc(brief, l.look)
	} else {
		l.timer.Reset(brief)
	}
}

// over says that a request is.
func (l *looking) over(c *connected) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == c {
		l.at = nil
		l.timer.Stop()
	}
}

// endRequest ends the request that there is.
func (l *looking) endRequest() {
	if c := l.current(); c != nil {
		c.end()
	}
}

func (l *looking) look() {
	if c := l.current(); c != nil {
		c.look()
	}
}

// current is the request that there is, nil if there is none.
func (l *looking) current() *connected {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}
