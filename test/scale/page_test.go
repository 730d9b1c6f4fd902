package scale

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"vitrine/test/browser"
	"vitrine/test/monitor"
	"vitrine/test/wait"
)

// BenchmarkPage is what an open page costs with 500 containers, over 20 seconds: the monitor's time as a part of a core, without a reader, and with one;
// what is sent in a frame; and how long a browser's drawing takes, at the 99th percentile and at most. docs/performance.md quotes it.
func BenchmarkPage(b *testing.B) {
	const containers = 500
	h, binary := newHost(b, containers), monitor.Build(b)
	cmd, address := h.run(b, binary, 16384)
	wait.Until(b, "all containers are known", func() bool {
		return strings.Contains(get(b, "http://"+address+"/api/state"), fmt.Sprintf(`"running":%d`, containers))
	})
	b.ReportMetric(h.cost(b, cmd.Process.Pid, 20*time.Second), "%core-idle")

	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+address+"/api/live", nil)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	longest := make(chan int, 1)
	go func() {
		lines, most := bufio.NewReaderSize(resp.Body, 1<<20), 0
		for {
			line, err := lines.ReadString('\n')
			if most = max(most, len(line)); err != nil {
				longest <- most
				return
			}
		}
	}()
	b.ReportMetric(h.cost(b, cmd.Process.Pid, 20*time.Second), "%core-watched")
	_ = resp.Body.Close()
	b.ReportMetric(float64(<-longest), "B/frame")

	browser.Require(b)
	chromium := browser.Open(b)
	chromium.Do(nil, "open", browser.Args{"url": "http://" + address + "/"})
	chromium.See(".found", fmt.Sprintf("%d containers", containers))
	time.Sleep(20 * time.Second) // what is measured
	var frames []float64
	chromium.Do(&frames, "frames", nil)
	b.ReportMetric(float64(len(frames)), "frames")
	b.ReportMetric(frames[len(frames)*99/100], "ms/frame-p99")
	b.ReportMetric(frames[len(frames)-1], "ms/frame-max")
	b.ReportMetric(0, "ns/op")
}

// cost is the part of a core that a process has taken in a time, in percent.
func (h *host) cost(b *testing.B, pid int, in time.Duration) float64 {
	b.Helper()
	used := func() float64 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			b.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields, ticks := strings.Fields(rest), 0
		for _, f := range fields[11:13] { // utime, stime
			n, err := strconv.Atoi(f)
			if err != nil {
				b.Fatal(err)
			}
			ticks += n
		}
		return float64(ticks) / 100
	}
	before, began := used(), time.Now()
	time.Sleep(in)
	return 100 * (used() - before) / time.Since(began).Seconds()
}
