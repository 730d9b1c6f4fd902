// Package ownfile keeps files in folders that are ours alone.
//
// What stands in such a file decides what others may do, so it is believed only if nobody
// else can have written it: folder and file belong to the user that we run as, and
// neither group nor others may write to them. The folder is opened once, and the file in it,
// whatever the path means by then. We do not make the folder: by making it, who sets
// us up says that there is a place which lasts.
package ownfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// OpenFolder opens a folder, if it is ours alone. fs.ErrNotExist: there is none.
func OpenFolder(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err == nil {
		err = onlyOurs(info)
	}
	if err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return root, nil
}

// Read gives a file of the folder, if it is ours alone, regular, and no longer than most
// bytes. fs.ErrNotExist: there is none.
func Read(folder *os.Root, name string, most int64) ([]byte, error) {
	// Not blocking: to open a pipe would wait for its other end. A link leads nowhere outside the folder.
	f, err := folder.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("it is no regular file")
	default:
		err = onlyOurs(info)
	}
	var raw []byte
	if err == nil {
		raw, err = io.ReadAll(io.LimitReader(f, most+1))
	}
	if err == nil && int64(len(raw)) > most {
		err = fmt.Errorf("it is larger than %d bytes", most)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(folder.Name(), name), err)
	}
	return raw, nil
}

// Replace writes a file so that it is the old one or the new one at each moment, also
// after a crash.
func Replace(folder *os.Root, name string, raw []byte) error {
	beside := name + ".new"
	if err := folder.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := folder.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := folder.Rename(beside, name); err != nil {
		return err
	}
	dir, err := folder.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Lock waits until nobody else has locked a file of the folder, and locks it until unlock is called. The file is there for that, and nobody but us
// can open it: who can open a file can lock it, and for reading anybody can open the folder.
func Lock(folder *os.Root, name string) (unlock func(), err error) {
	f, err := folder.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("it is no regular file")
	case info.Mode().Perm()&0o077 != 0:
		err = fmt.Errorf("others may open it (mode %04o): remove it", info.Mode().Perm())
	default:
		err = onlyOurs(info)
	}
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", filepath.Join(folder.Name(), name), err)
	}
	return func() { _ = f.Close() }, nil
}

// onlyOurs objects to what others than we could have written.
func onlyOurs(info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return errors.New("it cannot be told whose it is")
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("it belongs to uid %d, not to %d, which we run as", st.Uid, os.Geteuid())
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others may write to it (mode %04o)", info.Mode().Perm())
	}
	return nil
}
