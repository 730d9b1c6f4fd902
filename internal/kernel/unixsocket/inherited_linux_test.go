package unixsocket

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMain: with this variable the test binary is the program that is given sockets.
func TestMain(m *testing.M) {
	if os.Getenv("VITRINE_TEST_INHERIT") == "" {
		os.Exit(m.Run())
	}
	os.Exit(inherit())
}

// inherit answers one connection on the socket agents, and says what is wrong with the others.
func inherit() int {
	given, err := Inherited()
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
	}
	l, has := given["agents"]
	if !has {
		return 3
	}
	c, err := l.Accept()
	if err != nil {
		return 4
	}
	_, _ = io.WriteString(c, os.Getenv("VITRINE_TEST_INHERIT"))
	_ = c.Close()
	_ = l.Close()
	return 0
}

// started runs the test binary as systemd would start a service.
func started(t *testing.T, names string, sockets ...*os.File) (wait func() (stderr string, code int)) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), "VITRINE_TEST_INHERIT=here", "LISTEN_FDS="+strconv.Itoa(len(sockets)), "LISTEN_FDNAMES="+names)
	cmd.ExtraFiles = sockets
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (string, int) {
		_ = cmd.Wait()
		return stderr.String(), cmd.ProcessState.ExitCode()
	}
}

func listening(t *testing.T, network, address string) *os.File {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestSocketOutlivesItsProgram: the same file answers before and after, and who connects in between waits.
func TestSocketOutlivesItsProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	socket := listening(t, "unix", path)
	before, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c, err := net.Dial("unix", path) // nobody is there yet
		if err != nil {
			t.Fatal(err)
		}
		wait := started(t, "agents", socket)
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if text, err := io.ReadAll(c); err != nil || string(text) != "here" {
			t.Errorf("%q, %v", text, err)
		}
		_ = c.Close()
		if says, code := wait(); code != 0 || says != "" {
			t.Errorf("exit code %d, %s", code, says)
		}
		if now, err := os.Lstat(path); err != nil || !os.SameFile(before, now) {
			t.Errorf("the socket's file is another one: %v", err)
		}
	}
}

// TestWhatIsNoSocketOfOursIsNotTakenClosed: a port, and two of one name.
func TestWhatIsNoSocketOfOursIsNotTakenClosed(t *testing.T) {
	one, two := listening(t, "unix", filepath.Join(t.TempDir(), "s")), listening(t, "unix", filepath.Join(t.TempDir(), "s"))
	for name, tc := range map[string]struct {
		names   string
		sockets []*os.File
		says    string
	}{
		"a port":       {"agents", []*os.File{listening(t, "tcp", "127.0.0.1:0")}, "socket agents is no Unix socket with a file"},
		"no file":      {"agents", []*os.File{listening(t, "unix", "@vitrine-"+strconv.Itoa(os.Getpid()))}, "socket agents is no Unix socket with a file"},
		"no name":      {"", []*os.File{one}, ""},
		"another name": {"others", []*os.File{one}, ""},
		"twice":        {"agents:agents", []*os.File{one, two}, "there are 2 sockets of the name agents"},
		"none":         {"agents", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if says, code := started(t, tc.names, tc.sockets...)(); code != 3 || !strings.Contains(says, tc.says) {
				t.Errorf("exit code %d, %q", code, says)
			}
		})
	}
}
