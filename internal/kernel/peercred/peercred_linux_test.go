package peercred

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"vitrine/internal/kernel/procfs"
	"vitrine/test/wait"

	"golang.org/x/sys/unix"
)

// TestOutOfDescriptorsIsNotExitedClosed: a living process that cannot be looked at is not known, and not dead;
// the next one is as good as ever.
func TestOutOfDescriptorsIsNotExitedClosed(t *testing.T) {
	_, _, out := child(t, "exhausted", socketPath(t), nil)
	text, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 5 || strings.Contains(string(text), procfs.ErrDead.Error()) {
		t.Fatalf("it says:\n%s", text)
	}
	for i, want := range []string{"LimitNOFILE", "exhausted: true", "exhausted: true", "exhausted: true", "alive: <nil>"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("%q lacks %q", lines[i], want)
		}
	}
}

func TestOwnProcess(t *testing.T) {
	l, path := listen(t)
	client, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p := accept(t, l).Peer()
	if p.PID != os.Getpid() || int(p.UID) != os.Getuid() || int(p.GID) != os.Getgid() || p.Alive() != nil {
		t.Errorf("peer %+v, alive %v", p, p.Alive())
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		if !slices.Contains(p.Groups, uint32(g)) {
			t.Errorf("groups %v lack %d", p.Groups, g)
		}
	}
	p.Close()
	p.Close()
	if p.Alive() == nil {
		t.Error("alive after Close")
	}
}

func TestExitedPeerClosed(t *testing.T) {
	l, path := listen(t)
	cmd, in, _ := child(t, "connect", path, nil)
	p := accept(t, l).Peer()
	if p.PID != cmd.Process.Pid || p.Alive() != nil {
		t.Fatalf("peer %+v, want the living pid %d", p, cmd.Process.Pid)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "a zombie is not alive", func() bool { return p.Alive() != nil })
	proc := procfs.New(os.DirFS("/proc"))
	if s, err := proc.Stat(p.PID); err != nil || s.State != 'Z' {
		t.Errorf("the child is %c, %v, and was to be a zombie", s.State, err)
	}
	if byStart := FromStartTime(proc, p.PID, p.UID, p.GID, nil); byStart.Alive() == nil {
		t.Error("a zombie was pinned")
	}
	_ = cmd.Wait()
	if p.Alive() == nil {
		t.Error("alive after it was reaped")
	}
}

func TestExitedBeforeAcceptClosed(t *testing.T) {
	l, path := listen(t)
	cmd, in, _ := child(t, "connect", path, nil)
	_ = in.Close()
	_ = cmd.Wait()
	p := accept(t, l).Peer()
	if err := p.Alive(); !errors.Is(err, procfs.ErrDead) {
		t.Errorf("peer %+v is %v, and had exited before it was accepted", p, err)
	}
}

func TestOtherUser(t *testing.T) {
	needRoot(t)
	l, path := listen(t)
	want := []uint32{7, 99, 70000}
	for g := range uint32(200) { // more than fit into the first buffer
		want = append(want, 100000+g)
	}
	child(t, "connect", path, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1234, Gid: 5678, Groups: want}})
	p := accept(t, l).Peer()
	if p.UID != 1234 || p.GID != 5678 || p.Alive() != nil {
		t.Errorf("peer %+v", p)
	}
	if !slices.Equal(p.Groups, want) {
		t.Errorf("groups %v, want %v", p.Groups, want)
	}
}

func TestOtherPIDNamespace(t *testing.T) {
	needRoot(t)
	path := socketPath(t)
	_, _, out := child(t, "listen", path, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})
	if line, err := out.ReadString('\n'); err != nil || line != "listening\n" {
		t.Fatalf("%q, %v", line, err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if line, err := out.ReadString('\n'); err != nil || line != "0 0 false\n" {
		t.Errorf("a peer outside the PID namespace is %q, %v, want pid 0 that is not alive", line, err)
	}
}

func TestNoUnixSocketClosed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if p, err := FromConn(c); err == nil {
		t.Errorf("a TCP connection has the peer %+v", p)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if p, err := FromConn(a); err == nil {
		t.Errorf("a pipe has the peer %+v", p)
	}
}

func TestNoDescriptorIsLeft(t *testing.T) {
	l, path := listen(t)
	round := func() {
		client, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Close(), client.Close()
	}
	round()
	before := countFDs(t)
	for range 200 {
		round()
	}
	if after := countFDs(t); after != before {
		t.Errorf("%d descriptors after 200 connections, %d before", after, before)
	}
}

func TestCloseWhileAsked(t *testing.T) {
	l, path := listen(t)
	for range 10 {
		client, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		p := accept(t, l).Peer()
		done := make(chan bool)
		go func() {
			for p.Alive() == nil {
			}
			close(done)
		}()
		p.Close()
		<-done
		_ = client.Close()
	}
}

func BenchmarkAlive(b *testing.B) {
	p := &Peer{UID: uint32(os.Geteuid()), PID: os.Getpid(), proc: procfs.New(os.DirFS("/proc")), pidfd: -1}
	p.pinByNumber(openPidfd(p.PID))
	defer p.Close()
	b.ReportAllocs()
	for b.Loop() {
		if p.Alive() != nil {
			b.Fatal("not alive")
		}
	}
}

// TestCgroupOfAPeer is told as long as the kernel can, and after Release.
func TestCgroupOfAPeer(t *testing.T) {
	pidfd := openPidfd(os.Getpid())
	if pidfd < 0 {
		t.Fatal("no pidfd of our own process")
	}
	p := FromPidfd(pidfd, os.Getpid(), 0, 0)
	if p.Pidfd() != pidfd || p.Alive() != nil || p.Start() != 0 {
		t.Errorf("our own process: %+v", p)
	}
	id, known := p.CgroupID()
	if known != (id != 0) {
		t.Errorf("cgroup %d, known: %v", id, known)
	}
	p.Release()
	if again, still := p.CgroupID(); again != id || still != known {
		t.Errorf("cgroup %d, %v; after Release %d, %v", id, known, again, still)
	}
	if p.Pidfd() != -1 || !errors.Is(p.Alive(), ErrReleased) {
		t.Errorf("after Release: %+v", p)
	}
	if id, known := FromPID(os.Getpid(), uint32(os.Geteuid())+1, 0).CgroupID(); known || id != 0 {
		t.Errorf("of a peer that could not be pinned: %d", id)
	}
	if id, known := cgroupID(-1); known || id != 0 {
		t.Errorf("of no descriptor: %d", id)
	}
}

// TestWhatTheKernelSaysInsteadClosed: of each error what it means, on whatever kernel this runs.
func TestWhatTheKernelSaysInsteadClosed(t *testing.T) {
	for errno, want := range map[syscall.Errno]error{
		syscall.ENOPROTOOPT: errors.ErrUnsupported, syscall.ESRCH: procfs.ErrDead, syscall.EINVAL: procfs.ErrDead, syscall.EMFILE: syscall.EMFILE,
	} {
		if err := noPidfd(errno); !errors.Is(err, want) {
			t.Errorf("no pidfd: %v is %v", errno, err)
		}
	}
	for errno, want := range map[syscall.Errno]error{syscall.ENOPROTOOPT: nil, syscall.ENODATA: nil, syscall.ENOMEM: syscall.ENOMEM} {
		if err := noGroups(errno); !errors.Is(err, want) {
			t.Errorf("no groups: %v is %v", errno, err)
		}
	}
	// Only a kernel without SO_PEERPIDFD may make us start from the number.
	for err, pinned := range map[error]bool{errors.ErrUnsupported: true, procfs.ErrDead: false, syscall.EMFILE: false} {
		p := &Peer{UID: uint32(os.Geteuid()), PID: os.Getpid(), proc: procfs.New(os.DirFS("/proc")), pidfd: -1}
		p.pin(-1, err)
		if got := p.Alive(); (got == nil) != pinned {
			t.Errorf("%v: %v", err, got)
		}
		p.Close()
	}
	for name, c := range map[string]struct {
		answers []error
		info    unix.PidfdInfo
		id      uint64
	}{
		"told":                  {[]error{nil}, unix.PidfdInfo{Mask: unix.PIDFD_INFO_CGROUPID, Cgroupid: 7}, 7},
		"reaped in between":     {[]error{unix.ESRCH, nil}, unix.PidfdInfo{Mask: unix.PIDFD_INFO_CGROUPID, Cgroupid: 7}, 7},
		"gone":                  {[]error{unix.ESRCH, unix.ESRCH}, unix.PidfdInfo{Mask: unix.PIDFD_INFO_CGROUPID, Cgroupid: 7}, 0},
		"not told":              {[]error{nil}, unix.PidfdInfo{Cgroupid: 7}, 0},
		"none":                  {[]error{nil}, unix.PidfdInfo{Mask: unix.PIDFD_INFO_CGROUPID}, 0},
		"not by kernels so old": {[]error{unix.ENOTTY}, unix.PidfdInfo{Mask: unix.PIDFD_INFO_CGROUPID, Cgroupid: 7}, 0},
	} {
		asked := 0
		id, known := cgroupIn(func() (unix.PidfdInfo, error) { asked++; return c.info, c.answers[asked-1] })
		if id != c.id || known != (c.id > 0) || asked != len(c.answers) {
			t.Errorf("%s: %d, %v after %d questions", name, id, known, asked)
		}
	}
}

// TestNotAConnectedSocketClosed: nothing is known of its peer.
func TestNotAConnectedSocketClosed(t *testing.T) {
	if p, err := FromConn(&net.UnixConn{}); err == nil || p != nil {
		t.Errorf("%+v, %v", p, err)
	}
	if err := (&Peer{}).read(-1); !errors.Is(err, syscall.EBADF) || !strings.Contains(err.Error(), "SO_PEERCRED") {
		t.Error(err)
	}
}
