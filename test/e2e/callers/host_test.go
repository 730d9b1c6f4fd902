package callers

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine/internal/caller/identity"
)

// cgroups is where the hierarchies are mounted.
const cgroups = "/sys/fs/cgroup"

// as is a wrapper that runs a command as another user of the host.
var as4711 = []string{"setpriv", "--reuid=4711", "--regid=4711", "--clear-groups"}

func TestHostProcessIsTheHost(t *testing.T) {
	s := begin(t)
	for name, c := range map[string]struct {
		wrapper   []string
		principal string
	}{
		"root":                              {nil, "unix:root"},
		"root with mounts of its own":       {[]string{"unshare", "--mount"}, "unix:root"},
		"root with a network of its own":    {[]string{"unshare", "--net"}, "unix:root"},
		"a user":                            {as4711, "uid:4711"},
		"a user with mounts of its own":     {append([]string{"unshare", "--mount"}, as4711...), "uid:4711"},
		"root in a folder of a user's name": {s.moved("/root/monitor"), "unix:root"},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.on(t)
			got := s.host(c.wrapper...)
			if got.Caller.Kind != identity.Host || got.Caller.Principals[0] != c.principal {
				t.Errorf("the caller is %s %v (%s), want the host's %s", got.Caller.Kind, got.Caller.Principals, got.Caller.Why, c.principal)
			}
			s.answered(got, 200)
		})
	}
}

// TestImitatedContainerClosed: a process of the host, root even, in a cgroup that
// looks like a container's is neither that container nor the host's.
func TestImitatedContainerClosed(t *testing.T) {
	s := begin(t)
	monitor := s.run("monitor")
	nobody := strings.Repeat("0123456789abcdef", 4)
	for name, c := range map[string]struct {
		folder string
		user   []string
		why    string
	}{
		"of nobody":                   {"/docker/" + nobody, nil, "no such object"},
		"of a running one, elsewhere": {"/docker/" + monitor, nil, "does not confirm"},
		"a scope":                     {"/system.slice/docker-" + nobody + ".scope", nil, "no such object"},
		"of a pod":                    {"/kubepods.slice/kubepods-besteffort.slice", nil, "looks like a container's"},
		"by a user":                   {"/user.slice/" + monitor, as4711, "does not confirm"},
		"the real one":                {"/" + monitor, nil, "with the mount namespace of the host"},
		"below the real one":          {"/" + monitor + "/x", nil, "with the mount namespace of the host"},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.on(t)
			s.unknown(s.host(append(s.moved(c.folder), c.user...)...), c.why)
		})
	}
	s.itself(s.in("monitor", "GET", list), "monitor", monitor, 200)
}

func TestOtherNamespacesThanTheHostsClosed(t *testing.T) {
	s := begin(t)
	for name, c := range map[string]struct {
		wrapper []string
		why     string
	}{
		"user":                 {[]string{"unshare", "--user"}, "in a user namespace that is not the host's"},
		"user, as its root":    {[]string{"unshare", "--user", "--map-root-user"}, "in a user namespace that is not the host's"},
		"user, of a user's":    {append(as4711, "unshare", "--user", "--map-root-user"), "in a user namespace that is not the host's"},
		"processes":            {[]string{"unshare", "--pid", "--fork"}, "in a PID namespace that is not the host's"},
		"processes and mounts": {[]string{"unshare", "--pid", "--fork", "--mount-proc"}, "in a PID namespace that is not the host's"},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.on(t)
			s.unknown(s.host(c.wrapper...), c.why)
		})
	}
}

// moved is a wrapper that moves to a cgroup below the engine's in every
// hierarchy, which is made for it.
func (s *stage) moved(folder string) []string {
	s.Helper()
	cgroup, err := s.e.Cgroup()
	s.must(err)
	mounts, err := filepath.Glob(cgroups + "/*" + cgroup)
	s.must(err)
	if _, err := os.Stat(cgroups + cgroup); err == nil { // a pure v2 host
		mounts = append(mounts, cgroups+cgroup)
	}
	for _, mount := range mounts {
		for at := mount; at != mount+folder; {
			rest := strings.Split(strings.TrimPrefix(mount+folder, at), "/")
			at = s.cgroup(at, rest[1])
		}
	}
	return []string{s.caller, "move", cgroups, cgroup + folder}
}

// cgroup makes a cgroup. A new v1 cpuset is empty, and takes no process.
func (s *stage) cgroup(parent, name string) string {
	s.Helper()
	path := filepath.Join(parent, name)
	if err := os.Mkdir(path, 0o755); errors.Is(err, fs.ErrExist) {
		return path
	} else if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = os.Remove(path) }) // the engine removes what is left
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if _, err := os.Stat(filepath.Join(path, "cgroup.clone_children")); err != nil {
			continue
		}
		if value, err := os.ReadFile(filepath.Join(parent, file)); err == nil {
			s.must(os.WriteFile(filepath.Join(path, file), value, 0))
		}
	}
	return path
}
