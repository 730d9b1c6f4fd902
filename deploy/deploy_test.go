// Package deploy_test runs the examples of this folder on a real Engine: the compose files by Docker Compose, the "docker
// run" of docs/install.md beside each, and the command lines of the units as plain processes.
package deploy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/transcript"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

const socket = "/run/vitrine/docker/docker.sock"

// compose runs Docker Compose on a file of ours: the engine's own plugin, or else the program docker-compose.
func compose(t *testing.T, e *engine.Engine, file string, arg ...string) {
	t.Helper()
	arg = append([]string{"-f", filepath.Join("compose", file), "--project-name", "test"}, arg...)
	cmd := exec.CommandContext(t.Context(), "docker-compose", arg...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+e.Socket)
	if _, err := os.Stat(filepath.Join(e.Dir, "state/docker/cli-plugins/docker-compose")); err == nil {
		cmd = e.DockerCommand(e.Socket, append([]string{"compose"}, arg...)...)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// inDocs returns the command of docs/install.md that begins so, with Docker's command line in place of "docker".
func inDocs(t *testing.T, e *engine.Engine, begin string) *exec.Cmd {
	t.Helper()
	for _, block := range transcript.Blocks(t, "../docs/install.md") {
		for _, command := range transcript.Commands(block.Text) {
			if arg, found := strings.CutPrefix(command, "docker "); found && strings.HasPrefix(command, begin) {
				return e.DockerCommand(e.Socket, strings.Fields(strings.ReplaceAll(arg, "\\\n", " "))...)
			}
		}
	}
	t.Fatalf("docs/install.md has no command %s", begin)
	return nil
}

func must(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// TestGatewayInAContainer starts it as the compose file and as the documentation say, each with the agent of the documentation.
func TestGatewayInAContainer(t *testing.T) {
	for name, start := range map[string]func(*testing.T, *engine.Engine){
		"compose":    func(t *testing.T, e *engine.Engine) { compose(t, e, "gateway.yaml", "up", "-d") },
		"docker run": func(t *testing.T, e *engine.Engine) { must(t, inDocs(t, e, "docker run -d --name vitrine-gateway ")) },
	} {
		t.Run(name, func(t *testing.T) {
			e := engine.Start(t, engine.Options{})
			image(t, e)
			if err := e.ImportImage("my/agent", e.CLI()); err != nil {
				t.Fatal(err)
			}
			start(t, e)
			agent := inDocs(t, e, "docker run -d --name agent ")
			agent.Args = append(agent.Args, "sleep", "1000")
			must(t, agent)

			ask := func(arg ...string) (string, error) {
				out, err := e.DockerCommand(e.Socket, append([]string{"exec", "agent", "docker"}, arg...)...).CombinedOutput()
				return string(out), err
			}
			eventually(t, e, func() error {
				out, err := ask("ps", "--format", "{{.Names}}")
				if err != nil || !strings.Contains(out, "agent\n") {
					return fmt.Errorf("docker ps in the agent: %w: %s", err, out)
				}
				return nil
			})
			if out, err := ask("run", "--rm", "my/agent", "true"); err == nil || !strings.Contains(out, "vitrine: container:agent may not ContainerCreate") {
				t.Errorf("docker run in the agent: %v: %s", err, out)
			}
		})
	}
}

// TestMonitorInAContainer starts it as the compose file and as the documentation say.
func TestMonitorInAContainer(t *testing.T) {
	for name, start := range map[string]func(*testing.T, *engine.Engine) (dsd string){
		"compose": func(t *testing.T, e *engine.Engine) string {
			compose(t, e, "monitor.yaml", "up", "-d")
			return "vitrine-dsd"
		},
		"docker run": func(t *testing.T, e *engine.Engine) string {
			must(t, inDocs(t, e, "docker run -d --name monitor "))
			return "/run/vitrine/dsd"
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := engine.Start(t, engine.Options{})
			vitrine.Start(t, vitrine.Options{Engine: e, Alone: true})
			e.Docker("build", "--quiet", "--tag", "vitrine/monitor", "--file", "monitor/Dockerfile", filepath.Dir(binary(t, "monitor")))
			if _, err := e.ImportGo("sender:1", "vitrine/test/sender"); err != nil {
				t.Fatal(err)
			}
			prepare(t, e)
			dsd := start(t, e)
			eventually(t, e, func() error { return scrape(e, `docker_container_running{container_name="monitor"} 1`) })
			token := strings.TrimSpace(read(t, e.Path("/etc/vitrine/page-token")))
			eventually(t, e, func() error { return pageShowsWhoAsks(e, token) })
			e.Docker("run", "--detach", "--name=app", "--network=none", "--volume="+dsd+":/run/vitrine/dsd:ro", "sender:1", "sleep", "1000")
			e.Docker("exec", "app", "sender", "raw", "/run/vitrine/dsd/dsd.sock", "app.starts:1|c|card:none")
			eventually(t, e, func() error { return scrape(e, "app_starts_total 1") })
		})
	}
}

// prepare runs what docs/install.md has before the container of the monitor: folders and the page's token.
func prepare(t *testing.T, e *engine.Engine) {
	t.Helper()
	if err := os.MkdirAll(e.Path("/etc/tmpfiles.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	shell := transcript.Start(t, e.Command("bash", "-s"))
	for _, block := range transcript.Blocks(t, "../docs/install.md") {
		if block.Heading != "Monitor" {
			continue
		}
		for _, command := range transcript.Commands(block.Text)[1:] {
			if strings.HasPrefix(command, "docker ") {
				return
			}
			if out := shell.Type(command); out != "" {
				t.Errorf("%s: %s", command, out)
			}
		}
	}
}

// get asks the monitor, where it is by default, with a token if it is not "".
func get(e *engine.Engine, path, token string) (status int, body string, err error) {
	client := &http.Client{Transport: &http.Transport{DialContext: e.Dial, DisableKeepAlives: true}}
	req, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:9780"+path, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// pageShowsWhoAsks: the monitor reads the admin socket, without more ado than the documentation has; and without
// the token nobody gets what it reads there.
func pageShowsWhoAsks(e *engine.Engine, token string) error {
	for path, want := range map[string]string{"/api/board": `"up":true`, "/api/authz-plugin/metrics": "vitrine_policy_last_load_success 1\n"} {
		if code, body, err := get(e, path, token); err != nil || code != http.StatusOK || !strings.Contains(body, want) {
			return fmt.Errorf("%s: no %q in %d %s (%w)", path, want, code, body, err)
		}
		if code, body, err := get(e, path, ""); token != "" && (err != nil || code != http.StatusUnauthorized) {
			return fmt.Errorf("%s without the token: %d %s (%w)", path, code, body, err)
		}
	}
	return nil
}

// TestBothInContainers: the two compose files together, and the page of the one shows the other.
func TestBothInContainers(t *testing.T) {
	e := engine.Start(t, engine.Options{})
	image(t, e)
	e.Docker("build", "--quiet", "--tag", "vitrine/monitor", "--file", "monitor/Dockerfile", filepath.Dir(binary(t, "monitor")))
	prepare(t, e)
	compose(t, e, "gateway.yaml", "up", "-d")
	compose(t, e, "monitor.yaml", "-f", filepath.Join("compose", "behind-gateway.yaml"), "up", "-d")
	token := strings.TrimSpace(read(t, e.Path("/etc/vitrine/page-token")))
	eventually(t, e, func() error { return pageShowsWhoAsks(e, token) })
}

// TestMonitorWithoutCgroups says what is missing.
func TestMonitorWithoutCgroups(t *testing.T) {
	e := engine.Start(t, engine.Options{})
	vitrine.Start(t, vitrine.Options{Engine: e, Alone: true})
	e.Docker("build", "--quiet", "--tag", "vitrine/monitor", "--file", "monitor/Dockerfile", filepath.Dir(binary(t, "monitor")))
	prepare(t, e)
	cmd := inDocs(t, e, "docker run -d --name monitor ")
	i := slices.Index(cmd.Args, "/sys/fs/cgroup:/sys/fs/cgroup:ro")
	cmd.Args = slices.Delete(cmd.Args, i-1, i+1)
	must(t, cmd)
	eventually(t, e, func() error {
		out, err := e.DockerCommand(e.Socket, "logs", "monitor").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "mount the host's /sys/fs/cgroup") {
			return fmt.Errorf("the monitor says (%w):\n%s", err, out)
		}
		return nil
	})
}

const monitorUser = 4712

func TestMonitorUnit(t *testing.T) {
	e := engine.Start(t, engine.Options{})
	vitrine.Start(t, vitrine.Options{Engine: e, Alone: true})
	monitorUnit(t, e)
	eventually(t, e, func() error { return pageShowsWhoAsks(e, "") })
}

// monitorUnit runs the monitor as its unit does, behind a gateway that runs, and waits until it has an Engine.
func monitorUnit(t *testing.T, e *engine.Engine, more ...string) {
	t.Helper()
	monitorUnitBy(t, e, nil, more...)
}

// monitorUnitBy does so by another program.
func monitorUnitBy(t *testing.T, e *engine.Engine, by []string, more ...string) {
	t.Helper()
	passwd := fmt.Sprintf("%svitrine-monitor:x:%d:%d::/nonexistent:/usr/sbin/nologin\n", read(t, e.Path("/etc/passwd")), monitorUser, monitorUser)
	command := execStart(t, "vitrine-monitor.service")
	command[0] = filepath.Join(e.Dir, "state/monitor") // where every user may run it
	if err := errors.Join(
		os.WriteFile(e.Path("/etc/passwd"), []byte(passwd), 0o644),
		exec.CommandContext(t.Context(), "install", binary(t, "monitor"), command[0]).Run(),
		os.Chown(e.Path("/run/vitrine-admin"), 0, monitorUser), os.Chmod(e.Path("/run/vitrine-admin"), 0o710), // as vitrine-monitor.tmpfiles.conf does
	); err != nil {
		t.Fatal(err)
	}
	user := fmt.Sprint(monitorUser)
	run(t, e, slices.Concat(by, []string{"setpriv", "--reuid=" + user, "--regid=" + user, "--clear-groups", "--bounding-set=-all"}, command, more))
	eventually(t, e, func() error { return scrape(e, "docker_up 1") })
}

// requireProgram skips, or fails where everything has to be there.
func requireProgram(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("VITRINE_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// run runs a unit's command line, and ends it with the test, or when it is told to.
func run(t *testing.T, e *engine.Engine, command []string) (stop func()) {
	t.Helper()
	cmd := e.Command(command[0], command[1:]...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("it ends with %v; it said:\n%s", err, &log)
		}
	})
	t.Cleanup(stop)
	return stop
}

// has returns an error unless a text has what is wanted.
func has(text, want string, err error) error {
	if err != nil || !strings.Contains(text, want) {
		return fmt.Errorf("no %q (%w) in:\n%s", want, err, text)
	}
	return nil
}

// scrape returns an error unless the monitor's page, where it is by default, has
// this line.
func scrape(e *engine.Engine, line string) error {
	_, body, err := get(e, "/metrics", "")
	return has(body, "\n"+line+"\n", err)
}

func TestUnits(t *testing.T) {
	for unit, asked := range map[string]bool{"vitrine.service": true, "vitrine-gateway.service": false} {
		t.Run(unit, func(t *testing.T) {
			e := engine.Start(t, engine.Options{})
			command := execStart(t, unit)
			command[0] = binary(t, "authz-plugin")
			run(t, e, command)
			eventually(t, e, func() error { return status(e.Path(socket), "/_ping", http.StatusOK) })
			if err := e.WriteDaemonJSON(map[string]any{"authorization-plugins": []string{"vitrine"}}); err != nil {
				t.Fatal(err)
			}
			if !asked {
				return
			}
			if err := e.Hangup(); err != nil {
				t.Fatal(err)
			}
			eventually(t, e, func() error { return status(e.Socket, "/_ping?vitrine=1&vitrine=2", http.StatusForbidden) })
			eventually(t, e, func() error { return status(e.Path(socket), "/containers/json", http.StatusOK) })
		})
	}
}

// TestUnitsAreWellFormed lets systemd read them.
func TestUnitsAreWellFormed(t *testing.T) {
	requireProgram(t, "systemd-analyze")
	units, err := filepath.Glob("systemd/*.s[eo]*") // services and sockets
	if err != nil || len(units) < 4 {
		t.Fatalf("units: %v %v", units, err)
	}
	program, dir := regexp.MustCompile(`/usr/local/bin/[a-z-]+`), t.TempDir()
	for _, unit := range units { // with a program that is here
		text := program.ReplaceAllString(read(t, unit), "/bin/true")
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(unit)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, unit := range units {
		path := filepath.Join(dir, filepath.Base(unit))
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", path).CombinedOutput()
		if err != nil || strings.Contains(string(out), filepath.Base(unit)) {
			t.Errorf("systemd-analyze verify %s: %v\n%s", unit, err, out)
		}
	}
}

// TestUnitsAreHardened: what systemd counts as exposed is no more than what they need. They cannot do without the host's processes
// and users, and authz-plugin not without root; see the comments in them.
func TestUnitsAreHardened(t *testing.T) {
	requireProgram(t, "systemd-analyze")
	for unit, most := range map[string]string{"vitrine.service": "25", "vitrine-gateway.service": "25", "vitrine-monitor.service": "19"} {
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold="+most, "systemd/"+unit).CombinedOutput()
		if err != nil {
			t.Errorf("%s is more exposed than %s tenths: %v\n%s", unit, most, err, out)
		}
	}
}

// TestUnitsStayWithinTheirFilterClosed runs the programs under strace: SystemCallFilter= allows all that they do.
func TestUnitsStayWithinTheirFilterClosed(t *testing.T) {
	requireProgram(t, "strace")
	allowed := systemCalls(t, "@system-service")
	e := engine.Start(t, engine.Options{})
	command := execStart(t, "vitrine-gateway.service")
	command[0] = binary(t, "authz-plugin")
	t.Run("programs", func(t *testing.T) {
		traced := func(name string) []string {
			return []string{"strace", "-D", "-f", "-qq", "-c", "-S", "name", "-o", filepath.Join(e.Dir, "state/calls-"+name)}
		}
		run(t, e, append(traced("gateway"), command...))
		eventually(t, e, func() error { return status(e.Path(socket), "/containers/json", http.StatusOK) })
		if err := status(e.Path(socket), "/_ping?vitrine=1&vitrine=2", http.StatusBadRequest); err != nil {
			t.Error(err)
		}
		monitorUnitBy(t, e, traced("monitor"))
		eventually(t, e, func() error { return pageShowsWhoAsks(e, "") })
	})
	for _, name := range []string{"gateway", "monitor"} {
		table := ""
		if err := wait.NoError(20*time.Second, func() (err error) {
			table = read(t, filepath.Join(e.Dir, "state/calls-"+name)) // strace writes it when the program has ended
			if !strings.Contains(table, " total\n") {
				err = errors.New("no table of system calls")
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(table) {
			words := strings.Fields(line)
			if len(words) < 4 || !regexp.MustCompile(`^[0-9.]+$`).MatchString(words[0]) || words[len(words)-1] == "total" {
				continue
			}
			if call := words[len(words)-1]; !allowed[call] {
				t.Errorf("the %s calls %s, which the filter refuses", name, call)
			}
		}
	}
}

// systemCalls are those of one of systemd's sets, with the sets in it.
func systemCalls(t *testing.T, set string) map[string]bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "syscall-filter", set).Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		switch name := strings.TrimSpace(line); {
		case !strings.HasPrefix(line, " ") || strings.HasPrefix(name, "#"):
		case strings.HasPrefix(name, "@"):
			maps.Copy(all, systemCalls(t, name))
		default:
			all[name] = true
		}
	}
	return all
}

// execStart returns the words of a unit's command line.
func execStart(t *testing.T, unit string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("systemd", unit))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "ExecStart=") })
	if i < 0 {
		t.Fatalf("%s has no ExecStart", unit)
	}
	return strings.Fields(strings.TrimPrefix(lines[i], "ExecStart="))
}

// binary builds a real program, and puts it alone in a folder.
func binary(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../cmd/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// image makes the image that the compose file names.
func image(t *testing.T, e *engine.Engine) {
	t.Helper()
	dir := t.TempDir()
	for _, arg := range [][]string{{"build", dir}, {"image", dir, "vitrine/authz-plugin"}} {
		cmd := exec.CommandContext(t.Context(), "../scripts/plugin.sh", arg...)
		cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+e.Socket, "BINARY="+binary(t, "authz-plugin"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("plugin.sh %s: %v\n%s", arg[0], err, out)
		}
	}
}

// status asks for a path and returns an error unless the status is the wanted one.
func status(socket, path string, want int) error {
	res, err := engine.SocketClient(socket).Get("http://docker" + path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		return fmt.Errorf("GET %s: status %d, want %d: %s (%w)", path, res.StatusCode, want, body, err)
	}
	return nil
}

// eventually repeats try until it returns nil, for 20 s.
func eventually(t *testing.T, e *engine.Engine, try func() error) {
	t.Helper()
	if err := wait.NoError(20*time.Second, try); err != nil {
		out, _ := e.DockerCommand(e.Socket, "logs", "vitrine-gateway").CombinedOutput()
		t.Fatalf("%v\nthe gateway says:\n%s", err, out)
	}
}
