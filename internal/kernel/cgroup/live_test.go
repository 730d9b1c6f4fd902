package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// live makes cgroups in this machine's own hierarchies.
func live(t *testing.T) (*Host, string, Membership) {
	t.Helper()
	skip := t.Skip
	if os.Getenv("VITRINE_REQUIRE") != "" {
		skip = t.Fatal
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		skip("no cgroups here:", err)
	}
	h, err := Open(Options{Root: "/sys/fs/cgroup", Self: os.Getpid(), Own: membership(string(own))})
	if err != nil {
		skip(err)
	}
	name := fmt.Sprintf("vitrine-live-%d", time.Now().UnixNano())
	member := Membership{}
	mounts := map[string]string{"": h.v2}
	maps.Copy(mounts, h.v1)
	for controller, mount := range mounts {
		if mount == "" {
			continue
		}
		dir := filepath.Join(mount, name, id)
		for _, d := range []string{filepath.Dir(dir), dir} {
			if err := os.Mkdir(d, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
				skip("making cgroups needs root and a writable /sys/fs/cgroup:", err)
			}
			t.Cleanup(func() { _ = os.Remove(d) })
		}
		member[controller] = "/" + name + "/" + id
	}
	return h, name, member
}

// TestLiveRemoved: the kernel says that a cgroup is gone, though its files are open.
func TestLiveRemoved(t *testing.T) {
	h, name, member := live(t)
	r, err := h.Container(id, member)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var s Stats
	if err := r.Read(&s); err != nil || !s.CPU.UsageNsec.Set {
		t.Fatalf("error %v, read:\n%s", err, dump(&s))
	}
	if n := testing.AllocsPerRun(20, func() { _ = r.Read(&s) }); n != 0 {
		t.Errorf("%v allocations a reading of the kernel's files", n)
	}
	for _, mount := range append([]string{h.v2}, values(h.v1)...) {
		_ = os.Remove(filepath.Join(mount, name, id))
	}
	if err := r.Read(&s); !errors.Is(err, ErrRemoved) {
		t.Errorf("error %v, want %v", err, ErrRemoved)
	}
}

// TestLiveNested: the link count of a cgroup's folder tells of nested ones.
func TestLiveNested(t *testing.T) {
	h, name, _ := live(t)
	mount := h.v2
	if mount == "" {
		mount = h.v1["memory"]
	}
	dir := filepath.Join(mount, name, id)
	n := newNested(dir)
	defer n.close(h)
	if kills, err := n.kills(h); kills != 0 || err != nil || n.mayHaveFolders() {
		t.Errorf("%d kills, error %v, folders: %v", kills, err, n.mayHaveFolders())
	}
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	if !n.mayHaveFolders() {
		t.Error("a folder in it is not noticed")
	}
	if err := os.Remove(inner); err != nil {
		t.Fatal(err)
	}
	if n.mayHaveFolders() {
		t.Error("it is not noticed that the folder is gone")
	}
}

func values(m map[string]string) []string {
	var out []string
	for _, v := range m {
		out = append(out, v)
	}
	return out
}
