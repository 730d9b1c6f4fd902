package lane

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	undecided = 2048     // how much of a body waits for its end, which says its length; as in net/http
	gathered  = 8 << 10  // what is written at once, if nobody flushes
	kept      = 32 << 10 // a buffer that grew beyond is not used again
)

// Raw is the request that w answers, head and body, if it has arrived whole, and nil if not. It is there, and must not be changed,
// until the handler returns.
func Raw(w http.ResponseWriter) []byte {
	if by, is := w.(*response); is {
		return by.raw
	}
	return nil
}

// framing is how a client knows where a body ends.
type framing int

const (
	later   framing = iota // not decided
	none                   // there is no body, whatever the handler writes
	length                 // by Content-Length
	chunked                // in chunks
)

// response is the http.ResponseWriter of one request.
type response struct {
	lane   *Lane
	raw    []byte        // the request
	in     *bufio.Reader // what of it the handler has not read
	header http.Header
	status int // 0: the head is not made

	framing  framing
	declared int64 // of length
	written  int64 // of the body
	closes   bool
	deadline bool // for writing: there is one

	out *out
	err error // of the connection
}

// out is what is to be written.
type out struct{ head, body []byte }

var outs = sync.Pool{New: func() any { return new(out) }}

func newResponse(l *Lane, raw []byte) *response {
	clear(l.header)
	return &response{lane: l, raw: raw, header: l.header, out: outs.Get().(*out)} //nolint:forcetypeassert // its New makes nothing else
}

// free gives the buffers back; the response fails from then on.
func (w *response) free() {
	o := w.out
	w.out, w.raw, w.err = &out{}, nil, net.ErrClosed
	if cap(o.head) <= kept {
		o.head, o.body = o.head[:0], o.body[:0]
		outs.Put(o)
	}
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. It makes the head, but for what depends on the body.
func (w *response) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	b := append(w.out.head, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(append(append(b, ' '), http.StatusText(status)...), '\r', '\n')
	for name, values := range w.header {
		if w.frames(name) || !named(name, "!#$%&'*+-.^_`|~") {
			continue
		}
		for _, v := range values {
			b = append(append(b, name...), ": "...)
			b = append(appendValue(b, v), '\r', '\n')
		}
	}
	if _, has := w.header["Date"]; !has {
		b = append(append(append(b, "Date: "...), date()...), '\r', '\n')
	}
	w.closes = strings.EqualFold(w.value("Connection"), "close")
	w.out.head = b
	w.frame()
}

// value is http.Header's Get of a name that needs not be made canonical.
func (w *response) value(name string) string {
	if values := w.header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// frames reports whether a header is not written as the handler has it.
func (w *response) frames(name string) bool {
	switch name {
	case "Content-Length", "Transfer-Encoding", "Trailer":
		return true
	case "Content-Type":
		return w.status == http.StatusNotModified
	}
	return strings.HasPrefix(name, http.TrailerPrefix)
}

// frame decides how the body is framed, as far as the head tells.
func (w *response) frame() {
	declared, err := strconv.ParseUint(w.value("Content-Length"), 10, 63)
	switch chunks := w.value("Transfer-Encoding") != ""; {
	case w.bodiless():
		w.decide(none)
	case chunks:
		w.decide(chunked)
	case err == nil:
		w.declared = int64(declared)
		w.decide(length)
	}
}

func (w *response) head() bool { return bytes.HasPrefix(w.raw, []byte("HEAD ")) }

// bodiless reports whether an answer with the status has no body.
func (w *response) bodiless() bool {
	return w.status < 200 || w.status == http.StatusNoContent || w.status == http.StatusNotModified
}

// decide ends the head.
func (w *response) decide(f framing) {
	if w.head() && f == chunked {
		f = none
	}
	switch w.framing = f; f {
	case length:
		w.lengthOf(w.declared)
	case chunked:
		w.out.head = append(w.out.head, "Transfer-Encoding: chunked\r\n"...)
	case later, none:
	}
	w.out.head = append(w.out.head, '\r', '\n')
	if body := w.out.body; len(body) > 0 {
		w.out.body = body[:0]
		w.emit(body)
	}
}

func (w *response) lengthOf(n int64) {
	w.out.head = strconv.AppendInt(append(w.out.head, "Content-Length: "...), n, 10)
	w.out.head = append(w.out.head, '\r', '\n')
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if len(p) == 0 {
		return 0, w.err
	}
	if w.bodiless() {
		return 0, http.ErrBodyNotAllowed
	}
	w.written += int64(len(p))
	switch w.framing {
	case none:
		return len(p), nil
	case length:
		if w.written > w.declared {
			return 0, http.ErrContentLength
		}
	case later:
		if len(w.out.body)+len(p) <= undecided {
			w.out.body = append(w.out.body, p...)
			return len(p), w.err
		}
		w.decide(chunked)
	case chunked:
	}
	w.emit(p)
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// emit writes a piece of the body, at the latest with the next flush.
func (w *response) emit(p []byte) {
	if w.err != nil || w.head() {
		return
	}
	end := ""
	if w.framing == chunked {
		end = "\r\n"
		w.out.head = append(strconv.AppendInt(w.out.head, int64(len(p)), 16), end...)
	}
	if len(w.out.head)+len(p) <= gathered {
		w.out.head = append(append(w.out.head, p...), end...)
		return
	}
	pieces := net.Buffers{w.out.head, p, []byte(end)}
	_, w.err = pieces.WriteTo(w.lane.inner)
	w.out.head = w.out.head[:0]
}

// FlushError implements what http.ResponseController asks for.
func (w *response) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.framing == later {
		w.decide(chunked)
	}
	return w.send()
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

func (w *response) send() error {
	if w.err == nil && len(w.out.head) > 0 {
		_, w.err = w.lane.inner.Write(w.out.head)
		w.out.head = w.out.head[:0]
	}
	return w.err
}

// finish ends the answer, and reports whether the connection can go on: not one that is somebody else's now.
func (w *response) finish() bool {
	if w.lane.isHijacked() {
		return false
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.framing == later && w.head() && w.written == 0: // the handler may have seen that no body is asked for
		w.decide(none)
	case w.framing == later:
		w.declared = w.written
		w.decide(length)
	}
	if w.framing == chunked {
		w.out.head = append(w.out.head, "0\r\n\r\n"...)
	}
	defer w.unbound()
	return w.send() == nil && !w.closes && (w.framing != length || w.head() || w.written == w.declared)
}

// SetReadDeadline has nothing to bound: all of the request is read.
func (w *response) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline bounds the writing of the answer.
func (w *response) SetWriteDeadline(t time.Time) error {
	w.deadline = true
	return w.lane.inner.SetWriteDeadline(t)
}

// unbound ends the deadline, which is no other answer's.
func (w *response) unbound() {
	if w.deadline {
		_ = w.SetWriteDeadline(time.Time{}) // an error shows in the next write
	}
}

// EnableFullDuplex has nothing to do: all of the request is read.
func (w *response) EnableFullDuplex() error { return nil }

// Hijack implements http.Hijacker.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	l := w.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hijacked {
		return nil, nil, http.ErrHijacked
	}
	l.hijacked = true
	_ = l.inner.SetDeadline(time.Time{}) // an error shows in the next read
	unread, _ := io.ReadAll(w.in)        // from memory; as the server does it, a body is the first of what is tunneled
	in := io.MultiReader(bytes.NewReader(unread), l.outer)
	return l.outer, bufio.NewReadWriter(bufio.NewReader(in), bufio.NewWriter(l.outer)), nil
}

func (l *Lane) isHijacked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hijacked
}

// appendValue appends a header's value, on one line.
func appendValue(b []byte, v string) []byte {
	from := len(b)
	b = append(b, strings.Trim(v, " \t\r\n")...)
	for i := from; i < len(b); i++ {
		if b[i] == '\r' || b[i] == '\n' {
			b[i] = ' '
		}
	}
	return b
}

// dated is the date of one second.
type dated struct {
	second int64
	text   []byte
}

var today atomic.Pointer[dated]

// date is the value of a Date header.
func date() []byte {
	now := time.Now()
	if d := today.Load(); d != nil && d.second == now.Unix() {
		return d.text
	}
	d := &dated{now.Unix(), now.UTC().AppendFormat(nil, http.TimeFormat)}
	today.Store(d)
	return d.text
}
