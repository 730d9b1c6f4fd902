package scale

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/test/monitor"
	"vitrine/test/wait"
)

const containers = 1000

// memory is what a thousand containers may cost.
const memory = 64 << 20

// scrapes are how many follow one another before memory is looked at.
const scrapes = 20

// TestThousandContainers: all are told, within 64 MiB, also where no more than 1024 files may be open.
func TestThousandContainers(t *testing.T) {
	h, binary := newHost(t, containers), monitor.Build(t)
	for _, files := range []int{16384, 1024} {
		t.Run(fmt.Sprintf("RLIMIT_NOFILE %d", files), func(t *testing.T) { h.watch(t, binary, files, "text/plain") })
	}
	t.Run("protobuf", func(t *testing.T) {
		h.watch(t, binary, 16384, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	})
	t.Run("OTLP", func(t *testing.T) {
		var sent atomic.Int64
		receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body) // what it is, test/receiver looks at
			sent.Add(n)
		}))
		t.Cleanup(receiver.Close)
		h.watch(t, binary, 16384, "text/plain", "--otlp-endpoint", receiver.URL, "--otlp-metrics-interval", "2s")
		wait.Until(t, "a megabyte is sent", func() bool { return sent.Load() > 1<<20 })
	})
}

// run starts the monitor, which may have so many files open.
func (h *host) run(tb testing.TB, binary string, files int, more ...string) (cmd *exec.Cmd, address string) {
	tb.Helper()
	// The monitor must be in the tree's root cgroup, by the PID that exec keeps.
	cmd = exec.CommandContext(context.WithoutCancel(tb.Context()), "sh", append([]string{
		"-c", `ulimit -n "$1" && echo $$ >"$2/cgroup.procs" && shift 2 && exec "$@"`, "sh", strconv.Itoa(files), h.cgroup,
		binary, "run", "--docker", "unix://" + h.socket, "--proc", h.proc, "--cgroup", h.cgroup, "--http", "127.0.0.1:0",
	}, more...)...)
	address, _ = monitor.Start(tb, cmd)
	return cmd, address
}

// watch has a monitor tell all of them, to a reader that accepts one format for most of its scrapes.
func (h *host) watch(t *testing.T, binary string, files int, accept string, more ...string) {
	cmd, address := h.run(t, binary, files, append(more, "--interval", "1s")...)
	var page string
	scrape := func() { page = get(t, "http://"+address+"/metrics") }
	told := func(metric string) int { return strings.Count(page, "\n"+metric+"{") }
	wait.Until(t, "all containers are told", func() bool {
		scrape()
		return told("docker_mem_in_use_ratio") == containers
	})
	for range scrapes {
		if size := len(getAs(t, "http://"+address+"/metrics", accept)); size < 1<<20 {
			t.Errorf("a page of %d bytes", size)
		}
	}
	for _, metric := range []string{"docker_cpu_throttled_periods_total", "docker_mem_sw_in_use_ratio", "docker_container_running"} {
		if n := told(metric); n != containers {
			t.Errorf("%s has %d series, want %d", metric, n, containers)
		}
	}
	for l := range strings.Lines(page) {
		if strings.HasPrefix(l, "monitor_") && strings.Contains(l, "errors") && !strings.HasSuffix(l, " 0\n") {
			t.Errorf("an error was counted: %s", l)
		}
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if len(open) >= files {
		t.Errorf("%d files are open, want less than %d", len(open), files)
	}
	most := highWater(t, cmd.Process.Pid)
	if most > memory {
		t.Errorf("memory was %d bytes, want at most %d", most, memory)
	}
	t.Logf("at most %.1f MiB, %d open files", float64(most)/(1<<20), len(open))
}

func get(t testing.TB, url string) string {
	t.Helper()
	return getAs(t, url, "")
}

func getAs(t testing.TB, url, accept string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// highWater is the most memory that a process has had, in bytes.
func highWater(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("no VmHWM in:\n%s", b)
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// host is made of files.
type host struct{ proc, cgroup, socket string }

func id(n int) string { return fmt.Sprintf("%064x", n+1) }

func pid(n int) int { return 100000 + n }

func newHost(t testing.TB, containers int) *host {
	t.Helper()
	dir := t.TempDir()
	//nolint:usetesting // in memory, where there is such a place: these are 30 000 files
	if inMemory, err := os.MkdirTemp("/dev/shm", "vitrine-scale-"); err == nil {
		dir = inMemory
		t.Cleanup(func() { _ = os.RemoveAll(inMemory) })
	}
	h := &host{proc: filepath.Join(dir, "proc"), cgroup: filepath.Join(dir, "cgroup"), socket: filepath.Join(dir, "s")}
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(h.cgroup+"/cgroup.controllers", "cpuset cpu io memory pids\n")
	write(h.cgroup+"/cgroup.procs", "")
	write(h.proc+"/stat", "cpu 1\ncpu0 1\ncpu1 1\n")
	write(h.proc+"/vmstat", "oom_kill 0\n")
	write(h.proc+"/partitions", "major minor  #blocks  name\n\n 254 0 1 vda\n")
	process := func(pid int, cgroup string) {
		dir := fmt.Sprintf("%s/%d/", h.proc, pid)
		write(dir+"stat", fmt.Sprintf("%d (sh) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n", pid, pid*10))
		write(dir+"cgroup", "0::"+cgroup+"\n")
		write(dir+"status", "Name:\tsh\nUid:\t0\t0\t0\t0\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n")
		write(dir+"fd/0", "")
		write(dir+"net/dev", "Inter-| Receive | Transmit\n face |bytes\n    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n  eth0: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0\n")
		_ = os.MkdirAll(dir+"ns", 0o700)
		if err := os.Symlink(fmt.Sprintf("net:[%d]", pid), dir+"ns/net"); err != nil {
			t.Fatal(err)
		}
	}
	process(1, "/init.scope")
	process(2, "/")
	if err := os.Symlink("2", h.proc+"/self"); err != nil {
		t.Fatal(err)
	}
	for n := range containers {
		process(pid(n), "/docker/"+id(n))
		for name, content := range counters() {
			write(h.cgroup+"/docker/"+id(n)+"/"+name, content)
		}
		write(h.cgroup+"/docker/"+id(n)+"/cgroup.procs", fmt.Sprintln(pid(n)))
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", h.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: engine(containers), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return h
}

func counters() map[string]string {
	const stall = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=15000\n"
	return map[string]string{
		"cgroup.controllers": "cpuset cpu io memory pids\n",
		"cpu.stat":           "usage_usec 640123\nuser_usec 500000\nsystem_usec 140123\nnr_periods 32\nnr_throttled 31\nthrottled_usec 2400000\n",
		"cpu.max":            "20000 100000\n", "cpu.weight": "100\n", "cpuset.cpus.effective": "0-1\n",
		"memory.stat":    "anon 33554432\nfile 5120000\nkernel 225280\ninactive_file 4096\npgfault 900\npgmajfault 3\n",
		"memory.current": "39000000\n", "memory.peak": "40000000\n", "memory.max": "67108864\n", "memory.low": "0\n",
		"memory.swap.current": "0\n", "memory.swap.max": "33554432\n", "memory.events": "low 0\nhigh 0\nmax 9\noom 0\noom_kill 0\n",
		"io.stat":      "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n",
		"pids.current": "2\n", "pids.max": "100\n", "cpu.pressure": stall, "memory.pressure": stall, "io.pressure": stall,
	}
}

// engine answers what the monitor asks.
func engine(containers int) http.Handler {
	answer := func(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containers/json", func(w http.ResponseWriter, _ *http.Request) {
		var list []map[string]any
		for n := range containers {
			list = append(list, map[string]any{"Id": id(n), "Names": []string{"/c" + strconv.Itoa(n)}, "State": "running"})
		}
		answer(w, list)
	})
	mux.HandleFunc("GET /containers/{id}/json", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.PathValue("id"), 16, 0)
		labels := map[string]string{}
		for i := range 20 {
			labels[fmt.Sprintf("com.example.label-%d", i)] = fmt.Sprintf("of %d", n)
		}
		answer(w, map[string]any{
			"Id": r.PathValue("id"), "Name": fmt.Sprintf("/c%d", n-1), "Image": "sha256:" + id(0),
			"State":      map[string]any{"Status": "running", "Running": true, "Pid": pid(int(n - 1)), "StartedAt": "2026-01-02T03:04:05Z"},
			"Config":     map[string]any{"Image": "busybox:1", "Labels": labels, "Env": []string{"PATH=/bin", "DD_SERVICE=web"}},
			"HostConfig": map[string]any{"NetworkMode": "bridge"},
		})
	})
	mux.HandleFunc("GET /images/{id}/json", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"Config": map[string]any{"Labels": map[string]string{}}})
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("GET /images/json", func(w http.ResponseWriter, _ *http.Request) { answer(w, []any{}) })
	mux.HandleFunc("GET /networks", func(w http.ResponseWriter, _ *http.Request) { answer(w, []any{}) })
	mux.HandleFunc("GET /volumes", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{}) })
	mux.HandleFunc("GET /_ping", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "OK") })
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"Version": "99", "ApiVersion": "1.56", "MinAPIVersion": "1.24"})
	})
	return mux
}
