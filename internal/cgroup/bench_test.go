package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestSteadyStateAllocatesNothing also when a container has devices, and limits.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for _, name := range []string{"hybrid-docker", "v2-systemd"} {
		a, err := txtar.ParseFile("testdata/" + name + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		_, r := unpack(t, a, 100)
		defer r.Close()
		r.nested = nil // link counts of this file system may differ from kernfs's; TestLive has them
		var s Stats
		if n := testing.AllocsPerRun(20, func() { _ = r.Read(&s) }); n != 0 {
			t.Errorf("%s: %v allocations a reading", name, n)
		}
	}
}

// BenchmarkMany reads containers in a tree of files, and as a floor the same
// files with pread alone. 600 fit in the descriptors that most machines give;
// of 1000 some are opened for each reading.
func BenchmarkMany(b *testing.B) {
	for _, name := range []string{"hybrid-docker", "v2-systemd"} {
		b.Run(name, func(b *testing.B) {
			readers := many(b, name, 600)
			b.Run("read", func(b *testing.B) { benchRead(b, readers) })
			b.Run("pread", func(b *testing.B) { benchPread(b, readers) })
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
}

func benchPread(b *testing.B, readers []*Reader) {
	buf := make([]byte, 16<<10)
	for b.Loop() {
		for _, r := range readers {
			for i := range r.files {
				if _, err := readFile(r.files[i].fd, buf); err != nil && r.files[i].fd >= 0 {
					b.Fatal(err)
				}
			}
		}
	}
}

// many makes n containers like that of a situation.
func many(b *testing.B, situation string, n int) []*Reader {
	b.Helper()
	a, err := txtar.ParseFile("testdata/" + situation + ".txtar")
	if err != nil {
		b.Fatal(err)
	}
	root := b.TempDir()
	var readers []*Reader
	var h *Host
	for i := range n {
		other := fmt.Sprintf("%064x", i)
		member := Membership{}
		for _, f := range a.Files {
			name, inTree := strings.CutPrefix(strings.ReplaceAll(f.Name, id, other), "fs/")
			switch {
			case f.Name == "membership":
				member = membership(strings.ReplaceAll(string(f.Data), id, other))
			case inTree:
				name = filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
					b.Fatal(err)
				}
				if err := os.WriteFile(name, f.Data, 0o600); err != nil {
					b.Fatal(err)
				}
			}
		}
		if h == nil {
			if h, err = Open(Options{Root: root, Self: self, Own: Membership{"": "/"}}); err != nil {
				b.Fatal(err)
			}
			// The tree has no processes, so that we are in its root is given.
			for _, mount := range h.v1 {
				h.roots[mount] = "/"
			}
			h.roots[h.v2] = "/"
		}
		r, err := h.Container(other, member)
		if err != nil {
			b.Fatal(err)
		}
		r.nested = nil
		var s Stats
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
