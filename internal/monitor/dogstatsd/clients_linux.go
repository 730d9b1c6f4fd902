package dogstatsd

import (
	"time"

	"golang.org/x/sys/unix"

	"vitrine/internal/kernel/peercred"
)

// clients are the processes that a receiver has seen, by PID. A PID is believed
// only while the pidfd behind it shows the process alive after a datagram was
// received: alive then, the number was never given to another since the pidfd was
// taken, so whoever sent the datagram under that number was this process.
type clients struct {
	byPID map[int32]*client
	epoll int // of all pidfds; they become readable when their process exits
	most  int
	batch uint64

	pidfs  bool // pidfds have inodes of their own
	exited exited

	events [64]unix.EpollEvent
}

func newClients(most int) (*clients, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &clients{byPID: map[int32]*client{}, epoll: fd, most: most, pidfs: hasPidfs()}, nil
}

// hasPidfs says that a pidfd's inode is that of its process, and never another's
// (Linux 6.9). Before that all pidfds had the same.
func hasPidfs() bool {
	fd, err := unix.PidfdOpen(unix.Getpid(), 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Statfs_t
	return unix.Fstatfs(fd, &st) == nil && st.Type == unix.PID_FS_MAGIC
}

// inode is what tells the process of a pidfd from all others; 0 if nothing does.
func (x *clients) inode(pidfd int) uint64 {
	var st unix.Stat_t
	if !x.pidfs || unix.Fstat(pidfd, &st) != nil {
		return 0
	}
	return st.Ino
}

// exited are processes that were found to have exited, by the inodes of their
// pidfds: each further datagram would be a new sender's otherwise. They hold no
// descriptors. It keeps the last few of the last few seconds.
type exited struct {
	now, before map[uint64]*client
	since       time.Time
}

const (
	exitedMost = 1024
	exitedKept = 2 * time.Second
)

func (x *exited) find(inode uint64) *client {
	if d := x.now[inode]; d != nil {
		return d
	}
	return x.before[inode]
}

func (x *exited) add(d *client) {
	if d.inode == 0 {
		return
	}
	if now := time.Now(); x.now == nil || len(x.now) >= exitedMost/2 || now.Sub(x.since) > exitedKept {
		x.now, x.before, x.since = map[uint64]*client{}, x.now, now
	}
	x.now[d.inode] = d
}

// reap forgets the processes that have exited. Call it after each batch, before
// any of its datagrams is attributed.
func (x *clients) reap() {
	x.batch++
	for {
		n, err := unix.EpollWait(x.epoll, x.events[:], 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil { // nobody can be believed
			for pid := range x.byPID {
				x.forget(pid)
			}
			return
		}
		for _, e := range x.events[:n] {
			if d := x.byPID[e.Fd]; d != nil {
				x.exited.add(d) // datagrams of its that were read late
			}
			x.forget(e.Fd)
		}
		if n < len(x.events) {
			return
		}
	}
}

// find returns the process that sent a datagram of the last batch under a PID,
// at a time since 1970; nil if that is not certain.
func (x *clients) find(pid int32, sent int64) *client {
	d := x.byPID[pid]
	if d == nil || !d.sentAt(sent) {
		return nil
	}
	if d.seen != x.batch {
		d.seen = x.batch
		// Without a pidfd (before Linux 5.3) the start time is read again.
		if d.peer.Pidfd() < 0 && d.peer.Alive() != nil {
			x.forget(pid)
			return nil
		}
	}
	return d
}

// add remembers a process. It does not if the process has exited: the number
// may be another's by now.
func (x *clients) add(pid int32, d *client) bool {
	if d.peer.Alive() != nil {
		return false
	}
	if fd := d.peer.Pidfd(); fd >= 0 {
		if unix.EpollCtl(x.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: pid}) != nil {
			return false
		}
	}
	x.forget(pid)
	if len(x.byPID) >= x.most {
		x.forget(x.oldest())
	}
	d.seen = x.batch
	x.byPID[pid] = d
	return true
}

// oldest is one that has not sent for long: the oldest of a few, as the order of
// a map is random.
func (x *clients) oldest() int32 {
	var found int32
	left, batch := 16, ^uint64(0)
	for pid, d := range x.byPID {
		if d.seen < batch {
			found, batch = pid, d.seen
		}
		if left--; left == 0 {
			break
		}
	}
	return found
}

func (x *clients) forget(pid int32) {
	d := x.byPID[pid]
	if d == nil {
		return
	}
	delete(x.byPID, pid)
	if fd := d.peer.Pidfd(); fd >= 0 {
		_ = unix.EpollCtl(x.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	}
	d.forget()
}

func (x *clients) close() {
	for pid := range x.byPID {
		x.forget(pid)
	}
	_ = unix.Close(x.epoll)
}

// ticksPerSecond is USER_HZ, the unit of start times in /proc: 100 on every
// architecture that Go runs on.
const ticksPerSecond = 100

// byNumber pins the process that has the number now, which began before the end of
// the tick of its start time.
func byNumber(c *unix.Ucred) *client {
	peer := peercred.FromPID(int(c.Pid), c.Uid, c.Gid)
	start := peer.Start()
	if start == 0 {
		return nil
	}
	return &client{peer: peer, born: int64(start+1) * (1e9 / ticksPerSecond)} //nolint:gosec // centuries fit
}

// sentAt says that the process was there when a datagram with its number was
// sent. For a process that is pinned by the number alone that is to be shown once: a queue
// may hold datagrams of a process that had the number before, and none of these comes after.
// The kernel's time of a datagram is the wall clock's; while that clock is set back, a
// process that has just ended might be taken for its successor.
func (d *client) sentAt(sent int64) bool {
	if d.born == 0 {
		return true
	}
	var wall, boot unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_REALTIME, &wall) != nil {
		return false
	}
	if sent == 0 || sent-(wall.Nano()-boot.Nano()) < d.born {
		return false
	}
	d.born = 0
	return true
}
