package learn

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
)

const (
	waiting     = 256      // shapes that wait to be decided
	maxWaiting  = 4 << 20  // bytes of these
	maxCompared = 16 << 10 // shapes of which it is remembered what the candidate makes of them
	maxGroups   = 512      // differences that are listed
	maxReasons  = 4        // of a difference, each at most as long as an example
)

// Candidate decides beside the policy in force what another one would make of it. It answers nobody: it is told
// of decisions when they have been made, decides each shape once, in its own time, and counts.
type Candidate struct {
	policy decider
	status func() policy.Status
	wake   chan struct{} // something waits

	mu       sync.Mutex
	revision string               // that what follows is about
	compared map[uint64]*compared // by the shape's ID, so that it may be put out; nil: it waits
	queues   []*queue             // of who has any, in turn
	waits    int                  // shapes in them
	waiting  int                  // bytes of these
	groups   map[[3]string]*Difference
	differs  map[string]uint64 // requests by the kind of change, since the process began
	skipped  uint64            // decisions that there was no time for
	shapes   int               // that were compared under the revision
}

// queue has the shapes of one caller that wait.
type queue struct {
	caller string
	shapes []*record.Kept
	size   int // bytes
}

// compared is what came of one shape.
type compared struct {
	change    string // "" for none
	caller    string
	operation string
	example   string
	reasons   []string
	missing   []string
}

// NewCandidate makes one of a policy. Run must run.
func NewCandidate(p decider, status func() policy.Status) *Candidate {
	return &Candidate{
		policy: p, status: status, wake: make(chan struct{}, 1),
		compared: map[uint64]*compared{}, groups: map[[3]string]*Difference{}, differs: map[string]uint64{},
	}
}

// Tell counts a decision. It never blocks.
func (c *Candidate) Tell(k *record.Kept) {
	revision := c.status().Revision
	if revision == "" {
		return // it has never loaded
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if revision != c.revision || len(c.compared) >= maxCompared {
		clear(c.compared)
	}
	if revision != c.revision {
		clear(c.groups)
		c.revision, c.shapes = revision, 0
	}
	is, known := c.compared[k.ID()]
	switch {
	case is != nil:
		c.count(is)
		return
	case known: // it waits
		return
	}
	if !c.push(k) {
		c.skipped++
		return
	}
	c.compared[k.ID()] = nil
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// push lets a shape wait. Who sends more than there is time for loses his own: where there is no room, what whoever has most waiting
// sent last is skipped for it, which may be this one.
func (c *Candidate) push(k *record.Kept) bool {
	size := len(k.Text())
	of := c.queueOf(k.Caller())
	for c.waits >= waiting || c.waiting+size > maxWaiting {
		if len(c.queues) == 0 {
			return false
		}
		most := slices.MaxFunc(c.queues, func(a, b *queue) int { return cmp.Compare(a.size, b.size) })
		if of.size+size >= most.size {
			return false
		}
		last := len(most.shapes) - 1
		c.took(most, most.shapes[last])
		delete(c.compared, most.shapes[last].ID())
		most.shapes = slices.Delete(most.shapes, last, last+1)
		c.skipped++
		c.queues = slices.DeleteFunc(c.queues, func(q *queue) bool { return len(q.shapes) == 0 })
	}
	if len(of.shapes) == 0 {
		c.queues = append(c.queues, of)
	}
	of.shapes = append(of.shapes, k)
	of.size += size
	c.waits++
	c.waiting += size
	return true
}

func (c *Candidate) queueOf(caller string) *queue {
	if i := slices.IndexFunc(c.queues, func(q *queue) bool { return q.caller == caller }); i >= 0 {
		return c.queues[i]
	}
	return &queue{caller: caller}
}

// took is about a shape that waits no more.
func (c *Candidate) took(of *queue, k *record.Kept) {
	of.size -= len(k.Text())
	c.waits--
	c.waiting -= len(k.Text())
}

// pop is the next shape of the caller whose turn it is; nil if none waits.
func (c *Candidate) pop() *record.Kept {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queues) == 0 {
		return nil
	}
	of := c.queues[0]
	k := of.shapes[0]
	c.took(of, k)
	of.shapes[0] = nil
	of.shapes, c.queues = of.shapes[1:], c.queues[1:]
	if len(of.shapes) > 0 {
		c.queues = append(c.queues, of)
	}
	return k
}

// count adds a request to what differs.
func (c *Candidate) count(is *compared) {
	if is.change == "" {
		return
	}
	c.differs[is.change]++
	key := [3]string{is.change, is.caller, is.operation}
	d := c.groups[key]
	if d == nil {
		if len(c.groups) >= maxGroups {
			return
		}
		d = &Difference{Change: is.change, Caller: is.caller, Operation: is.operation}
		c.groups[key] = d
	}
	d.Requests++
	d.Last, d.Example, d.Reasons, d.Uncertain = time.Now().UTC().Truncate(time.Second), is.example, is.reasons, is.missing
}

// Run decides what it was told of, until ctx ends.
func (c *Candidate) Run(ctx context.Context) error {
	for {
		select {
		case <-c.wake:
		case <-ctx.Done():
			return nil
		}
		for k := c.pop(); k != nil && ctx.Err() == nil; k = c.pop() {
			revision := c.status().Revision
			is := c.compare(ctx, k)
			c.mu.Lock()
			if revision == c.revision {
				c.shapes++
				c.compared[k.ID()] = is
				c.count(is)
			}
			c.mu.Unlock()
		}
	}
}

func (c *Candidate) compare(ctx context.Context, k *record.Kept) *compared {
	var shape record.Shape
	if err := json.Unmarshal([]byte(k.Text()), &shape); err != nil {
		return &compared{}
	}
	is := &compared{caller: shape.Caller.String(), operation: shape.Operation.ID, example: example(&record.Line{Shape: shape})}
	again, err := decide.Replay(ctx, c.policy, &shape)
	if err != nil {
		is.change, is.reasons = "error", brief([]string{err.Error()})
		return is
	}
	change, reasons := differ(&decide.Replayed{Verdict: shape.Verdict}, &again)
	is.change, is.reasons, is.missing = change, brief(reasons), brief(again.Missing)
	return is
}

// brief is what is kept of reasons, in which names may stand that a caller chose.
func brief(reasons []string) (out []string) {
	for _, s := range reasons[:min(len(reasons), maxReasons)] {
		out = append(out, short(s))
	}
	return out
}

// Counts are how many requests differed, by the kind of change, and how many decisions there was no time for.
func (c *Candidate) Counts() (differs map[string]uint64, skipped uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.differs), c.skipped
}

// WriteTo writes what differs, as JSON.
func (c *Candidate) WriteTo(w io.Writer) (int64, error) {
	status := c.status()
	c.mu.Lock()
	out := struct {
		Revision    string       `json:"revision"`
		Source      string       `json:"source"`
		Error       string       `json:"error,omitempty"` // why the newest one was refused
		Shapes      int          `json:"shapes"`          // that were compared
		Skipped     uint64       `json:"skipped"`
		Differences []Difference `json:"differences"`
	}{c.revision, status.Source, status.LastError, c.shapes, c.skipped, []Difference{}}
	for _, d := range c.groups {
		out.Differences = append(out.Differences, *d)
	}
	c.mu.Unlock()
	slices.SortFunc(out.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Change, b.Change), cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Operation, b.Operation))
	})
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return 0, err
	}
	n, err := w.Write(append(text, '\n'))
	return int64(n), err
}
