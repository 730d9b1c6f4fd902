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
	policy Policy
	status func() policy.Status
	queue  chan *record.Kept

	mu       sync.Mutex
	revision string               // that what follows is about
	compared map[uint64]*compared // by the shape's ID, so that it may be put out; nil: it waits
	waiting  int                  // bytes of the shapes in queue
	groups   map[[3]string]*Difference
	differs  map[string]uint64 // requests by the kind of change, since the process began
	skipped  uint64            // decisions that there was no time for
	shapes   int               // that were compared under the revision
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
func NewCandidate(p Policy, status func() policy.Status) *Candidate {
	return &Candidate{
		policy: p, status: status, queue: make(chan *record.Kept, waiting),
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
	if c.waiting+len(k.Text()) > maxWaiting {
		c.skipped++
		return
	}
	select {
	case c.queue <- k:
		c.waiting += len(k.Text())
		c.compared[k.ID()] = nil
	default:
		c.skipped++
	}
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
		case k := <-c.queue:
			revision := c.status().Revision
			is := c.compare(ctx, k)
			c.mu.Lock()
			c.waiting -= len(k.Text())
			if revision == c.revision {
				c.shapes++
				c.compared[k.ID()] = is
				c.count(is)
			}
			c.mu.Unlock()
		case <-ctx.Done():
			return nil
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
