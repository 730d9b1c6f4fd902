package monitor

import (
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// A gap is a time in which the Engine cannot be asked.
type gap struct {
	begin  func()
	during func() // what the Engine does meanwhile, if it is there
	end    func()
	reason string // in the log
	lives  bool   // containers outlive it
}

// gap: what the kernel counts is read on, the gap is told with its reason, and
// when it ends nothing is lost. In it one container has an OOM kill that it
// survives, and another is killed.
func (r *rig) gap(g gap) {
	name := func(what string) string { return what + "-" + strings.ReplaceAll(r.t.Name(), "/", "-") }
	leaks, mortal, well := name("leaks"), name("mortal"), name("well")
	r.Docker("run", "-d", "--name", leaks, "--stop-signal", "KILL", "-m", "32m", "--memory-swap", "48m", "bb:1", "sh", "-c", "leak() { sh -c '"+leak+"'; }; trap leak USR1; leak; while :; do sleep 0.1; done")
	r.Docker("run", "-d", "--name", mortal, "--stop-signal", "KILL", "bb:1", "sleep", "600")
	r.Docker("run", "-d", "--name", well, "--stop-signal", "KILL", "--cpus", "0.1", "--health-cmd", "true", "--health-interval", "500ms", "bb:1", "sh", "-c", "while :; do :; done")
	survived := container("docker_oom_kills_total", leaks, `pid1_alive="true"`)
	kill := func(name string, sig syscall.Signal) func() {
		pid := initPid(r.t, r.Engine, name)
		return func() {
			if err := syscall.Kill(pid, sig); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	leakNow, die := kill(leaks, syscall.SIGUSR1), kill(mortal, syscall.SIGKILL)
	r.until(survived, is(1))
	r.until(status("docker.container_health", well), is(0))
	r.until(container("docker_container_running", mortal), is(1))
	r.until("docker_up", is(1))
	gaps, _ := r.value("docker_gaps_total")
	exits, _ := r.value(container("docker_container_exits_total", "memleak-pid1"))
	used, _ := r.value(container("docker_cpu_usage_seconds_total", well))
	host, _ := r.value("host_oom_kills_total")

	g.begin()
	if g.during != nil {
		g.during()
	}
	r.until("docker_up", is(0))
	r.until("docker_gaps_total", is(gaps+1))
	r.until(`docker_service_check_status{check="docker.service_up"}`, is(2))
	r.until(status("docker.container_health", well), is(3))
	leakNow()
	r.until(survived, is(2))
	r.until(container("docker_cpu_usage_seconds_total", well), above(used))
	r.until("host_oom_kills_total", above(host))
	used, _ = r.value(container("docker_cpu_usage_seconds_total", well))
	die()
	if v, ok := r.value("docker_up"); !ok || v != 0 {
		r.t.Errorf("docker_up is %v before the gap ends", v)
	}

	g.end()
	r.soon("docker_up", is(1))
	r.until(`docker_service_check_status{check="docker.service_up"}`, is(0))
	r.until("docker_gaps_total", is(gaps+1))
	r.until(container("docker_container_running", mortal), is(0))
	if g.lives {
		// What the Engine says: 137, or, of who ended while an Engine of 28 was away, 255.
		code, err := strconv.ParseFloat(r.Docker("inspect", "--format", "{{.State.ExitCode}}", mortal), 64)
		if err != nil || code != 137 && code != 255 {
			r.t.Errorf("the Engine says that %s ended with %v (%v)", mortal, code, err)
		}
		r.until(container("docker_container_exit_code", mortal), is(code))
		r.until(status("docker.exit", mortal), is(2))
		r.until(container("docker_cpu_usage_seconds_total", well), above(used))
		r.until(status("docker.container_health", well), is(0))
	}
	for series, want := range map[string]float64{
		survived: 2,
		container("docker_oom_kills_total", "memleak-pid1", `pid1_alive="false"`):  1,
		container("docker_oom_kills_total", "memleak-forked", `pid1_alive="true"`): 1,
		container("docker_container_exits_total", "memleak-pid1"):                  exits,
	} {
		if v, ok := r.value(series); !ok || v != want {
			r.t.Errorf("afterwards %s is %v (present: %v), want %v", series, v, ok, want)
		}
	}
	later := name("later")
	r.Docker("run", "-d", "--name", later, "bb:1", "sleep", "600")
	r.until(container("docker_container_running", later), is(1))
	if log := r.log(); !regexp.MustCompile(`level=WARN msg="(lost the engine's events, reconnecting|waiting for the engine)" error=.*`+g.reason).MatchString(log) ||
		!strings.Contains(log, "the engine is gone; known containers are read on") || !strings.Contains(log, "the engine is back") {
		r.t.Errorf("the log does not tell of it, with the reason %s:\n%s", g.reason, log)
	}
	r.Docker("rm", "-f", leaks, mortal, well, later)
}

// permissionGone: the policy takes the monitor's role from it, and gives it
// back. The Engine goes on without it.
func (r *rig) permissionGone(p *vitrine.Process) {
	const without = `bindings: {admin: ["unix:root", "local"]}`
	const with = `bindings: {admin: ["unix:root", "local"], monitor: ["container:monitor"]}`
	r.gap(gap{
		reason: "403 Forbidden",
		lives:  true,
		begin: func() {
			loads := func() int { return strings.Count(p.Log(), "policy loaded") }
			before := loads()
			p.WritePolicy("data.yaml", without)
			wait.Until(r.t, "the policy is loaded", func() bool { return loads() > before })
		},
		during: func() {
			r.Docker("run", "-d", "--name", "started-unseen", "bb:1", "sleep", "600")
			r.Docker("run", "-d", "--name", "ended-unseen", "bb:1", "sh", "-c", "exit 7")
			r.until("docker_up", is(0))
			r.refusedOnce()
		},
		end: func() { p.WritePolicy("data.yaml", with) },
	})
	r.until(container("docker_container_running", "started-unseen"), is(1))
	r.until(container("docker_container_exit_code", "ended-unseen"), is(7))
	r.until(status("docker.exit", "ended-unseen"), is(2))
}

// refusedOnce: monitor once says what is wrong, and fails.
func (r *rig) refusedOnce() {
	out, err := r.Output(r.Socket, "exec", "monitor", "/monitor", "once", "--json")
	if err == nil {
		r.t.Error("monitor once ends with 0")
	}
	var doc struct {
		Checks []struct{ Check, Status, Message string }
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		r.t.Fatalf("%v in %s", err, out)
	}
	if c := doc.Checks; len(c) != 1 || c[0].Check != "docker.service_up" || c[0].Status != "critical" || !strings.Contains(c[0].Message, "403 Forbidden") {
		r.t.Errorf("checks %+v", c)
	}
}

// gatewayGone: it is killed, and so are the events; it comes back on a new
// socket in the same folder.
func (r *rig) gatewayGone(p *vitrine.Process) {
	r.gap(gap{reason: "(EOF|reset|refused)", lives: true, begin: p.Kill, end: func() { p.Run(); p.WaitReady() }})
}

// engineGone: dockerd is killed, and its socket is gone. Containers run on at
// least until it is back.
func (r *rig) engineGone(lives bool) {
	r.gap(gap{
		reason: "(EOF|reset|refused|502|503)", lives: lives,
		begin: func() {
			if err := r.Kill(); err != nil {
				r.t.Fatal(err)
			}
			if err := os.Remove(r.Socket); err != nil { // which SIGKILL leaves
				r.t.Fatal(err)
			}
		},
		end: func() { r.resume(r.Resume()) },
	})
}

// engineRestarted: dockerd stops its containers in order, and starts those that
// ask for it again.
func (r *rig) engineRestarted() {
	r.Docker("run", "-d", "--name", "phoenix", "--restart", "always", "--stop-signal", "KILL", "bb:1", "sleep", "600")
	r.until(container("docker_container_running", "phoenix"), is(1))
	began, _ := r.value(container("docker_container_start_time_seconds", "phoenix"))
	r.resume(r.Restart())
	r.soon(container("docker_container_start_time_seconds", "phoenix"), above(began))
	r.until("docker_up", is(1))
	r.until(container("docker_container_running", "memleak-forked"), is(0))
	r.until(container("docker_container_exit_code", "memleak-forked"), is(137))
	r.until(container("docker_oom_kills_total", "memleak-forked", `pid1_alive="true"`), is(1))
	r.until(container("docker_oom_kills_total", "memleak-pid1", `pid1_alive="false"`), is(1))
	r.until(container("docker_cpu_usage_seconds_total", "phoenix"), above(0))
}

func (r *rig) resume(err error) {
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chmod(r.Socket, 0o666); err != nil {
		r.t.Fatal(err)
	}
}
