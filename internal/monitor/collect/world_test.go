package collect

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/internal/engine/docker"
)

// world is a host with cgroup v2, made of files, and a fake inventory.
type world struct {
	t            *testing.T
	proc, cgroup string
	log          bytes.Buffer
	now          time.Time

	containers map[string]docker.Container
	silent     []docker.Unanswered
	down       bool
	onEvent    func(docker.Event)
	collecting *Collector
}

func (w *world) Append(list []docker.Container) []docker.Container {
	for _, c := range w.containers {
		list = append(list, c)
	}
	return list
}

func (w *world) Lookup(id string) (docker.Container, bool) { c, ok := w.containers[id]; return c, ok }
func (w *world) OnEvent(f func(docker.Event))              { w.onEvent = f }
func (w *world) Unanswered() []docker.Unanswered           { return w.silent }
func (w *world) Ready() bool                               { return !w.down }
func (w *world) Changed() <-chan struct{}                  { return nil }

func (w *world) Err() error {
	if w.down {
		return errors.New("403 Forbidden")
	}
	return nil
}

const self = 77

func newWorld(t *testing.T) *world {
	w := &world{t: t, proc: t.TempDir(), cgroup: t.TempDir(), now: time.Now(), containers: map[string]docker.Container{}}
	w.write(w.cgroup, "cgroup.controllers", "cpu memory io pids")
	w.write(w.cgroup, "cgroup.procs", fmt.Sprintln(os.Getpid()))
	w.write(w.proc, "stat", "cpu 1\ncpu0 1\ncpu1 1\n")
	w.write(w.proc, "partitions", "major minor  #blocks  name\n\n 254 0 1 vda\n")
	w.hostKills(5)
	w.link("self", fmt.Sprint(self))
	w.process(self, "/", "net:[7]")
	w.process(1, "/init.scope", "net:[1]")
	w.netDev(1, "lo 1", "enp0s3 1000", "veth12ab 500", "docker0 600")
	return w
}

func (w *world) collector() *Collector {
	w.t.Helper()
	c, err := New(Config{Proc: w.proc, Cgroup: w.cgroup, Inventory: w, Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	if err != nil {
		w.t.Fatal(err)
	}
	w.collecting = c
	return c
}

func (w *world) write(dir, name, content string) {
	w.t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) link(name, target string) {
	w.t.Helper()
	name = filepath.Join(w.proc, name)
	_ = os.MkdirAll(filepath.Dir(name), 0o700)
	_ = os.Remove(name)
	if err := os.Symlink(target, name); err != nil {
		w.t.Fatal(err)
	}
}

// process makes one; net is the link of its network namespace, "" if it may not be read.
func (w *world) process(pid int, cgroup, net string) {
	w.t.Helper()
	dir := fmt.Sprint(pid)
	w.write(w.proc, dir+"/stat", fmt.Sprintf("%d (sh) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n", pid, pid*10))
	w.write(w.proc, dir+"/cgroup", "0::"+cgroup+"\n")
	w.write(w.proc, dir+"/status", "Name:\tsh\nUid:\t0\t0\t0\t0\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n")
	w.write(w.proc, dir+"/fd/0", "")
	if net != "" {
		w.link(dir+"/ns/net", net)
	}
	w.netDev(pid, "lo 5", "eth0 100")
}

// dying sends SIGKILL to a process, which has not met it yet.
func (w *world) dying(pid int) {
	w.write(w.proc, fmt.Sprint(pid)+"/status", "Uid:\t0\t0\t0\t0\nSigPnd:\t0000000000000100\n")
}

// netDev writes interfaces "name bytes".
func (w *world) netDev(pid int, interfaces ...string) {
	text := "Inter-| Receive | Transmit\n face |bytes\n"
	for _, i := range interfaces {
		name, n, _ := strings.Cut(i, " ")
		text += fmt.Sprintf("%s: %s 1 0 0 0 0 0 0 %s 1 0 0 0 0 0 0\n", name, n, n)
	}
	w.write(w.proc, fmt.Sprint(pid)+"/net/dev", text)
}

func id(name string) string { return fmt.Sprintf("%064x", name) }

func cgroupOf(name string) string { return "/docker/" + id(name) }

// run starts a container, or starts it again.
func (w *world) run(name string, pid int, mode string) {
	w.t.Helper()
	link := fmt.Sprintf("net:[%d]", pid)
	if mode == "host" {
		link = "net:[1]"
	}
	if other, ok := strings.CutPrefix(mode, "container:"); ok {
		link = fmt.Sprintf("net:[%d]", w.containers[id(other)].Pid)
		mode = "container:" + id(other)
	}
	w.process(pid, cgroupOf(name), link)
	w.counters(name, 1<<20, 0)
	w.write(w.cgroup, cgroupOf(name)+"/cgroup.procs", fmt.Sprintln(pid))
	w.containers[id(name)] = docker.Container{
		ID: id(name), Name: name, Image: "busybox:1", Running: true, Pid: pid,
		StartedAt: w.now.Add(time.Duration(pid) * time.Millisecond).Format(time.RFC3339Nano),
		Detail:    &docker.Detail{State: "running", NetworkMode: mode},
	}
}

// counters writes a container's memory and its kills.
func (w *world) counters(name string, memory, kills int) {
	dir := cgroupOf(name)
	w.write(w.cgroup, dir+"/cgroup.controllers", "cpu memory io pids")
	w.write(w.cgroup, dir+"/cpu.stat", "usage_usec 5\nuser_usec 2\nsystem_usec 3\nnr_periods 10\nnr_throttled 4\nthrottled_usec 900\n")
	w.write(w.cgroup, dir+"/memory.stat", "anon 1000\nfile 1\ninactive_file 0\n")
	w.write(w.cgroup, dir+"/memory.current", fmt.Sprintln(memory))
	w.write(w.cgroup, dir+"/memory.max", "10485760\n")
	w.write(w.cgroup, dir+"/memory.swap.max", "0\n")
	w.write(w.cgroup, dir+"/memory.swap.current", "0\n")
	w.write(w.cgroup, dir+"/memory.events", fmt.Sprintf("max 9\noom %d\noom_kill %d\n", kills, kills))
	w.write(w.cgroup, dir+"/io.stat", "254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n7:1 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n")
	w.write(w.cgroup, dir+"/pids.current", "2\n")
	w.write(w.cgroup, dir+"/cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n")
}

// end ends a container's processes: first the kernel's part, as it is in life.
func (w *world) end(name string, code int, oomKilled bool) {
	c := w.containers[id(name)]
	_ = os.RemoveAll(filepath.Join(w.cgroup, cgroupOf(name)))
	_ = os.RemoveAll(filepath.Join(w.proc, fmt.Sprint(c.Pid)))
	c.Running, c.Pid = false, 0
	c.Detail = &docker.Detail{State: "exited", ExitCode: code, OOMKilled: oomKilled, FinishedAt: w.now.Format(time.RFC3339Nano)}
	w.containers[id(name)] = c
}

func (w *world) event(action, name string, code int) {
	w.onEvent(docker.Event{
		Action: action, ID: id(name), Time: w.now.Add(time.Second),
		Attributes: map[string]string{"name": name, "exitCode": fmt.Sprint(code)},
	})
}

// hostKills writes how many kills the host had.
func (w *world) hostKills(n int) {
	w.write(w.proc, "vmstat", fmt.Sprintf("nr_free 1\noom_kill %d\n", n))
}

// collect collects ten seconds later.
func (w *world) collect(c *Collector) *Snapshot {
	w.now = w.now.Add(10 * time.Second)
	return c.Collect(w.now)
}

// find is the container of that name in a snapshot.
func find(t *testing.T, s *Snapshot, name string) *Container {
	t.Helper()
	i := slices.IndexFunc(s.Containers, func(c *Container) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no container %s in the snapshot", name)
	}
	return s.Containers[i]
}

// told lists the kills in the events of a snapshot.
func told(s *Snapshot) string {
	var out []string
	for _, e := range s.Events {
		if e.Name == EventOOMKill {
			out = append(out, fmt.Sprintf("%s: %d, pid1_alive=%v", e.ContainerName, e.Kills, e.PID1Alive))
		}
	}
	return strings.Join(out, "; ")
}

// series lists a container's values as "name{labels} value".
func series(s *Snapshot, c *Container) map[string]float64 {
	out := map[string]float64{}
	put := func(m *Metric, v float64, l Labels) { out[m.Prom+"{"+strings.Join(l[:len(m.Labels)], ",")+"}"] = v }
	table := NewTable()
	if c != nil {
		table.Container(s, c, put)
	} else {
		table.Rest(s, put)
	}
	return out
}
