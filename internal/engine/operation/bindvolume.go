package operation

import "strings"

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
