// Package monitor tests the monitor on a real Engine with hybrid cgroups: as an
// ordinary user without capabilities, against workloads built to be measured.
package monitor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/monitor"
	"vitrine/test/wait"
)

// leak doubles a string until the kernel stops it.
const leak = `x=a; while :; do x=$x$x; done`

// rig is a monitor that watches an engine.
type rig struct {
	*engine.Engine
	t       *testing.T
	address string
	client  *http.Client
	log     func() string // of the monitor, so far
}

// start runs the monitor as uid 65532, which has no capabilities.
func start(t *testing.T, e *engine.Engine) *rig {
	t.Helper()
	return startAs(t, e, 65532)
}

func startAs(t *testing.T, e *engine.Engine, id uint32, more ...string) *rig {
	t.Helper()
	if err := os.Chmod(e.Socket, 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), monitor.Build(t), append([]string{"run", "--docker", "unix://" + e.Socket, "--interval", "1s", "--http", "127.0.0.1:0", "--dogstatsd-socket", ""}, more...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	r := &rig{Engine: e, t: t, client: http.DefaultClient}
	r.address, r.log = monitor.Start(t, cmd)
	return r
}

func (r *rig) page() string {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+r.address+"/metrics", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// value is that of one series; false if it is absent.
func (r *rig) value(series string) (float64, bool) {
	r.t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(r.page())
	if m == nil {
		return 0, false
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		r.t.Fatal(err)
	}
	return v, true
}

// until waits for a series to have a value that fits.
func (r *rig) until(series string, fits func(float64) bool) {
	r.t.Helper()
	r.within(10*time.Second, series, fits)
}

// soon waits longer, for what takes both of us a while.
func (r *rig) soon(series string, fits func(float64) bool) {
	r.t.Helper()
	r.within(40*time.Second, series, fits)
}

// within looks ten times in the second that is between two collections, longer on a machine that is busy:
// a container that is given less than its limit is not throttled.
func (r *rig) within(limit time.Duration, series string, fits func(float64) bool) {
	r.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for begin := time.Now(); ; <-tick.C {
		v, ok := r.value(series)
		if ok && fits(v) {
			return
		}
		if waited := time.Since(begin); waited > wait.Patience(limit) {
			r.t.Fatalf("after %v %s is %v (present: %v)", waited.Round(time.Second), series, v, ok)
		}
	}
}

func is(want float64) func(float64) bool { return func(v float64) bool { return v == want } }

func above(low float64) func(float64) bool {
	return func(v float64) bool { return v > low }
}

func between(low, high float64) func(float64) bool {
	return func(v float64) bool { return v >= low && v <= high }
}

func container(metric, name string, labels ...string) string {
	return fmt.Sprintf(`%s{%s}`, metric, strings.Join(append([]string{`container_name="` + name + `"`}, labels...), ","))
}

// status is the series of a service check of a container.
func status(check, name string) string {
	return fmt.Sprintf(`docker_service_check_status{check=%q,container_name=%q}`, check, name)
}

// TestOnTheHost: the monitor is a process of an ordinary user beside dockerd, whose
// end is that of all containers.
func TestOnTheHost(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	r := start(t, e)
	t.Run("the talk's experiment", func(t *testing.T) { r.on(t).experiment() })
	t.Run("a real scrape", func(t *testing.T) { r.on(t).prometheus() })
	t.Run("one container hangs", func(t *testing.T) { r.on(t).oneHangs() })
	t.Run("the Engine gone and back", func(t *testing.T) { r.on(t).engineGone(false) })
	t.Run("the Engine restarted", func(t *testing.T) { r.on(t).engineRestarted() })
}

func (r *rig) on(t *testing.T) *rig {
	other := *r
	other.t, other.Engine = t, r.For(t)
	return &other
}

// limits: two tenths of a core, 64 MiB, 96 with swap; 5 MB of the memory in use.
func (r *rig) limits() {
	r.Docker("run", "-d", "--name", "busy", "--cpus", "0.2", "-m", "64m", "--memory-swap", "96m", "--pids-limit", "50", "bb:1", "sh", "-c", "while :; do :; done")
	r.until(container("docker_cpu_limit_cores", "busy"), is(0.2))
	r.until(container("docker_mem_limit_bytes", "busy"), is(64<<20))
	r.until(container("docker_mem_sw_limit_bytes", "busy"), is(96<<20))
	r.until(container("docker_threads_limit", "busy"), is(50))
	r.until(container("docker_threads", "busy"), is(1))
	r.until(container("docker_cpu_throttled_ratio", "busy"), between(0.5, 1))
	r.until(container("docker_cpu_throttled_periods_total", "busy"), above(5))
	r.until(container("docker_pressure_some_seconds_total", "busy", `resource="cpu"`), above(0))
	r.until(container("docker_open_files", "busy"), above(2))
	r.until(container("docker_mem_in_use_ratio", "busy"), between(0, 0.1))
	used, _ := r.value(container("docker_cpu_usage_seconds_total", "busy"))
	r.until(container("docker_cpu_usage_seconds_total", "busy"), above(used+0.1))
}

// experiment is memleak-pid1 and memleak-forked: one dies of it, the other is a
// container of which the Engine says that all is well.
func (r *rig) experiment() {
	limit := []string{"-m", "32m", "--memory-swap", "48m", "--stop-signal", "KILL", "bb:1", "sh", "-c"}
	run := func(name, script string) {
		r.Docker(append(append([]string{"run", "-d", "--name", name}, limit...), script)...)
	}
	run("memleak-pid1", leak)
	run("memleak-forked", "sh -c '"+leak+"' & sleep 600")
	r.until(container("docker_oom_kills_total", "memleak-pid1", `pid1_alive="false"`), is(1))
	r.until(container("docker_oom_kills_total", "memleak-forked", `pid1_alive="true"`), is(1))
	if v, _ := r.value(container("docker_oom_kills_total", "memleak-pid1", `pid1_alive="true"`)); v != 0 {
		r.t.Errorf("memleak-pid1 survived %v kills", v)
	}
	if v, _ := r.value(container("docker_oom_kills_total", "memleak-forked", `pid1_alive="false"`)); v != 0 {
		r.t.Errorf("memleak-forked died of %v kills", v)
	}
	r.until(container("docker_container_exit_code", "memleak-pid1"), is(137))
	if state := strings.TrimSpace(r.Docker("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "memleak-forked")); state != "running 0" {
		r.t.Errorf("the Engine says %s of memleak-forked", state)
	}
	if v, _ := r.value(container("docker_container_running", "memleak-forked")); v != 1 {
		r.t.Error("memleak-forked does not run")
	}

	// The Engine writes labels over the words of its events, and an image may bring some.
	r.Docker(append([]string{"run", "-d", "--name", "memleak-liar", "--label", "exitCode=0"}, append(limit, "sh -c '"+leak+"'; "+leak)...)...)
	r.until(container("docker_container_exit_code", "memleak-liar"), is(137))
	r.until(container("docker_oom_kills_total", "memleak-liar", `pid1_alive="false"`), above(0))
	r.until(`docker_service_check_status{check="docker.exit",container_name="memleak-liar"}`, is(2))
	// Whether it outlived the first kill is a matter of when the second came.
	r.Docker("rm", "-f", "memleak-liar")
}

// namespaces: a container that joined another's has no series of its own.
func (r *rig) namespaces() {
	r.Docker("network", "create", "front")
	r.Docker("run", "-d", "--name", "web", "--network", "front", "bb:1", "sh", "-c", "ping -c 3 127.0.0.1; sleep 600")
	r.Docker("run", "-d", "--name", "sidecar", "--network", "container:web", "bb:1", "sleep", "600")
	r.until(container("docker_net_sharing", "web"), is(2))
	r.until(container("docker_net_receive_bytes_total", "web", `interface="eth0"`, `docker_network="front"`), above(0))
	if page := r.page(); strings.Contains(page, `docker_net_receive_bytes_total{container_name="sidecar"`) {
		r.t.Error("the shared namespace is counted twice")
	}
}

// startGrowing starts a container that takes a MiB a second of 128.
func (r *rig) startGrowing() {
	r.Docker("run", "-d", "--name", "grows", "-m", "128m", "bb:1", "sh", "-c",
		`m=$(head -c 524288 /dev/zero | tr '\0' x); for i in $(seq 1 200); do eval "v$i=\$m"; sleep 0.5; done`)
}

func (r *rig) headroom() {
	r.soon(container("docker_mem_headroom_seconds", "grows"), between(5, 600))
}

// prometheus: Debian's own scrapes the monitor, and answers a query.
func (r *rig) prometheus() {
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("VITRINE_REQUIRE") != "" {
			r.t.Fatal(err)
		}
		r.t.Skip("prometheus is not installed (scripts/setup.sh)")
	}
	check := exec.CommandContext(r.t.Context(), "promtool", "check", "metrics")
	check.Stdin = strings.NewReader(r.page())
	if out, err := check.CombinedOutput(); err != nil {
		r.t.Errorf("promtool: %v\n%s", err, out)
	}
	dir := r.t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := "global: {scrape_interval: 1s}\nscrape_configs: [{job_name: monitor, static_configs: [{targets: ['" + r.address + "']}]}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	log := &wait.Buffer{}
	at := free(r.t)
	cmd := exec.CommandContext(r.t.Context(), binary, "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", at)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if err := wait.NoError(30e9, func() error {
		out, err := exec.CommandContext(r.t.Context(), "promtool", "query", "instant", "http://"+at,
			`docker_oom_kills_total{pid1_alive="true"} * on (container_name) group_left (image_name) docker_container_info > 0`).CombinedOutput()
		if err == nil && !strings.Contains(string(out), "memleak-forked") {
			err = fmt.Errorf("it answers %q", out)
		}
		return err
	}); err != nil {
		r.t.Errorf("%v\n%s", err, log)
	}
}

// free is an address that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
