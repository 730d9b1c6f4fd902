package gateway

import (
	"errors"
	"io"
	"net"

	"golang.org/x/sys/unix"

	"vitrine/internal/kernel/peercred"
)

// A tunnel that has carried spliceAfter goes on inside the kernel: splice(2) hands the pages of what one socket has
// received to the other, by way of a pipe, and nothing is copied. A dialogue never gets there, and needs no pipe.
const (
	spliceAfter = 1 << 20
	splicePipe  = 256 << 10 // as long as the kernel lets us have it
)

// errNoSplice says that bytes have to be copied; none was moved.
var errNoSplice = errors.New("the kernel cannot splice these")

// splice moves bytes from one connection to another until the sender ends, which is no error. Only Unix sockets without TLS
// can be spliced.
func splice(dst, src net.Conn) error {
	from, to := unixConn(src), unixConn(dst)
	if from == nil || to == nil {
		return errNoSplice
	}
	in, err := from.SyscallConn()
	if err != nil {
		return err
	}
	out, err := to.SyscallConn()
	if err != nil {
		return writeError{err}
	}
	var pipe [2]int
	if unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return errNoSplice // no descriptor is left
	}
	defer func() { _, _ = unix.Close(pipe[0]), unix.Close(pipe[1]) }()
	size, err := unix.FcntlInt(uintptr(pipe[1]), unix.F_SETPIPE_SZ, splicePipe)
	if err != nil {
		size = 64 << 10 // what every pipe has
	}
	for moved := false; ; moved = true {
		var n int
		err := move(in.Read, func(fd int) (err error) {
			n, err = spliceOnce(fd, pipe[1], size)
			return err
		})
		switch {
		case !moved && errors.Is(err, unix.EINVAL):
			return errNoSplice
		case err != nil:
			return err
		case n == 0:
			return nil
		}
		for n > 0 {
			var done int
			err := move(out.Write, func(fd int) (err error) {
				done, err = spliceOnce(pipe[0], fd, n)
				return err
			})
			if err == nil && done == 0 {
				err = io.ErrShortWrite
			}
			if err != nil {
				return writeError{err}
			}
			n -= done
		}
	}
}

func spliceOnce(from, to, most int) (int, error) {
	n, err := unix.Splice(from, nil, to, nil, most, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
	return int(n), err
}

// move calls f with a descriptor as soon as that is ready.
func move(ready func(func(fd uintptr) bool) error, f func(fd int) error) (err error) {
	if waited := ready(func(fd uintptr) bool {
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			err = f(int(fd))
		}
		return !errors.Is(err, unix.EAGAIN)
	}); waited != nil {
		return waited
	}
	return err
}

// unixConn is what carries a connection, if that is a Unix socket and nothing else: what speaks TLS on one is a connection of its own.
func unixConn(c net.Conn) *net.UnixConn {
	switch c := c.(type) {
	case *conn:
		return unixConn(c.Conn)
	case *peercred.Conn:
		return c.UnixConn
	case *net.UnixConn:
		return c
	}
	return nil
}
