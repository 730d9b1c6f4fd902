package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// openForWriting reports whether somebody has f open for writing: then the kernel
// gives nobody a lease for reading. Those who could make it say so can write the
// policy. Where it cannot tell (a file of another user's, a network file system)
// the answer is no, and what is left is that the file must be quiet.
func openForWriting(f fs.File) bool {
	file, ok := f.(syscall.Conn)
	if !ok {
		return false // compiled in
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return false
	}
	var busy bool
	_ = conn.Control(func(fd uintptr) {
		_, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK)
		if busy = errors.Is(err, unix.EAGAIN); err == nil {
			_, _ = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK) // at once: whoever wants to write waits meanwhile
		}
	})
	return busy
}

// change is what the file system says of a file's latest change: which file it is,
// how long, and when it was last written to, renamed or linked.
func change(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "" // compiled in
	}
	return fmt.Sprint(st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim)
}
