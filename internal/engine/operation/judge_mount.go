package operation

import (
	"path"
	"slices"
	"strings"
)

// judgePlaces judges each path of the host that the request names.
func (o *Operation) judgePlaces() {
	o.places(func(p place) {
		o.at = append(o.at[:0], p.field)
		if p.mount {
			o.hazard(HazardHostPath)
		}
		o.hostPath(p.path)
	})
	if o.given.Listener != "" {
		o.reach([]Socket{o.given})
	}
	o.at = o.at[:0]
}

// hostPath notes a path of the host that is asked for.
func (o *Operation) hostPath(p string) {
	p = canonicalPath(p)
	o.ask(p)
	o.judgePath(p)
	sockets := o.sockets.below(p)
	o.hazardIf(HazardVitrineFiles, len(sockets) > 0) // who writes there can put a socket of its own in the place of ours
	o.reach(sockets)
}

// ask notes a path or a volume that is asked for, unless the container before it had it.
func (o *Operation) ask(p string) {
	if !o.spares() {
		o.HostPath = append(o.HostPath, p)
	}
}

// What follows is for all the ways in which a create asks for files, except for
// the paths of the host: those are judgePlaces'.

func (o *Operation) judgeBinds(_ map[string]any, value any) {
	for _, spec := range texts(value) {
		o.judgeBind(spec)
	}
}

// judgeVolumes is for destinations; old engines took a whole bind there.
func (o *Operation) judgeVolumes(_ map[string]any, value any) {
	volumes, _ := value.(map[string]any)
	for spec := range volumes {
		o.judgeBind(spec)
	}
}

func (o *Operation) judgeVolumesFrom(_ map[string]any, value any) {
	for _, spec := range texts(value) {
		ref, _, _ := strings.Cut(spec, ":")
		o.hazard(HazardVolumesFrom)
		o.enter(ref)
	}
}

// judgeBind is for source:destination[:mode]; a destination alone is an
// anonymous volume.
func (o *Operation) judgeBind(spec string) {
	source, rest, ok := strings.Cut(spec, ":")
	if !ok {
		return
	}
	o.judgeVolume(source)
	_, mode, _ := strings.Cut(rest, ":")
	for part := range strings.SplitSeq(mode, ",") {
		o.hazardIf(HazardPropagation, part == "shared" || part == "rshared")
	}
}

// judgeVolume is for a source that is a volume's name, if it is no path.
func (o *Operation) judgeVolume(source string) {
	if source != "" && !isAbsolute(source) {
		o.hazard(HazardNamedVolume)
		o.ask("volume:" + source)
		o.reach(o.sockets.ofVolume(source))
	}
}

// judgeMountSource is for that of an element of Mounts, of a container or a service.
func (o *Operation) judgeMountSource(mount map[string]any, value any) {
	source, _ := value.(string)
	switch text(mount, "Type") {
	case "tmpfs", "image", "bind":
	default:
		o.judgeVolume(source)
	}
}

// judgeTmpfs is for options by destination, or a list of options, each an option
// or one with its value. The daemon joins them by commas, so that a value may
// hold more options. All that are known stay in the container; a bind, or one that
// passes mounts on, may not.
func (o *Operation) judgeTmpfs(_ map[string]any, value any) {
	var options []string
	if mounts, ok := value.(map[string]any); ok {
		for _, v := range mounts {
			s, _ := v.(string)
			options = append(options, s)
		}
	}
	elements, _ := value.([]any)
	for _, v := range elements {
		pair, _ := v.([]any)
		option := texts(v)
		o.hazardIf(HazardPropagation, len(option) != len(pair) || len(option) < 1 || len(option) > 2)
		options = append(options, strings.Join(option, "="))
	}
	for option := range strings.SplitSeq(strings.Join(options, ","), ",") {
		name, _, _ := strings.Cut(option, "=")
		switch name {
		case "", "defaults", "size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "ro", "rw", "suid", "nosuid",
			"dev", "nodev", "exec", "noexec", "sync", "async", "dirsync", "atime", "noatime", "diratime", "nodiratime",
			"relatime", "norelatime", "strictatime", "nostrictatime", "private", "rprivate", "slave", "rslave", "unbindable":
		default:
			o.hazard(HazardPropagation)
		}
	}
}

// judgeVolumeOptions is for those of a volume's driver. The local one mounts
// whatever its options say.
func (o *Operation) judgeVolumeOptions(in map[string]any, value any) {
	options, _ := value.(map[string]any)
	driver := text(in, "Name")
	if o.ID == "VolumeCreate" { // there that is the volume's
		driver = text(in, "Driver")
	}
	o.hazardIf(HazardVolumeDriver, len(options) > 0)
	for key := range options {
		if o.Resource == "services" && computed(text(options, key)) {
			o.hazard(HazardHostPath)
			o.hostPath("/")
		}
	}
	if driver != "" && driver != "local" {
		return
	}
	if mountsAnywhere(options) {
		o.hazard(HazardHostPath)
		o.hostPath("/")
	}
	if !isBind(options) && !isNetwork(options) {
		o.judgeNode(text(options, "device"))
	}
}

// judgeAnyDevice is for what gives devices by their numbers or by a driver's names,
// so that nobody can tell here which those are.
func (o *Operation) judgeAnyDevice(_ map[string]any, value any) {
	if isSet(value) {
		o.hazard(HazardDevices)
		o.anyDevice()
	}
}

func (o *Operation) judgeDevice(_ map[string]any, value any) {
	file, _ := value.(string)
	o.hazardIf(HazardDevices, file != "")
	o.judgeNode(file)
}

// judgeNode is for a file that the daemon takes for a device. Outside /dev anybody
// who can write there may have made it: a container can make one for any device in a
// folder that it has mounted (mknod is allowed by default, to open it is not). So it
// can in file systems of everybody's that are mounted in /dev, and the files in
// /dev/fd are the daemon's own.
func (o *Operation) judgeNode(file string) {
	if !isAbsolute(file) {
		return
	}
	file = path.Clean(file)
	everybodys := slices.ContainsFunc([]string{"/dev/shm", "/dev/mqueue", "/dev/pts", "/dev/hugepages", "/dev/fd"},
		func(dir string) bool { return within(file, dir) })
	if everybodys || !within(file, "/dev") {
		o.anyDevice()
	}
}

// anyDevice notes that a device of the host is asked for, and may be any of them.
func (o *Operation) anyDevice() { o.ask("/dev") }

// mountsAnywhere says that the local driver's options mount something of the
// host that they do not name with a whole path: a device relative to the
// daemon's working directory, or a file system that shows the host as it is
// (proc) or is put together from other paths (overlay).
func mountsAnywhere(options map[string]any) bool {
	device := text(options, "device")
	switch text(options, "type") {
	case "nfs", "nfs4", "cifs", "smb3", "tmpfs":
		if !isBind(options) {
			return false
		}
	case "", "none", "bind", "ext2", "ext3", "ext4", "xfs", "btrfs", "vfat":
	default:
		return !isBind(options) || !isAbsolute(device)
	}
	return device != "" && !isAbsolute(device)
}

// isNetwork says that the local driver's device is one of another machine.
func isNetwork(options map[string]any) bool {
	switch text(options, "type") {
	case "nfs", "nfs4", "cifs", "smb3":
		return !isBind(options)
	}
	return false
}

// isBind says that the local driver binds its device, whatever the type is.
func isBind(options map[string]any) bool {
	flags := strings.Split(text(options, "o"), ",")
	return slices.Contains(flags, "bind") || slices.Contains(flags, "rbind")
}

// judgePath looks for the engine's sockets and Vitrine's own files, in both
// directions: /run holds docker.sock, and docker.sock is in /run. They are where they usually are, and
// where our settings and the engine say that they are besides.
func (o *Operation) judgePath(p string) {
	p = onRun(p)
	everything := within(p, "/proc") // /proc/1/root is the host's root; and / holds what is looked for
	name := path.Base(p)
	socket := strings.HasSuffix(name, ".sock") &&
		(strings.Contains(name, "docker") || strings.Contains(name, "containerd") || strings.Contains(name, "buildkit"))
	rootless := p == "/run/user" || path.Dir(p) == "/run/user" // hold docker.sock of a rootless engine
	o.hazardIf(HazardEngineSocket, everything || socket || rootless || touches(p, append(o.sockets.engines(),
		"/run/docker", "/run/docker.sock", "/run/containerd", "/run/buildkit", "/var/lib/containerd")...))
	o.hazardIf(HazardVitrineFiles, everything || strings.HasPrefix(p, "/run/vitrine") || touches(p, append(o.sockets.own(),
		"/run/vitrine", "/run/docker/plugins", "/etc/docker", "/var/lib/docker", "/var/lib/vitrine")...) ||
		touches(p, path.Clean(o.engine.Root)))
}

// OwnsHost says of a path of the host, and of all below it, that who writes there has the host: what is run as root, says
// what is, or gives access to the kernel. What a folder for data holds nobody can say here.
func OwnsHost(p string) bool {
	p = onRun(canonicalPath(p))
	return p == "/home" || touches(p, "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/opt/containerd", "/proc", "/root", "/run", "/sbin", "/sys", "/usr",
		"/var/lib/containerd", "/var/lib/docker", "/var/lib/kubelet", "/var/lib/systemd", "/var/spool/cron")
}

// touches says that a path is in, is, or holds one of the others.
func touches(p string, others ...string) bool {
	for _, other := range others {
		if within(p, other) || within(other, p) {
			return true
		}
	}
	return false
}

// within says that a clean path is another or lies in it.
func within(p, dir string) bool {
	rest, ok := strings.CutPrefix(p, dir)
	return ok && (rest == "" || rest[0] == '/' || dir == "/")
}
