package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/ticket"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

func TestNamedInDaemonJSONItIsAskedThroughHangupsAndRestarts(t *testing.T) {
	p := legacyNamed(t, vitrine.Options{})
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"a SIGHUP", func() error { return hangups(p.Engine, 1) }},
		{"several SIGHUPs", func() error { return hangups(p.Engine, 3) }},
		{"a restart of dockerd", p.Engine.Restart},
		{"a crash of dockerd", func() error {
			if err := p.Engine.Kill(); err != nil {
				return err
			}
			return p.Engine.Resume()
		}},
		{"a restart of the plugin", func() error { p.Stop(); p.Run(); return nil }},
	} {
		before := p.Log()
		w := watch(t, p.Engine)
		must(t, step.do())
		p.WaitReady()
		if !asked(t, p.Engine) {
			t.Errorf("after %s dockerd does not ask", step.name)
		}
		silent(t, p.Admin)
		w.closed(t, step.name)
		expect(t, p.Socket, "/containers/json", 200, "[")
		expect(t, p.Engine.Socket, "/containers/json", 200, "[")
		if log := strings.TrimPrefix(p.Log(), before); strings.Contains(log, "does not ask") {
			t.Errorf("%s rang the alarm:\n%s", step.name, log)
		}
	}
}

// hangups sends SIGHUPs, one after the other.
func hangups(e *engine.Engine, n int) error {
	for range n {
		if err := e.Hangup(); err != nil {
			return err
		}
	}
	return nil
}

func TestNamedByAFlagItIsDroppedByAHangupAndRings(t *testing.T) {
	p := legacy(t, vitrine.Options{Args: []string{"--require-plugin", "true"}})
	// Nobody has told dockerd yet.
	rings(t, p.Admin, time.Now(), p.Log)
	expect(t, p.Socket, "/containers/json", http.StatusServiceUnavailable, "require_plugin")

	p.Engine.SetFlags("--authorization-plugin=vitrine")
	must(t, p.Engine.Restart())
	if !asked(t, p.Engine) {
		t.Fatal("dockerd does not ask the plugin of its flag")
	}
	silent(t, p.Admin)
	expect(t, p.Socket, "/containers/json", 200, "[")

	began := time.Now()
	must(t, hangups(p.Engine, 1))
	rings(t, p.Admin, began, p.Log) // without traffic
	if asked(t, p.Engine) {
		t.Error("dockerd asks after all: this test tests nothing")
	}
	refused := mustGet(t, p.Socket, "/containers/json")
	if refused.status != http.StatusServiceUnavailable || refused.header.Get("Retry-After") == "" {
		t.Errorf("the gateway answers %s, %v", refused, refused.header)
	}

	must(t, p.Engine.Restart())
	silent(t, p.Admin)
	expect(t, p.Socket, "/containers/json", 200, "[")
}

func TestDroppedFromDaemonJSONRingsUntilItIsNamedAgain(t *testing.T) {
	p := legacyNamed(t, vitrine.Options{})
	silent(t, p.Admin)
	began := time.Now()
	tell(t, p.Engine, nil)
	rings(t, p.Admin, began, p.Log)
	expect(t, p.Socket, "/containers/json", 200, "[") // the gateway decides on

	tell(t, p.Engine, named())
	silent(t, p.Admin)
	p.Eventually("the log to say that it is over", func() error {
		if last := lastLine(p.Log(), "the authorization plugin"); !strings.Contains(last, "dockerd asks") {
			return errors.New(last)
		}
		return nil
	})
}

func lastLine(log, part string) string {
	last := ""
	for line := range strings.Lines(log) {
		if strings.Contains(line, part) {
			last = line
		}
	}
	return last
}

// Who asks while the plugin is dead waits, and is refused by dockerd in the end.
func TestKilledPluginAnswersNobodyClosed(t *testing.T) {
	p := legacyNamed(t, vitrine.Options{})
	p.Kill()
	if a := mustGet(t, p.Engine.Socket, "/containers/json"); a.status != http.StatusInternalServerError || !strings.Contains(a.body, "vitrine") {
		t.Errorf("dockerd without its plugin: %s", a)
	}
	if _, err := get(t.Context(), engine.SocketClient(p.Socket), "/containers/json"); err == nil {
		t.Error("the gateway answers though its process is dead")
	}

	// One that comes back in time answers those who wait.
	w := watch(t, p.Engine)
	waiting := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), wait.Patience(30*time.Second))
		defer cancel()
		a, err := get(ctx, p.Engine.Client(), "/volumes")
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("answered %s", a)
		}
		waiting <- err
	}()
	select {
	case err := <-waiting:
		t.Fatalf("a request was answered without the plugin: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	p.Run()
	p.WaitReady()
	if err := <-waiting; err != nil {
		t.Errorf("the request that waited: %v", err)
	}
	w.closed(t, "kill and start")
	p.Eventually("the record of it", func() error {
		for _, r := range p.Audit() {
			if r.Operation == "VolumeList" && r.Door == "plugin" && r.Allow {
				return nil
			}
		}
		return fmt.Errorf("none among %d", len(p.Audit()))
	})
	expect(t, p.Socket, "/containers/json", 200, "[")
}

// A ticket lives in memory: of one that was out when the plugin was killed, the
// next one knows nothing.
func TestTicketDoesNotOutliveItsProcessClosed(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Options{})
	tickets := between(t, e)
	p := vitrine.Start(t, vitrine.Options{Engine: e, Args: []string{"--upstream", "unix:///run/between.sock"}})
	tell(t, e, named())
	eventuallyAsked(t, e, true)

	ctx, cancel := context.WithTimeout(t.Context(), wait.Patience(30*time.Second))
	defer cancel()
	gone := make(chan error, 1)
	go func() {
		_, err := get(ctx, engine.SocketClient(p.Socket), "/volumes")
		gone <- err
	}()
	old := <-tickets
	p.Kill()
	if err := <-gone; err == nil {
		t.Error("the request was answered though the gateway is dead")
	}
	p.Run()
	p.WaitReady()
	if a := mustGet(t, e.Socket, "/volumes", ticket.Header, old); a.status != http.StatusForbidden || !strings.Contains(a.body, "differential") {
		t.Errorf("with the ticket of a process that is dead: %s", a)
	}
	expect(t, e.Socket, "/volumes", 200, "Volumes") // without one
	if n := metric(p.Metrics(), "vitrine_differential_total"); n != "1" {
		t.Errorf("vitrine_differential_total = %s, want 1", n)
	}
}

// between stands between the gateway and dockerd, holds whoever asks for
// volumes, and tells the ticket.
func between(t *testing.T, e *engine.Engine) <-chan string {
	t.Helper()
	tickets := make(chan string, 1)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	proxy.Transport = e.Client().Transport
	proxy.FlushInterval = -1
	l, err := net.Listen("unix", e.Path("/run/between.sock"))
	must(t, err)
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/volumes" {
			tickets <- r.Header.Get(ticket.Header)
			<-r.Context().Done()
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return tickets
}
