package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/test/wait"
)

// TestStreamsEndWithThePermissionClosed: a stream that was allowed goes on while
// the policy allows it, and no longer.
func TestStreamsEndWithThePermissionClosed(t *testing.T) {
	t.Parallel()
	const attach = "POST /containers/x/attach?stream=1 HTTP/1.1\r\nHost: d\r\n\r\n"
	for _, tc := range []struct {
		name, request, answer string
		now                   policy.Decision
	}{
		{"attach, denied", attach, rawOK, policy.Decision{}},
		{"attach, cannot be decided", attach, rawOK, policy.Decision{Allow: true, Diagnostics: policy.Diagnostics{Failed: true}}},
		{"logs, upgraded or not", "GET /containers/x/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n", rawOK, policy.Decision{}},
		{"events, to be redacted from now on", "GET /events HTTP/1.1\r\nHost: d\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", policy.Decision{Allow: true, Admin: true, Redact: []string{"/Actor"}}},
		{"some objects only, from now on", "GET /events HTTP/1.1\r\nHost: d\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", policy.Decision{Allow: true, Admin: true, Where: map[string]string{"a": "b"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := startRaw(t, echo(tc.answer))
			c := g.dial()
			_, _ = io.WriteString(c, tc.request)
			br := bufio.NewReader(c)
			readHead(t, br)
			if line, err := readLine(br); err != nil {
				t.Fatalf("the stream began with %q, %v", line, err)
			}
			g.srv.Reconsider(t.Context())
			if n := len(g.srv.tasks.change()); n != 1 {
				t.Fatalf("%d requests are on their way after nothing changed", n)
			}
			g.set(func() { g.decision = tc.now })
			g.srv.Reconsider(t.Context())
			if s := ends(t, br); strings.Contains(s, "ready") || strings.HasSuffix(s, "0\r\n\r\n") {
				t.Errorf("the stream did not break off: %q", s)
			}
		})
	}
}

// TestSlowDecisionHoldsUpNoOther: what is decided slowly does not let another
// stream go on meanwhile.
func TestSlowDecisionHoldsUpNoOther(t *testing.T) {
	const events = "GET /events HTTP/1.1\r\nHost: d\r\n\r\n"
	others := make(chan struct{})
	var asked atomic.Int64
	g := startRaw(t, echo("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"), func(c *Config) {
		c.StillAllowed = func(context.Context, *identity.Connection, *decide.Verdict) error {
			if asked.Add(1) == 1 {
				<-others
			}
			return errors.New("no")
		}
	})
	var streams []*bufio.Reader
	for range 3 {
		c := g.dial()
		_, _ = io.WriteString(c, events)
		br := bufio.NewReader(c)
		readHead(t, br)
		streams = append(streams, br)
	}
	done := make(chan struct{})
	go func() { defer close(done); g.srv.Reconsider(context.Background()) }()
	wait.Until(t, "the others to be decided", func() bool { return asked.Load() == 3 })
	close(others)
	<-done
	for _, br := range streams {
		ends(t, br)
	}
}

// TestUndecidedClosed: what acts and shows nothing goes on while it cannot be decided, until it is denied, or for undecidedFor; what shows
// something does not.
func TestUndecidedClosed(t *testing.T) {
	undecided := fmt.Errorf("%w: the Engine is busy", decide.ErrUndecided)
	for _, tc := range []struct {
		name, method, uri string
		says              []error // one decision after the other; the last again and again
		after             time.Duration
		broken            bool
	}{
		{"a start, allowed in the end", "POST", "/containers/x/start", []error{undecided, undecided, nil}, 2 * undecidedEvery, false},
		{"a start, denied in the end", "POST", "/containers/x/start", []error{undecided, errors.New("no")}, undecidedEvery, true},
		{"a start that nobody can decide", "POST", "/containers/x/start", []error{undecided}, undecidedFor, true},
		{"a start, denied", "POST", "/containers/x/start", []error{errors.New("no")}, 0, true},
		{"logs", "GET", "/containers/x/logs?stdout=1", []error{undecided}, 0, true},
		{"an attach", "POST", "/containers/x/attach?stream=1", []error{undecided}, 0, true},
		{"an upload", "PUT", "/containers/x/archive?path=/", []error{undecided}, 0, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			var asked atomic.Int64
			s := &Server{log: slog.New(slog.DiscardHandler), cfg: Config{StillAllowed: func(context.Context, *identity.Connection, *decide.Verdict) error {
				return tc.says[min(int(asked.Add(1)), len(tc.says))-1]
			}}}
			req := &operation.Request{Method: tc.method, URI: tc.uri}
			if tc.method == http.MethodPut {
				req.ContentLength = 1
			}
			op, err := operation.Parse(req)
			if err != nil {
				t.Fatal(err)
			}
			ours, theirs := net.Pipe()
			defer theirs.Close()
			task := &task{s: s, conn: &conn{Conn: ours, conns: newConnections(Limits{}.withDefaults())}, v: &decide.Verdict{Operation: op, Caller: &identity.Identity{}}}
			s.tasks.add(task)
			began, took, broken := time.Now(), time.Duration(-1), make(chan struct{})
			go func() {
				defer close(broken)
				if _, err := theirs.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
					took = time.Since(began)
				}
			}()
			s.Reconsider(t.Context())
			if waited := time.Since(began); waited > 0 {
				t.Errorf("%s: others wait %s", tc.name, waited)
			}
			time.Sleep(2 * undecidedFor)
			_ = theirs.Close()
			<-broken
			if (took >= 0) != tc.broken || tc.broken && took != tc.after {
				t.Errorf("%s: broken off after %s, want %v after %s", tc.name, took, tc.broken, tc.after)
			}
			before := asked.Load()
			time.Sleep(undecidedFor)
			if asked.Load() != before {
				t.Errorf("%s: it is decided for ever", tc.name)
			}
			s.tasks.add(task)
			s.Reconsider(t.Context())
			s.tasks.remove(task) // it is over
			before = asked.Load()
			time.Sleep(undecidedFor / 2)
			if asked.Load() > before+1 { // one may have been on its way
				t.Errorf("%s: what is over is decided", tc.name)
			}
		})
	}
}

// ends reads what is left of a connection, and fails the test if it does not end by itself.
func ends(t *testing.T, r io.Reader) string {
	t.Helper()
	rest, err := io.ReadAll(r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection goes on, after %q", rest)
	}
	return string(rest)
}

// readLine reads the first line of a stream, chunked or not.
func readLine(br *bufio.Reader) (string, error) {
	for {
		line, err := br.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "ready") {
			return line, err
		}
	}
}

// TestReadThatIsWithdrawnIsToldWhyClosed: a short request whose caller may no longer ask it gets no byte of what it asked, and a reason instead of a
// connection that ends: while the Engine has not answered. What has begun is broken off.
func TestReadThatIsWithdrawnIsToldWhyClosed(t *testing.T) {
	t.Parallel()
	const request = "GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n"
	for _, tc := range []struct {
		name   string
		begun  bool // the answer has
		err    error
		status int
	}{
		{"denied", false, errors.New("no role"), http.StatusForbidden},
		{"undecided", false, fmt.Errorf("%w: the Engine is busy", decide.ErrUndecided), http.StatusServiceUnavailable},
		{"begun", true, errors.New("no role"), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			begun, left := make(chan struct{}), make(chan struct{})
			var once sync.Once
			g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/containers/json" {
					_, _ = io.WriteString(w, "{}")
					return
				}
				if tc.begun {
					_, _ = io.WriteString(w, "[")
					_ = http.NewResponseController(w).Flush()
				}
				once.Do(func() { close(begun) })
				<-r.Context().Done()
				close(left)
			}, func(c *Config) {
				c.StillAllowed = func(context.Context, *identity.Connection, *decide.Verdict) error { return tc.err }
			})
			c := g.dial()
			br := bufio.NewReader(c)
			_, _ = io.WriteString(c, request)
			<-begun
			if tc.begun {
				readHead(t, br)
			}
			g.srv.Reconsider(t.Context())
			<-left
			if tc.begun {
				if s := ends(t, br); strings.HasSuffix(s, "0\r\n\r\n") {
					t.Errorf("the answer did not break off: %q", s)
				}
				return
			}
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != tc.status || !strings.Contains(string(body), "the policy has just changed") || !strings.Contains(string(body), tc.err.Error()) {
				t.Errorf("answered %d %s", res.StatusCode, body)
			}
			if rec := g.recorded(1)[0]; rec.Allow || rec.Code != "policy-changed" || rec.Status != tc.status {
				t.Errorf("recorded %+v", rec)
			}
			_, _ = io.WriteString(c, "GET /containers/x/json HTTP/1.1\r\nHost: d\r\n\r\n")
			if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("the next request on its connection: %v, %v", res, err)
			}
		})
	}
	t.Run("as the Engine answers", func(t *testing.T) {
		t.Parallel()
		g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") })
		r, w := httptest.NewRequest(http.MethodGet, "/containers/json", nil), httptest.NewRecorder()
		v := g.steps.Authorize(t.Context(), identity.NewLocal(), &operation.Request{Method: r.Method, URI: r.RequestURI})
		task := &task{s: g.srv, w: w, r: r, v: v}
		task.stage.Store(&stage{withdrawn: errors.New("no role")})
		task.plain(t.Context())
		if body := w.Body.String(); w.Code != http.StatusForbidden || strings.Contains(body, "secret") {
			t.Errorf("answered %d %s", w.Code, body)
		}
		if reached := g.reached(); len(reached) != 1 {
			t.Errorf("the Engine saw %q", reached)
		}
	})
	t.Run("before the Engine is asked", func(t *testing.T) {
		t.Parallel()
		list := &operation.Operation{Access: operation.List, Carry: operation.CarryPlain}
		task := &task{s: &Server{}, r: httptest.NewRequest(http.MethodGet, "/", nil), conn: &conn{}, v: &decide.Verdict{Operation: list}}
		task.s.tasks.add(task)
		task.keepIf(errors.New("no role"))
		ctx, end := task.lasts()
		defer end()
		if ctx.Err() == nil {
			t.Error("it is asked all the same, for as long as the Engine likes")
		}
	})
}

// TestPolicyThatChangesDuringTheDecisionClosed: what was decided by the policy of
// a moment before is decided again before it is carried.
func TestPolicyThatChangesDuringTheDecisionClosed(t *testing.T) {
	for status, now := range map[int]policy.Decision{
		http.StatusForbidden:          {},
		http.StatusServiceUnavailable: {Diagnostics: policy.Diagnostics{Failed: true}}, // late, say: it may be asked again
	} {
		var g *rig
		g = startHTTP(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") }, func(c *Config) {
			c.Authorizer = changing{c.Authorizer, func() {
				g.set(func() { g.decision = now })
				g.srv.Reconsider(context.Background())
			}}
		})
		if got, body := g.do("GET", "/containers/json", "", ""); got != status || !strings.Contains(body, "the policy has just changed") {
			t.Errorf("answer %d %s", got, body)
		}
		if slices.Contains(g.reached(), "GET /containers/json") {
			t.Error("it reached the daemon")
		}
		if rec := g.recorded(1)[0]; rec.Allow {
			t.Errorf("audit record %+v", rec)
		}
	}
}

// changing is an Authorizer during whose decision something happens.
type changing struct {
	decide.Authorizer
	meanwhile func()
}

func (x changing) Authorize(ctx context.Context, c *identity.Connection, r *operation.Request) *decide.Verdict {
	v := x.Authorizer.Authorize(ctx, c, r)
	x.meanwhile()
	return v
}

// TestRequestThatHasEndedIsNotBrokenOffClosed: what its connection carries by then is another one.
func TestRequestThatHasEndedIsNotBrokenOffClosed(t *testing.T) {
	t.Parallel()
	asked, end, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/slow/json") {
			<-end
		}
		_, _ = io.WriteString(w, "{}")
	}, func(c *Config) {
		c.StillAllowed = func(context.Context, *identity.Connection, *decide.Verdict) error {
			close(asked)
			<-over
			return errors.New("no")
		}
	})
	c := g.dial()
	br := bufio.NewReader(c)
	get := func(name string) {
		_, _ = io.WriteString(c, "GET /containers/"+name+"/json HTTP/1.1\r\nHost: d\r\n\r\n")
	}
	answered := func() {
		t.Helper()
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK || string(body) != "{}" {
			t.Fatalf("%d %q, %v", res.StatusCode, body, err)
		}
	}
	get("slow")
	wait.Until(t, "the Engine to have it", func() bool { return len(g.reached()) == 1 })
	decided := make(chan struct{})
	go func() { defer close(decided); g.srv.Reconsider(context.Background()) }()
	<-asked
	close(end)
	answered()
	wait.Until(t, "the request to end", func() bool {
		g.srv.tasks.mu.Lock()
		defer g.srv.tasks.mu.Unlock()
		return len(g.srv.tasks.open) == 0
	})
	close(over)
	<-decided
	get("fast")
	answered()
}
