package export

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"vitrine/test/wait"
)

// timed are values with times of their own, most of them odd.
func timed(now time.Time) []string {
	at := func(d time.Duration) string { return "|T" + strconv.FormatInt(now.Add(d).Unix(), 10) }
	return []string{
		"depth:1|g" + at(-90*time.Second), "depth:2|g" + at(-30*time.Second), "depth:3|g" + at(-60*time.Second),
		"orders:5|c" + at(-30*time.Second), "orders:6|c|#x:y" + at(30*24*time.Hour), "plain:1|g",
		"old:1|g" + at(-2*time.Hour), "future:1|g" + at(2*time.Hour), fmt.Sprintf("far:1|g|T%d", int64(math.MaxInt64)), "first:1|g|T1",
		"soon:1|g" + at(50*time.Second), "stale:1|g" + at(-59*time.Minute), "huge:1e308:1e308|c|T9223372036854775807",
	}
}

// TestTimedOnThePage: a gauge has its client's time, a count is part of the total.
func TestTimedOnThePage(t *testing.T) {
	now := time.Now()
	d := sent(t, nobody, timed(now)...)
	then := now.Add(-30 * time.Second).Unix()
	for accept, unit := range map[string]string{"": "000", "application/openmetrics-text;version=1.0.0": ""} {
		body := scrapeSent(t, d, accept)
		for _, want := range []string{
			fmt.Sprintf("depth 2 %d%s", then, unit), "orders_total 5", `orders_total{x="y"} 6`, "plain 1", "huge_total 1.7976931348623157e+308",
			`dogstatsd_timestamps_refused_total{origin="none"} 4`,
		} {
			if !strings.Contains(body, "\n"+want+"\n") {
				t.Errorf("%q: no line %s", accept, want)
			}
		}
		if m := regexp.MustCompile(`(?m)^soon 1 (\d{10})`).FindStringSubmatch(body); m == nil || m[1] > strconv.FormatInt(time.Now().Unix(), 10) {
			t.Errorf("%q: a value from ahead of us is shown as of %v", accept, m)
		}
		for _, name := range []string{"old", "future", "far", "first"} {
			if strings.Contains(body, "\n"+name+" ") {
				t.Errorf("%q: %s is shown", accept, name)
			}
		}
	}
	if out, code := checkMetrics(t, scrapeSent(t, d, "")); code != 0 && code != 3 { // 3: it has no taste for the names
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// TestTimedInPrometheus: a real one takes the values at their times, refuses none of the
// page for those that it does not want, and has both formats alike.
func TestTimedInPrometheus(t *testing.T) {
	t.Parallel()
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("VITRINE_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip("prometheus is not installed (scripts/setup.sh)")
	}
	now := time.Now()
	d := sent(t, nobody, timed(now)...)
	server := httptest.NewServer(Metrics(filled(), d, nil))
	defer server.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n"+
		"- {job_name: default, static_configs: [{targets: ['%[1]s']}]}\n"+
		"- {job_name: ours, honor_timestamps: false, static_configs: [{targets: ['%[1]s']}]}\n", strings.TrimPrefix(server.URL, "http://"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &wait.Buffer{}
	cmd := exec.CommandContext(t.Context(), binary, "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", "127.0.0.1:0")
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	address := ""
	if err := wait.NoError(30*time.Second, func() error {
		m := regexp.MustCompile(`Listening on" address=(\S+)`).FindStringSubmatch(log.String())
		if m == nil {
			return errors.New("it does not say where it listens")
		}
		address = m[1]
		return nil
	}); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	for _, q := range []struct{ query, want string }{
		{`up`, `1 1`},
		{`timestamp(depth{job="default"})`, strconv.FormatInt(now.Add(-30*time.Second).Unix(), 10)},
		{`depth{job="default"}`, `2`},
		{`depth{job="ours"}`, `2`},
		{`orders_total{job="default",x=""}`, `5`},
		{`plain`, `1 1`},
		{`stale{job="default"}`, ``}, // five minutes are too long ago for an instant
		{`stale{job="ours"}`, `1`},
		{`count(docker_up)`, `2`},
	} {
		if err := wait.NoError(30*time.Second, func() error {
			got, err := query(t, address, q.query)
			if err == nil && got != q.want {
				err = fmt.Errorf("%s is %q, want %q", q.query, got, q.want)
			}
			return err
		}); err != nil {
			t.Errorf("%v\n%s", err, log)
		}
	}
}

// query asks Prometheus, and returns the values.
func query(t *testing.T, address, expr string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/api/v1/query?query="+url.QueryEscape(expr), nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	b, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(b, &answer)
	}
	var out []string
	for _, r := range answer.Data.Result {
		out = append(out, fmt.Sprint(r.Value[1]))
	}
	return strings.Join(out, " "), err
}
