package peercred

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"testing/fstest"

	"vitrine/internal/kernel/procfs"
)

func TestPinByNumber(t *testing.T) {
	proc := procfs.New(os.DirFS("/proc"))
	me := func() *Peer { return &Peer{UID: uint32(os.Geteuid()), PID: os.Getpid(), proc: proc, pidfd: -1} }

	withPidfd := me()
	withPidfd.pinByNumber(openPidfd(withPidfd.PID))
	defer withPidfd.Close()
	if withPidfd.Alive() != nil || withPidfd.pidfd < 0 {
		t.Errorf("our own process with a pidfd: %+v", withPidfd)
	}
	withStart := me()
	withStart.pinByNumber(-1)
	if withStart.Alive() != nil || withStart.start == 0 {
		t.Errorf("our own process by its start time: %+v", withStart)
	}
	withStart.start++
	if withStart.Alive() == nil {
		t.Error("another start time is taken for the same process")
	}
}

// changing is a /proc in which a file reads differently the second time, and as at first from then on: only who compares
// the second look with the first one notices.
type changing struct {
	files         fstest.MapFS
	name          string
	first, second string
	opened        int
}

// Open is all that it has: nobody reads past it.
func (c *changing) Open(name string) (fs.File, error) {
	if name == c.name {
		text := c.first
		if c.opened++; c.opened == 2 {
			text = c.second
		}
		if text == "" {
			return nil, fs.ErrNotExist
		}
		return fstest.MapFS{name: &fstest.MapFile{Data: []byte(text)}}.Open(name)
	}
	return c.files.Open(name)
}

// Before Linux 6.5 a peer is pinned by its number, which may be given to another process between any two looks: each look is
// held against the one before.
func TestPinByNumberThatChangesHandsClosed(t *testing.T) {
	const pid, uid = 41, 7
	stat := func(state string, start int) string {
		return fmt.Sprintf("%d (sh) %s 1 1 1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0", pid, state, start)
	}
	status := func(uid int) string {
		return fmt.Sprintf("Name:\tsh\nState:\tS (sleeping)\nTgid:\t%d\nPid:\t%d\nPPid:\t1\nUid:\t%d\t%d\t%d\t%d\nGid:\t0\t0\t0\t0\nGroups:\t\nNSpid:\t%d\n", pid, pid, uid, uid, uid, uid, pid)
	}
	for name, tc := range map[string]struct {
		first, second string // of stat
		uid           int
		alive         bool
	}{
		"the same process":        {stat("S", 100), stat("S", 100), uid, true},
		"another start time":      {stat("S", 100), stat("S", 101), uid, false},
		"a zombie meanwhile":      {stat("S", 100), stat("Z", 100), uid, false},
		"a zombie from the start": {stat("Z", 100), stat("Z", 100), uid, false},
		"another user":            {stat("S", 100), stat("S", 100), uid + 1, false},
		"no stat":                 {"", "", uid, false},
		"gone meanwhile":          {stat("S", 100), "", uid, false},
	} {
		t.Run(name, func(t *testing.T) {
			proc := func() procfs.FS {
				return procfs.New(&changing{name: "41/stat", first: tc.first, second: tc.second, files: fstest.MapFS{"41/status": {Data: []byte(status(tc.uid))}}})
			}
			p := FromStartTime(proc(), pid, uid, 0, nil)
			if err := p.Alive(); (err == nil) != tc.alive {
				t.Errorf("alive: %v", err)
			}
			if err := p.Alive(); name == "gone meanwhile" && !errors.Is(err, procfs.ErrDead) {
				t.Error(err)
			}
			if started := p.Start() == 100; started != tc.alive {
				t.Errorf("started at %d", p.Start())
			}
			// The same with a pidfd, which is of a process that lives.
			q := &Peer{UID: uid, PID: pid, pidfd: -1, proc: proc()}
			q.pinByNumber(openPidfd(os.Getpid()))
			defer q.Close()
			if err := q.Alive(); (err == nil) != tc.alive || (q.Pidfd() >= 0) != tc.alive || (q.Start() > 0) != tc.alive {
				t.Errorf("alive with a pidfd: %v", err)
			}
		})
	}
	// It exits later: the same guards, each time that somebody asks.
	for name, later := range map[string]string{"another start time": stat("S", 101), "a zombie": stat("Z", 100), "gone": "", "not readable": "nonsense"} {
		proc := fstest.MapFS{"41/stat": {Data: []byte(stat("S", 100))}, "41/status": {Data: []byte(status(uid))}}
		p := FromStartTime(procfs.New(proc), pid, uid, 0, nil)
		if err := p.Alive(); err != nil {
			t.Fatal(err)
		}
		if proc["41/stat"].Data = []byte(later); later == "" {
			delete(proc, "41/stat")
		}
		if err := p.Alive(); err == nil || errors.Is(err, procfs.ErrDead) == (name == "not readable") {
			t.Errorf("%s: %v", name, err)
		}
		p.Close()
		if err := p.Alive(); !errors.Is(err, ErrReleased) || p.Start() != 0 {
			t.Errorf("after Close: %v, started at %d", err, p.Start())
		}
	}
	// One that dies between its pidfd and the look at it.
	cmd := exec.CommandContext(t.Context(), "true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pidfd := openPidfd(cmd.Process.Pid)
	if pidfd < 0 { // Linux 5.3 and later has them
		t.Fatal("no pidfd of our own child")
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	p := &Peer{UID: uid, PID: pid, pidfd: -1, proc: procfs.New(fstest.MapFS{"41/stat": {Data: []byte(stat("S", 100))}, "41/status": {Data: []byte(status(uid))}})}
	if p.pinByNumber(pidfd); p.Alive() == nil || p.Start() != 0 || p.Pidfd() != -1 {
		t.Error("the number is another process's by now, and its pidfd's has exited")
	}
}

func TestPinByNumberOfAnotherUserClosed(t *testing.T) {
	before := countFDs(t)
	p := &Peer{UID: uint32(os.Geteuid()) + 1, PID: os.Getpid(), proc: procfs.New(os.DirFS("/proc")), pidfd: -1}
	p.pinByNumber(openPidfd(p.PID))
	if p.Alive() == nil {
		t.Error("a process with another user id was pinned")
	}
	p.pinByNumber(-1)
	if p.Alive() == nil {
		t.Error("a process with another user id was pinned by its start time")
	}
	if after := countFDs(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// A kernel that has SO_PEERPIDFD and gives none must not make us look up a
// number that may be another process's by now.
func TestNoPidfdOfASocketClosed(t *testing.T) {
	for _, fd := range []int{-1, int(^uint16(0))} {
		if pidfd, err := socketPidfd(fd); pidfd != -1 || err == nil || errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("socketPidfd(%d) = %d, %v", fd, pidfd, err)
		}
	}
	p := &Peer{UID: uint32(os.Geteuid()), PID: os.Getpid(), proc: procfs.New(os.DirFS("/proc")), pidfd: -1}
	if p.pin(socketPidfd(-1)); p.Alive() == nil {
		t.Error("pinned by its number")
	}
}

// TestFromPID: pinned by the number, of which the user id is the check.
func TestFromPID(t *testing.T) {
	before := countFDs(t)
	p := FromPID(os.Getpid(), uint32(os.Geteuid()), 7)
	if p.Alive() != nil || p.Start() == 0 || p.Pidfd() < 0 || p.GID != 7 {
		t.Errorf("our own process: %+v", p)
	}
	p.Close()
	if p.Start() != 0 || p.Pidfd() != -1 || p.Alive() == nil {
		t.Errorf("after Close: %+v", p)
	}
	if p := FromPID(os.Getpid(), uint32(os.Geteuid())+1, 0); p.Alive() == nil || p.Start() != 0 || p.Pidfd() != -1 {
		t.Errorf("another user's: %+v", p)
	}
	if p := FromPID(1<<30, 0, 0); !errors.Is(p.Alive(), procfs.ErrDead) {
		t.Errorf("a number that nobody has: %v", p.Alive())
	}
	if after := countFDs(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// TestFirstDescriptor: 0 is a descriptor like any other.
func TestFirstDescriptorIsOne(t *testing.T) {
	stdin, err := syscall.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(stdin)
	pidfd := openPidfd(os.Getpid())
	if pidfd < 0 {
		t.Fatal("no pidfd of our own process")
	}
	if err := syscall.Dup2(pidfd, 0); err != nil {
		t.Fatal(err)
	}
	closeFD(pidfd)
	p := FromPidfd(0, os.Getpid(), 0, 0)
	_, known := p.CgroupID()
	_, can := cgroupID(0)
	if p.Alive() != nil || known != can {
		t.Errorf("%+v: %v", p, p.Alive())
	}
	p.Close()
	if fd, err := syscall.Dup(stdin); err != nil || fd != 0 {
		t.Errorf("0 was not closed: the next descriptor is %d, %v", fd, err)
	}
}

// TestUserThatCannotBeReadClosed is not root's.
func TestUserThatCannotBeReadClosed(t *testing.T) {
	proc := fstest.MapFS{"41/stat": {Data: []byte("41 (sh) S 1 1 1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0")}}
	if p := FromStartTime(procfs.New(proc), 41, 0, 0, nil); p.Alive() == nil {
		t.Errorf("%+v", p)
	}
}
