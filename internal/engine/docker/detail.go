package docker

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// Detail is what an inspect says beyond what decisions need.
type Detail struct {
	State      string // "created", "running", "paused", "restarting", "removing", "exited" or "dead"
	Health     string // "starting", "healthy" or "unhealthy"; "" without a health check
	ExitCode   int    // of the last end
	OOMKilled  bool   // the engine's opinion, which is true of kills that the container survived as well
	Restarts   int    // by the restart policy
	CreatedAt  string // RFC 3339
	FinishedAt string // RFC 3339; year 1 before the first end
	Env        []string
	CPUShares  int64 // as asked for; 0 is the engine's default
	// NetworkMode is "default", "bridge", "host", "none", "container:<id>" or a
	// network's name.
	NetworkMode string
	Networks    []Network // by name
	Rights      Rights
	Mounts      []Mount
	// Joined are references to the containers whose namespaces or volumes it was created with.
	Joined []string
}

// Rights are what a container may beyond others, as asked for at create.
type Rights struct {
	Privileged   bool
	CapAdd       []string
	SecurityOpt  []string
	CgroupnsMode string // "private", "host", or "" before Docker 20.10
	PidMode      string // "", "host" or "container:<id>"
}

// Mount is a folder of the host's that a container has.
type Mount struct {
	Type   string // "bind", "volume", "tmpfs", …
	Source string // on the host, as it was asked for
	RW     bool
}

// Network is one network that a container is in.
type Network struct {
	Name       string
	IPv4, IPv6 string // "" if it has none there
}

// plain is brief of most containers.
var plain = &Detail{}

// brief is what decisions ask for: which containers it is joined to, and what it has mounted.
func (d *Detail) brief() *Detail {
	if len(d.Mounts)+len(d.Joined) == 0 {
		return plain
	}
	b := &Detail{Mounts: d.Mounts, Joined: d.Joined}
	if strings.HasPrefix(d.NetworkMode, "container:") {
		b.NetworkMode = d.NetworkMode
	}
	return b
}

func (in *inspected) detail() *Detail {
	d := &Detail{
		State: in.State.Status, ExitCode: in.State.ExitCode, OOMKilled: in.State.OOMKilled, Restarts: in.RestartCount,
		CreatedAt: in.Created, FinishedAt: in.State.FinishedAt, Env: in.Config.Env,
		CPUShares: in.HostConfig.CPUShares, NetworkMode: in.HostConfig.NetworkMode, Rights: in.HostConfig.Rights, Mounts: in.Mounts,
	}
	for _, mode := range []string{in.HostConfig.NetworkMode, in.HostConfig.PidMode, in.HostConfig.IpcMode} {
		if ref, is := strings.CutPrefix(mode, "container:"); is {
			d.Joined = append(d.Joined, ref)
		}
	}
	for _, spec := range in.HostConfig.VolumesFrom {
		ref, _, _ := strings.Cut(spec, ":")
		d.Joined = append(d.Joined, strings.TrimLeft(ref, "/"))
	}
	slices.Sort(d.Joined)
	d.Joined = slices.Compact(d.Joined)
	if in.State.Health != nil && in.State.Health.Status != "none" {
		d.Health = in.State.Health.Status
	}
	for name, n := range in.NetworkSettings.Networks {
		if n != nil {
			d.Networks = append(d.Networks, Network{Name: name, IPv4: n.IPAddress, IPv6: n.GlobalIPv6Address})
		}
	}
	slices.SortFunc(d.Networks, func(a, b Network) int { return strings.Compare(a.Name, b.Name) })
	return d
}

// Counts are how many objects the engine has besides containers.
type Counts struct {
	Images   []Image // those with a name, and those without that are no mere layers
	Volumes  int
	Dangling int // volumes that no container uses
	Networks int
}

// Image is an image that the engine has.
type Image struct {
	Names []string `json:"RepoTags"` // with tags, such as "busybox:1"
	Size  int64    // in bytes, with the layers that it shares with others
}

// Counts asks four questions: GET /images/json, /volumes, /volumes of those that
// no container uses, and /networks. However long a list is, one element of it is held at a time.
func (c *Client) Counts(ctx context.Context) (n Counts, err error) {
	images := func(element json.RawMessage) error {
		var i Image
		if err := json.Unmarshal(element, &i); err != nil {
			return err
		}
		// older engines say so of images without a name
		i.Names = slices.DeleteFunc(i.Names, func(name string) bool { return name == "<none>:<none>" })
		n.Images = append(n.Images, i)
		return nil
	}
	counts := func(n *int) func(json.RawMessage) error { return func(json.RawMessage) error { *n++; return nil } }
	dangling := url.Values{"filters": {`{"dangling":["true"]}`}}
	for _, ask := range []func() error{
		func() error { return c.each(ctx, "/images/json", nil, images) },
		func() error { return c.eachOf(ctx, "Volumes", "/volumes", nil, counts(&n.Volumes)) },
		func() error { return c.eachOf(ctx, "Volumes", "/volumes", dangling, counts(&n.Dangling)) },
		func() error { return c.each(ctx, "/networks", nil, counts(&n.Networks)) },
	} {
		if err := ask(); err != nil {
			return Counts{}, err
		}
	}
	return n, nil
}
