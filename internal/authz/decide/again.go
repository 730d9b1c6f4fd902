package decide

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
)

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
	now := &Verdict{Caller: v.Caller, Operation: v.Operation, request: v.request}
	s.identify(ctx, conn, now)
	s.decide(ctx, now)
	switch {
	case !now.Allow:
		return errors.New(now.Message)
	case !meets(&v.Decision, &now.Decision):
		return errors.New("more of the answer is to be withheld now")
	}
	return nil
}

// meets says that an answer which keeps to one decision keeps to another one too.
func meets(was, is *policy.Decision) bool {
	blanked := len(is.Redact) == 0 || within(is.Redact, was.Redact) && within(was.KeepEnv, is.KeepEnv)
	return blanked && (len(is.Where) == 0 || maps.Equal(was.Where, is.Where))
}

func within(some, all []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}
