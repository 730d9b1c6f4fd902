// Package asks knows who asks Docker for what, and is told no: caller by class of
// operation.
//
// It follows the decisions that authz-plugin tells at its admin socket, where the monitor
// may read that; it decides nothing, and changes nothing. It speaks the socket's JSON with types of its own, for the monitor
// has nothing in common with who decides. Where it may not read, it says why and what to do.
//
// What it keeps is bounded: 128 callers, those that asked last; for each class the last 8
// requests and 8 reasons, cut to 300 bytes each. That is 12 MiB at the very most. A caller who floods it
// pushes out his own requests alone; one who can make containers at will can
// push other callers out, which is counted.
//
// Who controls the bytes: methods, operations, verdicts and the caller's kind are
// authz-plugin's; principals, targets and reasons hold names that callers and makers of
// containers have chosen, and are shown as text.
package asks

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of what is kept.
const (
	callersMost  = 128
	requestsMost = 8 // of a cell
	reasonsMost  = 8
	textMost     = 300
	namesMost    = 32
	seenMost     = 2048 // decisions by which one that is told twice is known
)

// Verdict is the answer to a request.
type Verdict string

// The verdicts.
const (
	Allowed   Verdict = "allowed"
	WouldDeny Verdict = "would-deny" // in audit mode
	Denied    Verdict = "denied"
)

// notUnderstood is the class of what is no operation.
const notUnderstood = "not-understood"

// Board is who asked for what since the reader began, or as far as authz-plugin remembered then.
type Board struct {
	Socket string     `json:"socket"`
	Up     bool       `json:"up"`             // the decisions can be followed
	Why    string     `json:"why,omitempty"`  // they cannot
	Hint   string     `json:"hint,omitempty"` // what to do
	Since  *time.Time `json:"since,omitempty"`

	Guard Guard `json:"guard"`

	DeniedHour    int      `json:"denied_hour"` // in the last hour
	WouldDenyHour int      `json:"would_deny_hour"`
	AllowedHour   int      `json:"allowed_hour"`
	Missed        int      `json:"missed"`   // times that decisions came faster than they were read
	LeftOut       int      `json:"left_out"` // callers for whom there was no room
	Callers       []Caller `json:"callers"`  // who was denied something last first
}

// Guard is what authz-plugin says of itself.
type Guard struct {
	Asked    *bool             `json:"asked,omitempty"` // dockerd asks the plugin; absent if that is not known
	Revision string            `json:"revision,omitempty"`
	Source   string            `json:"source,omitempty"`
	Checks   map[string]string `json:"checks,omitempty"` // "ok", or what is wrong
}

// Caller is one who asks.
type Caller struct {
	Name       string   `json:"name"` // the principal to call it by, or its kind
	Kind       string   `json:"kind"`
	Principals []string `json:"principals"`
	Cells      []Cell   `json:"cells"`
}

// Cell is one caller's requests of one class.
type Cell struct {
	Class     string     `json:"class"` // the access class of the operation, or "not-understood"
	Allowed   int        `json:"allowed"`
	WouldDeny int        `json:"would_deny"`
	Denied    int        `json:"denied"`
	Worst     Verdict    `json:"worst"` // in the last hour; of what is longer ago, the last
	Last      time.Time  `json:"last"`
	LastNo    *time.Time `json:"last_no,omitempty"` // denied, or would have been
}

// Detail is a cell opened.
type Detail struct {
	Caller     string      `json:"caller"`
	Class      string      `json:"class"`
	Operations []Operation `json:"operations"` // the most denied first
	Reasons    []Reason    `json:"reasons"`    // the latest first
	Requests   []Request   `json:"requests"`   // the latest first
}

// Operation counts one operation.
type Operation struct {
	ID        string `json:"id"`
	Allowed   int    `json:"allowed"`
	WouldDeny int    `json:"would_deny"`
	Denied    int    `json:"denied"`
}

// Reason is a sentence of a decision.
type Reason struct {
	Text  string    `json:"text"`
	Count int       `json:"count"`
	Last  time.Time `json:"last"`
}

// Request is one decision.
type Request struct {
	Time      time.Time `json:"time"`
	ID        string    `json:"id"`
	Caller    string    `json:"caller"`
	Operation string    `json:"operation"`
	Method    string    `json:"method"`
	URI       string    `json:"uri"`
	Verdict   Verdict   `json:"verdict"`
	Reasons   []string  `json:"reasons"`
	Code      string    `json:"code,omitempty"` // of the reason, where authz-plugin gives one
}

// Reader follows. Its methods may be called from several goroutines.
type Reader struct {
	socket   string
	onChange func()
	watchers atomic.Int64
	wake     chan struct{} // ask at once how authz-plugin is

	mu      sync.Mutex
	up      bool
	why     string
	hint    string
	since   time.Time
	guard   Guard
	callers map[string]*caller
	hour    hour
	seen    map[string]bool
	order   []string // of seen, a ring
	next    int
	missed  int
	leftOut int
}

type caller struct {
	kind       string
	principals []string
	cells      map[string]*cell
	last       time.Time
}

type cell struct {
	operations map[string]*Operation
	reasons    []Reason
	requests   []Request // the oldest first
	last       map[Verdict]time.Time
	count      map[Verdict]int
}

// New makes a reader of the admin socket at that path; "" for one that reads nothing. onChange is called after news, and must not wait.
func New(socket string, onChange func()) *Reader {
	r := &Reader{
		socket: socket, onChange: onChange, wake: make(chan struct{}, 1),
		callers: map[string]*caller{}, seen: map[string]bool{}, order: make([]string, seenMost),
		why: "it has not been tried yet",
	}
	if socket == "" {
		r.why, r.hint = "the monitor was told to read no admin socket", "give it --admin-socket PATH"
	}
	return r
}

// Board is the board now.
func (r *Reader) Board(now time.Time) *Board {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &Board{
		Socket: r.socket, Up: r.up, Why: r.why, Hint: r.hint, Guard: r.guard, Missed: r.missed, LeftOut: r.leftOut, Callers: []Caller{},
	}
	if !r.since.IsZero() {
		since := r.since
		b.Since = &since
	}
	b.AllowedHour, b.WouldDenyHour, b.DeniedHour = r.hour.counts(now)
	for name, c := range r.callers {
		out := Caller{Name: name, Kind: c.kind, Principals: c.principals}
		for class, one := range c.cells {
			out.Cells = append(out.Cells, one.summary(class, now))
		}
		slices.SortFunc(out.Cells, func(a, b Cell) int { return strings.Compare(a.Class, b.Class) })
		b.Callers = append(b.Callers, out)
	}
	slices.SortFunc(b.Callers, func(x, y Caller) int {
		return cmp.Or(rank(y.worst())-rank(x.worst()), strings.Compare(x.Name, y.Name))
	})
	return b
}

func (c *Caller) worst() Verdict {
	worst := Allowed
	for i := range c.Cells {
		if rank(c.Cells[i].Worst) > rank(worst) {
			worst = c.Cells[i].Worst
		}
	}
	return worst
}

func rank(v Verdict) int {
	switch v {
	case Denied:
		return 2
	case WouldDeny:
		return 1
	case Allowed:
	}
	return 0
}

func (c *cell) summary(class string, now time.Time) Cell {
	out := Cell{Class: class, Allowed: c.count[Allowed], WouldDeny: c.count[WouldDeny], Denied: c.count[Denied], Worst: Allowed}
	var no time.Time
	for v, at := range c.last {
		if at.After(out.Last) {
			out.Last = at
		}
		if v != Allowed && at.After(no) {
			no = at
		}
	}
	for _, v := range []Verdict{WouldDeny, Denied} {
		if at, ok := c.last[v]; ok && (now.Sub(at) < time.Hour || at.Equal(out.Last)) {
			out.Worst = v
		}
	}
	if !no.IsZero() {
		out.LastNo = &no
	}
	return out
}

// Detail opens a cell; false if there is none.
func (r *Reader) Detail(name, class string) (*Detail, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.callers[name]
	if !ok || c.cells[class] == nil {
		return nil, false
	}
	one := c.cells[class]
	d := &Detail{Caller: name, Class: class, Operations: []Operation{}, Reasons: append([]Reason{}, one.reasons...), Requests: slices.Clone(one.requests)}
	for _, op := range one.operations {
		d.Operations = append(d.Operations, *op)
	}
	slices.SortFunc(d.Operations, func(a, b Operation) int {
		return cmp.Or(b.Denied-a.Denied, b.WouldDeny-a.WouldDeny, b.Allowed-a.Allowed, strings.Compare(a.ID, b.ID))
	})
	slices.SortFunc(d.Reasons, func(a, b Reason) int { return b.Last.Compare(a.Last) })
	slices.Reverse(d.Requests)
	return d, true
}

// Touched are the requests that are kept and name a container, by its id, the beginning of it, or its name; the latest first.
func (r *Reader) Touched(id, name string) []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []Request{}
	for _, c := range r.callers {
		for _, one := range c.cells {
			for i := range one.requests {
				if names(&one.requests[i], id, name) {
					out = append(out, one.requests[i])
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b Request) int { return b.Time.Compare(a.Time) })
	return out[:min(len(out), 100)]
}
