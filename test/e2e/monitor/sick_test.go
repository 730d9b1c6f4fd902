package monitor

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"vitrine/test/wait"
)

// oneHangs: the Engine waits for a container whose shim is stopped, and so does everybody
// who asks about it. A monitor that was there goes on without a gap, and one that is
// started now knows the others.
func (r *rig) oneHangs() {
	for _, name := range []string{"sick", "fit"} {
		r.Docker("run", "-d", "--name", name, "--stop-signal", "KILL", "bb:1", "sh", "-c", "while :; do sleep 0.01; done")
		r.until(container("docker_container_running", name), is(1))
	}
	gaps, _ := r.value("docker_gaps_total")
	release := r.hang("sick")

	r.Docker("run", "-d", "--name", "meanwhile", "--stop-signal", "KILL", "bb:1", "sleep", "600")
	r.until(container("docker_container_running", "meanwhile"), is(1))
	late := start(r.t, r.Engine)
	named := fmt.Sprintf(`docker_inventory_unanswered{container_id=%q,container_name="sick"}`, r.id("sick"))
	late.until("docker_up", is(1))
	late.until(named, is(1))
	for _, name := range []string{"fit", "meanwhile"} {
		late.until(container("docker_container_running", name), is(1))
	}
	late.until(container("docker_cpu_usage_seconds_total", "fit"), above(0))
	if v, ok := late.value(container("docker_container_running", "sick")); ok {
		r.t.Errorf("the sick one's state is known to be %v", v)
	}
	used, _ := r.value(container("docker_cpu_usage_seconds_total", "sick"))
	r.until(container("docker_cpu_usage_seconds_total", "sick"), above(used)) // for whom it is known
	r.Docker("rm", "-f", "meanwhile")
	late.until("docker_containers_running", func(float64) bool {
		_, there := late.value(container("docker_container_running", "meanwhile"))
		return !there
	})
	for _, m := range []*rig{r, late} {
		m.until("docker_up", is(1))
		if n := strings.Count(m.log(), "lost the engine's events"); n > 0 && m == late {
			r.t.Errorf("the log tells of %d gaps", n)
		}
	}
	if n := strings.Count(late.log(), "does not answer about a container"); n != 1 {
		r.t.Errorf("the log tells of it %d times:\n%s", n, late.log())
	}
	if v, _ := r.value("docker_gaps_total"); v != gaps {
		r.t.Errorf("%v gaps, and there were %v", v, gaps)
	}
	release()
	late.soon(container("docker_container_running", "sick"), is(1))
	r.Docker("rm", "-f", "sick", "fit")
}

// hang stops a container's shim and makes the Engine ask it for something, so that the
// Engine waits with the container's lock in its hand, until release is called.
func (r *rig) hang(name string) (release func()) {
	shim := parent(r, initPid(r.t, r.Engine, name))
	if err := syscall.Kill(shim, syscall.SIGSTOP); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	pause := r.DockerCommand(r.Socket, "pause", name)
	if err := pause.Start(); err != nil {
		r.t.Fatal(err)
	}
	stopped := true
	release = func() {
		if !stopped {
			return
		}
		stopped = false
		_ = syscall.Kill(shim, syscall.SIGCONT)
		cancel()
		_ = pause.Wait() // it succeeds, or the Engine has given up
		_ = r.DockerCommand(r.Socket, "unpause", name).Run()
	}
	r.t.Cleanup(release)
	wait.Until(r.t, "an inspect hangs", func() bool {
		asking, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		cmd := r.DockerCommand(r.Socket, "inspect", name)
		if err := cmd.Start(); err != nil {
			r.t.Fatal(err)
		}
		go func() { <-asking.Done(); _ = cmd.Process.Kill() }()
		_ = cmd.Wait()
		return asking.Err() != nil
	})
	return release
}

func parent(r *rig, pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		r.t.Fatal(err)
	}
	var ppid int
	var state string
	after := string(stat[strings.LastIndexByte(string(stat), ')')+1:])
	if _, err := fmt.Sscan(after, &state, &ppid); err != nil {
		r.t.Fatal(err)
	}
	return ppid
}

func (r *rig) id(name string) string {
	out := r.DockerCommand(r.Socket, "ps", "--no-trunc", "-q", "-f", "name=^"+name+"$")
	text, err := out.Output()
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
