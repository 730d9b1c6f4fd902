package object

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vitrine/internal/engine/docker"
	"vitrine/internal/engine/operation"
)

// maxNetworks bounds the questions that one request can cause.
const maxNetworks = 64

// HostNetworks gives the fields of a request that name the host's own network, to join
// it. The error says of which fields that could not be told: these are given too.
func (r *Resolver) HostNetworks(ctx context.Context, op *operation.Operation) (fields []string, err error) {
	names := op.JoinedNetworks()
	if len(names) > maxNetworks {
		return []string{names[0].At}, fmt.Errorf("the request names %d networks, and %d are looked up", len(names), maxNetworks)
	}
	for _, n := range names {
		found, unknown := r.networks(ctx, n)
		switch {
		case errors.Is(unknown, docker.ErrNotFound):
			continue
		case unknown != nil:
			err = unknown
		case !slices.ContainsFunc(found, docker.NetworkInfo.Host):
			continue
		case len(found) > 1:
			err = fmt.Errorf("%q is the name of one, and the id of the host's begins with it: give the id in full", n.Ref)
		}
		fields = append(fields, n.At)
	}
	return fields, err
}

func (r *Resolver) networks(ctx context.Context, n operation.Object) ([]docker.NetworkInfo, error) {
	if !n.Swarm {
		return r.inv.Networks(ctx, n.Ref)
	}
	found, err := r.inv.ServiceNetwork(ctx, n.Ref)
	return []docker.NetworkInfo{found}, err
}
