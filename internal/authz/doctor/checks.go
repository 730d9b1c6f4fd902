package doctor

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// checks is the table. Their names are in docs/doctor.md, which a test compares.
var checks = []check{
	{
		name: "not-asked", cis: "2.12", look: notAsked,
		means: "whoever reaches the Engine's own socket is asked nothing, and is root of this host if the Engine is",
		do:    `name the plugin in "authorization-plugins" of daemon.json and send dockerd a SIGHUP; for a gateway alone, see that only root can open the socket`,
	},
	{
		name: "plugin-by-flag", cis: "2.12", look: pluginByFlag,
		means: "the first SIGHUP (any reload) drops a plugin that only --authorization-plugin names, and every request then passes undecided",
		do:    `name it in "authorization-plugins" of daemon.json, take the flag away, and restart dockerd`,
	},
	{
		name: "http2-answered", look: http2Answered,
		means: "gRPC on the Engine's own socket is shown to no authorization plugin: who can open the socket can have BuildKit run what he likes",
		do:    "let nobody but root open the Engine's own socket, and give others the gateway's, which refuses HTTP/2",
	},
	{
		name: "socket-open", cis: "3.15, 3.16, 1.1.2", look: socketOpen,
		means: "each of them is `local` to the plugin, which the built-in policy binds to admin; and root of this host where the plugin is not asked",
		do:    "take them out of the group (gpasswd -d USER GROUP), make the socket root's with mode 0660, and give them the gateway's socket",
	},
	{
		name: "plain-tcp", cis: "2.7", look: plainTCP,
		means: "whoever reaches that port, a web page in a browser on this host too, is `local` like root",
		do:    "remove the tcp:// host, or have clients show certificates (--tlsverify, docs/tls.md), or use the gateway's TLS listener",
	},
	{
		name: "engine-version", cis: "1.2.2", look: engineVersion,
		means: "the Engine has published holes beside which an authorization plugin stands",
		do:    "update the Engine to 29.3.1 or newer",
	},
	{
		name: "nri-on", look: nriOn,
		means: "NRI plugins are shown each container with its environment when it is created, tasks of a swarm too, and may add mounts and devices; no authorization plugin is asked about either",
		do:    "switch NRI off (containerd: disable = true under io.containerd.nri.v1.nri; dockerd: no nri-opts), or trust who may write to its plugin folder and socket like root",
	},
	{
		name: "swarm", look: swarmOn,
		means: "tasks that a manager sends here are created without a word to any authorization plugin; who may write services on a manager decides about this host",
		do:    "guard the managers' API by the same policy, or leave the swarm",
	},
	{
		name: "socket-mounted", cis: "5.32", look: socketMounted,
		means: "the container has the Engine's own socket, read-only or not: it is not the gateway's caller but `local`, which is admin by default; or containerd's, whose containers nobody judges at all",
		do:    "mount the gateway's folder in its place (/run/vitrine/docker, read-only) and bind the container's role",
	},
	{
		name: "host-in-all-but-name", cis: "5.4, 5.16", look: hostInAllButName,
		means: "with the host's PIDs and cgroups it can write to, its processes can move to where containers are told from services, and read others' memory and environment",
		do:    "run it without pid: host, or without privileged and a writable /sys/fs/cgroup",
	},
	{
		name: "admin-too-wide", look: adminTooWide,
		means: "an admin may do all that the Engine can, and whoever can make such a container or image becomes one",
		do:    "bind admin to unix:, tls: and local only; what remains for the others is a role",
	},
	{
		name: "callers-unseen", look: callersUnseen,
		means: "without the host's process numbers a caller is its UID alone: containers cannot be told apart, nor from the host, and no role can be bound to one",
		do:    "run authz-plugin with pid: host (and CAP_SYS_PTRACE), or as a unit of the host",
	},
	{
		name: "not-docker", look: notDocker,
		means: "the Engine only speaks Docker's API: plugins are never asked, and what its own API offers is not judged; docs/install.md under Other engines says what holds",
		do:    "let nobody reach its own socket, and bind roles to what docs/install.md lists as known",
	},
	{
		name: "rootless", look: rootless,
		means: "the Engine's ids are its user namespace's: callers of the host are its own user at most, and containers' processes have numbers of their own",
		do:    "bind roles by docs/install.md under Other engines, which says who is known",
	},
	{
		name: "unwell", look: unwell,
		means: "authz-plugin itself says that something does not work",
		do:    "do as it says; curl --unix-socket /run/vitrine-admin/admin.sock http://vitrine/healthz shows it again",
	},
}

func (f *Facts) asked() bool {
	return f.Probe.Err == nil && f.Probe.Is.Status == 403 && f.Probe.Is.Ours
}

// named says that the Engine is meant to ask a plugin.
func (f *Facts) named() bool {
	return f.Engine.Err == nil && len(f.Engine.Is.Plugins) > 0 ||
		f.Daemon.Err == nil && len(f.Daemon.Is.FlagPlugins)+len(f.Daemon.Is.FilePlugins) > 0
}

// others are who can open the Engine's own socket beside root, nil for nobody.
func (f *Facts) others() []string {
	s := f.Socket.Is
	var out []string
	if f.Socket.Err != nil {
		return nil
	}
	if s.Owner != 0 && !f.Engine.Is.Rootless {
		out = append(out, "uid "+strconv.FormatUint(uint64(s.Owner), 10)+" (its owner)")
	}
	if s.Mode&0o020 != 0 {
		for _, m := range s.Members {
			out = append(out, m+" (group "+s.Group+")")
		}
	}
	if s.Mode&0o002 != 0 {
		out = append(out, "everybody")
	}
	return out
}

func notAsked(f *Facts) []seen {
	switch {
	case f.Probe.Err != nil:
		return untold(High, "whether the Engine asks Vitrine", f.Probe.Err)
	case f.asked():
		return nil
	case f.named():
		return []seen{found(High, "the Engine is meant to ask a plugin, and answered %d to what Vitrine refuses to everybody", f.Probe.Is.Status)}
	case f.Vitrine.Err != nil:
		return []seen{found(High, "the Engine asks nobody (it answered %d), and no gateway was found either: %v", f.Probe.Is.Status, f.Vitrine.Err)}
	}
	return []seen{found(Medium, "a gateway alone: the Engine's own socket asks nobody (it answered %d)", f.Probe.Is.Status)}
}

func pluginByFlag(f *Facts) []seen {
	if f.Daemon.Err != nil {
		if f.Engine.Err == nil && f.Engine.Is.Name != "Docker" {
			return nil // it has no plugins at all: not-docker
		}
		return untold(Medium, "how dockerd was started", f.Daemon.Err)
	}
	var out []seen
	for _, p := range f.Daemon.Is.FlagPlugins {
		if !slices.Contains(f.Daemon.Is.FilePlugins, p) {
			out = append(out, found(High, "dockerd (pid %d) was started with --authorization-plugin=%s, and %s does not name it", f.Daemon.Is.PID, p, f.Daemon.Is.FilePath))
		}
	}
	return out
}

func http2Answered(f *Facts) []seen {
	switch {
	case f.HTTP2.Err != nil:
		return untold(Medium, "whether the Engine's own socket speaks HTTP/2", f.HTTP2.Err)
	case !f.HTTP2.Is:
		return nil
	}
	if who := f.others(); len(who) > 0 {
		return []seen{found(High, "the Engine's own socket answers HTTP/2, and can be opened by %s", strings.Join(who, ", "))}
	}
	return []seen{found(Medium, "the Engine's own socket answers HTTP/2; root alone can open it")}
}

func socketOpen(f *Facts) []seen {
	if f.Socket.Err != nil {
		return untold(Medium, "who can open the Engine's own socket", f.Socket.Err)
	}
	who := f.others()
	if len(who) == 0 {
		return nil
	}
	severity := Medium
	if !f.asked() || slices.Contains(who, "everybody") {
		severity = High
	}
	return []seen{found(severity, "%s (mode %04o) can be opened by %s", f.Socket.Is.Path, f.Socket.Is.Mode, strings.Join(who, ", "))}
}

func plainTCP(f *Facts) []seen {
	if f.TCP.Err != nil {
		return untold(Medium, "where the Engine listens on TCP", f.TCP.Err)
	}
	var out []seen
	for _, l := range f.TCP.Is {
		if l.Plain {
			out = append(out, found(High, "the Engine answers at %s without TLS", l.Address))
		}
	}
	return out
}

// hole is a published one of the Engine's, and what it is worth beside Vitrine.
type hole struct {
	cve      string
	severity Severity
	in       func(v [3]int) bool
	note     string
}

var holes = []hole{
	{"CVE-2024-41110", High, func(v [3]int) bool {
		for _, fixed := range [][3]int{{23, 0, 15}, {25, 0, 6}, {26, 1, 5}, {27, 1, 1}} {
			if v[0] == fixed[0] {
				return less(v, fixed)
			}
		}
		return v[0] < 28
	}, "a request can be shown to plugins without its body"},
	{
		"CVE-2026-34040", Low, func(v [3]int) bool { return less(v, [3]int{29, 3, 1}) },
		"bodies over 1 MiB are not shown to plugins; Vitrine refuses such requests to all but admin, other plugins may not",
	},
	{
		"CVE-2026-33997", Low, func(v [3]int) bool { return less(v, [3]int{29, 3, 1}) },
		"a managed plugin can get privileges that nobody granted; only admin may install one",
	},
}

func less(a, b [3]int) bool { return slices.Compare(a[:], b[:]) < 0 }

func engineVersion(f *Facts) []seen {
	if f.Engine.Err != nil {
		return untold(Medium, "the Engine's version", f.Engine.Err)
	}
	if f.Engine.Is.Name != "Docker" {
		return nil
	}
	version := f.Engine.Is.Version
	v, distribution, err := parseVersion(version)
	if err != nil {
		return untold(Medium, "the Engine's version", err)
	}
	var out []seen
	for _, h := range holes {
		switch {
		case !h.in(v):
		case distribution:
			s := found(Low, "Engine %s is of a version with %s (%s), unless its distribution has mended that", version, h.cve, h.note)
			s.do = "look for " + h.cve + " in the package's changelog (apt changelog docker.io), or update the Engine"
			out = append(out, s)
		default:
			out = append(out, found(h.severity, "Engine %s has %s: %s", version, h.cve, h.note))
		}
	}
	return out
}

// parseVersion reads "28.5.2", "20.10.24+dfsg1" and "27.0.3-rc.1"; distribution says that it is a build of somebody
// who mends holes without changing the number.
func parseVersion(s string) (v [3]int, distribution bool, err error) {
	number, build, more := strings.Cut(s, "+")
	if !more {
		number, build, more = strings.Cut(s, "-")
	}
	parts := strings.Split(number, ".")
	if len(parts) != 3 {
		return v, false, fmt.Errorf("version %q is not of three numbers", s)
	}
	for i, p := range parts {
		if v[i], err = strconv.Atoi(p); err != nil {
			return v, false, fmt.Errorf("version %q is not of three numbers", s)
		}
	}
	return v, more && !strings.HasPrefix(build, "rc") && !strings.HasPrefix(build, "ce"), nil
}

func nriOn(f *Facts) []seen {
	switch {
	case f.Engine.Err == nil && f.Engine.Is.NRI:
		return []seen{found(Medium, "the Engine says that NRI is on")}
	case f.NRI.Err != nil:
		return untold(Low, "whether NRI is on", f.NRI.Err)
	case f.NRI.Is != "":
		return []seen{found(Medium, "NRI is on in %s", f.NRI.Is)}
	}
	return nil
}

func swarmOn(f *Facts) []seen {
	if f.Engine.Err == nil && f.Engine.Is.SwarmNode {
		return []seen{found(Medium, "this host takes part in a swarm")}
	}
	return nil // without the Engine's word, engine-version tells that it is missing
}

func socketMounted(f *Facts) []seen {
	if f.Containers.Err != nil {
		return untold(Medium, "what is mounted into containers", f.Containers.Err)
	}
	if f.Socket.Err != nil {
		return nil // socket-open tells
	}
	var out []seen
	sockets := append([]string{f.Socket.Is.Path}, containerdSockets...)
	for _, c := range f.Containers.Is {
		for _, m := range c.Mounts {
			if !c.Ours && slices.ContainsFunc(sockets, func(s string) bool { return holds(m.Source, s) }) {
				out = append(out, found(High, "container %s has %s", c.Name, m.Source))
				break
			}
		}
	}
	return out
}

// containerdSockets are the host's containerd's, and that of the one that dockerd starts itself.
var containerdSockets = []string{"/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock"}

// holds says that a path is what is mounted, or lies in it. /var/run is /run.
func holds(source, file string) bool {
	source, file = canonical(source), canonical(file)
	return source == file || source == "/" || strings.HasPrefix(file, source+"/")
}

func canonical(p string) string {
	p = path.Clean(p)
	if p == "/var/run" || strings.HasPrefix(p, "/var/run/") {
		return strings.TrimPrefix(p, "/var")
	}
	return p
}

func hostInAllButName(f *Facts) []seen {
	if f.Containers.Err != nil {
		return nil // socket-mounted tells
	}
	var out []seen
	for _, c := range f.Containers.Is {
		if !c.HostPID || c.Ours {
			continue
		}
		if c.Privileged {
			out = append(out, found(High, "container %s is privileged and has the host's PIDs", c.Name))
			continue
		}
		for _, m := range c.Mounts {
			if m.Writable && (holds(m.Source, "/sys/fs/cgroup") || strings.HasPrefix(canonical(m.Source), "/sys/fs/cgroup/")) {
				out = append(out, found(High, "container %s has the host's PIDs and may write to %s", c.Name, m.Source))
				break
			}
		}
	}
	return out
}

func adminTooWide(f *Facts) []seen {
	if f.AdminRoles.Err != nil {
		return untold(Medium, "who is admin", f.AdminRoles.Err)
	}
	var out []seen
	for _, what := range f.AdminRoles.Is {
		out = append(out, found(High, "%s", what))
	}
	return out
}

func callersUnseen(f *Facts) []seen {
	switch {
	case f.Vitrine.Err != nil:
		return untold(Medium, "whether authz-plugin sees callers' processes", f.Vitrine.Err)
	case !f.Vitrine.Is.SeesPID:
		return []seen{found(Medium, "authz-plugin runs in a PID namespace of its own")}
	}
	return nil
}

func notDocker(f *Facts) []seen {
	switch {
	case f.Engine.Err != nil:
		return nil // engine-version tells
	case f.Engine.Is.Name != "Docker":
		return []seen{found(Medium, "the Engine is %s %s", f.Engine.Is.Name, f.Engine.Is.Version)}
	}
	return nil
}

func rootless(f *Facts) []seen {
	if f.Engine.Err == nil && f.Engine.Is.Rootless {
		return []seen{found(Low, "the Engine is rootless")}
	}
	return nil
}

func unwell(f *Facts) []seen {
	if f.Vitrine.Err != nil {
		return nil // callers-unseen tells
	}
	var out []seen
	for _, name := range slices.Sorted(maps.Keys(f.Vitrine.Is.Failing)) {
		if name == "plugin" {
			continue // not-asked has looked for itself
		}
		out = append(out, found(Medium, "%s: %s", name, f.Vitrine.Is.Failing[name]))
	}
	return out
}
