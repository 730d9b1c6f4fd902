package cgroup

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// places are where engines and orchestrators put a container's first process,
// and where the container's own cgroup is then.
var places = map[string]struct{ init, own string }{
	"docker, cgroupfs":      {"/docker/" + id, "/docker/" + id},
	"docker, systemd":       {"/system.slice/docker-" + id + ".scope", "/system.slice/docker-" + id + ".scope"},
	"docker, rootless":      {"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + id + ".scope", "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + id + ".scope"},
	"docker, --init system": {"/docker/" + id + "/init.scope", "/docker/" + id},
	"docker in docker":      {"/docker/" + id + "/docker/" + strings.Repeat("f", 64), "/docker/" + id},
	"another parent":        {"/batch/" + id, "/batch/" + id},
	"ECS, cgroupfs":         {"/ecs/0123456789abcdef/" + id, "/ecs/0123456789abcdef/" + id},
	"ECS, systemd":          {"/ecstasks.slice/ecstasks-0123.slice/docker-" + id + ".scope", "/ecstasks.slice/ecstasks-0123.slice/docker-" + id + ".scope"},
	"Kubernetes, cgroupfs":  {"/kubepods/burstable/pod1234/" + id, "/kubepods/burstable/pod1234/" + id},
	"Kubernetes, systemd":   {"/kubepods.slice/kubepods-pod1.slice/docker-" + id + ".scope", "/kubepods.slice/kubepods-pod1.slice/docker-" + id + ".scope"},
	"CRI-O":                 {"/kubepods.slice/kubepods-pod1.slice/crio-" + id + ".scope/container", "/kubepods.slice/kubepods-pod1.slice/crio-" + id + ".scope"},
	"podman":                {"/machine.slice/libpod-" + id + ".scope/container", "/machine.slice/libpod-" + id + ".scope"},
	"podman, cgroupfs":      {"/libpod_parent/libpod-" + id, "/libpod_parent/libpod-" + id},
	"podman, in a pod":      {"/libpod_parent/" + strings.Repeat("f", 64) + "/libpod-" + id, "/libpod_parent/" + strings.Repeat("f", 64) + "/libpod-" + id},
	"nerdctl":               {"/system.slice/nerdctl-" + id + ".scope", "/system.slice/nerdctl-" + id + ".scope"},
}

// TestPlaces makes a tree for each place and version of cgroups, with other
// numbers in all folders around the container's own, and reads it from the host's cgroup
// namespace and from one of our own.
func TestPlaces(t *testing.T) {
	for name, p := range places {
		for _, mode := range []Mode{V1, Hybrid, V2} {
			for _, us := range []string{"/", "/docker/our-own"} {
				t.Run(name+"/"+string(mode)+us, func(t *testing.T) {
					root := t.TempDir()
					member := p.init
					if us != "/" { // as the kernel writes it in a namespace of our own
						member = strings.Repeat("/..", strings.Count(us, "/")) + p.init
					}
					m, own := Membership{}, Membership{}
					if mode != V2 {
						m["memory"], own["memory"] = member, "/"
						hierarchy(t, filepath.Join(root, "memory"), us, p.own, p.init, "memory.usage_in_bytes", "%d\n")
					}
					unified, file, format := root, "memory.current", "%d\n"
					if mode == Hybrid { // it has no controllers, but pressure
						unified, file, format = filepath.Join(root, "unified"), "memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=%d\n"
					}
					if mode != V1 {
						m[""], own[""] = member, "/"
						write(t, filepath.Join(unified, "cgroup.controllers"), "memory\n")
						hierarchy(t, unified, us, p.own, p.init, file, format)
					}
					h, err := Open(Options{Root: root, Self: self, Own: own})
					if err != nil {
						t.Fatal(err)
					}
					r, err := h.Container(id, m)
					if err != nil {
						t.Fatal(err)
					}
					defer r.Close()
					var s Stats
					if err := r.Read(&s); err != nil {
						t.Fatal(err)
					}
					right := Value{N: 4096, Set: true}
					if s.Memory.Usage != right || mode == Hybrid && s.Pressure.Memory.SomeNsec != (Value{N: 4096_000, Set: true}) {
						t.Errorf("read %+v and %+v; %v", s.Memory.Usage, s.Pressure.Memory, r.Skipped)
					}
				})
			}
		}
	}
}

// hierarchy writes a file into the cgroups from the root to init's: 4096 into the
// container's own. We are in us.
func hierarchy(t *testing.T, mount, us, own, init, file, format string) {
	t.Helper()
	write(t, filepath.Join(mount, "cgroup.procs"), "1\n")
	write(t, filepath.Join(mount, us, "cgroup.procs"), "4242\n")
	for dir := init; ; dir = path.Dir(dir) {
		n := 666
		if dir == own {
			n = 4096
		}
		write(t, filepath.Join(mount, dir, file), fmt.Sprintf(format, n))
		if dir == "/" {
			return
		}
	}
}
