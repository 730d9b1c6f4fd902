package messages

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"

	"vitrine/internal/caller/attest"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/unixsocket"
	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/sender"
	"vitrine/test/wait"
)

// TestMain makes the test program a client as well: Datadog's own, in a process
// and with a user of its own.
func TestMain(m *testing.M) {
	if address := os.Getenv("CLIENT_SENDS_TO"); address != "" {
		if err := useClient(address); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const rounds = 200

// useClient sends something of everything. Its sums are in TestDatadogClient.
func useClient(address string) error {
	c, err := statsd.New(address, statsd.WithTags([]string{"global:tag"}), statsd.WithNamespace("app."),
		statsd.WithoutTelemetry(), statsd.WithoutClientSideAggregation(), statsd.WithSenderQueueSize(8192),
		statsd.WithWriteTimeout(5*time.Second))
	if err != nil {
		return err
	}
	var first error
	ok := func(err error) {
		if first == nil {
			first = err
		}
	}
	for i := range rounds {
		ok(c.Count("count", int64(i), []string{"k:v"}, 1))
		ok(c.Incr("incr", nil, 1))
		ok(c.Gauge("gauge", float64(i), nil, 1))
		ok(c.Histogram("histogram", float64(i), nil, 1))
		ok(c.Distribution("distribution", float64(i)/2, nil, 1))
		ok(c.TimeInMilliseconds("timing", float64(i), nil, 1))
		ok(c.Set("set", fmt.Sprint(i%50), nil, 1))
	}
	at := time.Unix(1656581400, 0)
	ok(c.CountWithTimestamp("timed", 7, nil, 1, at))
	ok(c.GaugeWithTimestamp("timed", 8, nil, 1, at))
	event := statsd.NewEvent("a title", "a\ntext | with: things")
	event.AlertType, event.Priority, event.AggregationKey = statsd.Error, statsd.Low, "key"
	ok(c.Event(event))
	check := statsd.NewServiceCheck("db", statsd.Critical)
	check.Message = "line\nm: line"
	ok(c.ServiceCheck(check))
	ok(c.Flush())
	ok(c.Close())
	return first
}

// hostAlone attests all processes as the host's.
type hostAlone struct{}

func (hostAlone) Changed() <-chan struct{} { return nil }

func (hostAlone) Group(*peercred.Peer) string { return "" }
func (hostAlone) Attest(context.Context, *peercred.Peer) attest.Attestation {
	return attest.Attestation{Kind: attest.Host}
}

func (hostAlone) Claimed(sender.Claim) attest.Attestation { return attest.Attestation{} }

// TestDatadogClient holds the sums of everything that Datadog's client sends,
// on each transport, against what it was told to send.
func TestDatadogClient(t *testing.T) {
	for _, transport := range []string{"unixgram", "unixstream", "udp"} {
		for _, uid := range []uint32{0, 65534} {
			t.Run(fmt.Sprintf("%s,uid=%d", transport, uid), func(t *testing.T) {
				if uid != uint32(os.Getuid()) && os.Getuid() != 0 {
					if os.Getenv("VITRINE_REQUIRE") != "" {
						t.Fatal("needs root")
					}
					t.Skip("needs root")
				}
				dir, err := os.MkdirTemp("", "dsd") //nolint:usetesting // t.TempDir is closed to other users
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = os.RemoveAll(dir) })
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				client(t, transport, uid, dir)
			})
		}
	}
}

func client(t *testing.T, transport string, uid uint32, dir string) {
	a := New(Config{})
	srv := dogstatsd.New(dogstatsd.Config{
		Datagram: unixsocket.File{Path: filepath.Join(dir, "dsd.sock")}, Stream: unixsocket.File{Path: filepath.Join(dir, "stream.sock")},
		UDP: "127.0.0.1:0", ReceiveBuffer: 4 << 20,
	}, hostAlone{}, a)
	if err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.Serve(ctx); err != nil {
			t.Error(err)
		}
	})
	defer wg.Wait()
	defer cancel()
	address := map[string]string{
		"unixgram": "unixgram://" + dir + "/dsd.sock", "unixstream": "unixstream://" + dir + "/stream.sock", "udp": srv.UDPAddr(),
	}[transport]
	exe := filepath.Join(dir, "client")
	if b, err := os.ReadFile(os.Args[0]); err != nil || os.WriteFile(exe, b, 0o755) != nil {
		t.Fatal("copy the client")
	}
	cmd := exec.Command(exe)
	cmd.Env = []string{"CLIENT_SENDS_TO=" + address, "GORACE=atexit_sleep_ms=0"} // the race detector waits a second else
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, NoSetGroups: os.Getuid() != 0}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const messages = rounds*7 + 2 + 1 + 1
	wait.Until(t, "all messages are processed", func() bool { return processed(srv) >= messages })
	check(t, a.Flush(time.Now()))
	if n := processed(srv); n != messages {
		t.Errorf("%v messages of %d", n, messages)
	}
	for _, r := range srv.Examples() {
		t.Errorf("refused: %+v", r)
	}
}

func processed(srv *dogstatsd.Server) (n float64) {
	for _, s := range srv.Telemetry() {
		if s.Name == "dogstatsd.processed" && slices.Contains(s.Tags, "state:ok") {
			n += s.Value
		}
	}
	return n
}

func check(t *testing.T, s *Snapshot) {
	t.Helper()
	sum := float64(rounds*(rounds-1)) / 2
	last := fmt.Sprint(rounds - 1)
	expect(t, s,
		fmt.Sprintf("count app.count{global:tag,k:v} %v total %v", sum, sum),
		"distribution app.distribution{global:tag} "+fmt.Sprintf("count %d sum %v min 0 max %v total %d", rounds, sum/2, float64(rounds-1)/2, rounds),
		"gauge app.gauge{global:tag} "+last,
		"histogram app.histogram{global:tag} "+fmt.Sprintf("count %d sum %v min 0 max %s total %d", rounds, sum, last, rounds),
		fmt.Sprintf("count app.incr{global:tag} %d total %d", rounds, rounds),
		"set app.set{global:tag} 50",
		"count app.timed{global:tag} 0 total 7", // the gauge of that name is too old to be shown
		"histogram app.timing{global:tag} "+fmt.Sprintf("count %d sum %v min 0 max %s total %d", rounds, sum, last, rounds),
	)
	for _, x := range s.Series {
		if strings.HasSuffix(x.Name, ".histogram") && math.Abs(x.Quantile(0.95)-190) > 2 {
			t.Errorf("95th percentile %v", x.Quantile(0.95))
		}
	}
	if len(s.Events) != 1 || s.Events[0].Title != "a title" || s.Events[0].Text != "a\ntext | with: things" || s.Events[0].AggregationKey != "key" || !s.Events[0].LowPriority || s.Events[0].Alert != dogstatsd.AlertError {
		t.Errorf("events: %+v", s.Events)
	}
	if len(s.Checks) != 1 || s.Checks[0].Name != "db" || s.Checks[0].Status != dogstatsd.StatusCritical || s.Checks[0].Message != "line\nm: line" {
		t.Errorf("checks: %+v", s.Checks)
	}
}
