package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/ticket"
	"vitrine/test/wait"
)

const (
	upgraded = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nApi-Version: 9.99\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
	rawOK    = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
	execBody = "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	upgrade  = "Connection: Upgrade\r\nUpgrade: tcp\r\n"
)

// echo is a daemon that answers head, then "ready", then what it is sent in
// capitals, and at the end of its input "bye".
func echo(head string) func(*rig, *net.UnixConn, *bufio.Reader, *http.Request) {
	return func(g *rig, c *net.UnixConn, br *bufio.Reader, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), body)
		_, _ = io.WriteString(c, head+"ready\n")
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				_, _ = io.WriteString(c, "bye\n")
				_ = c.CloseWrite()
				return
			}
			_, _ = io.WriteString(c, strings.ToUpper(line))
		}
	}
}

func TestHijack(t *testing.T) {
	for _, tc := range []struct{ name, request, answer, wantHead string }{
		{"attach, upgraded", "POST /containers/x/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: d\r\n" + upgrade + "Content-Length: 0\r\n\r\n", upgraded, "HTTP/1.1 101 UPGRADED\r\n"},
		{"attach, plain", "POST /containers/x/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n", rawOK, "HTTP/1.1 200 OK\r\n"},
		{"attach, HTTP/1.0", "POST /containers/x/attach?stream=1&stdin=1 HTTP/1.0\r\n\r\n", rawOK, "HTTP/1.1 200 OK\r\n"},
		{"attach, with an empty body in chunks", "POST /containers/x/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: d\r\n" + upgrade + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", upgraded, "HTTP/1.1 101 UPGRADED\r\n"},
		{"attach, with chunks that never end", "POST /containers/x/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: d\r\n" + upgrade + "Transfer-Encoding: chunked\r\n\r\n", upgraded, "HTTP/1.1 101 UPGRADED\r\n"},
		{"attach, with its parameters in a body", "POST /containers/x/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: d\r\n" + upgrade + "Content-Type: application/json\r\nContent-Length: 26\r\n\r\n{\"stream\":true,\"stdin\":1 }", upgraded, "HTTP/1.1 101 UPGRADED\r\n"},
		{"exec start, upgraded", "POST /v1.41/exec/x/start HTTP/1.1\r\nHost: d\r\n" + upgrade + execBody, upgraded, "HTTP/1.1 101 UPGRADED\r\n"},
		{"exec start, plain", "POST /exec/x/start HTTP/1.1\r\nHost: d\r\n" + execBody, rawOK, "HTTP/1.1 200 OK\r\n"},
		{
			"attach by web socket", "GET /containers/x/attach/ws?stream=1&stdin=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: abc\r\nSec-WebSocket-Version: 13\r\n\r\n",
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n",
		},
		{"session", "POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n"},
		{"grpc", "POST /grpc HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := startRaw(t, echo(tc.answer))
			c := g.dial()
			_, _ = io.WriteString(c, tc.request+"early\n") // a client may send at once
			br := bufio.NewReader(c)
			head := readHead(t, br)
			if !strings.HasPrefix(head, tc.wantHead) || strings.Contains(head, "9.99") || strings.Contains(strings.ToLower(head), "chunked") || strings.Contains(head, "Content-Length") {
				t.Fatalf("head %q", head)
			}
			expect(t, br, "ready\n", "EARLY\n")
			_, _ = io.WriteString(c, "hello\n")
			expect(t, br, "HELLO\n")
			_ = c.CloseWrite() // the daemon hears it, and its last words still come
			expect(t, br, "bye\n")
			if rest, err := io.ReadAll(br); len(rest) > 0 || err != nil {
				t.Errorf("the end: %q, %v", rest, err)
			}
			if rec := g.recorded(1)[0]; rec.Status == 0 || rec.Status > 200 {
				t.Errorf("audit record %+v", rec)
			}
		})
	}
}

// The daemon's half-close reaches the client, whose input still goes up.
func TestHijackDaemonEndsFirst(t *testing.T) {
	got := make(chan string, 1)
	g := startRaw(t, func(g *rig, c *net.UnixConn, br *bufio.Reader, r *http.Request) {
		g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), nil)
		_, _ = io.WriteString(c, rawOK+"output\n")
		_ = c.CloseWrite()
		rest, _ := io.ReadAll(br)
		got <- string(rest)
	})
	c := g.dial()
	_, _ = io.WriteString(c, "POST /containers/x/attach?stream=1 HTTP/1.1\r\nHost: d\r\n\r\n")
	br := bufio.NewReader(c)
	readHead(t, br)
	if rest, err := io.ReadAll(br); string(rest) != "output\n" || err != nil {
		t.Fatalf("%q, %v", rest, err)
	}
	_, _ = io.WriteString(c, "input")
	_ = c.Close()
	if rest := <-got; rest != "input" {
		t.Errorf("the daemon got %q", rest)
	}
}

// Bytes behind a hijack that fails must never reach the daemon.
func TestBytesBehindAFailedHijackClosed(t *testing.T) {
	t.Parallel()
	const smuggled = "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	const notFound = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"message\":1}"
	for _, tc := range []struct {
		name, request, answer string
		status                int
	}{
		{"exec start", "POST /exec/nope/start HTTP/1.1\r\nHost: d\r\n" + execBody, notFound, 404},
		{"exec start, upgraded", "POST /exec/nope/start HTTP/1.1\r\nHost: d\r\n" + upgrade + execBody, notFound, 404},
		{"exec start, without a length", "POST /exec/nope/start HTTP/1.1\r\nHost: d\r\n" + execBody, "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n\r\n{\"message\":1}", 404},
		{"exec start, detached", "POST /exec/nope/start HTTP/1.1\r\nHost: d\r\n" + execBody, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200},
		{"attach", "POST /containers/nope/attach?stream=1 HTTP/1.1\r\nHost: d\r\n" + upgrade + "\r\n", notFound, 404},
		{"web socket", "GET /containers/nope/attach/ws HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", notFound, 404},
		{"session", "POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 400},
		{"raw stream with a length", "POST /exec/x/start HTTP/1.1\r\nHost: d\r\n" + execBody, strings.Replace(rawOK, "\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n", 1), 200},
		{"raw stream in chunks", "POST /exec/x/start HTTP/1.1\r\nHost: d\r\n" + execBody, strings.Replace(rawOK, "\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1), 200},
		{"another type", "POST /exec/x/start HTTP/1.1\r\nHost: d\r\n" + execBody, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello", 200},
		{"an upgrade nobody asked for", "POST /exec/x/start HTTP/1.1\r\nHost: d\r\n" + execBody, upgraded, 502},
	} {
		t.Run(tc.name, func(t *testing.T) {
			behind := make(chan string, 1)
			g := startRaw(t, func(g *rig, c *net.UnixConn, br *bufio.Reader, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), body)
				_, _ = io.WriteString(c, tc.answer)
				if !strings.Contains(tc.answer, "ontent-Length") && !strings.Contains(tc.answer, "chunked") {
					_ = c.CloseWrite()
				}
				rest, _ := io.ReadAll(br)
				behind <- string(rest)
			})
			c := g.dial()
			_, _ = io.WriteString(c, tc.request+smuggled)
			br := bufio.NewReader(c)
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			// An error must not announce the end: see last.
			if res.StatusCode != tc.status || res.Close != (tc.status < 400) {
				t.Errorf("status %d, close %v", res.StatusCode, res.Close)
			}
			if more, err := io.ReadAll(br); len(more) > 0 || err != nil {
				t.Errorf("after the answer came %q, %v", more, err)
			}
			if rest := <-behind; rest != "" {
				t.Errorf("the daemon got %q", rest)
			}
			if seen := g.reached(); len(seen) != 1 {
				t.Errorf("the daemon saw %v", seen)
			}
			g.recorded(1)
		})
	}
}

// Bytes behind a hijack that is denied are not read as a request either.
func TestBytesBehindADeniedHijackClosed(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	g.set(func() { g.decision = policy.Decision{} })
	answer := g.raw("POST /exec/x/start HTTP/1.1\r\nHost: d\r\n" + execBody + "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
	if strings.Count(answer, "HTTP/1.1 ") != 1 || !strings.HasPrefix(answer, "HTTP/1.1 403 ") {
		t.Errorf("answer %q", answer)
	}
	g.recorded(1)
}

// Nothing goes up before the daemon has agreed, however long it takes.
func TestNothingGoesUpBeforeTheDaemonAgreesClosed(t *testing.T) {
	early := make(chan string, 1)
	g := startRaw(t, func(g *rig, c *net.UnixConn, br *bufio.Reader, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), body)
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		b, _ := io.ReadAll(br)
		early <- string(b)
		_, _ = io.WriteString(c, rawOK)
	})
	c := g.dial()
	_, _ = io.WriteString(c, "POST /exec/x/start HTTP/1.1\r\nHost: d\r\n"+execBody+"stdin")
	if b := <-early; b != "" {
		t.Errorf("the daemon got %q early", b)
	}
}

func TestClientThatLeavesAHijackedStream(t *testing.T) {
	t.Parallel()
	for _, half := range []bool{false, true} {
		ended := make(chan struct{})
		g := startRaw(t, func(g *rig, c *net.UnixConn, br *bufio.Reader, r *http.Request) {
			g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), nil)
			_, _ = io.WriteString(c, rawOK)
			_, _ = io.Copy(io.Discard, br)
			close(ended) // and says nothing for ever: a silent container
			b := make([]byte, 1)
			for {
				if _, err := c.Write(b[:0]); err != nil {
					return
				}
				if hungUp(c) {
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
		c := g.dial()
		_, _ = io.WriteString(c, "POST /containers/x/attach?stream=1 HTTP/1.1\r\nHost: d\r\n\r\n")
		readHead(t, bufio.NewReader(c))
		if half {
			_ = c.CloseWrite()
			<-ended
		}
		_ = c.Close()
		<-ended
		wait.Until(t, "the tunnel to end", func() bool { return g.srv.Stats() == Stats{} })
	}
}

func TestContainerThatDiesLosesItsConnections(t *testing.T) {
	g := startRaw(t, echo(rawOK))
	c := g.dial()
	_, _ = io.WriteString(c, "POST /containers/x/attach?stream=1 HTTP/1.1\r\nHost: d\r\n\r\n")
	br := bufio.NewReader(c)
	readHead(t, br)
	expect(t, br, "ready\n")
	g.srv.CloseContainer(strings.Repeat("f", 64)) // another one
	_, _ = io.WriteString(c, "still here\n")
	expect(t, br, "STILL HERE\n")
	g.srv.CloseContainer(containerID)
	if rest := ends(t, br); rest != "" {
		t.Errorf("got %q", rest)
	}
}

func readHead(t *testing.T, br *bufio.Reader) string {
	t.Helper()
	var head strings.Builder
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			t.Fatalf("read head: %v; so far %q", err, head.String()+line)
		}
		head.WriteString(line)
		if line == "\r\n" {
			return head.String()
		}
	}
}

func expect(t *testing.T, br *bufio.Reader, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if got, err := br.ReadString('\n'); got != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
}
