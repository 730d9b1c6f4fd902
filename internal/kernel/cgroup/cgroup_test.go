package cgroup

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what is read as what is wanted")

const (
	id   = "c0ffee0000000000000000000000000000000000000000000000000000000007"
	self = 4242
)

// TestSituations reads a container in each tree of testdata; every file says
// which situation it is.
func TestSituations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no situations: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, max := range []int{100, -1} { // kept open, and opened for each read
				h, r := unpack(t, a, max)
				for range 2 {
					check(t, a, name, string(h.Mode()), r)
				}
				r.Close()
				if h.left != max {
					t.Errorf("after Close %d descriptors are left, want %d", h.left, max)
				}
			}
		})
	}
}

func check(t *testing.T, a *txtar.Archive, name, mode string, r *Reader) {
	t.Helper()
	s := Stats{IO: []Device{{Major: 99}}}
	if err := r.Read(&s); err != nil {
		t.Fatal(err)
	}
	got := "mode " + mode + "\n" + dump(&s)
	for _, err := range r.Skipped {
		got += "skipped: " + err.Error() + "\n"
	}
	i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == "want" })
	if *update {
		if i < 0 {
			i = len(a.Files)
			a.Files = append(a.Files, txtar.File{Name: "want"})
		}
		a.Files[i].Data = []byte(got)
		if err := os.WriteFile(name, txtar.Format(a), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if i < 0 || string(a.Files[i].Data) != got {
		t.Errorf("got\n%s\nwant as in %s", got, name)
	}
}

// unpack writes an archive's tree, and finds the container in it.
func unpack(t *testing.T, a *txtar.Archive, maxFiles int) (*Host, *Reader) {
	t.Helper()
	root := t.TempDir()
	parts := map[string]string{}
	for _, f := range a.Files {
		name, inTree := strings.CutPrefix(f.Name, "fs/")
		if !inTree {
			parts[f.Name] = strings.TrimSpace(string(f.Data))
			continue
		}
		write(t, filepath.Join(root, name), string(f.Data))
	}
	h, err := Open(Options{Root: root, Self: self, Own: membership(parts["own"]), MaxFiles: maxFiles})
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.Container(parts["id"], membership(parts["membership"]))
	if err != nil {
		t.Fatal(err)
	}
	return h, r
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func membership(lines string) Membership {
	m := Membership{}
	for line := range strings.Lines(lines) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		m[f[1]] = f[2]
	}
	return m
}

// dump prints what is set, a line a value.
func dump(s *Stats) string {
	var b strings.Builder
	for _, part := range []struct {
		name string
		of   any
	}{
		{"CPU", s.CPU},
		{"Memory", s.Memory},
		{"OOM", s.OOM},
		{"Pids", s.Pids},
		{"Pressure.CPU", s.Pressure.CPU},
		{"Pressure.Memory", s.Pressure.Memory},
		{"Pressure.IO", s.Pressure.IO},
	} {
		v := reflect.ValueOf(part.of)
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() || field.Type != reflect.TypeFor[Value]() {
				continue
			}
			if val := v.Field(i).Interface().(Value); val.Set {
				fmt.Fprintf(&b, "%s.%s %d\n", part.name, field.Name, val.N)
			}
		}
	}
	for _, d := range s.IO {
		fmt.Fprintf(&b, "IO %d:%d %+v\n", d.Major, d.Minor, d)
	}
	if s.OOM.Under {
		b.WriteString("OOM.Under\n")
	}
	for _, ratio := range []struct {
		name string
		of   func() (float64, bool)
	}{{"InUse", s.Memory.InUse}, {"SwapInUse", s.Memory.SwapInUse}, {"WorkingSetInUse", s.Memory.WorkingSetInUse}} {
		if v, ok := ratio.of(); ok {
			fmt.Fprintf(&b, "Memory.%s %.4f\n", ratio.name, v)
		}
	}
	return b.String()
}

// TestOutsideOfWhatIsMounted: a reader that sees only its own cgroup says what to do.
func TestOutsideOfWhatIsMounted(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "cgroup.controllers"), "memory\n")
	write(t, filepath.Join(root, "cgroup.procs"), "4242\n")
	write(t, filepath.Join(root, "memory.current"), "4096\n")
	h, err := Open(Options{Root: root, Self: self, Own: Membership{"": "/"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{"/../" + id, "/", "/.."} {
		if _, err := h.Container(id, Membership{"": member}); err == nil || !strings.Contains(err.Error(), id) {
			t.Errorf("container at %s: error %v", member, err)
		}
	}
	if _, err := h.Container(id, Membership{"": "/../" + id}); !errors.Is(err, ErrOutside) {
		t.Errorf("error %v, want %v", err, ErrOutside)
	}
}

func TestNoHierarchy(t *testing.T) {
	if _, err := Open(Options{Root: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "/sys/fs/cgroup") {
		t.Errorf("error %v says nothing of what to mount", err)
	}
}

// TestRemoved: a cgroup that is gone is told apart from a file that is missing.
func TestRemoved(t *testing.T) {
	a, err := txtar.ParseFile("testdata/v2-systemd.txtar")
	if err != nil {
		t.Fatal(err)
	}
	h, r := unpack(t, a, -1)
	defer r.Close()
	var s Stats
	if err := r.Read(&s); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(h.v2, "system.slice")); err != nil {
		t.Fatal(err)
	}
	if err := r.Read(&s); !errors.Is(err, ErrRemoved) {
		t.Errorf("error %v, want %v", err, ErrRemoved)
	}
}

// TestDescriptorsRunOut: what is beyond the budget is read all the same, and
// kept as soon as another reader closes.
func TestDescriptorsRunOut(t *testing.T) {
	a, err := txtar.ParseFile("testdata/hybrid-docker.txtar")
	if err != nil {
		t.Fatal(err)
	}
	h, first := unpack(t, a, 10)
	second, err := h.Container(id, membership(string(a.Files[1].Data)))
	if err != nil {
		t.Fatal(err)
	}
	var s, s2 Stats
	if err := errors.Join(first.Read(&s), second.Read(&s2)); err != nil {
		t.Fatal(err)
	}
	if dump(&s) != dump(&s2) || h.left != 0 {
		t.Errorf("the readers differ, or %d descriptors are left:\n%s\n%s", h.left, dump(&s), dump(&s2))
	}
	first.Close()
	if err := second.Read(&s2); err != nil || h.left != 0 {
		t.Errorf("error %v, %d descriptors are left, want 0", err, h.left)
	}
	second.Close()
	if h.left != 10 {
		t.Errorf("%d descriptors are left, want 10", h.left)
	}
}

// TestNestedKillsStay: what a removed inner cgroup had counted is not forgotten,
// and one that is made again under its name counts on.
func TestNestedKillsStay(t *testing.T) {
	a, err := txtar.ParseFile("testdata/v1-nested-kills.txtar")
	if err != nil {
		t.Fatal(err)
	}
	h, r := unpack(t, a, 100)
	defer r.Close()
	kills := func(want uint64) {
		t.Helper()
		var s Stats
		if err := r.Read(&s); err != nil || s.OOM.Kills != set(want) {
			t.Errorf("kills %+v, error %v, want %d", s.OOM.Kills, err, want)
		}
	}
	kills(6)
	inner := filepath.Join(h.v1["memory"], "docker", id, "system.slice")
	write(t, filepath.Join(inner, "leaky.service", "memory.oom_control"), "oom_kill 1\n") // made again
	kills(7)
	if err := os.RemoveAll(inner); err != nil {
		t.Fatal(err)
	}
	kills(7)
	write(t, filepath.Join(inner, "memory.oom_control"), "oom_kill 0\n")
	kills(7)
}

// TestOddNestedFile: an inner cgroup whose counter cannot be read hides no other's, and what it
// said last counts once.
func TestOddNestedFile(t *testing.T) {
	a, err := txtar.ParseFile("testdata/v1-nested-kills.txtar")
	if err != nil {
		t.Fatal(err)
	}
	h, r := unpack(t, a, 100)
	defer r.Close()
	inner := filepath.Join(h.v1["memory"], "docker", id)
	for _, step := range []struct {
		leaky, other string
		want         uint64
		odd          bool
	}{{"oom_kill 5", "oom_kill 1", 9, false}, {"oom_kill x", "oom_kill 2", 10, true}, {"oom_kill 5", "oom_kill 2", 10, false}} {
		write(t, filepath.Join(inner, "system.slice", "leaky.service", "memory.oom_control"), step.leaky+"\n")
		write(t, filepath.Join(inner, "zz", "memory.oom_control"), step.other+"\n")
		var s Stats
		if err := r.Read(&s); (err != nil) != step.odd || s.OOM.Kills != set(step.want) {
			t.Errorf("%+v: kills %+v, error %v", step, s.OOM.Kills, err)
		}
	}
}

// TestDenied: a file that may not be read is an error each time, not a zero, and
// comes back with the permission.
func TestDenied(t *testing.T) {
	a, err := txtar.ParseFile("testdata/v2-init-inside.txtar")
	if err != nil {
		t.Fatal(err)
	}
	h, r := unpack(t, a, 100)
	defer r.Close()
	name := filepath.Join(h.v2, "docker", id, "memory.current")
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Base(name), name); err != nil { // a loop: ELOOP, for root too
		t.Fatal(err)
	}
	var s Stats
	if err := r.Read(&s); err == nil || !strings.Contains(err.Error(), name) || s.Memory.Usage.Set {
		t.Errorf("error %v, usage %+v", err, s.Memory.Usage)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	write(t, name, "77\n")
	if err := r.Read(&s); err != nil || s.Memory.Usage != set(77) {
		t.Errorf("error %v, usage %+v", err, s.Memory.Usage)
	}
}

// TestAboveWhatIsMountedClosed: from a cgroup namespace of our own, a cgroup further up than
// what is mounted goes is not looked for below.
func TestAboveWhatIsMountedClosed(t *testing.T) {
	mount := t.TempDir()
	write(t, filepath.Join(mount, id, "cgroup.procs"), "")
	write(t, filepath.Join(mount, "ours", "cgroup.procs"), "")
	h := &Host{roots: map[string]string{mount: "/ours"}}
	for member, ok := range map[string]bool{"/../" + id: true, "/../../" + id: false, "/../../../" + id: false} {
		if dir, _, err := h.folder(mount, "/", member, id); (err == nil) != ok {
			t.Errorf("%s: %s, %v", member, dir, err)
		}
	}
}
