package monitor

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"vitrine/test/engine"
	"vitrine/test/otlplogs"
	"vitrine/test/wait"
)

// TestVictims: root may read the kernel's log, and there the monitor finds who was killed. Where even root may not,
// the monitor says why it has no names.
func TestVictims(t *testing.T) {
	engine.Require(t)
	t.Parallel()
	e := engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	told := otlplogs.Listen(t, nil)
	r := startAs(t, e, 0, "--otlp-endpoint", told.URL, "--otlp-signals", "logs", "--otlp-compression", "gzip")
	log, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err == nil {
		_ = log.Close()
	}
	run := func(name, script string) (pid string) {
		r.Docker("run", "-d", "-i", "--name", name, "-m", "32m", "--memory-swap", "32m", "bb:1", "sh", "-c", "read line;"+script)
		return r.Docker("inspect", "-f", "{{.State.Pid}}", name)
	}
	forked := run("forked", "sh -c '"+leak+"'; sleep 1000")
	pid1 := run("pid1", leak)
	for _, name := range []string{"forked", "pid1"} {
		r.until(container("docker_container_running", name), is(1))
		attach := r.DockerCommand(r.Socket, "attach", "--no-stdin=false", "--sig-proxy=false", name)
		attach.Stdin = strings.NewReader("go\n")
		if err := attach.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = attach.Process.Kill(); _ = attach.Wait() })
	}
	r.soon(container("docker_oom_kills_total", "forked", `pid1_alive="true"`), is(1))
	r.soon(container("docker_oom_kills_total", "pid1", `pid1_alive="false"`), is(1))
	wait.Until(t, "a receiver of OTLP is told of both", func() bool {
		return told.Has("vitrine.container.oom_kill forked: the OOM killer killed 1 inside", "and PID 1 lives on") &&
			told.Has("vitrine.container.oom_kill pid1: died of the OOM killer") && told.Has("vitrine.container.exit pid1: ended with exit code 137")
	})
	if err != nil {
		wait.Until(t, fmt.Sprintf("the monitor says that it cannot read the log (%v)", err), func() bool { return strings.Contains(r.log(), "counted, but not named") })
		return
	}
	wait.Until(t, "PID 1 is named as the victim", func() bool {
		return strings.Contains(r.log(), fmt.Sprintf(`container=pid1 kills=1 pid1_alive=false group=false victims="[sh (%s)]"`, pid1))
	})
	child := `container=forked kills=1 pid1_alive=true group=false victims="[sh (`
	wait.Until(t, "the child is named as the other's", func() bool { return strings.Contains(r.log(), child) })
	if got := r.log(); strings.Contains(got, child+forked+")") {
		t.Errorf("of the child the monitor says:\n%s", got)
	}
}
