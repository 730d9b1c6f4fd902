package gateway

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/ticket"
	"vitrine/internal/caller/identity"
	"vitrine/internal/kernel/unixsocket"
	"vitrine/test/long"
	"vitrine/test/wait"
)

func TestMain(m *testing.M) {
	long.AtATime(8)
	// net/http sleeps half a second before it closes on a client that is still sending.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const containerID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// rig is a gateway on real Unix sockets, in front of a fake daemon, with fakes
// of everything that decides.
type rig struct {
	t        testing.TB
	dir      string
	sock     string
	upstream string
	srv      *Server
	tickets  *ticket.Store
	steps    *decide.Steps
	stop     context.CancelFunc

	mu       sync.Mutex
	caller   *identity.Identity
	decision policy.Decision
	input    *policy.Input // of the last decision
	records  []audit.Record
	epoch    uint64   // of the policy
	asked    int      // decisions
	account  string   // of the last request's connection
	seen     []string // "METHOD URI" of what reached the daemon, pings left out
	noAsk    bool     // the daemon does not ask its plugin
	own      int      // how many of the requests, pings too, were the gateway's own
	stopping bool     // the gateway may have given up on a request that the daemon is about to see
}

func (g *rig) Identify(_ context.Context, c *identity.Connection) *identity.Identity {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.account = c.Account
	return g.caller
}

func (g *rig) ContainerPrincipals(context.Context, string) ([]string, error) { return nil, nil }

func (g *rig) Decide(_ context.Context, in *policy.Input) policy.Decision {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.input = in
	g.asked++
	return g.decision
}

func (g *rig) Epoch() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.epoch
}

func (g *rig) record(r audit.Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.records = append(g.records, r)
}

func (g *rig) forget(audit.Record) {}

func (g *rig) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

// asks is what dockerd does with a request before its handler runs: it asks
// the plugin, which takes the ticket and compares.
func (g *rig) asks(method, uri, header string, body []byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if uri != "/_ping" {
		g.seen = append(g.seen, method+" "+uri)
	}
	if g.noAsk {
		return true
	}
	e, ok := g.tickets.Take(header)
	if !ok && g.stopping {
		return false
	}
	if !ok {
		g.t.Errorf("%s %s reached the daemon with the ticket %q", method, uri, header)
		return false
	}
	if e.Self {
		g.own++
	}
	if err := e.Check(method, uri, body); err != nil {
		g.t.Errorf("%s %s: %v", method, uri, err)
		return false
	}
	return true
}

func (g *rig) reached() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.seen...)
}

// recorded waits for the audit records; there must never be more than n.
func (g *rig) recorded(n int) []audit.Record {
	g.t.Helper()
	var got []audit.Record
	wait.Until(g.t, "audit records", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		got = append([]audit.Record(nil), g.records...)
		return len(got) >= n
	})
	if len(got) != n {
		g.t.Errorf("%d audit records, want %d: %+v", len(got), n, got)
	}
	return got
}

type option func(*Config)

// startHTTP runs a gateway in front of a daemon that is an HTTP server.
func startHTTP(t testing.TB, daemon http.HandlerFunc, options ...option) *rig {
	t.Helper()
	g := newRig(t)
	l := listenUnix(t, g.upstream)
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body []byte
		if r.Header.Get("Content-Type") == "application/json" {
			body, _ = io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(body)))
		}
		if !g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), body) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if r.RequestURI == "/_ping" && r.Method != http.MethodHead { // by which Docker's own client asks for the version
			_, _ = io.WriteString(w, "OK")
			return
		}
		daemon(w, r)
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	g.run(options...)
	return g
}

// startRaw runs a gateway in front of a daemon that sees the bytes. serve is
// called for each connection after its first head was read; not for pings.
func startRaw(t testing.TB, serve func(g *rig, c *net.UnixConn, br *bufio.Reader, r *http.Request), options ...option) *rig {
	t.Helper()
	g := newRig(t)
	l := listenUnix(t, g.upstream)
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { _ = l.Close() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				br := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					if r.RequestURI != "/_ping" {
						serve(g, c.(*net.UnixConn), br, r)
						return
					}
					g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), nil)
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
				}
			})
		}
	})
	g.run(options...)
	return g
}

func newRig(t testing.TB) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "gw") //nolint:usetesting // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &rig{
		t: t, dir: dir, sock: filepath.Join(dir, "gw.sock"), upstream: filepath.Join(dir, "docker.sock"), tickets: ticket.NewStore(),
		caller: &identity.Identity{
			Kind: identity.Container, Principals: []string{"container:web"}, Door: "gateway",
			Container: &identity.ContainerInfo{ID: containerID, Name: "web"},
		},
		decision: policy.Decision{Allow: true, Admin: true},
	}
}

func (g *rig) config() Config {
	g.steps = decide.New(decide.Options{Identifier: g, Policy: g, Record: g.record})
	return Config{
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", g.upstream)
		},
		Upstream: g.upstream, Tickets: g.tickets, Logger: slog.New(slog.DiscardHandler),
		Authorizer: g.steps, StillAllowed: g.steps.StillAllowed, Denied: g.steps.Denied,
	}
}

// run starts the gateway and waits until it has seen the daemon.
func (g *rig) run(options ...option) {
	g.t.Helper()
	g.start(options...)
	wait.Until(g.t, "the gateway to see the daemon", g.srv.Ready)
}

func (g *rig) start(options ...option) {
	g.t.Helper()
	cfg := g.config()
	for _, o := range options {
		o(&cfg)
	}
	if len(cfg.Listeners) == 0 {
		l, err := unixsocket.Listen(unixsocket.File{Path: g.sock, Mode: 0o666, GID: -1})
		if err != nil {
			g.t.Fatal(err)
		}
		cfg.Listeners = []Listener{{Name: "agents", Listener: l}}
	}
	srv, err := New(cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	srv.times = times{last: 2 * time.Second, hungUp: 100 * time.Millisecond}
	g.srv = srv
	ctx, cancel := context.WithCancel(context.Background())
	g.stop = func() {
		g.set(func() { g.stopping = true })
		cancel()
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }()
	g.t.Cleanup(func() {
		g.stop()
		if err := <-done; err != nil {
			g.t.Errorf("Serve: %v", err)
		}
		if n := g.tickets.Len(); n != 0 {
			g.t.Errorf("%d tickets left behind", n)
		}
		if s := srv.Stats(); s.Connections != 0 || s.Streams != 0 {
			g.t.Errorf("left behind: %+v", s)
		}
		if srv.life.Err() == nil {
			g.t.Error("what waits for nobody may go on for ever")
		}
	})
}

// dial opens a raw connection to the gateway that gives up after a while.
func (g *rig) dial() *net.UnixConn {
	g.t.Helper()
	c, err := net.Dial("unix", g.sock)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(wait.Patience(10 * time.Second)))
	return c.(*net.UnixConn)
}

// raw sends bytes on a connection of their own and returns all that comes back
// until the gateway closes it.
func (g *rig) raw(request string) string {
	g.t.Helper()
	c := g.dial()
	if _, err := io.WriteString(c, request); err != nil {
		g.t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		g.t.Fatalf("read answer: %v; so far %q", err, answer)
	}
	return string(answer)
}

// client speaks HTTP to the gateway.
func (g *rig) client() *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", g.sock)
	}}
	g.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: wait.Patience(20 * time.Second)}
}

func (g *rig) do(method, uri, contentType, body string) (int, string) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, "http://docker"+uri, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	res, err := g.client().Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func listenUnix(t testing.TB, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
