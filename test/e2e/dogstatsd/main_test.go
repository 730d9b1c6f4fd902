package dogstatsd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

func TestMain(m *testing.M) {
	code := m.Run()
	if opened.engine != nil {
		if err := opened.engine.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// opened is the engine that the tests share.
var opened struct {
	sync.Once
	engine *engine.Engine
	sender string // the program test/sender, outside
	err    error
}

func open() {
	e, err := engine.Open(engine.Options{})
	if err != nil {
		opened.err = err
		return
	}
	opened.engine = e
	opened.err = errors.Join(
		os.MkdirAll(e.Path(folder), 0o755),
		os.Chmod(e.Socket, 0o666))
	if opened.err != nil {
		return
	}
	if _, opened.err = e.ImportGo("monitor:1", "vitrine/cmd/monitor"); opened.err == nil {
		opened.sender, opened.err = e.ImportGo("sender:1", "vitrine/test/sender")
	}
}

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
	engine.Require(t)
	opened.Do(open)
	if opened.err != nil {
		t.Fatal(opened.err)
	}
	e := opened.engine.For(t)
	s := &stage{T: t, e: e, sender: opened.sender, client: &http.Client{Transport: &http.Transport{DialContext: e.Dial}}, boxes: &boxes{}}
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

func (s *stage) answers() {
	s.Helper()
	s.must(wait.NoError(patience, func() error { _, err := s.fetch(); return err }))
}

// page is what Prometheus would see.
type page string

func (s *stage) fetch() (page, error) {
	ctx, cancel := context.WithTimeout(s.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:9780/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return page(b), err
}

func (s *stage) page() page {
	s.Helper()
	p, err := s.fetch()
	s.must(err)
	return p
}

// series are those of a metric that have all these labels, as "{labels} value".
func (p page) series(metric string, labels ...string) []string {
	var out []string
	for line := range strings.Lines(string(p)) {
		rest, ok := strings.CutPrefix(line, metric)
		if !ok || !strings.ContainsAny(rest[:1], " {") ||
			slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest, "{"+l) && !strings.Contains(rest, ","+l) }) {
			continue
		}
		out = append(out, strings.TrimSpace(rest))
	}
	return out
}

// sum is that of the values of such series.
func (p page) sum(metric string, labels ...string) (sum float64) {
	for _, series := range p.series(metric, labels...) {
		sum += value(series)
	}
	return sum
}

func value(series string) float64 {
	v, err := strconv.ParseFloat(series[strings.LastIndexByte(series, ' ')+1:], 64)
	if err != nil {
		panic(err) // not a page of Prometheus
	}
	return v
}

// want is what a page is to say.
type want struct {
	low, high float64
	metric    string
	labels    []string
}

// is wants a sum of series.
func is(sum float64, metric string, labels ...string) want { return want{sum, sum, metric, labels} }

// near wants one within a hundredth.
func near(sum float64, metric string, labels ...string) want {
	return want{sum * .99, sum * 1.01, metric, labels}
}

func (w want) on(p page) error {
	if got := p.sum(w.metric, w.labels...); got < w.low || got > w.high {
		shown := p.series(w.metric)
		return fmt.Errorf("%s%s is %v, not %v:\n%s", w.metric, w.labels, got, w.low, strings.Join(shown[:min(len(shown), 30)], "\n"))
	}
	return nil
}

// expect waits for a page on which all this is true at once, and returns it. If
// none comes, it shows what was missing on the best.
func (s *stage) expect(wants ...want) page {
	s.Helper()
	var p page
	missing := make([]error, len(wants)+1)
	if err := wait.NoError(patience, func() error {
		var err error
		if p, err = s.fetch(); err != nil {
			return err
		}
		var errs []error
		for _, w := range wants {
			if err := w.on(p); err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) < len(missing) {
			missing = errs
		}
		return errors.Join(errs...)
	}); err != nil {
		s.Fatalf("%v\nat best: %v", err, errors.Join(missing...))
	}
	return p
}

// see waits until each of this was true on some page: for what is of an interval.
func (s *stage) see(wants ...want) {
	s.Helper()
	s.must(wait.NoError(patience, func() error {
		p, err := s.fetch()
		if err != nil {
			return err
		}
		var errs []error
		wants = slices.DeleteFunc(wants, func(w want) bool {
			err := w.on(p)
			errs = append(errs, err)
			return err == nil
		})
		return errors.Join(errs...)
	}))
}

var nameLabel = regexp.MustCompile(`[{,]container_name="([^"]*)"`)

// named are the container names on a metric's series, with their sums; "" is nobody's.
func (p page) named(metric string) map[string]float64 {
	out := map[string]float64{}
	for _, series := range p.series(metric) {
		name := ""
		if m := nameLabel.FindStringSubmatch(series); m != nil {
			name = m[1]
		}
		out[name] += value(series)
	}
	return out
}

// itselfOrNobody expects that all of a metric came, and that it is a container's, or nobody's.
func (s *stage) itselfOrNobody(total float64, metric, container string) (own float64) {
	s.Helper()
	named := s.expect(is(total, metric)).named(metric)
	own = named[container]
	delete(named, container)
	if own+named[""] != total {
		s.Errorf("%s is %s's, and attributed to others: %v", metric, cmp.Or(container, "the host"), named)
	}
	return own
}
