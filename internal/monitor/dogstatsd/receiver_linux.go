package dogstatsd

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"vitrine/internal/kernel/peercred"
)

// Sizes of a receiver. The small ancillary buffer holds the time and the
// credentials, the large one a pidfd as well. The kernel makes that descriptor only if it fits, so
// that the buffer's size says for which datagrams it does: it costs as much as
// the datagram itself.
const (
	batchMost = 64
	oobSmall  = 64
	oobLarge  = 88
)

// Pidfds per second that a receiver takes, and how many it saves up. Below that
// rate every sender is known even if it exits at once; above it, a sender that is
// new must live until its datagram is read.
const (
	pidfdsPerSecond = 5000
	pidfdsSaved     = 500
	// A receiver that has few left waits no longer than this for a datagram, as it
	// has more by then.
	pidfdsWait = 20 * time.Millisecond
)

// receiver reads datagrams from one socket. One goroutine runs it.
type receiver struct {
	s       *Server
	fd      int
	remove  func() // the socket's file; nil for UDP
	counts  *transport
	worker  worker
	senders *clients // nil for UDP
	pidfds  bool     // the kernel passes them (Linux 6.5)
	// queue is how many datagrams the kernel holds for a Unix socket
	// (net.unix.max_dgram_qlen); 0 if not known.
	queue    int
	inOneGo  int    // datagrams since the queue was last found empty
	overflow uint32 // datagrams lost so far, by SO_RXQ_OVFL
	stopped  atomic.Bool

	msgs [batchMost]mmsghdr
	iovs [batchMost]unix.Iovec
	oob  [batchMost][oobLarge + 8]byte
	bufs []byte

	saved  float64 // pidfds
	savedT time.Time
	short  bool // the receiver waits for pidfdsWait at most
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

func (s *Server) newReceiver(fd int, t *transport) *receiver {
	r := &receiver{s: s, fd: fd, counts: t, worker: worker{s: s}, bufs: make([]byte, batchMost*s.cfg.MaxPacket), saved: pidfdsSaved, savedT: time.Now()}
	for i := range r.msgs {
		r.iovs[i].Base = &r.bufs[i*s.cfg.MaxPacket]
		r.iovs[i].SetLen(s.cfg.MaxPacket)
		r.msgs[i].hdr.Iov = &r.iovs[i]
		r.msgs[i].hdr.SetIovlen(1)
		r.msgs[i].hdr.Control = &r.oob[i][0]
	}
	return r
}

// run reads until interrupt. It blocks in the system call, not in Go's poller:
// with so short a queue the way through that would be felt by senders.
func (r *receiver) run() error {
	used, large := batchMost, 0
	for {
		large = r.prepare(used, large)
		r.waitShort(r.pidfds && large < batchMost)
		n, err := r.recv()
		switch {
		case r.stopped.Load():
			return nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		case err != nil:
			return fmt.Errorf("receive datagrams: %w", err)
		}
		r.batch(n)
		used = n
		r.saved -= float64(min(n, large))
	}
}

// prepare makes the used headers ready again, and the first few of them ready
// for a pidfd.
func (r *receiver) prepare(used, wasLarge int) int {
	large := 0
	if r.pidfds {
		now := time.Now()
		r.saved = min(pidfdsSaved, r.saved+now.Sub(r.savedT).Seconds()*pidfdsPerSecond)
		r.savedT = now
		large = min(batchMost, int(r.saved))
	}
	for i := range max(used, wasLarge, large) {
		if i < large {
			r.msgs[i].hdr.SetControllen(oobLarge)
		} else {
			r.msgs[i].hdr.SetControllen(oobSmall)
		}
	}
	return large
}

// waitShort sets how long recv waits. A receiver under load stays with the short one.
func (r *receiver) waitShort(short bool) {
	if short == r.short {
		return
	}
	var most unix.Timeval
	if short {
		most = unix.NsecToTimeval(pidfdsWait.Nanoseconds())
	}
	if unix.SetsockoptTimeval(r.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &most) == nil {
		r.short = short
	}
}

// recv waits for datagrams and takes all that are there, up to a batch. [unix.EAGAIN]
// says that there were none for the time that waitShort has set.
func (r *receiver) recv() (int, error) {
	//nolint:gosec // x/sys has no wrapper; the headers are the receiver's and stay where they are
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&r.msgs[0])), batchMost, unix.MSG_WAITFORONE, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (r *receiver) batch(n int) {
	if r.senders != nil {
		r.senders.reap()
		r.watchQueue(n)
	}
	var bytes uint64
	for i := range n {
		bytes += uint64(r.msgs[i].n)
		r.datagram(i)
	}
	r.counts.packets.Add(uint64(n)) //nolint:gosec // at most a batch
	r.counts.bytes.Add(bytes)
}

// watchQueue notices that more was read in one go than the queue holds: it was
// full, and may have been full for others who did not wait.
func (r *receiver) watchQueue(n int) {
	r.inOneGo += n
	if r.queue > 0 && r.inOneGo > r.queue {
		r.counts.full.Add(1)
		r.inOneGo = 0
	}
	if n < batchMost { // nothing was left
		r.inOneGo = 0
	}
}

// datagram takes one of the batch.
func (r *receiver) datagram(i int) {
	m := &r.msgs[i]
	start := i * r.s.cfg.MaxPacket
	packet := r.bufs[start : start+int(m.n)]
	if m.hdr.Flags&unix.MSG_TRUNC != 0 { // what was cut off may have made another line of the last one
		r.counts.truncated.Add(1)
		packet = packet[:bytes.LastIndexByte(packet, '\n')+1]
	}
	if m.hdr.Controllen > oobLarge {
		return // cannot be
	}
	a := parseAncillary(r.oob[i][:m.hdr.Controllen])
	if r.senders == nil {
		if lost := a.overflow - r.overflow; a.hasOverflow && lost > 0 {
			r.counts.lost.Add(uint64(lost))
			r.overflow = a.overflow
		}
		r.worker.deliver(packet, unnamed, r.counts)
		return
	}
	if o := r.origin(&a, packet); o != nil {
		r.worker.deliver(packet, o, r.counts)
	}
}

// origin says where a packet is from. It returns nil if the packet was kept
// until that is known.
func (r *receiver) origin(a *ancillary, packet []byte) *Origin {
	pid := a.cred.Pid
	switch {
	case !a.hasCred:
		closePidfd(a.pidfd)
		return nowhere
	case pid == 0:
		closePidfd(a.pidfd)
		return r.s.unseen()
	}
	if d := r.senders.find(pid, a.sent); d != nil {
		closePidfd(a.pidfd)
		return r.ofSender(d, packet)
	}
	if a.pidfd >= 0 {
		return r.pinned(a, packet)
	}
	if r.senders.byPID[pid] != nil {
		return nowhere
	}
	d := byNumber(&a.cred)
	switch {
	case d == nil:
		return nowhere
	case !r.senders.add(pid, d):
		d.forget()
		return nowhere
	case !d.sentAt(a.sent):
		return nowhere
	}
	return r.s.resolver.hold(d, packet)
}

// ofSender is the origin of a sender that is known.
func (r *receiver) ofSender(d *client, packet []byte) *Origin {
	if o := d.origin.Load(); o != nil && !r.s.resolver.stale(d, o) {
		return o
	}
	return r.s.resolver.hold(d, packet)
}

// pinned is the origin of a sender that is not known, and has a pidfd of its own.
func (r *receiver) pinned(a *ancillary, packet []byte) *Origin {
	inode := r.senders.inode(a.pidfd)
	if d := r.senders.exited.find(inode); d != nil {
		closePidfd(a.pidfd)
		return r.ofSender(d, packet)
	}
	d := &client{peer: peercred.FromPidfd(a.pidfd, int(a.cred.Pid), a.cred.Uid, a.cred.Gid), inode: inode}
	if r.senders.add(a.cred.Pid, d) {
		return r.s.resolver.hold(d, packet)
	}
	if d.peer.Alive() != nil {
		d.peer.Release()
		r.senders.exited.add(d)
		return r.s.resolver.hold(d, packet)
	}
	o := r.s.resolver.hold(d, packet)
	d.forget()
	return o
}

func (r *receiver) interrupt() {
	r.stopped.Store(true)
	_ = unix.Shutdown(r.fd, unix.SHUT_RD) // wakes the reader, also where it returns an error (UDP)
}

func (r *receiver) close() {
	if r.remove != nil {
		r.remove()
	}
	_ = unix.Close(r.fd)
	if r.senders != nil {
		r.senders.close()
	}
}
