package dogstatsd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"vitrine/test/long"
	"vitrine/test/wait"
)

// inside runs a test of this program as the first process of a PID namespace of
// its own, with a /proc of its own: there PIDs can be had for the asking.
func inside(t *testing.T, test, dir string) *exec.Cmd {
	t.Helper()
	needRoot(t)
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append(os.Environ(), "DSD_INSIDE="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// weAreInside prepares the namespace. The test has nothing to do elsewhere.
func weAreInside(t *testing.T) (dir string, yes bool) {
	t.Helper()
	dir = os.Getenv("DSD_INSIDE")
	if dir == "" {
		return "", false
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	return dir, true
}

func TestPIDReuse(t *testing.T) {
	out, err := inside(t, "TestInsidePIDReuse", t.TempDir()).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestInsidePIDReuse(t *testing.T) {
	if _, yes := weAreInside(t); !yes {
		return
	}
	for _, pidfds := range []bool{true, false} {
		for _, queued := range []bool{true, false} {
			t.Run(fmt.Sprintf("pidfds=%v,queued=%v", pidfds, queued), func(t *testing.T) {
				for range long.Of(10, 25) {
					reuse(t, pidfds, queued, false)
				}
			})
		}
		t.Run(fmt.Sprintf("pidfds=%v,deferred", pidfds), func(t *testing.T) {
			for range long.Of(4, 10) {
				reuse(t, pidfds, false, true)
			}
		})
	}
}

// reuse lets a process of container "old" send and exit, and one of container
// "new" with the same PID send right after. Put off, the Engine tells of both containers
// only then.
func reuse(t *testing.T, pidfds, queued, deferred bool) {
	x := listen(t, Config{})
	defer x.stop()
	x.attestor.late.Store(deferred)
	if deferred && kernelNamesExited(t) {
		x.attestor.knows(ownCgroup(t), "old")
	}
	x.receivers[0].pidfds = x.receivers[0].pidfds && pidfds
	if !queued {
		x.serve()
	}
	old, leaveOld := start(t, x.cfg.Datagram.Path, "old", "old:1|c", 2, true)
	if !queued && !deferred {
		x.sink.wait(t, 2)
	}
	leaveOld()
	var leave func()
	for again := 0; ; again++ {
		pid := strconv.Itoa(old.Process.Pid - 1)
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(pid), 0); err != nil {
			t.Fatal(err)
		}
		var next *exec.Cmd
		if next, leave = start(t, x.cfg.Datagram.Path, "new", "new:1|c", 1, true); next.Process.Pid == old.Process.Pid {
			break
		}
		leave()
		if again == 5 { // a thread of ours took it
			t.Log("the number was not had")
			if queued {
				x.serve()
			}
			return
		}
	}
	defer leave()
	if queued {
		x.serve()
	}
	x.attestor.late.Store(false)
	exact := pidfds && x.receivers[0].pidfds
	for _, got := range x.sink.wait(t, 3) {
		what, from, _ := strings.Cut(strings.TrimPrefix(got, "count "), " from ")
		if from != what && from != "none" {
			t.Fatalf("attributed to another: %s", got)
		}
		if exact && what == "new" && from != "new" {
			t.Fatalf("not attributed: %s", got)
		}
	}
}

func TestForeignPIDNamespace(t *testing.T) {
	dir := t.TempDir()
	cmd := inside(t, "TestInsideForeign", dir)
	go func() {
		path := filepath.Join(dir, "path")
		for end := time.Now().Add(wait.Patience(10 * time.Second)); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if at, err := os.ReadFile(path); err == nil && len(at) > 0 {
				for range 3 {
					send(t, "unixgram", string(at), "outside:1|c|c:ci-web\nbare:1|c")
				}
				return
			}
		}
	}()
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestInsideForeign(t *testing.T) {
	dir, yes := weAreInside(t)
	if !yes {
		return
	}
	x := serve(t, Config{})
	temporary := filepath.Join(dir, "new")
	if err := os.WriteFile(temporary, []byte(x.cfg.Datagram.Path), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(dir, "path")); err != nil {
		t.Fatal(err)
	}
	for i, got := range x.sink.wait(t, 6) {
		if want := []string{"count outside from web", "count bare from none"}[i%2]; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	x.stop()
	if n := strings.Count(x.log.String(), "--pid=host"); n != 1 {
		t.Errorf("reported %d times", n)
	}
}
