// Package object says what the references in a request mean, as the daemon itself
// would take them: a full id, a name, the beginning of an id.
//
// It asks the inventory, which asks the daemon only for what it does not know, a bounded
// number of times. That a reference names nothing is the daemon's own word; where the
// daemon does not answer, the error says so, and the caller must take the reference
// for whatever is worst. It decides nothing.
//
// What it says was true a moment ago. A name may mean another object when the daemon
// looks for it, unless it is given the id.
package object

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vitrine/internal/engine/docker"
	"vitrine/internal/engine/operation"
)

// Object is one object that a request names, with what is known of it. Its JSON form is
// one of the policy's input.objects.
type Object struct {
	Role operation.Role `json:"role"`
	Kind operation.Kind `json:"kind"`
	Ref  string         `json:"ref"` // as typed
	// Known is false if the daemon says that there is none, and nil if it cannot be
	// told: Why then says why. All below is empty unless it is true.
	Known *bool  `json:"known"`
	Why   string `json:"why"`
	// Several: it cannot be told because more than one object may be meant. Then the daemon takes none.
	Several bool   `json:"-"`
	Untold  bool   `json:"-"` // it cannot be told of any by this Engine: Why says what to do
	ID      string `json:"id"`
	// Name is its name; an image's first. An exec has its container's, and its labels.
	Name  string   `json:"name"`
	Names []string `json:"names"` // all of them: an image may have several
	// Labels are those that were given to it, and nobody may change them. A container's lack those that its image
	// sets, which are its publisher's word. A task has its service's.
	Labels map[string]string `json:"labels"`
	Image  string            `json:"image"` // of a container or a service, as typed when it was made
	// Networks are names of those that a container is in, or joins when it starts.
	Networks []string `json:"networks,omitempty"`
}

// inventory is what a Resolver needs of a *docker.Inventory.
type inventory interface {
	Find(ctx context.Context, ref string) (docker.Container, error)
	ExecContainer(ctx context.Context, execID string) (docker.Container, error)
	Networks(ctx context.Context, ref string) ([]docker.NetworkInfo, error)
	ServiceNetwork(ctx context.Context, ref string) (docker.NetworkInfo, error)
	Volume(ctx context.Context, name string) (docker.Named, error)
	Image(ctx context.Context, ref string) (docker.Named, error)
	Swarm(ctx context.Context, resource, ref string) (docker.Named, error)
	NetworksOf(ctx context.Context, id string) (refs []string, err error)
	Append(list []docker.Container) []docker.Container
	Labelled(ctx context.Context, resource, label string) (ids []string, err error)
	ImageConfig(ctx context.Context, ref, platform string) (json.RawMessage, error)
	ExecWaits(ctx context.Context, id string) (bool, error)
	Untold() error
	Ready() bool
}

// Resolver resolves references.
type Resolver struct{ inv inventory }

// NewResolver makes a Resolver.
func NewResolver(inv inventory) *Resolver { return &Resolver{inv} }

// maxObjects bounds the questions that one request can cause.
const maxObjects = 64

// Objects are the objects that a request names.
func (r *Resolver) Objects(ctx context.Context, op *operation.Operation) []Object {
	named := op.Objects()
	out := make([]Object, len(named))
	for i, n := range named {
		o := &out[i]
		o.Role, o.Kind, o.Ref = n.Role, n.Kind, n.Ref
		if i < maxObjects {
			r.resolve(ctx, n, o)
		} else {
			o.unknown(fmt.Errorf("the request names %d objects, and %d are looked up", len(named), maxObjects))
		}
	}
	return out
}

func (r *Resolver) resolve(ctx context.Context, n operation.Object, o *Object) {
	switch untold := r.inv.Untold(); {
	case untold != nil && (n.Kind == operation.KindContainer || n.Kind == operation.KindExec || n.Kind == operation.KindImage):
		o.unknown(untold) // of one that there is not it is no secret either
		return
	}
	switch n.Kind {
	case operation.KindContainer:
		c, err := r.inv.Find(ctx, strings.TrimPrefix(n.Ref, "/"))
		o.container(c, err)
	case operation.KindExec:
		c, err := r.inv.ExecContainer(ctx, n.Ref)
		if o.container(c, err); err == nil {
			o.ID = n.Ref
		}
	case operation.KindNetwork:
		o.network(r.networks(ctx, n))
	case operation.KindVolume:
		o.named(r.inv.Volume(ctx, n.Ref))
	case operation.KindImage:
		o.named(r.inv.Image(ctx, n.Ref))
	case operation.KindService, operation.KindTask, operation.KindSecret, operation.KindConfig, operation.KindNode:
		o.named(r.inv.Swarm(ctx, string(n.Kind)+"s", n.Ref))
	case operation.KindPlugin:
		o.unknown(fmt.Errorf("a %s is not looked up", n.Kind))
	}
}

// known are what Known points at, which nobody changes.
var known = [2]bool{false, true}

func (o *Object) unknown(err error) {
	if errors.Is(err, docker.ErrNotFound) {
		o.Known = &known[0]
		return
	}
	o.Why, o.Several, o.Untold = err.Error(), errors.Is(err, docker.ErrSeveral), errors.Is(err, docker.ErrPlatform)
}

func (o *Object) found(id, name string, names []string, labels map[string]string, image string) {
	o.Known, o.ID, o.Name, o.Names, o.Labels, o.Image = &known[1], id, name, names, labels, image
}

func (o *Object) container(c docker.Container, err error) {
	if !c.ImageKnown && len(c.Labels) > 0 {
		err = errors.New("it cannot be told which of its labels are its image's")
		if errors.Is(c.ImageErr, docker.ErrPlatform) {
			err = c.ImageErr
		}
	}
	if err != nil {
		o.unknown(err)
		return
	}
	labels := c.Labels
	for key := range c.ImageLabels {
		if c.Gave(key) {
			continue
		}
		labels = maps.Clone(c.Labels) // which are the inventory's
		maps.DeleteFunc(labels, func(key, _ string) bool { return !c.Gave(key) })
		break
	}
	o.found(c.ID, c.Name, []string{c.Name}, labels, c.Image)
	o.Networks = c.Networks
}

func (o *Object) network(found []docker.NetworkInfo, err error) {
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d networks may be meant: %w", len(found), docker.ErrSeveral)
	}
	if err != nil {
		o.unknown(err)
		return
	}
	o.found(found[0].ID, found[0].Name, []string{found[0].Name}, found[0].Labels, "")
}

func (o *Object) named(n docker.Named, err error) {
	if err != nil {
		o.unknown(err)
		return
	}
	name := ""
	if len(n.Names) > 0 {
		name = n.Names[0]
	}
	o.found(n.ID, name, n.Names, n.Labels, n.Image)
}

// Object is the object of a kind that has a full id. The error says why that cannot be told.
func (r *Resolver) Object(ctx context.Context, kind operation.Kind, id string) (Object, error) {
	o := Object{Kind: kind, Ref: id}
	r.resolve(ctx, operation.Object{Kind: kind, Ref: id}, &o)
	switch {
	case o.Known == nil:
		return Object{}, errors.New(o.Why)
	case !*o.Known:
		return Object{}, docker.ErrNotFound
	}
	return o, nil
}

// JoinedBy are the networks that a container joins when it starts.
func (r *Resolver) JoinedBy(ctx context.Context, id string) (list []Object, err error) {
	refs, err := r.inv.NetworksOf(ctx, id)
	for _, ref := range refs {
		o := Object{Role: operation.RoleUses, Kind: operation.KindNetwork, Ref: ref}
		o.network(r.inv.Networks(ctx, ref))
		list = append(list, o)
	}
	return list, err
}

// Owned are the ids of the containers, networks or volumes that were labelled as an owner's when they were made. Whoever publishes an image may write any
// owner into it, so a container with the value of its image is nobody's; one of which that cannot be told counts.
func (r *Resolver) Owned(ctx context.Context, kind operation.Kind, owner string) (ids []string, err error) {
	ids, err = r.inv.Labelled(ctx, string(kind)+"s", operation.OwnerLabel+"="+owner)
	if kind != operation.KindContainer {
		return ids, err
	}
	return slices.DeleteFunc(ids, func(id string) bool {
		c, err := r.inv.Find(ctx, id)
		if errors.Is(err, docker.ErrNotFound) { // it has been removed since
			return true
		}
		return c.ImageKnown && c.ImageLabels[operation.OwnerLabel] == owner // of what cannot be told nothing is known
	}), err
}

// ImageConfig is what an image asks of the daemon for each container; nothing, if it is not there. platform is which of its variants, "" for the Engine's
// own. The error says why that cannot be told.
func (r *Resolver) ImageConfig(ctx context.Context, ref, platform string) (operation.ImageConfig, error) {
	config, err := r.inv.ImageConfig(ctx, ref, platform)
	switch {
	case errors.Is(err, docker.ErrNotFound):
		return operation.ImageConfig{}, nil
	case err != nil:
		return operation.ImageConfig{}, err
	}
	return operation.ReadImageConfig(config)
}

// ExecWaits says of an exec that it was made, and has not run, and that the daemon still has it.
func (r *Resolver) ExecWaits(ctx context.Context, id string) (waits bool, err error) {
	waits, err = r.inv.ExecWaits(ctx, id)
	if errors.Is(err, docker.ErrNotFound) {
		return false, nil
	}
	return waits, err
}

// AnyBorrowed gives the image of a container that has such labels by its image, and not
// of its own; "" if there is none.
func (r *Resolver) AnyBorrowed(such func(labels map[string]string) bool) (image string, err error) {
	if !r.inv.Ready() {
		return "", errors.New("the containers are not all known yet")
	}
	for _, c := range r.inv.Append(nil) {
		var o Object
		if o.container(c, nil); such(c.Labels) && (o.Known == nil || !such(o.Labels)) {
			return c.Image, nil
		}
	}
	return "", nil
}
