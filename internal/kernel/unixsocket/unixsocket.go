// Package unixsocket makes Unix sockets that are never open wider than asked, not
// even between bind and chmod, and that take no other's place.
//
// The socket's folder is made (0755) if it is missing. One that belongs to somebody else than us or root, or
// that others than its owner can write to, is refused: whoever can write there can put a
// socket of his own in the place. A path that still answers is never taken over, and
// nothing but a stale socket is replaced. The socket comes into being in a folder that
// nobody else can enter, and is moved into place when its mode and group are set.
//
// Who is on the other end of a connection is not asked here.
package unixsocket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// File says where a socket is to be found, and whom it lets in.
type File struct {
	Path string
	Mode fs.FileMode // who may write to it may connect and send
	GID  int         // its group; -1 leaves it as it comes
}

// Listen listens on a stream socket. Closing the listener removes the file, if it
// is still its own.
func Listen(at File) (net.Listener, error) {
	fd, remove, err := Bind(syscall.SOCK_STREAM, at, listen)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), at.Path)
	l, err := net.FileListener(f)
	_ = f.Close() // the listener has a descriptor of its own
	if err != nil {
		remove()
		return nil, fmt.Errorf("listen on %s: %w", at.Path, err)
	}
	return &listener{UnixListener: l.(*net.UnixListener), path: at.Path, remove: sync.OnceFunc(remove)}, nil
}

type listener struct {
	*net.UnixListener
	path   string
	remove func()
}

// Addr is where the socket is found.
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close removes the socket and stops listening.
func (l *listener) Close() error {
	l.remove()
	return l.UnixListener.Close()
}

// Bind makes a socket of a kind (SOCK_STREAM or SOCK_DGRAM). Before its file is
// where others find it, prepare sets what else the socket needs. The caller owns the
// descriptor, and calls remove before closing it: that removes the file, unless another
// has taken its place, which the inode's number tells only as long as the socket holds it.
func Bind(kind int, at File, prepare func(fd int) error) (fd int, remove func(), err error) {
	dir := filepath.Dir(at.Path)
	if err := makeFolder(dir); err != nil {
		return -1, nil, err
	}
	unlock, err := lock(dir)
	if err != nil {
		return -1, nil, err
	}
	defer unlock()
	if err := removeStale(kind, at.Path); err != nil {
		return -1, nil, err
	}
	private, err := os.MkdirTemp(dir, ".") // 0700
	if err != nil {
		return -1, nil, fmt.Errorf("make folder for socket %s: %w", at.Path, err)
	}
	defer os.RemoveAll(private)
	fd, err = bind(kind, filepath.Join(private, "s"))
	if err == nil {
		if err = place(fd, filepath.Join(private, "s"), at, prepare); err != nil {
			closeFD(fd)
		}
	}
	if err != nil {
		return -1, nil, fmt.Errorf("listen on %s: %w", at.Path, err)
	}
	self, err := os.Lstat(at.Path)
	if err != nil {
		closeFD(fd)
		return -1, nil, fmt.Errorf("listen on %s: %w", at.Path, err)
	}
	return fd, func() {
		if now, err := os.Lstat(at.Path); err == nil && os.SameFile(now, self) {
			_ = os.Remove(at.Path)
		}
	}, nil
}

func place(fd int, private string, at File, prepare func(fd int) error) error {
	if at.GID >= 0 {
		if err := os.Chown(private, -1, at.GID); err != nil {
			return err
		}
	}
	if err := os.Chmod(private, at.Mode.Perm()); err != nil {
		return err
	}
	if err := prepare(fd); err != nil {
		return err
	}
	return os.Link(private, at.Path) // unlike a rename, it never replaces
}

// makeFolder makes dir, or checks that only its owner, we or root, can write to it.
func makeFolder(dir string) error {
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // callers must be able to enter
			return fmt.Errorf("make folder of %s: %w", dir, err)
		}
		if err = os.Mkdir(dir, 0o700); err == nil {
			err = os.Chmod(dir, 0o755) //nolint:gosec // callers must be able to enter, whatever the umask is
		}
		if err != nil {
			return fmt.Errorf("make folder %s: %w", dir, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at folder %s: %w", dir, err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder (a symbolic link is not followed)", dir)
	case !ok || owner.Uid != 0 && int(owner.Uid) != os.Geteuid():
		return fmt.Errorf("folder %s belongs to another user: give the socket a folder of ours or root's", dir)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("folder %s can be written to by others (mode %04o): chmod 0755 it, or give the socket a folder of its own", dir, info.Mode().Perm())
	}
	return nil
}

// removeStale removes a socket that nobody answers on.
func removeStale(kind int, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at %s: %w", path, err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket: it is left alone", path)
	}
	switch err := connect(kind, path); {
	case err == nil || errors.Is(err, syscall.EAGAIN): // a full queue is somebody's
		return fmt.Errorf("%s still answers: is another one running?", path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s may still be in use: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale socket %s: %w", path, err)
	}
	return nil
}
