package decide

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"vitrine/internal/authz/object"
	"vitrine/internal/engine/operation"
)

// objectReader is a Policy that can say whether it reads what requests name.
type objectReader interface{ ReadsObjects() bool }

// named is what a request names, asked for when the policy reads it.
type named struct {
	ask  func() []object.Object
	once sync.Once
	list []object.Object
	read atomic.Bool // it was asked for
}

func (n *named) get() []object.Object {
	n.once.Do(func() {
		n.list = n.ask()
		n.read.Store(true)
	})
	return n.list
}

// objects is nil if the policy does not read what the request names.
func (s *Steps) objects(ctx context.Context, v *Verdict) *named {
	if p, ok := s.Policy.(objectReader); s.Objects == nil || !ok || !p.ReadsObjects() {
		return nil
	}
	op := v.Operation
	return &named{ask: func() []object.Object { return s.Objects.Objects(ctx, op) }}
}

// pin has the daemon given the id of what the decision was made on, in place of the
// name: what was judged is what is done. It says why that is not possible. Ids stand for
// names in the paths of containers and networks; of an image, which is untagged by its name
// and removed by its id, the name is part of what is asked.
func (v *Verdict) pin(objects *named) (why string) {
	if objects == nil || !objects.read.Load() {
		return ""
	}
	i := slices.IndexFunc(objects.list, func(o object.Object) bool {
		return o.Role == operation.RoleTarget && (o.Kind == operation.KindContainer || o.Kind == operation.KindNetwork)
	})
	if i < 0 || objects.list[i].ID == "" {
		return ""
	}
	carried, ok := v.Operation.WithTarget(objects.list[i].ID)
	if !ok {
		return "the id of what it names cannot be put in its place"
	}
	v.carried = carried
	return ""
}

// Carried is what the gateway forwards: the operation, with ids in place of names where the
// decision was made on the objects that they mean.
func (v *Verdict) Carried() *operation.Operation {
	if v.carried != nil {
		return v.carried
	}
	return v.Operation
}
