package hostile

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

const create = "POST /containers/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"

// garbage is no request, or not one that may go on; refused before anybody is asked.
var garbage = []struct {
	name, bytes string
	status      int
}{
	{"words", "hello there\r\n\r\n", 400},
	{"noise", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\xff\xfe\r\n\r\n", 400},
	{"no version", "GET /_ping\r\n\r\n", 400},
	{"version of the future", "GET /_ping HTTP/9.9\r\nHost: docker\r\n\r\n", 505},
	{"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
	{"control byte in the path", "GET /_ping\x01 HTTP/1.1\r\nHost: docker\r\n\r\n", 400},
	{"encoded zero in the path", "GET /containers/%00/json HTTP/1.1\r\nHost: docker\r\n\r\n", 400},
	{"bad escape in the path", "GET /containers/%zz/json HTTP/1.1\r\nHost: docker\r\n\r\n", 400},
	{"no host", "GET /_ping HTTP/1.1\r\n\r\n", 400},
	{"two hosts", "GET /_ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
	{"header without colon", "GET /_ping HTTP/1.1\r\nHost: docker\r\nnonsense\r\n\r\n", 400},
	{"header with a space", "GET /_ping HTTP/1.1\r\nHost: docker\r\nA B: c\r\n\r\n", 400},
	{"zero in a header", "GET /_ping HTTP/1.1\r\nHost: docker\r\nA: b\x00c\r\n\r\n", 400},
	{"unknown transfer encoding", create + "Transfer-Encoding: gzip\r\n\r\n", 501},
	{"two lengths", create + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400},
	{"negative length", create + "Content-Length: -1\r\n\r\n", 400},
	{"length out of range", create + "Content-Length: 99999999999999999999\r\n\r\n", 400},
	{"bad chunk", create + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400},
	{"no JSON", create + "Content-Length: 4\r\n\r\n{\"a\"", 400},
	{"deep JSON", create + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 200_000, strings.Repeat("[", 200_000)), 400},
	{"half a body", create + "Content-Length: 100\r\n\r\n{\"Image\":", 400},
	{"server's options", "OPTIONS * HTTP/1.1\r\nHost: docker\r\n\r\n", 400},
	{"proxy's connect", "CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n", 403},
	{"proxy's request", "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 403},
}

// TestGarbageIsRefusedClosed: as root, who may do everything.
func TestGarbageIsRefusedClosed(t *testing.T) {
	w := newWorld(t)
	before := w.e.Docker("ps", "--all", "--quiet")
	for _, g := range garbage {
		c := w.dial(w.p.Socket)
		send(c, g.bytes)
		w.check(c.CloseWrite())
		if status, message := reply(c); status != g.status {
			t.Errorf("%s: status %d (%s), want %d", g.name, status, message, g.status)
		}
	}
	if after := w.e.Docker("ps", "--all", "--quiet"); after != before {
		t.Errorf("containers are now %s", after)
	}
	w.served()
}

// TestTooMuchIsRefusedClosed holds the limits that docs/install.md names.
func TestTooMuchIsRefusedClosed(t *testing.T) {
	w := newWorld(t)
	const header, body = 64 << 10, 4 << 20
	label := func(n int) string { return `{"Labels":{"a":"` + strings.Repeat("x", n) + `"}}` }
	for name, s := range map[string]struct {
		bytes  string
		status int
	}{
		"headers within the limit":  {"GET /_ping HTTP/1.1\r\nHost: docker\r\nA: " + strings.Repeat("x", header-4096) + "\r\n\r\n", 200},
		"one large header":          {"GET /_ping HTTP/1.1\r\nHost: docker\r\nA: " + strings.Repeat("x", header+8192) + "\r\n\r\n", 431},
		"many headers":              {"GET /_ping HTTP/1.1\r\nHost: docker\r\n" + strings.Repeat("A: b\r\n", header/4) + "\r\n", 431},
		"a long path":               {"GET /" + strings.Repeat("x", header+8192) + " HTTP/1.1\r\nHost: docker\r\n\r\n", 431},
		"headers without end":       {"GET /_ping HTTP/1.1\r\nHost: docker\r\nA: " + strings.Repeat("x", 4*header), 431},
		"a body within the limit":   {create + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(label(body-100)), label(body-100)), 400}, // by dockerd: no image
		"a large body":              {create + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(label(body)), label(body)), 413},
		"a large body in one chunk": {create + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(label(body)), label(body)), 413},
		"a chunk without end":       {create + "Transfer-Encoding: chunked\r\n\r\nfffffff\r\n" + strings.Repeat("x", body+1), 413},
		"a promised large body":     {create + "Content-Length: 1000000000000\r\nExpect: 100-continue\r\n\r\n", 413},
	} {
		c := w.dial(w.p.Socket)
		go send(c, s.bytes)
		if status, message := reply(c); status != s.status {
			t.Errorf("%s: status %d (%s), want %d", name, status, message, s.status)
		}
	}
	w.served()
}

// TestSlowCallersAreCutOff: each in its own way, all at once.
func TestSlowCallersAreCutOff(t *testing.T) {
	w := newWorld(t, limits("header_seconds=3", "body_seconds=3", "idle_seconds=3")...) // more than it takes an honest caller, on a busy machine
	const head = "GET /_ping HTTP/1.1\r\nHost: docker\r\n"
	const ping = head + "\r\n"
	var group sync.WaitGroup
	for name, s := range map[string]struct {
		first, drop string // drop is sent again and again
		half        bool   // the sending half is closed after first
		status      int    // of the last answer; 0 for none
		answers     int    // before that
	}{
		"says nothing":                     {},
		"says nothing, half-open":          {half: true},
		"half a head":                      {first: head + "A: "},
		"a byte at a time":                 {first: head, drop: "A: b\r\n"},
		"asks once, then is idle":          {first: ping, answers: 1},
		"asks once, then a byte at a time": {first: ping, drop: "\r\n", answers: 1},
		"no body":                          {first: create + "Content-Length: 10\r\n\r\n", status: 408},
		"a body a byte at a time":          {first: create + "Content-Length: 10000\r\n\r\n", drop: " ", status: 408},
		"a chunk at a time":                {first: create + "Transfer-Encoding: chunked\r\n\r\n", drop: "1\r\n \r\n", status: 408},
	} {
		group.Go(func() {
			c := w.dial(w.p.Socket)
			began := time.Now()
			send(c, s.first)
			if s.half {
				_ = c.CloseWrite()
			}
			stop := make(chan struct{})
			defer close(stop)
			if s.drop != "" {
				go drip(c, s.drop, stop)
			}
			text, err := io.ReadAll(c)
			if took := time.Since(began); took > wait.Patience(10*time.Second) || isTimeout(err) {
				t.Errorf("%s: cut off after %v only", name, took)
			}
			if got := strings.Count(string(text), "HTTP/1.1 200 OK"); got != s.answers {
				t.Errorf("%s: %d answers, want %d:\n%s", name, got, s.answers, text)
			}
			if s.status != 0 && !strings.HasPrefix(string(text), fmt.Sprintf("HTTP/1.1 %d ", s.status)) {
				t.Errorf("%s: want status %d:\n%s", name, s.status, text)
			}
		})
	}
	w.served()
	group.Wait()
	w.served()
}

// drip sends a little again and again.
func drip(c net.Conn, drop string, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(100 * time.Millisecond):
			send(c, drop)
		}
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error) //nolint:errorlint // net.Conn returns it as it is
	return ok && timeout.Timeout()
}

const question = "POST /AuthZPlugin.AuthZReq HTTP/1.1\r\nHost: plugin\r\n"

func withBody(head, body string) string {
	return head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}

// TestGarbageToThePluginSocketClosed: dockerd's side is not trusted to speak well either.
func TestGarbageToThePluginSocketClosed(t *testing.T) {
	w := newTicketWorld(t)
	socket := w.e.Path("/run/docker/plugins/vitrine.sock")
	if c, err := vitrine.As(t, bystander).Dial(socket); err == nil {
		t.Error("a user can connect to the plugin's socket")
		_ = c.Close()
	}
	for _, g := range garbage {
		c := w.dial(socket)
		send(c, g.bytes)
		w.check(c.CloseWrite())
		if status, message := reply(c); status < 400 {
			t.Errorf("%s: status %d (%s), want a refusal", g.name, status, message)
		}
	}
	for name, bytes := range map[string]string{
		"no body":         question + "Content-Length: 0\r\n\r\n",
		"no JSON":         withBody(question, "hello"),
		"an array":        withBody(question, "[]"),
		"null":            withBody(question, "null"),
		"an empty object": withBody(question, "{}"),
		"two requests":    withBody(question, `{"RequestMethod":"GET","RequestUri":"/_ping"}{"RequestMethod":"GET","RequestUri":"/_ping"}`),
		"too much":        withBody(question, `{"RequestMethod":"GET","RequestUri":"/_ping","User":"`+strings.Repeat("x", 9<<20)+`"}`),
		"deep":            withBody(question, strings.Repeat("[", 1<<20)),
		"no certificate":  withBody(question, `{"RequestMethod":"GET","RequestUri":"/_ping","RequestPeerCertificates":["bm8="]}`),
	} {
		c := w.dial(socket)
		go send(c, bytes)
		status, message := reply(c)
		if status == http.StatusOK && !strings.Contains(message, `"Allow":false`) {
			t.Errorf("%s: answered %s, want a denial", name, message)
		}
	}
	if got := w.e.Docker("version", "--format", "{{.Server.Version}}"); got == "" {
		t.Error("dockerd is no longer answered")
	}
	w.served()
}

// TestAdminSocketAnswersRootOnlyClosed, and survives garbage.
func TestAdminSocketAnswersRootOnlyClosed(t *testing.T) {
	w := newWorld(t)
	user := vitrine.As(t, bystander)
	if c, err := user.Dial(w.p.Admin); err == nil {
		t.Error("a user can connect to the admin socket")
		_ = c.Close()
	}
	w.check(exec.Command("chmod", "0755", filepath.Dir(w.p.Admin)).Run()) // as an operator may
	defer func() { w.check(exec.Command("chmod", "0700", filepath.Dir(w.p.Admin)).Run()) }()
	for _, path := range []string{"/metrics", "/healthz", "/decisions", "/decisions?follow=1", "/", "/debug/pprof/"} {
		c, err := user.Dial(w.p.Admin)
		w.check(err)
		send(c, "GET "+path+" HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")
		if status, message := reply(c); status != http.StatusForbidden {
			t.Errorf("%s: status %d (%s), want 403", path, status, message)
		}
		w.check(c.Close())
	}
	for _, g := range garbage {
		c := w.dial(w.p.Admin)
		send(c, g.bytes)
		w.check(c.CloseWrite())
		if status, message := reply(c); status < 400 {
			t.Errorf("%s: status %d (%s), want a refusal", g.name, status, message)
		}
	}
	c := w.dial(w.p.Admin)
	go send(c, "GET /metrics HTTP/1.1\r\nHost: admin\r\nA: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	if status, _ := reply(c); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("large headers: status %d, want 431", status)
	}
	if _, err := w.p.Health(); err != nil {
		t.Error(err)
	}
}

// TestServeNamesEveryProblem: exit 2, each with its key, and no socket made.
func TestServeNamesEveryProblem(t *testing.T) {
	engine.Require(t)
	dir := t.TempDir()
	socket := filepath.Join(dir, "run/docker.sock")
	// Without a network of its own a TCP listener would reach nobody.
	cmd := exec.Command("unshare", "--net", vitrine.Binary(t), "serve", "--config", filepath.Join(dir, "none.yaml"),
		"--plugin-socket", "plugin.sock", "--listen", "agents=unix://"+socket, "--listen", "far=tcp://127.0.0.1:2376",
		"--listen", "agents=http://x", "--upstream", "tcp://127.0.0.1:1", "--mode", "maybe", "--limits", "connections=0")
	cmd.Env = []string{"VITRINE_LOG_LEVEL=loud", "VITRINE_REQUIRE_PLUGIN=perhaps"}
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	for _, want := range []string{
		"none.yaml", "--plugin-socket", `"far=tcp://127.0.0.1:2376"`, `"agents=http://x"`, "--upstream", "--mode", `"connections=0"`,
		"VITRINE_LOG_LEVEL", "VITRINE_REQUIRE_PLUGIN",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s is not named in:\n%s", want, out)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("it has made %v", left)
	}
}
