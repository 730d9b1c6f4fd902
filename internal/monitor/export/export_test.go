package export

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/kernel/kmsg"
	"vitrine/internal/kernel/procfs"
	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/series"
	"vitrine/internal/monitor/tag"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

func set(n uint64) cgroup.Value { return cgroup.Value{N: n, Set: true} }

// full is a snapshot with a value of every metric, and names that try to break out.
func full(at time.Time, n uint64) *collect.Snapshot {
	all := cgroup.Stats{
		CPU: cgroup.CPU{
			UsageNsec: set(n * 1e9), UserNsec: set(n * 1e9), SystemNsec: set(0), Periods: set(10 * n), ThrottledPeriods: set(4 * n),
			ThrottledNsec: set(n * 1e8), QuotaUsec: set(50000), PeriodUsec: set(100000), Weight: set(100),
		},
		Memory: cgroup.Memory{
			Usage: set(9 << 20), WorkingSet: set(8 << 20), RSS: set(5 << 20), Cache: set(1 << 20), Swap: set(1 << 20), Kernel: set(1), Peak: set(2),
			Limit: set(10 << 20), SoftLimit: set(3), SwapLimit: set(20 << 20), PageFaults: set(n), MajorPageFaults: set(n), LimitHits: set(n),
		},
		IO:       []cgroup.Device{{Major: 254, ReadBytes: n}},
		Pids:     cgroup.Pids{Current: set(3), Limit: set(100)},
		Pressure: cgroup.Pressure{CPU: cgroup.Stall{SomeNsec: set(n * 1e9), FullNsec: set(0)}},
	}
	web := &collect.Container{
		Container: docker.Container{
			ID: strings.Repeat("c", 64), Name: "web", Image: "shop/web:1", Running: true, StartedAt: "2026-01-02T03:04:05Z",
			Labels: map[string]string{"com.docker.compose.project": "shop \"quoted\" \\ \n", "com.datadoghq.ad.tags": `["team:a","team:b","com.docker:x"]`},
			Detail: &docker.Detail{State: "running", Health: "unhealthy", Restarts: 2},
		},
		Read: at, CPUs: 2, Stats: all, Sharing: 2, OpenFiles: set(7), Throttled: 0.4, Headroom: 90 * time.Second,
		Kills: collect.Kills{Survived: 1},
		Interfaces: []collect.Interface{{
			Interface: procfs.Interface{Name: "eth0\"} 1\nevil\xff", Rx: procfs.Traffic{Bytes: 1024 * n}}, Network: "front",
		}},
	}
	dead := &collect.Container{
		Container: docker.Container{ID: strings.Repeat("d", 64), Name: "dead\x1b[2J", Image: "busybox", Detail: &docker.Detail{State: "exited", ExitCode: 137, OOMKilled: true}},
		Kills:     collect.Kills{Fatal: 1}, Throttled: -1, LastExit: collect.Exit{At: at, Code: 137},
	}
	double := &collect.Container{Container: docker.Container{ID: strings.Repeat("e", 64), Name: "web"}, Throttled: -1}
	return &collect.Snapshot{
		Time: at, Took: 3 * time.Millisecond, Mode: cgroup.Hybrid, CPUs: 2,
		Host:       []collect.Interface{{Interface: procfs.Interface{Name: "enp0s3", Rx: procfs.Traffic{Bytes: 5}}}},
		OOMKills:   set(7),
		Engine:     collect.Engine{Up: true, Counts: &docker.Counts{Images: []docker.Image{{Names: []string{"shop/web:1"}, Size: 4096}}, Volumes: 2, Dangling: 1, Networks: 3}, Unanswered: []docker.Unanswered{{ID: "0f", Name: "sick"}}},
		Containers: []*collect.Container{dead, web, double},
		Events: []collect.Event{
			{Time: at, Name: collect.EventOOMKill, ContainerName: "web", ContainerID: web.ID, PID1Alive: true, Kills: 1, Victims: []kmsg.Victim{{Name: `py\x1b[2J`, PID: 42}}},
			{Time: at, Name: collect.EventOOMKill, ContainerName: "dead", ContainerID: dead.ID, Kills: 1},
			{Time: at, Name: collect.EventExit, ContainerName: "dead", ContainerID: dead.ID, ExitCode: 137},
		},
	}
}

func filled() *series.Aggregator {
	a := series.New(tag.New(tag.Config{}), nil)
	at := time.Date(2026, 1, 2, 4, 0, 0, 0, time.UTC)
	a.Update(full(at, 1))
	a.Update(full(at.Add(10*time.Second), 2))
	return a
}

func scrape(t *testing.T, a *series.Aggregator, accept string) (body, contentType string) {
	t.Helper()
	self := prometheus.NewRegistry()
	self.MustRegister(collectors.NewGoCollector())
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	Metrics(a, nil, self).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String(), w.Header().Get("Content-Type")
}

// TestPage: it parses, it is in good style, and names cannot break out of it.
func TestPage(t *testing.T) {
	body, contentType := scrape(t, filled(), "")
	if !strings.HasPrefix(contentType, "text/plain; version=0.0.4") {
		t.Errorf("content type %s", contentType)
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatalf("%v in\n%s", err, body)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, want := range []string{
		`docker_cpu_throttled_periods_total{container_name="web"} 8`,
		`docker_mem_in_use_ratio{container_name="web"} 0.5`,
		`docker_mem_sw_in_use_ratio{container_name="web"} 0.3`,
		`docker_oom_kills_total{container_name="web",pid1_alive="true"} 1`,
		`docker_oom_kills_total{container_name="web",pid1_alive="false"} 0`,
		`docker_net_receive_bytes_total{container_name="web",interface="eth0\\\"} 1\\nevil\\xff",docker_network="front"} 2048`,
		`docker_container_running{container_name="web"} 1`,
		`host_net_receive_bytes_total{interface="enp0s3"} 5`,
		`docker_images 1`,
		`docker_image_size_bytes{docker_image="shop/web:1"} 4096`,
		`docker_image_containers_running{docker_image="shop/web:1"} 1`,
		`docker_volumes{volume_state="dangling"} 1`,
		`docker_service_check_status{check="docker.service_up"} 0`,
		"docker_service_check_status{check=\"docker.exit\",container_name=\"dead\x1b[2J\"} 2",
		`docker_service_check_status{check="docker.container_health",container_name="web"} 2`,
		`docker_service_check_status{check="docker.container_state",container_name="web"} 0`,
		`go_goroutines `,
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("no line %s", want)
		}
	}
	if n := strings.Count(body, `docker_container_running{container_name="web"}`); n != 1 {
		t.Errorf("two containers with one name, in the moment of a rename, give %d series", n)
	}
	info := regexp.MustCompile(`(?m)^docker_container_info\{container_name="web",.*$`).FindString(body)
	for _, want := range []string{`team="a,b"`, `com_docker="x"`, `compose_project="shop \"quoted\" \\ _"`, `image_tag="1"`} {
		if !strings.Contains(info, want) {
			t.Errorf("no %s in %s", want, info)
		}
	}
}

// TestOpenMetrics: counters' families without _total, units, and an end.
func TestOpenMetrics(t *testing.T) {
	body, contentType := scrape(t, filled(), "application/openmetrics-text; version=1.0.0")
	if !strings.HasPrefix(contentType, "application/openmetrics-text") || !strings.HasSuffix(body, "\n# EOF\n") || strings.Count(body, "# EOF") != 1 {
		t.Errorf("content type %s, end %q", contentType, body[len(body)-40:])
	}
	for _, want := range []string{
		"# TYPE docker_oom_kills counter\n", "# UNIT docker_cpu_usage_seconds seconds\n", "# TYPE docker_container info\n",
		"# UNIT docker_mem_in_use_ratio ratio\n", "\ndocker_cpu_usage_seconds_total{",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q", want)
		}
	}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "# UNIT docker") || strings.HasPrefix(line, "# UNIT host") {
			f := strings.Fields(line)
			if !strings.HasSuffix(f[2], "_"+f[3]) {
				t.Errorf("%s: the name must end with the unit", line)
			}
		}
	}
}

// TestEmptyPage: before the first collection there is only our own process.
func TestEmptyPage(t *testing.T) {
	body, _ := scrape(t, series.New(tag.New(tag.Config{}), nil), "")
	if strings.Contains(body, "docker_") || !strings.Contains(body, "go_goroutines") {
		t.Errorf("%s", body)
	}
}

// TestEveryMetricIsOnThePage: the snapshot above has a value of each, so none is
// declared that nobody can read.
func TestEveryMetricIsOnThePage(t *testing.T) {
	a := filled()
	body, _ := scrape(t, a, "")
	seen := map[string]bool{}
	for _, m := range append(a.Table().Containers(), a.Table().Others()...) {
		if seen[m.Prom] || m.Name != "" && seen[m.Name] {
			t.Errorf("%s or %s twice", m.Prom, m.Name)
		}
		seen[m.Prom], seen[m.Name] = true, true
		if !strings.Contains(body, "\n# TYPE "+m.Prom+" ") {
			t.Errorf("%s is not there: give full a value of it", m.Prom)
		}
		if m.Help == "" || !strings.HasSuffix(m.Help, ".") || m.Source == "" {
			t.Errorf("%s lacks help or source", m.Prom)
		}
	}
}

// checkMetrics asks Prometheus's own tool what it thinks of a page: what it says,
// and its exit code, 0 for nothing to object to.
func checkMetrics(t *testing.T, page string) (string, int) {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("VITRINE_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip("promtool is not installed (scripts/setup.sh)")
	}
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(page)
	out, _ := cmd.CombinedOutput() // its error is the exit code
	return string(out), cmd.ProcessState.ExitCode()
}

// TestHelpOfItsOwn: no two of our metrics are explained with the same words.
func TestHelpOfItsOwn(t *testing.T) {
	of := map[string]string{}
	body := scrapeSent(t, sent(t, web), "")
	for line := range strings.Lines(body) {
		name, help, ok := strings.Cut(strings.TrimPrefix(line, "# HELP "), " ")
		switch {
		case !ok || !strings.HasPrefix(line, "# HELP ") || strings.HasPrefix(name, "go_"):
		case of[help] != "" || len(help) < 5:
			t.Errorf("%s and %s: %q", name, of[help], help)
		}
		if strings.HasPrefix(line, "# HELP ") {
			of[help] = name
		}
	}
}

// TestPromtool: Prometheus's own tool likes the page.
func TestPromtool(t *testing.T) {
	body, _ := scrape(t, filled(), "")
	if out, code := checkMetrics(t, body); code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	var err error
	filled().Look(func(v *series.View) { err = JSON(&b, v) })
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Containers) != 3 || doc.Cgroups != "hybrid" || !doc.EngineUp || len(doc.Events) != 6 {
		t.Errorf("got %s", b.String())
	}
	web := doc.Containers[1]
	found := false
	for _, s := range web.Series {
		if s.Metric == "docker_cpu_throttled_periods_total" {
			found = s.Name == "docker.cpu.throttled" && s.Value == 8 && s.As != nil && *s.As == 0.4 && s.Unit == "periods"
		}
	}
	if !found || web.State != "running" || web.Health != "unhealthy" {
		t.Errorf("web is %+v", web)
	}
	for i, want := range []jsonCheck{
		{Check: "docker.service_up", Status: "ok", Time: doc.Time},
		{Check: "docker.exit", Status: "critical", Value: 2, Message: "Container dead\x1b[2J exited with 137", Time: doc.Time},
		{Check: "docker.container_health", Status: "critical", Value: 2, Message: "unhealthy", Time: doc.Time},
	} {
		if got := [][]jsonCheck{doc.Checks, doc.Containers[0].Checks, web.Checks}[i]; len(got) == 0 || got[0] != want {
			t.Errorf("checks %+v, want %+v", got, want)
		}
	}
	if e := doc.Events[0]; e.PID1Alive == nil || !*e.PID1Alive || e.ExitCode != nil || !slices.Equal(e.Victims, []victim{{`py\x1b[2J`, 42}}) {
		t.Errorf("event %+v", e)
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	var err error
	filled().Look(func(v *series.View) { err = Table(&b, v, 0) })
	const want = `CONTAINER  STATE               OOM KILLS       CPU    THROTTLED  MEMORY          IN USE  +SWAP  FULL IN  RESTARTS  NET IN/OUT  THREADS  FILES
dead?[2J   exited (137), OOM   1 fatal         -      -          -               -       -      -        -         -           -        -
web        running, unhealthy  1, PID 1 alive  10.0%  40.0%      8.0MiB/10.0MiB  50.0%   30.0%  1m30s    2         102B/0B     3        7
web        -                   -               -      -          -               -       -      -        -         -           -        -
04:00:00 web: the OOM killer killed 1 inside (py\x1b[2J (42)), and PID 1 lives on: the container may be stuck
04:00:00 dead died of the OOM killer
04:00:00 dead ended with exit code 137
`
	if got := b.String(); err != nil || !strings.HasPrefix(got, want) {
		t.Errorf("error %v, got\n%s", err, got)
	}
}

// TestEnginesVerdict: that the Engine saw an OOM kill inside is not that the container died of it.
func TestEnginesVerdict(t *testing.T) {
	for _, tt := range []struct {
		code  int
		kills collect.Kills
		want  string
	}{
		{137, collect.Kills{}, "exited (137), OOM kill inside"},
		{143, collect.Kills{Survived: 1}, "exited (143), OOM kill inside"},
		{137, collect.Kills{Fatal: 1}, "exited (137), OOM"},
		{137, collect.Kills{Survived: 3}, "exited (137), OOM kill inside"},
	} {
		s := full(time.Now(), 1)
		s.Containers = s.Containers[:1]
		s.Containers[0].Kills, s.Containers[0].Detail.ExitCode = tt.kills, tt.code
		a := series.New(tag.New(tag.Config{}), nil)
		a.Update(s)
		var b bytes.Buffer
		var err error
		a.Look(func(v *series.View) { err = Table(&b, v, 0) })
		if !regexp.MustCompile("(?m)"+regexp.QuoteMeta(tt.want)+"( {2}|$)").MatchString(b.String()) || err != nil {
			t.Errorf("%+v: %v in\n%s", tt, err, b.String())
		}
	}
}

// TestTableWithoutEmptyColumns: what nobody has is not shown.
func TestTableWithoutEmptyColumns(t *testing.T) {
	var b bytes.Buffer
	err := Table(&b, &series.View{Containers: []*series.Container{{}}}, 0)
	if got := strings.Fields(b.String()); err != nil || !slices.Equal(got, []string{"CONTAINER"}) {
		t.Errorf("error %v, got\n%s", err, &b)
	}
}

// TestTableOnATerminal: the last columns are left out where they have no room,
// and that is said.
func TestTableOnATerminal(t *testing.T) {
	for width, want := range map[int]string{
		100: "CONTAINER STATE OOM KILLS CPU THROTTLED MEMORY IN USE +SWAP|no room for FULL IN, RESTARTS, NET IN/OUT, THREADS, FILES",
		80:  "CONTAINER STATE OOM KILLS CPU THROTTLED MEMORY|no room for IN USE, +SWAP, FULL IN, RESTARTS, NET IN/OUT, THREADS, FILES",
		1:   "CONTAINER|no room for STATE, OOM KILLS, CPU, THROTTLED, MEMORY, IN USE, +SWAP, FULL IN, RESTARTS, NET IN/OUT, THREADS, FILES",
	} {
		var b bytes.Buffer
		var err error
		filled().Look(func(v *series.View) { err = Table(&b, v, width) })
		lines := strings.Split(b.String(), "\n")
		if got := strings.Join(strings.Fields(lines[0]), " ") + "|" + lines[4]; err != nil || got != want {
			t.Errorf("%d: error %v, got %s\nwant %s", width, err, got, want)
		}
		for _, line := range lines[:4] {
			if n := utf8.RuneCountInString(line); n > max(width, len("CONTAINER")) {
				t.Errorf("%d: %d wide: %s", width, n, line)
			}
		}
	}
}

// TestTableOfUnseenFiles: that they cannot be seen is said, and not shown as none.
func TestTableOfUnseenFiles(t *testing.T) {
	a := series.New(tag.New(tag.Config{}), nil)
	s := full(time.Now(), 1)
	s.Containers[1].OpenFiles = cgroup.Value{}
	a.Update(s)
	var b bytes.Buffer
	var err error
	a.Look(func(v *series.View) { err = Table(&b, v, 0) })
	if got := b.String(); err != nil || strings.Contains(got, "FILES") || !strings.Contains(got, "the open files of some containers (1) cannot be seen") {
		t.Errorf("error %v, got\n%s", err, got)
	}
}

func TestBytes(t *testing.T) {
	for in, want := range map[float64]string{0: "0B", 1023: "1023B", 1024: "1.0KiB", 10 << 20: "10.0MiB", 1<<30 - 1: "1.0GiB", 150 << 30: "150GiB"} {
		if got := Bytes(in); got != want {
			t.Errorf("Bytes(%v) = %s, want %s", in, got, want)
		}
	}
}

// TestDocs: docs/metrics.md is the table. `go test ./internal/monitor/export -update` writes it.
func TestDocs(t *testing.T) {
	var b strings.Builder
	b.WriteString(docsHead)
	table := collect.NewTable()
	write := func(list []*collect.Metric, ofContainer bool) {
		b.WriteString("\n| Prometheus | labels | Datadog | OTLP | what | source |\n|---|---|---|---|---|---|\n")
		for _, m := range list {
			name := "–"
			if m.Name != "" {
				name = "`" + m.Name + "`"
				unit := m.Unit
				if m.Counter() {
					unit = strings.TrimSpace(unit + "/s")
					if strings.HasPrefix(m.Unit, "percent") {
						unit = m.Unit
					}
				}
				if unit != "" {
					name += " (" + unit + ")"
				}
			}
			labels := "–"
			if len(m.Labels) > 0 {
				labels = "`" + strings.Join(m.Labels, "` `") + "`"
			}
			otel := otelName(m, ofContainer)
			sent := "`" + otel.Name + "`"
			if len(otel.Attributes) > 0 {
				sent += " `" + joined(otel.Attributes) + "`"
			}
			if otel.Unit != "" {
				sent += " (" + otel.Unit + ")"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", m.Prom, labels, name, sent, m.Help, strings.ReplaceAll(m.Source, "|", `\|`))
		}
	}
	b.WriteString("\n## Containers\n\nEach has the label `container_name` too.\n")
	write(table.Containers(), true)
	fmt.Fprintf(&b, "\n`%s` has a container's [tags](tags.md) as labels, to join with:\n`docker_mem_in_use_ratio * on (container_name) group_left (compose_service) %s`.\n", infoName, infoName)
	b.WriteString("\n## Host, Engine and monitor\n")
	write(table.Others(), false)
	b.WriteString(docsTail)
	const name = "../../../docs/metrics.md"
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != b.String() {
		t.Errorf("%s is not what the table says (error %v); go test ./internal/monitor/export -run Docs -update", name, err)
	}
}

const docsHead = `# Metrics

<!-- Made from internal/monitor/collect by "go test ./internal/monitor/export -update". -->

Every metric has three names: Prometheus's (` + "`/metrics`" + `: base units, cumulative counters), the one that Datadog's agent
uses, where a counter is a rate over the last interval, in the unit in parentheses, and the one in [OTLP](outputs.md#of-monitor). A value that could not be read, or
does not apply, is absent: never zero, and never the last one. Counters begin again when their container does. What the
Engine says (running, restarts, health, tags) is as of its last word while ` + "`docker_up`" + ` is 0; what the kernel says is read on.

"v1" and "v2" are cgroup versions; hybrid hosts have v1's files, and pressure from the unified tree. Where a name or a
meaning differs from Datadog's agent, [rationale.md](rationale.md) says why.
`

const docsTail = `
The monitor's own process has the usual ` + "`process_*` and `go_*`" + ` metrics, and ` + "`monitor_build_info{version, goversion}`" + `. What it counts of
DogStatsD messages is in [dogstatsd.md](dogstatsd.md#telemetry).

## Worth an alert

` + "`deploy/prometheus/vitrine.rules.yaml`" + ` has these and others, for authz-plugin too, as rules for Prometheus.

| what | expression |
|---|---|
| a container has lost a process to the OOM killer, and has not been started again since | ` + "`docker_oom_kills_total{pid1_alive=\"true\"} > 0`" + ` |
| its memory will be full within the hour | ` + "`docker_mem_headroom_seconds < 3600`" + ` |
| it starts again and again | ` + "`increase(docker_container_restarts_total[15m]) > 3`" + ` |
| the Engine, the gateway or the monitor is gone | ` + "`docker_up == 0 or absent(docker_up)`" + ` |
| the Engine hangs at one container | ` + "`docker_inventory_unanswered`" + ` |

## Service checks

| check | ok | warning | critical | unknown | absent |
|---|---|---|---|---|---|
| ` + "`docker.service_up`" + ` | the Engine's list and events can be had | – | they cannot, and the message says why: the Engine, the gateway or a permission is gone | – | – |
| ` + "`docker.exit`" + ` | the last end was with 0 or 143 (` + "`--ok-exit-codes`" + `) | – | with any other | – | before the first end that is known |
| ` + "`docker.container_health`" + ` | healthy | – | unhealthy | starting; paused; or the Engine does not answer | without a health check, and while it does not run |
| ` + "`docker.container_state`" + ` | running | paused, or restarting: it has ended, and waits for its restart policy | dead: the Engine could not remove it | the Engine does not answer | before its first start, and after an end that is meant to last |

` + "`docker_service_check_status{check, container_name}`" + ` is 0 for ok, 1 for warning, 2 for critical, 3 for unknown; ` + "`monitor once --json`" + `
has the message and the time too. The first three are those of Datadog's docker check.

A container that was started again keeps the ` + "`docker.exit`" + ` of its last end until the next one, as in Datadog: a crash that
a restart policy mends is one. For those that are down now:
` + "`docker_service_check_status{check=\"docker.exit\"} == 2 unless on (container_name) docker_container_running == 1`" + `.
The Engine forgets an exit code when it starts the container again: of an end that the monitor did not see
(it was started later, or in a gap) there is then no check, or that of the end before. A removed container has no checks; how one with
` + "`--rm`" + ` ended is an event alone. A restart loop is ` + "`docker.exit`" + ` critical, ` + "`docker.container_state`" + ` warning between two lives, and
a growing ` + "`docker_container_restarts_total`" + `.

## Events

| event | when |
|---|---|
| ` + "`docker.oom_kill`" + ` with ` + "`pid1_alive: true`" + ` | the OOM killer killed inside a container whose PID 1 lives on. The Engine says Up, and at most OOMKilled; the container may be stuck |
| ` + "`docker.oom_kill`" + ` with ` + "`pid1_alive: false`" + ` | the container ended by it |
| ` + "`docker.exit`" + ` | a container ended, with its exit code |

A ` + "`docker.oom_kill`" + ` has the number of ` + "`kills`" + `, ` + "`group`" + ` if the kernel says that it killed a whole cgroup of the container at
once (Linux 5.17), and the ` + "`victims`" + `, name and host PID, where the monitor may read the kernel's log (` + "`--kmsg`" + `) and that
names them (Linux 5.0): whom the OOM killer chose, and not the others of a group. The name is the process's own choice.
`

// TestNamesDoNotMoveTheCursor: nothing that a terminal obeys is printed.
func TestNamesDoNotMoveTheCursor(t *testing.T) {
	for _, name := range []string{"a\x1b[2J", "a\u009b2J", "a\u202eb", "a\u2028b", "a\xffb", "a\nb"} {
		for _, r := range sentence(collect.Event{Name: collect.EventExit, ContainerName: name}) {
			if r < ' ' || r >= 0x7f && r != '\uFFFD' && r != '?' {
				t.Errorf("%q: %q is printed", name, r)
			}
		}
	}
}
