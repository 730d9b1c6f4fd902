package unixsocket

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// backlog is cut by the kernel to net.core.somaxconn.
const backlog = 4096

func listen(fd int) error { return unix.Listen(fd, backlog) }

func closeFD(fd int) { _ = unix.Close(fd) }

func bind(kind int, path string) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	refuseRights(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// refuseRights has the kernel refuse descriptors that a client passes along (Linux 6.16), on connections to a listener, too. Nobody here takes any, and to read past the
// last one of a socket that lingers, or to close it, lasts as long as its maker likes, whatever deadline there is.
func refuseRights(fd int) { _ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0) }

// connect tries whether somebody is there, and does not wait.
func connect(kind int, path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}

// lockWait is far longer than a start of ours needs the folder.
const lockWait = time.Second

// lock keeps another start of ours from working on the same folder. Whoever can read a
// folder can lock it, and containers have it mounted: one that holds the lock
// for long is none of ours, and is not waited for.
func lock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("lock folder %s: %w", dir, err)
	}
	for end := time.Now().Add(lockWait); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil, errors.Is(err, unix.EWOULDBLOCK) && time.Now().After(end):
			return func() { _ = d.Close() }, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			_ = d.Close()
			return nil, fmt.Errorf("lock folder %s: %w", dir, err)
		}
	}
}
