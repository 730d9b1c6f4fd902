package dogstatsd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cgroups is where the hierarchies are mounted.
const cgroups = "/sys/fs/cgroup"

// move is a shell script: it moves itself to a folder in each hierarchy below a
// root, and then is the command in its arguments.
func move(root, folder string) []string {
	script := `for procs in ` + root + `/*/cgroup.procs ` + root + `/cgroup.procs; do
		[ ! -e "$procs" ] || echo 0 > "${procs%/*}` + folder + `/cgroup.procs" || exit 1
	done; exec "$@"`
	return []string{"sh", "-c", script, "move"}
}

// TestFolders: a process in a cgroup that looks like a container's is not of that
// container, whether there is one or not, be it the host's or a container's that may
// write to the cgroup file system.
func TestFolders(t *testing.T) {
	s := begin(t, seeing)
	engine, err := s.e.Cgroup()
	s.must(err)
	victim := s.box("victim")
	s.box("mover", "--volume", cgroups+":/cgroups:rw", "--cap-add", "SYS_ADMIN")
	s.known("victim", "mover")
	created := s.e.Docker("create", "--name", "created", "sender:1")
	s.boxes.add(created)
	nobody := strings.Repeat("0123456789abcdef", 4)
	folders := []string{
		"/docker/" + nobody, "/system.slice/docker-" + nobody + ".scope", "/docker-" + victim + ".scope", "/docker/" + victim,
		"/kubepods.slice/kubepods-besteffort.slice/cri-containerd-" + victim + ".scope", "/" + victim, "/" + victim + "/below", "/" + created,
	}
	var guests []*guest
	var wants []want
	for i, folder := range folders {
		s.cgroup(engine + folder)
		host, box := fmt.Sprintf("host%d", i), fmt.Sprintf("box%d", i)
		args := append(move(cgroups, engine+folder), s.sender, "stay", s.e.Path(datagram), host+":1|c|card:high")
		guests = append(guests, s.start(s.host(0, args[0], args[1:]...)))
		args = append(move("/cgroups", engine+folder), "sender", "stay", datagram, box+":1|c|card:high")
		guests = append(guests, s.start(s.docker(append([]string{"exec", "-i", "mover"}, args...)...)))
		wants = append(wants, is(1, host+"_total"), is(1, box+"_total"))
	}
	s.expect(wants...) // they live, and so their namespaces are looked at
	for _, g := range guests {
		g.end()
	}
	for i := range folders {
		s.itselfOrNobody(1, fmt.Sprintf("host%d_total", i), "")
		s.itselfOrNobody(1, fmt.Sprintf("box%d_total", i), "mover")
	}
	// Of those that have exited nothing but the folder is left: it counts for nothing
	// beside a container that may have moved them there.
	for i, folder := range folders {
		s.exec("mover", append(move("/cgroups", engine+folder), "sender", "forks", datagram, fmt.Sprintf("left%d:1|c|card:high", i), "20")...)
	}
	for i := range folders {
		s.itselfOrNobody(20, fmt.Sprintf("left%d_total", i), "mover")
	}
	s.exec("victim", "sender", "forks", datagram, "victim:1|c|card:high", "20")
	s.itselfOrNobody(20, "victim_total", "victim")
	s.stay(s.docker("exec", "-i", "victim", "sender", "stay", datagram, "alive:1|c|card:high"), is(1, "alive_total", `container_name="victim"`))
}

// cgroup makes a folder in each hierarchy. A new v1 cpuset is empty, and takes no
// process. What is left goes with the engine.
func (s *stage) cgroup(folder string) {
	s.Helper()
	mounts, err := filepath.Glob(cgroups + "/*/cgroup.procs")
	s.must(err)
	if _, err := os.Stat(cgroups + "/cgroup.procs"); err == nil { // a pure v2 host
		mounts = []string{cgroups + "/cgroup.procs"}
	}
	for _, procs := range mounts {
		at := filepath.Dir(procs)
		for part := range strings.SplitSeq(strings.Trim(folder, "/"), "/") {
			parent := at
			at = filepath.Join(at, part)
			if err := os.Mkdir(at, 0o755); errors.Is(err, fs.ErrExist) {
				continue
			} else if err != nil {
				s.Fatal(err)
			}
			for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
				if _, err := os.Stat(filepath.Join(at, "cgroup.clone_children")); err != nil {
					continue
				}
				if value, err := os.ReadFile(filepath.Join(parent, file)); err == nil {
					s.must(os.WriteFile(filepath.Join(at, file), value, 0))
				}
			}
		}
	}
}
