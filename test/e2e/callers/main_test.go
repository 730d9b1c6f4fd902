package callers

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/caller/identity"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(shared.Run(m))
}

var (
	callerProgram string // the program test/caller, outside
	shared        = engine.Shared{Prepare: func(e *engine.Engine) (err error) {
		callerProgram, err = e.ImportGo("caller:1", "vitrine/test/caller")
		return err
	}}
)

// stage is an engine with a gateway in front of it.
type stage struct {
	*testing.T
	e      *engine.Engine
	p      *vitrine.Process
	caller string
}

const (
	folder = "/run/vitrine/docker"
	socket = folder + "/docker.sock"
	list   = "/containers/json"
)

// bindings: root of the host may do everything, so that to be taken for it is
// worth something; two roles are bound to labels, one to a name.
const bindings = `
roles:
  create:
    operations: [ContainerCreate, ContainerStart, ContainerExec]
    hazards: ["*"]
bindings:
  admin: ["unix:root"]
  look: ["label:vitrine.role=look", "uid:4711"]
  create: ["label:vitrine.role=create"]
  monitor: ["container:monitor"]
`

// begin starts a gateway on the shared engine.
func begin(t *testing.T, args ...string) *stage {
	t.Helper()
	s := &stage{T: t, e: shared.For(t)}
	s.caller = callerProgram
	s.p = vitrine.Start(t, vitrine.Options{Engine: s.e, Data: bindings, Alone: true, Args: args})
	return s
}

// on is the stage of a subtest.
func (s *stage) on(t *testing.T) *stage {
	on := *s
	on.T, on.e = t, s.e.For(t)
	return &on
}

// run starts a container that has the socket's folder, read-only, and sleeps.
// It is gone with the test.
func (s *stage) run(name string, flags ...string) string {
	s.Helper()
	return s.start(name, slices.Concat([]string{"--volume", folder + ":" + folder + ":ro"}, flags, []string{"caller:1", "sleep", "1000"})...)
}

// start is docker run with everything given.
func (s *stage) start(name string, args ...string) string {
	s.Helper()
	id := s.e.Docker(slices.Concat([]string{"run", "--detach", "--name", name}, args)...)
	s.Cleanup(func() { _ = s.e.DockerCommand(s.e.Socket, "rm", "--force", id).Run() })
	return id
}

// seen is what came of a request: what the caller saw, and what was recorded.
type seen struct {
	answer vitrine.Answer
	audit.Record
}

// exec runs the program caller in a container and returns what it saw. Flags of
// docker exec come before the container's name.
func (s *stage) exec(container []string, caller ...string) seen {
	s.Helper()
	args := slices.Concat([]string{"exec"}, container, caller)
	return s.command(func() (string, error) { return s.e.Output(s.e.Socket, args...) })
}

// in asks in a container.
func (s *stage) in(container, method, path string, body ...string) seen {
	s.Helper()
	return s.exec([]string{container}, append([]string{"caller", "ask", socket, method, path}, body...)...)
}

// host asks by a process of the host: a command that runs the program caller.
func (s *stage) host(wrapper ...string) seen {
	s.Helper()
	args := append(wrapper, s.caller, "ask", s.p.Socket, "GET", list)
	return s.command(func() (string, error) {
		text, err := exec.CommandContext(s.Context(), args[0], args[1:]...).Output()
		if err != nil {
			err = fmt.Errorf("%q: %w\n%s", args, err, stderr(err))
		}
		return string(text), err
	})
}

// command asks by a command that prints the answer.
func (s *stage) command(output func() (string, error)) seen {
	s.Helper()
	var out seen
	out.Record = s.p.Recorded(s.T, func() {
		text, err := output()
		if err != nil {
			s.Fatalf("ask by a command: %v", err)
		}
		s.must(json.Unmarshal([]byte(text), &out.answer))
	})
	return out
}

// over asks over a connection.
func (s *stage) over(c net.Conn, method, path string) seen {
	s.Helper()
	var out seen
	out.Record = s.p.Recorded(s.T, func() {
		answer, err := vitrine.Ask(c, method, path, "")
		s.must(err)
		out.answer = answer
	})
	return out
}

// itself expects that the caller was known as this container, and got this answer.
func (s *stage) itself(got seen, name, id string, status int) {
	s.Helper()
	if c := got.Caller; c.Kind != identity.Container || c.ContainerID != id || c.Principals[0] != "container:"+name {
		s.Errorf("the caller is %s %v in %s (%s), want container %s", c.Kind, c.Principals, c.ContainerID, c.Why, name)
	}
	s.answered(got, status)
}

// unknown expects that nothing was established but which socket was opened, and nothing allowed.
func (s *stage) unknown(got seen, why string) {
	s.Helper()
	if c := got.Caller; c.Kind != identity.Unknown || !slices.Equal(c.Principals, []string{"listener:agents"}) || !strings.Contains(c.Why, why) {
		s.Errorf("the caller is %s %v (%s), want it unknown: %s", c.Kind, c.Principals, c.Why, why)
	}
	s.answered(got, 403)
	if !strings.Contains(got.answer.Body, "vitrine: an unknown caller (") {
		s.Errorf("it is told %.200s", got.answer.Body)
	}
}

// itselfOrUnknown is for callers that hurry: the daemon says either, by the
// time that it has the news.
func (s *stage) itselfOrUnknown(got seen, name string) {
	s.Helper()
	if c := got.Caller; c.Kind != identity.Unknown && !slices.Contains(c.Principals, "container:"+name) {
		s.Errorf("the caller is %s %v, want it unknown, or container %s", c.Kind, c.Principals, name)
	}
}

func (s *stage) answered(got seen, status int) {
	s.Helper()
	if got.answer.Status != status || got.Status != status || got.Allow != (status < 400) {
		s.Errorf("the answer is %.200s, recorded as %d, allow %v; want %d", got.answer, got.Status, got.Allow, status)
	}
}

// A borrower is lent connections by processes in containers.
type borrower struct {
	*stage
	listener *net.UnixListener
	flag     string // of docker run, which mounts the folder of the socket
}

const via = "/via/via.sock"

func (s *stage) borrower() *borrower {
	s.Helper()
	dir := filepath.Join(s.e.Dir, "state/via")
	s.must(os.MkdirAll(dir, 0o755))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "via.sock"), Net: "unix"})
	s.must(err)
	s.Cleanup(func() { _ = l.Close() })
	return &borrower{s, l, "--volume=" + dir + ":/via"}
}

// loan is a connection that somebody else made. Closing control ends a lender.
type loan struct {
	net.Conn
	control net.Conn
	pid     int // of who connected
}

// borrow runs the program caller in a container and takes its connection.
func (b *borrower) borrow(container, command string) loan {
	b.Helper()
	b.e.Docker("exec", "--detach", container, "caller", command, socket, via)
	return b.take()
}

// take takes the next connection that is handed over.
func (b *borrower) take() loan {
	b.Helper()
	b.must(b.listener.SetDeadline(time.Now().Add(wait.Patience(20 * time.Second))))
	control, err := b.listener.AcceptUnix()
	b.must(err)
	b.Cleanup(func() { _ = control.Close() })
	message, rights := make([]byte, 16), make([]byte, syscall.CmsgSpace(4))
	_, n, _, _, err := control.ReadMsgUnix(message, rights)
	b.must(err)
	parsed, err := syscall.ParseSocketControlMessage(rights[:n])
	b.must(err)
	fds, err := syscall.ParseUnixRights(&parsed[0])
	b.must(err)
	syscall.CloseOnExec(fds[0])
	file := os.NewFile(uintptr(fds[0]), "lent")
	conn, err := net.FileConn(file)
	b.must(errors.Join(err, file.Close()))
	b.Cleanup(func() { _ = conn.Close() })
	return loan{conn, control, b.pid(control)}
}

// pid is who connected, by the host's numbers.
func (b *borrower) pid(c *net.UnixConn) int {
	b.Helper()
	raw, err := c.SyscallConn()
	b.must(err)
	var cred *syscall.Ucred
	b.must(errors.Join(err, raw.Control(func(fd uintptr) {
		cred, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}), err))
	return int(cred.Pid)
}

// wantState is an error until a process is in a state, which is a letter, or
// "" when there is none of that number.
func wantState(pid int, want ...string) error {
	state := ""
	if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
		_, rest, _ := strings.Cut(string(stat), ") ")
		state = rest[:1]
	}
	if !slices.Contains(want, state) {
		return fmt.Errorf("process %d is in state %q", pid, state)
	}
	return nil
}

// names are the containers that the daemon has, by dockerd's own socket.
func (s *stage) names() string {
	s.Helper()
	return s.e.Docker("ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}")
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func contains(text, part string) error {
	if !strings.Contains(text, part) {
		return errors.New(text)
	}
	return nil
}

func stderr(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(exit.Stderr)
	}
	return ""
}
