package decide

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
)

// enters resolves the containers that an operation reaches into to their
// principals. One that cannot be resolved is "*", everybody's; untold says why.
func (s *Steps) enters(ctx context.Context, v *Verdict) (out []string, untold error) {
	for _, ref := range v.Operation.Enters {
		if ref == "*" {
			return []string{"*"}, nil
		}
		principals, err := s.principalsOf(ctx, v, ref)
		if err != nil {
			return []string{"*"}, &untoldError{ref, err}
		}
		out = append(out, principals...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// untoldError is why it cannot be told which container a request enters.
type untoldError struct {
	ref string
	err error
}

// Error is for the record.
func (e *untoldError) Error() string { return e.because(e.err.Error()) }

func (e *untoldError) because(why string) string {
	return fmt.Sprintf("%s counts as any container, because it cannot be told which it is: %s", e.ref, why)
}

// blind says why it cannot be told which container the request enters, to a caller who is denied for that
// alone: to others it would say which containers there are.
func (s *Steps) blind(ctx context.Context, v *Verdict, in *policy.Input) []string {
	untold, is := errors.AsType[*untoldError](v.untold)
	if !is {
		return nil
	}
	seeing := *in
	seeing.Enters = nil
	if d := s.Policy.Decide(ctx, &seeing); !d.Allows() {
		return nil
	}
	return []string{untold.because(identity.WhyNot(untold.err))}
}
