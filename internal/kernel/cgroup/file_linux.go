package cgroup

import (
	"errors"

	"golang.org/x/sys/unix"

	"vitrine/internal/kernel/procfs"
)

// fileBudget leaves a quarter of RLIMIT_NOFILE to sockets and all else.
func fileBudget() int {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0
	}
	return int(min(lim.Cur, 1<<20)) / 4 * 3
}

// openFile opens for reading without os.File: the runtime would put each file
// into its epoll set (kernfs files can be polled), and be woken for nothing. The
// name ends with a zero byte.
func openFile(name []byte) (int, error) {
	fd, err := procfs.Open(name)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EOPNOTSUPP): // the last one: a kernel with psi=0
		return -1, errAbsent
	case errors.Is(err, unix.ENODEV):
		return -1, ErrRemoved
	}
	return fd, err
}

func openFolder(name string) (int, error) {
	return unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

func readFile(fd int, to []byte) (int, error) {
	for {
		n, err := unix.Pread(fd, to, 0)
		switch err {
		case unix.EINTR:
			continue
		case nil:
			return n, nil
		case unix.ENODEV:
			return 0, ErrRemoved
		case unix.EOPNOTSUPP:
			return 0, errAbsent
		}
		return 0, err
	}
}

func closeFile(fd int) { _ = unix.Close(fd) }

// linkCount fails on a descriptor of -1.
func linkCount(fd int) (uint64, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return uint64(st.Nlink), err //nolint:unconvert // its type differs between architectures
}
