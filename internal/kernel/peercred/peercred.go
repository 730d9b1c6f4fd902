// Package peercred says what the kernel knows of the process at the other end
// of a Unix socket: credentials, groups and a pidfd that pins the process.
//
// Credentials are those of connect(2): a descriptor that was passed on, socat
// or ssh -L act as who connected. Nothing here is said by the peer itself. A
// PID alone identifies nobody, as the kernel gives numbers away again; a Peer
// is pinned when its connection is accepted, by SO_PEERPIDFD (Linux 6.5), else by
// pidfd_open(2), else by its start time. With the latter two a process that
// exits between connect and accept leaves a window in which another one
// with the same number and user id could take its place; it is as long as the
// connection waits to be accepted, so accept at once.
//
// The caller must read facts about Peer.PID first and ask Alive afterwards:
// alive then, the number meant that process all the time. Whatever is not known
// to be alive is not, and the error tells one that has exited (procfs.ErrDead)
// from one that could not be looked at (procfs.Exhausted, for example). Ids may be the
// overflow id of an unmapped user namespace; to tell is the caller's work.
package peercred

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"vitrine/internal/kernel/procfs"
)

// Peer is the process that connected, pinned when the connection was accepted.
type Peer struct {
	UID, GID uint32
	Groups   []uint32 // supplementary groups; nil where the kernel cannot say (before Linux 4.13)
	PID      int      // 0: a process of another PID namespace

	proc procfs.FS

	mu    sync.RWMutex // held while pidfd is in use, so that Close cannot give the number away
	pidfd int          // -1: none
	lost  error        // why it is not pinned; nil if it is
	start uint64       // start time in clock ticks since boot, when the pin is by number; 0: it is not
	// cgroup is what CgroupID was when the descriptor was released; 0: not known.
	cgroup uint64
}

// ErrNoCredentials says that a connection has no peer credentials.
var ErrNoCredentials = errors.New("the connection has no peer credentials")

// ErrReleased says that the Peer was closed: nothing can be said of the process any more.
var ErrReleased = errors.New("the connection is closed")

var errElsewhere = errors.New("the process is of another PID namespace")

// FromConn asks the kernel for the peer of a connected Unix stream socket. Call
// it at once after accept. The Peer holds a descriptor: Close it. A peer that
// could not be pinned (it has exited, or no descriptor is left) is returned all
// the same, and Alive says why it is not.
func FromConn(c net.Conn) (*Peer, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("read peer of a %T: %w", c, ErrNoCredentials)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("read peer: %w", err)
	}
	p := &Peer{proc: procfs.New(os.DirFS("/proc")), pidfd: -1}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = p.read(int(fd)) })
	if err = errors.Join(err, inner); err != nil {
		return nil, fmt.Errorf("read peer: %w", err)
	}
	return p, nil
}

func (p *Peer) read(fd int) error {
	cred, err := credentials(fd)
	if err != nil {
		return err
	}
	p.PID, p.UID, p.GID = cred.pid, cred.uid, cred.gid
	if p.lost = errElsewhere; p.PID != 0 {
		p.pin(socketPidfd(fd))
	}
	p.Groups, err = groups(fd)
	return err
}

// pin ties the Peer to the process. The socket's own pidfd is exact, and where
// the kernel has it but gives none, the number may be another process's by now. Only
// an older kernel makes us start from the number, so the process behind it must
// at least have the user id that connected.
func (p *Peer) pin(pidfd int, err error) {
	switch {
	case err == nil:
		p.pidfd, p.lost = pidfd, nil
	case errors.Is(err, errors.ErrUnsupported):
		p.pinByNumber(openPidfd(p.PID))
	default:
		p.lost = fmt.Errorf("pin pid %d: %w", p.PID, err)
	}
}

// pinByNumber looks at the process between opening its pidfd and asking whether
// it lives: still alive then, what was read was the process of the pidfd.
// Without a pidfd (-1: before Linux 5.3) the start time stands in for it.
func (p *Peer) pinByNumber(pidfd int) {
	start, err := p.lookAt()
	if err == nil {
		err = alive(pidfd)
	}
	switch {
	case err == nil:
		p.pidfd, p.start = pidfd, start
	case pidfd >= 0:
		closeFD(pidfd)
	}
	if p.lost = err; procfs.Gone(err) {
		p.lost = procfs.ErrDead
	}
}

// lookAt returns the start time of the living process with our PID and UID.
func (p *Peer) lookAt() (uint64, error) {
	before, err := p.proc.Stat(p.PID)
	if err != nil {
		return 0, err
	}
	status, err := p.proc.Status(p.PID)
	if err != nil {
		return 0, err
	}
	after, err := p.proc.Stat(p.PID)
	if err != nil {
		return 0, err
	}
	switch {
	case after.Dead():
		return 0, procfs.ErrDead
	case after.Start != before.Start, status.EUID != p.UID:
		return 0, fmt.Errorf("pin pid %d: %w", p.PID, procfs.ErrChanged)
	}
	return before.Start, nil
}

// FromStartTime is a Peer with the given credentials, pinned by the start time
// of process pid in proc: for a kernel without pidfds, and for tests with a
// /proc of their own.
func FromStartTime(proc procfs.FS, pid int, uid, gid uint32, groups []uint32) *Peer {
	p := &Peer{UID: uid, GID: gid, Groups: groups, PID: pid, proc: proc, pidfd: -1}
	p.pinByNumber(-1)
	return p
}

// FromPidfd is the Peer of a datagram with the credentials and the pidfd that
// the kernel passed along with it (SO_PASSCRED, SO_PASSPIDFD of unix(7)). It is pinned
// exactly, even if it has exited. The Peer takes the descriptor over.
func FromPidfd(pidfd, pid int, uid, gid uint32) *Peer {
	return &Peer{UID: uid, GID: gid, PID: pid, proc: procfs.New(os.DirFS("/proc")), pidfd: pidfd}
}

// FromPID is a Peer pinned to the process that has the number now and the user
// id. Whether that is who sent the number is for the caller to establish; see
// [Peer.Start].
func FromPID(pid int, uid, gid uint32) *Peer {
	p := &Peer{UID: uid, GID: gid, PID: pid, proc: procfs.New(os.DirFS("/proc")), pidfd: -1}
	p.pinByNumber(openPidfd(pid))
	return p
}

// Start is when the process started, in clock ticks since boot, for a Peer that
// is pinned by its number: 0 if it could not be pinned, or is pinned exactly.
func (p *Peer) Start() uint64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.start
}

// Pidfd is the descriptor that pins the process, to be polled: it stays the
// Peer's, and is -1 if there is none.
func (p *Peer) Pidfd() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.pidfd
}

// CgroupID is the id of the process's cgroup in the version 2 hierarchy, also
// after it has exited (PIDFD_GET_INFO, Linux 6.13; 6.15 for the exited). After
// Release it is what it was then.
func (p *Peer) CgroupID() (uint64, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.pidfd < 0 {
		return p.cgroup, p.cgroup != 0
	}
	return cgroupID(p.pidfd)
}

// Alive is nil if the process that connected has not exited, so that PID is
// still its number. Otherwise it says why it is not, or cannot be told to be:
// procfs.ErrDead if it has exited.
func (p *Peer) Alive() error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	switch {
	case p.pidfd >= 0:
		return alive(p.pidfd)
	case p.lost != nil:
		return p.lost
	}
	s, err := p.proc.Stat(p.PID)
	switch {
	case procfs.Gone(err), err == nil && (s.Dead() || s.Start != p.start):
		return procfs.ErrDead
	case err != nil:
		return fmt.Errorf("look whether pid %d is still there: %w", p.PID, err)
	}
	return nil
}

// Close gives the descriptor back. It may be called more than once.
func (p *Peer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pidfd >= 0 {
		closeFD(p.pidfd)
	}
	p.pidfd, p.start, p.lost = -1, 0, ErrReleased
}

// Release is Close for a Peer that may still be asked for its cgroup, such as
// one that has exited.
func (p *Peer) Release() {
	if id, ok := p.CgroupID(); ok {
		p.mu.Lock()
		p.cgroup = id
		p.mu.Unlock()
	}
	p.Close()
}
