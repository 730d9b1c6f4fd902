package decide

import (
	"context"
	"slices"
	"sync"

	"vitrine/internal/engine/operation"
	"vitrine/internal/fair"
)

// inUse are names of volumes that requests are about, of callers who see only some objects. A volume has no id that could be forwarded in place
// of its name: so from the moment in which it is asked whose it is until the daemon has answered, no other such caller makes, removes, mounts or
// looks at one of that name. Who sees everything is not held up, and can change what a name means; he is trusted with it.
type inUse struct {
	mu       sync.Mutex
	by       map[string]*inTurn
	removals []*removal
}

// removal is the removal of one volume, or of all that have a view's labels. The daemon looks for all of these once, adds up how large each is, and
// removes it by its name: so while it is at that, no such caller removes one of them alone, as nobody else could have its name otherwise.
type removal struct {
	all    bool
	labels map[string]string
	ended  chan struct{}
}

// crosses says that of two removals one is of all, the volume of the other among them. (The daemon refuses a second one of all.)
func (r *removal) crosses(other *removal) bool {
	if !r.all {
		r, other = other, r
	}
	if !r.all || other.all {
		return false
	}
	for key, value := range r.labels {
		if has, ok := other.labels[key]; !ok || has != value {
			return false
		}
	}
	return true
}

// remove waits until no removal is under way that crosses another.
func (u *inUse) remove(ctx context.Context, r *removal) (end func(), err error) {
	r.ended = make(chan struct{})
	for {
		before := u.begin(r)
		if before == nil {
			return sync.OnceFunc(func() { u.end(r) }), nil
		}
		select {
		case <-before.ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// begin gives a removal that r crosses; if there is none, r has begun.
func (u *inUse) begin(r *removal) (before *removal) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if i := slices.IndexFunc(u.removals, r.crosses); i >= 0 {
		return u.removals[i]
	}
	u.removals = append(u.removals, r)
	return nil
}

func (u *inUse) end(r *removal) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.removals = slices.DeleteFunc(u.removals, func(other *removal) bool { return other == r })
	close(r.ended)
}

// inTurn is who has a name, and who waits for it.
type inTurn struct {
	caller string
	waits  []waiting
}

type waiting struct {
	caller string
	turn   chan struct{} // closed when it has the name
}

// take waits until all names are free. The error is the context's.
func (u *inUse) take(ctx context.Context, caller string, names []string) (free func(), err error) {
	for i, name := range names { // sorted, so that nobody waits in a circle
		turn := u.join(name, caller)
		select {
		case <-turn:
		case <-ctx.Done():
			u.leave(name, turn)
			u.free(names[:i])
			return nil, ctx.Err()
		}
	}
	return sync.OnceFunc(func() { u.free(names) }), nil
}

// join waits for a name. The turn is closed when it is the caller's.
func (u *inUse) join(name, caller string) (turn chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	w := waiting{caller, make(chan struct{})}
	if had := u.by[name]; had != nil {
		had.waits = append(had.waits, w)
		return w.turn
	}
	if u.by == nil {
		u.by = map[string]*inTurn{}
	}
	u.by[name] = &inTurn{caller: caller}
	close(w.turn)
	return w.turn
}

// leave ends that somebody waits for a name, which may have become his meanwhile.
func (u *inUse) leave(name string, turn chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	had := u.by[name]
	if i := slices.IndexFunc(had.waits, func(w waiting) bool { return w.turn == turn }); i >= 0 {
		had.waits = slices.Delete(had.waits, i, i+1)
		return
	}
	u.pass(name)
}

func (u *inUse) free(names []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, name := range names {
		u.pass(name)
	}
}

// pass gives a name to whoever has waited longest, of other callers than who had it if there are any: so that one who asks a lot keeps none from it.
// The caller holds mu.
func (u *inUse) pass(name string) {
	had := u.by[name]
	if len(had.waits) == 0 {
		delete(u.by, name)
		return
	}
	next := max(0, slices.IndexFunc(had.waits, func(w waiting) bool { return w.caller != had.caller }))
	w := had.waits[next]
	had.caller, had.waits = w.caller, slices.Delete(had.waits, next, next+1)
	close(w.turn)
}

// volumesOf are the names of volumes that an operation is about, sorted, each once.
func volumesOf(op *operation.Operation) (names []string) {
	switch op.ID {
	case "VolumeCreate", "VolumeInspect", "VolumeDelete", "ContainerCreate":
		for _, o := range op.Objects() { // sorted
			if o.Kind == operation.KindVolume {
				names = append(names, o.Ref)
			}
		}
	}
	return slices.Compact(names)
}

// holdVolumes takes the volumes that a request names for it, until the daemon has answered it, or those that it removes as they have the labels of its view.
// What was read of them before is read again.
func (s *Steps) holdVolumes(ctx context.Context, v *Verdict, where map[string]string, objects *named) error {
	names, r := volumesOf(v.Operation), &removal{all: v.Operation.ID == "VolumePrune", labels: where}
	if len(names) == 0 && !r.all || v.holds || v.again {
		return nil
	}
	v.holds = true
	defer fair.Rest(ctx)()
	if !r.all {
		free, err := s.volumes.take(ctx, ownerOf(v.Caller), names)
		if err != nil {
			return err
		}
		v.lasts(free)
		objects.forget()
		if v.Operation.ID != "VolumeDelete" {
			return nil
		}
		r.labels = objects.get()[0].Labels
	}
	end, err := s.volumes.remove(ctx, r)
	if err == nil {
		v.lasts(end)
	}
	return err
}
