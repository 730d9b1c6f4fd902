package lane

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/test/wait"
)

// place is an http.Server on a Unix socket, with lanes or without.
type place struct {
	t     *testing.T
	path  string
	lanes *Listener    // nil: without
	taken atomic.Int32 // requests that went by a lane
}

func open(t *testing.T, lanes bool, h http.Handler) *place {
	t.Helper()
	return openWith(t, lanes, h, func(*http.Server) {})
}

func openWith(t *testing.T, lanes bool, h http.Handler, set func(*http.Server)) *place {
	t.Helper()
	p := &place{t: t, path: filepath.Join(t.TempDir(), "s")}
	l, err := net.Listen("unix", p.path)
	if err != nil {
		t.Fatal(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, by := w.(*response); by {
			p.taken.Add(1)
		}
		h.ServeHTTP(w, r)
	})
	srv := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), ReadHeaderTimeout: time.Minute, IdleTimeout: time.Minute}
	set(srv)
	if lanes {
		p.lanes = NewListener(srv, l)
		l = p.lanes
	}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return p
}

func (p *place) dial() net.Conn {
	p.t.Helper()
	c, err := net.Dial("unix", p.path)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}

// send sends pieces, each when the one before has been read, and gives all that is answered until the end.
func (p *place) send(pieces ...string) string {
	p.t.Helper()
	c := p.dial()
	for i, piece := range pieces {
		if i > 0 {
			time.Sleep(20 * time.Millisecond) // so that it is likely to be a read of its own; nothing hangs on it
		}
		if _, err := io.WriteString(c, piece); err != nil {
			break
		}
	}
	_ = c.(*net.UnixConn).CloseWrite()
	answer, _ := io.ReadAll(c)
	return dateOf.ReplaceAllString(string(answer), "Date: now")
}

var dateOf = regexp.MustCompile(`Date: [^\r]*`)

// said is what a handler may do with an answer.
var said = map[string]http.HandlerFunc{
	"/nothing": func(http.ResponseWriter, *http.Request) {},
	"/short":   func(w http.ResponseWriter, _ *http.Request) { typed(w); _, _ = io.WriteString(w, "short") },
	"/long": func(w http.ResponseWriter, _ *http.Request) {
		typed(w)
		for range 5 {
			_, _ = io.WriteString(w, strings.Repeat("x", 1000))
		}
	},
	"/zero": declares("0", ""),
	"/2048": declares("", strings.Repeat("x", 2048)),
	"/101":  func(w http.ResponseWriter, _ *http.Request) { typed(w); w.WriteHeader(http.StatusSwitchingProtocols) },
	"/huge": func(w http.ResponseWriter, _ *http.Request) {
		typed(w)
		w.Header().Set("Content-Length", "300000")
		_, _ = w.Write(make([]byte, 300000))
	},
	"/chunks": func(w http.ResponseWriter, _ *http.Request) {
		typed(w)
		w.Header().Set("Transfer-Encoding", "chunked")
		_, _ = io.WriteString(w, "a chunk")
	},
	"/flushed": func(w http.ResponseWriter, _ *http.Request) {
		typed(w)
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, "one")
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(bytes.Repeat([]byte("two"), 20000))
	},
	"/204": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		_, err := w.Write(nil)
		_, err2 := io.WriteString(w, "x")
		if err != nil || !errors.Is(err2, http.ErrBodyNotAllowed) {
			panic(fmt.Sprint(err, err2))
		}
	},
	"/304": func(w http.ResponseWriter, _ *http.Request) {
		typed(w)
		w.WriteHeader(http.StatusNotModified)
	},
	"/less": func(w http.ResponseWriter, _ *http.Request) {
		typed(w)
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "less")
	},
	"/more": func(w http.ResponseWriter, _ *http.Request) {
		typed(w)
		w.Header().Set("Content-Length", "3")
		if _, err := io.WriteString(w, "more"); !errors.Is(err, http.ErrContentLength) {
			panic(err)
		}
		_, _ = io.WriteString(w, "mor")
	},
	"/close": func(w http.ResponseWriter, _ *http.Request) {
		typed(w)
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, "bye")
	},
	"/lines": func(w http.ResponseWriter, _ *http.Request) {
		typed(w)
		w.Header().Set("X-Lines", "one\r\nInjected: yes\n")
		w.Header().Set("Bad Name", "x")
		w.Header()["Nobody"] = nil
		w.WriteHeader(http.StatusTeapot)
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, "x")
	},
	"/abort": func(w http.ResponseWriter, _ *http.Request) {
		typed(w)
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	},
	"/hijack": func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(c, "tunnel\n")
		_, _ = io.Copy(c, rw)
		_ = c.Close()
	},
	"/echo": func(w http.ResponseWriter, r *http.Request) { typed(w); _, _ = io.WriteString(w, seen(r)) },
}

func declares(length, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		typed(w)
		if length != "" {
			w.Header().Set("Content-Length", length)
		}
		_, _ = io.WriteString(w, body)
	}
}

func typed(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/plain") }

// seen is all of a request that a handler can see.
func seen(r *http.Request) string {
	body, err := io.ReadAll(r.Body)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %s %d %v %v %q %v\n", r.Method, r.RequestURI, r.Proto, r.Host, r.ContentLength, r.TransferEncoding, r.Close, body, err)
	for _, k := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(&b, "%q: %q\n", k, r.Header[k])
	}
	return b.String()
}

var handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if h := said[r.URL.Path]; h != nil {
		h(w, r)
		return
	}
	http.Error(w, "no such page", http.StatusNotFound)
})

// TestSameAnswersAsTheServers: who asks cannot tell which way it was answered, but for the order of headers.
func TestSameAnswersAsTheServers(t *testing.T) {
	with, without := open(t, true, handler), open(t, false, handler)
	for path := range said {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			request := method + " " + path + "?a=b HTTP/1.1\r\nHost: docker\r\nX-A: b\r\n\r\n"
			if method == "POST" {
				request = method + " " + path + " HTTP/1.1\r\nHost: \r\nConnection: Keep-Alive\r\nContent-Length: 4\r\n\r\nbody" // no host: dockerd 20.10 asks so
			}
			before := with.taken.Load()
			got, want := with.send(request), without.send(request)
			if headSorted(got) != headSorted(want) {
				t.Errorf("%s %s: %.300q, and the server's %.300q", method, path, got, want)
			}
			if with.taken.Load() == before {
				t.Errorf("%s %s did not go by the lane", method, path)
			}
		}
	}
}

// headSorted sorts the head's lines, and takes pieces of a body together that are only cut otherwise.
func headSorted(answer string) string {
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	slices.Sort(lines[1:])
	if strings.Contains(head, "Transfer-Encoding: chunked") {
		whole, err := io.ReadAll((&http.Response{Body: io.NopCloser(chunkedReader(body))}).Body)
		body = fmt.Sprint(string(whole), err)
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

func chunkedReader(body string) io.Reader {
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+body)), nil)
	if err != nil {
		return strings.NewReader(err.Error())
	}
	return res.Body
}

// What is not just one whole, ordinary request is the server's, and answered as the server does.
var left = map[string][]string{
	"two at once":             {"GET /echo HTTP/1.1\r\nHost: d\r\n\r\nGET /echo HTTP/1.1\r\nHost: d\r\n\r\n"},
	"in two pieces":           {"GET /echo HTTP/1.1\r\nHo", "st: d\r\n\r\n"},
	"a body that comes late":  {"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\n", "body"},
	"more than its body":      {"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\nbody"},
	"chunks":                  {"POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"},
	"a length and chunks":     {"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	"two lengths":             {"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody"},
	"a length with a sign":    {"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: +4\r\n\r\nbody"},
	"HTTP/1.0":                {"GET /echo HTTP/1.0\r\nHost: d\r\n\r\n"},
	"no host":                 {"GET /echo HTTP/1.1\r\n\r\n"},
	"a host in the body":      {"POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\n\r\nHost: \r\n"},
	"two hosts":               {"GET /echo HTTP/1.1\r\nHost: d\r\nHost: e\r\n\r\n"},
	"a host in the next line": {"GET /echo HTTP/1.1\r\nHost: \r\n d d\r\n\r\n"},
	"a host with a space":     {"GET /echo HTTP/1.1\r\nHost: d d\r\n\r\n"},
	"an absolute target":      {"GET http://d/echo HTTP/1.1\r\nHost: d\r\n\r\n"},
	"an expectation":          {"POST /echo HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"},
	"an upgrade":              {"GET /echo HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"},
	"an end":                  {"GET /echo HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"},
	"an end in a list":        {"GET /echo HTTP/1.1\r\nHost: d\r\nConnection: keep-alive, close\r\n\r\n"},
	"a name with a space":     {"GET /echo HTTP/1.1\r\nHost : d\r\n\r\n"},
	"a value of bytes":        {"GET /echo HTTP/1.1\r\nHost: d\r\nX: \x01\r\n\r\n"},
	"a value beyond ASCII":    {"GET /echo HTTP/1.1\r\nHost: d\r\nX: \xc3\xa4\r\n\r\n"},
	"HTTP/2":                  {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	"another method":          {"PATCH /echo HTTP/1.1\r\nHost: d\r\n\r\n"},
	"no HTTP":                 {"hello\r\n\r\n"},
	"a line before":           {"\r\nGET /echo HTTP/1.1\r\nHost: d\r\n\r\n"},
	"a bad escape":            {"GET /%zz HTTP/1.1\r\nHost: d\r\n\r\n"},
	"a trailer":               {"GET /echo HTTP/1.1\r\nHost: d\r\nTrailer: X\r\n\r\n"},
	"a pragma":                {"GET /echo HTTP/1.1\r\nHost: d\r\nPragma: no-cache\r\n\r\n"},
	"more than a buffer":      {"GET /echo HTTP/1.1\r\nHost: d\r\nX: " + strings.Repeat("x", 5000) + "\r\n\r\n"},
}

func TestLeftToTheServerClosed(t *testing.T) {
	leavesToTheServer(t, left)
}

// leavesToTheServer: what comes in pieces is answered as the server answers it, and nothing of it goes by the lane.
func leavesToTheServer(t *testing.T, all map[string][]string) {
	t.Helper()
	with, without := open(t, true, handler), open(t, false, handler)
	for what, pieces := range all {
		got, want := with.send(pieces...), without.send(pieces...)
		if headSorted(got) != headSorted(want) {
			t.Errorf("%s: %.300q, and the server's %.300q", what, got, want)
		}
		if n := with.taken.Swap(0); n > 0 {
			t.Errorf("%s: %d went by the lane", what, n)
		}
	}
}

// TestBeginningOfARequestClosed: where the server has the beginning of a request, what comes then is its
// continuation, though it looks like a whole one.
func TestBeginningOfARequestClosed(t *testing.T) {
	const whole = "GET /echo HTTP/1.1\r\nHost: d\r\n\r\n"
	all := map[string][]string{}
	for _, begun := range []string{"X", "PO", "POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 60\r\n\r\n", whole + "DE", whole + "X"} {
		all[begun] = []string{begun, whole}
	}
	leavesToTheServer(t, all)
}

// TestBodyOfWhatCameAlongClosed: what is in a body is no request, also where the body's head came along with the request before.
func TestBodyOfWhatCameAlongClosed(t *testing.T) {
	const inner = "DELETE /inner HTTP/1.1\r\nHost: x\r\n\r\n"
	var asked atomic.Int32
	p := open(t, true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/inner" {
			asked.Add(1)
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s had %q", r.URL.Path, body)
	}))
	answer := p.send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n"+fmt.Sprintf("POST /second HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(inner)), inner)
	if asked.Load() != 0 || !strings.Contains(answer, fmt.Sprintf("/second had %q", inner)) {
		t.Errorf("asked %d times for what is in a body:\n%s", asked.Load(), answer)
	}
}

// TestBothWaysInTurn on one connection: after the server's turn comes the lane's again. Who asks at once may find the
// server still there, which has read the first byte of it then.
func TestBothWaysInTurn(t *testing.T) {
	p := open(t, true, handler)
	c := p.dial()
	r := bufio.NewReader(c)
	exchange := func(request string) {
		t.Helper()
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || !strings.HasPrefix(string(body), request[:9]) {
			t.Fatalf("%q, %v", body, err)
		}
	}
	for i := range int32(3) {
		exchange("POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
		wait.Until(t, "a request to go by the lane", func() bool {
			exchange("GET /echo HTTP/1.1\r\nHost: d\r\n\r\n")
			return p.taken.Load() > i
		})
	}
}

// TestEndWaitsForTheAnswer: a server that is shut down leaves nobody without an answer, and no connection open.
func TestEndWaitsForTheAnswer(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	p := open(t, true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-goOn
		}
		typed(w)
		_, _ = io.WriteString(w, "done")
	}))
	busy, idle := p.dial(), p.dial()
	if _, err := io.WriteString(busy, "POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"); err != nil { // for the server it is idle then
		t.Fatal(err)
	}
	answered(t, busy)
	wait.Until(t, "the lane's turn", func() bool { ask(t, busy, "/"); return p.taken.Load() > 0 })
	ask(t, idle, "/")
	if _, err := io.WriteString(busy, "GET /slow HTTP/1.1\r\nHost: d\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-begun
	ended := make(chan struct{})
	go func() {
		p.lanes.Shutdown(t.Context())
		close(ended)
	}()
	if n, err := idle.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the idle one: %d, %v", n, err)
	}
	select {
	case <-ended:
		t.Error("the server has ended before the answer")
	default:
	}
	close(goOn)
	answer, err := io.ReadAll(busy)
	if err != nil || !strings.HasSuffix(string(answer), "done") {
		t.Errorf("%q, %v", answer, err)
	}
	<-ended
	if n := len(p.lanes.lanes()); n > 0 {
		t.Errorf("%d connections are open", n)
	}
}

// TestEndDoesNotWaitForever for what goes by a lane.
func TestEndDoesNotWaitForever(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	p := open(t, true, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(begun); <-goOn }))
	defer close(goOn)
	c := p.dial()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: d\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	p.lanes.Shutdown(ctx)
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d, %v", n, err)
	}
}

// TestBodyIsOnesOwnClosed: a handler that goes on to read when it has returned reads nothing of another request.
func TestBodyIsOnesOwnClosed(t *testing.T) {
	bodies := make(chan io.Reader, 1)
	p := open(t, true, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { bodies <- r.Body }))
	c := p.dial()
	first := "POST /first HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\nmine"
	for _, text := range []string{first, strings.ReplaceAll(first, "mine", "next")} {
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		body := <-bodies
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", answer, err)
		}
		if left, err := io.ReadAll(body); len(left) > 0 || err == nil {
			t.Errorf("it reads %q on, %v", left, err)
		}
	}
	if p.taken.Load() != 2 {
		t.Errorf("%d requests went by the lane", p.taken.Load())
	}
}

func ask(t *testing.T, c net.Conn, path string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: d\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	answered(t, c)
}

// answered reads one answer.
func answered(t *testing.T, c net.Conn) {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
}

// FuzzTaken: what a lane takes the server reads as one request, and as the same; what it does not read, the lane leaves.
func FuzzTaken(f *testing.F) {
	for _, pieces := range left {
		f.Add([]byte(strings.Join(pieces, "")))
	}
	f.Add([]byte("GET /v1.41/containers/json?filters=%7B%22a%22%3A%5B%5D%7D HTTP/1.1\r\nHost: docker\r\nUser-Agent: x\r\n\r\n"))
	f.Add([]byte("POST /x HTTP/1.1\r\nHost: \r\nContent-Length: 10\r\n\r\n\r\nHost: \r\n"))
	f.Add([]byte("POST /x HTTP/1.1\r\nHost: docker\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}"))
	f.Add([]byte("GET /echo HTTP/1.1\r\nHost: d\r\nX: a\r\n b\r\n\r\n"))
	f.Add([]byte("DELETE /x HTTP/1.1\nHost: docker\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := parse(b)
		if r == nil {
			return
		}
		defer r.free()
		got := seen(r.Request)
		if reads := serverReads(b); len(reads) != 1 || reads[0] != got {
			t.Errorf("%q is %q, and the server reads %q", b, got, reads)
		}
	})
}

// serverReads gives the requests that a server without lanes reads.
func serverReads(b []byte) (requests []string) {
	client, server := net.Pipe()
	done := make(chan struct{})
	srv := &http.Server{
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { requests = append(requests, seen(r)) }),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				close(done)
			}
		},
	}
	defer srv.Close()
	l := &oneConn{conn: make(chan net.Conn, 1), end: make(chan struct{})}
	l.conn <- server
	go func() { _ = srv.Serve(l) }()
	go func() { _, _ = io.Copy(io.Discard, client) }()
	_, _ = client.Write(b)
	_ = client.Close()
	<-done
	return requests
}

type oneConn struct {
	conn chan net.Conn
	end  chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.end:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error   { close(l.end); return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{} }
