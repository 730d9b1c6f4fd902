package lifecycle

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// scratch is a folder for what is made once; TestMain removes it.
var scratch string

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "vitrine-lifecycle-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	// These tests wait more than they work: for dockerd's timeouts, and for ours.
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// named is the daemon.json that makes dockerd ask the plugin.
func named() map[string]any {
	return map[string]any{"authorization-plugins": []string{"vitrine"}}
}

// tell rewrites daemon.json and sends dockerd a SIGHUP.
func tell(t *testing.T, e *engine.Engine, daemonJSON map[string]any) {
	t.Helper()
	must(t, e.WriteDaemonJSON(daemonJSON))
	must(t, e.Hangup())
}

// nobody is a uid without any role.
const nobody = 4711

// answer is what a caller saw.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, strings.TrimSpace(a.body)) }

// get asks with a GET request.
func get(ctx context.Context, c *http.Client, path string, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, nil)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(body)}, err
}

// mustGet asks on a socket and expects an answer: dockerd asks a plugin that is dead for 15 s.
func mustGet(t *testing.T, socket, path string, header ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait.Patience(30*time.Second))
	defer cancel()
	a, err := get(ctx, engine.SocketClient(socket), path, header...)
	if err != nil {
		t.Fatalf("GET %s on %s: %v", path, socket, err)
	}
	return a
}

// expect asks on a socket and compares status and a part of the body.
func expect(t *testing.T, socket, path string, status int, part string) {
	t.Helper()
	if a := mustGet(t, socket, path); a.status != status || !strings.Contains(a.body, part) {
		t.Errorf("GET %s on %s: %s, want %d and %q", path, socket, a, status, part)
	}
}

// clientOf is an HTTP client whose connections are the user's.
func clientOf(u *vitrine.User, socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return u.Dial(socket) },
	}}
}

// probe is refused by the plugin to everybody, whatever the policy; dockerd by
// itself does not mind.
const probe = "/_ping?vitrine=1&vitrine=2"

// asked reports whether dockerd asks the plugin.
func asked(t *testing.T, e *engine.Engine) bool {
	t.Helper()
	a := mustGet(t, e.Socket, probe)
	if a.status != http.StatusForbidden && a.status != http.StatusOK {
		t.Fatalf("the probe was answered %s", a)
	}
	return a.status == http.StatusForbidden
}

func eventuallyAsked(t *testing.T, e *engine.Engine, want bool) {
	t.Helper()
	status := http.StatusOK
	if want {
		status = http.StatusForbidden
	}
	eventually(t, 10*time.Second, fmt.Sprintf("dockerd to ask the plugin: %v", want), func() error {
		if a := mustGet(t, e.Socket, probe); a.status != status { // anything else while dockerd or the plugin starts
			return fmt.Errorf("answered %s", a)
		}
		return nil
	})
}

// eventually tries f until it gives nil.
func eventually(t *testing.T, limit time.Duration, what string, f func() error) {
	t.Helper()
	if err := wait.NoError(limit, f); err != nil {
		t.Fatalf("waited %s for %s: %v", limit, what, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// watcher sends dockerd the probe all the while.
type watcher struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu        sync.Mutex
	decided   int // refused by the plugin
	undecided int // answered by dockerd alone
	failed    int // not answered, or answered that the plugin could not be asked
	others    []string
	// Between them nothing was decided: the first undecided one had been answered, and the last one had not been asked.
	first, last time.Time
}

// watch begins to watch; it ends with the test at the latest.
func watch(t *testing.T, e *engine.Engine) *watcher {
	ctx, cancel := context.WithCancel(t.Context())
	w := &watcher{cancel: cancel}
	client := e.Client()
	w.done.Go(func() {
		for ctx.Err() == nil {
			began := time.Now()
			a, err := get(ctx, client, probe)
			w.count(began, a, err)
			time.Sleep(2 * time.Millisecond)
		}
	})
	t.Cleanup(w.stop)
	return w
}

func (w *watcher) count(began time.Time, a answer, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil, a.status == http.StatusInternalServerError:
		w.failed++
	case a.status == http.StatusForbidden:
		w.decided++
	case a.status == http.StatusOK:
		w.undecided++
		w.last = began
		if w.first.IsZero() {
			w.first = time.Now()
		}
	default:
		w.others = append(w.others, a.String())
	}
}

func (w *watcher) stop() {
	w.cancel()
	w.done.Wait()
}

// finish waits for another decision, and stops.
func (w *watcher) finish(t *testing.T) {
	t.Helper()
	count := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.decided
	}
	before := count()
	eventually(t, 10*time.Second, "another decision", func() error {
		if count() == before {
			return errors.New("none")
		}
		return nil
	})
	w.stop()
}

// closed stops watching, and fails the test if anything passed undecided.
func (w *watcher) closed(t *testing.T, when string) {
	t.Helper()
	w.finish(t)
	if w.undecided > 0 || len(w.others) > 0 {
		t.Errorf("%s: %d requests were decided, %d were not, others were answered %q", when, w.decided, w.undecided, w.others)
	}
}

// legacy starts an engine and the plugin beside it.
func legacy(t *testing.T, o vitrine.Options) *vitrine.Process {
	t.Helper()
	t.Parallel()
	o.Engine = engine.Start(t, engine.Options{})
	return vitrine.Start(t, o)
}

// legacyNamed is legacy, and dockerd asks it.
func legacyNamed(t *testing.T, o vitrine.Options) *vitrine.Process {
	t.Helper()
	p := legacy(t, o)
	tell(t, p.Engine, named())
	eventuallyAsked(t, p.Engine, true)
	return p
}

// alarm is what the plugin says of being asked.
type alarm struct {
	metric, health string
	failing        bool
}

// alarmAt asks the admin socket.
func alarmAt(admin string) (alarm, error) {
	h, err := vitrine.HealthAt(admin)
	if err != nil {
		return alarm{}, err
	}
	metrics, err := vitrine.MetricsAt(admin)
	return alarm{metric(metrics, "vitrine_plugin_asked"), h.Checks["plugin"], h.Status != "ok"}, err
}

// rings waits until the alarm rings by metric, health and log, for at most 10 s
// since it had reason to.
func rings(t *testing.T, admin string, since time.Time, log func() string) {
	t.Helper()
	eventually(t, 10*time.Second, "the alarm", func() error {
		a, err := alarmAt(admin)
		if err != nil {
			return err
		}
		if a.metric != "0" || !a.failing || !strings.Contains(a.health, "dockerd does not ask the plugin") {
			return fmt.Errorf("metric %s, health %q", a.metric, a.health)
		}
		if !strings.Contains(log(), "dockerd does not ask the authorization plugin") {
			return errors.New("nothing in the log")
		}
		return nil
	})
	took := time.Since(since).Round(time.Millisecond)
	if t.Logf("the alarm rang after %s", took); took > wait.Patience(10*time.Second) {
		t.Errorf("the alarm rang after %s only", took)
	}
}

// silent waits until the alarm has cleared.
func silent(t *testing.T, admin string) {
	t.Helper()
	eventually(t, 10*time.Second, "the alarm to clear", func() error {
		a, err := alarmAt(admin)
		if err == nil && (a.metric != "1" || a.health != "ok") {
			err = fmt.Errorf("metric %s, health %q", a.metric, a.health)
		}
		return err
	})
}

// metric is the value of a metric without labels, "" if there is none.
func metric(metrics, name string) string {
	for line := range strings.Lines(metrics) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
