package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// expressions are all that a dashboard asks Prometheus for, by where it stands.
func expressions(t *testing.T, file string) map[string]string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
		Templating struct {
			List []struct{ Name, Type, Query string }
		}
		Annotations struct {
			List []struct{ Name, Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, file)), &dashboard); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			found[p.Title+" "+target.RefID] = target.Expr
		}
	}
	for _, v := range dashboard.Templating.List {
		if v.Type == "query" {
			found["variable "+v.Name] = strings.TrimPrefix(v.Query[:strings.LastIndex(v.Query, ",")], "label_values(")
		}
	}
	for _, a := range dashboard.Annotations.List {
		found["annotation "+a.Name] = a.Expr
	}
	if len(found) < 20 {
		t.Fatalf("%s has %d expressions", file, len(found))
	}
	return found
}

// observed is an Engine with both doors, a monitor, and Debian's Prometheus and Alertmanager with our files.
func observed(t *testing.T) (e *engine.Engine, doors *vitrine.Process) {
	t.Helper()
	e = engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	doors = vitrine.Start(t, vitrine.Options{Engine: e})
	doors.Plug(nil)
	dsd := e.Path("/run/vitrine/dsd")
	if err := os.MkdirAll(dsd, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dsd, monitorUser, monitorUser); err != nil {
		t.Fatal(err)
	}
	monitorUnit(t, e, "--interval", "1s", "--dogstatsd-interval", "1s")
	dir := filepath.Join(e.Dir, "state/prometheus")
	for _, name := range []string{"vitrine.rules.yaml", "prometheus.yml", "alertmanager.yml"} {
		text := read(t, filepath.Join("prometheus", name))
		if name == "prometheus.yml" {
			text = "global: {scrape_interval: 1s, evaluation_interval: 1s}\n" + text
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, e, []string{"prometheus-alertmanager", "--config.file=" + dir + "/alertmanager.yml", "--storage.path=" + dir + "/alerts", "--cluster.listen-address=", "--web.listen-address=127.0.0.1:9093"})
	run(t, e, []string{"prometheus", "--config.file=" + dir + "/prometheus.yml", "--storage.tsdb.path=" + dir + "/data", "--web.listen-address=127.0.0.1:9090"})
	return e, doors
}

// TestDashboardAndAlerts: every expression of the dashboard has an answer on a host on which what it asks for happens, by the configuration
// that we ship, and what is wrong there comes to Alertmanager.
func TestDashboardAndAlerts(t *testing.T) {
	for _, program := range []string{"prometheus", "prometheus-alertmanager"} {
		requireProgram(t, program)
	}
	e, doors := observed(t)
	e.Docker("run", "-d", "--name", "grower", "-m", "512m", "bb:1", "sh", "-c", `while :; do x=$x$(head -c 200000 /dev/zero | tr '\0' a); sleep 0.5; done`)
	e.Docker("run", "-d", "--name", "busy", "--cpus", "0.05", "bb:1", "sh", "-c", "while :; do :; done")
	e.Docker("run", "-d", "--name", "crashing", "--restart", "always", "bb:1", "sh", "-c", "sleep 3; exit 1")
	// The annotation wants a kill within the last minute, and its counter before it: so it goes on.
	e.Docker("run", "-d", "--name", "forwarder", "-m", "32m", "--memory-swap", "48m", "bb:1", "sh", "-c", `while :; do sleep 5; sh -c 'x=a; while :; do x=$x$x; done'; done`)
	denied := func() error { // a stranger lists containers
		cmd := e.DockerCommand(doors.Socket, "ps")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4711, Gid: 4711}}
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "vitrine:") {
			return fmt.Errorf("docker ps: %w: %s", err, out)
		}
		return nil
	}
	message := func() error {
		c, err := net.Dial("unixgram", e.Path("/run/vitrine/dsd/dsd.sock"))
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("page.views:1|c"))
		return err
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: e.Dial, DisableKeepAlives: true}}
	left := expressions(t, "grafana/vitrine.json")
	variables := strings.NewReplacer("$__rate_interval", "15s", "$instance", ".*", "$container", ".*")
	if err := wait.NoError(2*time.Minute, func() error {
		if err := errors.Join(message(), denied()); err != nil {
			return err
		}
		for where, expr := range left {
			if err := answered(client, variables.Replace(expr)); err != nil {
				return fmt.Errorf("%s: %w (%d are not answered yet)", where, err, len(left))
			}
			delete(left, where)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, e, func() error {
		var alerts []struct{ Labels map[string]string }
		if err := fetch(client, "http://127.0.0.1:9093/api/v2/alerts", &alerts); err != nil {
			return err
		}
		for _, a := range alerts {
			if a.Labels["alertname"] == "KilledBesideALivingPID1" && a.Labels["container_name"] == "forwarder" {
				return nil
			}
		}
		return fmt.Errorf("Alertmanager has %v", alerts)
	})
}

// answered returns an error unless Prometheus has a value for an expression that is a number.
func answered(client *http.Client, expr string) error {
	var answer struct {
		Error string
		Data  struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := fetch(client, "http://127.0.0.1:9090/api/v1/query?query="+url.QueryEscape(expr), &answer); err != nil {
		return err
	}
	for _, r := range answer.Data.Result {
		if r.Value[1] != "NaN" {
			return nil
		}
	}
	return fmt.Errorf("no data for %s: %v %s", expr, answer.Data.Result, answer.Error)
}

func fetch(client *http.Client, address string, to any) error {
	res, err := client.Get(address)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return json.NewDecoder(res.Body).Decode(to)
}

// TestDashboardNamesWhatThereIs without an Engine: each metric of the dashboard is one that the documentation has.
func TestDashboardNamesWhatThereIs(t *testing.T) {
	documented := read(t, "../docs/metrics.md") + read(t, "../docs/audit.md") + strings.ReplaceAll(read(t, "../docs/dogstatsd.md"), "`dogstatsd.", "`dogstatsd_")
	for where, expr := range expressions(t, "grafana/vitrine.json") {
		for _, metric := range regexp.MustCompile(`\b(vitrine|docker|dogstatsd)_\w+`).FindAllString(expr, -1) {
			name := strings.TrimSuffix(metric, "_bucket")
			if !strings.Contains(documented, "`"+name) && !strings.Contains(documented, "`"+strings.TrimSuffix(name, "_total")+"`") {
				t.Errorf("%s: no page has a row for %s", where, metric)
			}
		}
	}
}
