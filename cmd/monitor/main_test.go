package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vitrine/internal/command"
	"vitrine/test/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const id = "c0ffee0000000000000000000000000000000000000000000000000000000007"

// host is a fake Engine with one container, and the kernel's files of it.
type host struct{ socket, proc, cgroup string }

func newHost(t *testing.T) host {
	t.Helper()
	dir := t.TempDir()
	h := host{listen(t, engine), filepath.Join(dir, "proc"), filepath.Join(dir, "cgroup")}
	for name, content := range map[string]string{
		"cgroup/cgroup.controllers":                   "cpu memory io pids cpuset\n",
		"cgroup/docker/" + id + "/cgroup.controllers": "cpu memory io pids cpuset\n",
		"cgroup/docker/" + id + "/cgroup.procs":       "100\n",
		"cgroup/docker/" + id + "/memory.stat":        "anon 5242880\ninactive_file 0\n",
		"cgroup/docker/" + id + "/memory.current":     "5242880\n",
		"cgroup/docker/" + id + "/memory.max":         "10485760\n",
		"proc/77/cgroup":                              "0::/\n",
		"proc/1/net/dev":                              "a\nb\n eth0: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n",
		"proc/100/cgroup":                             "0::/docker/" + id + "\n",
		"proc/100/stat":                               "100 (sh) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0\n",
		"proc/100/net/dev":                            "a\nb\n eth0: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n",
		"proc/100/net/route":                          "Iface\n",
		"proc/100/fd/0":                               "",
		"proc/stat":                                   "cpu0 1\n",
		"proc/partitions":                             "major minor #blocks name\n",
		"proc/vmstat":                                 "oom_kill 0\n",
	} {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("77", filepath.Join(h.proc, "self")); err != nil {
		t.Fatal(err)
	}
	return h
}

// listen answers on a socket, whose path it returns.
func listen(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: answer}}
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return socket
}

func engine(w http.ResponseWriter, r *http.Request) {
	answers := map[string]any{
		"/containers/json": []any{map[string]any{"Id": id, "Names": []string{"/web"}, "State": "running"}},
		"/containers/" + id + "/json": map[string]any{
			"Id": id, "Name": "/web", "Image": "sha256:1",
			"State":      map[string]any{"Status": "running", "Running": true, "Pid": 100, "StartedAt": "2026-01-02T03:04:05Z"},
			"Config":     map[string]any{"Image": "busybox", "Labels": map[string]string{"com.example.team": "sre"}},
			"HostConfig": map[string]any{"NetworkMode": "bridge"},
		},
		"/images/sha256:1/json": map[string]any{"Config": map[string]any{}},
		"/images/json":          []struct{}{{}}, "/networks": []struct{}{}, "/volumes": map[string]any{"Volumes": nil},
	}
	if r.URL.Path == "/events" {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return
	}
	answer, ok := answers[r.URL.Path]
	if !ok || r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (h host) args(command string, more ...string) []string {
	return append([]string{
		command, "--docker", "unix://" + h.socket, "--proc", h.proc, "--cgroup", h.cgroup,
		"--dogstatsd-socket", filepath.Join(filepath.Dir(h.socket), "dsd", "dsd.sock"), "--dogstatsd-interval", "1s",
	}, more...)
}

func TestOnce(t *testing.T) {
	var out, errs bytes.Buffer
	h := newHost(t)
	if code := run(t.Context(), h.args("once", "--between", "20ms"), command.Streams{Out: &out, Err: &errs}); code != command.OK {
		t.Fatalf("exit code %d: %s", code, &errs)
	}
	if got := out.String(); !regexp.MustCompile(`(?m)^web +running +.*5\.0MiB/10\.0MiB +50\.0% `).MatchString(got) || errs.Len() > 0 {
		t.Errorf("printed\n%s%s", got, &errs)
	}
}

// TestOnceRefused: the reason is told, at once.
func TestOnceRefused(t *testing.T) {
	h := newHost(t)
	h.socket = listen(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no role is bound to the caller", http.StatusForbidden)
	})
	var out, errs bytes.Buffer
	if code := run(t.Context(), h.args("once", "--between", "20ms"), command.Streams{Out: &out, Err: &errs}); code != command.Failed || !strings.Contains(errs.String(), "no role is bound") {
		t.Errorf("exit code %d: %s", code, &errs)
	}
}

func TestOnceJSON(t *testing.T) {
	var out, errs bytes.Buffer
	t.Setenv("DD_CONTAINER_LABELS_AS_TAGS", `{"com.example.team":"team"}`)
	if code := run(t.Context(), newHost(t).args("once", "--json", "--between", "20ms"), command.Streams{Out: &out, Err: &errs}); code != command.OK {
		t.Fatalf("exit code %d: %s", code, &errs)
	}
	var doc struct {
		EngineUp   bool `json:"engine_up"`
		Containers []struct {
			Name string
			Tags []string
		}
	}
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Containers) != 1 || !doc.EngineUp || !strings.Contains(strings.Join(doc.Containers[0].Tags, " "), "team:sre") {
		t.Errorf("printed %s", &out)
	}
}

// logged is what a running command wrote, for a test to look at meanwhile.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestRun: it answers scrapes, says that it is healthy, and stops when asked.
func TestRun(t *testing.T) {
	address, log, stop := started(t, newHost(t).args("run", "--http", "127.0.0.1:0", "--interval", "1s"))
	wait.Until(t, "scraped", func() bool {
		return strings.Contains(get(t, "http://"+address+"/metrics"), `docker_mem_in_use_ratio{container_name="web"} 0.5`) &&
			strings.Contains(get(t, "http://"+address+"/metrics"), `monitor_build_info{goversion="go`)
	})
	client, err := net.Dial("unixgram", regexp.MustCompile(`datagram=(\S+)`).FindStringSubmatch(log.String())[1])
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("page.views:2|c|#az:eu-1a\npage.views:1|c|@0.5|#az:eu-1a")); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "counted", func() bool {
		return strings.Contains(get(t, "http://"+address+"/metrics"), "\npage_views_total{az=\"eu-1a\"} 4\n")
	})
	if _, err := client.Write([]byte("page.views:many|c\n_e{8,5}:deployed|v 1.2|t:success")); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "shown", func() bool {
		page := get(t, "http://"+address+"/dogstatsd")
		return strings.Contains(page, `"example": "page.views:many|c"`) && strings.Contains(page, `"title": "deployed"`)
	})
	if body := get(t, "http://"+address+"/healthz"); !strings.Contains(body, `"status":"ok","engine_up":true`) {
		t.Errorf("health: %s", body)
	}
	http.DefaultClient.CloseIdleConnections()
	if got := stop(); got != command.OK || !strings.Contains(log.String(), "stopped as asked") {
		t.Errorf("exit code %d, log\n%s", got, log)
	}
}

// started runs a monitor until it listens. stop ends it, and returns its exit code.
func started(t *testing.T, args []string) (address string, log *logged, stop func() int) {
	t.Helper()
	log = &logged{}
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int)
	go func() { code <- run(ctx, args, command.Streams{Out: io.Discard, Err: log}) }()
	wait.Until(t, "listening", func() bool {
		if m := regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(log.String()); m != nil {
			address = m[1]
		}
		return address != ""
	})
	return address, log, func() int {
		cancel()
		return <-code
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestNoPlaceForTheSocket: what to do is said.
func TestNoPlaceForTheSocket(t *testing.T) {
	h := newHost(t)
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"no folder", "does without", []string{"--dogstatsd-socket", "/proc/1/dsd.sock"}},
		{"a file that is no socket", "not a socket", []string{"--dogstatsd-socket", filepath.Join(h.proc, "stat")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var errs bytes.Buffer
			if code := run(t.Context(), h.args("run", append(tt.args, "--http", "")...), command.Streams{Out: io.Discard, Err: &errs}); code != command.Failed {
				t.Errorf("exit code %d", code)
			}
			if !strings.Contains(errs.String(), "receive DogStatsD: ") || !strings.Contains(errs.String(), tt.want) {
				t.Errorf("it says %s", &errs)
			}
		})
	}
}

// TestUsage: what is wrong is said, all of it, each with its key; exit code 2.
func TestUsage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "monitor.yaml")
	if err := os.WriteFile(file, []byte("interval: soon\nhttq: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		env  [2]string
		args []string
		want []string
	}{
		{"flags", [2]string{}, []string{"run", "--docker", "tcp://x", "--interval", "1ms", "--proc", "/nowhere", "--ok-exit-codes", "0;1"}, []string{"--docker: ", "--interval: ", "--proc: ", "--ok-exit-codes: "}},
		{"environment", [2]string{"VITRINE_LOG_LEVEL", "loud"}, []string{"once"}, []string{"VITRINE_LOG_LEVEL: "}},
		{"Datadog's environment", [2]string{"DD_CONTAINER_ENV_AS_TAGS", "["}, []string{"once"}, []string{"DD_CONTAINER_ENV_AS_TAGS: "}},
		{"file", [2]string{}, []string{"run", "--config", file}, []string{file + ": interval: ", file + ":2: httq: no such key"}},
		{"no file", [2]string{}, []string{"run", "--config", file + "x"}, []string{"config: "}},
		{"DogStatsD", [2]string{"DD_DOGSTATSD_TAG_CARDINALITY", "medium"}, []string{
			"run", "--dogstatsd-socket", "dsd.sock", "--dogstatsd-socket-mode", "0888", "--dogstatsd-quota", "0",
			"--dogstatsd-udp", "8125", "--dogstatsd-refuse-mismatch", "perhaps", "--dogstatsd-interval", "0",
			"--dogstatsd-socket-group", "no such group", "--dogstatsd-so-rcvbuf", "-1", "--dogstatsd-buffer-size", "100",
		}, []string{
			"--dogstatsd-socket: ", "--dogstatsd-socket-mode: ", "--dogstatsd-quota: ", "--dogstatsd-udp: ",
			"--dogstatsd-refuse-mismatch: ", "--dogstatsd-interval: ", "--dogstatsd-socket-group: ", "--dogstatsd-so-rcvbuf: ", "--dogstatsd-buffer-size: ", "DD_DOGSTATSD_TAG_CARDINALITY: ",
		}},
		{"OTLP", [2]string{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"}, []string{"run", "--otlp-endpoint", "collector:4317", "--otlp-metrics-interval", "1ms", "--otlp-headers", "x"}, []string{
			"OTEL_EXPORTER_OTLP_PROTOCOL: ", "--otlp-endpoint: ", "--otlp-metrics-interval: ", "--otlp-headers: ",
		}},
		{"no such flag", [2]string{}, []string{"run", "--colour"}, []string{"unknown flag", "--help"}},
		{"no such command", [2]string{}, []string{"top5"}, []string{"unknown command"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.env[0] != "" {
				t.Setenv(tt.env[0], tt.env[1])
			}
			var errs bytes.Buffer
			if code := run(t.Context(), tt.args, command.Streams{Out: io.Discard, Err: &errs}); code != command.Usage {
				t.Errorf("exit code %d", code)
			}
			for _, want := range tt.want {
				if !strings.Contains(errs.String(), want) {
					t.Errorf("no %q in\n%s", want, &errs)
				}
			}
		})
	}
}

// TestPrecedence: flag, environment, Datadog's environment, file, default.
func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "monitor.yaml")
	if err := os.WriteFile(file, []byte("interval: 30s\nhttp: \"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := func(args []string, env map[string]string) *settings {
		t.Helper()
		cmd := runCommand(command.Streams{Out: io.Discard, Err: io.Discard})
		if err := cmd.ParseFlags(append([]string{"--config", file}, args...)); err != nil {
			t.Fatal(err)
		}
		s, err := readSettings(cmd.Flags(), environ(env))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := read(nil, nil); s.interval != 30*time.Second || len(s.http) != 0 || s.docker != "/run/vitrine/docker/docker.sock" || !slices.Equal(s.okExits, []int{0, 143}) {
		t.Errorf("file and defaults: %+v", s)
	}
	env := map[string]string{"VITRINE_INTERVAL": "20s", "VITRINE_LABELS_AS_TAGS": `{"a":"b"}`, "DD_CONTAINER_LABELS_AS_TAGS": `{"c":"d","e":"f"}`}
	if s := read(nil, env); s.interval != 20*time.Second || len(s.tags.Labels) != 1 {
		t.Errorf("environment: %+v", s)
	}
	if s := read(nil, map[string]string{"DD_DOGSTATSD_SO_RCVBUF": "4096", "DD_DOGSTATSD_BUFFER_SIZE": "65536", "VITRINE_DOGSTATSD_SOCKET_GROUP": "4711"}); s.dogstatsd.ReceiveBuffer != 4096 || s.dogstatsd.MaxPacket != 65536 ||
		s.dogstatsd.Datagram.GID != 4711 || s.dogstatsd.Stream.GID != 4711 || s.dogstatsd.Datagram.Mode != 0o722 {
		t.Errorf("DogStatsD: %+v", s.dogstatsd)
	}
	if s := read([]string{"--config", ""}, nil); s.interval != 10*time.Second {
		t.Errorf("the file: %+v", s)
	}
	if s := read([]string{"--interval", "5s", "--ok-exit-codes", "0, 2"}, env); s.interval != 5*time.Second || !slices.Equal(s.okExits, []int{0, 2}) {
		t.Errorf("flag: %+v", s)
	}
}

// TestThePluginsVariablesAreNoSlipsOfOurs: both programs may share an environment.
func TestThePluginsVariablesAreNoSlipsOfOurs(t *testing.T) {
	theirs, err := os.ReadFile("../authz-plugin/settings.go")
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
	cmd := runCommand(command.Streams{Out: io.Discard, Err: io.Discard})
	if err := cmd.ParseFlags([]string{"--config", ""}); err != nil {
		t.Fatal(err)
	}
	if _, err := readSettings(cmd.Flags(), environ(env)); err != nil {
		t.Error(err)
	}
}

// TestPageSettings: addresses of both kinds, several of them, and a token that is one.
func TestPageSettings(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good", "0123456789abcdefghij\n")
	for _, tt := range []struct {
		args []string
		want string // a part of the error; "" for none
	}{
		{[]string{"--http", "127.0.0.1:9780", "--http", "unix:///run/x/page.sock", "--page-token-file", good, "--admin-socket", "/a"}, ""},
		{[]string{"--http", ""}, ""},
		{[]string{"--http", "unix://relative"}, "is no address"},
		{[]string{"--http", "9780"}, "is no address"},
		{[]string{"--page-token-file", file("short", "0123456789abcdefghi\n")}, "holds no token"},
		{[]string{"--page-token-file", file("two", "0123456789abcdefghij\n0123456789abcdefghij\n")}, "holds no token"},
		{[]string{"--page-token-file", filepath.Join(dir, "none")}, "no such file"},
		{[]string{"--admin-socket", "relative"}, "is no absolute path"},
	} {
		cmd := runCommand(command.Streams{Out: io.Discard, Err: io.Discard})
		if err := cmd.ParseFlags(append([]string{"--config", ""}, tt.args...)); err != nil {
			t.Fatal(err)
		}
		s, err := readSettings(cmd.Flags(), nil)
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%v: %v, want %q", tt.args, err, tt.want)
		case len(tt.args) == 8 && (len(s.http) != 2 || s.token != "0123456789abcdefghij" || s.admin != "/a"):
			t.Errorf("%+v", s)
		case len(tt.args) == 2 && tt.args[1] == "" && len(s.http) != 0:
			t.Errorf("none: %q", s.http)
		}
	}
}

func environ(env map[string]string) []string {
	var out []string
	for name, value := range env {
		out = append(out, name+"="+value)
	}
	return out
}
