package hostile

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// TestCallersWhoNeverReadHoldLittle: each asks for much and takes nothing of it.
func TestCallersWhoNeverReadHoldLittle(t *testing.T) {
	w := newWorld(t)
	w.e.Docker("run", "--detach", "--name", "writer", "bb:1", "sh", "-c", "yes 0123456789abcdef | head -c 20000000; sleep 1000")
	defer w.e.Docker("rm", "--force", "writer")
	w.p.Eventually("20 MB of log", func() error {
		out, err := w.e.DockerCommand(w.e.Socket, "logs", "--tail", "1", "writer").Output()
		if err == nil && len(out) == 0 {
			err = errors.New("no log yet")
		}
		return err
	})
	w.served()
	before := w.usage()
	const each = 40
	var conns []net.Conn
	for range each {
		for _, uri := range []string{"/containers/writer/logs?follow=1&stdout=1", "/images/bb:1/get", "/containers/writer/export", "/events?since=0"} {
			c := w.dial(w.p.Socket)
			send(c, "GET "+uri+" HTTP/1.1\r\nHost: docker\r\n\r\n")
			conns = append(conns, c)
		}
	}
	w.p.Eventually("all to be forwarded", func() error {
		if got := w.metric("vitrine_gateway_streams"); int(got) < len(conns) {
			return fmt.Errorf("%.0f requests are being forwarded", got)
		}
		return nil
	})
	for range 5 {
		w.served()
	}
	during := w.usage()
	t.Logf("before %s; with %d who never read %s", before, len(conns), during)
	during.bounded(t, before, 48<<20)
	for _, c := range conns {
		_ = c.Close()
	}
	w.leftNothing(before)
}

// idleConnections is how many. A Unix connection takes two descriptors (its
// peer's pidfd too), and this machine's limit may be no more than twice as many:
// the rest come over TLS.
const idleConnections = 10_000

// TestTenThousandIdleConnections: half of them have never asked anything.
func TestTenThousandIdleConnections(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	onUnix := min(idleConnections, int(min(limit.Max, 1<<20)-2000)/2)
	ca, err := engine.NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Server("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, append(limits("connections=12000", "connections_per_caller=3000", "header_seconds=300"),
		"--listen", "agents=unix:///run/vitrine/docker/docker.sock",
		"--listen", fmt.Sprintf("far=tcp://127.0.0.1:2376,cert=%s,key=%s,ca=%s", server.CertFile, server.KeyFile, ca.File))...)
	w.served()
	before := w.usage()

	var conns []net.Conn
	defer func() { closeAll(conns) }()
	for uid := 4201; len(conns) < onUnix; uid++ {
		u := vitrine.As(t, uid)
		for range min(2500, onUnix-len(conns)) {
			conns = append(conns, w.connect(u))
		}
	}
	certificate, err := ca.Client("far")
	w.check(err)
	for range idleConnections - len(conns) {
		c, err := w.e.Dial(t.Context(), "tcp", "127.0.0.1:2376")
		w.check(err)
		conns = append(conns, tls.Client(c, &tls.Config{ServerName: "127.0.0.1", RootCAs: ca.Pool, Certificates: []tls.Certificate{certificate.TLS}}))
	}
	for i := 0; i < len(conns); i += 2 {
		send(conns[i], "GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
		if status, message := reply(conns[i]); status != http.StatusOK && status != http.StatusForbidden { // who may not ping is idle all the same
			t.Fatalf("connection %d: status %d (%s)", i, status, message)
		}
	}
	w.p.Eventually("all connections to be open", func() error {
		if got := w.metric("vitrine_gateway_connections"); int(got) < idleConnections {
			return fmt.Errorf("%.0f are", got)
		}
		return nil
	})
	for range 5 {
		w.served()
	}
	during := w.usage()
	t.Logf("before %s; with %d idle connections %s", before, len(conns), during)
	during.bounded(t, before, idleConnections*40<<10)
	closeAll(conns)
	w.leftNothing(before)
}

// connect tries again as long as too many others are in the socket's queue.
func (w *world) connect(u *vitrine.User) net.Conn {
	w.Helper()
	var c net.Conn
	w.check(wait.NoError(20*time.Second, func() (err error) {
		c, err = u.Dial(w.p.Socket)
		return err
	}))
	return c
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

// TestOneContainerCannotExhaustTheGateway: not even for a container of the same user and image.
func TestOneContainerCannotExhaustTheGateway(t *testing.T) {
	w := newWorld(t, limits("connections_per_caller=20")...)
	run := func(name string, command ...string) {
		w.e.Docker(append([]string{"run", "--detach", "--name", name, "--label", "vitrine.role=look", "--volume", "/run/vitrine/docker:/v:ro", "curl:1"}, command...)...)
		t.Cleanup(func() { _ = w.e.DockerCommand(w.e.Socket, "rm", "--force", name).Run() })
	}
	curl := func(container string) string {
		out, _ := w.e.CombinedOutput(w.e.Socket, "exec", container, "curl", "--silent", "--show-error", "--write-out", " %{http_code}",
			"--unix-socket", "/v/docker.sock", "http://d/_ping")
		return out
	}
	run("hog", "sleep", "1000")
	if got := curl("hog"); got != "OK 200" { // it is known now
		t.Errorf("at first it is told %q", got)
	}
	w.e.Docker("exec", "--detach", "hog", "curl", "--parallel", "--parallel-immediate", "--parallel-max", "60", "--silent", "--no-buffer",
		"--unix-socket", "/v/docker.sock", "http://d/events#[1-60]")
	w.p.Eventually("the hog to have all that it can get", func() error {
		if got := w.metric("vitrine_gateway_streams"); got != 20 {
			return fmt.Errorf("it has %.0f streams", got)
		}
		return nil
	})
	// It may have noticed that the connection is closed before it reads why.
	if got := curl("hog"); !strings.Contains(got, "vitrine: too many connections; try again") && !strings.Contains(got, "curl: (") {
		t.Errorf("the hog is told %q", got)
	}
	run("good", "sleep", "1000")
	if got := curl("good"); got != "OK 200" {
		t.Errorf("the other container is told %q", got)
	}
	w.served()
	w.e.Docker("rm", "--force", "hog")
	run("hog", "sleep", "1000")
	if got := curl("hog"); got != "OK 200" {
		t.Errorf("when the hog has gone, its successor is told %q", got)
	}
}

// TestOneUserCannotHaveAllStreams, on as many connections as it likes.
func TestOneUserCannotHaveAllStreams(t *testing.T) {
	w := newWorld(t, limits("streams_per_caller=5")...)
	user := vitrine.As(t, 4201)
	open := func() (net.Conn, int) {
		c, err := user.Dial(w.p.Socket)
		w.check(err)
		t.Cleanup(func() { _ = c.Close() })
		send(c, "GET /events HTTP/1.1\r\nHost: docker\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		w.check(err)
		return c, res.StatusCode
	}
	first, status := open()
	for range 4 {
		_, status = open()
	}
	if status != http.StatusOK {
		t.Fatalf("the fifth stream: status %d", status)
	}
	if _, status = open(); status != http.StatusTooManyRequests {
		t.Errorf("the sixth stream: status %d, want 429", status)
	}
	w.served()
	w.check(first.Close())
	w.p.Eventually("a place to be free", func() error {
		if _, status := open(); status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
}

const callers = 200

// TestTwoHundredCallersLeaveNothing: with tickets, on kept and on new connections,
// some with streams, some refused what they ask.
func TestTwoHundredCallersLeaveNothing(t *testing.T) {
	w := newTicketWorld(t)
	w.e.Docker("run", "--detach", "--name", "web", "bb:1", "sleep", "1000")
	took := 10 * time.Second
	if os.Getenv("VITRINE_LONG") != "" {
		took = time.Minute
	}
	var users []*vitrine.User
	for uid := 4201; uid < 4205; uid++ {
		users = append(users, vitrine.As(t, uid))
	}
	w.busy(users, 3*time.Second) // what is made once, and kept, is made now
	w.leftNothing(usage{goroutines: 1000, files: 1000})
	before := w.usage()
	began := time.Now()
	n := w.busy(users, took)
	t.Logf("%d callers, %d requests in %v", callers, n, time.Since(began).Round(time.Second))
	w.leftNothing(before)
	after := w.usage()
	t.Logf("before %s; after %s", before, after)
	after.bounded(t, before, 16<<20)
	w.served()
}

// busy lets the callers ask for so long and tells how often they did.
func (w *world) busy(users []*vitrine.User, took time.Duration) int64 {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), took)
	defer cancel()
	var group sync.WaitGroup
	var n, errs atomic.Int64
	for i := range callers {
		group.Go(func() {
			transport := &http.Transport{
				DisableKeepAlives: i%4 == 0,
				DialContext:       func(context.Context, string, string) (net.Conn, error) { return users[i%len(users)].Dial(w.p.Socket) },
			}
			defer transport.CloseIdleConnections()
			c := &http.Client{Transport: transport}
			for j := i; ctx.Err() == nil; j++ {
				if err := oneOf(c, j); err != nil && errs.Add(1) <= 5 {
					w.Errorf("caller %d: %v", i, err)
				}
				n.Add(1)
			}
		})
	}
	group.Wait()
	return n.Load()
}

// oneOf asks one of several things; the context is its own, so that nobody is cut off by the end.
func oneOf(c *http.Client, which int) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait.Patience(30*time.Second))
	defer cancel()
	method, path, status := http.MethodGet, "/_ping", http.StatusOK
	switch which % 5 {
	case 1:
		path = "/v1.41/containers/json"
	case 2:
		path = "/v1.41/containers/web/json"
	case 3:
		method, path, status = http.MethodPost, "/v1.41/containers/web/kill", http.StatusForbidden
	case 4:
		path = "/v1.41/events?since=0"
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, nil)
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if which%5 == 4 { // a stream, left after its first bytes
		_, err = res.Body.Read(make([]byte, 100))
	} else {
		_, err = io.Copy(io.Discard, res.Body)
	}
	if err == nil && res.StatusCode != status {
		err = fmt.Errorf("%s %s: %s", method, path, res.Status)
	}
	return err
}

// TestDockerdKilledAmidStreams: they end, new requests are told why, and all is well when it is back.
func TestDockerdKilledAmidStreams(t *testing.T) {
	w := newTicketWorld(t)
	w.e.Docker("run", "--detach", "--interactive", "--stop-signal", "KILL", "--name", "web", "bb:1", "cat")
	w.served()
	before := w.usage()
	var conns []net.Conn
	for uri, method := range map[string]string{
		"/events":                                          "GET",
		"/containers/web/logs?follow=1&stdout=1":           "GET",
		"/containers/web/stats":                            "GET",
		"/containers/web/attach?stream=1&stdin=1&stdout=1": "POST",
		"/containers/web/wait":                             "POST",
	} {
		c := w.dial(w.p.Socket)
		send(c, method+" "+uri+" HTTP/1.1\r\nHost: docker\r\n\r\n")
		conns = append(conns, c)
	}
	w.p.Eventually("all streams to be open", func() error {
		if got := w.metric("vitrine_gateway_streams"); int(got) < len(conns) {
			return fmt.Errorf("%.0f are", got)
		}
		return nil
	})
	w.check(w.e.Kill())
	for _, c := range conns {
		if _, err := io.Copy(io.Discard, c); isTimeout(err) {
			t.Error("a stream is still open")
		}
	}
	closeAll(conns)
	w.p.Eventually("the gateway to say that dockerd is dead", func() error { // a thread of it may hold its sockets for a moment
		c := w.dial(w.p.Socket)
		defer c.Close()
		send(c, "GET /containers/json HTTP/1.1\r\nHost: docker\r\n\r\n")
		status, message := reply(c)
		if status < 500 {
			t.Fatalf("while dockerd is dead: status %d (%s)", status, message)
		}
		if status != http.StatusServiceUnavailable || !strings.Contains(message, "is it running?") {
			return fmt.Errorf("status %d (%s)", status, message)
		}
		return nil
	})
	w.leftNothing(before)

	w.check(w.e.Resume())
	w.p.WaitReady()
	w.served()
	w.p.Eventually("dockerd to ask again", func() error {
		health, err := w.p.Health()
		if err == nil && health.Checks["plugin"] != "ok" {
			err = errors.New(health.Checks["plugin"])
		}
		return err
	})
}
