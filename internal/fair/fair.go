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
// Beside others a caller also pays for what it uses: whoever keeps its turns busy for
// more than half of the time waits until it is half again. Else it would fill
// whatever our process and the Engine get of the machine, and the kernel, which knows
// programs and no callers, would make everybody wait for their next slice.
//
// A turn stands for work, not for waiting: whoever waits for a client gives it
// back, and whoever asks the Engine lets it rest. While the Engine works for the caller the
// turn can be handed over to it: the Engine's processors are everybody's too, and it knows no
// callers. A turn that does not come back in time, handed over or not, no longer counts, so that a decision
// that hangs is not all that is done for its caller; each such turn makes the caller's next ones wait for longer.
//
// The caller of this package says who counts as one caller, must give every turn
// back (Give may be called twice), and must not take one while it holds another.
//
// Beside the turns there is Count, for what callers hold at one time.
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

// What a turn costs its caller, beside others.
const (
	// request is what comes with each turn: reading the request, writing the answer.
	request = 50 * time.Microsecond
	// mostHanded is the most that a turn costs which was handed over: who takes longer mostly waits.
	mostHanded = 20 * time.Millisecond
	// allowance is what a caller may owe and still go on; mostOwed is the most that
	// it can owe.
	allowance = 10 * time.Millisecond
	mostOwed  = time.Second
)

const (
	// activeFor is how long a caller counts as active after its last turn.
	activeFor = time.Second
	// patience is how long a turn counts.
	patience = 100 * time.Millisecond
	// tick is the least that a timer is set to.
	tick = 100 * time.Microsecond
	// mostWaiting bounds a caller's queue, where its connections do not.
	mostWaiting = 4096
	// mostResting is how many of a caller's turns can rest at one time.
	mostResting = 8
)

// errBusy says that a caller's own requests left no turn in time.
var errBusy = errors.New("other requests of the same caller are being worked on")

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
	late    int           // turns that no longer count
	resting int           // given up by Rest
	counted []*Turn       // those that count, in the order in which they were taken, or handed over
	waiting []*Turn       // in order
	owed    time.Duration // at seen
	timer   *time.Timer   // while somebody waits: for the first of handed, or for what is owed; nil if never needed
}

// Turn is one request's. The zero Turn belongs to nobody: it is never waited for.
// It must not be copied.
type Turn struct {
	queue *Queue
	key   string

	// Guarded by Queue.mu.
	state state
	since time.Time     // when it was taken or handed over, or became late
	works bool          // of a late one: it was not handed over
	ready chan struct{} // closed when it is this one's turn
}

type state uint8

const (
	idle state = iota
	waiting
	held
	handed
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
		return errBusy
	}
}

// take gives the turn at once, or says where to wait.
func (q *Queue) take(t *Turn) (ready chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.touch(t.key)
	if len(c.waiting) == 0 && q.free(c) {
		c.count(t, held)
		return nil, nil
	}
	if len(c.waiting) >= mostWaiting {
		return nil, errBusy
	}
	t.state, t.ready = waiting, make(chan struct{})
	c.waiting = append(c.waiting, t)
	q.next(c) // its share may have grown since others were put into the queue
	q.watch(c)
	return t.ready, nil
}

// free reports whether a caller may have one more turn now.
func (q *Queue) free(c *caller) bool { return len(c.counted) < q.share() && c.owed <= allowance }

// count begins to count a turn, in a state.
func (c *caller) count(t *Turn, in state) {
	t.state, t.since = in, c.seen
	c.counted = append(c.counted, t)
}

// without ceases to count a turn.
func (c *caller) without(t *Turn) {
	c.counted = slices.DeleteFunc(c.counted, func(o *Turn) bool { return o == t })
}

// paid is how much of its debt a caller makes good in a time, by half of its share; time
// is how long a debt takes.
func (q *Queue) paid(in time.Duration) time.Duration { return in * time.Duration(q.share()) / 2 }

func (q *Queue) time(owed time.Duration) time.Duration {
	return 2 * owed / time.Duration(q.share())
}

// pay adds what a turn cost since it was taken, or handed over.
func (q *Queue) pay(c *caller, cost time.Duration) {
	if q.active.Len() > 1 {
		c.owed = min(mostOwed, c.owed+cost)
	}
}

// share is how many turns a caller has: twice the processors for a caller that is
// alone, else its part of the processors.
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
	if t.state == idle {
		return
	}
	c := q.touch(t.key)
	switch t.state {
	case idle:
	case waiting:
		c.waiting = slices.DeleteFunc(c.waiting, func(o *Turn) bool { return o == t })
	case handed:
		c.without(t)
		q.pay(c, min(mostHanded, c.seen.Sub(t.since)))
	case held:
		c.without(t)
		q.pay(c, request+c.seen.Sub(t.since))
	case late:
		c.late--
		if t.works {
			q.pay(c, c.seen.Sub(t.since))
		}
	case resting:
		c.resting--
	}
	t.state = idle
	q.next(c)
	q.watch(c)
}

// HandOver says that from now on the Engine works for this turn, until Give.
func (t *Turn) HandOver() {
	if t.queue == nil {
		return
	}
	q := t.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.state != held {
		return
	}
	c := q.touch(t.key)
	q.pay(c, request+c.seen.Sub(t.since))
	c.without(t)
	c.count(t, handed) // due later than before: no clock needs to be set
}

// Pay adds what a caller's requests cost outside of their turns.
func (t *Turn) Pay(cost time.Duration) {
	if t.queue == nil {
		return
	}
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	t.queue.pay(t.queue.touch(t.key), cost)
}

// next lets a caller's waiting requests go on, as many as there are turns.
func (q *Queue) next(c *caller) {
	for len(c.waiting) > 0 && q.free(c) {
		t := c.waiting[0]
		c.waiting = slices.Delete(c.waiting, 0, 1)
		c.count(t, held)
		close(t.ready)
	}
}

// watch sets the clock for when a caller's waiting requests may go on though no turn comes back.
func (q *Queue) watch(c *caller) {
	if len(c.waiting) == 0 {
		return
	}
	var in time.Duration
	switch {
	case len(c.counted) < q.share():
		in = q.time(c.owed - allowance)
	default:
		in = c.due().Sub(c.seen)
	}
	if in = max(in, tick); c.timer == nil {
		c.timer = time.AfterFunc(in, func() { q.look(c) })
		return
	}
	c.timer.Reset(in)
}

// due is when the first turn ceases to count.
func (c *caller) due() time.Time {
	return c.counted[0].since.Add(patience * time.Duration(1+c.late))
}

// look sees who may go on by now, and ceases to count the first turn if it is late.
func (q *Queue) look(c *caller) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(c.waiting) == 0 {
		return
	}
	q.touch(c.key)
	if len(c.counted) >= q.share() && !c.seen.Before(c.due()) {
		t := c.counted[0]
		if t.works = t.state == held; t.works {
			q.pay(c, request+c.seen.Sub(t.since))
		} else {
			q.pay(c, mostHanded)
		}
		c.without(t)
		t.state, t.since = late, c.seen
		c.late++
	}
	q.next(c)
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
	if c.owed > 0 {
		c.owed = max(0, c.owed-q.paid(now.Sub(c.seen)))
	}
	c.seen = now
	q.active.MoveToBack(c.place)
	for {
		old, _ := q.active.Front().Value.(*caller)
		switch {
		case now.Sub(old.seen) <= activeFor:
			return c
		case len(old.counted)+old.late+old.resting+len(old.waiting) > 0: // a long turn
			old.owed, old.seen = 0, now
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
	if t.state != held {
		return false
	}
	c := q.touch(t.key)
	if c.resting >= mostResting {
		return false
	}
	q.pay(c, c.seen.Sub(t.since))
	c.without(t)
	t.state = resting
	c.resting++
	q.next(c)
	return true
}

func (t *Turn) resume() {
	t.Give()
	_ = t.Take(context.Background()) // full queue: it goes on without
}
