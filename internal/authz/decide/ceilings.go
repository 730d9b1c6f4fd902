package decide

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// making is what is about to be made, by kind and owner: the daemon does not know of it yet, and would let several at once past a maximum.
type making struct {
	mu sync.Mutex
	of map[string]*pending
}

// pending is what is about to be made for one owner.
type pending struct {
	requests int
	unnamed  int
	named    map[string]int // by how many requests each name is
}

// begin adds what a request is about to make, and says what there was before: so many, and what has names; end takes it back.
func (m *making) begin(owner string, names []string, unnamed int) (before int, named []string, end func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil {
		m.of = map[string]*pending{}
	}
	p := m.of[owner]
	if p == nil {
		p = &pending{named: map[string]int{}}
		m.of[owner] = p
	}
	before, named = p.unnamed, slices.Collect(maps.Keys(p.named))
	p.add(1, names, unnamed)
	return before, named, sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if p.add(-1, names, unnamed); p.requests == 0 {
			delete(m.of, owner)
		}
	})
}

// add counts a request, or takes it back with n = -1.
func (p *pending) add(n int, names []string, unnamed int) {
	p.requests += n
	p.unnamed += n * unnamed
	for _, name := range names {
		if p.named[name] += n; p.named[name] == 0 {
			delete(p.named, name)
		}
	}
}

// Counted says that the request counts among those that are about to make something, or holds a volume, until the daemon has answered it: the
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

// unsettled is how long what may still be made counts, where the daemon broke off before it answered.
const unsettled = time.Minute

// settle ends that a request is about to make something: when it is denied, or the daemon has answered. status is what the caller saw.
func (v *Verdict) settle(status int) {
	switch {
	case v.made == nil:
	case v.Allow && (status == 0 || status > http.StatusInternalServerError) && !v.Operation.Access.Reads(): // the daemon may be at it
		time.AfterFunc(unsettled, v.made)
	default:
		v.made()
	}
}

// owns says whether an image says whose its containers are, in its part for a platform. What cannot be told does.
func (s *Steps) owns(ctx context.Context, v *Verdict, image object.Object) bool {
	platform := v.Operation.Query.Get("platform")
	if platform == "" {
		return image.Labels[operation.OwnerLabel] != ""
	}
	config, err := s.Objects.ImageConfig(ctx, image.Ref, platform)
	return err != nil || config.Owns
}

// mounted is the operation with its volumes as what can be labelled, and so counted, where there is a ceiling on them. What stays as it is the count refuses, and so it does where
// it cannot be told what the image has.
func (s *Steps) mounted(ctx context.Context, v *Verdict, op *operation.Operation, c operation.Ceilings) (*operation.Operation, error) {
	if c.Volumes == 0 {
		return op, nil
	}
	config, _ := s.imageConfig(ctx, v, carrier(op))
	return op.WithVolumeMounts(config.Volumes)
}

// count denies a container, a network or a volume more than its caller may have.
func (s *Steps) count(ctx context.Context, v *Verdict) {
	if v.lifted || v.Decision.Admin || v.again {
		return
	}
	most := v.Decision.Ceilings
	switch v.Operation.ID {
	case "ContainerCreate":
		s.room(ctx, v, operation.KindContainer, most.Containers, nil, 1)
		if v.Allow && most.Containers > 0 {
			s.countable(ctx, v)
		}
		s.countVolumes(ctx, v, most.Volumes)
	case "NetworkCreate":
		s.room(ctx, v, operation.KindNetwork, most.Networks, nil, 1)
	case "VolumeCreate":
		s.countVolumes(ctx, v, most.Volumes)
	}
}

// countable denies a container that would count for whom its image says.
func (s *Steps) countable(ctx context.Context, v *Verdict) {
	for _, o := range v.named.get() {
		if o.Kind == operation.KindImage && s.owns(ctx, v, o) {
			v.deny(http.StatusForbidden, "ceiling", fmt.Sprintf("image %q sets the label %s itself, so that its containers could not be counted", o.Ref, operation.OwnerLabel))
		}
	}
}

// countVolumes counts those that the daemon would make. One that is there already, as somebody else's, is none, and is not the caller's to remove.
func (s *Steps) countVolumes(ctx context.Context, v *Verdict, most int64) {
	if !v.Allow || most == 0 || s.owner(v, operation.KindVolume) == "" {
		return
	}
	image := carrier(v.Operation)
	config, err := s.imageConfig(ctx, v, image)
	if err != nil {
		v.deny(http.StatusServiceUnavailable, "object", fmt.Sprintf("it cannot be told now which volumes image %q gives its containers; try again", image))
		return
	}
	made := v.Operation.NewVolumes(config.Volumes)
	for _, o := range v.named.get() {
		if o.Kind == operation.KindVolume && o.Known != nil && *o.Known && o.Labels[operation.OwnerLabel] != v.Decision.Stamp[operation.OwnerLabel] {
			made.Named = slices.DeleteFunc(made.Named, func(name string) bool { return name == o.Ref })
		}
	}
	switch {
	case len(made.Bound) > 0: // also if it is there: it may be gone when the daemon looks
		v.deny(http.StatusForbidden, "ceiling", fmt.Sprintf("volume %q would have no label if it was made, so that it could not be counted: mount it (--mount type=volume)", made.Bound[0]))
	case len(made.Unlabelled) > 0:
		v.deny(http.StatusForbidden, "ceiling", fmt.Sprintf("%s would be a volume without a label, so that it could not be counted: mount one there (--mount type=volume,target=%s)", made.Unlabelled[0], made.Unlabelled[0]))
	default:
		s.room(ctx, v, operation.KindVolume, most, made.Named, made.Unnamed)
	}
}

// owner is whose the things are that a request makes. Where that cannot be told it is denied.
func (s *Steps) owner(v *Verdict, kind operation.Kind) string {
	owner := v.Decision.Stamp[operation.OwnerLabel]
	if owner == "" || s.Objects == nil {
		v.deny(http.StatusForbidden, "ceiling", fmt.Sprintf("it may have a number of %ss of its own, and it cannot be told which are its own", kind))
		return ""
	}
	return owner
}

// room denies what would be more than most of a kind (0: any number): what there is by its name counts once. The daemon is asked after the request has been
// counted among those that are about to make one, and that is over when the daemon has answered it: so each is counted by one of the two at least, and what has no name
// at times by both, which denies too much for a moment.
func (s *Steps) room(ctx context.Context, v *Verdict, kind operation.Kind, most int64, names []string, unnamed int) {
	if most == 0 || len(names)+unnamed == 0 {
		return
	}
	owner := s.owner(v, kind)
	if owner == "" {
		return
	}
	before, named, end := s.making.begin(string(kind)+" "+owner, names, unnamed)
	has, err := s.Objects.Owned(ctx, kind, owner)
	if err != nil {
		end()
		v.deny(http.StatusServiceUnavailable, "object", fmt.Sprintf("it cannot be told now how many %ss it has; try again", kind))
		return
	}
	all := map[string]bool{}
	for _, id := range slices.Concat(has, named) {
		all[id] = true
	}
	count, more := int64(len(all)+before), int64(unnamed)
	for _, name := range names {
		if !all[name] {
			more++
		}
	}
	switch {
	case more == 0 || count+more <= most:
		v.lasts(end)
		return
	case more == 1:
		v.deny(http.StatusForbidden, "ceiling", fmt.Sprintf("it has %d %ss, and %d are allowed: remove one", count, kind, most))
	default:
		v.deny(http.StatusForbidden, "ceiling", fmt.Sprintf("it has %d %ss and asks for %d more, and %d are allowed: remove some", count, kind, more, most))
	}
	end()
}
