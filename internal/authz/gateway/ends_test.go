package gateway

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/ticket"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/test/wait"
)

// TestEveryLimitHasADefaultClosed: without one, who sends nothing more would hold what he has for ever.
func TestEveryLimitHasADefaultClosed(t *testing.T) {
	v := reflect.ValueOf(Limits{}.withDefaults())
	for i := range v.NumField() {
		if v.Field(i).Int() <= 0 {
			t.Errorf("%s is %v", v.Type().Field(i).Name, v.Field(i))
		}
	}
}

// TestLimitThatCannotBeReachedIsSaid: where the files run out before.
func TestLimitThatCannotBeReachedIsSaid(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || fileLimit() != int(limit.Cur) {
		t.Errorf("the limit is %d, %v, and not %d", limit.Cur, err, fileLimit())
	}
	for connections, says := range map[int]bool{fileLimit()/filesPerConnection + 1: true, fileLimit() / filesPerConnection: false} {
		var log bytes.Buffer
		cfg := newRig(t).config()
		cfg.Logger, cfg.Limits.Connections = slog.New(slog.NewTextHandler(&log, nil)), connections
		if _, err := New(cfg); err != nil || strings.Contains(log.String(), "open files can run out") != says {
			t.Errorf("%d connections: %v, %s", connections, err, log.String())
		}
	}
}

// TestConnectionThatIsNotOursIsAnsweredClosed: there is nobody to ask for.
func TestConnectionThatIsNotOursIsAnsweredClosed(t *testing.T) {
	g := startHTTP(t, nil)
	w := httptest.NewRecorder()
	g.srv.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/_ping", nil))
	if w.Code != http.StatusForbidden || len(g.reached()) > 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestNothingIsCarriedBeforeTheEngineHasAnsweredClosed: nobody knows yet whether dockerd asks its plugin.
func TestNothingIsCarriedBeforeTheEngineHasAnsweredClosed(t *testing.T) {
	g := newRig(t)
	l := listenUnix(t, g.upstream) // takes connections, and answers nothing
	t.Cleanup(func() { _ = l.Close() })
	g.start()
	answer := g.raw("GET /containers/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 503 ") || !strings.Contains(answer, "\r\nRetry-After: 1\r\n") || !strings.Contains(answer, "has not answered yet") {
		t.Errorf("%q", answer)
	}
}

// TestOptionsAreDecidedToo: net/http would answer them by itself.
func TestOptionsAreDecidedTooClosed(t *testing.T) {
	g := startHTTP(t, nil)
	answer := g.raw("OPTIONS * HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
	if r := g.recorded(1)[0]; r.Allow || strings.HasPrefix(answer, "HTTP/1.1 200 ") {
		t.Errorf("%q, recorded as %+v", answer, r)
	}
}

// TestBodiesGiveTheirPlacesBack: when their requests have ended.
func TestBodiesGiveTheirPlacesBack(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {}, limits(Limits{StreamsPerCaller: 2}))
	for range 5 {
		if status, body := g.do("POST", "/containers/create", "application/json", `{"Image":"x"}`); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		wait.Until(t, "the body to give its place back", func() bool { return g.srv.bodies.Len() == 0 }) // its answer is a moment before
	}
}

// TestContainerThatDiesDuringADecisionIsForgotten: its connection is closed by then.
func TestContainerThatDiesDuringADecisionIsForgotten(t *testing.T) {
	deciding, die := make(chan struct{}), make(chan struct{})
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {}, func(cfg *Config) {
		cfg.Authorizer = &slowly{Authorizer: cfg.Authorizer, of: "/info", deciding: deciding, on: die}
	})
	c := g.dial()
	_, _ = io.WriteString(c, "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\nGET /info HTTP/1.1\r\nHost: d\r\n\r\n")
	<-deciding
	g.set(func() { g.stopping = true })
	g.srv.CloseContainer(containerID)
	close(die)
	g.recorded(2)
	g.srv.requests.Wait()
	g.srv.conns.mu.Lock()
	defer g.srv.conns.mu.Unlock()
	if n := len(g.srv.conns.byContainer); n > 0 {
		t.Errorf("%d are kept", n)
	}
}

// slowly decides one request when it may.
type slowly struct {
	decide.Authorizer
	of           string
	deciding, on chan struct{}
}

func (s *slowly) Authorize(ctx context.Context, c *identity.Connection, r *operation.Request) *decide.Verdict {
	if r.URI == s.of {
		close(s.deciding)
		<-s.on
	}
	return s.Authorizer.Authorize(ctx, c, r)
}

// TestConnectionOfAFailedHijackEnds: with the answer, whatever the client does then.
func TestConnectionOfAFailedHijackEnds(t *testing.T) {
	g := startRaw(t, func(g *rig, c *net.UnixConn, _ *bufio.Reader, r *http.Request) {
		g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), nil)
		_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
	})
	c := g.dial()
	// More than net/http reads ahead: to close on what is left unread would cost the client the answer's end.
	_, _ = io.WriteString(c, "POST /containers/x/attach?stream=1 HTTP/1.1\r\nHost: d\r\n\r\n"+strings.Repeat("input\n", 10_000))
	if answer, err := io.ReadAll(c); !strings.HasPrefix(string(answer), "HTTP/1.1 404 ") || !strings.Contains(string(answer), "\r\nContent-Length: 0\r\n") || strings.Contains(string(answer), "chunked") || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
	_ = c.Close()
	wait.Until(t, "the connection to be forgotten", func() bool { return g.srv.Stats().Connections == 0 })
}

// TestWhatStandsBehindAnAttach: the end of an empty body in chunks is no input, and else nothing that looks like one is left out.
func TestWhatStandsBehindAnAttach(t *testing.T) {
	const attach = "POST /containers/x/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: d\r\n"
	const chunked = attach + "Transfer-Encoding: chunked\r\n\r\n"
	for name, tc := range map[string]struct{ sent, then, want string }{
		"its end, and nothing":         {chunked + "0\r\n\r\n", "hello\n", "HELLO\n"},
		"its end later, short input":   {chunked, "hi\n", "HI\n"},
		"input that looks like an end": {attach + "\r\n0\r\n\r\n", "", "0\r\n"},
		"the same, behind a body": {
			"POST /exec/x/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n0\r\n\r\n", "", "0\r\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := startRaw(t, echo(rawOK))
			c := g.dial()
			_, _ = io.WriteString(c, tc.sent)
			br := bufio.NewReader(c)
			readHead(t, br)
			expect(t, br, "ready\n")
			_, _ = io.WriteString(c, tc.then)
			expect(t, br, tc.want)
		})
	}
}

// TestConnectionThatComesBackLateIsClosed: the pool is closed by then.
func TestConnectionThatComesBackLateIsClosed(t *testing.T) {
	var p pool
	ours, daemons := net.Pipe()
	p.close()
	p.put(newUpConn(ours))
	if _, err := daemons.Read(make([]byte, 1)); err != io.EOF || len(p.idle) > 0 { //nolint:errorlint // exactly this
		t.Errorf("%v, %d are kept", err, len(p.idle))
	}
}

// TestFilesOfTLSThatAreNotThereClosed: each is missed by name.
func TestFilesOfTLSThatAreNotThereClosed(t *testing.T) {
	dir := t.TempDir()
	_, issue := certs(t, dir)
	cert, key := issue("server")
	for _, files := range [][3]string{{"none.pem", key, cert}, {cert, "none.pem", cert}, {cert, key, "none.pem"}} {
		if cfg, err := LoadTLS(files[0], files[1], files[2]); cfg != nil || err == nil || !strings.Contains(err.Error(), "none.pem") {
			t.Errorf("%v: %v", files, err)
		}
	}
	if cfg, err := LoadTLS(cert, key, key); cfg != nil || err == nil {
		t.Errorf("an authority without a certificate: %v", err)
	}
}

// TestReconsideringTakesAFewAtOnce: a thousand decisions at one time would be paid by who asks meanwhile.
func TestReconsideringTakesAFewAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now, on := make(chan struct{}, 1000), make(chan struct{})
		s := &Server{cfg: Config{StillAllowed: func(context.Context, *identity.Connection, *decide.Verdict) error {
			now <- struct{}{}
			<-on
			return nil
		}}}
		for range cap(now) {
			s.tasks.add(&task{s: s})
		}
		go s.Reconsider(t.Context())
		synctest.Wait()
		if n := len(now); n != reconsideredAtOnce {
			t.Errorf("%d at once, not %d", n, reconsideredAtOnce)
		}
		close(on)
		synctest.Wait()
		if n := len(now); n != cap(now) {
			t.Errorf("%d of %d were decided", n, cap(now))
		}
	})
}

// TestHowOftenTheEngineIsPinged: as often as was said, and more often only while there is something to wait for.
func TestHowOftenTheEngineIsPinged(t *testing.T) {
	for name, tc := range map[string]struct{ answers, asks, often bool }{
		"it answers, and asks": {true, true, false},
		"it answers, asks not": {true, false, true},
		"it does not answer":   {false, false, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			pings, dials := 0, 0
			u := newUpstream(Config{Tickets: ticket.NewStore(), Logger: slog.New(slog.DiscardHandler), PingEvery: time.Minute})
			u.dial = func(context.Context) (net.Conn, error) {
				if !tc.answers {
					pings++
					return nil, io.ErrUnexpectedEOF
				}
				dials++
				ours, daemons := net.Pipe()
				go func() {
					defer daemons.Close()
					for in := bufio.NewReader(daemons); ; {
						r, err := http.ReadRequest(in)
						if err != nil {
							return
						}
						pings++
						if tc.asks {
							u.tickets.Take(r.Header.Get(ticket.Header))
						}
						_, _ = io.WriteString(daemons, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
					}
				}()
				return ours, nil
			}
			if tc.answers && tc.asks {
				for range 2 {
					c, _ := u.dial(t.Context())
					u.pool.put(newUpConn(c))
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute+time.Second) // in the middle of no ping
			defer cancel()
			u.watch(ctx)
			if tc.answers && tc.asks && (len(u.pool.idle) != 1 || dials != 2) {
				t.Errorf("%d connections are kept, of %d: one is used, and the other one is not", len(u.pool.idle), dials)
			}
			u.pool.close()
			synctest.Wait()
			if often := pings > 1000; often != tc.often || !often && pings > 12 {
				t.Errorf("%s: %d pings in ten minutes", name, pings)
			}
		})
	}
}

// TestDenialEndsNoConnection: only what cannot be read does, of which nobody knows where it ends.
func TestDenialEndsNoConnection(t *testing.T) {
	g := startHTTP(t, nil)
	g.set(func() { g.decision = policy.Decision{} })
	const ask = "GET /containers/json HTTP/1.1\r\nHost: d\r\n"
	if answer := g.raw(ask + "\r\n" + ask + "Connection: close\r\n\r\n"); strings.Count(answer, "HTTP/1.1 403 ") != 2 {
		t.Errorf("%q", answer)
	}
}

// left is a client that had left when its connection was taken over.
type left struct {
	http.ResponseWriter
	conn net.Conn
}

func (l left) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return l.conn, bufio.NewReadWriter(bufio.NewReader(l.conn), bufio.NewWriter(l.conn)), l.conn.Close()
}

// TestTunnelToWhoHasLeftEnds: on the daemon's side too.
func TestTunnelToWhoHasLeftEnds(t *testing.T) {
	g := newRig(t)
	_ = g.config()
	client, theirs := net.Pipe()
	defer theirs.Close()
	ours, daemons := net.Pipe()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/containers/x/attach?stream=1", nil)
	who := identity.NewLocal()
	v := g.steps.Authorize(t.Context(), who, &operation.Request{Method: r.Method, URI: r.RequestURI, Proto: r.Proto, Header: r.Header, Rebuilt: true})
	for _, stays := range []bool{true, false} {
		x := &task{s: &Server{}, w: left{httptest.NewRecorder(), client}, r: r, who: who, v: v}
		x.tunnel(&own{conn: newUpConn(ours), res: &http.Response{Status: "101 UPGRADED", StatusCode: 101}, unbind: func() bool { return stays }})
		if _, err := daemons.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // exactly this
			t.Errorf("the daemon's side: %v", err)
		}
	}
}

// halfConn is one end of a pipe, whose halves can end alone, and which fails as it is told to.
type halfConn struct {
	net.Conn
	readErr, writeErr error
}

func (c halfConn) CloseWrite() error { return nil }

func (c halfConn) Read(p []byte) (int, error) {
	if c.readErr != nil {
		return 0, c.readErr
	}
	return c.Conn.Read(p)
}

func (c halfConn) Write(p []byte) (int, error) {
	if c.writeErr != nil {
		return 0, c.writeErr
	}
	return c.Conn.Write(p)
}

// TestTunnelOfWhichOneWayFails: it ends with its client, one that left without TLS' goodbye as well, and with the daemon, though its client stays; a
// daemon that takes no more input still says what it has to say.
func TestTunnelOfWhichOneWayFails(t *testing.T) {
	for name, tc := range map[string]struct {
		clientReads, daemonReads, daemonWrites error
		daemonEnds                             bool
		ends                                   bool
		output                                 string
	}{
		"its client is gone":          {clientReads: io.ErrUnexpectedEOF, ends: true},
		"its daemon is gone":          {daemonReads: syscall.ECONNRESET, ends: true},
		"its daemon takes no input":   {daemonWrites: syscall.EPIPE, output: "bye"},
		"its daemon has ended before": {daemonWrites: syscall.EPIPE, daemonEnds: true, ends: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, clients := net.Pipe()
			daemon, daemons := net.Pipe()
			defer clients.Close()
			x := &tunnel{client: halfConn{client, tc.clientReads, nil}, daemon: newUpConn(halfConn{daemon, tc.daemonReads, tc.daemonWrites}), look: time.Hour}
			x.in, x.daemon.limit.left = bufio.NewReader(x.client), -1
			ended := false
			go func() { x.copy(&buffers{}); ended = true }()
			if tc.daemonEnds {
				_ = daemons.Close()
			}
			synctest.Wait()
			if tc.daemonWrites != nil {
				_, _ = io.WriteString(clients, "input")
			}
			synctest.Wait()
			if ended != tc.ends {
				t.Errorf("%s: the tunnel has ended: %v", name, ended)
			}
			if tc.output != "" {
				go func() { _, _ = io.WriteString(daemons, tc.output); _ = daemons.Close() }()
				p := make([]byte, len(tc.output))
				if _, err := io.ReadFull(clients, p); err != nil || string(p) != tc.output {
					t.Errorf("%s: %q, %v", name, p, err)
				}
			}
			_, _ = daemons.Close(), x.Close()
		})
	}
}

// TestNothingFollowsABodyThatBrokeOffClosed: what comes behind it is not read as a request.
func TestNothingFollowsABodyThatBrokeOffClosed(t *testing.T) {
	g := startHTTP(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	c := g.dial()
	_, _ = io.WriteString(c, "PUT /containers/x/archive?path=/ HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
	wait.Until(t, "the upload to arrive", func() bool { return len(g.reached()) == 1 })
	_, _ = io.WriteString(c, "none\r\nGET /containers/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
	if answer, _ := io.ReadAll(c); strings.Count(string(answer), "HTTP/1.1 ") != 1 || !strings.Contains(string(answer), "[body-broken]") {
		t.Errorf("%q", answer)
	}
}

// sink is a connection that calls written for what is written.
type sink struct {
	net.Conn
	written func(p []byte)
}

func (s sink) Write(p []byte) (int, error) { s.written(p); return len(p), nil }

// TestUploadIsWholeBeforeItsLastIsSent: the daemon may answer as soon as it has that, and the client's connection goes on then.
func TestUploadIsWholeBeforeItsLastIsSent(t *testing.T) {
	u := &uploading{out: &outgoing{stream: iotest.DataErrReader(strings.NewReader("tar")), length: 3}, buffers: &buffers{}}
	sent := ""
	u.conn = newUpConn(sink{nil, func(p []byte) {
		if sent += string(p); !u.whole.Load() {
			t.Error("who is answered now is told to close")
		}
	}})
	if u.copy(); sent != "tar" {
		t.Errorf("%q", sent)
	}
}
