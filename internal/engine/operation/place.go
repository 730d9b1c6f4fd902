package operation

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// place is where a request names a path of the host.
type place struct {
	path  string // as it is written
	field string // the key that has it
	// mount: what is there becomes part of a container's file system.
	mount bool
	bind  bool // by a bind, in a place of its own
	// private: what is there is labelled as that container's alone (SELinux).
	private bool
	// hidden: it may be no path at all, but a password that begins like one. It is judged as a path, and told nowhere.
	hidden bool
	// remote: it is a path of another machine, which is judged like one of ours.
	remote bool
	// set writes another path there; nil where several things share one text.
	set func(path string)
}

// places calls visit with each place where the request names a path of the
// host. It is the only list of them: what is judged is what is resolved. The gateway's socket, where it was put
// in by WithSocket, is none.
func (o *Operation) places(found func(place)) {
	visit := func(p place) {
		if !o.isGiven(p) {
			found(p)
		}
	}
	switch body := o.body(); o.ID {
	case "ContainerCreate":
		host := object(body, "HostConfig")
		bindPlaces(host, visit)
		for spec := range object(body, "Volumes") { // a destination; old engines took a whole bind here
			if source, _, ok := strings.Cut(spec, ":"); ok && isAbsolute(source) {
				visit(place{path: source, field: "Volumes", mount: true})
			}
		}
		mountPlaces(host, "HostConfig.", visit)
		visitKey(host, "InitPath", place{field: "HostConfig.InitPath", mount: true}, visit)
		resourcePlaces(host, "HostConfig.", visit)
		logPlaces(object(object(host, "LogConfig"), "Config"), "HostConfig.LogConfig.Config", visit)
	case "ContainerUpdate":
		resourcePlaces(body, "", visit)
	case "VolumeCreate":
		volumePlaces(text(body, "Driver"), object(body, "DriverOpts"), "DriverOpts", visit)
	case "ServiceCreate", "ServiceUpdate":
		task := object(body, "TaskTemplate")
		mountPlaces(object(task, "ContainerSpec"), "TaskTemplate.ContainerSpec.", visit)
		logPlaces(object(object(task, "LogDriver"), "Options"), "TaskTemplate.LogDriver.Options", visit)
	}
}

// bindPlaces are the sources of Binds. Whatever has no slash in front is a
// volume's name.
func bindPlaces(host map[string]any, visit func(place)) {
	binds := list(host, "Binds")
	for i, v := range binds {
		spec, _ := v.(string)
		source, rest, ok := strings.Cut(spec, ":")
		if ok && isAbsolute(source) {
			_, mode, _ := strings.Cut(rest, ":")
			private := slices.Contains(strings.Split(mode, ","), "Z")
			visit(place{path: source, field: "HostConfig.Binds", mount: true, bind: true, private: private, set: func(p string) { binds[i] = p + ":" + rest }})
		}
	}
}

// mountPlaces are those of Mounts, of a container or a service. A bind's source
// is always a path.
func mountPlaces(of map[string]any, under string, visit func(place)) {
	for _, v := range list(of, "Mounts") {
		m, _ := v.(map[string]any)
		switch kind := text(m, "Type"); {
		case kind == "tmpfs", kind == "image":
		case under != "HostConfig." && computed(text(m, "Source")):
			if kind == "bind" || isAbsolute(text(m, "Source")) {
				visit(place{path: "/", field: under + "Mounts[].Source", mount: true})
			}
		case kind == "bind", isAbsolute(text(m, "Source")):
			visitKey(m, "Source", place{field: under + "Mounts[].Source", mount: true, bind: kind == "bind"}, visit)
		}
		driver := object(object(m, "VolumeOptions"), "DriverConfig")
		volumePlaces(text(driver, "Name"), object(driver, "Options"), under+"Mounts[].VolumeOptions.DriverConfig.Options", visit)
	}
}

// computed says of a text in a mount of a service that it is a Go template, of which the swarm makes another text: any path.
func computed(text string) bool { return strings.Contains(text, "{{") }

// resourcePlaces are those of a container's resources: devices that it is given,
// and block devices whose use is limited, which the daemon looks up.
func resourcePlaces(of map[string]any, under string, visit func(place)) {
	for _, key := range [...]struct{ name, member string }{
		{"Devices", "PathOnHost"},
		{"BlkioWeightDevice", "Path"},
		{"BlkioDeviceReadBps", "Path"},
		{"BlkioDeviceWriteBps", "Path"},
		{"BlkioDeviceReadIOps", "Path"},
		{"BlkioDeviceWriteIOps", "Path"},
	} {
		for _, v := range list(of, key.name) {
			device, _ := v.(map[string]any)
			visitKey(device, key.member, place{field: under + key.name + "[]." + key.member}, visit)
		}
	}
}

// volumePlaces are those of a volume driver's options. The local driver mounts
// its device, whatever is in that path. What the options of others mean nobody
// knows: each path in them counts, as a whole and in its parts
// (lowerdir=/etc,upperdir=…).
func volumePlaces(driver string, options map[string]any, field string, visit func(place)) {
	local := driver == "" || driver == "local"
	remote := local && isNetwork(options)
	for key, v := range options {
		value, _ := v.(string)
		switch {
		case local && key == "device" && !isNetwork(options):
			if isAbsolute(value) { // mountsAnywhere is for the others
				visitKey(options, key, place{field: field, mount: true}, visit)
			}
		case isAbsolute(value) && !strings.ContainsAny(value, optionStops):
			visit(place{path: value, field: field, mount: true, hidden: !holdsPath(key), remote: remote, set: func(p string) { options[key] = p }})
		default:
			if isAbsolute(value) && !local {
				visit(place{path: value, field: field, mount: true, hidden: !holdsPath(key)})
			}
			for option := range strings.SplitSeq(value, ",") {
				of := key
				if name, _, is := strings.Cut(option, "="); is {
					of = strings.TrimSpace(name)
				}
				for part := range strings.FieldsFuncSeq(option, func(r rune) bool { return strings.ContainsRune(optionStops, r) }) {
					if part = strings.TrimSpace(part); isAbsolute(part) {
						visit(place{path: part, field: field, mount: true, hidden: !holdsPath(of), remote: remote})
					}
				}
			}
		}
	}
}

// holdsPath says of an option of a volume that its value is a path by what its driver says: local's, overlay's, and
// local-persist's.
func holdsPath(key string) bool {
	return slices.Contains([]string{"device", "lowerdir", "upperdir", "workdir", "mountpoint"}, key)
}

// optionStops end a path among other things in an option.
const optionStops = ",=:"

// logPlaces are the sockets that a log driver writes to, and the files that it
// reads with the daemon's rights.
func logPlaces(options map[string]any, field string, visit func(place)) {
	for key, v := range options {
		value, _ := v.(string)
		scheme, file, isURL := strings.Cut(value, "://")
		switch key {
		case "syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key", "splunk-capath":
			visitKey(options, key, place{field: field}, visit)
		default:
			if isURL && strings.HasPrefix(strings.ToLower(scheme), "unix") {
				visit(place{path: file, field: field, set: func(p string) { options[key] = scheme + "://" + p }})
			}
		}
	}
}

// visitKey visits a path that is a whole value.
func visitKey(m map[string]any, key string, p place, visit func(place)) {
	if p.path = text(m, key); p.path != "" {
		p.set = func(path string) { m[key] = path }
		visit(p)
	}
}

func isAbsolute(p string) bool { return strings.HasPrefix(p, "/") }

// canonicalPath is how paths of the host are written in HostPath. What a
// relative one means depends on the daemon's working directory: it may be anywhere.
func canonicalPath(p string) string {
	if !isAbsolute(p) {
		return "/"
	}
	return path.Clean(p)
}

// Concealed are the paths in HostPath, and what is in Resolved, that may be secrets: nothing but an option names them of
// which nobody knows that it holds a path.
func (o *Operation) Concealed() map[string]bool {
	if !o.NamesHostPaths() {
		return nil
	}
	hidden, shown := map[string]bool{}, map[string]bool{}
	for at := o; at != nil; at = at.Typed {
		at.places(func(p place) {
			of := shown
			if p.hidden {
				of = hidden
			}
			of[p.path], of[canonicalPath(p.path)] = true, true
		})
	}
	for p := range shown {
		delete(hidden, p)
	}
	delete(hidden, "/") // says nothing
	return hidden
}

// TellPaths is HostPath as a record may have it: what may be a secret is Blank.
func (o *Operation) TellPaths() []string {
	hidden := o.Concealed()
	if len(hidden) == 0 {
		return o.HostPath
	}
	told := slices.Clone(o.HostPath)
	for i, p := range told {
		if hidden[p] {
			told[i] = Blank
		}
	}
	return sorted(told)
}

// Tell is a text about the operation, such as the reason of a denial, as a record may have it.
func (o *Operation) Tell(text string) string {
	for _, p := range slices.SortedFunc(maps.Keys(o.Concealed()), func(a, b string) int { return len(b) - len(a) }) {
		text = strings.ReplaceAll(text, p, Blank)
		text = strings.ReplaceAll(text, strings.Trim(strconv.Quote(p), `"`), Blank)
	}
	return text
}
