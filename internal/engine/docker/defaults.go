package docker

import (
	"context"
	"slices"
	"time"
)

// Defaults are what the engine does where a create says nothing.
type Defaults struct {
	Version      string // "28.5.2"; distributions write more behind it
	Runtime      string // "runc"
	LogDriver    string // "json-file"
	HostCgroupns bool   // containers are in the host's cgroup namespace, as on cgroup v1
	HostUsers    bool   // and in its user namespace
	Root         string // where it keeps all that it has, without links: "/var/lib/docker"
}

// Kind is what sort of engine it is, which decides what of it can be guarded.
type Kind struct {
	Version  string // "28.5.2"
	Podman   bool   // it is Podman, which speaks Docker's API
	Rootless bool   // it is in a user namespace itself
}

// defaults asks what the engine is and does by default, GET /info.
func (c *Client) defaults(ctx context.Context) (*Defaults, *Kind, error) {
	var out struct {
		ServerVersion, DefaultRuntime, LoggingDriver, DockerRootDir string
		SecurityOptions                                             []string
		BuildahVersion                                              string // of Podman alone
	}
	if err := c.json(ctx, "/info", nil, &out); err != nil {
		return nil, nil, err
	}
	k := &Kind{
		Version: out.ServerVersion, Podman: out.BuildahVersion != "",
		Rootless: slices.Contains(out.SecurityOptions, "name=rootless"),
	}
	return &Defaults{
		Version: out.ServerVersion, Runtime: out.DefaultRuntime, LogDriver: out.LoggingDriver,
		HostCgroupns: !slices.Contains(out.SecurityOptions, "name=cgroupns"),
		HostUsers:    !slices.Contains(out.SecurityOptions, "name=userns") && !k.Rootless,
		Root:         out.DockerRootDir,
	}, k, nil
}

// FollowDefaults has Run keep [Inventory.Defaults]. Call it before Run.
func (inv *Inventory) FollowDefaults() { inv.followsDefaults = true }

// Defaults are the engine's, nil while they are not known. They must not be changed.
func (inv *Inventory) Defaults() *Defaults { return inv.defaults.Load() }

// Kind is the engine's, nil while it is not known. See [Inventory.FollowDefaults].
func (inv *Inventory) Kind() *Kind { return inv.kind.Load() }

// keepDefaults asks again now and then: the engine can be told others while it runs.
// A new connection may be to an engine that was, so that nothing is known at first.
func (inv *Inventory) keepDefaults(ctx context.Context) {
	inv.defaults.Store(nil)
	wait := inv.timeout
	for said := false; ; {
		asking, cancel := context.WithTimeout(ctx, 10*inv.timeout)
		d, k, err := inv.client.defaults(asking)
		cancel()
		if err == nil {
			inv.defaults.Store(d)
			inv.kind.Store(k)
			wait, said = inv.period, false
		} else if !said && ctx.Err() == nil { // once is enough
			inv.log.Warn("the engine does not say what its defaults are", "error", err)
			said = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
