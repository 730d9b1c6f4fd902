package procfs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFilesThatCannotBeRead: by the name, and why.
func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "7/net/dev"), 0o700); err != nil {
		t.Fatal(err)
	}
	if b, err := NetDev(dir, 7).Read(nil); !errors.Is(err, syscall.EISDIR) || b != nil {
		t.Errorf("a folder: %q, %v", b, err)
	}
	if b, err := NetDev(dir, 8).Read(nil); !errors.Is(err, syscall.ENOENT) || b != nil {
		t.Errorf("none: %q, %v", b, err)
	}
	if _, err := OpenFiles(dir, 8); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("of no process: %v", err)
	}
	if n, err := OpenFiles("/proc", 1<<22+1); n != 0 || !errors.Is(err, syscall.ENOENT) { // more than there can be
		t.Errorf("of no process of this machine: %d, %v", n, err)
	}
	if sizeCounts(dir) {
		t.Error("a folder without our own process counts files")
	}
}

// TestOpenFilesOfAnOlderKernel, which gives such folders no size: they are counted one by one. So are those of /sys.
func TestOpenFilesOfAnOlderKernel(t *testing.T) {
	dir := t.TempDir()
	there, err := os.ReadDir("/sys/kernel")
	if err != nil || len(there) == 0 {
		t.Fatalf("%d entries, %v", len(there), err)
	}
	for name, to := range map[string]string{"self/fd": "/sys/kernel", "7/fd": "/sys/kernel", "8/fd": "/proc/self/status"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700), os.Symlink(to, filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for range 50 {
		if n, err := OpenFiles(dir, 7); n != len(there) || err != nil {
			t.Fatalf("%d of %d, %v", n, len(there), err)
		}
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err != nil || len(fds) > 50 {
		t.Errorf("%d files are open, %v", len(fds), err)
	}
	if n, err := OpenFiles(dir, 8); n != 0 || !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("of what is no folder: %d, %v", n, err)
	}
	if sizeCounts(dir) {
		t.Error("no size counts files")
	}
	sized := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(sized, "self/fd"), 0o700), os.MkdirAll(filepath.Join(sized, "9"), 0o700), os.Symlink("/sys/kernel", filepath.Join(sized, "9/fd"))); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if err := os.WriteFile(filepath.Join(sized, "self/fd", strconv.Itoa(n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := OpenFiles(sized, 9); n != 0 || err != nil || !sizeCounts(sized) {
		t.Errorf("where sizes count, none is none: %d, %v", n, err)
	}
}

// TestEntriesAreCounted where the kernel does not count them, however many.
func TestEntriesAreCounted(t *testing.T) {
	dir := t.TempDir()
	for n := range 700 {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if n, err := countEntries(fd); n != 700 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := countEntries(-1); n != 0 || err == nil {
		t.Errorf("of nothing: %d, %v", n, err)
	}
}

// TestNothingIsLeftOpen by what is read again and again.
func TestNothingIsLeftOpen(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close files
	p, self := New(os.DirFS("/proc")), os.Getpid()
	count := func() int {
		t.Helper()
		n, err := OpenFiles("/proc", self)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	for range 50 {
		if _, err := p.WithinPIDNamespace(self, "pid:[1]"); err != nil {
			t.Fatal(err)
		}
		if _, err := NetDev("/proc", self).Read(nil); err != nil {
			t.Fatal(err)
		}
	}
	if after := count(); after > before+5 {
		t.Errorf("%d files are open, %d were", after, before)
	}
}

// TestNestedPIDNamespace: a process in one that was made within ours.
func TestNestedPIDNamespace(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("VITRINE_REQUIRE") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	nested := exec.CommandContext(t.Context(), "sleep", "60")
	nested.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if err := nested.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nested.Process.Kill(); _ = nested.Wait() }()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	p := New(os.DirFS("/proc"))
	own, err := p.Namespace(os.Getpid(), "pid")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := p.Namespace(nested.Process.Pid, "pid")
	if err != nil || theirs == own {
		t.Fatalf("theirs is %s, ours %s: %v", theirs, own, err)
	}
	before, _ := OpenFiles("/proc", os.Getpid())
	for outer, want := range map[string]bool{own: true, theirs: true, "pid:[1]": false} {
		for range 20 {
			if within, err := p.WithinPIDNamespace(nested.Process.Pid, outer); within != want || err != nil {
				t.Fatalf("within %s: %v, %v", outer, within, err)
			}
		}
	}
	if within, err := p.WithinPIDNamespace(os.Getpid(), theirs); within || err != nil {
		t.Errorf("we are in theirs: %v, %v", within, err)
	}
	if after, _ := OpenFiles("/proc", os.Getpid()); after > before+5 {
		t.Errorf("%d files are open, %d were", after, before)
	}
}
