// Package record keeps the shapes of decisions: what each was made of (who asked, for what, and what
// was found out for it) without secrets, and what it was, each once, with a count. A decision is a
// pure function of that, so it can be made again: under another policy (package learn).
//
// What is left out of a request stands in package operation, by the class of each key. The rest of a
// shape is what the audit record says too. Of each decision a Seen is handed in; one that was seen
// before costs a hash and a count.
//
// Who controls what is kept: callers do, with every request that differs by a name. So a shape has a bound in bytes,
// over which it is not kept, and a Store has one. If it is full, a shape is put out: the one that the greediest caller has not
// sent for longest. A caller with less than its share of the room loses none, whatever others do. And of what a caller asks
// of one operation so many new requests a second are looked at, and no more: its other operations are recorded all the
// same, so that none can be hidden behind another one. How many were put out, or not looked at, is counted.
//
// A Store can be kept in a file, whose format is docs/record.md. The file may have been cut, or written by
// anybody: what can be read of it is taken, and the rest is said with its line. It is evidence of what was
// asked, and no part of any decision.
package record

import (
	"container/list"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// defaultLimit bounds what a Store holds, in bytes.
	defaultLimit = 4 << 20
	// overhead is about what a shape costs beside its text.
	overhead = 512
	// maxShape bounds one shape, in bytes: its keys, paths and names are its caller's. With its counts it is well
	// below maxLine, so that what is written can be read.
	maxShape = 64 << 10
	// burst and perSecond bound the work that a caller makes by requests of one operation of which none is
	// like another: to make the shape of one costs as much as to decide it.
	burst     = 256
	perSecond = 8
	// maxCallers is how many there may be before those are forgotten that have no shape.
	maxCallers = 4096
)

// Options configure a Store. The zero value keeps DefaultLimit bytes in memory.
type Options struct {
	Limit int // in bytes
	// Path is the file that the shapes are kept in, "" for none.
	Path string
	// Reads says whether the policy in force reads one of these parts of its input. nil: it reads none.
	Reads func(parts []string) bool
	// Told is called with each decision's shape, once it is kept. It must not block. It may be nil.
	Told   func(*Kept)
	Logger *slog.Logger // may be nil
}

// Store is a bounded record. It is safe for concurrent use.
type Store struct {
	o    Options
	seed maphash.Seed

	mu      sync.Mutex
	shapes  map[string]*Kept   // by their text
	fast    map[uint64]*Kept   // by the hash of the latest request that had it: no more than there are shapes
	callers map[string]*caller // by name
	size    int
	putOut  uint64
	changed bool // since it was last written
}

// caller has the shapes of one.
type caller struct {
	recent *list.List // of *Kept, the latest first
	size   int
	rates  map[string]*rate // by operation
}

// rate is how many requests that were not seen just so may still be looked at, of one caller's for one operation.
type rate struct {
	left float64
	at   time.Time
}

// take says whether there is one, at the time of a decision. A clock that goes back gives none.
func (r *rate) take(at time.Time) bool {
	if passed := at.Sub(r.at); passed > 0 {
		r.left = min(burst, r.left+passed.Seconds()*perSecond)
	}
	r.at = at
	if r.left < 1 {
		return false
	}
	r.left--
	return true
}

// Kept is a shape in a Store.
type Kept struct {
	text   string // of the shape
	caller string
	of     *caller // the same
	id     uint64
	fast   uint64        // where it stands in fast
	at     *list.Element // nil once it was put out
	line   Line          // without the shape
}

// ID is the same for the same text, as long as the process lives. Who keeps it does not keep the text.
func (k *Kept) ID() uint64 { return k.id }

// Caller is the name of who asked.
func (k *Kept) Caller() string { return k.caller }

// Text is the JSON of the shape.
func (k *Kept) Text() string { return k.text }

// New makes a Store.
func New(o Options) *Store {
	if o.Limit <= 0 {
		o.Limit = defaultLimit
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Store{o: o, seed: maphash.MakeSeed(), shapes: map[string]*Kept{}, fast: map[uint64]*Kept{}, callers: map[string]*caller{}}
}

// Add counts a decision, and gives its shape, nil if it has none here.
func (s *Store) Add(seen *Seen) *Kept {
	hash := seen.hash(s.seed)
	s.mu.Lock()
	kept := s.fast[hash]
	known := kept != nil && kept.at != nil
	if known {
		s.count(kept, seen.Time, seen.ID, seen.Revision)
	} else if !s.mayLook(seen) {
		s.putOut++
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	if !known {
		if kept = s.first(seen, hash); kept == nil {
			return nil
		}
	}
	s.tell(kept)
	return kept
}

// Again counts a decision that is the same as one that had a shape before, by the same policy. It reports whether the shape is still here; else the
// decision has to be added.
func (s *Store) Again(k *Kept, at time.Time, id, revision string) bool {
	s.mu.Lock()
	known := k.at != nil
	if known {
		s.count(k, at, id, revision)
	}
	s.mu.Unlock()
	if known {
		s.tell(k)
	}
	return known
}

func (s *Store) tell(k *Kept) {
	if s.o.Told != nil {
		s.o.Told(k)
	}
}

// mayLook says whether a request that was not seen just so may be looked at now.
func (s *Store) mayLook(seen *Seen) bool {
	of := s.caller(seen.Caller.String())
	r := of.rates[seen.Asked.ID]
	if r == nil {
		r = &rate{left: burst, at: seen.Time}
		of.rates[seen.Asked.ID] = r
	}
	return r.take(seen.Time)
}

func (s *Store) count(k *Kept, at time.Time, id, revision string) {
	k.line.Count++
	k.line.Last, k.line.Sample, k.line.Revision = at, id, revision
	k.of.recent.MoveToFront(k.at)
	s.changed = true
}

// first takes a decision on a request that was not seen just so.
func (s *Store) first(seen *Seen, hash uint64) *Kept {
	shape := seen.shape()
	lossy := s.o.Reads != nil && s.o.Reads(shape.Operation.Dropped)
	text, err := shape.encode()
	if err != nil {
		s.o.Logger.Debug("a decision has no shape", "error", err)
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.add(string(text), seen.Caller.String(), Line{First: seen.Time})
	if k == nil {
		return nil
	}
	k.line.Lossy = lossy
	s.count(k, seen.Time, seen.ID, seen.Revision)
	s.slow(k)
	s.fast[hash], k.fast = k, hash
	return k
}

// add gives the shape with a text, a new one if need be; nil if there can be no room for it.
func (s *Store) add(text, name string, line Line) *Kept {
	if k := s.shapes[text]; k != nil {
		return k
	}
	cost := len(text) + overhead
	if len(text) > maxShape || cost > s.o.Limit/4 {
		s.putOut++
		return nil
	}
	of := s.caller(name)
	k := &Kept{text: text, caller: name, of: of, line: line, id: maphash.String(s.seed, text)}
	k.at = of.recent.PushFront(k)
	of.size += cost
	s.size += cost
	s.shapes[text] = k
	s.changed = true
	s.makeRoom(k)
	return k
}

// caller gives one by name. Of those that have no shape only so many are remembered.
func (s *Store) caller(name string) *caller {
	of := s.callers[name]
	if of == nil {
		if len(s.callers) >= maxCallers {
			maps.DeleteFunc(s.callers, func(_ string, c *caller) bool { return c.recent.Len() == 0 })
		}
		of = &caller{recent: list.New(), rates: map[string]*rate{}}
		s.callers[name] = of
	}
	return of
}

// makeRoom puts out what is over, and a little more, so that this is seldom done. It spares what has just come.
func (s *Store) makeRoom(spared *Kept) {
	if s.size <= s.o.Limit {
		return
	}
	for s.size > s.o.Limit-s.o.Limit/64 {
		var greediest *caller
		for _, c := range s.callers {
			if greediest == nil || c.size > greediest.size {
				greediest = c
			}
		}
		k := greediest.recent.Back().Value.(*Kept)
		if k == spared {
			return
		}
		s.forget(k)
	}
}

func (s *Store) forget(k *Kept) {
	cost := len(k.text) + overhead
	of := k.of
	of.recent.Remove(k.at)
	if of.size -= cost; of.recent.Len() == 0 {
		delete(s.callers, k.caller)
	}
	s.size -= cost
	delete(s.shapes, k.text)
	s.slow(k)
	k.at = nil
	s.putOut++
}

// slow takes a shape out of fast.
func (s *Store) slow(k *Kept) {
	if s.fast[k.fast] == k {
		delete(s.fast, k.fast)
	}
}

// PutOut is how many shapes there was no room for, or were not looked at.
func (s *Store) PutOut() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.putOut
}

// Size is how many shapes there are.
func (s *Store) Size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.shapes)
}

// text is a shape as it is kept, with its counts.
type text struct {
	line Line
	text string
}

// all gives what there is, the oldest first. It is a copy.
func (s *Store) all() []text {
	s.mu.Lock()
	list := make([]text, 0, len(s.shapes))
	for _, k := range s.shapes {
		list = append(list, text{k.line, k.text})
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b text) int { return a.line.First.Compare(b.line.First) })
	return list
}

// stamp is a time as a record has it.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
