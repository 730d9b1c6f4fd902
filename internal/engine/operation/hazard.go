package operation

import "slices"

// The hazards that the code names. Hazards has all, with their meanings.
const (
	HazardPrivileged      Hazard = "privileged"
	HazardCap             Hazard = "cap"
	HazardDevices         Hazard = "devices"
	HazardHostNamespace   Hazard = "host-namespace"
	HazardJoinedNamespace Hazard = "joined-namespace"
	HazardHostPath        Hazard = "host-path"
	HazardEngineSocket    Hazard = "engine-socket"
	HazardVitrineFiles    Hazard = "vitrine-files"
	HazardNamedVolume     Hazard = "named-volume"
	HazardVolumesFrom     Hazard = "volumes-from"
	HazardVolumeDriver    Hazard = "volume-driver"
	HazardPropagation     Hazard = "propagation"
	HazardNetworkDriver   Hazard = "network-driver"
	HazardNetworkAddress  Hazard = "network-address"
	HazardNamedNetwork    Hazard = "named-network"
	HazardLink            Hazard = "link"
	HazardCgroupParent    Hazard = "cgroup-parent"
	HazardSecurityOpt     Hazard = "security-opt"
	HazardUnmasked        Hazard = "unmasked"
	HazardRuntime         Hazard = "runtime"
	HazardSysctl          Hazard = "sysctl"
	HazardUserns          Hazard = "userns"
	HazardLimits          Hazard = "limits"
	HazardLogDriver       Hazard = "log-driver"
	HazardEnv             Hazard = "env"
	HazardOutbound        Hazard = "outbound"
	HazardBuildKit        Hazard = "buildkit"
	HazardUnknownInput    Hazard = "unknown-input"
)

// IsHazard says whether a word is one of Hazards.
func IsHazard(word string) bool {
	return slices.ContainsFunc(Hazards(), func(h HazardInfo) bool { return string(h.Hazard) == word })
}

// HazardInfo is one line of the table of hazards.
type HazardInfo struct {
	Hazard  Hazard `json:"hazard"`
	Meaning string `json:"meaning"`
}

// Hazards is the closed list of hazards with their meanings.
func Hazards() []HazardInfo {
	return []HazardInfo{
		{HazardPrivileged, "a privileged container or exec: every capability, every device, no confinement"},
		{HazardCap, "adds capabilities"},
		{HazardDevices, "gives access to devices of the host, or names one; see host_paths"},
		{HazardHostNamespace, "uses a namespace of the host: network, PID, IPC, UTS or cgroup"},
		{HazardJoinedNamespace, "joins a namespace of another container, which is the host's where that one has the host's"},
		{HazardHostPath, "mounts a path of the host, or a device as a file system; see host_paths"},
		{HazardEngineSocket, "a host path that is or holds the socket of an engine: docker.sock, containerd.sock, /run/docker, and upstream"},
		{HazardVitrineFiles, "a host path that is or holds Vitrine's sockets, policy or plugin, or what the engine keeps: /run/vitrine*, /etc/docker, /var/lib/vitrine, /var/lib/docker, and where the settings and the engine have them instead"},
		{HazardNamedVolume, "mounts a named volume, which others may use; see host_paths"},
		{HazardVolumesFrom, "mounts all volumes of another container, paths of the host among them; see enters"},
		{HazardVolumeDriver, "a volume with a driver other than local, or with driver options (which can bind any host path)"},
		{HazardPropagation, "a mount that passes mounts on to the host (shared, rshared)"},
		{HazardNetworkDriver, "a network with a driver other than bridge or overlay, or with driver options (which can attach to the host's interfaces), or one that changes how the host forwards"},
		{HazardNetworkAddress, "chooses addresses: of a network, for which the host then sends traffic there, or of a container in it"},
		{HazardNamedNetwork, "joins a network by its name, where services of others are, or takes a name in it"},
		{"host-port", "publishes ports on the host"},
		{HazardLink, "legacy links: shows another container's environment"},
		{"extra-hosts", "chooses how names resolve in a container or a build: /etc/hosts, DNS servers"},
		{HazardCgroupParent, "chooses the parent cgroup"},
		{HazardSecurityOpt, "security options other than no-new-privileges: seccomp, AppArmor, SELinux, unmasked system paths"},
		{HazardUnmasked, "takes paths of /proc and /sys off the list of masked or read-only ones"},
		{HazardRuntime, "chooses an OCI runtime or an isolation other than the daemon's own, or sends annotations to it"},
		{HazardSysctl, "sets kernel parameters"},
		{HazardUserns, "chooses the user namespace (host: no remapping)"},
		{"group-add", "adds groups to the container's process, e.g. the docker group's"},
		{"oom", "changes what the kernel kills first when memory runs out"},
		{HazardLimits, "sets limits that keep a container from starving the host and others: ulimits, real-time CPU, weights above the default, the size of its file system, what the daemon does with its output (a large buffer, thousands of files, a tag that is computed), more than 64 KiB or 1000 of labels, a setting, a program's name or what an image is said to be of more than 16 KiB, instructions for an image, a command, a health check's command, mounts or networks of more than 64 KiB, more than 1000 exposed ports, 256 mounts or 100 volumes without a name, health checks more often than each second, more than ten minutes to end in, less than a hundredth of a processor (of all this, what an image carries counts as well), more than 10000 tasks of a service, or templates of it that do more than name these"},
		{HazardLogDriver, "a log driver, or options of one, that may send logs elsewhere"},
		{HazardEnv, "sets environment variables, or the answer shows them"},
		{"swarm-secret", "gives a service secrets or configs, or has a plugin make a secret"},
		{HazardOutbound, "makes the daemon contact a host that the caller chooses"},
		{HazardBuildKit, "has BuildKit build, whose cache all who build with it read and fill, and which runs the frontend that a Dockerfile names: who may is trusted with the host, before Engine 29.6.2 by faults that are known; see views.md"},
		{HazardUnknownInput, "keys or parameters that the catalogue does not know; see unknown"},
	}
}
