package ownfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLockIsNobodyElsesClosed: who can read the folder, as everybody can, keeps nobody waiting; and a file that others could have open is none.
func TestLockIsNobodyElsesClosed(t *testing.T) {
	root, dir := open(t)
	reader, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := unix.Flock(int(reader.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	unlock, err := Lock(root, ".lock")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	file := filepath.Join(dir, ".lock")
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for says, spoil := range map[string]func() error{
		"others may open it (mode 0644)": func() error { return os.Chmod(file, 0o644) },
		"no regular file":                func() error { return errors.Join(os.Remove(file), unix.Mkfifo(file, 0o600)) },
		"path escapes":                   func() error { return errors.Join(os.Remove(file), os.Symlink("/etc/passwd", file)) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if unlock, err := Lock(root, ".lock"); err == nil || unlock != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
		_ = os.Remove(file)
		if unlock, err := Lock(root, ".lock"); err != nil {
			t.Fatal(err)
		} else {
			unlock()
		}
	}
}
