package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/internal/authz/ticket"
	"vitrine/internal/caller/identity"
	"vitrine/internal/lane"
	"vitrine/test/wait"
)

func limits(l Limits) option { return func(c *Config) { c.Limits = l } }

func TestConnectionsPerCallerAreLimited(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {}, limits(Limits{ConnectionsPerCaller: 3}))
	for range 3 {
		g.dial()
	}
	wait.Until(t, "connections", func() bool { return g.srv.Stats().Connections == 3 })
	b, _ := io.ReadAll(g.dial())
	if answer := string(b); !strings.HasPrefix(answer, "HTTP/1.1 503 ") || !strings.Contains(answer, "too many connections") {
		t.Errorf("answer %q", answer)
	}
	if s := g.srv.Stats(); s.Connections != 3 || s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

// A caller who has used up his connections leaves the others theirs.
func TestOneCallerCannotExhaustTheGatewayClosed(t *testing.T) {
	conns := newConnections(Limits{Connections: 100, ConnectionsPerCaller: 2}.withDefaults())
	for i, want := range []bool{true, true, false, false} {
		if got := conns.add(&conn{key: "container:loud", conns: conns}); got != want {
			t.Errorf("connection %d of one caller: %v", i+1, got)
		}
	}
	if !conns.add(&conn{key: "container:quiet", conns: conns}) {
		t.Error("the other caller has no connection")
	}
}

// heldUp is a connection whose close waits, as for a read that goes on.
type heldUp struct {
	net.Conn
	ended   atomic.Bool // our half
	release chan struct{}
}

func (c *heldUp) CloseWrite() error { c.ended.Store(true); return nil }

func (c *heldUp) Close() error { <-c.release; return c.Conn.Close() }

// TestCloseThatIsHeldUpHoldsUpNobodyClosed: not who ends a container's connections, nor the others of it. It counts for as long as it is open, and
// nothing is written to it.
func TestCloseThatIsHeldUpHoldsUpNobodyClosed(t *testing.T) {
	conns := newConnections(Limits{}.withDefaults())
	caller := &identity.Identity{Container: &identity.ContainerInfo{ID: "c"}}
	add := func(c net.Conn) {
		counted := &conn{Conn: c, key: "container:c", conns: conns}
		conns.add(counted)
		conns.attribute(counted, caller)
	}
	ours, theirs := net.Pipe()
	held := &heldUp{Conn: ours, release: make(chan struct{})}
	other, client := net.Pipe()
	defer client.Close()
	add(held)
	add(other)
	var back atomic.Bool
	go func() { conns.closeContainer("c"); back.Store(true) }()
	wait.Until(t, "who ends a container's connections to come back", back.Load)
	if !held.ended.Load() {
		t.Error("something can still be written to it")
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the other one: %v", err)
	}
	wait.Until(t, "the other one to be forgotten", func() bool { return conns.count.Len() == 1 })
	close(held.release)
	if _, err := theirs.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the one that was held up: %v", err)
	}
	wait.Until(t, "all to be forgotten", func() bool { return conns.count.Len() == 0 })
}

func TestStreamsPerCallerAreLimited(t *testing.T) {
	release := make(chan struct{})
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-release
	}, limits(Limits{StreamsPerCaller: 2}))
	var streams []io.Closer
	for range 2 {
		res, err := g.client().Get("http://docker/events")
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, res.Body)
	}
	if status, body := g.do("GET", "/_ping", "", ""); status != 429 || !strings.Contains(body, "too many requests open") {
		t.Errorf("%d %s", status, body)
	}
	close(release)
	for _, s := range streams {
		_ = s.Close()
	}
	wait.Until(t, "streams to end", func() bool { return g.srv.Stats().Streams == 0 })
	if status, _ := g.do("GET", "/_ping", "", ""); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
	g.recorded(4)
}

func TestHeadersAreLimited(t *testing.T) {
	t.Parallel()
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {}, limits(Limits{HeaderBytes: 8 << 10}))
	if answer := g.raw("GET /_ping HTTP/1.1\r\nHost: d\r\nX: " + strings.Repeat("x", 16<<10) + "\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 431 ") {
		t.Errorf("answer %q", answer)
	}
}

func TestJSONBodiesAreLimited(t *testing.T) {
	t.Parallel()
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	big := `{"Image":"x","Labels":{"a":"` + strings.Repeat("x", 4<<20) + `"}}`
	if status, body := g.do("POST", "/containers/create", "application/json", big); status != 413 || !strings.Contains(body, "4194304 bytes") {
		t.Errorf("declared: %d %s", status, body)
	}
	chunked := fmt.Sprintf("POST /containers/create HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(big), big)
	c := g.dial()
	go func() { _, _ = io.WriteString(c, chunked) }()
	if line, _ := bufio.NewReader(c).ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 413 ") {
		t.Errorf("chunked: %q", line)
	}
	c = g.dial()
	_, _ = io.WriteString(c, "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 5000000\r\n\r\n") // and sends none of it
	if line, _ := bufio.NewReader(c).ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 413 ") {
		t.Errorf("announced: %q", line)
	}
	almost := `{"Image":"x","Labels":{"a":"` + strings.Repeat("x", 3<<20) + `"}}`
	if status, body := g.do("POST", "/containers/create", "application/json", almost); status != 200 {
		t.Errorf("below the limit: %d %s", status, body)
	}
	wait.Until(t, "no big body to be counted", func() bool { return g.srv.bigBody.Len() == 0 }) // a moment after its answer
	g.recorded(4)
}

func TestBigBodiesAtOneTimeAreLimited(t *testing.T) {
	t.Parallel()
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	half := fmt.Sprintf("POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", 1<<20, strings.Repeat(" ", bigBody+2))
	for range bigBodiesPerCaller {
		_, _ = io.WriteString(g.dial(), half)
	}
	wait.Until(t, "the big bodies", func() bool { return g.srv.bigBody.Len() == bigBodiesPerCaller })
	c := g.dial()
	_, _ = io.WriteString(c, half)
	if line, _ := bufio.NewReader(c).ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 503 ") {
		t.Errorf("got %q", line)
	}
	if status, _ := g.do("POST", "/containers/create", "application/json", `{"Image":"x"}`); status != 200 {
		t.Errorf("a small body meanwhile: %d", status)
	}
}

// Small bodies are held too while they come and are judged: one caller has so many, and
// the others have theirs.
func TestBodiesOfOneCallerAreLimitedClosed(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {}, limits(Limits{StreamsPerCaller: 3}))
	half := "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
	for range 3 {
		_, _ = io.WriteString(g.dial(), half)
	}
	wait.Until(t, "the bodies", func() bool { return g.srv.bodies.Len() == 3 })
	if status, body := g.do("POST", "/containers/create", "application/json", `{"Image":"x"}`); status != 503 || !strings.Contains(body, "too many request bodies") {
		t.Errorf("one more: %d %s", status, body)
	}
	if status, _ := g.do("GET", "/_ping", "", ""); status != 200 {
		t.Errorf("without a body: %d", status)
	}
	if !g.srv.bodies.Add("another") {
		t.Error("another caller has no place")
	}
}

// TestSlowClients: each timeout alone, so that none of them hangs on how soon the test itself is scheduled.
func TestSlowClients(t *testing.T) {
	const soon = 50 * time.Millisecond
	for name, tc := range map[string]struct {
		limits  Limits
		request string
		want    []string // how the answer may begin; "": that there is none
	}{
		"slow headers":          {Limits{HeaderTimeout: soon}, "GET /_ping HTTP/1.1\r\nHo", []string{"", "HTTP/1.1 40"}},
		"no request at all":     {Limits{HeaderTimeout: soon}, "", []string{""}},
		"slow body":             {Limits{BodyTimeout: soon}, "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", []string{"HTTP/1.1 408 "}},
		"idle between requests": {Limits{IdleTimeout: soon}, "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n", []string{"HTTP/1.1 200 "}},
	} {
		g := startHTTP(t, func(http.ResponseWriter, *http.Request) {}, limits(tc.limits))
		answer := g.raw(tc.request)
		if !slices.ContainsFunc(tc.want, func(w string) bool { return answer == w || w != "" && strings.HasPrefix(answer, w) }) {
			t.Errorf("%s: %q", name, answer)
		}
	}
}

// Timeouts are between requests, never within one.
func TestSilentStreamIsNotCut(t *testing.T) {
	t.Parallel()
	short := wait.Patience(300 * time.Millisecond)
	g := startRaw(t, echo(rawOK), limits(Limits{HeaderTimeout: short, BodyTimeout: short, IdleTimeout: short}))
	c := g.dial()
	_, _ = io.WriteString(c, "POST /exec/x/start HTTP/1.1\r\nHost: d\r\n"+execBody)
	br := bufio.NewReader(c)
	readHead(t, br)
	expect(t, br, "ready\n")
	_ = c.SetReadDeadline(time.Now().Add(4 * short))
	if _, err := br.ReadByte(); err == nil || err == io.EOF {
		t.Fatalf("the silent stream ended: %v", err)
	}
	_ = c.SetReadDeadline(time.Now().Add(wait.Patience(10 * time.Second)))
	_, _ = io.WriteString(c, "hello\n")
	expect(t, br, "HELLO\n")
}

func TestClientThatNeverReadsHoldsNobodyUp(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.RequestURI, "/containers/x/logs") {
			_, _ = io.CopyN(w, zeros{}, 1<<30)
			return
		}
		_, _ = io.WriteString(w, "[]")
	})
	var m0, m1 runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m0)
	for range 10 {
		c := g.dial()
		_, _ = io.WriteString(c, "GET /containers/x/logs HTTP/1.1\r\nHost: d\r\n\r\n")
	}
	wait.Until(t, "the streams", func() bool { return g.srv.Stats().Streams == 10 })
	for range 20 {
		if status, _ := g.do("GET", "/containers/json", "", ""); status != 200 {
			t.Fatalf("another caller got %d", status)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&m1)
	if grown := int64(m1.HeapAlloc) - int64(m0.HeapAlloc); grown > 10<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

func TestIdleConnectionsNeedLittle(t *testing.T) {
	const n = 1000
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {}, limits(Limits{ConnectionsPerCaller: 2 * n}))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range n {
		c := g.dial()
		if _, err := io.WriteString(c, "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		readHead(t, bufio.NewReaderSize(c, 256))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := (int64(after.HeapAlloc+after.StackInuse) - int64(before.HeapAlloc+before.StackInuse)) / n
	t.Logf("%d bytes a connection, both ends", per)
	if per > 48<<10 {
		t.Errorf("%d bytes a connection", per)
	}
	if status, _ := g.do("GET", "/_ping", "", ""); status != 200 {
		t.Errorf("a new caller got %d", status)
	}
}

func TestManyCallersAtOnceLeaveNothing(t *testing.T) {
	g := startRaw(t, func(g *rig, c *net.UnixConn, br *bufio.Reader, r *http.Request) {
		for {
			g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), nil)
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"); err != nil {
				return
			}
			var err error
			if r, err = http.ReadRequest(br); err != nil {
				return
			}
		}
	})
	before := openFiles(t)
	var wg sync.WaitGroup
	client := g.client()
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = 50
	for range 50 {
		wg.Go(func() {
			for range 40 {
				res, err := client.Get("http://docker/containers/json")
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != 200 {
					t.Errorf("status %d", res.StatusCode)
				}
			}
		})
	}
	wg.Wait()
	g.recorded(2000)
	client.CloseIdleConnections()
	g.srv.up.pool.drop(0)
	wait.Until(t, "descriptors to be closed", func() bool { return openFiles(t) <= before+1 })
}

// Readers who take nothing must not make the gateway hold answer upon answer.
func TestBigAnswersAtOneTimeAreLimited(t *testing.T) {
	big := `{"Config":{"Env":["A=b"],"Labels":{"a":"` + strings.Repeat("x", 8<<20) + `"}}}`
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.Contains(r.URL.Path, "big") {
			_, _ = io.WriteString(w, big)
		} else {
			_, _ = io.WriteString(w, `{"Config":{"Env":["A=b"]}}`)
		}
	})
	redacting()(g)
	const ask = "GET /containers/big/json HTTP/1.1\r\nHost: d\r\n\r\n"
	var slow []io.Closer
	for range bigAnswersPerCaller {
		c := g.dial()
		_, _ = io.WriteString(c, ask)
		slow = append(slow, c)
	}
	wait.Until(t, "the big answers", func() bool { return g.srv.bigAnswer.Len() == bigAnswersPerCaller })
	if answer := g.raw("GET /containers/big/json HTTP/1.0\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.0 503 ") || strings.Contains(answer, "xxx") || !strings.Contains(answer, "\r\nRetry-After: 1\r\n") {
		t.Errorf("one too many: %.300s", answer)
	}
	if status, body := g.do("GET", "/containers/small/json", "", ""); status != 200 {
		t.Errorf("a small one: %d %s", status, body)
	}
	for _, c := range slow {
		_ = c.Close()
	}
	wait.Until(t, "the big answers to end", func() bool { return g.srv.bigAnswer.Len() == 0 })
	if status, _ := g.do("GET", "/containers/big/json", "", ""); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

// TestLanesAreWaitedFor, and a connection with TLS has none.
func TestLanesAreWaitedFor(t *testing.T) {
	conns := newConnections(Limits{}.withDefaults())
	conns.add(&conn{secure: true})
	if n := len(conns.lanes()); n != 0 {
		t.Errorf("%d", n)
	}
	with := &conn{lane: new(lane.Lane)}
	conns.add(with)
	if all := conns.lanes(); len(all) != 1 || all[0] != with.lane {
		t.Errorf("%v", all)
	}
}

// TestOwnCallToAnEngineThatIsNotThere says so.
func TestOwnCallToAnEngineThatIsNotThere(t *testing.T) {
	s, err := New(newRig(t).config())
	if err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://docker/containers/json", nil)
	if res, err := s.SelfTransport().RoundTrip(r); err == nil {
		_ = res.Body.Close()
		t.Error("it is answered")
	}
}

// TestTicketsThatAreOutAreCounted, for as long as they are.
func TestTicketsThatAreOutAreCounted(t *testing.T) {
	g := newRig(t)
	s, err := New(g.config())
	if err != nil {
		t.Fatal(err)
	}
	pass := g.tickets.Issue(ticket.Entry{})
	if n := s.Stats().Tickets; n != 1 {
		t.Errorf("%d, and one is out", n)
	}
	g.tickets.Drop(pass)
	if n := s.Stats().Tickets; n != 0 {
		t.Errorf("%d, and none is out", n)
	}
}
