package peercred

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"vitrine/internal/kernel/procfs"

	"go.uber.org/goleak"
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

func countFDs(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}
