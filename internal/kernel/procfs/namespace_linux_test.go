package procfs

import (
	"os"
	"testing"
	"testing/fstest"
)

// TestOwnNamespaces asks the running kernel about this process.
func TestOwnNamespaces(t *testing.T) {
	p, self := New(os.DirFS("/proc")), os.Getpid()
	own, err := p.Namespace(self, "pid")
	if err != nil {
		t.Fatal(err)
	}
	for ns, want := range map[string]bool{own: true, "pid:[1]": false, "": false} {
		if got, err := p.WithinPIDNamespace(self, ns); err != nil || got != want {
			t.Errorf("within %q: %v, %v", ns, got, err)
		}
	}
	if same, err := p.SameRoot(self, self); err != nil || !same {
		t.Errorf("one process has two roots: %v, %v", same, err)
	}
}

func TestNamespacesThatCannotBeReadClosed(t *testing.T) {
	for name, p := range map[string]FS{
		"no such process":      New(os.DirFS(t.TempDir())),
		"not the kernel's own": New(fstest.MapFS{"7/ns/pid": &fstest.MapFile{}, "7/root": &fstest.MapFile{}}),
	} {
		if within, err := p.WithinPIDNamespace(7, "pid:[2]"); err == nil || within {
			t.Errorf("%s: within %v, %v", name, within, err)
		}
		if same, _ := p.SameRoot(7, 7); same {
			t.Errorf("%s: the same root", name)
		}
	}
}
