package decide

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"vitrine/internal/authz/obligation"
)

const (
	// execsWaiting are how many execs one caller may have made and not started. The daemon keeps each, with all that it is to run, until
	// its container ends.
	execsWaiting = 128
	// execsAsked are those of which the daemon is asked whether they still wait, when a caller has as many, or all have execsKnown: a caller that has
	// ended asks for no exec any longer, by which its own would be forgotten.
	execsAsked = 8
	execsKnown = 4096
)

// waitingExecs are the execs that callers have made, and of which nobody has been told that they were started.
type waitingExecs struct {
	mu sync.Mutex
	by map[string][]string // by account; of which the daemon was asked last is last
	of map[string]string   // whose, by id
}

func (w *waitingExecs) add(account, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by, w.of = map[string][]string{}, map[string]string{}
	}
	if _, known := w.of[id]; known || account == "" || id == "" {
		return
	}
	w.by[account], w.of[id] = append(w.by[account], id), account
}

// remove forgets one, whoever started it.
func (w *waitingExecs) remove(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	account, known := w.of[id]
	if !known {
		return
	}
	delete(w.of, id)
	ids := w.by[account]
	if w.by[account] = slices.DeleteFunc(ids, func(other string) bool { return other == id }); len(ids) == 1 {
		delete(w.by, account)
	}
}

// count says how many an account has.
func (w *waitingExecs) count(account string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.by[account])
}

// turn gives those that are to be asked about, which are the last of their account then: the account's if it may have no more, or anybody's if there are too many.
func (w *waitingExecs) turn(account string, full bool) (ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !full && len(w.of) < execsKnown {
		return nil
	}
	if !full {
		for account = range w.by { // whose is random
			break
		}
	}
	all := w.by[account]
	n := min(execsAsked, len(all))
	ids = slices.Clone(all[:n])
	copy(all, all[n:])
	copy(all[len(all)-n:], ids)
	return ids
}

// countExecs denies an exec more than its caller may leave waiting. Those whose container has ended since are gone, which the daemon is asked about
// no sooner than there are as many. At the plugin's door nobody learns which execs are made; and what is decided once more is of no account, and made.
func (s *Steps) countExecs(ctx context.Context, v *Verdict) {
	if v.Operation.ID != "ContainerExec" || v.lifted || v.Decision.Admin || s.Objects == nil || v.account == "" || v.Caller.Door != string(obligation.Gateway) {
		return
	}
	before, _, end := s.making.begin("exec "+v.account, nil, 1)
	full := s.waiting.count(v.account)+before >= execsWaiting
	for _, id := range s.waiting.turn(v.account, full) {
		if waits, err := s.Objects.ExecWaits(ctx, id); err == nil && !waits {
			s.waiting.remove(id)
		}
	}
	waiting := s.waiting.count(v.account) + before
	if waiting < execsWaiting {
		v.lasts(end)
		return
	}
	end()
	v.deny(http.StatusForbidden, "ceiling", fmt.Sprintf("it has made %d execs that it has not started: start them, or end their containers", waiting))
}
