package unixsocket

import (
	"fmt"
	"os"

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
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// connect tries whether somebody is there, and does not wait.
func connect(kind int, path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}

// lock keeps another start of ours from working on the same folder.
func lock(dir string) (unlock func(), err error) {
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
