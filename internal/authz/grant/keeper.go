package grant

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"vitrine/internal/kernel/folderwatch"
)

const (
	// lookAgain bounds how long a change of the file is missed that nobody told us of.
	lookAgain = 15 * time.Second
	// saveEach is how often the time is kept while something is to end: how much longer than it
	// was lent a right can hold if the host's clock is set back while we do not run.
	saveEach = time.Minute
)

// Options are the parts of a Keeper.
type Options struct {
	File     string // "": there are no grants
	StateDir string // where what was said outlives the process, "" for nowhere; it must be there and be ours
	// Lend tells the policy which grants there are; it calls Holds.
	Lend   func(ctx context.Context, grants []Grant)
	Record func(Event) // what begins and ends
	Clock  *Clock
	Logger *slog.Logger
}

// Event is the beginning or the end of a right.
type Event struct {
	Ended bool
	At    time.Time
	Grant Grant
	Why   string // why it ended
}

// Keeper follows the file of grants, and says what begins and ends.
type Keeper struct {
	o Options

	mu      sync.Mutex
	file    map[string]Grant // as read, by id
	err     error            // why there are none
	state   state            // what was said
	broken  error            // why it cannot be told what was said, and what time it was
	refused []Refused
	saved   time.Time // the time that is on disk
}

// NewKeeper reads what was said before. If that cannot be read, everything that ends has
// ended: it may have, and Health says what to do.
func NewKeeper(o Options) *Keeper {
	k := &Keeper{o: o}
	k.state, k.broken = loadState(o.StateDir)
	if k.broken != nil {
		k.o.Logger.Error("all that ends has ended, because it cannot be told what time it was", "error", k.broken)
	}
	o.Clock.atLeast(k.state.Latest)
	k.saved = k.state.Latest
	return k
}

// never is a time when everything has ended.
var never = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// Beyond says of an end that it would not come before never: there is none in or after that year.
func Beyond(end time.Time) bool { return end.UTC().Year() >= never.Year() }

// Now is the time by which rights end.
func (k *Keeper) Now() time.Time {
	if k.broken != nil {
		return never
	}
	return k.o.Clock.now()
}

// Run follows the file until ctx ends, and keeps the time.
func (k *Keeper) Run(ctx context.Context) error {
	w := folderwatch.New("the grants", k.o.Logger)
	defer w.Close()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		if k.o.File != "" {
			w.Set(map[string]bool{filepath.Dir(k.o.File): true})
		}
		k.Look(ctx) // after the folder is watched: what changes meanwhile is an event
		select {
		case <-ctx.Done():
			k.keepTime(true)
			return nil
		case err := <-w.Errors():
			k.o.Logger.Warn("grants watch", "error", err)
		case <-w.Events():
		case <-again.C:
			k.keepTime(false)
		}
	}
}

// Look reads the file, and lends what it holds.
func (k *Keeper) Look(ctx context.Context) {
	var grants []Grant
	var err error
	if k.o.File != "" {
		grants, err = Read(k.o.File, k.o.Clock.now())
	}
	k.mu.Lock()
	if err != nil && (k.err == nil || k.err.Error() != err.Error()) {
		k.o.Logger.Error("there are no grants", "error", err)
	}
	k.err, k.file = err, map[string]Grant{}
	var open []Grant
	for _, g := range grants {
		k.file[g.ID] = g
		k.o.Clock.atLeast(g.From) // it was that time when it was granted
	}
	for _, g := range grants {
		if _, ended := k.state.Ended[g.ID]; !ended && !g.Over(k.Now()) {
			open = append(open, g)
		}
	}
	k.mu.Unlock()
	k.o.Lend(ctx, open)
}

// Holds is told by the policy which rights with an end hold now, its own and lent ones, and what it
// does not lend. What begins or ends by that is recorded, once.
func (k *Keeper) Holds(held []Grant, refused []Refused) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.Now()
	for _, r := range refused {
		if !slices.ContainsFunc(k.refused, func(was Refused) bool { return was.Grant.ID == r.Grant.ID && was.Why == r.Why }) {
			k.o.Logger.Error("grant refused", "id", r.Grant.ID, "grant", r.Grant.String(), "reason", r.Why)
		}
	}
	k.refused = refused

	var events []Event
	next := map[string]Grant{}
	for _, g := range held {
		next[g.ID] = g
	}
	for _, id := range slices.Sorted(maps.Keys(k.state.Holds)) {
		was := k.state.Holds[id]
		if is, still := next[id]; !still || !is.Same(&was) {
			events = append(events, k.ended(was, now))
		}
	}
	for _, g := range held {
		if was, known := k.state.Holds[g.ID]; !known || !g.Same(&was) {
			events = append(events, Event{At: now, Grant: g})
		}
	}
	maps.DeleteFunc(k.state.Ended, func(_ string, until time.Time) bool { return !now.Before(until) }) // by the clock, too
	if len(events) == 0 && (len(held) == 0 || now.Sub(k.saved) < saveEach) {
		return
	}
	k.state.Holds = next
	k.save(now) // first: after a crash nothing is said twice
	for _, e := range events {
		k.o.Record(e)
	}
}

// ended says why a right ended. One that was revoked, or whose time is over, never holds
// again; the caller holds mu.
func (k *Keeper) ended(was Grant, now time.Time) Event {
	e := Event{Ended: true, At: now, Grant: was}
	is, there := k.file[was.ID]
	own := was.From.IsZero() // a binding of the policy
	switch at := slices.IndexFunc(k.refused, func(r Refused) bool { return r.Grant.ID == was.ID }); {
	case was.Over(now):
		e.Why = "its time is over"
	case own:
		e.Why = "the policy does not bind it any more"
	case there && is.Revoked != nil:
		e.Why, e.Grant = "revoked by "+is.Revoked.By, is
		if is.Revoked.Reason != "" {
			e.Why += ": " + is.Revoked.Reason
		}
		k.state.Ended[was.ID] = was.Until
	case at >= 0:
		e.Why = k.refused[at].Why
	case k.err != nil:
		e.Why = k.err.Error()
	case there && !is.Same(&was):
		e.Why = "it was changed in " + k.o.File
	case there:
		e.Why = "no policy decides"
	default:
		e.Why = "it is gone from " + k.o.File
		k.state.Ended[was.ID] = was.Until
	}
	return e
}

// Holding are the rights with an end that hold, by their ends, and the grants that the policy does not lend.
func (k *Keeper) Holding() (held []Grant, refused []Refused) {
	k.mu.Lock()
	defer k.mu.Unlock()
	held = slices.SortedFunc(maps.Values(k.state.Holds), func(a, b Grant) int {
		return cmp.Or(a.Until.Compare(b.Until), strings.Compare(a.ID, b.ID))
	})
	return held, k.refused
}

// Health is nil if the grants can be had.
func (k *Keeper) Health() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken != nil {
		return fmt.Errorf("all that ends has ended, as it cannot be told what time it was: %w; mend it, or take it away if the host's clock is right, and start again", k.broken)
	}
	if k.err != nil {
		return fmt.Errorf("there are none: %w", k.err)
	}
	return nil
}

// keepTime keeps the time on disk if something is to end.
func (k *Keeper) keepTime(now bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if at := k.Now(); len(k.state.Holds) > 0 && (now || at.Sub(k.saved) >= saveEach) {
		k.save(at)
	}
}

// save keeps what was said, and what time it is; the caller holds mu.
func (k *Keeper) save(now time.Time) {
	if k.broken != nil {
		return
	}
	k.state.Latest, k.saved = now, now
	if err := k.state.save(k.o.StateDir); err != nil {
		k.o.Logger.Error("after a restart it will not be known what had ended", "error", err)
	}
}
