package hostile

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

const policyData = `
bindings:
  admin: ["unix:root", "local"]
  look: ["uid:4201", "uid:4202", "uid:4203", "uid:4204", "uid:4205", "label:vitrine.role=look"]
`

// A bystander has nothing to do with what goes on, and must not notice it.
const bystander = 4205

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(shared.Run(m))
}

// shared is the Engine of those tests that do not configure it.
var shared = engine.Shared{Prepare: func(e *engine.Engine) error {
	return errors.Join(e.ImportBusybox(), e.ImportImage("curl:1", "/usr/bin/curl"))
}}

// World is an Engine and our process in front of it.
type world struct {
	*testing.T
	e     *engine.Engine
	p     *vitrine.Process
	other *http.Client // the bystander's
}

// newWorld starts a gateway alone on the shared Engine.
func newWorld(t *testing.T, args ...string) *world {
	t.Helper()
	return startWorld(t, shared.For(t), true, args...)
}

// newTicketWorld starts an Engine that asks our plugin.
func newTicketWorld(t *testing.T, args ...string) *world {
	t.Helper()
	e := engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	w := startWorld(t, e, false, args...)
	w.p.Plug(nil)
	return w
}

func startWorld(t *testing.T, e *engine.Engine, alone bool, args ...string) *world {
	t.Helper()
	w := &world{T: t, e: e}
	w.p = vitrine.Start(t, vitrine.Options{Engine: e, Data: policyData, Alone: alone, Args: append(args, "--log-level", "info")})
	w.other = w.client(vitrine.As(t, bystander))
	return w
}

// limits are flags for --limits.
func limits(pairs ...string) (flags []string) {
	for _, pair := range pairs {
		flags = append(flags, "--limits", pair)
	}
	return flags
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// client asks the gateway as a user, on a new connection each time.
func (w *world) client(u *vitrine.User) *http.Client {
	return &http.Client{Timeout: wait.Patience(20 * time.Second), Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return u.Dial(w.p.Socket) },
	}}
}

// served tells that the bystander is answered as ever, in spite of everything
// within the client's time.
func (w *world) served() {
	w.Helper()
	for _, path := range []string{"/_ping", "/containers/json"} {
		if err := ask(w.other, path); err != nil {
			w.Fatalf("another caller: %v", err)
		}
	}
}

// ask wants 200.
func ask(c *http.Client, path string) error {
	res, err := c.Get("http://docker" + path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", path, res.Status, text)
	}
	return err
}

// dial connects to a socket as root.
func (w *world) dial(socket string) *net.UnixConn {
	w.Helper()
	c, err := net.Dial("unix", socket)
	w.check(err)
	w.Cleanup(func() { _ = c.Close() })
	w.check(c.SetDeadline(time.Now().Add(wait.Patience(30 * time.Second))))
	return c.(*net.UnixConn)
}

// send writes bytes as they are; the other side may stop reading before their end.
func send(c net.Conn, bytes string) { _, _ = io.WriteString(c, bytes) }

// reply is the answer to the bytes: its status, 0 if there was none before the
// end, and the Engine's kind of message.
func reply(c net.Conn) (status int, message string) {
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	var body struct{ Message string }
	if json.Unmarshal(text, &body) != nil || body.Message == "" {
		return res.StatusCode, string(text)
	}
	return res.StatusCode, body.Message
}

// metric reads one value of /metrics.
func (w *world) metric(name string) float64 {
	w.Helper()
	for line := range strings.Lines(w.p.Metrics()) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			w.check(err)
			return v
		}
	}
	w.Fatalf("there is no metric %s", name)
	return 0
}

// usage is what a caller may leave behind.
type usage struct{ goroutines, files, memory float64 }

func (u usage) String() string {
	return fmt.Sprintf("%.0f goroutines, %.0f descriptors, %.1f MiB", u.goroutines, u.files, u.memory/(1<<20))
}

// bounded complains of more memory than there was, and what may be needed on top.
func (u usage) bounded(t *testing.T, before usage, more float64) {
	t.Helper()
	if vitrine.Race {
		more *= 8
	}
	if grown := u.memory - before.memory; grown > more {
		t.Errorf("memory grew by %.1f MiB, want at most %.1f", grown/(1<<20), more/(1<<20))
	}
}

func (w *world) usage() usage {
	w.Helper()
	return usage{w.metric("go_goroutines"), w.metric("process_open_fds"), w.metric("process_resident_memory_bytes")}
}

// leftNothing waits until goroutines and descriptors are what they were; idle
// connections to dockerd, of which a few are kept, are no leak.
func (w *world) leftNothing(before usage) {
	w.Helper()
	const kept = 32
	w.p.Eventually("goroutines and descriptors to go", func() error {
		now := w.usage()
		if open := w.metric("vitrine_gateway_connections"); open > 0 {
			return fmt.Errorf("%.0f connections are open", open)
		}
		if streams := w.metric("vitrine_gateway_streams"); streams > 0 {
			return fmt.Errorf("%.0f requests are being forwarded", streams)
		}
		if now.goroutines > before.goroutines+kept || now.files > before.files+kept {
			return fmt.Errorf("%s, was %s", now, before)
		}
		return nil
	})
}
