package dogstatsd

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/wait"
)

// Where the sockets are, inside of the engine and of containers.
const (
	folder   = "/run/vitrine/dsd"
	datagram = folder + "/dsd.sock"
	stream   = folder + "/stream.sock"
)

// patience is for a machine that does much else.
const patience = 60 * time.Second

func TestMain(m *testing.M) { os.Exit(shared.Run(m)) }

var (
	senderProgram string // the program test/sender, outside
	shared        = engine.Shared{Prepare: func(e *engine.Engine) (err error) {
		if err := errors.Join(os.MkdirAll(e.Path(folder), 0o755), os.Chmod(e.Socket, 0o666)); err != nil {
			return err
		}
		if _, err := e.ImportGo("monitor:1", "vitrine/cmd/monitor"); err != nil {
			return err
		}
		senderProgram, err = e.ImportGo("sender:1", "vitrine/test/sender")
		return err
	}}
)

// place is where the monitor runs, and what it may.
type place int

const (
	installed place = iota // as docs/install.md says: no root, no capability
	seeing                 // with CAP_SYS_PTRACE, so that it need not believe cgroups alone
	apart                  // as installed, but in a PID namespace of its own
)

// stage is an engine with a monitor, and the sender.
type stage struct {
	*testing.T
	e      *engine.Engine
	sender string
	client *http.Client
	reader string // of the page: what is of an interval stays until each has come twice
	boxes  *boxes
}

// boxes are the containers of a test.
type boxes struct {
	mu  sync.Mutex
	ids []string
}

func (b *boxes) add(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ids = append(b.ids, id)
}

// begin starts a monitor on the shared engine. It is gone with the test, and so
// are its containers.
func begin(t *testing.T, at place, flags ...string) *stage {
	t.Helper()
	e := shared.For(t)
	s := &stage{T: t, e: e, sender: senderProgram, client: &http.Client{Transport: &http.Transport{DialContext: e.Dial}}, boxes: &boxes{}}
	t.Cleanup(s.client.CloseIdleConnections)
	t.Cleanup(func() { s.done(s.docker(append([]string{"rm", "--force"}, s.boxes.ids...)...)) })
	user := 65532
	run := []string{"--user", "65532:65532", "--pid", "host"}
	switch at {
	case installed:
	case seeing:
		user = 0
		run = []string{"--user", "0:0", "--cap-add", "SYS_PTRACE", "--pid", "host"}
	case apart:
		run = run[:2]
	}
	s.must(os.Chown(e.Path(folder), user, user))
	s.run("monitor", slices.Concat(run, []string{
		"--cap-drop", "ALL", "--read-only", "--network", "host", "-v", "/run/docker.sock:/run/docker.sock", "-v", "/sys/fs/cgroup:/host/cgroup:ro",
		"-v", folder + ":" + folder, "monitor:1", "monitor", "run", "--docker", "unix:///run/docker.sock", "--cgroup", "/host/cgroup",
		"--interval", "1s", "--dogstatsd-interval", "1s", "--dogstatsd-stream-socket", stream, "--dogstatsd-udp", "0.0.0.0:8125",
	}, flags)...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the monitor's log:\n%s", s.log())
		}
	})
	s.answers()
	return s
}

// on is the stage of a subtest.
func (s *stage) on(t *testing.T) *stage {
	on := *s
	on.T, on.e = t, s.e.For(t)
	return &on
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// run is docker run, detached, and returns the id.
func (s *stage) run(name string, args ...string) string {
	s.Helper()
	id := s.e.Docker(slices.Concat([]string{"run", "--detach", "--name", name}, args)...)
	s.boxes.add(id)
	return id
}

// box runs a container that does nothing of itself.
func (s *stage) box(name string, flags ...string) string {
	s.Helper()
	return s.run(name, slices.Concat([]string{"-v", folder + ":" + folder + ":ro"}, flags, []string{"sender:1", "sleep", "600"})...)
}

// known waits until the monitor knows containers: what a process sends before,
// and exits, has no origin.
func (s *stage) known(names ...string) {
	s.Helper()
	var wants []want
	for _, name := range names {
		wants = append(wants, is(1, "docker_container_running", `container_name="`+name+`"`))
	}
	s.expect(wants...)
}

// exec runs a command in a container. Flags of docker exec come before its name.
func (s *stage) exec(container string, command ...string) {
	s.Helper()
	s.e.Docker(append([]string{"exec", container}, command...)...)
}

// docker is such a command that is not started yet.
func (s *stage) docker(arg ...string) *exec.Cmd { return s.e.DockerCommand(s.e.Socket, arg...) }

// host is a command of a user of the host.
func (s *stage) host(uid uint32, name string, arg ...string) *exec.Cmd {
	cmd := exec.Command(name, arg...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return cmd
}

// done runs a command to its end.
func (s *stage) done(cmd *exec.Cmd) {
	s.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("%v: %v: %s", cmd, err, out)
	}
}

// guest is a sender that goes on until it is told to end.
type guest struct {
	s    *stage
	cmd  *exec.Cmd
	in   io.WriteCloser
	said wait.Buffer
	once sync.Once
}

func (s *stage) start(cmd *exec.Cmd) *guest {
	s.Helper()
	g := &guest{s: s, cmd: cmd}
	var err error
	g.in, err = cmd.StdinPipe()
	s.must(err)
	cmd.Stdout, cmd.Stderr = &g.said, &g.said
	s.must(cmd.Start())
	s.Cleanup(func() { g.end() })
	return g
}

// ask has a sender say how many messages the kernel has taken of it.
func (g *guest) ask() float64 {
	g.s.Helper()
	before := strings.Count(g.said.String(), "\n")
	_, err := io.WriteString(g.in, "\n")
	g.s.must(err)
	g.s.must(wait.NoError(patience, func() error {
		if strings.Count(g.said.String(), "\n") == before {
			return errors.New("a sender does not answer")
		}
		return nil
	}))
	return g.last("sent")
}

// end closes its input, which it ends on, and returns what ask would.
func (g *guest) end() float64 {
	g.s.Helper()
	g.once.Do(func() {
		_ = g.in.Close()
		if err := g.cmd.Wait(); err != nil {
			g.s.Errorf("%v: %v: %s", g.cmd, err, g.said.String())
		}
	})
	return g.last("sent")
}

// last is the number that it said last of something; 0 if none.
func (g *guest) last(what string) (n float64) {
	for _, m := range regexp.MustCompile(`\b`+what+`=(\d+)`).FindAllStringSubmatch(g.said.String(), -1) {
		n, _ = strconv.ParseFloat(m[1], 64)
	}
	return n
}

// stay has a sender send lines, and stay until it is known who it is.
func (s *stage) stay(cmd *exec.Cmd, until ...want) {
	s.Helper()
	g := s.start(cmd)
	s.expect(until...)
	g.end()
}

func (s *stage) log() string {
	out, _ := s.docker("logs", "monitor").CombinedOutput()
	return string(out)
}
