package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"vitrine/internal/authz/decide"
	"vitrine/internal/engine/operation"
)

// tasks are the requests that were allowed and are not over: an answer may go on
// for as long as its client likes, and the policy change meanwhile.
type tasks struct {
	mu      sync.Mutex
	open    map[*task]struct{}
	changes uint64 // how often they were reconsidered
}

// asOf is the number of changes so far: a task notes it before its decision is made.
func (x *tasks) asOf() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.changes
}

// add counts a task among the open ones. current is false if the policy has changed since the task noted asOf.
func (x *tasks) add(t *task) (current bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.open == nil {
		x.open = map[*task]struct{}{}
	}
	x.open[t] = struct{}{}
	return t.asOf == x.changes
}

func (x *tasks) has(t *task) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, open := x.open[t]
	return open
}

func (x *tasks) remove(t *task) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.open, t)
}

// change counts a change of the policy, and returns the tasks that were open before it.
func (x *tasks) change() []*task {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.changes++
	before := make([]*task, 0, len(x.open))
	for t := range x.open {
		before = append(before, t)
	}
	return before
}

// Reconsider decides the requests that are on their way once more, after the
// policy has changed, and breaks off those that it no longer allows, or only with
// obligations that the answer does not meet; what only reads is told so, as long as
// its answer has not begun. A request that is being decided is decided again before it
// is carried. Reconsider returns when all are decided.
func (s *Server) Reconsider(ctx context.Context) {
	var deciding errgroup.Group
	deciding.SetLimit(reconsideredAtOnce)
	for _, t := range s.tasks.change() {
		deciding.Go(func() error {
			if ctx.Err() == nil {
				t.reconsider(ctx)
			}
			return nil
		})
	}
	_ = deciding.Wait()
}

// reconsideredAtOnce is how many requests are decided at one time. A decision may
// wait for the Engine: one after the other, the last would go on for minutes.
const reconsideredAtOnce = 64

// What acts, and shows nothing but whether it did, is done by the Engine whether its caller hears of it or not: a container that
// begins, which nobody can look at meanwhile. That it cannot be decided at once is no reason to cut off the answer.
const (
	undecidedFor   = 30 * time.Second
	undecidedEvery = 250 * time.Millisecond
)

func acts(op *operation.Operation) bool {
	return op.Access == operation.Write && op.Carry == operation.CarryPlain
}

func (t *task) reconsider(ctx context.Context) {
	err := t.stillAllowed(ctx)
	if errors.Is(err, decide.ErrUndecided) && acts(t.v.Operation) {
		go t.undecided(ctx) // others are not to wait for it
		return
	}
	t.keepIf(err)
}

// undecided decides for as long as there is hope, and the request goes on.
func (t *task) undecided(ctx context.Context) {
	var err error
	for until := time.Now().Add(undecidedFor); t.s.tasks.has(t) && sleep(ctx, undecidedEvery); {
		if err = t.stillAllowed(ctx); !errors.Is(err, decide.ErrUndecided) || !time.Now().Before(until) {
			t.keepIf(err)
			return
		}
	}
}

// keepIf breaks the request off, unless there is no error. What only reads, and is not answered yet, is told why instead.
func (t *task) keepIf(err error) {
	if err == nil || !t.s.tasks.has(t) {
		return
	}
	if reads(t.v.Operation) && t.stage.CompareAndSwap(nil, &stage{withdrawn: err}) {
		t.conn.endRequest()
	} else {
		t.s.log.Warn("request broken off", "caller", t.v.Caller.String(), "operation", t.v.Operation.ID, "id", t.v.ID(), "reason", err)
		t.conn.sever() // as when the client leaves
	}
}

// stage is how far an answer is: nil while there is none.
type stage struct {
	withdrawn error // why the request is no longer allowed, and will have none
}

var begun = &stage{}

// mayAnswer begins the answer. It is false, and the caller is told why, if the request was withdrawn before.
func (t *task) mayAnswer() bool {
	if t.stage.CompareAndSwap(nil, begun) {
		return true
	}
	t.changed(t.stage.Load().withdrawn)
	t.fail(t.v.Status, t.v.Message)
	return false
}

// changed denies what the policy allowed a moment ago, and does no longer.
func (t *task) changed(err error) {
	if errors.Is(err, decide.ErrUndecided) {
		t.v.Deny(http.StatusServiceUnavailable, "policy-changed", "the policy has just changed; try again: "+err.Error())
	} else {
		t.v.Deny(http.StatusForbidden, "policy-changed", "the policy has just changed: "+err.Error())
	}
}

func (t *task) stillAllowed(ctx context.Context) error {
	return t.s.cfg.StillAllowed(ctx, t.who, t.v)
}

// enter counts the task among those on their way. If the policy changed while it
// was decided, it is decided again.
func (t *task) enter() {
	if t.s.tasks.add(t) {
		return
	}
	if err := t.stillAllowed(context.WithoutCancel(t.r.Context())); err != nil {
		t.changed(err)
	}
}
