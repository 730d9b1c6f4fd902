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
	mu sync.Mutex
	by map[string]*inTurn
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
	defer fair.Rest(ctx)()
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

// holdVolumes takes the volumes that a request names for it, until the daemon has answered it. What was read of them before is read again.
func (s *Steps) holdVolumes(ctx context.Context, v *Verdict, objects *named) error {
	names := volumesOf(v.Operation)
	if len(names) == 0 || v.holds || v.again {
		return nil
	}
	free, err := s.volumes.take(ctx, ownerOf(v.Caller), names)
	if err != nil {
		return err
	}
	v.holds = true
	v.lasts(free)
	if objects != nil {
		objects.forget()
	}
	return nil
}
