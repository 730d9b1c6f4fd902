// Package fair sees to it that one caller's requests do not keep the others'
// waiting: work for a caller is done in turns, of which each caller has few.
//
// There is no queue that callers share. A caller's requests wait for turns of
// that caller alone, first come, first served; whoever has one request at a time
// never waits. As no caller has more turns than its share of the processors, the
// scheduler of Go, which gives everything runnable its time in order, does the
// rest: in front of a request there is at most the work of a share for each of the
// other callers, however many requests and connections these have.
//
// A caller that nobody else was active beside for a second has twice the number
// of processors, so that they are never idle for its sake; otherwise it has its part of
// them, and one at least. So there are always turns for a caller that just came.
//
// A turn stands for work, not for waiting: whoever waits for a client gives it
// back, and whoever asks the Engine lets it rest. While the Engine works for the caller the
// turn can be lent to it: the Engine's processors are everybody's too, and it knows no
// callers. A lent turn that does not come back in time no longer counts, and each
// such one makes the caller's next ones wait for longer.
//
// The caller of this package says who counts as one caller, must give every turn
// back (Give may be called twice), and must not take one while it holds another.
package fair

import (
	"container/list"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	// activeFor is how long a caller counts as active after its last turn.
	activeFor = time.Second
	// patience is how long a lent turn counts.
	patience = 100 * time.Millisecond
	// mostWaiting bounds a caller's queue, where its connections do not.
	mostWaiting = 4096
	// mostResting is how many of a caller's turns can rest at one time.
	mostResting = 8
)

// ErrBusy says that a caller's own requests left no turn in time.
var ErrBusy = errors.New("other requests of the same caller are being worked on")

// Queue hands out turns.
type Queue struct {
	processors int

	mu      sync.Mutex
	callers map[string]*caller
	active  *list.List // of *caller, the one that was active last at the back
}

// caller is one caller's turns; it is guarded by Queue.mu.
type caller struct {
	key     string
	place   *list.Element // in Queue.active
	seen    time.Time     // when it was active last
	out     int           // turns that count
	late    int           // lent turns that no longer count
	resting int           // given up by Rest
	lent    []*Turn       // those that count, the longest lent first
	waiting []*Turn       // in order
	timer   *time.Timer   // for the first of lent, while somebody waits; nil if never needed
}

// Turn is one request's. The zero Turn belongs to nobody: it is never waited for.
// It must not be copied.
type Turn struct {
	queue *Queue
	key   string

	// Guarded by Queue.mu.
	of    *caller // while held
	since time.Time
	state state
	ready chan struct{} // closed when it is this one's turn
}

type state uint8

const (
	idle state = iota
	waiting
	held
	lent
	late
	resting
)

// New makes a Queue for as many processors as Go uses.
func New() *Queue {
	return &Queue{processors: runtime.GOMAXPROCS(0), callers: map[string]*caller{}, active: list.New()}
}

// Of prepares a turn for the caller with this key.
func (q *Queue) Of(key string) Turn { return Turn{queue: q, key: key} }

// Take waits for the turn, or fails with ErrBusy when ctx ends.
func (t *Turn) Take(ctx context.Context) error {
	if t.queue == nil {
		return nil
	}
	ready, err := t.queue.take(t)
	if ready == nil {
		return err
	}
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		t.Give()
		return ErrBusy
	}
}

// take gives the turn at once, or says where to wait.
func (q *Queue) take(t *Turn) (ready chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.touch(t.key)
	if len(c.waiting) == 0 && c.out < q.share() {
		c.out++
		t.of, t.state = c, held
		return nil, nil
	}
	if len(c.waiting) >= mostWaiting {
		return nil, ErrBusy
	}
	t.of, t.state, t.ready = c, waiting, make(chan struct{})
	c.waiting = append(c.waiting, t)
	q.next(c) // its share may have grown since others were put into the queue
	q.watch(c)
	return t.ready, nil
}

// share is how many turns a caller has: twice the processors for one that is
// alone, else its part of them.
func (q *Queue) share() int {
	if n := q.active.Len(); n > 1 {
		return max(1, q.processors/n)
	}
	return 2 * q.processors
}

// Give gives the turn back, or leaves the queue. Without a turn it does nothing.
func (t *Turn) Give() {
	if t.queue == nil {
		return
	}
	q := t.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	c := t.of
	switch t.state {
	case idle:
		return
	case waiting:
		c.waiting = slices.DeleteFunc(c.waiting, func(o *Turn) bool { return o == t })
	case lent:
		c.lent = slices.DeleteFunc(c.lent, func(o *Turn) bool { return o == t })
		c.out--
	case held:
		c.out--
	case late:
		c.late--
	case resting:
		c.resting--
	}
	t.state, t.of = idle, nil
	q.touch(t.key)
	q.next(c)
}

// Lend says that from now on the Engine works for this turn, until Give.
func (t *Turn) Lend() {
	if t.queue == nil {
		return
	}
	q := t.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.state != held {
		return
	}
	t.state, t.since = lent, time.Now()
	t.of.lent = append(t.of.lent, t)
	q.watch(t.of)
}

// next lets those of a caller go on for whom there are turns.
func (q *Queue) next(c *caller) {
	for len(c.waiting) > 0 && c.out < q.share() {
		t := c.waiting[0]
		c.waiting = slices.Delete(c.waiting, 0, 1)
		c.out++
		t.state = held
		close(t.ready)
	}
}

// watch sets the clock for the first lent turn, if somebody waits for it.
func (q *Queue) watch(c *caller) {
	if len(c.lent) == 0 || len(c.waiting) == 0 {
		return
	}
	in := time.Until(c.due())
	if c.timer == nil {
		c.timer = time.AfterFunc(in, func() { q.overdue(c) })
		return
	}
	c.timer.Reset(in)
}

// due is when the first lent turn ceases to count.
func (c *caller) due() time.Time {
	return c.lent[0].since.Add(patience * time.Duration(1+c.late))
}

// overdue takes the first lent turn from its count.
func (q *Queue) overdue(c *caller) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(c.lent) > 0 && len(c.waiting) > 0 && !time.Now().Before(c.due()) {
		c.lent[0].state = late
		c.lent = slices.Delete(c.lent, 0, 1)
		c.out--
		c.late++
		q.next(c)
	}
	q.watch(c)
}

// touch notes that a caller is active now, and forgets who no longer is.
func (q *Queue) touch(key string) *caller {
	now := time.Now()
	c := q.callers[key]
	if c == nil {
		c = &caller{key: key}
		c.place = q.active.PushBack(c)
		q.callers[key] = c
	}
	c.seen = now
	q.active.MoveToBack(c.place)
	for {
		old, _ := q.active.Front().Value.(*caller)
		switch {
		case now.Sub(old.seen) <= activeFor:
			return c
		case old.out+old.late+old.resting+len(old.waiting) > 0: // a long turn
			old.seen = now
			q.active.MoveToBack(old.place)
		default:
			q.active.Remove(old.place)
			delete(q.callers, old.key)
		}
	}
}

type turnKey struct{}

// With makes a context by which Rest finds the turn.
func With(ctx context.Context, t *Turn) context.Context { return context.WithValue(ctx, turnKey{}, t) }

// Rest gives up the turn that a context carries, if it is held, while the Engine
// is asked a question; resume takes it again. Of one caller's turns only a few rest: the
// others are kept meanwhile, as the Engine is asked few questions at a time.
func Rest(ctx context.Context) (resume func()) {
	t, _ := ctx.Value(turnKey{}).(*Turn)
	if t == nil || t.queue == nil || !t.rest() {
		return func() {}
	}
	return t.resume
}

func (t *Turn) rest() bool {
	q := t.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	c := t.of
	if t.state != held || c.resting >= mostResting {
		return false
	}
	t.state = resting
	c.out--
	c.resting++
	q.next(c)
	return true
}

func (t *Turn) resume() {
	t.Give()
	_ = t.Take(context.Background()) // full queue: it goes on without
}
