package operation

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// NewVolumes are the volumes that an operation has the daemon make, but for those that are there.
type NewVolumes struct {
	Named   []string // sorted, each once
	Unnamed int      // so many that can be given labels
	// Bound are those of Named that cannot be given labels, and Unlabelled where a container would have one without a name that cannot.
	Bound, Unlabelled []string
}

// NewVolumes are the volumes that are made if the image of a new container has volumes at these places.
func (o *Operation) NewVolumes(image []string) (made NewVolumes) {
	switch o.ID {
	case "VolumeCreate":
		if name := text(o.body(), "Name"); name != "" {
			made.Named = []string{name}
		} else {
			made.Unnamed = 1
		}
	case "ContainerCreate":
		host := object(o.body(), "HostConfig")
		for _, m := range list(host, "Mounts") {
			mount, _ := m.(map[string]any)
			if name := volumeOfMount(text(mount, "Source"), mount); name != "" {
				made.Named = append(made.Named, name)
			} else if makesVolume(mount) {
				made.Unnamed++
			}
		}
		for _, bind := range texts(host["Binds"]) {
			if name := volumeOfBind(bind, nil); name != "" {
				made.Bound = append(made.Bound, name)
			}
		}
		made.Bound = sorted(made.Bound)
		made.Named = sorted(append(made.Named, made.Bound...))
		made.Unlabelled = o.unlabelled(image)
	}
	return made
}

// unlabelled are the places in a new container for which the daemon makes a volume that has no label: it has none for what Volumes, the image and a bind without a
// source ask for.
func (o *Operation) unlabelled(image []string) (places []string) {
	host := object(o.body(), "HostConfig")
	has := map[string]bool{}
	for place := range object(host, "Tmpfs") {
		has[place] = true // as it is written, to the daemon
	}
	for _, m := range list(host, "Mounts") {
		mount, _ := m.(map[string]any)
		has[path.Clean(text(mount, "Target"))] = true
	}
	for _, bind := range texts(host["Binds"]) {
		if source, rest, sourced := strings.Cut(bind, ":"); sourced {
			at, _, _ := strings.Cut(rest, ":")
			has[path.Clean(at)] = true
		} else {
			places = append(places, path.Clean(source))
		}
	}
	for _, place := range slices.Concat(slices.Collect(maps.Keys(object(o.body(), "Volumes"))), image) {
		if place = path.Clean(place); !has[place] {
			places = append(places, place)
		}
	}
	return sorted(places)
}

// WithVolumeMounts is the operation with mounts for the volumes without a name that its container would have, as labels can be given to those alone. All stay as
// they are where a driver for them is named, or where another container's mounts may be in their place. The operation itself is not changed.
func (o *Operation) WithVolumeMounts(image []string) (*Operation, error) {
	host := object(o.body(), "HostConfig")
	places := slices.DeleteFunc(o.NewVolumes(image).Unlabelled, func(place string) bool { return !isAbsolute(place) })
	if len(places) == 0 || text(host, "VolumeDriver") != "" || len(list(host, "VolumesFrom")) > 0 {
		return o, nil
	}
	r := *o
	r.Body = clone(o.Body)
	if host = object(r.body(), "HostConfig"); host == nil {
		host = map[string]any{}
		r.body()["HostConfig"] = host
	}
	if binds := list(host, "Binds"); len(binds) > 0 {
		host["Binds"] = slices.DeleteFunc(binds, func(bind any) bool { spec, _ := bind.(string); return isAbsolute(spec) && makesVolume(spec) })
	}
	mounts := list(host, "Mounts")
	for _, place := range places {
		mounts = append(mounts, map[string]any{"Type": "volume", "Target": place})
	}
	host["Mounts"], r.Mounted = mounts, append(slices.Clip(o.Mounted), places...)
	var err error
	if r.Canonical, err = encode(r.Body); err != nil {
		return nil, fmt.Errorf("write the request with mounts: %w", err)
	}
	r.judge()
	return &r, nil
}

// mountVolumes writes the binds of named volumes in a container's HostConfig as mounts, which can label the volumes that the daemon
// makes for them; it gives those binds. A bind with another mode than a mount can say (SELinux's z and Z) stays, and so do all
// where a driver for them is named beside. HostConfig is changed.
func mountVolumes(host map[string]any) (moved []string) {
	if text(host, "VolumeDriver") != "" {
		return nil
	}
	left, mounts := []any{}, []any{}
	for _, v := range list(host, "Binds") {
		spec, _ := v.(string)
		mount := volumeMount(spec)
		if mount == nil {
			left = append(left, v)
			continue
		}
		mounts, moved = append(mounts, mount), append(moved, spec)
	}
	if len(moved) == 0 {
		return nil
	}
	host["Binds"], host["Mounts"] = left, append(list(host, "Mounts"), mounts...)
	return moved
}

// volumeMount is a bind of a named volume as a mount, nil if it is another one.
func volumeMount(spec string) map[string]any {
	parts := strings.Split(spec, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || isAbsolute(parts[0]) || !isAbsolute(parts[1]) {
		return nil
	}
	mount := map[string]any{"Type": "volume", "Source": parts[0], "Target": parts[1]}
	if len(parts) == 2 {
		return mount
	}
	for mode := range strings.SplitSeq(parts[2], ",") {
		switch mode {
		case "", "rw":
		case "ro":
			mount["ReadOnly"] = true
		case "nocopy":
			mount["VolumeOptions"] = map[string]any{"NoCopy": true}
		default:
			return nil
		}
	}
	return mount
}
