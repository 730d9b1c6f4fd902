package gateway

import (
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/ticket"
	"vitrine/test/wait"
)

func fastPings(c *Config) { c.PingEvery = 5 * time.Millisecond }

func TestAlarmWhenDockerdStopsAsking(t *testing.T) {
	var log wait.Buffer
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") }, fastPings, logged(&log))
	state := func(want bool) func() bool {
		return func() bool { asked, known := g.srv.Asked(); return known && asked == want }
	}
	wait.Until(t, "dockerd to ask", state(true))
	g.set(func() { g.noAsk = true })
	wait.Until(t, "the alarm", state(false))
	if status, _ := g.do("GET", "/containers/json", "", ""); status != 200 {
		t.Errorf("without require_plugin a request goes on: %d", status)
	}
	g.set(func() { g.noAsk = false })
	wait.Until(t, "the alarm to end", state(true))
	wait.Until(t, "its end to be told", func() bool { return len(told(&log)) > 2 }) // a moment after it counts
	if said := told(&log); !said[0] || said[1] || !said[len(said)-1] {
		t.Errorf("told %v", said)
	}
}

// logged has the gateway log into a buffer.
func logged(to io.Writer) option {
	return func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(to, nil)) }
}

// told is what a log says of whether dockerd asks, in its order.
func told(log *wait.Buffer) (asks []bool) {
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, " the authorization plugin") {
			asks = append(asks, strings.Contains(line, "dockerd asks"))
		}
	}
	return asks
}

// TestWhetherDockerdAsksIsToldOnce: only a change is.
func TestWhetherDockerdAsksIsToldOnce(t *testing.T) {
	var log wait.Buffer
	cfg := Config{}
	logged(&log)(&cfg)
	a := &newUpstream(cfg).asked
	for _, tell := range []func(time.Time){a.yes, a.yes, a.no, a.no, a.yes, a.yes} {
		tell(time.Now())
	}
	if said := told(&log); !slices.Equal(said, []bool{true, false, true}) {
		t.Errorf("told %v", said)
	}
}

// A request rings at once, without waiting for the next ping.
func TestARequestRingsTheAlarm(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") }, func(c *Config) { c.PingEvery = time.Hour })
	wait.Until(t, "the first ping", func() bool { asked, _ := g.srv.Asked(); return asked })
	g.set(func() { g.noAsk = true })
	_, _ = g.do("GET", "/containers/json", "", "")
	if asked, known := g.srv.Asked(); asked || !known {
		t.Errorf("asked %v, known %v", asked, known)
	}
}

// What dockerd answers without asking any plugin proves nothing.
func TestAnswersThatProveNothing(t *testing.T) {
	g := startHTTP(t, nil, func(c *Config) { c.PingEvery = time.Hour })
	for status, want := range map[int]bool{200: false, 204: false, 304: false, 101: false, 301: true, 400: true, 403: true, 404: true, 405: true, 500: true, 503: true} {
		g.srv.up.asked.yes(time.Now())
		res := &http.Response{StatusCode: status}
		pass := g.tickets.Issue(ticket.Entry{})
		g.srv.up.settle(pass, &outgoing{}, res, time.Now())
		if asked, _ := g.srv.Asked(); asked != want {
			t.Errorf("after an unspent ticket and %d: asked %v", status, asked)
		}
	}
	// Nor does a request from before the last ping that was asked about.
	began := time.Now().Add(-time.Minute)
	g.srv.up.asked.yes(time.Now())
	g.srv.up.settle(g.tickets.Issue(ticket.Entry{}), &outgoing{}, &http.Response{StatusCode: 200}, began)
	if asked, _ := g.srv.Asked(); !asked {
		t.Error("an old request rang the alarm")
	}
}

// A ticket that was spent long ago says nothing of now.
func TestOldAnswerDoesNotEndTheAlarmClosed(t *testing.T) {
	g := startHTTP(t, nil, func(c *Config) { c.PingEvery = time.Hour })
	wait.Until(t, "the first ping", func() bool { asked, _ := g.srv.Asked(); return asked })
	pass := g.tickets.Issue(ticket.Entry{})
	g.tickets.Take(pass)
	g.srv.up.asked.no(time.Now())
	g.srv.up.settle(pass, &outgoing{}, &http.Response{StatusCode: 200}, time.Now())
	if asked, _ := g.srv.Asked(); asked {
		t.Error("the alarm ended")
	}
}

func TestRequirePluginClosed(t *testing.T) {
	g := newRig(t)
	g.noAsk = true
	l := listenUnix(t, g.upstream)
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), nil)
		_, _ = io.WriteString(w, "OK")
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	g.run(fastPings, func(c *Config) { c.RequirePlugin = true })

	if status, body := g.do("GET", "/containers/json", "", ""); status != 503 || !strings.Contains(body, "daemon.json") {
		t.Errorf("%d %s", status, body)
	}
	if seen := g.reached(); len(seen) != 0 {
		t.Errorf("the daemon saw %v", seen)
	}
	g.set(func() { g.noAsk = false })
	wait.Until(t, "dockerd to ask", func() bool { asked, _ := g.srv.Asked(); return asked })
	if status, _ := g.do("GET", "/containers/json", "", ""); status != 200 {
		t.Errorf("when it asks: %d", status)
	}
}

func TestGatewayAloneKnowsNoAlarm(t *testing.T) {
	g := newRig(t)
	g.noAsk = true
	l := listenUnix(t, g.upstream)
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(ticket.Header) != "" {
			t.Error("a ticket without a plugin")
		}
		_, _ = io.WriteString(w, "OK")
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	g.run(fastPings, func(c *Config) { c.Tickets = nil })
	if status, _ := g.do("GET", "/_ping", "", ""); status != 200 {
		t.Errorf("status %d", status)
	}
	if _, known := g.srv.Asked(); known {
		t.Error("a gateway alone thinks it knows about a plugin")
	}
	if _, err := New(Config{Dial: g.config().Dial, Authorizer: g.config().Authorizer, Logger: g.config().Logger, RequirePlugin: true}); err == nil {
		t.Error("require_plugin without tickets was accepted")
	}
}

func TestSelfTransport(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "hello") }, func(c *Config) { c.PingEvery = time.Hour })
	c := &http.Client{Transport: g.srv.SelfTransport()}
	for range 3 {
		res, err := c.Get("http://docker/containers/json?all=1")
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(res.Body); string(b) != "hello" {
			t.Errorf("body %q", b)
		}
		_ = res.Body.Close()
	}
	if n := len(g.srv.up.pool.idle); n == 0 {
		t.Error("the connection was not kept")
	}
	if g.own != 1+3 { // the plugin's door asks no policy about them
		t.Errorf("%d of a ping and 3 calls are known as our own", g.own)
	}
	for _, tc := range [][2]string{
		{"POST", "/containers/create"},
		{"GET", "/containers/x/export"},
		{"GET", "/containers/x/archive?path=/"},
		{"DELETE", "/containers/x"},
		{"GET", "/containers/x/attach/ws"},
		{"GET", "/swarm/unlockkey"},
		{"GET", "/nonsense"},
		{"POST", "/exec/x/start"},
	} {
		r, _ := http.NewRequestWithContext(t.Context(), tc[0], "http://docker"+tc[1], nil)
		if res, err := c.Do(r); err == nil {
			_ = res.Body.Close()
			t.Errorf("%v went up", tc)
		}
	}
	if seen := g.reached(); len(seen) != 3 {
		t.Errorf("the daemon saw %v", seen)
	}
}
