package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"vitrine/internal/fair"
)

// NetworkInfo is one network.
type NetworkInfo struct {
	ID     string `json:"Id"`
	Name   string
	Driver string
	Scope  string // "local", "swarm" or "global"
	Labels map[string]string
}

// Host says that it is the host's own network: who is in it is in the host's
// network namespace. There is one of this driver in an engine, and one in a swarm.
func (n NetworkInfo) Host() bool { return n.Driver == "host" || n.Name == "host" }

// networkList lists all networks but the swarm's predefined ones, GET /networks.
func (c *Client) networkList(ctx context.Context) ([]NetworkInfo, error) {
	var out []NetworkInfo
	err := c.each(ctx, "/networks", nil, func(element json.RawMessage) error {
		var n NetworkInfo
		err := json.Unmarshal(element, &n)
		out = append(out, n)
		return err
	})
	return out, err
}

// Networks are those that the daemon may mean by a reference in a container or a
// build: one of that full id, else those of that name, else those whose id begins with
// it; ErrNotFound if there is none. (Given several it means none, and says so.) A
// network of the swarm has a name here only while it is used here, which is not to be
// seen, so that its name does not rule out what is behind it in order. Nor does any
// name rule out the host's network, whose id begins with it: who gave the name can take it
// away again before the daemon looks.
//
// The list is asked for when it is first needed, and again when an event has told of
// a network since; one that is not in it is asked for by itself.
func (inv *Inventory) Networks(ctx context.Context, ref string) ([]NetworkInfo, error) {
	all, err := inv.listNetworks(ctx)
	if err != nil {
		return nil, fmt.Errorf("find network %q: %w", ref, err)
	}
	if found := matchNetworks(all, ref); len(found) > 0 {
		return found, nil
	}
	var made NetworkInfo // a moment ago, and its event is on its way
	err = inv.lookUp(ctx, "/networks/"+url.PathEscape(ref), nil, &made)
	if err = given(err, made.ID); err == nil {
		return []NetworkInfo{made}, nil
	}
	return nil, fmt.Errorf("find network %q: %w", ref, err)
}

func matchNetworks(all []NetworkInfo, ref string) []NetworkInfo {
	var local, swarm, prefixed []NetworkInfo
	for _, n := range all {
		switch {
		case n.ID == ref:
			return []NetworkInfo{n}
		case n.Name == ref && n.Scope == "swarm":
			swarm = append(swarm, n)
		case n.Name == ref:
			local = append(local, n)
		case strings.HasPrefix(n.ID, ref):
			prefixed = append(prefixed, n)
		}
	}
	if len(local) == 0 {
		return append(swarm, prefixed...)
	}
	found := append(local, swarm...)
	for _, n := range prefixed {
		if n.Host() {
			found = append(found, n)
		}
	}
	return found
}

// ServiceNetwork is what a swarm's manager means by a reference in a service, which is
// what the daemon shows by that reference, GET /networks/{id}: the swarm's networks come
// before the daemon's own where an id begins with it. It asks each time: the swarm
// changes without the daemon's knowing.
func (inv *Inventory) ServiceNetwork(ctx context.Context, ref string) (NetworkInfo, error) {
	var out NetworkInfo
	err := inv.lookUp(ctx, "/networks/"+url.PathEscape(ref), nil, &out)
	return out, given(err, out.ID)
}

// NetworksOf are the networks of one's own making that a container is in, or joins at its next
// start: by their ids where the daemon has noted those, else by the names that it keeps.
func (inv *Inventory) NetworksOf(ctx context.Context, id string) (refs []string, err error) {
	var out struct {
		HostConfig      struct{ NetworkMode string }
		NetworkSettings struct {
			Networks map[string]struct{ NetworkID string }
		}
	}
	if err := inv.lookUp(ctx, "/containers/"+url.PathEscape(id)+"/json", nil, &out); err != nil {
		return nil, err
	}
	own := func(name string) bool {
		return !slices.Contains([]string{"", "default", "bridge", "none", "host"}, name) && !strings.HasPrefix(name, "container:")
	}
	for _, name := range slices.Sorted(maps.Keys(out.NetworkSettings.Networks)) {
		if own(name) {
			refs = append(refs, cmp.Or(out.NetworkSettings.Networks[name].NetworkID, name))
		}
	}
	if mode := out.HostConfig.NetworkMode; own(mode) && len(refs) == 0 {
		refs = append(refs, mode)
	}
	return refs, nil
}

// networks are those of the last list.
type networks struct {
	place chan struct{} // held by who asks; others wait for its answer
	// Guarded by Inventory.mu:
	list    []NetworkInfo
	current bool   // list is
	changes uint64 // how often it ceased to be
}

// listNetworks gives the list, which nobody may change.
func (inv *Inventory) listNetworks(ctx context.Context) ([]NetworkInfo, error) {
	if list, _, ok := inv.knownNetworks(); ok {
		return list, nil
	}
	defer fair.Rest(ctx)()
	ctx, cancel := context.WithTimeout(ctx, inv.timeout)
	defer cancel()
	select {
	case inv.networks.place <- struct{}{}:
		defer func() { <-inv.networks.place }()
	case <-ctx.Done():
		return nil, fmt.Errorf("list networks: %w", ctx.Err())
	}
	list, asOf, ok := inv.knownNetworks()
	if ok { // it came while we waited
		return list, nil
	}
	list, err := inv.client.networkList(ctx)
	if err != nil {
		return nil, err
	}
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if asOf == inv.networks.changes && inv.ready && inv.followsNetworks {
		inv.networks.list, inv.networks.current = list, true
	}
	return list, nil
}

func (inv *Inventory) knownNetworks() (list []NetworkInfo, asOf uint64, ok bool) {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	return inv.networks.list, inv.networks.changes, inv.networks.current
}

// dropNetworks forgets the list. The caller holds mu.
func (inv *Inventory) dropNetworks() {
	inv.networks.changes++
	inv.networks.list, inv.networks.current = nil, false
}

// FollowNetworks has events keep the list of networks. Call it before Run.
func (inv *Inventory) FollowNetworks() { inv.followsNetworks = true }

// networkEvent: containers come and go in a network without changing it. It gives the id of one of which it is not known yet that it does. (One that
// starts is in its networks by name from its create on; of one that is disconnected nobody says whether it has ended, or has left.)
func (inv *Inventory) networkEvent(e Event) (container string) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	id := e.Attributes["container"]
	switch e.Action {
	case "connect":
		if c, known := inv.byID[id]; !known || slices.Contains(c.Networks, e.Attributes["name"]) {
			return ""
		}
	case "disconnect":
		if _, known := inv.byID[id]; !known {
			return ""
		}
	default:
		inv.dropNetworks()
		return ""
	}
	return id
}
