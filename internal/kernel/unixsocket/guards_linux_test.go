package unixsocket

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const other = 4711 // a user and a group that have nothing

// as runs do as a user who is not root. The thread that is his ends with it.
func as(t *testing.T, id uintptr, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		for _, call := range [][2]uintptr{{unix.SYS_SETGROUPS, 0}, {unix.SYS_SETRESGID, id}, {unix.SYS_SETRESUID, id}} {
			if _, _, errno := unix.RawSyscall(call[0], call[1], call[1], call[1]); errno != 0 {
				t.Errorf("become user %d: %v", id, errno)
				return
			}
		}
		do()
	}()
	<-done
}

func needRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Getuid() == 0:
	case os.Getenv("VITRINE_REQUIRE") != "":
		t.Fatal("needs root")
	default:
		t.Skip("needs root")
	}
}

// folder is one that another user can come to.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "unixsocket") //nolint:usetesting // the folder above t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func made(t *testing.T, dir string, mode fs.FileMode, uid, gid int) string {
	t.Helper()
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, uid, gid), os.Chmod(dir, mode)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// stale leaves a socket behind on which nobody answers.
func stale(t *testing.T, path string) {
	t.Helper()
	fd, err := bind(unix.SOCK_STREAM, path)
	if err != nil {
		t.Fatal(err)
	}
	closeFD(fd)
	if os.Getuid() == 0 { // who may not write to a socket is not told that nobody answers
		if err := os.Chown(path, other, other); err != nil {
			t.Fatal(err)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// TestWhoseFolderClosed: ours and root's are good, whoever we are; one of which that cannot be told is not.
func TestWhoseFolderClosed(t *testing.T) {
	needRoot(t)
	dir := folder(t)
	ours := made(t, filepath.Join(dir, "ours"), 0o755, other, other)
	roots := made(t, filepath.Join(dir, "root's"), 0o755, 0, 0)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := makeFolder(file); err == nil || !strings.Contains(err.Error(), "is not a folder") {
		t.Errorf("a file: %v", err)
	}
	if err := makeFolder(ours); err == nil {
		t.Error("another user's folder is good for root")
	}
	as(t, other, func() {
		if err := errors.Join(makeFolder(ours), makeFolder(roots)); err != nil {
			t.Error(err)
		}
		if err := makeFolder(file + "/x"); !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("a folder in a file: %v", err)
		}
		for path, says := range map[string]string{filepath.Join(roots, "a"): "make folder " + roots, filepath.Join(roots, "a", "b"): "make folder of"} {
			if err := makeFolder(path); !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(err.Error(), says) {
				t.Errorf("a folder that cannot be made: %v", err)
			}
		}
	})
}

// TestStepThatFailsClosed: nothing is made if one step fails: not a socket that others find, no folder, no open descriptor; and the
// error is that step's.
func TestStepThatFailsClosed(t *testing.T) {
	needRoot(t)
	dir := folder(t)
	failing := errors.New("it cannot be prepared")
	at := func(folder string) File { return File{Path: filepath.Join(folder, "s"), Mode: 0o600, GID: -1} }
	locked := made(t, filepath.Join(dir, "not to be read"), 0o311, other, other)
	closed := made(t, filepath.Join(dir, "not to be entered"), 0o600, other, other)
	full := made(t, filepath.Join(dir, "not to be changed"), 0o555, other, other)
	leftover := made(t, filepath.Join(dir, "stale"), 0o755, other, other)
	stale(t, filepath.Join(leftover, "s"))
	if err := os.Chmod(leftover, 0o555); err != nil {
		t.Fatal(err)
	}
	good := made(t, filepath.Join(dir, "good"), 0o755, other, other)
	good2 := made(t, filepath.Join(dir, "good with a stale socket"), 0o755, other, other)
	stale(t, filepath.Join(good2, "s"))
	stream := made(t, filepath.Join(dir, "good with a stream"), 0o755, other, other)
	if fd, err := bind(unix.SOCK_STREAM, filepath.Join(stream, "s")); err != nil || os.Chown(filepath.Join(stream, "s"), other, other) != nil {
		t.Fatal(err)
	} else {
		defer closeFD(fd)
	}
	before := descriptors(t)
	for name, tc := range map[string]struct {
		kind    int
		at      File
		prepare error
		want    error
		says    string
	}{
		"lock":            {unix.SOCK_STREAM, at(locked), nil, fs.ErrPermission, "lock folder"},
		"look":            {unix.SOCK_STREAM, at(closed), nil, fs.ErrPermission, "look at"},
		"private folder":  {unix.SOCK_STREAM, at(full), nil, fs.ErrPermission, "make folder for socket"},
		"remove":          {unix.SOCK_STREAM, at(leftover), nil, fs.ErrPermission, "remove stale socket"},
		"kind":            {unix.SOCK_RDM, at(good), nil, unix.ESOCKTNOSUPPORT, "listen on"},
		"kind of a stale": {unix.SOCK_RDM, at(good2), nil, unix.ESOCKTNOSUPPORT, "may still be in use"},
		"other kind":      {unix.SOCK_DGRAM, at(stream), nil, unix.EPROTOTYPE, "may still be in use"},
		"long name":       {unix.SOCK_STREAM, File{Path: filepath.Join(made(t, filepath.Join(dir, strings.Repeat("x", 100)), 0o755, other, other), "s"), GID: -1}, nil, unix.EINVAL, "listen on"},
		"group":           {unix.SOCK_STREAM, File{Path: filepath.Join(good, "s"), Mode: 0o600, GID: 0}, nil, fs.ErrPermission, "listen on"},
		"prepare":         {unix.SOCK_STREAM, at(good), failing, failing, "listen on"},
	} {
		as(t, other, func() {
			fd, _, err := Bind(tc.kind, tc.at, func(int) error { return tc.prepare })
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s: descriptor %d, %v, want %v", name, fd, err, tc.want)
			}
		})
	}
	for _, folder := range []string{good, full} {
		if left, _ := os.ReadDir(folder); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// TestGroup: the socket has the group that was asked for, root's too, whatever the folder gives.
func TestGroup(t *testing.T) {
	needRoot(t)
	dir := made(t, filepath.Join(folder(t), "of a group"), 0o755|fs.ModeSetgid, 0, other)
	for _, gid := range []int{0, 12, -1} {
		l, err := Listen(File{Path: filepath.Join(dir, "s"), Mode: 0o660, GID: gid})
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, "s"))
		if err != nil {
			t.Fatal(err)
		}
		want := uint32(gid)
		if gid < 0 {
			want = other
		}
		if got := info.Sys().(*syscall.Stat_t).Gid; got != want {
			t.Errorf("group %d, want %d", got, want)
		}
		_ = l.Close()
	}
}

// TestCloseRemoves the socket, which leaves no descriptor either, and once only.
func TestCloseRemoves(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stale(t, path)
	before := descriptors(t)
	l, err := Listen(File{Path: path, Mode: 0o600, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// TestRemoveOfNothing: the socket may be gone already.
func TestRemoveOfNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, remove, err := Bind(unix.SOCK_STREAM, File{Path: path, Mode: 0o600, GID: -1}, listen)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFD(fd)
	remove()
	remove()
}

// TestTwoStartsWaitForEachOther, as long as one of ours may take.
func TestTwoStartsWaitForEachOther(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		unlock, err := lock(dir)
		if err == nil {
			unlock()
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Errorf("it has not waited: %v", err)
	case <-time.After(lockWait / 10):
	}
	unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
}
