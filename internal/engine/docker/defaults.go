package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	// Platforms says that an image may be of several platforms, with a configuration for each: the images are in containerd's store.
	Platforms bool
	// TellsPlatform says that of such an image it shows that one's configuration which it is asked for.
	TellsPlatform bool
}

// ErrPlatform says that it cannot be told which platform's configuration of an image a container has, and so which labels.
var ErrPlatform = errors.New("with containerd's image store an Engine older than 28.1 (API 1.49) does not say which platform of an image it means: " +
	"upgrade it, or have it use the other store (features: containerd-snapshotter: false)")

// untold is [ErrPlatform] of such an engine.
func (k *Kind) untold() error {
	if k.Platforms && !k.TellsPlatform {
		return ErrPlatform
	}
	return nil
}

// Untold is [ErrPlatform] where the engine is known to be such a one.
func (inv *Inventory) Untold() error {
	if k := inv.kind.Load(); k != nil {
		return k.untold()
	}
	return nil
}

// kindNow asks what the engine is where that is not known since this connection. An inventory that does not follow
// defaults does not ask, and takes what an image shows for what its containers have.
func (inv *Inventory) kindNow(ctx context.Context) (*Kind, error) {
	if !inv.followsDefaults {
		return &Kind{}, nil
	}
	if k := inv.kind.Load(); k != nil {
		return k, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*inv.timeout)
	defer cancel()
	_, k, err := inv.client.defaults(ctx)
	if err != nil { // which is no word of the image's
		return nil, fmt.Errorf("ask what the engine is: %s", err.Error())
	}
	inv.kind.Store(k)
	return k, nil
}

// defaults asks what the engine is and does by default, GET /info.
func (c *Client) defaults(ctx context.Context) (*Defaults, *Kind, error) {
	var out struct {
		ServerVersion, DefaultRuntime, LoggingDriver, DockerRootDir string
		SecurityOptions                                             []string
		DriverStatus                                                [][]string
		BuildahVersion                                              string // of Podman alone
	}
	header, err := c.jsonWithHeader(ctx, "/info", nil, &out)
	if err != nil {
		return nil, nil, err
	}
	contains := func(row []string) bool { return slices.Contains(row, "io.containerd.snapshotter.v1") }
	k := &Kind{
		Version: out.ServerVersion, Podman: out.BuildahVersion != "",
		Rootless:  slices.Contains(out.SecurityOptions, "name=rootless"),
		Platforms: slices.ContainsFunc(out.DriverStatus, contains), TellsPlatform: fromAPI(header.Get("Api-Version"), 49),
	}
	return &Defaults{
		Version: out.ServerVersion, Runtime: out.DefaultRuntime, LogDriver: out.LoggingDriver,
		HostCgroupns: !slices.Contains(out.SecurityOptions, "name=cgroupns"),
		HostUsers:    !slices.Contains(out.SecurityOptions, "name=userns") && !k.Rootless,
		Root:         out.DockerRootDir,
	}, k, nil
}

// fromAPI says whether an API is of a version 1.minor, or a newer one.
func fromAPI(version string, minor int) bool {
	n, err := strconv.Atoi(strings.TrimPrefix(version, "1."))
	return err == nil && strings.HasPrefix(version, "1.") && n >= minor
}

// FollowDefaults has Run keep [Inventory.Defaults], and labels of images be known only where the engine says which platform's
// they are. Call it before Run.
func (inv *Inventory) FollowDefaults() { inv.followsDefaults = true }

// Defaults are the engine's, nil while they are not known. They must not be changed.
func (inv *Inventory) Defaults() *Defaults { return inv.defaults.Load() }

// Kind is the engine's, nil while it is not known.
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
