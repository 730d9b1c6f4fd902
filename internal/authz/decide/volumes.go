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
	by map[string]chan struct{} // closed when the name is free
}

// take waits until all names are free. The error is the context's.
func (u *inUse) take(ctx context.Context, names []string) (free func(), err error) {
	defer fair.Rest(ctx)()
	for i, name := range names { // sorted, so that nobody waits in a circle
		for {
			taken := u.try(name)
			if taken == nil {
				break
			}
			select {
			case <-taken:
			case <-ctx.Done():
				u.free(names[:i])
				return nil, ctx.Err()
			}
		}
	}
	return sync.OnceFunc(func() { u.free(names) }), nil
}

// try takes a name, or gives what is closed when it is free.
func (u *inUse) try(name string) (taken chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if taken = u.by[name]; taken == nil {
		if u.by == nil {
			u.by = map[string]chan struct{}{}
		}
		u.by[name] = make(chan struct{})
	}
	return taken
}

func (u *inUse) free(names []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, name := range names {
		close(u.by[name])
		delete(u.by, name)
	}
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
	free, err := s.volumes.take(ctx, names)
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
