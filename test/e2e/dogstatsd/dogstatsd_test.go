// Package dogstatsd tests DogStatsD on a real Engine: the monitor in a container
// as an ordinary user, and clients on the host and in containers, as different
// users, honest and not.
package dogstatsd

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/wait"
)

// Where the sockets are, inside of the engine and of containers.
const (
	folder   = "/run/vitrine/dsd"
	datagram = folder + "/dsd.sock"
	stream   = folder + "/stream.sock"
)

// rig is an engine with a monitor, and the sender.
type rig struct {
	*engine.Engine
	t      *testing.T
	sender string // outside
	client *http.Client
}

func start(t *testing.T) *rig {
	t.Helper()
	e := engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	sender, err := e.ImportGo("sender:1", "vitrine/test/sender")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.ImportGo("monitor:1", "vitrine/cmd/monitor"); err != nil {
		t.Fatal(err)
	}
	dir := e.Path(folder)
	for _, err := range []error{
		os.MkdirAll(dir, 0o755),
		os.Chown(dir, 65532, 65532),
		os.Chmod(e.Socket, 0o666),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r := &rig{Engine: e, t: t, sender: sender, client: &http.Client{Transport: &http.Transport{DialContext: e.Dial}}}
	t.Cleanup(r.client.CloseIdleConnections)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := e.DockerCommand(e.Socket, "logs", "monitor").CombinedOutput()
			t.Logf("the monitor's log:\n%s", out)
		}
	})
	e.Docker("run", "-d", "--name", "monitor", "--user", "65532:65532", "--cap-drop", "ALL", "--read-only", "--pid", "host", "--network", "host",
		"-v", "/run/docker.sock:/run/docker.sock", "-v", "/sys/fs/cgroup:/host/cgroup:ro", "-v", folder+":"+folder, "monitor:1",
		"monitor", "run", "--docker", "unix:///run/docker.sock", "--cgroup", "/host/cgroup", "--interval", "1s", "--dogstatsd-interval", "1s",
		"--dogstatsd-stream-socket", stream, "--dogstatsd-udp", "0.0.0.0:8125", "--labels-as-tags", `{"com.example.team":"team","app":"kube_deployment"}`)
	wait.Until(t, "the monitor answers", func() bool { _, err := r.get(); return err == nil })
	return r
}

func (r *rig) on(t *testing.T) *rig {
	other := *r
	other.t, other.Engine = t, r.For(t)
	return &other
}

func (r *rig) get() (string, error) {
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://127.0.0.1:9780/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// series are those of a metric, as "{labels} value".
func (r *rig) series(metric string) []string {
	r.t.Helper()
	page, err := r.get()
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, metric); ok && strings.ContainsAny(rest[:1], " {") {
			out = append(out, strings.TrimSpace(rest))
		}
	}
	return out
}

// sum is that of a metric's series which have all these labels.
func (r *rig) sum(metric string, labels ...string) float64 {
	r.t.Helper()
	var sum float64
	for _, s := range r.series(metric) {
		if slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(s, l) }) {
			continue
		}
		v, err := strconv.ParseFloat(s[strings.LastIndexByte(s, ' ')+1:], 64)
		if err != nil {
			r.t.Fatal(err)
		}
		sum += v
	}
	return sum
}

// until waits for a sum, and shows the series if it does not come about.
func (r *rig) until(want float64, metric string, labels ...string) {
	r.t.Helper()
	if err := wait.NoError(15*time.Second, func() error {
		if got := r.sum(metric, labels...); got != want {
			return fmt.Errorf("%s%v is %v, not %v", metric, labels, got, want)
		}
		return nil
	}); err != nil {
		r.t.Errorf("%v:\n%s", err, strings.Join(r.series(metric), "\n"))
	}
}

// host runs the sender as a user of the host.
func (r *rig) host(uid uint32, arg ...string) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), r.sender, arg...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("%v: %s", err, out)
	}
}

// container runs the sender in a container of that name, which goes on. What a
// container's first process sends before the monitor has heard of it may have no origin
// when that has exited by then, so the sender begins later.
func (r *rig) container(name string, options []string, arg ...string) {
	r.t.Helper()
	r.idle(name, options...)
	r.Docker(append([]string{"exec", name, "sender"}, arg...)...)
}

// idle runs a container that does nothing yet, and waits until the monitor knows it.
func (r *rig) idle(name string, options ...string) {
	r.t.Helper()
	args := append([]string{"run", "-d", "--name", name, "-v", folder + ":" + folder + ":ro"}, options...)
	r.Docker(append(args, "sender:1", "sleep", "600")...)
	wait.Until(r.t, name+" is known", func() bool { return r.sum("docker_container_running", `container_name="`+name+`"`) == 1 })
}

func TestDogStatsD(t *testing.T) {
	r := start(t)
	t.Run("every type, transport and user", func(t *testing.T) { r.on(t).everything() })
	t.Run("slices", func(t *testing.T) { r.on(t).slices() })
	t.Run("claims of another's id", func(t *testing.T) { r.on(t).claims() })
	t.Run("senders that have exited", func(t *testing.T) { r.on(t).exited() })
	t.Run("rubbish costs itself alone", func(t *testing.T) { r.on(t).rubbish() })
	t.Run("restart under load", func(t *testing.T) { r.on(t).restart() })
}

// everything: all that Datadog's client can send arrives, each number of it.
func (r *rig) everything() {
	r.idle("bridged")
	gateway := r.Docker("inspect", "--format", "{{.NetworkSettings.Gateway}}", "bridged")
	outside := func(path string) string { return r.Path(path) }
	for i, tt := range []struct {
		name, address, origin string
		send                  func(name string, arg ...string)
	}{
		{"datagram, root", "unixgram://" + outside(datagram), "host", func(_ string, arg ...string) { r.host(0, arg...) }},
		{"datagram, another user", "unixgram://" + outside(datagram), "host", func(_ string, arg ...string) { r.host(65534, arg...) }},
		{"stream, another user", "unixstream://" + outside(stream), "host", func(_ string, arg ...string) { r.host(1234, arg...) }},
		{"datagram, container", "unixgram://" + datagram, "container", func(n string, arg ...string) { r.container(n, nil, arg...) }},
		{"datagram, container's user", "unixgram://" + datagram, "container", func(n string, arg ...string) { r.container(n, []string{"--user", "1234"}, arg...) }},
		{"stream, container's user", "unixstream://" + stream, "container", func(n string, arg ...string) { r.container(n, []string{"--user", "1234"}, arg...) }},
		{"UDP, container", gateway + ":8125", "any", func(n string, arg ...string) { r.container(n, nil, arg...) }},
		{"UDP, container of the host's network", "127.0.0.1:8125", "any", func(n string, arg ...string) { r.container(n, []string{"--network", "host", "--user", "1234"}, arg...) }},
	} {
		r.t.Run(tt.name, func(t *testing.T) {
			r := r.on(t)
			app := fmt.Sprintf("app%d", i)
			tt.send(app, "everything", tt.address, app)
			r.until(100*99/2, app+"_count_total", `k="v"`, `az="eu-1a"`)
			r.until(100, app+"_incr_total")
			r.until(99, app+"_gauge")
			r.until(100, app+"_histogram_count")
			r.until(100*99/2, app+"_histogram_sum")
			r.until(100, app+"_timing_count")
			r.until(100, app+"_distribution_count")
			r.until(100*99/4.0, app+"_distribution_sum")
			r.until(100, app+"_distribution_bucket", `le="50"`)
			r.until(41, app+"_distribution_bucket", `le="20"`)
			r.until(2, "dogstatsd_service_check_status", `check="`+app+`.db"`)
			switch all := r.series(app + "_incr_total"); {
			case len(all) != 1:
				t.Errorf("it is in %d series: %s", len(all), all)
			case tt.origin == "container" && !strings.Contains(all[0], `image_name="sender"`), tt.origin == "host" && strings.Contains(all[0], "image_name"):
				t.Errorf("the origin of %s is not that of a %s", all[0], tt.origin)
			}
			if tt.origin == "container" {
				r.until(1, "dogstatsd_events_total", `origin="kernel"`, `container_name="`+app+`"`, `alert_type="error"`)
				r.until(1, "dogstatsd_service_checks_total", `origin="kernel"`, `container_name="`+app+`"`, `status="critical"`)
			}
		})
	}
}

// slices: the talk's slide. What a container is labelled with is how its metrics can be asked for.
func (r *rig) slices() {
	label := func(labels ...string) []string {
		var out []string
		for _, l := range labels {
			out = append(out, "--label", l)
		}
		return out
	}
	ecs := label("com.amazonaws.ecs.cluster=prod", "com.amazonaws.ecs.task-definition-family=checkout", "com.amazonaws.ecs.task-definition-version=7",
		"com.amazonaws.ecs.task-arn=arn:aws:ecs:eu-west-1:123456789012:task/prod/abc", "com.amazonaws.ecs.container-name=web")
	kube := label("io.kubernetes.pod.name=shop-5d4f8-x2x", "io.kubernetes.pod.namespace=sales", "io.kubernetes.container.name=web", "app=shop")
	docker := label("com.docker.compose.project=blog", "com.example.team=sre", "com.datadoghq.tags.service=blog")
	const views = "page.views:%d|c|#availability-zone:eu-1%s%s"
	for _, c := range []struct {
		name   string
		labels []string
		line   string
	}{
		{"ecs1", ecs, fmt.Sprintf(views, 1, "a", "")},
		{"ecs2", ecs, fmt.Sprintf(views, 2, "b", "")},
		{"kube1", kube, fmt.Sprintf(views, 4, "a", "")},
		{"kube2", kube, fmt.Sprintf(views, 8, "b", "|card:orchestrator")},
		{"docker1", docker, fmt.Sprintf(views, 16, "a", "")},
		{"docker2", docker, fmt.Sprintf(views, 32, "b,host:other", "|card:high")},
	} {
		r.container(c.name, c.labels, "raw", datagram, c.line)
	}
	const metric = "page_views_total"
	r.until(63, metric)
	for labels, want := range map[string]float64{
		`availability_zone="eu-1a"`: 21, `availability_zone="eu-1b"`: 42,
		`task_family="checkout"`: 3, `task_version="7"`: 3, `ecs_cluster_name="prod"`: 3, `region="eu-west-1"`: 3, `ecs_container_name="web"`: 3,
		`kube_deployment="shop"`: 12, `kube_namespace="sales"`: 12, `pod_name="shop-5d4f8-x2x"`: 8,
		`compose_project="blog"`: 48, `team="sre"`: 48, `service="blog"`: 48,
		`container_name="docker2"`: 32, `,container_name=`: 32, `host="other"`: 32, `task_arn=`: 0,
	} {
		r.until(want, metric, labels)
	}
}

// claims: what a container says of itself changes nothing, and is counted.
func (r *rig) claims() {
	r.Docker("run", "-d", "--name", "victim", "--label", "com.example.team=bank", "bb:1", "sleep", "600")
	id := r.Docker("inspect", "--format", "{{.Id}}", "victim")
	before := r.sum("dogstatsd_origin_mismatches_total")
	r.container("liar", []string{"--label", "com.example.team=crooks"}, "raw", datagram,
		"stolen:1|c|card:high|c:ci-"+id, "stolen:1|c|card:high|c:"+id, "stolen:1|c|card:high|e:it-false,cn-victim,pu-1234",
		"stolen:1|c|#container_name:victim,container_id:"+id+",team:bank,dd.internal.entity_id:1234|card:high")
	r.until(4, "stolen_total", `container_name="liar"`, `team="crooks"`)
	r.until(before+3, "dogstatsd_origin_mismatches_total")
	for _, s := range r.series("stolen_total") {
		if regexp.MustCompile(`[{,](container_name="victim"|container_id="` + id + `"|team="bank")`).MatchString(s) {
			r.t.Errorf("the claim is believed: %s", s)
		}
	}
	r.until(1, "stolen_total", `exported_container_name="victim"`, `exported_team="bank"`)
}

// exited: forty processes that are gone before they can be looked at. Their
// messages are all there, and their container's or nobody's.
func (r *rig) exited() {
	r.idle("bystander")
	r.idle("brief")
	r.Docker("exec", "brief", "sh", "-c", `for i in $(seq 40); do sender raw `+datagram+` "brief:1|c|card:high"; done`)
	r.until(40, "brief_total")
	if own, none := r.sum("brief_total", `container_name="brief"`), r.sum("brief_total")-r.sum("brief_total", "container_name="); own+none != 40 {
		r.t.Errorf("%v of its own container, %v of none, of 40: %s", own, none, r.series("brief_total"))
	} else {
		r.t.Logf("%v of their own container, %v of none", own, none)
	}
}

func (r *rig) rubbish() {
	before := r.sum("dogstatsd_processed_total", `state="error"`)
	r.container("rubbish", nil, "raw", datagram, "fine:1|c", strings.Repeat("\x01", 4000), "a:|c", "fine:2|c", "fine:3|q", "fine:4|c")
	r.until(7, "fine_total")
	r.until(before+3, "dogstatsd_processed_total", `state="error"`)
}

// restart: the sender goes on, what is counted afterwards is what was sent
// afterwards, each message once, and the gap can be seen.
func (r *rig) restart() {
	cmd := exec.CommandContext(r.t.Context(), r.sender, "flood", r.Path(datagram), "load:1|c")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	said := &wait.Buffer{}
	cmd.Stdout = said
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if !stopped {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			stopped = true
		}
	}
	defer stop()
	wait.Until(r.t, "under load", func() bool { return r.sum("load_total") > 500 })
	began := r.sum("process_start_time_seconds")
	r.Docker("stop", "monitor")
	down := func() (sent float64, is bool) {
		m := regexp.MustCompile(`up=false sent=(\d+)\n`).FindAllStringSubmatch(said.String(), -1)
		if m == nil {
			return 0, false
		}
		sent, _ = strconv.ParseFloat(m[len(m)-1][1], 64)
		return sent, true
	}
	wait.Until(r.t, "the sender notices", func() bool { _, is := down(); return is })
	before, _ := down()
	r.Docker("start", "monitor")
	wait.Until(r.t, "the monitor answers", func() bool { _, err := r.get(); return err == nil })
	wait.Until(r.t, "under load again", func() bool { return r.sum("load_total") > 500 })
	stop()
	m := regexp.MustCompile(`up=true sent=(\d+)\n`).FindAllStringSubmatch(said.String(), -1)
	last, _ := strconv.ParseFloat(m[len(m)-1][1], 64)
	if err := wait.NoError(10*time.Second, func() error {
		// The sender says how many only after each hundred.
		if got := r.sum("load_total"); got < last-before || got > last-before+100 {
			return fmt.Errorf("%v counted since the restart, %v to %v sent", got, last-before, last-before+100)
		}
		return nil
	}); err != nil {
		r.t.Error(err)
	}
	if now := r.sum("process_start_time_seconds"); now <= began {
		r.t.Error("the restart cannot be seen")
	}
}
