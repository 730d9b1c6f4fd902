package authz

import (
	"context"
	"maps"
	"slices"

	"vitrine/internal/identity"
	"vitrine/internal/policy"
)

// StillAllowed decides once more what was allowed, without a record: the policy
// may be another one, and the caller's names are read again. It is false as well
// if the decision has obligations now that the answer does not meet, and if it cannot be made.
func (s *Steps) StillAllowed(ctx context.Context, conn *identity.Connection, v *Verdict) (still bool) {
	defer func() {
		if recover() != nil {
			still = false
		}
	}()
	if v.Caller.Kind == identity.Self {
		return true
	}
	now := &Verdict{Operation: v.Operation, request: v.request}
	if !s.identify(ctx, conn, now) {
		return false
	}
	s.decide(ctx, now)
	return now.Allow && meets(&v.Decision, &now.Decision)
}

// meets says that an answer which keeps to one decision keeps to another one too.
func meets(was, is *policy.Decision) bool {
	blanked := len(is.Redact) == 0 || within(is.Redact, was.Redact) && within(was.KeepEnv, is.KeepEnv)
	return blanked && (len(is.Where) == 0 || maps.Equal(was.Where, is.Where))
}

func within(some, all []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}
