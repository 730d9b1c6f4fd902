//go:build linux && amd64

package qemu

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/kernel/procfs"
	"vitrine/internal/monitor/collect"
)

// TestMain also is the program that the guest's containers run.
func TestMain(m *testing.M) {
	if what := os.Getenv(workloadEnv); what != "" {
		os.Exit(workload(what))
	}
	os.Exit(m.Run())
}

// TestPureV2 is run twice: here it boots the guest, and in the guest it tests.
func TestPureV2(t *testing.T) {
	if !InGuest() {
		Boot(t)
		return
	}
	guest(t)
}

const cgroupRoot = "/sys/fs/cgroup"

// rig is an engine in name only: it makes containers' cgroups and processes as
// one does, and tells the collector of them.
type rig struct {
	collector  *collect.Collector
	containers map[string]docker.Container
	onEvent    func(docker.Event)
}

func (r *rig) Append(list []docker.Container) []docker.Container {
	for _, c := range r.containers {
		list = append(list, c)
	}
	return list
}

func (r *rig) Lookup(id string) (docker.Container, bool) { c, ok := r.containers[id]; return c, ok }
func (r *rig) OnEvent(f func(docker.Event))              { r.onEvent = f }
func (r *rig) Ready() bool                               { return true }
func (r *rig) Changed() <-chan struct{}                  { return nil }
func (r *rig) Err() error                                { return nil }
func (r *rig) Unanswered() []docker.Unanswered           { return nil }

func newRig(t *testing.T) *rig {
	t.Helper()
	// As dockerd does it with the driver cgroupfs.
	const on = "+cpuset +cpu +io +memory +pids"
	write(t, filepath.Join(cgroupRoot, "cgroup.subtree_control"), on)
	if err := os.Mkdir(filepath.Join(cgroupRoot, "docker"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(cgroupRoot, "docker", "cgroup.subtree_control"), on)
	r := &rig{containers: map[string]docker.Container{}}
	var err error
	r.collector, err = collect.New(collect.Config{
		Proc: "/proc", Cgroup: cgroupRoot, Inventory: r, Kmsg: "/dev/kmsg", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// container is PID 1 of one, in a PID namespace and a cgroup of its own.
type container struct {
	t        *testing.T
	rig      *rig
	id, name string
	dir      string
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *bufio.Scanner
}

// options of a container. PID 1 starts in the cgroup inside, below the
// container's, if that is given.
type options struct {
	limits map[string]string
	inside string
	host   bool   // in the host's PID namespace
	parent string // the cgroup in which it is; "" is docker
}

func (r *rig) run(t *testing.T, name, workload string, o options) *container {
	t.Helper()
	id := idOf(name)
	c := &container{t: t, rig: r, id: id, name: name, dir: filepath.Join(cgroupRoot, cmp.Or(o.parent, "docker"), id)}
	leaf := filepath.Join(c.dir, o.inside)
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, content := range o.limits {
		write(t, filepath.Join(c.dir, file), content)
	}
	folder, err := os.Open(leaf)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = folder.Close() }()
	c.cmd = exec.Command("/proc/self/exe")
	c.cmd.Env = append(os.Environ(), workloadEnv+"="+workload)
	c.cmd.Stderr = t.Output()
	c.cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(folder.Fd())}
	if !o.host {
		c.cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	t.Cleanup(c.remove)
	r.containers[id] = docker.Container{
		ID: id, Name: name, Running: true, Pid: c.cmd.Process.Pid, StartedAt: time.Now().Format(time.RFC3339Nano),
		Detail: &docker.Detail{State: "running", NetworkMode: "bridge"},
	}
	return c
}

func idOf(name string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(name))) }

// ended is what an engine does, and tells, when PID 1 was killed.
func (c *container) ended(at time.Time) {
	c.removeCgroup()
	in := c.rig.containers[c.id]
	in.Running, in.Pid = false, 0
	in.Detail = &docker.Detail{State: "exited", ExitCode: 137, OOMKilled: true, FinishedAt: at.Format(time.RFC3339Nano)}
	c.rig.containers[c.id] = in
	c.rig.onEvent(docker.Event{Action: "die", ID: c.id, Time: at, Attributes: map[string]string{"name": c.name, "exitCode": "137"}})
}

// line is the next one that PID 1 writes.
func (c *container) line() string {
	c.t.Helper()
	if !c.out.Scan() {
		c.t.Fatalf("%s ended: %v", c.name, c.out.Err())
	}
	return c.out.Text()
}

func (c *container) ready() {
	c.t.Helper()
	if l := c.line(); l != "ready" {
		c.t.Fatalf("%s says %q", c.name, l)
	}
}

func (c *container) tell() {
	c.t.Helper()
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		c.t.Fatal(err)
	}
}

// remove is what an engine does when PID 1 has ended, or is to end.
func (c *container) remove() {
	delete(c.rig.containers, c.id)
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	c.removeCgroup()
}

func (c *container) removeCgroup() {
	var folders []string
	_ = filepath.WalkDir(c.dir, func(dir string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			folders = append(folders, dir)
		}
		return nil
	})
	for _, folder := range slices.Backward(folders) {
		eventually(c.t, "remove "+folder, func() bool {
			err := os.Remove(folder)
			return err == nil || errors.Is(err, fs.ErrNotExist)
		})
	}
}

// read is what the collector finds of the container now.
func (c *container) read() collect.Container {
	c.t.Helper()
	return *c.find(c.rig.collector.Collect(time.Now()))
}

func (c *container) find(s *collect.Snapshot) *collect.Container {
	c.t.Helper()
	for _, e := range s.Errors {
		if e != 0 {
			c.t.Errorf("errors of collecting: %v", s.Errors)
			break
		}
	}
	for _, found := range s.Containers {
		if found.ID == c.id {
			if s.Mode != cgroup.V2 {
				c.t.Fatalf("mode %s, want %s", s.Mode, cgroup.V2)
			}
			return found
		}
	}
	c.t.Fatalf("no container %s in the snapshot", c.name)
	return nil
}

// status is a number of the kernel's other account, /proc/<pid>/status, in its units (kB).
func (c *container) status(key string) uint64 {
	c.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		c.t.Fatal(err)
	}
	for l := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(l, key+":"); ok {
			n, err := strconv.ParseUint(strings.Fields(value)[0], 10, 64)
			if err != nil {
				c.t.Fatal(err)
			}
			return n
		}
	}
	c.t.Fatalf("no %s in the status of %s", key, c.name)
	return 0
}

func membership(pid int) (cgroup.Membership, error) {
	lines, err := procfs.New(os.DirFS("/proc")).Cgroups(pid)
	return cgroup.Of(lines), err
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in a minute: %s", what)
		}
	}
}
