package gateway

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/test/wait"
)

const retried = "POST /v1.41/containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"Image\":\"alpine\"}"

// denies has the gateway deny requests, by a policy whose epoch can be told; asked is how often that was asked.
func denies(g *rig) (asked func() int) {
	g.set(func() {
		g.epoch, g.decision = 1, policy.Decision{Diagnostics: policy.Diagnostics{Reasons: []string{"no"}}}
	})
	return func() int {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.asked
	}
}

// exchanged sends a request on a connection, and gives the answer but for its date.
func exchanged(t *testing.T, c io.ReadWriter, raw string) string {
	t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 4096)
	n, err := c.Read(p)
	if err != nil {
		t.Fatal(err)
	}
	head, tail, _ := strings.Cut(string(p[:n]), "Date: ")
	_, tail, _ = strings.Cut(tail, "\r\n")
	return head + tail
}

// TestRetriedDenialIsAnsweredAlike: as the first was, byte for byte, on any connection of that client; each is recorded, and none reaches the daemon.
func TestRetriedDenialIsAnsweredAlike(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) { t.Error("it reached the daemon") })
	asked := denies(g)
	c, other := g.dial(), g.dial()
	first := exchanged(t, c, retried)
	if !strings.HasPrefix(first, "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n") || !strings.Contains(first, "may not ContainerCreate") {
		t.Fatalf("%q", first)
	}
	for range 4 {
		if got := exchanged(t, c, retried); got != first {
			t.Errorf("%q, and %q at first", got, first)
		}
		if got := exchanged(t, other, retried); got != first {
			t.Errorf("%q on another connection", got)
		}
	}
	if n := asked(); n != 2 {
		t.Errorf("the policy was asked %d times", n)
	}
	for _, r := range g.recorded(9) {
		if r.Status != http.StatusForbidden || r.Allow || r.Operation != "ContainerCreate" || r.Caller.Principals[0] != "container:web" {
			t.Errorf("%+v", r)
		}
	}
	if g.srv.conns.count.Len() != 2 {
		t.Error("a connection was closed")
	}
}

// TestRetriedDenialIsItsContainersClosed: a connection on which nothing else was asked is closed with its container.
func TestRetriedDenialIsItsContainersClosed(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	asked := denies(g)
	for range 2 {
		exchanged(t, g.dial(), retried)
	}
	c := g.dial()
	if exchanged(t, c, retried); asked() != 2 {
		t.Fatalf("the policy was asked %d times", asked())
	}
	g.srv.CloseContainer(containerID)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("it is open")
	}
	g.srv.requests.Wait()
}

// TestRetriedByAnotherClosed: who is not the same is decided for himself, on the same connection too.
func TestRetriedByAnotherClosed(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	denies(g)
	c := g.dial()
	for range 3 {
		exchanged(t, c, retried)
	}
	g.set(func() {
		g.caller = &identity.Identity{Kind: identity.Container, Principals: []string{"container:admin"}, Door: "gateway"}
		g.decision = policy.Decision{Allow: true, Admin: true}
	})
	if got := exchanged(t, c, retried); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("%q", got)
	}
	if all := g.reached(); len(all) != 1 {
		t.Errorf("%v reached the daemon", all)
	}
}

// TestRetriedWhileNothingMayBeCarriedClosed: that comes first, as for every request.
func TestRetriedWhileNothingMayBeCarriedClosed(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {}, func(c *Config) { c.RequirePlugin = true })
	wait.Until(t, "the plugin to be asked", func() bool { now, _ := g.srv.Asked(); return now })
	denies(g)
	c := g.dial()
	for range 3 {
		exchanged(t, c, retried)
	}
	g.set(func() { g.noAsk = true })
	g.srv.up.asked.no(time.Now())
	if got := exchanged(t, c, retried); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "[plugin-not-asked]") {
		t.Errorf("%q", got)
	}
	g.recorded(3)
}

// TestRetriedWhereNothingIsKnown: without a memory each is decided.
func TestRetriedWhereNothingIsKnown(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {}, func(c *Config) { c.Denied = nil })
	asked := denies(g)
	c := g.dial()
	for range 3 {
		exchanged(t, c, retried)
	}
	if n := asked(); n != 3 {
		t.Errorf("the policy was asked %d times", n)
	}
}

// TestRetriedOfNobodyClosed: of whom nothing is known nothing is remembered.
func TestRetriedOfNobodyClosed(t *testing.T) {
	s := &Server{cfg: Config{Denied: func(*identity.Connection, []byte) *decide.Denied { return &decide.Denied{} }}}
	if s.known(&conn{secure: true}, []byte(retried)) != nil {
		t.Error("it is")
	}
}

// TestErrorsAreJSON: whatever is in a message.
func TestErrorsAreJSON(t *testing.T) {
	for c := range 256 {
		message := "a" + string([]byte{byte(c)}) + "z"
		want, err := json.Marshal(map[string]string{"message": message})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(errorBody(message)); got != string(want)+"\n" {
			t.Errorf("%q is told as %q, want %q", message, got, want)
		}
	}
}
