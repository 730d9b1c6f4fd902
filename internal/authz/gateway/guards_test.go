package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"vitrine/internal/caller/identity"
	"vitrine/test/wait"
)

// Most of what is asked here is hidden elsewhere by a guard behind it.

// TestNothingFollowsWhatCannotBeReadClosed: where one request ends and the next begins is then nobody's to say; nor who asks it, where
// no descriptor was left to look.
func TestNothingFollowsWhatCannotBeReadClosed(t *testing.T) {
	const then = "GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n"
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") })
	answer := g.raw("GET /nowhere HTTP/1.1\r\nHost: d\r\n\r\n" + then)
	if n := strings.Count(answer, "HTTP/1.1 "); n != 1 || !strings.Contains(answer, "Connection: close\r\n") || !strings.Contains(answer, "Content-Type: application/json\r\n") {
		t.Errorf("%d answers: %s", n, answer)
	}
	g.set(func() {
		g.caller = &identity.Identity{Kind: identity.Unknown, Door: "gateway", Err: fmt.Errorf("look: %w", syscall.EMFILE)}
		g.decision.Allow, g.decision.Admin = false, false
	})
	answer = g.raw(then + then)
	if n := strings.Count(answer, "HTTP/1.1 "); n != 1 || !strings.Contains(answer, "Connection: close\r\n") || !strings.Contains(answer, "Retry-After: 1\r\n") {
		t.Errorf("%d answers: %s", n, answer)
	}
	if got := g.reached(); len(got) > 0 {
		t.Errorf("it reached the daemon: %q", got)
	}
}

// TestPluginThatIsRequiredNeedsTicketsClosed: else nobody could tell whether it is asked.
func TestPluginThatIsRequiredNeedsTicketsClosed(t *testing.T) {
	g := newRig(t)
	cfg := g.config()
	cfg.Tickets, cfg.RequirePlugin = nil, true
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "require_plugin") {
		t.Error(err)
	}
}

// TestWhatOnlyAHandlerAnswersClosed: of nothing else it follows that dockerd has asked its plugins, or not.
func TestWhatOnlyAHandlerAnswersClosed(t *testing.T) {
	for status, want := range map[int]bool{101: true, 199: false, 200: true, 299: true, 300: false, 301: false, 304: true, 403: false, 500: false} {
		if fromHandler(status) != want {
			t.Errorf("%d: not %v", status, want)
		}
	}
}

// TestNothingIsKeptOfWhatHasEnded: neither of requests nor of containers whose connections are closed.
func TestNothingIsKeptOfWhatHasEnded(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") })
	g.raw("GET /containers/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
	wait.Until(t, "all to be forgotten", func() bool {
		g.srv.conns.mu.Lock()
		defer g.srv.conns.mu.Unlock()
		g.srv.tasks.mu.Lock()
		defer g.srv.tasks.mu.Unlock()
		return len(g.srv.conns.open) == 0 && len(g.srv.conns.byContainer) == 0 && len(g.srv.tasks.open) == 0
	})
}
