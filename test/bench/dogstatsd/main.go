// Command dogstatsd measures lines per second over a Unix datagram socket:
// Vitrine's receiver with origin detection, statsd_exporter, and the bare socket, which is
// the same recvmmsg with SO_PASSCRED and no parsing. Sender and server are
// processes of their own that share the machine, so that only the ratios of one run
// mean anything. The load is 1000 contexts of 4 tags.
//
//	go run ./test/bench/dogstatsd [-rounds 3] [-lines 2000000] [-exporter PATH]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// exporterModule is the peer, and its version.
const exporterModule = "github.com/prometheus/statsd_exporter@v0.31.0"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "send":
			return send(args[1:])
		case "bare":
			return bare(args[1:])
		case "vitrine":
			return vitrine(args[1:])
		}
	}
	fs := flag.NewFlagSet("dogstatsd", flag.ContinueOnError)
	rounds := fs.Int("rounds", 3, "how often each is measured; the median counts")
	single := fs.Int("datagrams", 600_000, "lines of a run with one line a datagram")
	packed := fs.Int("lines", 4_000_000, "lines of a run with 8 KiB a datagram")
	exporter := fs.String("exporter", "", "path of statsd_exporter; it is built if empty")
	if err := fs.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "vitrine-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if *exporter == "" {
		*exporter = filepath.Join(dir, "statsd_exporter")
		build := exec.CommandContext(context.Background(), "go", "install", exporterModule)
		build.Env = append(os.Environ(), "GOBIN="+dir)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", exporterModule, err, out)
		}
	}
	fmt.Printf("%d CPUs, %s, Go %s, peer %s, median of %d runs\n", runtime.NumCPU(), kernel(), strings.TrimPrefix(runtime.Version(), "go"), exporterModule, *rounds)
	b := bench{dir: dir, exporter: *exporter}
	for _, load := range []struct {
		name  string
		bytes int
		lines int
	}{{"one line a datagram", 0, *single}, {"8 KiB a datagram", 8192, *packed}} {
		if err := b.compare(load.name, load.bytes, load.lines, *rounds); err != nil {
			return err
		}
	}
	return nil
}

func kernel() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return "Linux " + strings.TrimSpace(string(b))
}

type bench struct{ dir, exporter string }

func (b *bench) compare(name string, size, lines, rounds int) error {
	rates := map[string][]float64{}
	servers := []string{"bare", "statsd_exporter", "vitrine"}
	for range rounds {
		for _, server := range servers { // in turn, so that a busy minute hits all
			r, err := b.measure(server, size, lines)
			if err != nil {
				return fmt.Errorf("%s: %w", server, err)
			}
			rates[server] = append(rates[server], r)
		}
	}
	median := func(server string) float64 {
		slices.Sort(rates[server])
		return rates[server][len(rates[server])/2]
	}
	fmt.Printf("\n%s\n", name)
	for _, server := range servers {
		fmt.Printf("  %-16s %9.0f lines/s  (%.0f to %.0f)\n", server, median(server), rates[server][0], rates[server][rounds-1])
	}
	fmt.Printf("  vitrine / statsd_exporter %.2f, vitrine / bare socket %.2f\n",
		median("vitrine")/median("statsd_exporter"), median("vitrine")/median("bare"))
	return nil
}

// measure runs one server and one sender, until the server has all lines.
func (b *bench) measure(server string, size, lines int) (rate float64, err error) {
	path := filepath.Join(b.dir, "dsd.sock")
	_ = os.Remove(path)
	const page = "127.0.0.1:19102"
	cmd := exec.CommandContext(context.Background(), os.Args[0], server, path, strconv.Itoa(size), strconv.Itoa(lines))
	if server == "statsd_exporter" {
		cmd = exec.CommandContext(context.Background(), b.exporter,
			"--statsd.listen-udp=", "--statsd.listen-tcp=", "--statsd.listen-unixgram="+path,
			"--web.listen-address="+page, "--log.level=error")
	}
	cmd.Stderr, cmd.SysProcAttr = os.Stderr, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it ends with us, even if we are killed
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			break
		}
		if time.Now().After(end) {
			return 0, errors.New("does not listen")
		}
	}
	time.Sleep(100 * time.Millisecond) // both sides settle before the clock starts
	start := time.Now()
	sender := exec.CommandContext(context.Background(), os.Args[0], "send", path, strconv.Itoa(size), strconv.Itoa(lines))
	sender.Stderr = os.Stderr
	if err := sender.Run(); err != nil {
		return 0, fmt.Errorf("sender: %w", err)
	}
	if server == "statsd_exporter" {
		err = untilCounted("http://"+page+"/metrics", lines)
	} else {
		_, err = io.ReadFull(out, make([]byte, len(done)))
	}
	return float64(lines) / time.Since(start).Seconds(), err
}

var linesTotal = regexp.MustCompile(`(?m)^statsd_exporter_lines_total (\S+)$`)

// untilCounted asks statsd_exporter whether it has all lines. It is asked only
// once all were sent, as its answer costs it time.
func untilCounted(url string, lines int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
		if m := linesTotal.FindSubmatch(body); m != nil {
			if n, err := strconv.ParseFloat(string(m[1]), 64); err == nil && int(n) >= lines {
				return nil
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}
