package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestSteadyStateAllocatesNothing also when a container has devices, and limits,
// and when its files are opened for each reading.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for _, name := range []string{"hybrid-docker", "v2-systemd", "v2-limits-above"} {
		a, err := txtar.ParseFile("testdata/" + name + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		for _, maxFiles := range []int{100, -1} {
			_, r := unpack(t, a, maxFiles)
			defer r.Close()
			r.nested = nil // link counts of this file system may differ from kernfs's; TestLive has them
			var s Stats
			if n := testing.AllocsPerRun(20, func() { _ = r.Read(&s) }); n != 0 {
				t.Errorf("%s: %v allocations a reading with up to %d open files", name, n, maxFiles)
			}
		}
	}
}

// BenchmarkMany reads containers in a tree of files, all of them an iteration: with as many files
// kept open as this process may have, with what RLIMIT_NOFILE 1024 leaves for them, and as a floor with
// pread alone of those that are open.
func BenchmarkMany(b *testing.B) {
	for _, bb := range []struct {
		situation string
		n         int
	}{{"hybrid-docker", 1000}, {"v2-systemd", 1000}, {"v2-systemd", 10000}} {
		b.Run(fmt.Sprintf("%s/%d", bb.situation, bb.n), func(b *testing.B) {
			tree := plant(b, bb.situation, bb.n)
			most := fileBudget()/3*4 - 200
			b.Run("read", func(b *testing.B) { benchRead(b, tree.readers(b, most)) })
			b.Run("pread", func(b *testing.B) { benchPread(b, tree.readers(b, most)) })
			b.Run("nofile1024", func(b *testing.B) { benchRead(b, tree.readers(b, 1024/4*3)) })
		})
	}
}

func benchRead(b *testing.B, readers []*Reader) {
	var s Stats
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range readers {
			if err := r.Read(&s); err != nil {
				b.Fatal(err)
			}
		}
	}
	perContainer(b, readers)
}

func benchPread(b *testing.B, readers []*Reader) {
	buf := make([]byte, 16<<10)
	for b.Loop() {
		for _, r := range readers {
			for i := range r.files {
				if r.files[i].fd < 0 {
					continue // this kernel does not have it
				}
				if _, err := readFile(r.files[i].fd, buf); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	perContainer(b, readers)
}

func perContainer(b *testing.B, readers []*Reader) {
	open := 0
	for _, r := range readers {
		for i := range r.files {
			if r.files[i].fd >= 0 {
				open++
			}
		}
	}
	n := float64(len(readers))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/container")
	b.ReportMetric(float64(open)/n, "open/container")
}

// tree has n containers like that of a situation, whose files are links to one.
type tree struct {
	root    string
	members []Membership
}

func plant(b *testing.B, situation string, n int) tree {
	b.Helper()
	a, err := txtar.ParseFile("testdata/" + situation + ".txtar")
	if err != nil {
		b.Fatal(err)
	}
	t := tree{root: b.TempDir()}
	for i := range n {
		other := containerID(i)
		for _, f := range a.Files {
			name, inTree := strings.CutPrefix(f.Name, "fs/")
			if f.Name == "membership" {
				t.members = append(t.members, membership(strings.ReplaceAll(string(f.Data), id, other)))
			}
			if !inTree || i > 0 && !strings.Contains(name, id) {
				continue
			}
			to := filepath.Join(t.root, strings.ReplaceAll(name, id, other))
			if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
				b.Fatal(err)
			}
			first := filepath.Join(t.root, strings.ReplaceAll(name, id, containerID(0)))
			if i == 0 {
				err = os.WriteFile(to, f.Data, 0o600)
			} else {
				err = os.Link(first, to)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	return t
}

func containerID(i int) string { return fmt.Sprintf("%064x", i) }

func (t tree) readers(b *testing.B, maxFiles int) []*Reader {
	b.Helper()
	h, err := Open(Options{Root: t.root, Self: self, Own: Membership{"": "/"}, MaxFiles: maxFiles})
	if err != nil {
		b.Fatal(err)
	}
	// The tree has no processes, so that we are in its root is given.
	for _, mount := range h.v1 {
		h.roots[mount] = "/"
	}
	h.roots[h.v2] = "/"
	readers := make([]*Reader, 0, len(t.members))
	var s Stats
	for i, m := range t.members {
		r, err := h.Container(containerID(i), m)
		if err != nil {
			b.Fatal(err)
		}
		r.nested = nil
		if err := r.Read(&s); err != nil {
			b.Fatal(err)
		}
		readers = append(readers, r)
	}
	b.Cleanup(func() {
		for _, r := range readers {
			r.Close()
		}
	})
	return readers
}
