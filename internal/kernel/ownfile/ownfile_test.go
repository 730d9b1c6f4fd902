package ownfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T) (*os.Root, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root, dir
}

func TestReplaceAndRead(t *testing.T) {
	root, dir := open(t)
	if _, err := Read(root, "x", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no file: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x.new"), []byte("of a crash"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "another"} {
		if err := Replace(root, "x", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if raw, err := Read(root, "x", 7); err != nil || string(raw) != text {
			t.Errorf("read %q, %v", raw, err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "x")); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

func TestReadClosed(t *testing.T) {
	root, dir := open(t)
	for name, spoil := range map[string]func(file string) error{
		"is larger than":       func(file string) error { return os.WriteFile(file, []byte("eight by"), 0o600) },
		"may write":            func(file string) error { return os.Chmod(file, 0o606) },
		"no regular file":      func(file string) error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) },
		"path escapes":         func(file string) error { return errors.Join(os.Remove(file), os.Symlink("/etc/passwd", file)) },
		"belongs to uid 12345": func(file string) error { return os.Chown(file, 12345, -1) },
	} {
		file := filepath.Join(dir, "x")
		_ = os.RemoveAll(file)
		if err := Replace(root, "x", []byte("seven b")); err != nil {
			t.Fatal(err)
		}
		if err := spoil(file); err != nil {
			t.Logf("%s: not tried: %v", name, err) // as another user than root
			continue
		}
		if raw, err := Read(root, "x", 7); err == nil || raw != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: read %q, %v", name, raw, err)
		}
	}
}

func TestOpenFolderClosed(t *testing.T) {
	_, dir := open(t)
	for _, mode := range []os.FileMode{0o775, 0o757, 0o777 | os.ModeSticky} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if root, err := OpenFolder(dir); err == nil || root != nil {
			t.Errorf("a folder of mode %s is taken for ours", mode)
		}
	}
	if _, err := OpenFolder(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no folder: %v", err)
	}
}

func TestLock(t *testing.T) {
	root, dir := open(t)
	unlock, err := Lock(root, ".lock")
	if err != nil {
		t.Fatal(err)
	}
	other, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	took, second := make(chan struct{}), make(chan error)
	go func() {
		unlock, err := Lock(other, ".lock")
		close(took)
		if err == nil {
			unlock()
		}
		second <- err
	}()
	select {
	case <-took:
		t.Error("two have it")
	default:
	}
	unlock()
	if err := <-second; err != nil {
		t.Error(err)
	}
}
