package lane

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// script is a connection of which each read gives what the next line of it says, and then the end.
type script struct {
	net.Conn
	reads     []func() string
	deadlines []time.Time // for reading, as they were set
	failing   bool        // writes fail
	wrote     bytes.Buffer
}

func says(texts ...string) *script {
	s := &script{}
	for _, text := range texts {
		s.reads = append(s.reads, func() string { return text })
	}
	return s
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.reads) == 0 {
		return 0, io.EOF
	}
	next := s.reads[0]
	s.reads = s.reads[1:]
	return copy(p, next()), nil
}

func (s *script) Write(p []byte) (int, error) {
	if s.failing {
		return 0, errors.New("broken")
	}
	return s.wrote.Write(p)
}

func (s *script) SetReadDeadline(t time.Time) error { s.deadlines = append(s.deadlines, t); return nil }
func (s *script) SetWriteDeadline(time.Time) error  { return nil }
func (s *script) SetDeadline(time.Time) error       { return nil }

const (
	plainGet = "GET /echo HTTP/1.1\r\nHost: d\r\n\r\n"
	buffer   = 4096 // of the server, when it is empty
)

// counts is a handler that says how often it was asked.
type counts struct{ asked int }

func (c *counts) ServeHTTP(http.ResponseWriter, *http.Request) { c.asked++ }

func newLane(s *script, h http.Handler, o Options) *Lane {
	o.Handler, o.Context = h, context.Background()
	return New(s, s, o)
}

// gives reads as the server does, with so much room, and wants that text.
func gives(t *testing.T, l *Lane, room int, want string) {
	t.Helper()
	p := make([]byte, room)
	n, err := l.Read(p)
	if got := string(p[:n]); got != want || want == "" && !errors.Is(err, io.EOF) || want != "" && err != nil {
		t.Errorf("the server reads %q, %v, want %q", got, err, want)
	}
}

// TestRestOfARequestIsTheServersClosed: once the server has the beginning of a request nothing is looked at for another one, though
// its buffer is empty again, until it waits for a request.
func TestRestOfARequestIsTheServersClosed(t *testing.T) {
	const head = "POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 33\r\n\r\n"
	for what, rooms := range map[string][]int{"the lane left it": {buffer, buffer}, "the server had a byte of it": {buffer - 1, buffer}} {
		h := &counts{}
		l := newLane(says(plainGet, plainGet, head, plainGet, plainGet), h, Options{})
		p := make([]byte, buffer)
		l.whole = buffer
		if rooms[0] == buffer { // two by the lane, and a head that it leaves
			n, err := l.Read(p)
			if string(p[:n]) != head || err != nil || h.asked != 2 {
				t.Fatalf("%s: %q, %v, asked %d times", what, p[:n], err, h.asked)
			}
		} else {
			gives(t, l, rooms[0], plainGet)
			gives(t, l, rooms[1], plainGet)
			gives(t, l, rooms[1], head)
		}
		before := h.asked
		gives(t, l, rooms[1], plainGet) // its body
		if h.asked != before {
			t.Errorf("%s: a body was taken for a request", what)
		}
		l.idled()
		gives(t, l, buffer, "")
		if h.asked != before+1 {
			t.Errorf("%s: when the server waits again, %d requests more went by the lane", what, h.asked-before)
		}
	}
}

// TestConnectionToBeClosedIsReadNoMoreClosed: a server that closed it waits for the answer, and not for another request.
func TestConnectionToBeClosedIsReadNoMoreClosed(t *testing.T) {
	s := says(plainGet, plainGet)
	var l *Lane
	l = newLane(s, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if !l.Keeps() {
			t.Error("it is closed before the answer")
		}
	}), Options{})
	gives(t, l, buffer, "")
	if len(s.reads) != 1 {
		t.Errorf("%d reads are left of the one behind it", len(s.reads))
	}
	h := &counts{}
	s = says("", plainGet)
	l = newLane(s, h, Options{})
	s.reads[0] = func() string { l.drain(); return plainGet } // it comes as the server ends
	if gives(t, l, buffer, ""); h.asked != 0 || len(s.reads) != 1 {
		t.Error("a server that has ended begins with a request")
	}
}

// TestDrainEndsOnlyWaitingForARequestClosed: not what the server reads of one, and no tunnel.
func TestDrainEndsOnlyWaitingForARequestClosed(t *testing.T) {
	ended := func(s *script) bool {
		return len(s.deadlines) > 0 && !s.deadlines[len(s.deadlines)-1].IsZero()
	}
	s := says(plainGet, "POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\n", "body")
	l := newLane(s, &counts{}, Options{})
	if _, err := l.Read(make([]byte, buffer)); err != nil {
		t.Fatal(err)
	}
	if l.drain(); ended(s) {
		t.Error("the server cannot read the rest of a request")
	}
	s = says(plainGet)
	l = newLane(s, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, _, err := http.NewResponseController(w).Hijack(); err != nil {
			t.Error(err)
		}
		if l.drain(); ended(s) {
			t.Error("a tunnel cannot be read")
		}
	}), Options{})
	gives(t, l, buffer, "")
	s = says(plainGet)
	s.reads = append(s.reads, func() string { l.drain(); return "" })
	l = newLane(s, &counts{}, Options{})
	if _, _ = l.Read(make([]byte, buffer)); !ended(s) {
		t.Error("it goes on to wait for a request")
	}
}

// TestTimeForAHead is the server's for the first one, and begins with its first bytes for others; without a limit there is none.
func TestTimeForAHead(t *testing.T) {
	for _, tc := range []struct {
		header time.Duration
		before []string
		set    int
	}{{time.Minute, nil, 0}, {time.Minute, []string{plainGet}, 2}, {0, []string{plainGet}, 1}} {
		s := says(append(tc.before, "GET /")...)
		l := newLane(s, &counts{}, Options{Header: tc.header})
		if gives(t, l, buffer, "GET /"); len(s.deadlines) != tc.set { // the end of the first head's is one
			t.Errorf("%+v: %v", tc, s.deadlines)
		}
	}
}

// TestHijackedConnectionIsNobodyElsesClosed: nothing that comes on it is a request, though it looks like one, and nothing is written
// to it but by who has it.
func TestHijackedConnectionIsNobodyElsesClosed(t *testing.T) {
	p := open(t, true, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(c, "go on ")
		got := make([]byte, len(plainGet))
		if _, err := io.ReadFull(rw, got); err != nil || string(got) != plainGet {
			t.Errorf("the tunnel has %q, %v", got, err)
		}
		_, _ = io.WriteString(c, "bye") // and whoever closes it has nothing to add
	}))
	c := p.dial()
	begun := make([]byte, len("go on "))
	for _, step := range []func() error{
		func() error { _, err := io.WriteString(c, plainGet); return err },
		func() error { _, err := io.ReadFull(c, begun); return err },
		func() error { _, err := io.WriteString(c, plainGet); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := io.ReadAll(c); string(got) != "bye" || err != nil || p.taken.Load() != 1 {
		t.Errorf("the client has %q, %v, and %d requests went by the lane", got, err, p.taken.Load())
	}
}

// TestBodyOfAnAbortedRequestIsOverClosed: its handler cannot read on, from what is another's by then.
func TestBodyOfAnAbortedRequestIsOverClosed(t *testing.T) {
	var body io.Reader
	l := newLane(says("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\nmine"), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body = r.Body
		panic(http.ErrAbortHandler)
	}), Options{})
	func() {
		defer func() { _ = recover() }()
		_, _ = l.Read(make([]byte, buffer))
	}()
	if _, err := body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Error(err)
	}
}

// TestAnswerIsOverWithItsHandlerClosed: who goes on to write to it writes into no other answer.
func TestAnswerIsOverWithItsHandlerClosed(t *testing.T) {
	var w http.ResponseWriter
	s := says(plainGet)
	l := newLane(s, http.HandlerFunc(func(is http.ResponseWriter, _ *http.Request) {
		w = is
		_ = http.NewResponseController(w).Flush()
	}), Options{})
	gives(t, l, buffer, "")
	before := s.wrote.String()
	if _, err := w.Write([]byte("late")); err == nil {
		t.Error("it takes more")
	}
	if err := http.NewResponseController(w).Flush(); err == nil || s.wrote.String() != before {
		t.Errorf("%v; written %q", err, strings.TrimPrefix(s.wrote.String(), before))
	}
}

// TestBrokenAnswerStaysBrokenClosed: what follows a piece that could not be written would be taken for that.
func TestBrokenAnswerStaysBrokenClosed(t *testing.T) {
	for name, write := range map[string]func(w http.ResponseWriter) error{
		"much": func(w http.ResponseWriter) error { _, err := w.Write(make([]byte, 2*gathered)); return err },
		"little": func(w http.ResponseWriter) error {
			if _, err := w.Write([]byte("x")); err != nil {
				return err
			}
			return http.NewResponseController(w).Flush()
		},
	} {
		s := says(plainGet, plainGet)
		l := newLane(s, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			before := s.wrote.Len()
			s.failing = true
			if write(w) == nil {
				t.Errorf("%s: nobody is told", name)
			}
			s.failing = false
			if write(w) == nil || s.wrote.Len() != before {
				t.Errorf("%s: it goes on", name)
			}
		}), Options{})
		gives(t, l, buffer, "")
		if len(s.reads) != 1 {
			t.Errorf("%s: another request is answered behind it", name)
		}
	}
}

// TestDrainedWaitsForEach of several, and for those that have nothing not at all.
func TestDrainedWaitsForEach(t *testing.T) {
	idle, busy := newLane(says(), nil, Options{}), newLane(says(), nil, Options{})
	busy.serving = true
	looks := 0
	drained(t.Context(), func() []*Lane {
		if looks++; looks == 3 {
			busy.serving = false
		}
		return []*Lane{idle, busy, idle}
	})
	if looks != 3 {
		t.Errorf("it looked %d times", looks)
	}
}

// TestShutdownWaitsForTheLanes, of whose requests the server does not know.
func TestShutdownWaitsForTheLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const long = 10 * time.Second
		client, server := net.Pipe()
		inner := &oneConn{conn: make(chan net.Conn, 1), end: make(chan struct{})}
		inner.conn <- server
		begun, ended := make(chan struct{}), make(chan struct{})
		srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				close(begun)
				time.Sleep(long) // of the bubble
			}
			_, _ = io.WriteString(w, "done")
		})}
		l := NewListener(srv, inner)
		go func() { _ = srv.Serve(l) }()
		in := bufio.NewReader(client)
		for _, request := range []string{"POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", plainGet} {
			if _, err := io.WriteString(client, request); err != nil {
				t.Fatal(err)
			}
			if request == plainGet {
				<-begun
				go func() { l.Shutdown(context.Background()); close(ended) }()
			}
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(res.Body); string(body) != "done" || err != nil {
				t.Errorf("%q, %v", body, err)
			}
			synctest.Wait() // the server waits for the next one
		}
		if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		<-ended
	})
}

// TestDateIsThatOfTheSecond.
func TestDateIsThatOfTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 4 {
			if got, want := string(date()), time.Now().UTC().Format(http.TimeFormat); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			time.Sleep(time.Second / 2) // of the bubble
		}
	})
}

// knows answers what has one text, as the lane's Known.
func knows(text string, answer func(w http.ResponseWriter) bool) Options {
	return Options{Known: func(raw []byte) func(http.ResponseWriter) bool {
		if string(raw) == text {
			return answer
		}
		return nil
	}}
}

// TestKnownIsAnswered by who knows it, and goes by the handler's way if that does not answer, as if it had not been known.
func TestKnownIsAnswered(t *testing.T) {
	const head = "HEAD /echo HTTP/1.1\r\nHost: d\r\n\r\n"
	no := func(w http.ResponseWriter) bool {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "no")
		return true
	}
	for name, tt := range map[string]struct {
		text   string
		answer func(w http.ResponseWriter) bool
		asked  int
		want   string
	}{
		"answered": {plainGet, no, 0, "HTTP/1.1 403 Forbidden\r\nDate: now\r\nContent-Length: 2\r\n\r\nno"},
		"to HEAD":  {head, no, 0, "HTTP/1.1 403 Forbidden\r\nDate: now\r\nContent-Length: 2\r\n\r\n"},
		"left":     {plainGet, func(http.ResponseWriter) bool { return false }, 2, "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 0\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s, h := says(tt.text, tt.text, plainGet+"more"), &counts{}
			gives(t, newLane(s, h, knows(tt.text, tt.answer)), buffer, plainGet+"more")
			if h.asked != tt.asked {
				t.Errorf("the handler was asked %d times", h.asked)
			}
			if got := dateOf.ReplaceAllString(s.wrote.String(), "Date: now"); got != tt.want+tt.want {
				t.Errorf("answered %q", got)
			}
		})
	}
}

// TestKnownThatIsNoRequestClosed: whoever takes for a request what is none has it neither answered nor handled, and nothing behind it.
func TestKnownThatIsNoRequestClosed(t *testing.T) {
	for _, text := range []string{"GET /echo HTTP/1.1\r\n", plainGet + plainGet} {
		s, h := says(text, plainGet), &counts{}
		gives(t, newLane(s, h, knows(text, func(http.ResponseWriter) bool { return false })), buffer, "")
		if h.asked != 0 || s.wrote.Len() > 0 {
			t.Errorf("%q: asked %d times, answered %q", text, h.asked, &s.wrote)
		}
	}
}

// TestKnownIsNotAskedBehindTheEndClosed: a lane that was drained answers nothing.
func TestKnownIsNotAskedBehindTheEndClosed(t *testing.T) {
	s := says(plainGet)
	answered := false
	l := newLane(s, &counts{}, knows(plainGet, func(http.ResponseWriter) bool { answered = true; return true }))
	l.drain()
	gives(t, l, buffer, "")
	if answered || s.wrote.Len() > 0 {
		t.Error("it is answered")
	}
}

// TestRawIsTheRequest as it arrived, until it is answered.
func TestRawIsTheRequest(t *testing.T) {
	const post = "POST /echo HTTP/1.1\r\nHost: d\r\nX-a: B\r\nContent-Length: 2\r\n\r\nhi"
	var kept http.ResponseWriter
	s := says(post)
	gives(t, newLane(s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kept = w
		if body, _ := io.ReadAll(r.Body); string(body) != "hi" || string(Raw(w)) != post {
			t.Errorf("%q with %q", Raw(w), body)
		}
	}), Options{}), buffer, "")
	if kept == nil || Raw(kept) != nil {
		t.Error("it is there when it is answered")
	}
	if Raw(nil) != nil {
		t.Error("what goes by no lane has none")
	}
}
