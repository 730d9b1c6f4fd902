// Package object says what the references in a request mean, as the daemon itself
// would take them: a full id, a name, the beginning of an id.
//
// It asks the inventory, which asks the daemon only for what it does not know, a bounded
// number of times. That a reference names nothing is the daemon's own word; where the
// daemon does not answer, the error says so, and the caller must take the reference
// for whatever is worst. It decides nothing.
//
// What it says was true a moment ago. A name may mean another object when the daemon
// looks for it.
package object

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vitrine/internal/docker"
	"vitrine/internal/operation"
)

// Inventory is what a Resolver needs of a *docker.Inventory.
type Inventory interface {
	Networks(ctx context.Context, ref string) ([]docker.NetworkInfo, error)
	ServiceNetwork(ctx context.Context, ref string) (docker.NetworkInfo, error)
}

// Resolver resolves references.
type Resolver struct{ inv Inventory }

// NewResolver makes a Resolver.
func NewResolver(inv Inventory) *Resolver { return &Resolver{inv} }

// maxNetworks bounds the questions that one request can cause.
const maxNetworks = 64

// JoinsHost says whether a network that the request names may be the host's own. The
// error says of which that could not be told; the answer is then that it may be.
func (r *Resolver) JoinsHost(ctx context.Context, op *operation.Operation) (bool, error) {
	names := op.JoinedNetworks()
	if len(names) > maxNetworks {
		return true, fmt.Errorf("the request names %d networks, and %d are looked up", len(names), maxNetworks)
	}
	for _, n := range names {
		found, err := r.networks(ctx, n)
		switch {
		case errors.Is(err, docker.ErrNotFound):
		case err != nil:
			return true, err
		case slices.ContainsFunc(found, docker.NetworkInfo.Host):
			return true, nil
		}
	}
	return false, nil
}

func (r *Resolver) networks(ctx context.Context, n operation.Object) ([]docker.NetworkInfo, error) {
	if !n.Swarm {
		return r.inv.Networks(ctx, n.Ref)
	}
	found, err := r.inv.ServiceNetwork(ctx, n.Ref)
	return []docker.NetworkInfo{found}, err
}
