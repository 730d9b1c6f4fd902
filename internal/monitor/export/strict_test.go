package export

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/messages"
	"vitrine/test/statsd"
)

// reader is the reference implementation of OpenMetrics, which refuses a page for what
// Prometheus forgives. It reads pages with NUL between them.
const reader = `
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
for i, page in enumerate(sys.stdin.buffer.read().decode().split("\0")):
    try:
        n = len(list(read(page)))
        if n < 20: raise ValueError("%d families" % n)
    except Exception as e:
        print(i, e)
`

// strict has a strict reader read pages, and returns what it objects to, by the page's number.
func strict(t *testing.T, pages []string) string {
	t.Helper()
	const python = "/usr/bin/python3" // the one that has Debian's packages
	if err := exec.CommandContext(t.Context(), python, "-c", "import prometheus_client.openmetrics.parser").Run(); err != nil {
		if os.Getenv("VITRINE_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip("python3-prometheus-client is not installed (scripts/setup.sh)")
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", reader)
	cmd.Stdin = strings.NewReader(strings.Join(pages, "\x00"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

const openMetrics = "application/openmetrics-text;version=1.0.0"

// TestStrictReader: whatever senders send, a reader that takes the standard at its word takes
// the page.
func TestStrictReader(t *testing.T) {
	t.Parallel()
	pages := []string{
		scrapeSent(t, sent(t, nobody), openMetrics), scrapeSent(t, sent(t, web, everyType...), openMetrics),
		scrapeSent(t, sent(t, nobody, nasty...), openMetrics), scrapeSent(t, sent(t, nobody, timed(time.Now())...), openMetrics),
		scrapeSent(t, sent(t, nobody, "neg:-5|c", "h:-5|h", "d:-5|d", "third:1|c|@0.3", "third:1:2|h|@0.3", "third:1:2|d|@0.3", "x:1|c", "x:-3|c", "x_negative:1|c", "h_quantile:1|g"), openMetrics),
	}
	for seed := range uint64(60) {
		pages = append(pages, generated(t, seed))
	}
	if out := strict(t, pages); out != "" {
		var n int
		_, _ = fmt.Sscan(out, &n)
		t.Errorf("%s\nthe first:\n%s", out, pages[n][max(0, strings.Index(pages[n], "# HELP dogstatsd_service_check")):])
	}
}

// generated is the page after some intervals of anything.
func generated(t *testing.T, seed uint64) string {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	names := []string{
		"x", "x_total", "x_created", "x_sum", "x_count", "x_bucket", "x_max", "x_avg", "x_quantile", "x_negative", "x_negative_total", "x_info", "x_gauge",
		"x_counter", "x_summary", "x_histogram_2", "a.b", "a_b", "a-b", "up", "go_goroutines", "go_memstats_alloc_bytes", "go_memstats_alloc_bytes_total", "docker_up",
		"docker_container", "dogstatsd_contexts", "process_start_time_seconds", "1", "\u00e9", "\xff", "\"", "\\", "# HELP x", " ", "x y", "{}", "bytes", "x_bytes", "x_seconds_total", "le",
	}
	values := []string{"0", "1", "-1", "0.1", "-0.25", "1e308", "-1e308", "5e-324", "1e-7:1e7", "-3:0:4", "9007199254740993", "1.7976931348623157e308:1.7976931348623157e308", "NaN:1", "-0"}
	m := messages.New(messages.Config{Tags: webTags{}.ContainerTags})
	server := dogstatsd.New(dogstatsd.Config{}, nil, m)
	for range 1 + r.IntN(4) {
		for range 60 {
			var tags []string
			for range r.IntN(4) {
				tags = append(tags, pick(append(names, "le", "quantile", "host", "__name__", "job", "instance", "dogstatsd_series", "check", "origin", "container_name")...)+pick("", ":", ":1", ":a\\\"b", ":\xff", ":\r", ":a:b"))
			}
			more := "|#" + strings.Join(tags, ",") + pick("", "|card:high", "|card:none")
			line := pick(names...) + ":" + pick(values...) + "|" + pick("c", "g", "h", "d", "ms") + pick("", "|@0.3", "|@1e-300", "|@3", fmt.Sprintf("|T%d", time.Now().Unix()+int64(r.IntN(200))-100)) + more
			switch r.IntN(8) {
			case 0:
				line = pick(names...) + ":" + pick(names...) + "|s" + more
			case 1:
				line = "_sc|" + pick(names...) + "|" + pick("0", "1", "2", "3") + more
			case 2:
				line = "_e{1,1}:a|b" + more
			}
			o := []*dogstatsd.Origin{web, nobody, {Source: dogstatsd.SourceClient, Container: web.Container}}[r.IntN(3)]
			statsd.Try(m, o, line)
		}
		m.Flush(time.Now())
	}
	return scrapeSent(t, &DogStatsD{Latest: m.Latest, Telemetry: server.Telemetry, Examples: server.Examples}, openMetrics)
}
