package decide

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"vitrine/internal/authz/object"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/policy"
	"vitrine/internal/engine/operation"
)

// errCeiling is a request that asks for more than its caller may have.
var errCeiling = errors.New("it asks for more than it may have")

// within holds what a request makes to the policy's ceilings, and decides once more on that. in is then about the request
// with its limits; at the plugin's door, which cannot change anything, it stays as it is.
func (s *Steps) within(ctx context.Context, in *policy.Input, d policy.Decision) (policy.Decision, error) {
	if !d.Allows() || d.Admin {
		return d, nil
	}
	op, err := in.Operation.WithCeilings(d.Ceilings)
	switch {
	case err != nil:
		return d, fmt.Errorf("%w: %w", errCeiling, err)
	case op == in.Operation || in.Caller.Door != string(obligation.Gateway):
		return d, nil
	}
	in.Operation = op
	again := s.Policy.Decide(ctx, in)
	if again.Allows() && again.Ceilings != d.Ceilings {
		return d, fmt.Errorf("%w: the policy has other limits for a request that has them", errCeiling)
	}
	return again, nil
}

// making counts what is about to be made, by kind and owner: the daemon does not know of them yet, and would let
// several at once past a maximum.
type making struct {
	mu sync.Mutex
	of map[string]int64
}

// begin counts one more and says how many there were before; end takes it back.
func (m *making) begin(owner string) (before int64, end func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil {
		m.of = map[string]int64{}
	}
	before = m.of[owner]
	m.of[owner]++
	return before, sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.of[owner]--; m.of[owner] == 0 {
			delete(m.of, owner)
		}
	})
}

// Counted says that the request counts among those that are about to make a container, or holds a volume, until the daemon has answered it: the
// door waits for that, whoever still listens.
func (v *Verdict) Counted() bool { return v.made != nil }

// lasts has end called when the request counts no longer.
func (v *Verdict) lasts(end func()) {
	if before := v.made; before != nil {
		v.made = func() { before(); end() }
		return
	}
	v.made = end
}

// unsettled is how long a container that may still be made counts, where the daemon broke off before it answered.
const unsettled = time.Minute

// settle ends that a request is about to make a container: when it is denied, or the daemon has answered. status is what the caller saw.
func (v *Verdict) settle(status int) {
	switch {
	case v.made == nil:
	case v.Allow && (status == 0 || status > http.StatusInternalServerError) && !v.Operation.Access.Reads(): // the daemon may be at it
		time.AfterFunc(unsettled, v.made)
	default:
		v.made()
	}
}

// counted is how many of a kind a request's caller may have, where it makes one; 0 for any number.
func (v *Verdict) counted() (kind operation.Kind, most int64) {
	switch v.Operation.ID {
	case "ContainerCreate":
		return operation.KindContainer, v.Decision.Ceilings.Containers
	case "NetworkCreate":
		return operation.KindNetwork, v.Decision.Ceilings.Networks
	}
	return "", 0
}

// owns says whether an image says whose its containers are, in its part for a platform. What cannot be told does.
func (s *Steps) owns(ctx context.Context, image object.Object, platform string) bool {
	if platform == "" {
		return image.Labels[operation.OwnerLabel] != ""
	}
	fields, err := s.Objects.ImageBurdens(ctx, image.Ref, platform)
	return err != nil || slices.Contains(fields, operation.BurdenOwner)
}

// count denies a container or a network more than its caller may have. The daemon is asked after the request has been counted among those that are
// about to make one, and that is over when the daemon has answered it: so each is counted by one of the two at least, and at times by both,
// which denies too much for a moment.
func (s *Steps) count(ctx context.Context, v *Verdict) {
	kind, most := v.counted()
	if most == 0 || v.lifted || v.Decision.Admin || v.again {
		return
	}
	owner := v.Decision.Stamp[operation.OwnerLabel]
	if owner == "" || s.Objects == nil {
		v.deny(http.StatusForbidden, "ceiling", fmt.Sprintf("it may have a number of %ss of its own, and it cannot be told which are its own", kind))
		return
	}
	for _, o := range v.named.get() {
		if o.Kind == operation.KindImage && s.owns(ctx, o, v.Operation.Query.Get("platform")) {
			v.deny(http.StatusForbidden, "ceiling", fmt.Sprintf("image %q sets the label %s itself, so that its containers could not be counted", o.Ref, operation.OwnerLabel))
			return
		}
	}
	before, end := s.making.begin(string(kind) + " " + owner)
	has, err := s.Objects.Owned(ctx, kind, owner)
	switch {
	case err != nil:
		v.deny(http.StatusServiceUnavailable, "object", fmt.Sprintf("it cannot be told now how many %ss it has; try again", kind))
	case int64(has)+before >= most:
		v.deny(http.StatusForbidden, "ceiling", fmt.Sprintf("it has %d %ss, and %d are allowed: remove one", int64(has)+before, kind, most))
	default:
		v.lasts(end)
		return
	}
	end()
}
