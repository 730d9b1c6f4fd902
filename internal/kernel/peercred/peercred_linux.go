package peercred

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"vitrine/internal/kernel/procfs"
)

type cred struct {
	pid      int
	uid, gid uint32
}

// credentials is SO_PEERCRED of unix(7).
func credentials(fd int) (cred, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return cred{}, fmt.Errorf("SO_PEERCRED: %w", err)
	}
	if c.Uid == ^uint32(0) { // not a connected Unix socket: the kernel answers -1
		return cred{}, ErrNoCredentials
	}
	return cred{pid: int(c.Pid), uid: c.Uid, gid: c.Gid}, nil
}

// groups is SO_PEERGROUPS (Linux 4.13). A buffer that is too small is ERANGE,
// and the length is then the one that is needed.
func groups(fd int) ([]uint32, error) {
	const size = uint32(unsafe.Sizeof(uint32(0)))
	for room := uint32(64); ; {
		buf := make([]uint32, room)
		n := room * size
		//nolint:gosec // x/sys has no wrapper; both pointers are used during the call only
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(unsafe.Pointer(&n)), 0)
		switch {
		case errno == 0:
			return buf[:min(n/size, room)], nil
		case errno == unix.ERANGE && n/size > room:
			room = n / size
		default:
			return nil, noGroups(errno)
		}
	}
}

// noGroups is nil where the kernel has none to tell of.
func noGroups(errno unix.Errno) error {
	if errno == unix.ENOPROTOOPT || errno == unix.ENODATA {
		return nil
	}
	return fmt.Errorf("SO_PEERGROUPS: %w", errno)
}

// socketPidfd is SO_PEERPIDFD (Linux 6.5): the very process that connected.
// Kernels that have not got it say errors.ErrUnsupported; of a process that was
// reaped they say ESRCH, or EINVAL before 6.16. On an error the kernel's integer
// is 0, which would be a descriptor of somebody else.
func socketPidfd(fd int) (int, error) {
	pidfd, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if err != nil {
		return -1, noPidfd(err)
	}
	return pidfd, nil
}

func noPidfd(err error) error {
	switch {
	case errors.Is(err, unix.ENOPROTOOPT):
		return errors.ErrUnsupported
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EINVAL):
		return procfs.ErrDead
	}
	return fmt.Errorf("SO_PEERPIDFD: %w", err)
}

// openPidfd is pidfd_open(2) (Linux 5.3); -1 if there is none to be had.
func openPidfd(pid int) int {
	pidfd, _ := unix.PidfdOpen(pid, 0) // -1 along with an error, as every system call
	return pidfd
}

// alive polls a pidfd: it becomes readable when the process exits, a zombie
// included. Anything but a clear "not yet" is an error. Of -1 nothing is heard, ever.
func alive(pidfd int) error {
	fds := [1]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}} //nolint:gosec // descriptors are small
	for {
		n, err := unix.Poll(fds[:], 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("poll pidfd: %w", err)
		case n != 0:
			return procfs.ErrDead
		}
		return nil
	}
}

// cgroupID is PIDFD_GET_INFO of ioctl_pidfd(2). A process that has exited, and
// was reaped, needs PIDFD_INFO_EXIT to be asked about. The kernel looks for what it
// has left first, and then for the process: it misses both (ESRCH) if it is reaped in between.
func cgroupID(pidfd int) (uint64, bool) {
	return cgroupIn(func() (in unix.PidfdInfo, err error) {
		in.Mask = unix.PIDFD_INFO_CGROUPID | unix.PIDFD_INFO_EXIT
		err = unix.IoctlPidfdInfo(pidfd, &in)
		return in, err
	})
}

func cgroupIn(ask func() (unix.PidfdInfo, error)) (uint64, bool) {
	in, err := ask()
	if errors.Is(err, unix.ESRCH) {
		in, err = ask()
	}
	if err != nil || in.Mask&unix.PIDFD_INFO_CGROUPID == 0 {
		return 0, false
	}
	return in.Cgroupid, in.Cgroupid != 0
}

func closeFD(fd int) { _ = unix.Close(fd) } // a pidfd has nothing to lose on close
