// Package deploy_test runs the examples of this folder on a real Engine: the compose files by Docker Compose, the "docker
// run" of docs/install.md beside each, and the command lines of the units as plain processes.
package deploy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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
			const folder = "/run/vitrine/dsd" // which systemd-tmpfiles makes
			if err := os.MkdirAll(e.Path(folder), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(e.Path(folder), 65532, 65532); err != nil {
				t.Fatal(err)
			}
			must(t, inDocs(t, e, "docker run -d --name monitor "))
			return folder
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := engine.Start(t, engine.Options{})
			vitrine.Start(t, vitrine.Options{Engine: e, Alone: true})
			e.Docker("build", "--quiet", "--tag", "vitrine/monitor", "--file", "monitor/Dockerfile", filepath.Dir(binary(t, "monitor")))
			if _, err := e.ImportGo("sender:1", "vitrine/test/sender"); err != nil {
				t.Fatal(err)
			}
			dsd := start(t, e)
			eventually(t, e, func() error { return scrape(e, `docker_container_running{container_name="monitor"} 1`) })
			e.Docker("run", "--detach", "--name=app", "--network=none", "--volume="+dsd+":/run/vitrine/dsd:ro", "sender:1", "sleep", "1000")
			e.Docker("exec", "app", "sender", "raw", "/run/vitrine/dsd/dsd.sock", "app.starts:1|c|card:none")
			eventually(t, e, func() error { return scrape(e, "app_starts_total 1") })
		})
	}
}

// TestMonitorWithoutCgroups says what is missing.
func TestMonitorWithoutCgroups(t *testing.T) {
	e := engine.Start(t, engine.Options{})
	vitrine.Start(t, vitrine.Options{Engine: e, Alone: true})
	e.Docker("build", "--quiet", "--tag", "vitrine/monitor", "--file", "monitor/Dockerfile", filepath.Dir(binary(t, "monitor")))
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

func TestMonitorUnit(t *testing.T) {
	e := engine.Start(t, engine.Options{})
	passwd, err := os.ReadFile(e.Path("/etc/passwd"))
	if err != nil {
		t.Fatal(err)
	}
	passwd = append(passwd, "vitrine-monitor:x:4712:4712::/nonexistent:/usr/sbin/nologin\n"...)
	if err := os.WriteFile(e.Path("/etc/passwd"), passwd, 0o644); err != nil {
		t.Fatal(err)
	}
	vitrine.Start(t, vitrine.Options{Engine: e, Alone: true})
	command := execStart(t, "vitrine-monitor.service")
	command[0] = filepath.Join(e.Dir, "state/monitor") // where every user may run it
	if out, err := exec.CommandContext(t.Context(), "install", binary(t, "monitor"), command[0]).CombinedOutput(); err != nil {
		t.Fatalf("install: %v\n%s", err, out)
	}
	run(t, e, append([]string{"setpriv", "--reuid=4712", "--regid=4712", "--clear-groups", "--bounding-set=-all"}, command...))
	eventually(t, e, func() error { return scrape(e, "docker_up 1") })
}

// run runs a unit's command line, and ends it with the test.
func run(t *testing.T, e *engine.Engine, command []string) {
	t.Helper()
	cmd := e.Command(command[0], command[1:]...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("it ends with %v; it said:\n%s", err, &log)
		}
	})
}

// scrape returns an error unless the monitor's page, where it is by default, has
// this line.
func scrape(e *engine.Engine, line string) error {
	client := &http.Client{Transport: &http.Transport{DialContext: e.Dial, DisableKeepAlives: true}}
	res, err := client.Get("http://127.0.0.1:9780/metrics")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(body), "\n"+line+"\n") {
		return fmt.Errorf("no line %s on the monitor's page (%w):\n%s", line, err, body)
	}
	return nil
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
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("VITRINE_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	units, err := filepath.Glob("systemd/*.service")
	if err != nil || len(units) == 0 {
		t.Fatalf("units: %v %v", units, err)
	}
	program := regexp.MustCompile(`/usr/local/bin/[a-z-]+`)
	for _, unit := range units {
		data, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), filepath.Base(unit)) // with a program that is here
		text := program.ReplaceAllString(string(data), "/bin/true")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", path).CombinedOutput()
		if err != nil || strings.Contains(string(out), filepath.Base(unit)) {
			t.Errorf("systemd-analyze verify %s: %v\n%s", unit, err, out)
		}
	}
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
