package monitor

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"vitrine/internal/kernel/procfs"
	"vitrine/rego"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// TestBehindTheGlass is the deployment that all this is for: the monitor in a
// container of its own, without root, capabilities and network, with the role that the
// built-in policy gives to the name of that container, and both doors between it and
// the Engine.
func TestBehindTheGlass(t *testing.T) {
	t.Parallel()
	settings := map[string]any{"live-restore": true} // the monitor outlives dockerd
	e := engine.Start(t, engine.Options{DaemonJSON: settings})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	doors := vitrine.Start(t, vitrine.Options{Engine: e})
	doors.Plug(settings)
	image(t, e)
	e.Docker("volume", "create", "unused")
	e.Docker("run", "--detach", "--name", "seen", "bb:1", "sleep", "600")
	t.Run("places", func(t *testing.T) { places(t, e.For(t)) })
	r := contain(t, e)
	r.on(t).startGrowing()
	t.Run("it can do nothing else", func(t *testing.T) { confined(t, initPid(t, e, "monitor")) })
	t.Run("limits and what they do", func(t *testing.T) { r.on(t).limits() })
	t.Run("the talk's experiment", func(t *testing.T) { r.on(t).experiment() })
	t.Run("one series a namespace", func(t *testing.T) { r.on(t).namespaces() })
	t.Run("the host's network", func(t *testing.T) { r.on(t).hostNetwork() })
	t.Run("health checks", func(t *testing.T) { r.on(t).health() })
	t.Run("ends and restarts", func(t *testing.T) { r.on(t).restarts() })
	t.Run("what the Engine has", func(t *testing.T) { r.on(t).counts() })
	t.Run("a table of all containers", func(t *testing.T) { r.on(t).once() })
	t.Run("headroom", func(t *testing.T) { r.on(t).headroom() })
	t.Run("its role is what it calls", func(t *testing.T) { exactRole(t, doors) })
	t.Run("its permission gone and back", func(t *testing.T) { r.on(t).permissionGone(doors) })
	t.Run("the gateway gone and back", func(t *testing.T) { r.on(t).gatewayGone(doors) })
	t.Run("the Engine gone and back", func(t *testing.T) { r.on(t).engineGone(true) })
	t.Run("both doors saw the same requests", func(t *testing.T) { agreed(t, doors) })
}

// image makes vitrine/monitor, as docs/install.md says.
func image(t *testing.T, e *engine.Engine) {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "monitor"), "vitrine/cmd/monitor")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	e.Docker("build", "--quiet", "--tag", "vitrine/monitor", "--file", "../../../deploy/monitor/Dockerfile", dir)
}

// flags of docker run, but for the PID namespace.
func flags(more ...string) []string {
	return append([]string{
		"run", "--name", "monitor", "--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		"--volume", "/run/vitrine/docker:/run/vitrine/docker:ro", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:ro",
	}, more...)
}

// contain runs the monitor in the container "monitor".
func contain(t *testing.T, e *engine.Engine) *rig {
	t.Helper()
	image(t, e)
	e.Docker(flags("--detach", "--pid", "host", "vitrine/monitor", "run", "--interval", "1s")...)
	pid := initPid(t, e, "monitor")
	log := func() string {
		out, err := e.DockerCommand(e.Socket, "logs", "monitor").CombinedOutput()
		if err != nil {
			out = fmt.Appendf(out, "(%v)", err)
		}
		return string(out)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the monitor's log:\n%s", log())
		}
	})
	return &rig{Engine: e, t: t, address: "monitor:9780", log: log, client: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return engine.DialFrom(ctx, pid, "tcp", "127.0.0.1:9780")
		},
	}}}
}

// places: in which namespaces the monitor sees all, and that it says so where it
// does not.
func places(t *testing.T, e *engine.Engine) {
	const all = `(?s)monitor +running +0 +[0-9.]+% .*seen +running +0 +[0-9.]+%`
	for name, place := range map[string]struct {
		args []string
		want string
	}{
		"its own PID namespace":         {[]string{"vitrine/monitor", "once"}, `level=WARN .*docker run --pid host`},
		"its own, and the host's /proc": {[]string{"--volume", "/proc:/host/proc:ro", "vitrine/monitor", "once", "--proc", "/host/proc"}, all},
		"its own cgroup namespace":      {[]string{"--pid", "host", "--cgroupns", "private", "vitrine/monitor", "once"}, all},
	} {
		out, err := e.DockerCommand(e.Socket, flags(append([]string{"--rm"}, place.args...)...)...).CombinedOutput()
		if err != nil || !regexp.MustCompile(place.want).Match(out) || (place.want == all) == strings.Contains(string(out), "level=") {
			t.Errorf("%s: %v, no %s in\n%s", name, err, place.want, out)
		}
	}
}

// confined reads what the kernel says of the monitor.
func confined(t *testing.T, pid int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"Uid": "65532 65532 65532 65532", "Gid": "65532 65532 65532 65532", "NoNewPrivs": "1",
		"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000", "CapBnd": "0000000000000000", "CapAmb": "0000000000000000",
	} {
		m := regexp.MustCompile(`(?m)^` + key + `:(.*)$`).FindSubmatch(status)
		if m == nil || strings.Join(strings.Fields(string(m[1])), " ") != want {
			t.Errorf("%s is %q, want %q", key, m, want)
		}
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mounts", pid))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^\S+ / \S+ ro[, ]`).Match(mounts) {
		t.Errorf("its root can be written to:\n%s", mounts)
	}
	if net, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid)); err != nil || bytes.Count(net, []byte(":")) != 1 {
		t.Errorf("it has more than lo: %v\n%s", err, net)
	}
}

// hostNetwork: the monitor has no network, and still sees the host's.
func (r *rig) hostNetwork() {
	text, err := os.ReadFile("/proc/1/net/dev")
	if err != nil {
		r.t.Fatal(err)
	}
	interfaces, err := procfs.ParseNetDev(text, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, i := range interfaces {
		if i.Name != "lo" && !strings.HasPrefix(i.Name, "veth") { // containers' ends come and go, and are not counted
			r.until(fmt.Sprintf(`host_net_receive_bytes_total{interface=%q}`, i.Name), atLeast(float64(i.Rx.Bytes)))
		}
	}
	r.Docker("run", "-d", "--name", "on-host", "--network", "host", "bb:1", "sleep", "600")
	r.until(container("docker_container_running", "on-host"), is(1))
	if strings.Contains(r.page(), `docker_net_receive_bytes_total{container_name="on-host"`) {
		r.t.Error("the host's network is counted as a container's")
	}
}

// health: what a check prints is blanked on the way, whether it passed is not.
func (r *rig) health() {
	for name, check := range map[string]string{"well": "true", "ill": "echo secret; false"} {
		r.Docker("run", "-d", "--name", name, "--health-cmd", check, "--health-interval", "500ms", "--health-retries", "1", "bb:1", "sleep", "600")
	}
	r.until(container("docker_container_healthy", "well"), is(1))
	r.until(container("docker_container_healthy", "ill"), is(0))
	r.until(status("docker.container_health", "well"), is(0))
	r.until(status("docker.container_health", "ill"), is(2))
	r.Docker("pause", "well")
	r.until(status("docker.container_health", "well"), is(3))
	r.until(status("docker.container_state", "well"), is(1))
	r.Docker("rm", "-f", "well", "ill")
}

// restarts: a loop shows in the last exit, also while the container runs for a
// moment, and in the state between two lives.
func (r *rig) restarts() {
	r.Docker("run", "-d", "--name", "loops", "--restart", "always", "bb:1", "sh", "-c", "exit 3")
	r.until(container("docker_container_restarts_total", "loops"), above(1))
	r.until(status("docker.exit", "loops"), is(2))
	r.until(status("docker.container_state", "loops"), is(1))
	r.Docker("run", "-d", "--name", "job", "bb:1", "true")
	r.until(status("docker.exit", "job"), is(0))
	r.Docker("rm", "-f", "loops", "job")
	wait.Until(r.t, "removed containers have no checks", func() bool {
		page := r.page()
		return !strings.Contains(page, `container_name="loops"`) && !strings.Contains(page, `container_name="job"`)
	})
}

func (r *rig) counts() {
	images := strings.Fields(r.Docker("images", "--quiet"))
	slices.Sort(images)
	r.until("docker_images", is(float64(len(slices.Compact(images)))))
	r.until(`docker_volumes{volume_state="attached"}`, is(0))
	r.until(`docker_volumes{volume_state="dangling"}`, is(1))
	r.until(`docker_image_size_bytes{docker_image="bb:1"}`, above(1<<20))
	r.until(`docker_image_containers_running{docker_image="vitrine/monitor:latest"}`, is(1))
	r.until("docker_networks", atLeast(3)) // bridge, host, none
	for _, source := range []string{"cgroup", "engine", "events", "network", "proc"} {
		if v, ok := r.value(fmt.Sprintf("monitor_collection_errors_total{source=%q}", source)); !ok || v != 0 {
			r.t.Errorf("%v errors of %s (present: %v)", v, source, ok)
		}
	}
}

// once: whoever looks in afterwards still sees what happened.
func (r *rig) once() {
	table := r.Docker("exec", "monitor", "/monitor", "once")
	for _, row := range []string{
		`memleak-forked +running .* 1, PID 1 alive`, `memleak-pid1 +exited \(137\)`, `monitor +running`, `busy +running .*/64\.0MiB`,
	} {
		if !regexp.MustCompile(`(?m)^` + row).MatchString(table) {
			r.t.Errorf("no row %s in\n%s", row, table)
		}
	}
}

// agreed: dockerd asks the plugin about all that the gateway has forwarded, and it
// never was another request than the gateway's.
func agreed(t *testing.T, p *vitrine.Process) {
	if h, err := p.Health(); err != nil || h.Checks["plugin"] != "ok" {
		t.Errorf("the plugin is not asked: %v %v", h.Checks, err)
	}
	for _, r := range p.Audit() {
		if r.Differential != "" {
			t.Errorf("%s %s: %s", r.Method, r.URI, r.Differential)
		}
	}
}

// exactRole compares the built-in role with what the gateway has recorded.
func exactRole(t *testing.T, p *vitrine.Process) {
	data, err := fs.ReadFile(rego.Files(), "data.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Roles map[string]struct{ Operations []string }
	}
	if err := yaml.Unmarshal(data, &policy); err != nil {
		t.Fatal(err)
	}
	var used []string
	for _, r := range p.Audit() {
		if !slices.Contains(r.Caller.Principals, "container:monitor") {
			continue
		}
		if !r.Allow {
			t.Errorf("refused: %s %s: %v", r.Method, r.URI, r.Reasons)
		}
		used = append(used, r.Operation)
	}
	slices.Sort(used)
	used = slices.Compact(used)
	role := slices.Sorted(slices.Values(policy.Roles["monitor"].Operations))
	if !slices.Equal(used, role) {
		t.Errorf("the monitor asked for\n%v, its role allows\n%v", used, role)
	}
}

func atLeast(low float64) func(float64) bool {
	return func(v float64) bool { return v >= low }
}

func initPid(t *testing.T, e *engine.Engine, name string) int {
	t.Helper()
	pid, err := strconv.Atoi(e.Docker("inspect", "--format", "{{.State.Pid}}", name))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
