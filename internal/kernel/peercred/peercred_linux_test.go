package peercred

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"vitrine/internal/kernel/procfs"
	"vitrine/test/wait"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be another process: one that connects to a
// socket and stays as long as its stdin, or one that listens and prints the
// PID of its first peer.
func TestMain(m *testing.M) {
	switch path := os.Getenv("PEERCRED_TEST_SOCKET"); os.Getenv("PEERCRED_TEST_ROLE") {
	case "connect":
		c, err := net.Dial("unix", path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		defer c.Close()
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "listen":
		l, err := net.Listen("unix", path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("listening")
		c, err := NewListener(l, slog.New(slog.DiscardHandler)).Accept()
		if err != nil {
			os.Exit(1)
		}
		p := c.(*Conn).Peer()
		fmt.Println(p.PID, p.UID, p.Alive() == nil)
	case "exhausted":
		exhausted(path)
	default:
		goleak.VerifyTestMain(m)
	}
}

// exhausted accepts a connection with the last descriptor, and another one when
// there are descriptors again, and prints what is known of its own process behind them.
func exhausted(path string) {
	check := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	inner, err := net.Listen("unix", path)
	check(err)
	l := NewListener(inner, slog.New(slog.NewTextHandler(os.Stdout, nil)))
	for range 3 {
		_, err := net.Dial("unix", path)
		check(err)
	}
	check(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 40, Max: 40}))
	null, err := os.Open(os.DevNull)
	check(err)
	var held []int
	for {
		fd, err := syscall.Dup(int(null.Fd()))
		if err != nil {
			break
		}
		held = append(held, fd)
	}
	for i := range 3 {
		if i == 2 {
			for _, fd := range held {
				_ = syscall.Close(fd)
			}
		} else {
			_ = syscall.Close(held[len(held)-1])
			held = held[:len(held)-1]
		}
		c, err := l.Accept()
		check(err)
		alive := c.(*Conn).Peer().Alive()
		fmt.Println("alive:", alive, "exhausted:", procfs.Exhausted(alive))
		if i == 0 { // of all descriptors none is left, so a number cannot be pinned either
			byNumber := FromPID(os.Getpid(), uint32(os.Getuid()), 0).Alive()
			fmt.Println("by number:", byNumber, "exhausted:", procfs.Exhausted(byNumber))
		}
	}
}

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

// TestFailedAcceptsAreOneLine: whoever makes them fail does not fill the log.
func TestFailedAcceptsAreOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		f := failures{log: slog.New(slog.NewTextHandler(&log, nil))}
		for range 1000 {
			f.say("x", ErrNoCredentials)
		}
		time.Sleep(sayEvery)
		f.say("x", syscall.EMFILE)
		got := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(got) != 2 || !strings.Contains(got[0], ErrNoCredentials.Error()) || !strings.Contains(got[1], "times=1000") {
			t.Errorf("%q", got)
		}
	})
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("VITRINE_REQUIRE") != "" {
		t.Fatal("needs root")
	}
	t.Skip("needs root")
}

// socketPath is in a folder that other users may enter.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "peercred") //nolint:usetesting // the folder above t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "s")
}

func listen(t *testing.T) (*Listener, string) {
	t.Helper()
	path := socketPath(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	return NewListener(l, slog.New(slog.DiscardHandler)), path
}

func accept(t *testing.T, l *Listener) *Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*Conn)
}

func child(t *testing.T, role, path string, attr *syscall.SysProcAttr) (cmd *exec.Cmd, in io.WriteCloser, out *bufio.Reader) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if attr != nil && attr.Credential != nil { // another user cannot reach the build folder
		self = copyFile(t, self, filepath.Join(filepath.Dir(path), "child"))
	}
	cmd = exec.Command(self)
	cmd.Env = append(os.Environ(), "PEERCRED_TEST_ROLE="+role, "PEERCRED_TEST_SOCKET="+path)
	cmd.Dir, cmd.SysProcAttr, cmd.Stderr = "/", attr, os.Stderr
	if in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	o, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	return cmd, in, bufio.NewReader(o)
}

func copyFile(t *testing.T, from, to string) string {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
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

func countFDs(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
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

func TestHTTPServerHijacksAndHalfCloses(t *testing.T) {
	l, path := listen(t)
	type key struct{}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, key{}, c.(*Conn).Peer())
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			body, _ := io.ReadAll(rw) // ends when the client half-closes
			fmt.Fprintf(c, "%d %s", r.Context().Value(key{}).(*Peer).PID, body)
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
		}),
	}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: docker\r\n\r\nhello")
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if want := strconv.Itoa(os.Getpid()) + " hello"; err != nil || !strings.HasSuffix(string(answer), want) {
		t.Errorf("answer %q, %v, want %q", answer, err, want)
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

// TestListenerIsToldOnce that it is closed, and says nothing of it.
func TestListenerIsToldOnce(t *testing.T) {
	var log strings.Builder
	inner, err := net.Listen("unix", socketPath(t))
	if err != nil {
		t.Fatal(err)
	}
	l := NewListener(inner, slog.New(slog.NewTextHandler(&log, nil)))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := l.Accept(); !errors.Is(err, net.ErrClosed) || c != nil || log.Len() > 0 {
		t.Errorf("%v, %v, and it says %q", c, err, &log)
	}
}

type wrapped struct{ *net.UnixConn }

// scripted is a listener that accepts what it is told.
type scripted struct {
	net.Listener
	conns []net.Conn
}

func (s *scripted) Accept() (net.Conn, error) {
	if len(s.conns) == 0 {
		return nil, syscall.EMFILE
	}
	c := s.conns[0]
	s.conns = s.conns[1:]
	return c, nil
}

// TestWhoseConnectionIsNotToldIsClosed: it is never handed on, and both that and why nothing is accepted are said.
func TestWhoseConnectionIsNotToldIsClosed(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	client, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := tcp.Accept()
	if err != nil {
		t.Fatal(err)
	}
	end, pipe := net.Pipe()
	defer end.Close()
	var ends []net.Conn
	own, path := listen(t)
	for range 2 {
		_, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := own.Listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, c)
	}
	_ = ends[1].Close()
	for name, c := range map[string]net.Conn{"TCP": server, "a pipe": pipe, "a connection of a kind of its own": wrapped{ends[0].(*net.UnixConn)}, "closed": ends[1]} {
		var log strings.Builder
		l := NewListener(&scripted{conns: []net.Conn{c}}, slog.New(slog.NewTextHandler(&log, nil)))
		if got, err := l.Accept(); got != nil || !errors.Is(err, syscall.EMFILE) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if !strings.Contains(log.String(), "a connection is closed") {
			t.Errorf("%s: it says %q", name, &log)
		}
		if _, err := c.Write([]byte{0}); err == nil {
			t.Errorf("%s: it is open", name)
		}
	}
	var log strings.Builder
	if _, err := NewListener(&scripted{}, slog.New(slog.NewTextHandler(&log, nil))).Accept(); err == nil || !strings.Contains(log.String(), "no connection can be accepted") {
		t.Errorf("%v, and it says %q", err, &log)
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

// TestUserThatCannotBeReadClosed is not root's.
func TestUserThatCannotBeReadClosed(t *testing.T) {
	proc := fstest.MapFS{"41/stat": {Data: []byte("41 (sh) S 1 1 1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0")}}
	if p := FromStartTime(procfs.New(proc), 41, 0, 0, nil); p.Alive() == nil {
		t.Errorf("%+v", p)
	}
}
