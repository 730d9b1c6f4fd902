package decide

import (
	"context"
	"slices"
	"strings"
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
	mu   sync.Mutex
	list []object.Object
	read atomic.Bool // it was asked for
}

func (n *named) get() []object.Object {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.read.Load() {
		n.list = n.ask()
		n.read.Store(true)
	}
	return n.list
}

// forget has them asked for once more.
func (n *named) forget() { n.read.Store(false) }

// objects is nil if nobody can say what the request names.
func (s *Steps) objects(ctx context.Context, v *Verdict) *named {
	if s.Objects == nil {
		return nil
	}
	op := v.Operation
	return &named{ask: func() []object.Object { return s.Objects.Objects(ctx, op) }}
}

// pin has the daemon given the ids of what the decision was made on, in place of names: what
// was judged is what is done. A container that the request enters, or that might be our
// own, is such in any case, wherever it is named; other objects are if the policy read
// them. why says that an id cannot be put in place of its name. Ids stand for names of containers, and of networks and of what a swarm has in
// paths; of an image, which is untagged by its name and removed by its id, the name is part
// of what is asked. What an admin asks is forwarded as it is written, unless the policy
// looked at what it means.
func (v *Verdict) pin(objects *named) (why string) {
	const (
		cannot = "the id of what it names cannot be put in its place"
		other  = "what it names has just become another container; try again"
	)
	carried, ids := v.Carried(), operation.Pins(nil)
	if v.View != nil && v.View.Nothing {
		return "" // what is forwarded names nothing that there is
	}
	if v.View != nil || len(v.Decision.Recreate) > 0 && objects != nil {
		var ok bool
		if ids, ok = objects.containers(v.containers.ids); !ok {
			return other
		}
	} else {
		ids = pins(v.containers.ids)
	}
	if !v.Decision.Admin {
		var ok bool
		if carried, ok = carried.WithContainers(ids); !ok {
			return cannot
		}
	}
	if target := objects.target(v.Operation.ID); target != nil && target.ID != "" {
		id := ""
		if target.Kind == operation.KindContainer {
			id = ids.ID(v.Operation.Target)
		}
		switch {
		case id != "" && id != target.ID:
			return other
		case id != "" && !v.Decision.Admin: // stands there
		default:
			var ok bool
			if carried, ok = carried.WithTarget(target.ID); !ok {
				return cannot
			}
		}
	}
	if carried != v.Operation {
		v.carried = carried
		if !v.Decision.Admin {
			v.pinned = slices.DeleteFunc(ids, func(p operation.Pin) bool { return p.Ref == p.ID })
			slices.SortFunc(v.pinned, func(a, b operation.Pin) int { return strings.Compare(a.Ref, b.Ref) })
			v.View.Pinned(v.pinned)
		}
	}
	return ""
}

// untold says that of something that was read it could not be told what it is.
func (n *named) untold() bool {
	return n != nil && slices.ContainsFunc(n.list, func(o object.Object) bool { return o.Known == nil && !o.Several })
}

// containers adds to the ids of containers those that were read. It is not ok if one is another by now.
func (n *named) containers(ids map[string]string) (all operation.Pins, ok bool) {
	all = pins(ids)
	list := n.get()
	for i := range list {
		o := &list[i]
		if o.Kind != operation.KindContainer || o.ID == "" {
			continue
		}
		switch all.ID(o.Ref) {
		case "":
			all = append(all, operation.Pin{Ref: o.Ref, ID: o.ID})
		case o.ID:
		default:
			return nil, false
		}
	}
	return all, true
}

func pins(ids map[string]string) (all operation.Pins) {
	for ref, id := range ids {
		all = append(all, operation.Pin{Ref: ref, ID: id})
	}
	return all
}

// target is the container, the network or the object of a swarm that the request is about, or the image that it gives another name; nil if there is
// none, or if the policy did not read it.
func (n *named) target(operationID string) *object.Object {
	if n == nil || !n.read.Load() {
		return nil
	}
	for i := range n.list {
		o := &n.list[i]
		pinned := !slices.Contains([]operation.Kind{operation.KindVolume, operation.KindImage, operation.KindExec, operation.KindPlugin}, o.Kind) || operationID == "ImageTag"
		if o.Role == operation.RoleTarget && pinned {
			return o
		}
	}
	return nil
}

// Carried is what the gateway forwards: the operation, with ids in place of names where the
// decision was made on the objects that they mean.
func (v *Verdict) Carried() *operation.Operation {
	if v.carried != nil {
		return v.carried
	}
	return v.Operation
}
