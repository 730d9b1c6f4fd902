// Package scripts_test runs the plugin's scripts against a real Engine, with a stand-in for the plugin's binary: what
// they promise is about Docker's plugin commands, not about decisions.
package scripts_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"vitrine/test/engine"
	"vitrine/test/wait"
)

const repository = "127.0.0.1:5000/vitrine"

// host is an Engine with a registry that has the plugin in several versions.
type host struct {
	*engine.Engine
	t *testing.T
}

func newHost(t *testing.T) *host {
	e := engine.Start(t, engine.Options{})
	h := &host{e, t}
	if _, err := e.RunRegistry(5000); err != nil {
		t.Fatal(err)
	}
	standin := filepath.Join(t.TempDir(), "standin")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", standin, "./testdata/standin")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the stand-in: %v\n%s", err, out)
	}
	t.Setenv("BINARY", standin)
	dir := t.TempDir()
	h.must("plugin.sh", "build", dir)
	for _, tag := range []string{"1", "2"} {
		h.publish(dir, tag)
	}
	config := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(string(data), "/authz-plugin", "/nonexistent", 1)
	if err := os.WriteFile(config, []byte(broken), 0o644); err != nil {
		t.Fatal(err)
	}
	h.publish(dir, "broken")
	h.must("plugin.sh", "install", repository+":1")
	if err := e.WriteDaemonJSON(map[string]any{"authorization-plugins": []string{"vitrine"}}); err != nil {
		t.Fatal(err)
	}
	if err := e.Hangup(); err != nil {
		t.Fatal(err)
	}
	h.eventuallyAsked(true)
	return h
}

func (h *host) publish(dir, tag string) {
	h.must("plugin.sh", "create", dir, repository+":"+tag)
	h.must("plugin.sh", "push", repository+":"+tag)
}

// script runs one of the scripts against this engine and returns what it printed, and its exit status.
func (h *host) script(name string, arg ...string) (string, int) {
	h.t.Helper()
	if _, err := os.Stat(name); err != nil { // so that the test cache sees a changed script
		h.t.Fatal(err)
	}
	cmd := exec.CommandContext(h.t.Context(), "./"+name, arg...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+h.Socket, "DAEMON_JSON="+h.Path("/etc/docker/daemon.json"))
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (h *host) must(name string, arg ...string) string {
	h.t.Helper()
	out, status := h.script(name, arg...)
	if status != 0 {
		h.t.Fatalf("%s %s: exit status %d\n%s", name, strings.Join(arg, " "), status, out)
	}
	return out
}

func (h *host) reconfigure(arg ...string) (string, int) {
	h.t.Helper()
	pid, err := h.Pid()
	if err != nil {
		h.t.Fatal(err)
	}
	return h.script("plugin-reconfigure.sh", append([]string{"--pid", strconv.Itoa(pid)}, arg...)...)
}

// asked tells whether dockerd asks the plugin.
func (h *host) asked() bool {
	h.t.Helper()
	res, err := h.Client().Get("http://docker/_ping?vitrine=1&vitrine=2")
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode == 403
}

func (h *host) eventuallyAsked(want bool) {
	h.t.Helper()
	wait.Until(h.t, fmt.Sprint("dockerd asks the plugin: ", want), func() bool { return h.asked() == want })
}

// setting returns the reference and the value of one environment variable of the plugin.
func (h *host) setting(key string) (reference, value string) {
	h.t.Helper()
	out := h.Docker("plugin", "inspect", "--format", "{{.PluginReference}}{{range .Settings.Env}}\n{{.}}{{end}}", "vitrine")
	reference, env, _ := strings.Cut(out, "\n")
	_, value, _ = strings.Cut("\n"+env, "\n"+key+"=")
	value, _, _ = strings.Cut(value, "\n")
	return reference, value
}

func TestReconfigure(t *testing.T) {
	h := newHost(t)
	for _, step := range []struct {
		name           string
		arg            []string
		status         int
		says           string
		reference      string
		mode, loglevel string
	}{
		{"a setting", []string{"set", "VITRINE_MODE=audit"}, 0, `at most [0-9]+ ms`, ":1", "audit", ""},
		{"an unknown setting", []string{"set", "VITRINE_NOPE=1"}, 1, `has no setting VITRINE_NOPE`, ":1", "audit", ""},
		{"one that makes it deaf is put back", []string{"set", "VITRINE_LOG_LEVEL=deaf"}, 1, `was put back`, ":1", "audit", ""},
		{"a version that does not start", []string{"upgrade", repository + ":broken"}, 1, `Nothing was changed`, ":1", "audit", ""},
		{"a version that does not exist", []string{"upgrade", repository + ":none"}, 1, `cannot be fetched`, ":1", "audit", ""},
		{"a new version", []string{"upgrade", repository + ":2"}, 0, `at most [0-9]+ ms`, ":2", "audit", ""},
		{"no arguments", []string{"set"}, 2, `plugin-reconfigure.sh`, ":2", "audit", ""},
	} {
		t.Run(step.name, func(t *testing.T) {
			out, status := h.reconfigure(step.arg...)
			if status != step.status || !regexp.MustCompile(step.says).MatchString(out) {
				t.Errorf("exit status %d, want %d and %q; it said:\n%s", status, step.status, step.says, out)
			}
			if !h.asked() {
				t.Error("dockerd does not ask the plugin afterwards")
			}
			if reference, mode := h.setting("VITRINE_MODE"); !strings.HasSuffix(reference, step.reference) || mode != step.mode {
				t.Errorf("plugin %s with mode %q, want %s with %q", reference, mode, step.reference, step.mode)
			}
			if _, level := h.setting("VITRINE_LOG_LEVEL"); level != step.loglevel {
				t.Errorf("log level %q, want %q", level, step.loglevel)
			}
		})
	}
	if got := h.Docker("plugin", "ls", "--format", "{{.Name}}"); got != "vitrine:latest" {
		t.Errorf("plugins left: %s", got)
	}
}

func TestReconfigureRefusesAPluginThatTheSIGHUPWouldDrop(t *testing.T) {
	h := newHost(t)
	if err := h.WriteDaemonJSON(nil); err != nil {
		t.Fatal(err)
	}
	out, status := h.reconfigure("set", "VITRINE_MODE=audit")
	if status != 1 || !strings.Contains(out, "a SIGHUP would drop it") {
		t.Errorf("exit status %d, and it said:\n%s", status, out)
	}
	if !h.asked() {
		t.Error("dockerd does not ask the plugin afterwards")
	}
}

func TestUninstallRefusesWhileDockerdAsks(t *testing.T) {
	h := newHost(t)
	if out, status := h.script("plugin.sh", "uninstall"); status != 1 || !h.asked() {
		t.Fatalf("exit status %d, want 1 and a plugin that is still asked:\n%s", status, out)
	}
	if err := h.WriteDaemonJSON(nil); err != nil {
		t.Fatal(err)
	}
	if err := h.Hangup(); err != nil {
		t.Fatal(err)
	}
	h.eventuallyAsked(false)
	h.must("plugin.sh", "uninstall")
	if err := h.Restart(); err != nil {
		t.Errorf("dockerd does not start without the plugin: %v", err)
	}
}
