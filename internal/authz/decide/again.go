package decide

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/authz/redact"
	"vitrine/internal/caller/identity"
)

// ErrUndecided says that a request could not be decided once more just now, such as while the Engine is busy with what it names, or
// the policy does not answer in time.
var ErrUndecided = errors.New("it cannot be decided now")

// StillAllowed decides once more what was allowed, without a record: the policy
// may be another one, and the caller's names are read again. The error says why it is
// not allowed any longer: also if the decision has obligations now that the answer
// does not meet, and if it cannot be made.
func (s *Steps) StillAllowed(ctx context.Context, conn *identity.Connection, v *Verdict) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the decision panicked: %v", p)
		}
	}()
	if v.Caller.Kind == identity.Self {
		return nil
	}
	now := &Verdict{Caller: v.Caller, Operation: v.Operation, request: v.request, steps: s, again: true}
	now.containers.pinned = v.containers.ids // what it is about, whoever has its name by now
	s.identify(ctx, conn, now)
	s.decide(ctx, now)
	switch {
	case now.Status == http.StatusServiceUnavailable || !now.Allow && (now.Decision.Failed || now.untold() && !v.untold()):
		return fmt.Errorf("%w: %s", ErrUndecided, now.Message)
	case !now.Allow:
		return errors.New(now.Message)
	case !meets(&v.Decision, &now.Decision):
		return errors.New("more of the answer is to be withheld now")
	}
	return nil
}

// untold says that something could not be told of who asks, or of what the request names: that counts as what nobody may, and passes.
func (v *Verdict) untold() bool {
	w := &v.world
	network, image := w.Networks != nil && w.Networks.Why != "", w.Image != nil && w.Image.Why != ""
	path := slices.ContainsFunc(w.Paths, func(p record.Path) bool { return p.Why != "" })
	return v.Caller.Exhausted() || v.unresolved != nil || network || image || path || v.named.untold()
}

// meets says that an answer which keeps to one decision keeps to another one too.
func meets(was, is *policy.Decision) bool {
	blanked := len(is.Redact) == 0 || covers(was.Redact, is.Redact) && within(was.KeepEnv, is.KeepEnv)
	return blanked && (len(is.Where) == 0 || maps.Equal(was.Where, is.Where) && maps.EqualFunc(was.Shared, is.Shared, slices.Equal) && slices.Equal(was.ImageNames, is.ImageNames))
}

// covers says that where some pointers are blanked, nothing is left of what others
// name: in the words of one policy that may be /Config/Env, of another /Config/Env/*.
func covers(blanked, demanded []string) bool {
	var sets [2][]redact.Pointer
	for i, list := range [][]string{blanked, demanded} {
		for _, s := range list {
			p, err := redact.ParsePointer(s)
			if err != nil {
				return false
			}
			sets[i] = append(sets[i], p)
		}
	}
	return redact.CoverAll(sets[0], sets[1])
}

func within(some, all []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}
