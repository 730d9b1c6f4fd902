package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/ticket"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/internal/kernel/peercred"
	"vitrine/test/wait"
)

// Each guard here stands alone: those before and behind it are out of the way.

// TestTokensClosed: of each byte alone, as RFC 9110 has it.
func TestTokensClosed(t *testing.T) {
	is := regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]$")
	for b := range 256 {
		if s := string([]byte{byte(b)}); token(s) != is.MatchString(s) {
			t.Errorf("%q", s)
		}
	}
}

// TestWhomARequestCountsAgainst: a container, whatever process of it asks; a certificate, whatever name it has.
func TestWhomARequestCountsAgainst(t *testing.T) {
	for want, id := range map[string]*identity.Identity{
		"container:c1": {Kind: identity.Container, Container: &identity.ContainerInfo{ID: "c1", Name: "web"}},
		"tls:aa":       {Kind: identity.TLS, Certificate: &identity.Certificate{CommonName: "ci", SHA256: "aa"}},
	} {
		if got := callerKey(id); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestWhichRequestsShareConnections: those that can be sent again.
func TestWhichRequestsShareConnectionsClosed(t *testing.T) {
	for method, want := range map[string]bool{"GET": true, "HEAD": true, "POST": false, "DELETE": false} {
		if (&outgoing{method: method}).shareable() != want {
			t.Errorf("%s: not %v", method, want)
		}
	}
	for _, out := range []outgoing{{body: []byte("{}")}, {stream: zeros{}}, {upgrade: "tcp"}} {
		if out.method = "GET"; out.shareable() {
			t.Errorf("%+v", out)
		}
	}
}

// TestWhatTheEngineAnswersAtOnce: nothing that sends or changes something, whatever its class.
func TestWhatTheEngineAnswersAtOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		op   operation.Operation
		want bool
	}{
		"an inspect":  {operation.Operation{Access: operation.Inspect, Carry: operation.CarryPlain, Method: "GET"}, true},
		"by POST":     {operation.Operation{Access: operation.Inspect, Carry: operation.CarryPlain, Method: "POST"}, false},
		"an upload":   {operation.Operation{Access: operation.Inspect, Carry: operation.CarryUpload, Method: "GET"}, false},
		"of contents": {operation.Operation{Access: operation.Content, Carry: operation.CarryPlain, Method: "GET"}, false},
	} {
		if reads(&tc.op) != tc.want {
			t.Error(name)
		}
	}
}

// TestWhichAnswersAreStreamsClosed: only 200 without a length, of the two types.
func TestWhichAnswersAreStreamsClosed(t *testing.T) {
	raw := http.Header{"Content-Type": {"application/vnd.docker.raw-stream"}}
	for name, tc := range map[string]struct {
		res  http.Response
		want bool
	}{
		"raw":             {http.Response{StatusCode: 200, ContentLength: -1, Header: raw}, true},
		"multiplexed":     {http.Response{StatusCode: 200, ContentLength: -1, Header: http.Header{"Content-Type": {"application/vnd.docker.multiplexed-stream"}}}, true},
		"JSON":            {http.Response{StatusCode: 200, ContentLength: -1, Header: http.Header{"Content-Type": {"application/json"}}}, false},
		"another status":  {http.Response{StatusCode: 201, ContentLength: -1, Header: raw}, false},
		"with a length":   {http.Response{StatusCode: 200, ContentLength: 5, Header: raw}, false},
		"an empty one":    {http.Response{StatusCode: 200, Header: raw}, false},
		"in chunks of it": {http.Response{StatusCode: 200, ContentLength: -1, TransferEncoding: []string{"chunked"}, Header: raw}, false},
	} {
		if rawStream(&tc.res) != tc.want {
			t.Error(name)
		}
	}
}

// TestWhoIsOnAConnectionClosed: behind TLS only a certificate says who it is, though the kernel knows the socket's other end.
func TestWhoIsOnAConnectionClosed(t *testing.T) {
	if who := new(Server).identityOf(&conn{secure: true, peer: &peercred.Peer{}}); who != nil {
		t.Errorf("without a certificate: %+v", who)
	}
	c := &conn{peer: &peercred.Peer{}, key: "k"}
	who := new(Server).identityOf(c)
	if who == nil || who.Account != "k" {
		t.Errorf("a process: %+v", who)
	}
	if new(Server).identityOf(c) != who {
		t.Error("who it is is found out anew")
	}
}

// from is a connection from somewhere.
type from struct {
	net.Conn
	addr string
}

func (f from) RemoteAddr() net.Addr { a, _ := net.ResolveTCPAddr("tcp", f.addr); return a }

// TestConnectionsOfAnAddressAreItsOwn: those of another one are not counted with them.
func TestConnectionsOfAnAddressAreItsOwn(t *testing.T) {
	l := &listener{conns: newConnections(Limits{Connections: 100, ConnectionsPerCaller: 1})}
	ours, _ := net.Pipe()
	for addr, want := range map[string]bool{"192.0.2.1:1": true, "192.0.2.2:1": true} {
		if got := l.count(from{ours, addr}); (got != nil) != want {
			t.Error(addr)
		}
	}
	if l.count(from{ours, "192.0.2.1:2"}) != nil {
		t.Error("a second one of an address")
	}
	if n := l.conns.count.Len(); n != 2 {
		t.Errorf("%d are counted", n)
	}
}

// TestPoolKeepsSoMany: and closes the others.
func TestPoolKeepsSoMany(t *testing.T) {
	var p pool
	for range maxIdle + 5 {
		ours, _ := net.Pipe()
		p.put(newUpConn(ours))
	}
	if len(p.idle) != maxIdle {
		t.Errorf("%d", len(p.idle))
	}
	p.close()
}

// TestConnectionWithoutADescriptor has not hung up: nobody can look.
func TestConnectionWithoutADescriptor(t *testing.T) {
	ours, _ := net.Pipe()
	if hungUp(ours) || leftSilently(ours) {
		t.Error("it is said to have left")
	}
}

// TestPartsThatAreMissingClosed: a gateway without one of them would panic, or decide nothing.
func TestPartsThatAreMissingClosed(t *testing.T) {
	for name, without := range map[string]func(*Config){
		"Dial": func(c *Config) { c.Dial = nil }, "Authorizer": func(c *Config) { c.Authorizer = nil },
		"StillAllowed": func(c *Config) { c.StillAllowed = nil }, "Logger": func(c *Config) { c.Logger = nil },
	} {
		cfg := newRig(t).config()
		without(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg := newRig(t).config()
	if s, err := New(cfg); err != nil || s.up.every != 5*time.Second {
		t.Errorf("%v", err)
	}
}

// otherwise has the operation of what was decided be another one when it is carried.
type otherwise struct {
	decide.Authorizer
	change func(*operation.Operation)
}

func (o otherwise) Authorize(ctx context.Context, c *identity.Connection, r *operation.Request) *decide.Verdict {
	v := o.Authorizer.Authorize(ctx, c, r)
	op := *v.Operation
	o.change(&op)
	v.Operation = &op
	return v
}

// TestBodyThatWasNotJudgedIsNotForwardedClosed, though the policy allows it; nor is what nobody has said how to carry.
func TestBodyThatWasNotJudgedIsNotForwardedClosed(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*operation.Operation)
		status int
	}{
		"invalid":            {func(op *operation.Operation) { op.BodyState = operation.BodyInvalid }, 400},
		"withheld":           {func(op *operation.Operation) { op.BodyState = operation.BodyWithheld }, 400},
		"not canonical":      {func(op *operation.Operation) { op.BodyState, op.Canonical = operation.BodyJSON, nil }, 400},
		"carried in no way":  {func(op *operation.Operation) { op.Carry = "teleport" }, 502},
		"as it was, carried": {func(*operation.Operation) {}, 200},
	} {
		g := startHTTP(t, func(http.ResponseWriter, *http.Request) {}, func(c *Config) { c.Authorizer = otherwise{c.Authorizer, tc.change} })
		status, _ := g.do("POST", "/containers/create", "application/json", `{"Image":"x"}`)
		if status != tc.status || (len(g.reached()) > 0) != (tc.status == 200) {
			t.Errorf("%s: %d, the daemon saw %q", name, status, g.reached())
		}
	}
}

// TestHalfABodyIsNotJudgedClosed: what came of it may be whole JSON.
func TestHalfABodyIsNotJudgedClosed(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	c := g.dial()
	_, _ = io.WriteString(c, "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{}")
	_ = c.CloseWrite()
	if answer, _ := io.ReadAll(c); !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), "[body-broken]") || len(g.reached()) > 0 {
		t.Errorf("%q, the daemon saw %q", answer, g.reached())
	}
}

// TestBodiesAndAnswersOfJustTheLimit are within it.
func TestBodiesAndAnswersOfJustTheLimit(t *testing.T) {
	const body = `{"Image":"x","Env":["A=b"]}`
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"Config":{"Env":["A=b"]}}`)
	}, limits(Limits{JSONBytes: int64(len(body)), RedactBytes: int64(len(`{"Config":{"Env":["A=b"]}}`))}))
	if status, said := g.do("POST", "/containers/create", "application/json", body); status != 200 {
		t.Errorf("%d %s", status, said)
	}
	chunked := "POST /containers/create HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1b\r\n" + body + "\r\n0\r\n\r\n"
	if answer := g.raw(chunked); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
		t.Errorf("in chunks: %q", answer)
	}
	redacting()(g)
	if status, said := g.do("GET", "/containers/x/json", "", ""); status != 200 || strings.Contains(said, "A=b") {
		t.Errorf("%d %s", status, said)
	}
}

// TestHeadersOfTheConnectionEndWithUs, those of a hijack that failed too.
func TestHeadersOfTheConnectionEndWithUs(t *testing.T) {
	g := startRaw(t, func(g *rig, c *net.UnixConn, _ *bufio.Reader, r *http.Request) {
		g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), nil)
		_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nTe: x\r\nServer: docker\r\nContent-Length: 0\r\n\r\n")
	})
	answer := g.raw("POST /containers/x/attach?stream=1 HTTP/1.1\r\nHost: d\r\n\r\n")
	if !strings.Contains(answer, "\r\nServer: docker\r\n") || strings.Contains(answer, "Keep-Alive") || strings.Contains(answer, "Proxy-") || strings.Contains(answer, "Te:") {
		t.Errorf("%q", answer)
	}
}

// TestNobodyIsNoContainer: what is closed with a container is not what belongs to none.
func TestNobodyIsNoContainer(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	c := g.dial()
	ask := func(n int) {
		_, _ = io.WriteString(c, "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
		g.recorded(n)
	}
	ask(1) // as a container, which he is no longer
	g.set(func() {
		g.caller = &identity.Identity{Kind: identity.Host, Principals: []string{"unix:root"}, Door: "gateway"}
	})
	ask(2)
	g.srv.CloseContainer("")
	g.srv.CloseContainer(containerID)
	ask(3)
}

// TestEngineThatIsNotThere: each way of carrying says so, and that it may be tried again.
func TestEngineThatIsNotThere(t *testing.T) {
	g := startHTTP(t, nil, func(c *Config) {
		dial, first := c.Dial, true
		c.PingEvery = time.Hour
		c.Dial = func(ctx context.Context) (net.Conn, error) {
			if first {
				first = false
				return dial(ctx)
			}
			return nil, errors.New("connection refused")
		}
	})
	for r, body := range map[string]string{"PUT /containers/x/archive?path=/": "tar", "POST /containers/x/attach?stream=1": "", "POST /containers/x/stop": ""} {
		answer := g.raw(fmt.Sprintf("%s HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/x-tar\r\nContent-Length: %d\r\n\r\n%s", r, len(body), body))
		if !strings.HasPrefix(answer, "HTTP/1.1 503 ") || !strings.Contains(answer, "[no-engine]") || !strings.Contains(answer, "\r\nRetry-After: 1\r\n") ||
			!strings.Contains(answer, "\r\nContent-Type: application/json\r\n") {
			t.Errorf("%s: %q", r, answer)
		}
	}
	for _, r := range []string{"POST /containers/x/attach?stream=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n", "POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"} {
		answer := g.raw(r + "GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n") // is the tunnel's, and no request
		if !strings.HasPrefix(answer, "HTTP/1.1 503 ") || strings.Count(answer, "HTTP/1.1 ") != 1 {
			t.Errorf("%q: %q", r, answer)
		}
	}
}

// TestUploadEndsNoConnection of which all was read.
func TestUploadEndsNoConnection(t *testing.T) {
	g := startHTTP(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	answer := g.raw("PUT /containers/x/archive?path=/ HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: 3\r\n\r\ntar" +
		"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
	if strings.Count(answer, "HTTP/1.1 200 ") != 2 {
		t.Errorf("%q", answer)
	}
}

// held is a connection on which a write of a text lasts until it is closed.
type held struct {
	net.Conn
	text string
	end  chan struct{}
	once sync.Once
}

func (h *held) Write(p []byte) (int, error) {
	n, err := h.Conn.Write(p)
	if string(p) == h.text {
		<-h.end
	}
	return n, err
}

func (h *held) Close() error {
	h.once.Do(func() { close(h.end) })
	return h.Conn.Close()
}

// TestUploadThatIsAnsweredAtItsEndEndsNoConnection, though the last of it is only just being sent.
func TestUploadThatIsAnsweredAtItsEndEndsNoConnection(t *testing.T) {
	const tar = "the last of it"
	daemon, daemons := unixPair(t)
	go func() {
		r, err := http.ReadRequest(bufio.NewReader(daemons))
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body)
		}
		if err == nil {
			_, _ = io.WriteString(daemons, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/containers/x/archive?path=/", iotest.DataErrReader(strings.NewReader(tar)))
	r.ContentLength = int64(len(tar))
	g := newRig(t)
	cfg := g.config()
	cfg.Tickets = nil
	cfg.Dial = func(context.Context) (net.Conn, error) {
		return &held{Conn: daemon, text: tar, end: make(chan struct{})}, nil
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	who := identity.NewLocal()
	v := g.steps.Authorize(t.Context(), who, &operation.Request{Method: r.Method, URI: r.RequestURI, Proto: r.Proto, Header: http.Header{"Content-Type": {"application/x-tar"}}, ContentLength: r.ContentLength, Rebuilt: true})
	(&task{s: s, w: w, r: r, who: who, v: v, conn: &conn{}}).upload(t.Context())
	if w.Code != 200 || w.Header().Get("Connection") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// TestRequestsLeaveNothingRunning, while their connection is open.
func TestRequestsLeaveNothingRunning(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	client := g.client()
	before := 0
	for i := range 60 {
		res, err := client.Get("http://docker/info")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if i == 5 {
			before = runtime.NumGoroutine()
		}
	}
	wait.Until(t, "what the requests began to end", func() bool { return runtime.NumGoroutine() < before+20 })
}

// TestAnswerToWhoHasSentAll comes, however long after.
func TestAnswerToWhoHasSentAll(t *testing.T) {
	t.Parallel()
	half := make(chan struct{})
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		<-half
		for range 3 { // we look as often whether the client is still there
			time.Sleep(leftEvery)
		}
		_, _ = io.WriteString(w, "late")
	})
	c := g.dial()
	_, _ = io.WriteString(c, "GET /info HTTP/1.1\r\nHost: d\r\n\r\n")
	_ = c.CloseWrite()
	close(half)
	if answer, err := io.ReadAll(c); !strings.HasSuffix(string(answer), "late") || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
}

// TestAlarmRingsAtTheStart: of a dockerd that has never asked.
func TestAlarmRingsAtTheStart(t *testing.T) {
	var log wait.Buffer
	g := newRig(t)
	cfg := Config{Tickets: g.tickets}
	logged(&log)(&cfg)
	newUpstream(cfg).settle(g.tickets.Issue(ticket.Entry{}), &outgoing{}, &http.Response{StatusCode: 200}, time.Now())
	if said := told(&log); !slices.Equal(said, []bool{false}) {
		t.Errorf("told %v", said)
	}
}

// TestStreamsEndWithTheGateway: nothing of ours goes on behind its back, by whichever way it came.
func TestStreamsEndWithTheGateway(t *testing.T) {
	t.Parallel()
	g := startRaw(t, echo(rawOK))
	var open []*bufio.Reader
	for _, request := range []string{
		"GET /containers/x/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n",
		"POST /containers/x/attach?stream=1 HTTP/1.1\r\nHost: d\r\n\r\n",
		"POST /containers/x/attach?stream=1 HTTP/1.1\r\nHost: d\r\n" + upgrade + "\r\n",
	} {
		c := g.dial()
		_, _ = io.WriteString(c, request)
		br := bufio.NewReader(c)
		readHead(t, br)
		open = append(open, br)
	}
	g.stop()
	for i, br := range open {
		if _, err := io.Copy(io.Discard, br); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("stream %d goes on", i)
		}
	}
}

// TestWithheldErrorIsJSON, whatever the Engine's was.
func TestWithheldErrorIsJSON(t *testing.T) {
	g := startHTTP(t, failing(http.StatusInternalServerError, "text/plain", "hunter2"))
	redacting()(g)
	answer := g.raw("GET /containers/x/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
	if !strings.Contains(answer, "\r\nContent-Type: application/json\r\n") || strings.Contains(answer, "hunter2") {
		t.Errorf("%q", answer)
	}
}

// TestEventsOfAKnownLength are blanked too, and have another one then.
func TestEventsOfAKnownLength(t *testing.T) {
	g := startHTTP(t, failing(http.StatusOK, "application/json", `{"Action":"exec_create: mysql -phunter2"}`))
	g.set(func() { g.decision = policy.Decision{Allow: true, Redact: []string{"/Action"}} })
	if status, body := g.do("GET", "/events", "", ""); status != 200 || body != "{\"Action\":\"exec_create:\"}\n" {
		t.Errorf("%d %q", status, body)
	}
}

// TestOwnCallHasNoBody: what it was given is closed, and not sent.
func TestOwnCallHasNoBody(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	closed := make(chan struct{})
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://docker/containers/json", closing{closed})
	res, err := g.srv.SelfTransport().RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	<-closed
}

type closing struct{ closed chan struct{} }

func (closing) Read([]byte) (int, error) { return 0, io.EOF }
func (c closing) Close() error           { close(c.closed); return nil }

// TestPlainRequestGoesByTheLane, its body too.
func TestPlainRequestGoesByTheLane(t *testing.T) {
	whole := make(chan bool, 1)
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {}, func(c *Config) { c.Authorizer = arrival{c.Authorizer, whole} })
	if status, body := g.do("POST", "/containers/create", "application/json", `{"Image":"x"}`); status != http.StatusOK || !<-whole {
		t.Errorf("%d %s", status, body)
	}
}

// arrival is an Authorizer that notes whether a request has arrived whole.
type arrival struct {
	decide.Authorizer
	whole chan bool
}

func (a arrival) Authorize(ctx context.Context, c *identity.Connection, r *operation.Request) *decide.Verdict {
	a.whole <- r.Arrived
	return a.Authorizer.Authorize(ctx, c, r)
}

// TestEndWaitsForTheLane: a request that net/http's server does not know of is answered, too, when the gateway is to stop.
func TestEndWaitsForTheLane(t *testing.T) {
	t.Parallel()
	begun, stopped := make(chan struct{}), make(chan struct{})
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-stopped
		_, _ = io.WriteString(w, "[]")
	})
	c := g.dial()
	if _, err := io.WriteString(c, "GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-begun
	g.stop()
	_ = c.SetReadDeadline(time.Now().Add(drainTime / 20)) // if it is not waited for, it is closed soon
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it is not waited for: %v", err)
	}
	_ = c.SetReadDeadline(time.Now().Add(wait.Patience(10 * time.Second)))
	close(stopped)
	if answer, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(answer), "[]") {
		t.Errorf("answer %q, %v", answer, err)
	}
}

// TestConnectionIsClosedBehindItsAnswer, whatever net/http's server knows of it.
func TestConnectionIsClosedBehindItsAnswer(t *testing.T) {
	var g *rig
	g = startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, c := range g.srv.conns.all() {
			_ = c.Close()
		}
		_, _ = io.WriteString(w, "[]")
	})
	if answer := g.raw("GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n"); !strings.HasSuffix(answer, "[]") {
		t.Errorf("%q", answer)
	}
}

// TestNoAlarmWhileEachRequestIsAsked: only what nobody asked about rings it.
func TestNoAlarmWhileEachRequestIsAsked(t *testing.T) {
	var log wait.Buffer
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {}, logged(&log))
	for range 3 {
		g.do("GET", "/containers/json", "", "")
	}
	if said := told(&log); slices.Contains(said, false) {
		t.Errorf("told %v", said)
	}
}
