package dogstatsd

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ancillary is what the kernel tells along with a datagram.
type ancillary struct {
	cred        unix.Ucred
	hasCred     bool
	sent        int64 // nanoseconds since 1970
	pidfd       int   // -1: none
	overflow    uint32
	hasOverflow bool
}

// parseAncillary reads control messages, see cmsg(3), and closes descriptors
// that the sender has passed. It allocates nothing, unlike x/sys/unix's parser.
func parseAncillary(b []byte) ancillary {
	a := ancillary{pidfd: -1}
	for len(b) >= unix.SizeofCmsghdr {
		h := as[unix.Cmsghdr](b)
		if h.Len < unix.SizeofCmsghdr || uint64(h.Len) > uint64(len(b)) {
			return a
		}
		data := b[unix.CmsgLen(0):h.Len]
		if h.Level == unix.SOL_SOCKET {
			a.take(h.Type, data)
		}
		b = b[min(len(b), unix.CmsgSpace(len(data))):]
	}
	return a
}

func (a *ancillary) take(kind int32, data []byte) {
	switch {
	case kind == unix.SCM_CREDENTIALS && len(data) >= unix.SizeofUcred:
		a.cred, a.hasCred = as[unix.Ucred](data), true
	case kind == unix.SCM_PIDFD && len(data) >= 4:
		closePidfd(a.pidfd)
		a.pidfd = int(as[int32](data))
	case kind == unix.SO_TIMESTAMPNS && len(data) >= sizeofTimespec:
		ts := as[unix.Timespec](data)
		a.sent = ts.Nano()
	case kind == unix.SO_RXQ_OVFL && len(data) >= 4:
		a.overflow, a.hasOverflow = as[uint32](data), true
	case kind == unix.SCM_RIGHTS:
		for ; len(data) >= 4; data = data[4:] {
			closePidfd(int(as[int32](data)))
		}
	}
}

const sizeofTimespec = int(unsafe.Sizeof(unix.Timespec{}))

// as reads a C struct or integer. The data must be long enough, which its callers check.
func as[T any](data []byte) T {
	return *(*T)(unsafe.Pointer(unsafe.SliceData(data))) //nolint:gosec // see above; alignment is the kernel's
}

func closePidfd(fd int) {
	if fd >= 0 {
		_ = unix.Close(fd)
	}
}
