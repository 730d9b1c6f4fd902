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
// principals. One that cannot be resolved is "*", everybody's, with the reason.
func (s *Steps) enters(ctx context.Context, v *Verdict) ([]string, *unresolved) {
	var out, entered []string
	for _, ref := range v.Operation.Enters {
		if ref == "*" {
			return []string{"*"}, nil
		}
		principals, err := s.principalsOf(ctx, v, ref)
		if err != nil {
			return []string{"*"}, &unresolved{ref, err}
		}
		out = append(out, principals...)
		entered = append(entered, cmp.Or(v.containers.ids[ref], ref))
	}
	behind, why := s.behind(ctx, entered)
	if why != nil {
		return []string{"*"}, why
	}
	v.world.Joined = behind
	out = append(out, behind...)
	slices.Sort(out)
	return slices.Compact(out), nil
}

// joiner is an identifier that can say which containers' namespaces and volumes a container has.
type joiner interface {
	Joined(ctx context.Context, ref string) (refs []string, err error)
}

// behind gives the principals of the containers that entered ones are joined to: whoever gets
// into one sees the processes of a PID namespace that it shares, and the files of volumes.
func (s *Steps) behind(ctx context.Context, entered []string) (out []string, why *unresolved) {
	const most = 32 // bounds the questions that one request can cause
	j, is := s.Identifier.(joiner)
	seen, limit := map[string]bool{}, len(entered)+most
	for ; is && len(entered) > 0; entered = entered[1:] {
		ref := entered[0]
		if seen[ref] {
			continue
		}
		if seen[ref] = true; len(seen) > limit {
			return nil, &unresolved{ref, errors.New("too many containers are joined to one another")}
		}
		joined, err := j.Joined(ctx, ref)
		if err != nil {
			return nil, &unresolved{ref, err}
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

// unresolved is why it cannot be told which container a request enters, or changes.
type unresolved struct {
	ref string
	err error
}

// because is the reason with the cause in it: the error itself for the record, fewer words for the caller.
func (u *unresolved) because(why string) string {
	return fmt.Sprintf("%s counts as any container, because it cannot be told which it is: %s", u.ref, why)
}

// sayUnresolved is the reason for a caller who is denied for that alone. To others it would say which
// containers there are.
func (s *Steps) sayUnresolved(ctx context.Context, v *Verdict, in *policy.Input) []string {
	if v.unresolved == nil {
		return nil
	}
	seeing := *in
	seeing.Enters = nil
	if d := s.Policy.Decide(ctx, &seeing); !d.Allows() {
		return nil
	}
	return []string{v.unresolved.because(identity.WhyNot(v.unresolved.err))}
}
