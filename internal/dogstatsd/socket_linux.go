package dogstatsd

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// socketFile is the file of a socket that we have bound.
type socketFile struct {
	path       string
	dev, inode uint64
}

// remove removes the file, unless another has taken its place.
func (f *socketFile) remove() {
	var st unix.Stat_t
	if f != nil && unix.Lstat(f.path, &st) == nil && uint64(st.Dev) == f.dev && st.Ino == f.inode {
		_ = os.Remove(f.path)
	}
}

// bindUnix makes a socket whose file is never wider open than asked: it is made
// in a folder of our own, given its mode and group, and then moved to its place,
// where it replaces a stale socket at one stroke.
func bindUnix(kind int, at Socket, prepare func(fd int) error) (fd int, file *socketFile, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("listen on %s: %w", at.Path, err)
		}
	}()
	if err := stale(kind, at.Path); err != nil {
		return -1, nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(at.Path), ".new-")
	if err != nil {
		return -1, nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	fd, err = unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, err
	}
	file, err = place(fd, filepath.Join(dir, "s"), at, prepare)
	if err != nil {
		_ = unix.Close(fd)
		return -1, nil, err
	}
	return fd, file, nil
}

func place(fd int, path string, at Socket, prepare func(fd int) error) (*socketFile, error) {
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, err
	}
	if at.GID != 0 {
		if err := os.Lchown(path, -1, at.GID); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(path, at.Mode.Perm()); err != nil {
		return nil, err
	}
	if err := prepare(fd); err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return nil, err
	}
	if err := os.Rename(path, at.Path); err != nil {
		return nil, err
	}
	return &socketFile{at.Path, uint64(st.Dev), st.Ino}, nil
}

// stale says that a path may be taken: nothing is there, or a socket that
// nobody listens on.
func stale(kind int, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is a file that is not a socket")
	}
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); !errors.Is(err, unix.ECONNREFUSED) {
		return errors.New("another process listens there")
	}
	return nil
}

// listenStream opens the stream socket.
func listenStream(at Socket) (net.Listener, *socketFile, error) {
	fd, file, err := bindUnix(unix.SOCK_STREAM, at, func(fd int) error { return unix.Listen(fd, 128) })
	if err != nil {
		return nil, nil, err
	}
	f := os.NewFile(uintptr(fd), at.Path)
	defer func() { _ = f.Close() }()
	l, err := net.FileListener(f)
	if err != nil {
		file.remove()
		return nil, nil, fmt.Errorf("listen on %s: %w", at.Path, err)
	}
	return l, file, nil
}
