package decide

import (
	"cmp"
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
	var entered []string
	for _, ref := range v.Operation.Enters {
		if ref == "*" {
			return []string{"*"}, nil
		}
		principals, err := s.principalsOf(ctx, v, ref)
		if err != nil {
			return []string{"*"}, &untoldError{ref, err}
		}
		out = append(out, principals...)
		entered = append(entered, cmp.Or(v.containers.ids[ref], ref))
	}
	behind, err := s.behind(ctx, entered)
	if err != nil {
		return []string{"*"}, err
	}
	out = append(out, behind...)
	slices.Sort(out)
	return slices.Compact(out), nil
}

// joiner is an Identifier that can say which containers' namespaces and volumes a container has.
type joiner interface {
	Joined(ctx context.Context, ref string) (refs []string, err error)
}

// behind gives the principals of the containers that entered ones are joined to: whoever gets
// into one sees the processes of a PID namespace that it shares, and the files of volumes.
func (s *Steps) behind(ctx context.Context, entered []string) (out []string, untold error) {
	const most = 32 // bounds the questions that one request can cause
	j, is := s.Identifier.(joiner)
	seen, limit := map[string]bool{}, len(entered)+most
	for ; is && len(entered) > 0; entered = entered[1:] {
		ref := entered[0]
		if seen[ref] {
			continue
		}
		if seen[ref] = true; len(seen) > limit {
			return nil, &untoldError{ref, errors.New("too many containers are joined to one another")}
		}
		joined, err := j.Joined(ctx, ref)
		if err != nil {
			return nil, &untoldError{ref, err}
		}
		for _, other := range joined {
			of, err := s.Identifier.ContainerPrincipals(ctx, other)
			if err == nil { // one that is gone has none, and of others Joined cannot tell either
				out = append(out, of...)
			}
		}
		entered = append(entered, joined...)
	}
	return out, nil
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
