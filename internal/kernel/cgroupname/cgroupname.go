// Package cgroupname reads which container the path of a cgroup means, from the names in it
// alone. It is the one place that knows how runtimes call the cgroups of their containers.
//
// A name proves nothing: users own subtrees of cgroups, and call what they make there as
// they like. What a name is worth is for the caller to say: package attest believes it
// only of a cgroup in which a container's init was found.
package cgroupname

import (
	"path"
	"regexp"
	"strings"
)

// Naming is what the name of a cgroup's folder says.
type Naming int

// What names say.
const (
	Plain   Naming = iota // nothing of a container
	Foreign               // a container runtime's, but no container's own: a pod, a build step, the monitor beside a container
	Own                   // a container's own, which bears the container's id
)

// runtimes matches the names of cgroups that container runtimes make: Docker's, containerd's, CRI-O's and Podman's
// 64 digits with whatever around, ECS's, Garden's, Kubernetes' pods, LXC's, BuildKit's.
var runtimes = regexp.MustCompile(`([0-9a-f]{64})|^[0-9a-f]{32}-[0-9]+$|^[0-9a-f]{8}(-[0-9a-f]{4}){4}$|^kubepods|^lxc($|[.])|^buildkit$`)

// Read is the one reading of a cgroup's name, which is one segment of a path. It is broad in what it takes for a
// runtime's, since who imitates one must not pass for the host; a name is anybody's to give, and so proves nothing.
// The id is the 64 digits in the name, "" without any.
func Read(segment string) (id string, says Naming) {
	m := runtimes.FindStringSubmatch(segment)
	if m == nil {
		return "", Plain
	}
	if id = m[1]; id == "" {
		return "", Foreign
	}
	// "<id>", "<runtime>-<id>" and "<runtime>-<id>.scope"; Podman and CRI-O put a monitor beside a container,
	// whose cgroup bears the container's id as well.
	runtime, rest, _ := strings.Cut(segment, id)
	switch {
	case runtime != "" && !strings.HasSuffix(runtime, "-"), strings.HasSuffix(runtime, "conmon-"):
		return id, Foreign
	case rest == "", rest == ".scope" && runtime != "":
		return id, Own
	}
	return id, Foreign
}

// ContainerPath is a container's own cgroup, given that of its init, which may
// have made cgroups inside: the shortest prefix whose last segment names the
// container as its own; without one, init's own path.
func ContainerPath(init, id string) (p string, named bool) {
	end := 0
	for segment := range strings.SplitSeq(init, "/") {
		end += len(segment)
		if named, says := Read(segment); says == Own && named == id {
			return init[:end], true
		}
		end++ // the slash
	}
	return path.Clean(init), false
}

// Bearing finds the cgroup that is a container's own in a path that is that cgroup's or
// leads through it; "" if there is none. Nothing above may be a runtime's: another
// container may make cgroups there as it likes. Nothing below may either.
func Bearing(p string) (id, root string) {
	end := 0
	for segment := range strings.SplitSeq(p, "/") {
		end += len(segment)
		switch named, says := Read(segment); {
		case says == Plain:
		case says != Own || id != "":
			return "", ""
		default:
			id, root = named, p[:end]
		}
		end++ // the slash
	}
	return id, root
}

// Speaks says that a path tells anything about who is in it. "/" does not, and
// from within a cgroup namespace neither do "/.." and "/../..".
func Speaks(p string) bool {
	for s := range strings.SplitSeq(p, "/") {
		if s != "" && s != ".." {
			return true
		}
	}
	return false
}

// ref is at the end of a name: what may be an id, or the beginning of one.
var ref = regexp.MustCompile(`(?:^|-)([0-9a-f]{12,})(?:\.slice)?(?:\.scope)?$`)

// Ref gives what may be a container's id, or the beginning of one of 12 digits or more, in
// a cgroup's name that somebody typed; "" if there is none.
func Ref(segment string) string {
	if m := ref.FindStringSubmatch(segment); m != nil {
		return m[1]
	}
	return ""
}
