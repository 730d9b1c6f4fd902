package sender

import (
	"slices"
	"strings"

	"vitrine/internal/engine/docker"
)

// reachesCgroups says that a container's root may write to the cgroup file system, outside
// of its own cgroup too: the container is privileged, or has that file system mounted
// read-write, or CAP_SYS_ADMIN to mount it, or a capability with which its root enters
// processes outside that it sees.
func reachesCgroups(d *docker.Detail) bool {
	may := func(capability string) bool {
		return slices.ContainsFunc(d.Rights.CapAdd, func(name string) bool {
			name = strings.TrimPrefix(strings.ToUpper(name), "CAP_")
			return name == capability || name == "ALL"
		})
	}
	writable := slices.ContainsFunc(d.Rights.SecurityOpt, func(opt string) bool { return strings.HasPrefix(opt, "writable-cgroups") })
	host := d.Rights.CgroupnsMode != "private"
	// Who sees others' processes may enter their namespaces, or make them act.
	others := d.Rights.PidMode != "" && (may("SYS_ADMIN") || may("SYS_PTRACE"))
	if d.Rights.Privileged || host && (writable || may("SYS_ADMIN")) || others {
		return true
	}
	const cgroups = "/sys/fs/cgroup"
	return slices.ContainsFunc(d.Mounts, func(m docker.Mount) bool {
		source := strings.TrimSuffix(m.Source, "/") + "/"
		return m.RW && (strings.HasPrefix(cgroups+"/", source) || strings.HasPrefix(source, cgroups+"/"))
	})
}
