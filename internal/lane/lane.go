// Package lane is the short way of an HTTP/1.1 request that has arrived whole.
//
// An http.Server reads a connection that has a Lane through it. As long as the server waits for a request, the Lane
// looks at what comes first: if that is exactly one whole request, without anything unusual about it, the Lane has the
// handler answer it at once, in the server's own goroutine, and the server learns nothing of it. All else is the server's, byte for byte:
// what is not complete, what is followed by more, bodies in chunks, upgrades, expectations, connections that are to be
// closed, HTTP/1.0, and whatever is not understood. So there is one parser of requests, net/http's, and one that refuses
// them: the Lane takes a request or leaves it, and never answers with an error of its own.
//
// What it saves of each request is what the server does for those that go on for long or are still on their way: a
// goroutine that watches the client, a context with an end, timers, and two layers of buffers.
//
// What differs for the handler: the request's context does not end when the client leaves; a deadline for reading is
// without effect, as all is read; nothing guesses a Content-Type; a connection that it has hijacked is closed when it
// returns. Between the requests that it takes, the Lane sets the connection's read deadlines.
package lane

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a Lane is made of.
type Options struct {
	Handler http.Handler
	Context context.Context //nolint:containedctx // of the connection, for its requests
	Idle    time.Duration   // between two requests, as the server's IdleTimeout; 0: for ever
	Header  time.Duration   // for the rest of a request's head, as the server's ReadHeaderTimeout
	// Known says how a request is answered that is known by its bytes, before they are parsed, nil if it is not. Nothing may be
	// known but what was the [Raw] of a request, all of it. answer reports whether it has answered; else the Handler does. nil: nobody knows one.
	Known func(raw []byte) (answer func(w http.ResponseWriter) bool)
}

// Lane serves one connection. Read is the connection's for the server; who closes the connection for the server asks Keeps first.
// What it has left to the server once is the server's from then on, unless a [Listener] tells it when the server waits again. That is for clients who are
// trusted to send one request after another: of one that comes in pieces behind another, the Lane may take a piece for a whole one.
type Lane struct {
	Options
	inner net.Conn // what is read and written
	outer net.Conn // what the server has, and who hijacks gets

	waits  atomic.Bool // the server waits for a request, and has nothing of it
	whole  int         // the length of the server's empty buffer
	until  time.Time   // the read deadline between requests, or a little before it
	header http.Header // of the answer

	mu       sync.Mutex
	serving  bool
	served   bool
	hijacked bool
	ends     bool // with the request that is being served
}

// New makes the Lane of a connection. outer is the connection as the server has it, whose Read is the Lane's.
func New(inner, outer net.Conn, o Options) *Lane {
	l := &Lane{Options: o, inner: inner, outer: outer, header: http.Header{}}
	l.waits.Store(true)
	return l
}

// idled says that the server waits for a request again; its ConnState tells.
func (l *Lane) idled() { l.waits.Store(true) }

// taken says that the server has taken a request, and its handler begins. The head of one that came along with the one before needs no
// Read, so that its body would be looked at for a request.
func (l *Lane) taken() { l.waits.Store(false) }

// Read implements net.Conn for the server.
func (l *Lane) Read(p []byte) (int, error) {
	if !l.waits.Load() {
		return l.inner.Read(p)
	}
	if l.whole == 0 {
		l.whole = len(p)
	}
	for len(p) == l.whole { // else the server has the beginning of a request already
		n, err := l.inner.Read(p)
		if err != nil {
			return n, err
		}
		r, answer := l.recognized(p[:n])
		if r == nil && answer == nil {
			l.leave()
			return n, nil
		}
		if !l.serve(p[:n], r, answer) {
			return 0, io.EOF
		}
		l.idle()
	}
	l.waits.Store(false)
	return l.inner.Read(p)
}

// leave leaves what has arrived to the server.
func (l *Lane) leave() {
	l.waits.Store(false)
	if l.served && l.Header > 0 {
		_ = l.inner.SetReadDeadline(time.Now().Add(l.Header)) // an error shows in the next read
	}
}

// idle begins to wait for the next request. Deadlines are moved when it pays.
func (l *Lane) idle() {
	now := time.Now()
	if l.Idle > 0 && l.until.Sub(now) < l.Idle-l.Idle/64 {
		l.until = now.Add(l.Idle)
		_ = l.inner.SetReadDeadline(l.until) // an error shows in the next read
	}
}

// recognized is what has arrived: a request, or an answer to what is known; neither is left to the server.
func (l *Lane) recognized(raw []byte) (r *request, answer func(w http.ResponseWriter) bool) {
	if l.Known != nil {
		answer = l.Known(raw)
	}
	if answer == nil {
		r = parse(raw)
	}
	return r, answer
}

// serve has a request answered, and reports whether there may be another.
func (l *Lane) serve(raw []byte, r *request, answer func(w http.ResponseWriter) bool) (goesOn bool) {
	if !l.begin() {
		return false
	}
	w := newResponse(l, raw)
	defer w.free()
	defer func() { goesOn = l.end(goesOn) }() // a handler that panics has not answered: the server closes the connection
	switch {
	case r != nil:
		l.handle(w, r)
	case !answer(w):
		if r = parse(raw); r == nil { // who knew it was wrong
			return false
		}
		l.handle(w, r)
	}
	return w.finish()
}

func (l *Lane) handle(w *response, r *request) {
	defer r.free()
	w.in = r.in.r
	l.Handler.ServeHTTP(w, r.WithContext(l.Context))
	_ = r.Body.Close() // before the answer is whole: then nobody reads on whoever sees it
}

func (l *Lane) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ends {
		return false
	}
	if !l.served { // the deadline of the first request's head
		_ = l.inner.SetReadDeadline(time.Time{})
	}
	l.serving, l.served = true, true
	l.waits.Store(false)
	return true
}

func (l *Lane) end(answered bool) (goesOn bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serving = false
	goesOn = answered && !l.ends
	l.waits.Store(goesOn)
	return goesOn
}

// Keeps reports whether a connection that the server closes goes on until the request that it does not know of is
// answered. Then it must not be closed now; the server will close it once more.
func (l *Lane) Keeps() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.serving || l.hijacked {
		return false
	}
	l.ends = true
	return true
}

// drain takes no more requests: a Read that waits for one ends.
func (l *Lane) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends = true
	if l.served && l.waits.Load() {
		_ = l.inner.SetReadDeadline(time.Unix(1, 0)) // an error shows in the next read
	}
}

// isServing reports whether a request is being answered of which the server does not know.
func (l *Lane) isServing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.serving && !l.hijacked
}

// request is one that arrived whole.
type request struct {
	*http.Request
	in *input
}

// input is what a request is read from.
type input struct {
	bytes bytes.Reader
	r     *bufio.Reader
}

var inputs = sync.Pool{New: func() any { return &input{r: bufio.NewReader(nil)} }}

func (r *request) free() {
	if r.Request != nil { // who reads on must not read another request; all that there is of the body is in memory
		_ = r.Body.Close()
	}
	r.in.bytes.Reset(nil)
	inputs.Put(r.in)
}

// parse gives the request that b is, or nil if b is anything else than just one, or one that the Lane leaves.
func parse(b []byte) *request {
	in := inputs.Get().(*input) //nolint:forcetypeassert // its New makes nothing else
	in.bytes.Reset(b)
	in.r.Reset(&in.bytes)
	r := &request{in: in}
	var err error
	if r.Request, err = http.ReadRequest(in.r); err == nil {
		body := in.r.Buffered() + in.bytes.Len()
		if r.ContentLength == int64(body) && plain(r.Request, b[:len(b)-body]) { // a body in chunks has no length
			return r
		}
	}
	r.free()
	return nil
}

// plain reports whether there is nothing about a request for which the server has rules beyond those of
// http.ReadRequest. It asks for more than they do: what it does not know is not plain.
func plain(r *http.Request, head []byte) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete:
	default:
		return false
	}
	if r.Proto != "HTTP/1.1" || r.RequestURI[0] != '/' || !named(r.Host, "-._~%:[]") && !hosted(r.Host, head) {
		return false
	}
	for name, values := range r.Header {
		goesOn := name == "Connection" && len(values) == 1 && strings.EqualFold(values[0], "keep-alive")
		if !ordinary(name) && !goesOn {
			return false
		}
		for _, v := range values {
			if !visible(v) {
				return false
			}
		}
	}
	return true
}

// hosted reports whether the host is empty because the client says so, as dockerd 20.10 does in its questions to plugins. For the
// server one that says nothing is no client of HTTP/1.1, and http.ReadRequest does not tell the two apart.
func hosted(host string, head []byte) bool {
	return host == "" && bytes.Contains(head, []byte("\r\nHost: \r\n"))
}

// ordinary reports whether a header is none of those that change how a request is read, or what comes after it.
func ordinary(name string) bool {
	switch name {
	case "Connection", "Expect", "Upgrade", "Http2-Settings", "Te", "Trailer", "Transfer-Encoding", "Keep-Alive", "Proxy-Connection",
		"Proxy-Authorization", "Pragma":
		return false
	}
	return named(name, "-_")
}

// named reports whether all of a name is letters, digits and of those others.
func named(name, others string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return name != ""
}

// visible reports whether a value is of visible ASCII, and spaces.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
