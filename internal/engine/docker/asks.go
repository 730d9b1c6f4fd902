package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// asks are the questions about single containers while a stream is followed: at most one
// question about each container at a time. The goroutine that follows the events has
// the asks; only the questions themselves run in others.
//
// A question has a place among the prompt ones at first. If it is not answered soon, the
// container is [Inventory.Unanswered] and the question moves to the slow ones, where it
// waits on: an Engine that is merely slow is not asked twice. So neither questions that hang
// nor questions that are slow take the places of others, and both kinds are bounded. A
// question that has failed is asked again later and later.
type asks struct {
	inv     *Inventory
	helpers *sync.WaitGroup

	byID    map[string]*ask
	queues  [2][]*ask
	running [2]int

	listing bool
	listed  bool // the first list has been compared
	lists   chan listing
	answers chan answer
	first   int // containers of the first list of which nothing has been heard
}

type lane int

const (
	prompt lane = iota
	slow
)

// placesPer are how many questions of a lane are under way at one time.
const placesPer = 8

type ask struct {
	id      string
	lane    lane
	first   bool   // asks.first counts it
	doubted bool   // whatever is known of it may not be true any longer
	queued  bool   //
	cancel  func() // the question that is under way; nil: none is
	began   time.Time
	again   bool // something has happened since it began
	failed  int  // times in a row
	retry   time.Time
}

type answer struct {
	*ask
	err error
}

type listing struct {
	list []Summary
	err  error
	asOf uint64 // in the inventory's order of things
	all  bool   // the list cannot say what happened meanwhile: ask about each
}

func newAsks(inv *Inventory, helpers *sync.WaitGroup) *asks {
	return &asks{
		inv: inv, helpers: helpers, byID: map[string]*ask{},
		lists: make(chan listing), answers: make(chan answer),
	}
}

// follow takes what an event says, and has the container asked about: an inspect says
// more.
func (a *asks) follow(ctx context.Context, e Event) {
	inv := a.inv
	if e.Type == "network" {
		if id := inv.networkEvent(e); id != "" {
			a.about(id, true)
		}
		return
	}
	if e.Action != "" {
		for _, f := range inv.onEvent {
			f(e)
		}
	}
	if !isID(e.ID) {
		if e.Action == "" { // about whom?
			a.list(ctx, false)
		}
		return
	}
	switch e.Action {
	case "destroy":
		inv.stop(e.ID, true)
	case "die":
		inv.stop(e.ID, false)
		a.detail(e.ID)
	case "create":
		inv.expect(e.ID, e.Attributes["name"], 0)
		a.about(e.ID, false)
	case "rename":
		inv.rename(e.ID, e.Attributes["name"])
		a.about(e.ID, false)
	case "start":
		a.about(e.ID, false)
	case "":
		a.about(e.ID, true)
	case "oom", "pause", "unpause", "update":
		a.detail(e.ID)
	default:
		if strings.HasPrefix(e.Action, "health_status") { // "health_status: healthy"
			a.detail(e.ID)
		}
	}
}

func (a *asks) detail(id string) {
	if a.inv.details {
		a.about(id, false)
	}
}

// about has a container asked about as soon as there is a place, or in a moment if the
// last question has failed.
func (a *asks) about(id string, doubted bool) *ask {
	q := a.byID[id]
	if q == nil {
		q = &ask{id: id}
		a.byID[id] = q
	}
	q.doubted = q.doubted || doubted
	switch soon := time.Now().Add(a.inv.timeout); {
	case q.cancel != nil:
		q.again = true
	case q.failed == 0:
		a.enqueue(q)
	case q.retry.After(soon):
		q.retry = soon
	}
	return q
}

func (a *asks) enqueue(q *ask) {
	if !q.queued {
		q.queued, q.retry = true, time.Time{}
		a.queues[q.lane] = append(a.queues[q.lane], q)
	}
}

// begin asks as many questions as there are places.
func (a *asks) begin(ctx context.Context) {
	for l := range a.queues {
		for len(a.queues[l]) > 0 && a.running[l] < placesPer {
			q := a.queues[l][0]
			a.queues[l][0], a.queues[l] = nil, a.queues[l][1:]
			a.running[l]++
			a.ask(ctx, q)
		}
	}
}

func (a *asks) ask(ctx context.Context, q *ask) {
	inv := a.inv
	asking, cancel := context.WithTimeout(ctx, 30*inv.timeout)
	q.queued, q.again, q.cancel, q.began = false, false, cancel, time.Now()
	a.helpers.Go(func() {
		defer cancel()
		_, err := inv.inspect(asking, q.id)
		select {
		case a.answers <- answer{q, err}:
		case <-ctx.Done():
		}
	})
}

// answered takes one answer. A container that is gone is forgotten.
func (a *asks) answered(r answer) {
	q := r.ask
	a.running[q.lane]--
	q.cancel = nil
	switch {
	case r.err == nil, errors.Is(r.err, ErrNotFound):
		if r.err != nil {
			a.inv.stop(q.id, true)
		}
		a.inv.settle(q.id) // it may have been called overdue while the answer came
		a.heard(q)
		q.lane, q.failed, q.doubted = prompt, 0, false
	case errors.Is(r.err, errOvertaken):
		a.heard(q)
		q.lane, q.failed, q.again = prompt, 0, true
	default:
		a.fail(q, r.err)
		return
	}
	if q.again {
		a.enqueue(q)
	} else {
		a.byID = without(a.byID, q.id)
	}
}

// heard: the inventory's being complete does not wait for this one.
func (a *asks) heard(q *ask) {
	if q.first {
		q.first = false
		a.first--
	}
}

// fail: it is asked again after a second, two, four and so on.
func (a *asks) fail(q *ask, err error) {
	const longest = 30
	a.heard(q)
	took := time.Since(q.began)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = noAnswer(took)
	}
	a.inv.unanswer(q.id, err, took >= a.soon(), q.doubted)
	q.lane = slow
	q.retry = time.Now().Add(a.inv.timeout * time.Duration(min(1<<min(q.failed, 8), longest)))
	q.failed++
}

func noAnswer(after time.Duration) error {
	return fmt.Errorf("no answer within %v", after.Round(10*time.Millisecond))
}

// soon is when an answer is no longer prompt.
func (a *asks) soon() time.Duration { return 2 * a.inv.timeout }

// look gives up the questions that have not been answered soon, and asks those again
// that have failed.
func (a *asks) look(now time.Time) {
	for _, q := range a.byID {
		switch {
		case q.cancel != nil && q.lane == prompt && now.Sub(q.began) > a.soon():
			a.overdue(q)
		case q.cancel == nil && !q.retry.IsZero() && now.After(q.retry):
			a.enqueue(q)
		}
	}
}

// overdue moves a question to the slow ones, if there is room.
func (a *asks) overdue(q *ask) {
	if a.running[slow] >= placesPer {
		q.cancel() // it is answered with a failure
		return
	}
	a.running[prompt]--
	a.running[slow]++
	q.lane = slow
	a.heard(q)
	a.inv.unanswer(q.id, noAnswer(a.soon()), true, q.doubted)
}

// list has the containers listed.
func (a *asks) list(ctx context.Context, all bool) {
	if a.listing {
		return
	}
	a.listing = true
	inv := a.inv
	inv.mu.RLock()
	asOf := inv.seq
	inv.mu.RUnlock()
	a.helpers.Go(func() {
		asking, cancel := context.WithTimeout(ctx, 10*inv.timeout)
		defer cancel()
		l, err := inv.client.containerList(asking)
		select {
		case a.lists <- listing{l, err, asOf, all}:
		case <-ctx.Done():
		}
	})
}

// compare holds the list against what is known, and has asked what differs, or all:
// the list does not say whether a container was restarted while nobody listened.
func (a *asks) compare(l listing) error {
	a.listing = false
	if l.err != nil {
		return l.err
	}
	missing := a.inv.snapshot()
	for _, s := range l.list {
		known, ok := missing[s.ID]
		delete(missing, s.ID)
		switch {
		case !ok:
			a.inv.expect(s.ID, s.name(), max(l.asOf, 1))
			a.await(a.about(s.ID, true), l.all)
		case l.all:
			a.await(a.about(s.ID, true), true)
		case !a.inv.agrees(known, s):
			a.about(s.ID, known.asked <= l.asOf && !sameLife(known, s))
		}
	}
	for id := range missing { // removed, or created since the list
		a.await(a.about(id, missing[id].asked <= l.asOf), l.all)
	}
	a.listed = true
	return nil
}

// await has complete wait for a question, unless it is about a container about which the
// Engine does not answer.
func (a *asks) await(q *ask, is bool) {
	if !is || q.first {
		return
	}
	a.inv.mu.RLock()
	sick := a.inv.unanswered[q.id].hangs
	a.inv.mu.RUnlock()
	if sick {
		return
	}
	q.first = true
	a.first++
}

// complete says that the first list has been compared, and each container of it has
// been heard of, or given up for now.
func (a *asks) complete() bool { return a.listed && a.first == 0 }

// snapshot is every container that is known, or that was told of.
func (inv *Inventory) snapshot() map[string]Container {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	all := make(map[string]Container, len(inv.byID)+len(inv.expected))
	maps.Copy(all, inv.byID)
	for id, name := range inv.expected {
		all[id] = Container{ID: id, Name: name}
	}
	return all
}

func (inv *Inventory) agrees(c Container, s Summary) bool {
	return (c.ImageKnown || errors.Is(c.ImageErr, ErrPlatform)) && sameLife(c, s) && (!inv.details || c.Detail != nil && c.Detail.State == s.State)
}

func sameLife(c Container, s Summary) bool {
	running := s.State == "running" || s.State == "paused"
	return c.Running == running && slices.Contains(s.Names, "/"+c.Name)
}
