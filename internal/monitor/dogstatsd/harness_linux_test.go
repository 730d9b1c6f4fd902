package dogstatsd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"vitrine/internal/caller/attest"
	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/monitor/sender"
	"vitrine/test/wait"
)

// TestMain makes the test program a sender as well: a process of its own that
// sends what its environment says.
func TestMain(m *testing.M) {
	if path := os.Getenv("DSD_SEND_TO"); path != "" {
		if err := sendAndStay(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// sendAndStay sends DSD_LINE so often, says so, and exits when its input ends
// if it is to stay.
func sendAndStay(path string) error {
	c, err := net.Dial("unixgram", path)
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(os.Getenv("DSD_TIMES"))
	for range n {
		if _, err := c.Write([]byte(os.Getenv("DSD_LINE"))); err != nil {
			return err
		}
	}
	if os.Getenv("DSD_STAY") != "" {
		fmt.Println("sent")
		_, _ = os.Stdin.Read(make([]byte, 1))
	}
	return nil
}

// quickExit keeps the race detector from waiting a second at each sender's end.
const quickExit = "GORACE=atexit_sleep_ms=0"

// start runs a sender in the container that its environment names.
func start(t *testing.T, path, container, line string, times int, stay bool) (cmd *exec.Cmd, leave func()) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = []string{quickExit, "DSD_SEND_TO=" + path, "DSD_LINE=" + line, "DSD_TIMES=" + strconv.Itoa(times), "CONTAINER=" + container}
	if !stay {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return cmd, func() {}
	}
	cmd.Env = append(cmd.Env, "DSD_STAY=1")
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatalf("the sender did not send: %v", err)
	}
	return cmd, func() { _ = in.Close(); _ = cmd.Wait() }
}

// fakeAttestor takes a process's word for where it runs: CONTAINER of its
// environment, read as attest reads its facts: from /proc, and alive afterwards. Of
// one that has exited it knows the cgroup.
type fakeAttestor struct {
	late atomic.Bool // nothing is known yet

	mu      sync.Mutex
	calls   int
	cgroups map[uint64]string
}

// knows has a cgroup be a container's.
func (a *fakeAttestor) knows(cgroup uint64, container string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cgroups[cgroup] = container
}

func (a *fakeAttestor) Attest(_ context.Context, p *peercred.Peer) attest.Attestation {
	a.mu.Lock()
	a.calls++
	a.mu.Unlock()
	if a.late.Load() {
		return attest.Attestation{Err: attest.ErrNotYet}
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID))
	if err != nil || len(env) == 0 || p.Alive() != nil { // a process that exits has given its memory back
		a.mu.Lock()
		defer a.mu.Unlock()
		if id, ok := p.CgroupID(); ok && a.cgroups[id] != "" {
			return inContainer(a.cgroups[id])
		}
		return attest.Attestation{Err: errors.New("gone")}
	}
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if c, ok := bytes.CutPrefix(v, []byte("CONTAINER=")); ok {
			return inContainer(string(c))
		}
	}
	return attest.Attestation{Kind: attest.Host}
}

func (a *fakeAttestor) seen() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls
}

func (a *fakeAttestor) Changed() <-chan struct{} { return nil }

func (a *fakeAttestor) Group(p *peercred.Peer) string { return fmt.Sprint(p.UID) }

func (a *fakeAttestor) Claimed(c sender.Claim) attest.Attestation {
	switch {
	case c.ID == "web" || c.Inode == 42 || c.PodUID == "pod":
		return inContainer("web")
	}
	return attest.Attestation{}
}

func inContainer(id string) attest.Attestation {
	return attest.Attestation{Kind: attest.Container, Container: docker.Container{ID: id}}
}

// recorder is a Sink that writes down what it is told: "<what> from <container>".
type recorder struct {
	sync.Mutex
	sums map[string]float64
	list []string
}

func (r *recorder) note(o *Origin, format string, args ...any) {
	from := o.Container
	if from == "" {
		from = o.Source.String()
	}
	r.list = append(r.list, fmt.Sprintf(format, args...)+" from "+from)
}

func (r *recorder) Metric(o *Origin, m *Metric) {
	from := o.Container
	if from == "" {
		from = o.Source.String()
	}
	if r.sums == nil {
		r.sums = map[string]float64{}
	}
	r.sums[string(m.Name)+" from "+from] += float64(len(m.Values))
	r.note(o, "%s %s", m.Type, m.Name)
}
func (r *recorder) Event(o *Origin, e *Event) { r.note(o, "event %s", e.Title) }
func (r *recorder) Check(o *Origin, c *Check) { r.note(o, "check %s %s", c.Name, c.Status) }

// wait returns the notes once there are n of them.
func (r *recorder) wait(t *testing.T, n int) []string {
	t.Helper()
	var list []string
	err := wait.NoError(10*time.Second, func() error {
		r.Lock()
		defer r.Unlock()
		if list = slices.Clone(r.list); len(list) < n {
			return fmt.Errorf("%d messages, not %d: %q", len(list), n, list[:min(len(list), 10)])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

type rig struct {
	*Server
	sink     *recorder
	attestor *fakeAttestor
	log      *bytes.Buffer
	serve    func()
	stop     func()
}

// listen opens a Server's sockets in a folder of the test's.
func listen(t testing.TB, cfg Config) *rig {
	t.Helper()
	dir := t.TempDir()
	cfg.Datagram.Path, cfg.Stream.Path, cfg.UDP = filepath.Join(dir, "d"), filepath.Join(dir, "s"), "127.0.0.1:0"
	x := &rig{sink: &recorder{}, attestor: &fakeAttestor{cgroups: map[uint64]string{}}, log: &bytes.Buffer{}}
	cfg.Logger = slog.New(slog.NewTextHandler(x.log, nil))
	x.Server = New(cfg, x.attestor, x.sink)
	if err := x.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	x.serve = func() { go func() { done <- x.Serve(ctx) }() }
	x.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(x.stop)
	return x
}

func serve(t testing.TB, cfg Config) *rig {
	x := listen(t, cfg)
	x.serve()
	return x
}

func send(t *testing.T, network, address, packet string) {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if network == "unix" {
		packet = string(frame(packet))
	}
	if _, err := c.Write([]byte(packet)); err != nil {
		t.Fatal(err)
	}
}

func (x *rig) telemetry(name string, tags ...string) float64 {
	var sum float64
	for _, s := range x.Telemetry() {
		all := strings.Join(s.Tags, ",")
		match := s.Name == name
		for _, tag := range tags {
			match = match && strings.Contains(all, tag)
		}
		if match {
			sum += s.Value
		}
	}
	return sum
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		cannot(t, "needs root")
	}
}

// cannot skips a test that the host is not made for, unless all are required.
func cannot(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("VITRINE_REQUIRE") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// kernelNamesExited says that this kernel tells the cgroup of a sender that has
// exited.
func kernelNamesExited(t *testing.T) bool {
	t.Helper()
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	_ = cmd.Wait()
	if err != nil {
		return false
	}
	p := peercred.FromPidfd(fd, cmd.Process.Pid, 0, 0)
	defer p.Close()
	_, ok := p.CgroupID()
	return ok
}
