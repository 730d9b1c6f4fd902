package oracle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	datadog "github.com/DataDog/datadog-agent/pkg/util/cgroups"
	runc "github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/fs"
	"golang.org/x/sys/unix"

	"vitrine/internal/kernel/cgroup"
)

// BenchmarkRealFiles reads the same cgroup of this machine's kernel with all readers: an
// iteration is one container. The floor is pread(2) of the files that ours keeps open, and nothing else.
func BenchmarkRealFiles(b *testing.B) {
	id, m := realCgroup(b)
	h := openHost(b)
	r, err := h.Container(id, m)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	var s cgroup.Stats
	if err := r.Read(&s); err != nil {
		b.Fatal(err)
	}
	fds := openIn(b, id)
	b.Run("pread", func(b *testing.B) {
		buf := make([]byte, 16<<10)
		for b.Loop() {
			for _, fd := range fds {
				if _, err := unix.Pread(fd, buf, 0); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(len(fds)), "files")
	})
	b.Run("vitrine", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := r.Read(&s); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("datadog", func(b *testing.B) {
		c := datadogReader(b).GetCgroup(id)
		b.ReportAllocs()
		for b.Loop() {
			var s datadog.Stats
			if _, errs := datadog.GetStats(c, &s); len(errs) > 0 {
				b.Fatal(errs)
			}
		}
	})
	b.Run("containerd", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			containerdStats(b, m)
		}
	})
	b.Run("runc", func(b *testing.B) {
		manager, err := fs.NewManager(&runc.Cgroup{Resources: &runc.Resources{}}, runcPaths(m))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := manager.GetStats(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// realCgroup makes a container's cgroups in the machine's hierarchies, as dockerd does.
func realCgroup(b *testing.B) (id string, m cgroup.Membership) {
	b.Helper()
	id = fmt.Sprintf("%064x", time.Now().UnixNano())
	parent := fmt.Sprintf("/vitrine-bench-%d", os.Getpid())
	m = cgroup.Membership{}
	for hierarchy := range membership(b, os.Getpid()) {
		mount := filepath.Join("/sys/fs/cgroup", hierarchy)
		if hierarchy == "" {
			mount = "/sys/fs/cgroup/unified"
		}
		if strings.Contains(hierarchy, "=") {
			continue
		}
		dir := filepath.Join(mount, parent, id)
		for _, d := range []string{filepath.Dir(dir), dir} {
			if err := os.Mkdir(d, 0o755); err != nil {
				b.Skip("needs root and a hybrid host: ", err)
			}
			b.Cleanup(func() { _ = os.Remove(d) })
			for _, file := range []string{"cpuset.cpus", "cpuset.mems"} { // a new cpuset is empty
				if all, err := os.ReadFile(filepath.Join(mount, file)); err == nil {
					_ = os.WriteFile(filepath.Join(d, file), all, 0o600)
				}
			}
		}
		m[hierarchy] = filepath.Join(parent, id)
	}
	return id, m
}

// openIn are our descriptors of files in that container's cgroups.
func openIn(b *testing.B, id string) []int {
	b.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		b.Fatal(err)
	}
	var fds []int
	for _, e := range entries {
		name, err := os.Readlink("/proc/self/fd/" + e.Name())
		var fd int
		if _, scanErr := fmt.Sscan(e.Name(), &fd); err == nil && scanErr == nil && strings.Contains(name, id+"/") {
			fds = append(fds, fd)
		}
	}
	return fds
}
