package lifecycle

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vitrine/test/engine"
	"vitrine/test/otlplogs"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// repository is where the plugin is pushed, as seen from the engine.
const repository = "localhost:5000/vitrine/authz-plugin"

// managed is an engine on which the plugin was installed from a registry.
type managed struct {
	*engine.Engine
	t      *testing.T
	socket string // the gateway's
	admin  string
}

// installed starts an engine with a registry, and installs the plugin from there
// with these settings. dockerd does not ask it yet.
func installed(t *testing.T, settings ...string) *managed {
	t.Helper()
	t.Parallel()
	m := &managed{Engine: engine.Start(t, engine.Options{}), t: t}
	m.socket, m.admin = m.Path("/run/vitrine/docker/docker.sock"), m.Path("/run/vitrine-admin/admin.sock")
	for _, s := range settings {
		if admin, is := strings.CutPrefix(s, "VITRINE_ADMIN_SOCKET="); is {
			m.admin = m.Path(admin)
		}
	}
	_, err := m.RunRegistry(5000)
	must(t, err)
	m.publish("1", nil)
	m.plugin(append([]string{"install", repository + ":1"}, settings...)...)
	m.healthy()
	return m
}

// named names it in daemon.json and waits until it is asked.
func (m *managed) named() {
	m.t.Helper()
	tell(m.t, m.Engine, named())
	eventuallyAsked(m.t, m.Engine, true)
	silent(m.t, m.admin)
}

// healthy waits until everything but being asked is in order.
func (m *managed) healthy() {
	m.t.Helper()
	eventually(m.t, 20*time.Second, "the plugin to be ready", func() error {
		h, err := vitrine.HealthAt(m.admin)
		for _, check := range []string{"policy", "audit", "upstream", "inventory"} {
			if err == nil && h.Checks[check] != "ok" {
				err = fmt.Errorf("%s: %s", check, h.Checks[check])
			}
		}
		return err
	})
}

// build makes the plugin of the sources in scratch, once.
var build = sync.OnceValue(func() error {
	out, err := exec.Command("../../../scripts/plugin.sh", "build", scratch).CombinedOutput()
	if err != nil {
		return fmt.Errorf("plugin.sh build: %w\n%s", err, out)
	}
	return nil
})

// publish pushes what plugin.sh has built, with a changed config.json.
func (m *managed) publish(tag string, change func(config string) string) {
	m.t.Helper()
	must(m.t, build())
	dir := m.t.TempDir()
	must(m.t, os.CopyFS(dir, os.DirFS(scratch)))
	if change != nil {
		file := filepath.Join(dir, "config.json")
		data, err := os.ReadFile(file)
		must(m.t, err)
		changed := change(string(data))
		if changed == string(data) {
			m.t.Fatal("config.json was not changed")
		}
		must(m.t, os.WriteFile(file, []byte(changed), 0o644))
	}
	m.plugin("create", dir, repository+":"+tag)
	m.plugin("push", repository+":"+tag)
}

// plugin runs scripts/plugin.sh, which must go well.
func (m *managed) plugin(arg ...string) string {
	m.t.Helper()
	out, status := m.script("plugin.sh", arg...)
	if status != 0 {
		m.t.Fatalf("plugin.sh %s: exit status %d\n%s", strings.Join(arg, " "), status, out)
	}
	return out
}

// reconfigure runs scripts/plugin-reconfigure.sh.
func (m *managed) reconfigure(arg ...string) (out string, status int) {
	m.t.Helper()
	pid, err := m.Pid()
	must(m.t, err)
	return m.script("plugin-reconfigure.sh", append([]string{"--pid", strconv.Itoa(pid)}, arg...)...)
}

func (m *managed) script(name string, arg ...string) (out string, status int) {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), "../../../scripts/"+name, arg...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+m.Socket, "DOCKER_CONFIG="+m.Dir+"/state/docker",
		"DAEMON_JSON="+m.Path("/etc/docker/daemon.json"))
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		m.t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// settings are the plugin's reference and environment.
func (m *managed) settings() string {
	m.t.Helper()
	return m.Docker("plugin", "inspect", "--format", "{{.PluginReference}}{{range .Settings.Env}}\n{{.}}{{end}}", "vitrine")
}

func (m *managed) expectSettings(want ...string) {
	m.t.Helper()
	got := m.settings()
	for _, line := range want {
		if !strings.Contains(got+"\n", line+"\n") {
			m.t.Errorf("the plugin is set to\n%s\nwant %s", got, line)
		}
	}
}

// pid is the plugin's, by the kernel's word on its socket.
func (m *managed) pid() (int, error) {
	c, err := net.Dial("unix", m.admin)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	pid := 0
	var errCred error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, errCred = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); errCred == nil {
			pid = int(cred.Pid)
		}
	})
	if err == nil {
		err = errCred
	}
	return pid, err
}

// expectVisitor asks for the containers as a user without any role.
func (m *managed) expectVisitor(status int) {
	m.t.Helper()
	a, err := get(m.t.Context(), clientOf(vitrine.As(m.t, nobody), m.socket), "/containers/json")
	must(m.t, err)
	if a.status != status {
		m.t.Errorf("somebody without a role is answered %s, want %d", a, status)
	}
}

func TestManagedPluginFromInstallationToUninstallation(t *testing.T) {
	m := installed(t, "VITRINE_LOG_LEVEL=debug", "VITRINE_OTLP_ENDPOINT=unix:///run/vitrine-otlp/otlp.sock", "VITRINE_OTLP_COMPRESSION=gzip", "VITRINE_OTLP_RESOURCE=host.name=web-1")
	folder := m.Path("/run/vitrine-otlp") // as docs/outputs.md has it: a plugin has no network
	must(t, os.MkdirAll(folder, 0o700))
	l, err := net.Listen("unix", folder+"/otlp.sock")
	must(t, err)
	collector := otlplogs.Listen(t, l)
	m.expectSettings(repository+":1", "VITRINE_LOG_LEVEL=debug", "VITRINE_AUDIT=stdout")
	if asked(t, m.Engine) {
		t.Error("dockerd asks a plugin that nobody has named")
	}
	expect(t, m.socket, "/containers/json", 200, "[") // the gateway needs no naming
	m.expectVisitor(http.StatusForbidden)
	rings(t, m.admin, time.Now(), m.Log)
	m.named()
	eventually(t, 20*time.Second, "the denial to be sent by OTLP", func() error {
		if !collector.Has("vitrine.decision", `"allow":false`, "/containers/json") {
			return errors.New("no record of it has come")
		}
		return nil
	})

	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"SIGHUPs", func() error { return hangups(m.Engine, 3) }},
		{"a restart of dockerd", m.Restart},
	} {
		w := watch(t, m.Engine)
		must(t, step.do())
		w.closed(t, step.name)
		m.healthy()
		silent(t, m.admin)
		expect(t, m.socket, "/containers/json", 200, "[")
		m.expectVisitor(http.StatusForbidden)
		m.expectSettings("VITRINE_LOG_LEVEL=debug")
	}

	if out, status := m.script("plugin.sh", "uninstall"); status != 1 || !asked(t, m.Engine) {
		t.Errorf("uninstalled while dockerd asks it: exit status %d\n%s", status, out)
	}
	tell(t, m.Engine, nil)
	eventuallyAsked(t, m.Engine, false)
	m.plugin("uninstall")
	if left := m.Docker("plugin", "ls", "--quiet"); left != "" {
		t.Errorf("left: %s", left)
	}
	must(t, m.Restart())
	expect(t, m.Socket, "/containers/json", 200, "[")
}

var gapSaid = regexp.MustCompile(`dockerd asks vitrine again; nobody was asked for at most (\d+) ms`)

func TestSetAndUpgradeTellTheGapInWhichNobodyIsAsked(t *testing.T) {
	m := installed(t)
	m.named()
	m.publish("2", func(config string) string {
		return strings.Replace(config, `"name": "VITRINE_LOG_LEVEL", "description": "debug, info, warn or error", "value": ""`,
			`"name": "VITRINE_LOG_LEVEL", "description": "debug, info, warn or error", "value": "debug"`, 1)
	})
	m.expectVisitor(http.StatusForbidden)
	for _, step := range []struct {
		arg       []string
		reference string
	}{
		{[]string{"set", "VITRINE_MODE=audit", "VITRINE_LIMITS=connections=100"}, repository + ":1"},
		{[]string{"upgrade", repository + ":2"}, repository + ":2"},
	} {
		w := watch(t, m.Engine)
		out, status := m.reconfigure(step.arg...)
		w.finish(t)
		said := gapSaid.FindStringSubmatch(out)
		if status != 0 || said == nil {
			t.Fatalf("%v: exit status %d\n%s", step.arg, status, out)
		}
		gap, err := time.ParseDuration(said[1] + "ms")
		must(t, err)
		seen := w.last.Sub(w.first)
		t.Logf("%s: said %s, seen %s: %d decided, %d not", step.arg[0], gap, seen.Round(time.Millisecond), w.decided, w.undecided)
		if w.undecided == 0 || seen > gap+time.Millisecond || gap > wait.Patience(20*time.Second) {
			t.Errorf("%v: said %s, but %d requests passed undecided within %s", step.arg, gap, w.undecided, seen)
		}
		if !asked(t, m.Engine) {
			t.Errorf("after %v dockerd does not ask", step.arg)
		}
		m.healthy()
		silent(t, m.admin)
		m.expectSettings(step.reference, "VITRINE_MODE=audit", "VITRINE_LIMITS=connections=100", "VITRINE_LOG_LEVEL=")
		m.expectVisitor(http.StatusOK) // that is audit mode: it is in force
	}
}

// What would not start is not even tried on the plugin that is asked, and what
// the rehearsal cannot show is put back, although dockerd takes its time.
func TestChangeThatCannotBeLeavesThePluginAskedClosed(t *testing.T) {
	m := installed(t)
	m.named()
	before := m.settings()
	for _, step := range []struct {
		name, says string
		arg        []string
		gap        bool
	}{
		{"an unknown setting", "Nothing was changed", []string{"set", "VITRINE_NONSENSE=1"}, false},
		{"a version that does not exist", "Nothing was changed", []string{"upgrade", repository + ":none"}, false},
		{"a wrong listener", "Nothing was changed", []string{"set", "VITRINE_LISTEN=nonsense"}, false},
		// The rehearsal has sockets of its own, so it does not find out that this is taken.
		{"a listener's path that is taken", "was put back", []string{"set", "VITRINE_LISTEN=agents=unix:///run/dockerd.pid"}, true},
	} {
		w := watch(t, m.Engine)
		out, status := m.reconfigure(step.arg...)
		w.finish(t)
		if status != 1 || !strings.Contains(out, step.says) {
			t.Errorf("%s: exit status %d, want 1 and %q:\n%s", step.name, status, step.says, out)
		}
		if w.undecided > 0 && !step.gap {
			t.Errorf("%s: %d requests passed undecided", step.name, w.undecided)
		}
		if !asked(t, m.Engine) {
			t.Fatalf("%s: dockerd does not ask afterwards", step.name)
		}
		if after := m.settings(); after != before {
			t.Errorf("%s: the settings are\n%s\nand were\n%s", step.name, after, before)
		}
		m.healthy()
		silent(t, m.admin)
	}
}

// A plugin that was made on the host itself, as README says, comes from no registry.
func TestPluginMadeOnTheHostIsReplacedClosed(t *testing.T) {
	t.Parallel()
	m := &managed{Engine: engine.Start(t, engine.Options{}), t: t}
	m.socket, m.admin = m.Path("/run/vitrine/docker/docker.sock"), m.Path("/run/vitrine-admin/admin.sock")
	must(t, build())
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS(scratch)))
	m.plugin("create", dir, "vitrine")
	m.Docker("plugin", "set", "vitrine", "VITRINE_LOG_LEVEL=debug")
	m.Docker("plugin", "enable", "vitrine")
	m.named()

	config := filepath.Join(dir, "config.json")
	sound, err := os.ReadFile(config)
	must(t, err)
	for _, step := range []struct {
		name, from, to, says string
		status               int
	}{
		{"a new build", "knows callers", "knows each caller", "asks vitrine again", 0},
		{"one that does not start", `"/authz-plugin", "serve"`, `"/authz-plugin", "sulk"`, "Nothing was changed", 1},
	} {
		must(t, os.WriteFile(config, []byte(strings.Replace(string(sound), step.from, step.to, 1)), 0o644))
		before := m.settings()
		if out, status := m.reconfigure("replace", dir); status != step.status || !strings.Contains(out, step.says) {
			t.Errorf("%s: exit status %d, want %d and %q:\n%s", step.name, status, step.status, step.says, out)
		}
		if !asked(t, m.Engine) || m.settings() != before {
			t.Errorf("%s: dockerd does not ask, or the settings are\n%s\nand were\n%s", step.name, m.settings(), before)
		}
		m.healthy()
	}
}

func TestManagedPluginThatIsKilledComesBackClosed(t *testing.T) {
	m := installed(t)
	m.named()
	old, err := m.pid()
	must(t, err)
	w := watch(t, m.Engine)
	must(t, unix.Kill(old, unix.SIGKILL))
	eventually(t, 10*time.Second, "its end", func() error {
		if !errors.Is(unix.Kill(old, 0), unix.ESRCH) {
			return errors.New("still there")
		}
		return nil
	})
	expect(t, m.Socket, "/containers/json", 200, "[") // the next request is answered
	eventually(t, 10*time.Second, "another process", func() error {
		now, err := m.pid()
		if err == nil && now == old {
			err = fmt.Errorf("it is still %d", old)
		}
		return err
	})
	w.closed(t, "after a kill")
	m.healthy()
	silent(t, m.admin)
	expect(t, m.socket, "/containers/json", 200, "[")
	m.expectVisitor(http.StatusForbidden)
}

// Disabled and enabled again without a SIGHUP it runs, and is not asked.
func TestManagedPluginDisabledWithoutAHangupRings(t *testing.T) {
	m := installed(t, "VITRINE_REQUIRE_PLUGIN=true")
	expect(t, m.socket, "/containers/json", http.StatusServiceUnavailable, "require_plugin") // not named yet
	m.named()
	expect(t, m.socket, "/containers/json", 200, "[")

	m.Docker("plugin", "disable", "vitrine")
	if _, err := get(t.Context(), engine.SocketClient(m.socket), "/containers/json"); err == nil {
		t.Error("the gateway answers though the plugin is disabled")
	}
	log := len(m.Log())
	m.Docker("plugin", "enable", "vitrine")
	rings(t, m.admin, time.Now(), func() string { return m.Log()[log:] })
	if asked(t, m.Engine) {
		t.Error("dockerd asks after all: this test tests nothing")
	}
	expect(t, m.socket, "/containers/json", http.StatusServiceUnavailable, "require_plugin")

	must(t, m.Hangup())
	silent(t, m.admin)
	if !asked(t, m.Engine) {
		t.Error("the alarm has cleared, but dockerd does not ask")
	}
	expect(t, m.socket, "/containers/json", 200, "[")
}

// With everything denied, Docker's API is no help: the file is.
func TestManagedPluginWithABrokenFirstPolicyIsMendedByItsFileClosed(t *testing.T) {
	m := installed(t)
	folder := m.Path("/etc/docker/vitrine")
	must(t, os.MkdirAll(folder, 0o755))
	write := func(rego string) {
		t.Helper()
		must(t, os.WriteFile(filepath.Join(folder, "authz.rego"), []byte(rego), 0o644))
	}
	write("package docker.authz\nallow if")
	tell(t, m.Engine, named())
	eventuallyAsked(t, m.Engine, true)
	// Restarted, it has no good policy to go on with.
	pid, err := m.pid()
	must(t, err)
	must(t, unix.Kill(pid, unix.SIGKILL))
	eventually(t, 20*time.Second, "everything to be denied", func() error {
		if a := mustGet(t, m.Socket, "/containers/json"); a.status != http.StatusForbidden || !strings.Contains(a.body, "no policy is loaded") {
			return fmt.Errorf("answered %s", a)
		}
		return nil
	})
	if out, err := m.DockerCommand(m.Socket, "plugin", "disable", "vitrine").CombinedOutput(); err == nil {
		t.Errorf("the plugin was disabled: %s", out)
	}
	write("package docker.authz\n\nallow := input.caller.kind in {\"local\", \"host\"}\n\ndefault allow := false\n")
	m.healthy()
	expect(t, m.Socket, "/containers/json", 200, "[")
	expect(t, m.socket, "/containers/json", 200, "[")
}
