package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/ticket"
	"vitrine/internal/caller/identity"
	"vitrine/test/wait"
)

func TestRequestIsRebuiltFromTheOperation(t *testing.T) {
	got := make(chan *http.Request, 1)
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		got <- r
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"Id":"x"}`)
	})
	answer := g.raw("POST /v1.41/%63ontainers/create?name=web HTTP/1.1\r\nHost: evil.example\r\nConnection: close, X-Secret\r\n" +
		"X-Registry-Auth: abc\r\nX-Secret: 1\r\nAuthz-User: admin\r\nX-Forwarded-For: 1.2.3.4\r\nTE: trailers\r\nTrailer: X-T\r\n" +
		"Transfer-Encoding: chunked\r\nContent-Type: application/json; charset=utf-8\r\n\r\n" +
		"11\r\n{\"image\" : \"bb:1\"\r\n1\r\n}\r\n0\r\nX-T: 1\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 201 ") {
		t.Fatalf("answer %q", answer)
	}
	r := <-got
	if r.Method != "POST" || r.RequestURI != "/v1.41/containers/create?name=web" || r.Host != "docker" || r.ProtoMinor != 1 {
		t.Errorf("the daemon saw %s %s Host %s %s", r.Method, r.RequestURI, r.Host, r.Proto)
	}
	if body, _ := io.ReadAll(r.Body); string(body) != `{"Image":"bb:1"}` {
		t.Errorf("body %s", body)
	}
	r.Header.Del(ticket.Header)
	want := []string{"Content-Length", "Content-Type", "X-Registry-Auth"}
	if keys := slices.Sorted(maps.Keys(r.Header)); !slices.Equal(keys, want) {
		t.Errorf("headers %v, want %v", keys, want)
	}
	if len(r.TransferEncoding) > 0 || len(r.Trailer) > 0 {
		t.Errorf("transfer encoding %v, trailer %v", r.TransferEncoding, r.Trailer)
	}
	if rec := g.recorded(1)[0]; !rec.Allow || rec.Status != http.StatusCreated {
		t.Errorf("audit record %+v", rec)
	}
}

// A client's hop-by-hop headers must not take the ticket away, nor bring one.
func TestClientCannotTouchTheTicketClosed(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if n := len(r.Header.Values(ticket.Header)); n != 1 {
			t.Errorf("%d tickets", n)
		}
		if r.Header.Get(ticket.Header) == strings.Repeat("0", 32) {
			t.Error("the client's own ticket went up")
		}
	})
	for _, headers := range []string{
		"Connection: X-Vitrine-Ticket, close\r\n",
		"Connection: close\r\nX-Vitrine-Ticket: 00000000000000000000000000000000\r\n",
		"Connection: close\r\nx-vitrine-ticket: 00000000000000000000000000000000\r\n",
		"Connection: close, x-vitrine-ticket\r\nConnection: Host\r\nKeep-Alive: X-Vitrine-Ticket\r\n",
	} {
		if answer := g.raw("GET /containers/json HTTP/1.1\r\nHost: d\r\n" + headers + "\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
			t.Errorf("%q: %q", headers, answer)
		}
	}
}

func TestRequestWithoutTicketClosed(t *testing.T) {
	g := newRig(t)
	cfg := g.config()
	up := newUpstream(cfg)
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if err := up.write(newUpConn(a), &outgoing{method: "GET", uri: "/_ping"}, ""); err != errNoTicket { //nolint:errorlint // exactly this
		t.Errorf("write without a ticket: %v", err)
	}
}

func TestWhatCannotBeWrittenClosed(t *testing.T) {
	up := newUpstream(Config{})
	for _, out := range []outgoing{
		{method: "GET", uri: "/x y"},
		{method: "GET", uri: "/x\r\nHost: y"},
		{method: "GET", uri: ""},
		{method: "GET", uri: "http://x/"},
		{method: "GE T", uri: "/"},
		{method: "", uri: "/"},
		{method: "GET", uri: "/\x7f"},
		{method: "GET", uri: "/ü"},
		{method: "GET", uri: "/", header: http.Header{"A": {"b\r\nX: y"}}},
	} {
		a, b := net.Pipe()
		if err := up.write(newUpConn(a), &out, ""); err == nil {
			t.Errorf("%+v was written", out)
		}
		_ = a.Close()
		_ = b.Close()
	}
}

func TestDenialIsDockersErrorShapeClosed(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	g.set(func() {
		g.decision = policy.Decision{Diagnostics: policy.Diagnostics{Reasons: []string{"role look allows ping"}}}
	})
	status, body := g.do("POST", "/containers/create", "application/json", `{"Image":"x"}`)
	if want := `{"message":"vitrine: container:web may not ContainerCreate (POST /containers/create): role look allows ping [policy]"}` + "\n"; status != 403 || body != want {
		t.Errorf("%d %s", status, body)
	}
	if rec := g.recorded(1)[0]; rec.Allow || rec.Status != 403 {
		t.Errorf("audit record %+v", rec)
	}
	if seen := g.reached(); len(seen) != 0 {
		t.Errorf("the daemon saw %v", seen)
	}
}

// What every engine reads in one way goes up as it is read: the first of a
// parameter's values, streams without what clients say of them, and no body where none is read.
func TestWhatEveryEngineReadsAlikeGoesUpPlain(t *testing.T) {
	var up *http.Request
	var body []byte
	g := startHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		up = r
		body, _ = io.ReadAll(r.Body)
	})
	for _, tc := range []struct{ request, uri, body string }{
		{"POST /build?dockerfile=.d&dockerfile=FROM+a&t=x&t=y HTTP/1.1\r\nHost: d\r\nContent-Type: application/tar\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", "/build?dockerfile=.d&t=x&t=y", "\x1f\x8b"},
		{"PUT /containers/x/archive?path=/ HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", "/containers/x/archive?path=%2F", "{}"},
		{"POST /containers/x/stop?t=5 HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"t\":5}", "/containers/x/stop?t=5", ""},
		{"POST /containers/x/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nnull\r\n0\r\n\r\n", "/containers/x/start", ""},
		{"GET http://evil/containers/json?&all=1&=x HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "/containers/json?all=1", ""},
	} {
		answer := g.raw(strings.Replace(tc.request, "\r\nHost: d\r\n", "\r\nHost: d\r\nConnection: close\r\n", 1))
		if !strings.HasPrefix(answer, "HTTP/1.1 200 ") || up.RequestURI != tc.uri || string(body) != tc.body ||
			up.Header["Content-Encoding"] != nil || isJSON(up.Header.Get("Content-Type")) && tc.body != "" {
			t.Errorf("%q: %q; up went %s %v %q", tc.request, answer, up.RequestURI, up.Header, body)
		}
	}
}

// Requests that must be refused and reach nothing, whoever asks: the caller is an admin.
func TestRefusedRequestsReachNothingClosed(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	tests := map[string]string{
		"h2 preface":           "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"h2c upgrade":          "GET /containers/json HTTP/1.1\r\nHost: d\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
		"h2c on exec":          "POST /exec/x/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
		"form body":            "POST /images/create?fromImage=good HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 14\r\n\r\nfromImage=evil",
		"two content types":    "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
		"folded keys":          "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n{\"Image\":\"a\",\"image\":\"b\"}",
		"double slash":         "GET //containers/json HTTP/1.1\r\nHost: d\r\n\r\n",
		"CONNECT":              "CONNECT docker:80 HTTP/1.1\r\nHost: d\r\n\r\n",
		"body on attach":       "POST /containers/x/attach?stream=1 HTTP/1.1\r\nHost: d\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi",
		"length and chunked":   "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"two lengths":          "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"no host":              "GET /containers/json HTTP/1.1\r\n\r\n",
		"nonsense":             "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\r\n\r\n",
		"space before a colon": "GET /containers/json HTTP/1.1\r\nHost: d\r\nX : y\r\n\r\n",
	}
	for name, request := range tests {
		t.Run(name, func(t *testing.T) {
			request = strings.Replace(request, "\r\nHost: d\r\n", "\r\nHost: d\r\nConnection: close\r\n", 1)
			answer := g.raw(request)
			status := 0
			_, _ = fmt.Sscanf(answer, "HTTP/1.1 %d", &status)
			if status < 400 || status >= 502 {
				t.Errorf("answer %q", answer)
			}
		})
	}
	if seen := g.reached(); len(seen) != 0 {
		t.Errorf("the daemon saw %v", seen)
	}
}

// TestWhatIsNoRequestIsRecordedClosed: with who sent it, and what was wrong.
func TestWhatIsNoRequestIsRecordedClosed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sent, reason string
		status       int
	}{
		"h2 preface":          {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "HTTP/2 is not accepted", 400},
		"no host":             {"GET /info HTTP/1.1\r\n\r\n", "missing required Host header", 400},
		"TLS on a plain port": {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\r\n\r\n", "400 Bad Request", 400},
		"two lengths":         {"POST /info HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "400 Bad Request", 400},
		"another encoding":    {"POST /info HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip\r\n\r\n", "nsupported transfer encoding", 501},
		"too long":            {"GET /info HTTP/1.1\r\nHost: d\r\nX: " + strings.Repeat("x", 80<<10) + "\r\n\r\n", "Request Header Fields Too Large", 431},
		"HTTP/3":              {"GET /info HTTP/3.0\r\nHost: d\r\n\r\n", "505 HTTP Version Not Supported", 505},
		"an expectation":      {"GET /info HTTP/1.1\r\nHost: d\r\nExpect: x\r\nConnection: close\r\n\r\n", "not an HTTP/1.1 request", 417},
	} {
		t.Run(name, func(t *testing.T) {
			g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
			g.set(func() { g.decision = policy.Decision{Allow: true, Admin: true} })
			c := g.dial()
			_, _ = io.WriteString(c, "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"+tc.sent) // in one go, and behind a good one
			_ = c.CloseWrite()
			answer, _ := io.ReadAll(c)
			got := g.recorded(2)
			r := got[1]
			if r.Allow || r.Status != tc.status || len(r.Caller.Principals) == 0 || r.Door != "gateway" && r.Door != "" ||
				!strings.Contains(strings.Join(r.Reasons, " "), tc.reason) || strings.HasSuffix(strings.Join(r.Reasons, " "), ": ") {
				t.Errorf("%q is recorded as %+v", answer, r)
			}
			if seen := g.reached(); len(seen) != 0 {
				t.Errorf("the daemon saw %v", seen)
			}
		})
	}
}

// TestAnswersAndRecordsAreAsMany: half a request is answered, and a connection without one is not.
func TestAnswersAndRecordsAreAsMany(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	answers := 0
	for _, sent := range []string{"", "GET /info HT", "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n", "GET /info HTTP/1.1\r\nHost: d\r\n"} {
		c := g.dial()
		_, _ = io.WriteString(c, sent)
		_ = c.CloseWrite()
		answer, _ := io.ReadAll(c)
		answers += strings.Count(string(answer), "HTTP/1.1 ")
	}
	g.recorded(answers)
}

func TestEachRequestOnAConnectionIsDecided(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	c := g.dial()
	_, _ = io.WriteString(c, "GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\nGET /images/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
	answer, _ := io.ReadAll(c)
	if n := strings.Count(string(answer), "HTTP/1.1 200 OK"); n != 2 {
		t.Errorf("answers %q", answer)
	}
	if recs := g.recorded(2); recs[0].ID == recs[1].ID {
		t.Error("two requests share an id")
	}
}

// TestPieceOfARequestIsNoneClosed: what follows the beginning of a request is its continuation, however it is cut into packets: its
// headers, where the cut is at the end of a line, and its body, where its head came along with the request before.
func TestPieceOfARequestIsNoneClosed(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	const first, whole = "GET /version HTTP/1.1\r\nHost: d\r\n\r\n", "GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n"
	for begun, want := range map[string]int{
		"GET /info HTTP/1.1\r\nHost: d\r\n": http.StatusBadRequest,
		fmt.Sprintf("POST /containers/web/kill HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n", len(whole)): http.StatusBadRequest,
	} {
		c := g.dial()
		if _, err := io.WriteString(c, first+begun); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(c)
		for i, status := range []int{http.StatusOK, want} {
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != status {
				t.Errorf("after %q, answer %d: %s, %v, want %d", begun, i, res.Status, err, status)
			}
			if _, err := io.WriteString(c, whole); i == 0 && err != nil {
				t.Fatal(err)
			}
		}
	}
	if seen := strings.Join(g.reached(), " "); strings.Contains(seen, "/containers/json") {
		t.Errorf("the daemon saw %s", seen)
	}
}

func TestHTTP10WithoutHostIsCloseDelimited(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, "{}\n")
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond) // an event now and then
		}
	})
	answer := g.raw("GET /events HTTP/1.0\r\n\r\n")
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	if !strings.Contains(head, " 200 ") || strings.Contains(head, "chunked") || strings.Contains(head, "Content-Length") || body != "{}\n{}\n{}\n" {
		t.Errorf("answer %q", answer)
	}
}

// A client that ends its half after the request still gets its answer.
func TestClientThatHalfClosesEarly(t *testing.T) {
	var g *rig
	g = startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		wait.Until(t, "the end of the client's half to be noticed", g.noticed)
		_, _ = io.WriteString(w, "[]")
	})
	c := g.dial()
	_, _ = io.WriteString(c, "GET /containers/json HTTP/1.0\r\n\r\n")
	_ = c.CloseWrite()
	if answer, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(answer), "[]") {
		t.Errorf("answer %q, %v", answer, err)
	}
}

// noticed says that net/http has read the end of what a client sends, and so ended the request's context.
func (g *rig) noticed() bool {
	return slices.ContainsFunc(g.srv.conns.all(), func(c *conn) bool {
		at := c.current()
		return at != nil && at.request.Err() != nil
	})
}

func TestContinueComesAfterTheDecision(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Expect") != "" {
			t.Error("Expect went up")
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	const head = "PUT /containers/x/archive?path=/ HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/x-tar\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
	c := g.dial()
	_, _ = io.WriteString(c, head)
	br := bufio.NewReader(c)
	if line, _ := br.ReadString('\n'); !strings.Contains(line, " 100 ") {
		t.Fatalf("got %q", line)
	}
	_, _ = io.WriteString(c, "12345")
	rest, _ := io.ReadAll(br)
	if !strings.Contains(string(rest), " 200 OK") || !strings.HasSuffix(string(rest), "5") {
		t.Errorf("answer %q", rest)
	}

	g.set(func() { g.decision = policy.Decision{} })
	if answer := g.raw(head); !strings.HasPrefix(answer, "HTTP/1.1 403 ") {
		t.Errorf("a denied upload was answered %q", answer)
	}
}

func TestPasswordsAreForwardedAndNoBodyNeedsShowing(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})
	if status, body := g.do("POST", "/auth", "application/json", `{"username":"u","password":"p"}`); status != 200 || !strings.Contains(body, `"p"`) {
		t.Errorf("%d %s", status, body)
	}
}

func TestNothingKnownOfTheCallerClosed(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	g.set(func() {
		g.caller = &identity.Identity{Kind: identity.Unknown, Err: errors.New("it has exited")}
		g.decision = policy.Decision{}
	})
	if status, body := g.do("GET", "/_ping", "", ""); status != 403 || !strings.Contains(body, "it has exited") {
		t.Errorf("%d %s", status, body)
	}
}

func TestDaemonThatIsNotThere(t *testing.T) {
	g := newRig(t)
	g.start(func(c *Config) { c.PingEvery = 5 * time.Millisecond })
	status, body := g.do("GET", "/_ping", "", "")
	if status != 503 || !strings.Contains(body, g.upstream) {
		t.Errorf("before it was up: %d %s", status, body)
	}
	l := listenUnix(t, g.upstream)
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), nil)
		_, _ = io.WriteString(w, "OK")
	})}
	go func() { _ = srv.Serve(l) }()
	wait.Until(t, "the daemon", g.srv.Ready)
	if status, body := g.do("GET", "/_ping", "", ""); status != 200 || body != "OK" {
		t.Errorf("when it was up: %d %s", status, body)
	}
	_ = srv.Close()
	if status, body := g.do("GET", "/_ping", "", ""); status != 503 || !strings.Contains(body, "running") {
		t.Errorf("when it had gone: %d %s", status, body)
	}
}

// A daemon that was restarted has closed the connections that we kept.
func TestRestartedDaemonIsNotNoticed(t *testing.T) {
	g := startRaw(t, func(g *rig, c *net.UnixConn, _ *bufio.Reader, r *http.Request) {
		g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), nil)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]") // and closes, without saying so
	})
	for range 5 {
		if status, body := g.do("GET", "/containers/json", "", ""); status != 200 || body != "[]" {
			t.Fatalf("%d %s", status, body)
		}
	}
	if n := len(g.reached()); n != 5 {
		t.Errorf("the daemon saw %d requests", n)
	}
}

func TestDaemonThatBreaksOff(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing": "", "half a head": "HTTP/1.1 200 OK\r\nCont", "nonsense": "hello\r\n\r\n",
		"endless head":    "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHead) + "\r\n\r\n",
		"endless interim": strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 10),
	} {
		t.Run(name, func(t *testing.T) {
			g := startRaw(t, func(g *rig, c *net.UnixConn, _ *bufio.Reader, r *http.Request) {
				g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), nil)
				_, _ = io.WriteString(c, answer)
			})
			if status, body := g.do("POST", "/containers/x/stop", "", ""); status != 502 {
				t.Errorf("%d %s", status, body)
			}
			if rec := g.recorded(1)[0]; rec.Status != 502 || !rec.Allow {
				t.Errorf("audit record %+v", rec)
			}
			if n := len(g.reached()); n != 1 {
				t.Errorf("a request that writes was sent %d times", n)
			}
		})
	}
}

func TestAnswerCutShortIsNotPassedAsWhole(t *testing.T) {
	g := startRaw(t, func(g *rig, c *net.UnixConn, _ *bufio.Reader, r *http.Request) {
		g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), nil)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	})
	res, err := g.client().Get("http://docker/containers/x/logs")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("read %q without an error", body)
	}
	g.recorded(1)
}
