package decide

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
	"vitrine/internal/kernel/hostpath"
)

// Replayed is what came of a shape when it was decided again.
type Replayed struct {
	record.Verdict
	Reasons []string
	// Missing is what the policy would have had found out, and the record does not say: the verdict may be
	// another one for that.
	Missing []string
}

// Replay decides a recorded shape once more, as the caller's door would carry it out, with what was found
// out for it then. The error says why it cannot be decided. How long the policy takes is bounded as for a
// request.
func Replay(ctx context.Context, p Policy, shape *record.Shape) (again Replayed, err error) {
	op, err := shape.Operation.Operation(shape.Engine)
	if err != nil {
		return again, err
	}
	var sockets operation.Sockets
	if s := shape.World.Socket; s != nil {
		sockets.Gateway, sockets.Engine = []operation.Socket{*s}, shape.World.Engines
		op = op.WithSockets(&sockets)
	}
	past := &past{world: &shape.World, of: op}
	steps := New(Options{
		Sockets:    &sockets,
		Identifier: past, Policy: p, Objects: past, HostPaths: past, OwnContainer: past.own,
		Record: func(audit.Record) {}, Timeout: policy.DefaultTimeout,
		Old: func(context.Context, string) (*operation.Old, error) { return &operation.Old{}, nil },
	})
	v := &Verdict{Caller: shape.Caller, Operation: op, request: &operation.Request{}, steps: steps, start: time.Now()}
	if shape.World.OwnExec {
		steps.execs.add(ownerOf(v.Caller), op.Target)
	}
	if o := shape.World.Old; o != nil {
		fields := o.Fields
		if fields == nil {
			fields = []string{}
		}
		steps.olds.add(ownerOf(v.Caller), &old{Old: operation.Old{Name: o.Name}, labels: o.Labels, fields: fields, made: o.Made, end: v.start.Add(oldsAfter)})
	}
	defer func() {
		if p := recover(); p != nil {
			again, err = Replayed{}, fmt.Errorf("the decision panicked: %v", p)
		}
	}()
	steps.decide(ctx, v)
	if v.Decision.Failed {
		return again, fmt.Errorf("the policy could not tell: %v", v.Decision.Reasons)
	}
	if v.Allow {
		if _, unmet := obligation.Meet(obligation.Door(v.Caller.Door), v.Operation, v.Decision.Demand()); unmet != nil {
			v.Deny(http.StatusForbidden, "obligation", unmet.Reason)
		}
	}
	slices.Sort(past.missing)
	return Replayed{v.outcome(), v.Reasons(), slices.Compact(past.missing)}, nil
}

// past answers what a decision asks for from what was found out for an earlier one.
type past struct {
	world   *record.World
	of      *operation.Operation
	missing []string
}

func (p *past) miss(what string) { p.missing = append(p.missing, what) }

// Identify is not called: the caller stands in the shape.
func (*past) Identify(context.Context, *identity.Connection) *identity.Identity {
	return &identity.Identity{Kind: identity.Unknown}
}

func (p *past) ContainerPrincipals(_ context.Context, ref string) ([]string, error) {
	if ref == joinedRef {
		return p.world.Joined, nil
	}
	for _, c := range p.world.Containers {
		if c.Ref == ref {
			if c.Why != "" {
				return nil, errors.New(c.Why)
			}
			return c.Principals, nil
		}
	}
	p.miss("who container " + ref + " is")
	return []string{principal.Container.With(ref)}, nil
}

// joinedRef stands for all the containers that entered ones are joined to.
const joinedRef = "/joined"

// Joined is what the entered containers are joined to, together.
func (p *past) Joined(_ context.Context, ref string) ([]string, error) {
	if ref == joinedRef || len(p.world.Joined) == 0 {
		return nil, nil
	}
	return []string{joinedRef}, nil
}

// Owned is recorded nowhere, and changes with each request.
func (p *past) Owned(_ context.Context, kind operation.Kind, _ string) ([]string, error) {
	p.miss("how many " + string(kind) + "s the caller had")
	return nil, nil
}

// ImageConfig has no volumes: what those of an image count for depends on what the caller had.
func (p *past) ImageConfig(context.Context, string, string) (c operation.ImageConfig, err error) {
	switch i := p.world.Image; {
	case i == nil:
	case i.Why != "":
		err = errors.New(i.Why)
	default:
		c.Burdens = i.Burdens
	}
	return c, err
}

// ExecWaits is not called: a shape has no account whose execs would count.
func (*past) ExecWaits(context.Context, string) (bool, error) { return false, nil }

func (p *past) HostNetworks(context.Context, *operation.Operation) ([]string, error) {
	switch n := p.world.Networks; {
	case n == nil:
		return nil, nil
	case n.Why != "":
		return n.Fields, errors.New(n.Why)
	default:
		return n.Fields, nil
	}
}

func (p *past) Objects(_ context.Context, op *operation.Operation) []object.Object {
	if p.world.Named {
		return p.world.Objects
	}
	var list []object.Object
	for _, n := range op.Objects() {
		list = append(list, object.Object{Role: n.Role, Kind: n.Kind, Ref: n.Ref, Why: "the record does not say it"})
	}
	if len(list) > 0 {
		p.miss("the labels and ids of what the request names")
	}
	return list
}

func (p *past) Resolve(_ context.Context, _, path string) (string, error) {
	for _, at := range p.world.Paths {
		switch {
		case at.From != path:
		case at.Unseen:
			return "", fmt.Errorf("%w: %s", hostpath.ErrUnseen, at.Why)
		case at.Why != "":
			return "", errors.New(at.Why)
		default:
			return at.To, nil
		}
	}
	p.miss("what " + path + " is on the host")
	return path, nil
}

func (p *past) own() (string, error) {
	if p.world.Own == nil {
		p.miss("in which container Vitrine ran")
		return "", nil
	}
	return *p.world.Own, nil
}

func (p *past) Object(_ context.Context, kind operation.Kind, _ string) (object.Object, error) {
	return object.Object{}, fmt.Errorf("the record does not say what a %s is", kind)
}

func (p *past) JoinedBy(_ context.Context, id string) ([]object.Object, error) {
	for _, s := range p.world.Starts {
		switch {
		case s.ID != id:
		case s.Why != "":
			return nil, errors.New(s.Why)
		default:
			return s.Networks, nil
		}
	}
	p.miss("which networks a container joins when it starts")
	return nil, nil
}

func (p *past) AnyBorrowed(func(map[string]string) bool) (string, error) {
	p.miss("which labels containers have by their images")
	return "", nil
}
