package lane

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"vitrine/test/wait"
)

// TestHalfAnAnswerEndsClosed: where less was answered than announced, or the handler says so, the connection ends, so that no other
// answer is taken for the rest.
func TestHalfAnAnswerEndsClosed(t *testing.T) {
	p := open(t, true, handler)
	for _, path := range []string{"/less", "/more", "/abort", "/close"} {
		c := p.dial()
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: d\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil { // it waits for as long as the connection lasts
			t.Errorf("%s: %v", path, err)
		}
		if p.taken.Swap(0) != 1 {
			t.Errorf("%s did not go by the lane", path)
		}
	}
	c := p.dial() // to HEAD less is answered anyway
	for range 2 {
		if _, err := io.WriteString(c, "HEAD /less HTTP/1.1\r\nHost: d\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodHead}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConnectionGoesOn after each other answer.
func TestConnectionGoesOn(t *testing.T) {
	p := open(t, true, handler)
	c := p.dial()
	for _, path := range []string{"/nothing", "/chunks", "/long", "/flushed", "/204", "/304", "/huge", "/short"} {
		ask(t, c, path)
	}
	if n := p.taken.Load(); n != 8 {
		t.Errorf("%d went by the lane", n)
	}
}

// TestFlushed is what there is: the head, and no more than was written.
func TestFlushed(t *testing.T) {
	goOn := make(chan struct{})
	p := open(t, true, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		typed(w)
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-goOn
		_, _ = io.WriteString(w, "the rest")
	}))
	c := p.dial()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: d\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil) // it waits for the head's end
	close(goOn)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); string(body) != "the rest" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
}

// TestSlowRequestsEndClosed: between two requests there is the server's time, and for a request that does not come whole
// its time for heads, also behind others that went by the lane.
func TestSlowRequestsEndClosed(t *testing.T) {
	const short, long = 30 * time.Millisecond, time.Hour
	for _, tc := range []struct {
		idle, head time.Duration
		begun      string
	}{{short, long, ""}, {long, short, "GET /ec"}, {0, short, "GET /ec"}} {
		p := openWith(t, true, handler, func(srv *http.Server) { srv.IdleTimeout, srv.ReadHeaderTimeout = tc.idle, tc.head })
		c := p.dial()
		ask(t, c, "/short")
		if _, err := io.WriteString(c, tc.begun); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("%v: %v", tc, err)
		}
	}
}

// TestTimeForTheFirstHeadIsOver when it has come: without a limit between requests the next may be long in coming.
func TestTimeForTheFirstHeadIsOver(t *testing.T) {
	short := wait.Patience(300 * time.Millisecond)
	p := openWith(t, true, handler, func(srv *http.Server) { srv.IdleTimeout, srv.ReadHeaderTimeout = 0, short })
	c := p.dial()
	ask(t, c, "/short")
	time.Sleep(2 * short) // what would end the connection is a clock
	ask(t, c, "/short")
}

// TestDeadlineOfOneAnswerIsNoOthers.
func TestDeadlineOfOneAnswerIsNoOthers(t *testing.T) {
	short := wait.Patience(300 * time.Millisecond)
	p := open(t, true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/short" {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(short))
		}
		typed(w)
		_, _ = io.WriteString(w, "x")
	}))
	c := p.dial()
	ask(t, c, "/short")
	time.Sleep(2 * short) // what would fail the next answer is a clock
	ask(t, c, "/long")
}

// TestHeadersAreOfOneAnswerClosed: what one answer says is not in the next one of the connection.
func TestHeadersAreOfOneAnswerClosed(t *testing.T) {
	p := open(t, true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		typed(w)
		if r.URL.Path == "/first" {
			w.Header().Set("X-First", "secret")
		}
		_, _ = io.WriteString(w, "x")
	}))
	c := p.dial()
	br := bufio.NewReader(c)
	for _, path := range []string{"/first", "/second"} {
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: d\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		if has := res.Header.Get("X-First") != ""; has != (path == "/first") {
			t.Errorf("%s: %v", path, res.Header)
		}
	}
	if n := p.taken.Load(); n != 2 {
		t.Errorf("%d went by the lane", n)
	}
}

// TestHijackIsOnce.
func TestHijackIsOnce(t *testing.T) {
	second := make(chan error, 1)
	p := open(t, true, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		rc := http.NewResponseController(w)
		c, _, err := rc.Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		_, _, err = rc.Hijack()
		second <- err
	}))
	c := p.dial()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: d\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-second; !errors.Is(err, http.ErrHijacked) {
		t.Error(err)
	}
	if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

// TestDrainedLaneTakesNothing, and is no tunnel's that is being carried.
func TestDrainedLaneTakesNothing(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	p := open(t, true, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		close(begun)
		<-goOn
		_ = c.Close()
	}))
	c := p.dial()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: d\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-begun
	l := p.lanes.lanes()[0]
	if l.isServing() || l.Keeps() {
		t.Error("a tunnel is kept until it ends")
	}
	close(goOn)
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	drained := New(nil, nil, Options{})
	drained.drain()
	if drained.begin() {
		t.Error("it begins with a request after its end")
	}
}

// TestWhatIsOrdinaryClosed is what is known, up to the last of each range.
func TestWhatIsOrdinaryClosed(t *testing.T) {
	const all = "0189AZaz"
	if !named(all, "") || !named(all+"-_", "-_") || named("", "-") {
		t.Error("letters, digits and those others make a name, nothing does not")
	}
	for _, c := range "/:@[`{ \x00\x7f\x80" {
		if named("a"+string(c), "-_") {
			t.Errorf("%q is in a name", c)
		}
	}
	if !visible(" ~") || !visible("") || visible("\x1f") || visible("\x7f") || visible("\t") {
		t.Error("from space to tilde all is visible, and nothing else")
	}
	for _, v := range []string{"close", "keep-alive, x", "Upgrade", ""} {
		if parse([]byte("GET / HTTP/1.1\r\nHost: d\r\nConnection: "+v+"\r\n\r\n")) != nil {
			t.Errorf("Connection: %s is taken", v)
		}
	}
	if parse([]byte("GET / HTTP/1.1\r\nHost: d\r\nConnection: keep-alive\r\nConnection: keep-alive\r\n\r\n")) != nil {
		t.Error("two Connections are taken")
	}
	if parse([]byte("GET / HTTP/1.1\r\nHost: d\r\nX: keep-alive\r\nTe: keep-alive\r\n\r\n")) != nil {
		t.Error("another header that says keep-alive is taken")
	}
}
