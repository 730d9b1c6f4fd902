package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ListenUnix listens on a Unix socket at path that those may connect to whom
// mode and gid let; gid -1 leaves the group. Its folder is made (0755) if it is
// missing; one that others than its owner can write to is refused, as whoever
// can write there can put a socket of his own in the place. A path that still
// answers is never taken over, and nothing but a stale socket is replaced. The
// socket comes into being in a folder that nobody else can enter and is moved
// into place when its mode and group are set, so it is never open wider.
func ListenUnix(ctx context.Context, path string, mode fs.FileMode, gid int) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	unlock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(dir, ".") // 0700
	if err != nil {
		return nil, fmt.Errorf("make folder for socket %s: %w", path, err)
	}
	defer os.RemoveAll(private)
	return bindAndMove(filepath.Join(private, "s"), path, mode, gid)
}

func bindAndMove(private, path string, mode fs.FileMode, gid int) (net.Listener, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: private, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	if gid >= 0 {
		err = os.Chown(private, -1, gid)
	}
	if err == nil {
		err = os.Chmod(private, mode.Perm())
	}
	if err == nil {
		err = os.Link(private, path) // unlike a rename, it never replaces
	}
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	self, err := os.Lstat(path)
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return &unixListener{UnixListener: l, path: path, self: self}, nil
}

// unixListener removes its socket when it is closed, if it is still its own.
type unixListener struct {
	*net.UnixListener
	path string
	self fs.FileInfo
	once sync.Once
}

// Addr is where the socket is found.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close stops listening and removes the socket.
func (l *unixListener) Close() error {
	err := l.UnixListener.Close()
	l.once.Do(func() {
		if now, statErr := os.Lstat(l.path); statErr == nil && os.SameFile(now, l.self) {
			_ = os.Remove(l.path)
		}
	})
	return err
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
		return fmt.Errorf("folder %s belongs to another user: give the socket a folder of root's", dir)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("folder %s can be written to by others (mode %04o): chmod 0755 it, or give the socket a folder of its own", dir, info.Mode().Perm())
	}
	return nil
}

// lockFolder keeps another start of ours from working on the same folder.
func lockFolder(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("lock folder %s: %w", dir, err)
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("lock folder %s: %w", dir, err)
	}
	return func() { _ = d.Close() }, nil
}

// removeStale removes a socket that nobody answers on.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at %s: %w", path, err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket: it is left alone", path)
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("%s still answers: is another one running?", path)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("%s may still be in use: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale socket %s: %w", path, err)
	}
	return nil
}

// hungUp reports whether the other end of a connection has left altogether,
// not only ended its half: poll(2) says POLLHUP then. Without a descriptor to
// ask the answer is no.
func hungUp(c net.Conn) bool {
	switch inner := c.(type) {
	case *tls.Conn:
		return hungUp(inner.NetConn())
	case *conn:
		return hungUp(inner.Conn)
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true // closed
	}
	gone := true
	_ = raw.Control(func(fd uintptr) { // an error leaves gone: the connection is closed
		fds := []unix.PollFd{{Fd: int32(fd)}} //nolint:gosec // a descriptor is an int
		n, err := unix.Poll(fds, 0)
		gone = err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone
}

// fileLimit is how many files this process may have open.
func fileLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32 // nothing to warn of
	}
	return int(limit.Cur)
}
