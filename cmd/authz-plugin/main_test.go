package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"

	"vitrine/internal/command"
	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

func TestMain(m *testing.M) {
	if os.Getenv("GOGC") == "" { // a command reads one policy and ends: to collect what that leaves takes a fifth of the tests' time
		debug.SetGCPercent(400)
	}
	testscript.Main(m, map[string]func(){"authz-plugin": func() {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		if code := run(ctx, os.Args[1:], command.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}); code != 0 {
			os.Exit(code)
		}
	}})
}

// TestScripts runs each command as a user does; see testdata/script. They run the program as it is built for users under the race
// detector too, under which a policy takes five times as long to load: nothing in it but serve, whose script is not among them, does
// two things at one time.
func TestScripts(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	programs := ""
	if raced() {
		programs = t.TempDir()
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", programs+"/authz-plugin", ".").CombinedOutput(); err != nil {
			t.Fatalf("build authz-plugin: %v\n%s", err, out)
		}
	}
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	runScripts(t, programs, slices.DeleteFunc(scripts, func(name string) bool { return name == serveScript }))
}

// TestServeScript runs serve as a user does, and with the race detector where this test has it.
func TestServeScript(t *testing.T) {
	t.Parallel()
	runScripts(t, "", []string{serveScript})
}

const serveScript = "testdata/script/serve.txtar"

// runScripts runs scripts with the programs of a folder before others, if there is one.
func runScripts(t *testing.T, programs string, scripts []string) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Files: scripts, RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": exitStatus},
		Setup: func(e *testscript.Env) error {
			if programs != "" {
				e.Setenv("PATH", programs+":"+e.Getenv("PATH"))
			}
			return nil
		},
	})
}

// raced reports whether this test was built with the race detector.
func raced() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// exitStatus runs a command and compares its exit status: status 2 authz-plugin serve.
func exitStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE command args…")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}

// TestManagedPluginDeclaresEverySetting: a managed plugin is configured by
// docker plugin set, which knows only what config.json declares.
func TestManagedPluginDeclaresEverySetting(t *testing.T) {
	raw, err := os.ReadFile("../../plugin/config.json")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Env []struct {
			Name     string
			Settable []string
		}
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	declared := []string{}
	for _, e := range config.Env {
		declared = append(declared, e.Name)
		if !slices.Equal(e.Settable, []string{"value"}) {
			t.Errorf("%s is not settable", e.Name)
		}
	}
	want := []string{"VITRINE_CONFIG"}
	for _, o := range table.Options {
		want = append(want, o.Env())
	}
	slices.Sort(declared)
	slices.Sort(want)
	if !slices.Equal(declared, want) {
		t.Errorf("config.json declares\n%v\nserve reads\n%v", declared, want)
	}
}

func environ(env map[string]string) []string {
	var out []string
	for name, value := range env {
		out = append(out, name+"="+value)
	}
	return out
}

// settingsOf reads settings as serve does.
func settingsOf(t *testing.T, file string, env map[string]string, args ...string) (*settings, error) {
	t.Helper()
	if file != "" {
		path := t.TempDir() + "/config.yaml"
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	table.AddFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return readSettings(flags, environ(env))
}

func TestFlagBeatsVariableBeatsFileBeatsDefault(t *testing.T) {
	const file = "mode: audit\nupstream: unix:///file.sock\naudit: /file.log\n"
	env := map[string]string{"VITRINE_UPSTREAM": "unix:///env.sock", "VITRINE_AUDIT": "/env.log", "VITRINE_PASSWD": ""}
	s, err := settingsOf(t, file, env, "--audit", "/flag.log")
	if err != nil {
		t.Fatal(err)
	}
	if s.mode != "audit" || s.upstream != "/env.sock" || s.audit != "/flag.log" || s.passwd != "/etc/passwd" {
		t.Errorf("settings = %+v", s)
	}
}

func TestTheThreeFormsOfAListenerAreOne(t *testing.T) {
	spec := "agents=unix:///run/a/a.sock,mode=0660,group=0"
	byFlag, err1 := settingsOf(t, "", nil, "--listen", spec, "--listen", "b=unix:///run/b/b.sock")
	byEnv, err2 := settingsOf(t, "", map[string]string{"VITRINE_LISTEN": spec + ";b=unix:///run/b/b.sock"})
	byFile, err3 := settingsOf(t, "listen:\n- {name: agents, address: 'unix:///run/a/a.sock', mode: 0660, group: 0}\n- b=unix:///run/b/b.sock\n", nil)
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	for _, s := range []*settings{byFlag, byEnv, byFile} {
		if len(s.listeners) != 2 {
			t.Fatalf("%d listeners", len(s.listeners))
		}
		l := s.listeners[0]
		if l.name != "agents" || l.path != "/run/a/a.sock" || l.mode != 0o660 || l.gid != 0 || s.listeners[1].mode != 0o666 {
			t.Errorf("listeners = %+v", s.listeners)
		}
	}
	none, err := settingsOf(t, "", map[string]string{"VITRINE_LISTEN": ";"})
	if err != nil || len(none.listeners) != 0 {
		t.Errorf("a single ; gave %v, %v", none, err)
	}
}

func TestEveryProblemIsNamedWithItsKey(t *testing.T) {
	file := "mode: loud\nlisten: [{name: a, address: 'unix:///x', colour: red}]\nlimits: {connections: -1, doors: 3}\nnonsense: 1\n"
	_, err := settingsOf(t, file, map[string]string{"VITRINE_UPSTREAM": "tcp://x"}, "--require-plugin", "perhaps", "--log-level", "loud", "--plugin-socket", "relative")
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"mode: \"loud\"", "colour", "connections=-1", "doors", "nonsense: no such key", "VITRINE_UPSTREAM", "--require-plugin", "--log-level", "--plugin-socket",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}

// TestSocketsOfListeners: where the host has them, and only those by which a caller is known.
func TestSocketsOfListeners(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(dir+"/real", 0o700), os.Symlink("real", dir+"/link")); err != nil {
		t.Fatal(err)
	}
	s, err := settingsOf(t, "", nil, "--listen", "a=unix:///run/a/a.sock", "--listen", "l=unix://"+dir+"/link/l.sock,denials=audit",
		"--listen", "b=unix:///run/b/b.sock,mode=0600,host=/srv//b.sock", "--upstream", "unix:///srv/docker.sock",
		"--policy", "preset:monitor", "--policy", dir+"/link", "--state-dir", "/srv/state", "--grants", "", "--admin-socket", "", "--plugin-socket", "")
	if err != nil {
		t.Fatal(err)
	}
	want := &operation.Sockets{
		Gateway: []operation.Socket{
			{Listener: "a", Path: "/run/a/a.sock"},
			{Listener: "l", Path: dir + "/link/l.sock", Lifts: true},
			{Listener: "b", Path: "/srv/b.sock"},
			{Listener: "l", Path: dir + "/real/l.sock", Lifts: true},
		},
		Engine: []string{"/run/docker.sock", "/srv/docker.sock"},
		Own:    []string{dir + "/link", "/srv/state", dir + "/real"},
	}
	if got := s.sockets(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	for spec, says := range map[string]string{
		"a=fd://":                           "is none of unix:///PATH, fd://NAME and tcp://HOST:PORT",
		"a=fd://x/y":                        "is none of",
		"a=fd://x,mode=0666":                "mode= is set by who listens for us",
		"a=fd://x,group=0":                  "group= is set by who listens for us",
		"a=unix:///run/a.sock,host=a.sock":  "host=a.sock is not the path of a Unix socket on the host",
		"a=unix:///run/a.sock,host=/a:/b":   "host=/a:/b is not the path",
		"a=tcp://127.0.0.1:1,host=/a.sock":  "host=/a.sock is not the path",
		"a=unix:///run/a.sock,colour=green": "there are mode, group, host, denials, cert, key and ca",
	} {
		if _, err := settingsOf(t, "", nil, "--listen", spec); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %s", spec, err, says)
		}
	}
}

// TestSocketThatNobodyListensOnForUs: it is said which there are, and nothing else is opened in its place.
func TestSocketThatNobodyListensOnForUsClosed(t *testing.T) {
	s, err := settingsOf(t, "", nil, "--listen", "a=fd://agents")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.inherit(); err == nil || !strings.Contains(err.Error(), "listener a: nobody listens on a socket agents for us (there are [])") {
		t.Error(err)
	}
}

func TestSettingsThatContradictEachOther(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"nothing to serve":        {[]string{"--plugin-socket", "", "--listen", ""}, "nothing to serve"},
		"require without plugin":  {[]string{"--plugin-socket", "", "--require-plugin", "true"}, "require_plugin"},
		"two of a name":           {[]string{"--listen", "a=unix:///a", "--listen", "a=unix:///b"}, "the same name a"},
		"the Engine's own socket": {[]string{"--listen", "a=unix:///run/docker.sock"}, "dockerd's own socket"},
		"TCP without TLS":         {[]string{"--listen", "a=tcp://127.0.0.1:2375"}, "cert="},
		"half of TLS":             {[]string{"--listen", "a=unix:///a,cert=/x"}, "all of cert="},
		"OTLP over what is none":  {[]string{"--otlp-endpoint", "collector:4317"}, "otlp-endpoint"},
		"certificates for HTTP":   {[]string{"--otlp-endpoint", "http://x", "--otlp-certificate", "/x"}, "it is not https"},
		"no such signal":          {[]string{"--otlp-signals", "traces"}, "there are metrics and logs"},
		"no such format":          {[]string{"--audit-format", "cef"}, "there are json and ocsf"},
		"an executable socket":    {[]string{"--listen", "a=unix:///a,mode=0777"}, "mode=0777"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := settingsOf(t, "", nil, tc.args...); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestHelpShowsDefaultsAndVariables(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"serve", "--help"}, command.Streams{In: strings.NewReader(""), Out: &out, Err: &out}); code != 0 {
		t.Fatalf("exit %d", code)
	}
	for _, want := range []string{"/run/docker/plugins/vitrine.sock", "VITRINE_LISTEN", "agents=unix:///run/vitrine/docker/docker.sock", "(default \"enforce\")"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
}

// TestOthersVariablesStopNobody: OpenTelemetry's are every program's of an environment. Where we are to send, they count.
func TestOthersVariablesStopNobody(t *testing.T) {
	env := map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_METRIC_EXPORT_INTERVAL": "500", "OTEL_RESOURCE_ATTRIBUTES": "%zz"}
	if _, err := settingsOf(t, "", env); err != nil {
		t.Error(err)
	}
	env["OTEL_EXPORTER_OTLP_ENDPOINT"] = "unix:///run/otlp.sock"
	for _, name := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_RESOURCE_ATTRIBUTES"} {
		if _, err := settingsOf(t, "", env); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("nothing is said of %s: %v", name, err)
		}
	}
	if _, err := settingsOf(t, "", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "nowhere"}); err == nil {
		t.Error("nothing is said of an endpoint that is none")
	}
	if _, err := settingsOf(t, "", map[string]string{"VITRINE_OTLP_PROTOCOL": "http/json"}); err == nil {
		t.Error("nothing is said of our own variable")
	}
}

// TestTheMonitorsVariablesAreNoSlipsOfOurs: both programs may share an environment.
func TestTheMonitorsVariablesAreNoSlipsOfOurs(t *testing.T) {
	theirs, err := os.ReadFile("../monitor/settings.go")
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, m := range regexp.MustCompile(`Key: "(\w+)"`).FindAllStringSubmatch(string(theirs), -1) {
		if name := "VITRINE_" + strings.ToUpper(m[1]); !slices.ContainsFunc(table.Options, func(o command.Option[settings]) bool { return o.Env() == name }) {
			env[name] = "x"
		}
	}
	if len(env) < 10 {
		t.Fatalf("found %v", env)
	}
	if _, err := settingsOf(t, "", env); err != nil {
		t.Error(err)
	}
}
