package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/internal/authz/ticket"
	"vitrine/test/wait"
)

// head is what write writes of a request, but for its body.
func head(t *testing.T, out *outgoing, pass string) []string {
	t.Helper()
	ours, daemons := net.Pipe()
	defer ours.Close()
	written := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(daemons)
		written <- string(all)
	}()
	c := newUpConn(ours)
	if err := errors.Join(newUpstream(Config{}).write(c, out, pass), c.bw.Flush()); err != nil {
		t.Fatal(err)
	}
	_ = ours.Close()
	lines, _, _ := strings.Cut(<-written, "\r\n\r\n")
	return strings.Split(lines, "\r\n")
}

// TestNoHeaderOfTheConnectionIsAnothersClosed: whatever got into the list of headers, where the request ends and whose it is we say alone, and
// what is no header's name breaks no line.
func TestNoHeaderOfTheConnectionIsAnothersClosed(t *testing.T) {
	forged := http.Header{"Accept": {"a"}, "A\r\nB": {"x"}, "A B": {"x"}, "": {"x"}}
	for _, k := range []string{
		"Host", "Connection", "upgrade", "Content-Length", "Transfer-Encoding", "TE", "Trailer", "Expect", "Keep-Alive", "Proxy-Connection",
		"Http2-Settings", ticket.Header, strings.ToLower(ticket.Header),
	} {
		forged[k] = []string{"forged"}
	}
	want := []string{"GET /x HTTP/1.1", "Host: docker", "Accept: a", ticket.Header + ": ours"}
	if got := head(t, &outgoing{method: "GET", uri: "/x", header: forged}, "ours"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestWhereARequestEnds: its head says so in exactly one way, and of what type it is once.
func TestWhereARequestEnds(t *testing.T) {
	typed := http.Header{"Content-Type": {"text/x"}}
	for name, tc := range map[string]struct {
		out  outgoing
		want []string // behind the request line and the host
	}{
		"a read":                     {outgoing{method: "GET"}, nil},
		"a read, with a type":        {outgoing{method: "GET", header: typed}, []string{"Content-Type: text/x"}},
		"a head":                     {outgoing{method: "HEAD"}, nil},
		"a write without a body":     {outgoing{method: "POST"}, []string{"Content-Length: 0"}},
		"JSON":                       {outgoing{method: "POST", body: []byte("{}"), header: typed}, []string{"Content-Type: application/json", "Content-Length: 2"}},
		"JSON of a read":             {outgoing{method: "GET", body: []byte("{}")}, []string{"Content-Type: application/json", "Content-Length: 2"}},
		"a stream":                   {outgoing{method: "PUT", stream: zeros{}, length: 7, header: typed}, []string{"Content-Type: text/x", "Content-Length: 7"}},
		"a stream that is empty":     {outgoing{method: "PUT", stream: zeros{}}, []string{"Content-Length: 0"}},
		"a stream of unknown length": {outgoing{method: "PUT", stream: zeros{}, length: -1}, []string{"Transfer-Encoding: chunked"}},
		"an upgrade":                 {outgoing{method: "POST", upgrade: "tcp"}, []string{"Connection: Upgrade", "Upgrade: tcp", "Content-Length: 0"}},
	} {
		tc.out.uri = "/x"
		if got := head(t, &tc.out, "")[2:]; !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// TestUploadHasNothingBehindItClosed: what is written behind the end of a request would be read as another, and then the connection ends.
func TestUploadHasNothingBehindItClosed(t *testing.T) {
	behind := make(chan string, 1)
	g := startRaw(t, func(g *rig, c *net.UnixConn, br *bufio.Reader, r *http.Request) {
		g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), nil)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		_ = c.SetReadDeadline(time.Now().Add(wait.Patience(10 * time.Second)))
		if rest, err := io.ReadAll(br); err != nil {
			behind <- err.Error()
		} else {
			behind <- string(rest)
		}
	})
	for _, body := range []string{"", "tar"} {
		answer := g.raw(fmt.Sprintf("PUT /containers/x/archive?path=/ HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/x-tar\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		if rest := <-behind; rest != "" || !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
			t.Errorf("%q, behind it %q", answer, rest)
		}
	}
}

// TestRequestThatCannotBeWrittenIsNotWaitedForClosed: nothing of it went up, and nothing will come back.
func TestRequestThatCannotBeWrittenIsNotWaitedForClosed(t *testing.T) {
	g := startHTTP(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), wait.Patience(10*time.Second))
	defer cancel()
	_, err := g.srv.up.send(ctx, &outgoing{method: "GET", uri: "/x y"})
	if err == nil || !strings.Contains(err.Error(), "cannot be written") {
		t.Error(err)
	}
}

// TestAnswerBeforeTheRequestWasRead: a daemon that has seen enough of a body says so, and closes; the client hears what it said.
func TestAnswerBeforeTheRequestWasRead(t *testing.T) {
	g := startRaw(t, func(_ *rig, c *net.UnixConn, _ *bufio.Reader, _ *http.Request) {
		_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n{\"message\":\"enough\"}")
	})
	body := `{"Image":"x","Labels":{"a":"` + strings.Repeat("x", 3<<20) + `"}}`
	if status, answer := g.do("POST", "/containers/create", "application/json", body); status != 400 || !strings.Contains(answer, "enough") {
		t.Errorf("%d %s", status, answer)
	}
}

// TestReadIsNotSentAgainOnceSomethingHasCome: on a connection that others have used.
func TestReadIsNotSentAgainOnceSomethingHasCome(t *testing.T) {
	var asked atomic.Int32
	g := startRaw(t, func(g *rig, c *net.UnixConn, br *bufio.Reader, r *http.Request) {
		for answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"; ; answer = "HTTP/1.1 200 OK\r\nCont" { // the second breaks off
			g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), nil)
			_, _ = io.WriteString(c, answer)
			if asked.Add(1)%2 == 0 {
				return
			}
			var err error
			if r, err = http.ReadRequest(br); err != nil {
				return
			}
		}
	}, func(c *Config) { c.PingEvery = time.Hour })
	first, _ := g.do("GET", "/containers/json", "", "")
	second, _ := g.do("GET", "/containers/json", "", "")
	if n := len(g.reached()); first != 200 || second != 502 || n != 2 {
		t.Errorf("%d, %d, the daemon saw %d", first, second, n)
	}
}

// TestReadsShareConnections: else each would cost the daemon one.
func TestReadsShareConnections(t *testing.T) {
	var dials atomic.Int32
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") }, func(c *Config) {
		dial := c.Dial
		c.PingEvery = time.Hour
		c.Dial = func(ctx context.Context) (net.Conn, error) { dials.Add(1); return dial(ctx) }
	})
	for range 10 {
		_, _ = g.do("GET", "/containers/json", "", "")
	}
	if n := dials.Load(); n > 2 { // one of them is the ping's
		t.Errorf("%d connections for 10 requests one after the other", n)
	}
}

// TestDaemonThatTakesNothing: the connection, but no byte of a request.
func TestDaemonThatTakesNothing(t *testing.T) {
	var gone atomic.Bool
	g := startHTTP(t, nil, func(c *Config) {
		dial := c.Dial
		c.PingEvery = time.Hour
		c.Dial = func(ctx context.Context) (net.Conn, error) {
			if !gone.Load() {
				return dial(ctx)
			}
			ours, daemons := net.Pipe()
			return ours, daemons.Close()
		}
	})
	gone.Store(true)
	for _, r := range [][3]string{
		{"PUT", "/containers/x/archive?path=/", "application/x-tar"}, {"POST", "/containers/x/attach?stream=1"}, {"POST", "/containers/x/stop"},
	} {
		if status, body := g.do(r[0], r[1], r[2], strings.Repeat("x", len(r[2]))); status != 502 || !strings.Contains(body, "[engine-broke-off]") {
			t.Errorf("%v: %d %s", r, status, body)
		}
	}
}

// TestUploadThatIsNoneIsItsClientsFault: what breaks the chunks of a body is told to who sent it, and recorded.
func TestUploadThatIsNoneIsItsClientsFault(t *testing.T) {
	g := startHTTP(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	c := g.dial()
	_, _ = io.WriteString(c, "PUT /containers/x/archive?path=/ HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
	wait.Until(t, "the request to arrive", func() bool { return len(g.reached()) == 1 })
	_, _ = io.WriteString(c, "no chunk\r\n")
	answer, _ := io.ReadAll(c)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), "[body-broken]") {
		t.Errorf("%q", answer)
	}
	if r := g.recorded(1)[0]; r.Status != 400 {
		t.Errorf("%+v", r)
	}
}

// TestServeEndsWithItsReason: nil only if it was asked to end.
func TestServeEndsWithItsReason(t *testing.T) {
	l := listenUnix(t, newRig(t).sock)
	_ = l.Close()
	for name, tc := range map[string]struct {
		listeners []Listener
		ctx       func(context.Context) (context.Context, context.CancelFunc)
		fails     bool
	}{
		"asked to end": {nil, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Millisecond)
		}, false},
		"a dead listener": {[]Listener{{Name: "a", Listener: l}}, context.WithCancel, true},
	} {
		cfg := newRig(t).config()
		cfg.Listeners = tc.listeners
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := tc.ctx(t.Context())
		if err := s.Serve(ctx); (err != nil) != tc.fails {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}
