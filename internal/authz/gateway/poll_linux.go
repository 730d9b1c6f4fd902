package gateway

import (
	"crypto/tls"
	"math"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

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
	return onDescriptor(c, func(fd int) bool {
		fds := []unix.PollFd{{Fd: int32(fd)}} //nolint:gosec // a descriptor is an int
		n, err := unix.Poll(fds, 0)
		return err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
}

// leftSilently reports whether the other end has ended its half without having
// sent anything: no request can come any more.
func leftSilently(c net.Conn) bool {
	return onDescriptor(c, func(fd int) bool {
		var b [1]byte
		n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return err == nil && n == 0
	})
}

// arrived reports whether so many bytes, a few, wait to be read.
func arrived(c net.Conn, few int) bool {
	return onDescriptor(c, func(fd int) bool {
		var b [8]byte
		n, _, err := unix.Recvfrom(fd, b[:few], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return err == nil && n == few
	})
}

// onDescriptor asks of a connection's descriptor. A connection that we have closed is
// what was asked for; one without a descriptor is not.
func onDescriptor(c net.Conn, holds func(fd int) bool) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	is := true
	if raw, err := sc.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { is = holds(int(fd)) })
	}
	return is
}

// fileLimit is how many files this process may have open.
func fileLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt32 // nothing to warn of
	}
	return int(limit.Cur) //nolint:gosec // the kernel's own bound of it, fs.nr_open, is an int
}
