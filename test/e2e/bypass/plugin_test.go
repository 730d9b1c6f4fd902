package bypass

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

const pluginSocket = "/run/docker/plugins/vitrine.sock"

// ask asks the plugin as dockerd would, and returns whether it says yes.
func ask(t *testing.T, e *engine.Engine, question string) (allow bool, answer string) {
	t.Helper()
	client := engine.SocketClient(e.Path(pluginSocket))
	client.Timeout = wait.Patience(10 * time.Second)
	resp, err := client.Post("http://plugin/AuthZPlugin.AuthZReq", "application/json", strings.NewReader(question))
	check(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(t, err)
	var said struct{ Allow bool }
	if err := json.Unmarshal(body, &said); resp.StatusCode == http.StatusOK && err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return resp.StatusCode == http.StatusOK && said.Allow, string(body)
}

// TestStrangeQuestionsClosed: what dockerd asks in a hurry, or somebody else in
// its place, is no request and gets no yes. `local` is admin here, so that
// whatever is taken for a request would get one.
func TestStrangeQuestionsClosed(t *testing.T) {
	e := engine.Start(t, engine.Options{})
	p := vitrine.Start(t, vitrine.Options{Engine: e})
	create := `"RequestMethod":"POST","RequestUri":"/v1.41/containers/create"`
	for _, question := range []string{
		"", " ", "{", "{}", "null", "[]", `""`, "0", "{}{}", `{"Allow":true}`, "\x00",
		`{"RequestMethod":"GET"}`, `{"RequestUri":"/_ping"}`, `{"RequestMethod":"","RequestUri":""}`,
		`{"RequestMethod":"GET","RequestUri":"/_ping"`, `{"RequestMethod":"GET","RequestUri":"/_ping"}}`,
		`{"RequestMethod":["GET"],"RequestUri":"/_ping"}`,
		`{` + create + `,"RequestBody":"!"}`,
		`{` + create + `,"RequestBody":"e30=","RequestHeaders":{"Content-Length":"2"}}`,
		`{` + create + `,"RequestBody":"e30=","RequestHeaders":{"Content-Type":"application/json","Content-Length":"1200000"}}`,
		`{` + create + `,"RequestBody":"e30=","RequestHeaders":{"Content-Type":"application/json","Content-Length":"-2"}}`,
		`{` + create + `,"RequestBody":"ew==","RequestHeaders":{"Content-Type":"application/json"}}`,
		`{"User":"admin","RequestMethod":"GET","RequestUri":"/_ping"}`,
		`{"User":"admin","UserAuthNMethod":"TLS","RequestMethod":"GET","RequestUri":"/_ping"}`,
		`{"User":"admin","UserAuthNMethod":"BASIC","RequestMethod":"GET","RequestUri":"/_ping"}`,
		`{"RequestPeerCertificates":[""],"RequestMethod":"GET","RequestUri":"/_ping"}`,
		`{"UserAuthNMethod":"TLS","RequestPeerCertificates":["bm90IGEgY2VydGlmaWNhdGU="],"RequestMethod":"GET","RequestUri":"/_ping"}`,
		`{"UserAuthNMethod":"TLS","RequestPeerCertificates":[null],"RequestMethod":"GET","RequestUri":"/_ping"}`,
		`{"RequestHeaders":{"X-Vitrine-Ticket":""},"RequestMethod":"GET","RequestUri":"/_ping"}`,
		`{"RequestHeaders":{"x-vitrine-ticket":"0"},"RequestMethod":"GET","RequestUri":"/_ping"}`,
	} {
		if allow, answer := ask(t, e, question); allow {
			t.Errorf("%s is answered %s", question, answer)
		}
	}
	half(t, e)
	good := `{"RequestMethod":"POST","RequestUri":"/v1.41/containers/create","RequestBody":"eyJJbWFnZSI6ImJiOjEifQ==","RequestHeaders":{"Content-Type":"application/json","Content-Length":"16"}}`
	if allow, answer := ask(t, e, good); !allow {
		t.Errorf("a question that is in order is answered %s", answer)
	}
	if strings.Contains(p.Log(), "panic") {
		t.Error("something panicked")
	}
}

// half sends half a question, as a dockerd that is killed meanwhile.
func half(t *testing.T, e *engine.Engine) {
	t.Helper()
	c, err := net.Dial("unix", e.Path(pluginSocket))
	check(t, err)
	defer c.Close()
	check(t, c.SetDeadline(time.Now().Add(wait.Patience(10*time.Second))))
	_, err = io.WriteString(c, "POST /AuthZPlugin.AuthZReq HTTP/1.1\r\nHost: plugin\r\nContent-Length: 500\r\n\r\n"+
		`{"RequestMethod":"GET","RequestUri":"/_ping"}`)
	check(t, err)
	check(t, c.(*net.UnixConn).CloseWrite())
	if said, _ := io.ReadAll(c); strings.Contains(string(said), `"Allow":true`) {
		t.Errorf("half a question is answered %s", said)
	}
}

// TestRetryWithEmptyBodyClosed: a plugin that dies while dockerd asks is asked
// again, with nothing. The caller is admin and would be allowed.
func TestRetryWithEmptyBodyClosed(t *testing.T) {
	e := engine.Start(t, engine.Options{})
	check(t, e.ImportBusybox())
	p := vitrine.Start(t, vitrine.Options{Engine: e})
	p.Plug(nil)
	p.Kill()
	socket := e.Path(pluginSocket)
	_ = os.Remove(socket)
	dying, err := net.Listen("unix", socket)
	check(t, err)
	type result struct {
		status int
		body   string
		err    error
	}
	answered := make(chan result, 1)
	go func() {
		resp, err := e.Client().Post("http://docker/v1.41/containers/create?name=evil", "application/json", strings.NewReader(`{"Image":"bb:1"}`))
		if err != nil {
			answered <- result{err: err}
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		answered <- result{resp.StatusCode, string(body), err}
	}()
	// Take the question, and die.
	c, err := dying.Accept()
	check(t, err)
	req, err := http.ReadRequest(bufio.NewReader(c))
	check(t, err)
	question, err := io.ReadAll(req.Body)
	check(t, err)
	if !strings.Contains(string(question), "/containers/create") {
		t.Fatalf("dockerd asks %q", question)
	}
	check(t, dying.Close())
	check(t, c.Close())
	p.Run()

	got := <-answered
	if got.err != nil || got.status < 400 {
		t.Errorf("answered %+v, want a refusal", got)
	}
	p.WaitReady()
	if strings.Contains(e.Docker("ps", "--all"), "evil") {
		t.Error("the container is there")
	}
	if !strings.Contains(got.body, "vitrine: the daemon's question was not understood") {
		t.Errorf("dockerd did not ask again with nothing: %+v", got)
	}
}

// slowPolicy needs hours for the list of images, and allows all else.
const slowPolicy = `package docker.authz

import rego.v1

default allow := false

allow if {
	is_string(input.operation.id)
	input.operation.id != "ImageList"
}

allow if {
	input.operation.id == "ImageList"
	some i in numbers.range(1, 30000)
	some j in numbers.range(1, 30000)
	i * j == -1
}
`

// TestSlowPolicyClosed: dockerd would wait for ever, so a policy has 2 seconds.
// Others are decided meanwhile.
func TestSlowPolicyClosed(t *testing.T) {
	e := engine.Start(t, engine.Options{})
	p := vitrine.Start(t, vitrine.Options{Engine: e, Rego: slowPolicy})
	p.Plug(nil)
	var all sync.WaitGroup
	for _, socket := range []string{p.Socket, e.Socket, e.Socket} {
		all.Go(func() {
			from := time.Now()
			status, body, err := getWithin(wait.Patience(20*time.Second), socket, "/v1.41/images/json")
			if took := time.Since(from); err != nil || status != http.StatusForbidden || !strings.Contains(body, "vitrine: ") || took > wait.Patience(8*time.Second) {
				t.Errorf("%s: answered %d %s, %v after %v; want a denial in about 2 s", socket, status, body, err, took)
			}
		})
	}
	slow := make(chan struct{})
	go func() { all.Wait(); close(slow) }()
	for done := false; !done; {
		select {
		case <-slow:
			done = true
		default:
		}
		for _, socket := range []string{p.Socket, e.Socket} {
			if status, body, err := getWithin(wait.Patience(10*time.Second), socket, "/_ping"); err != nil || status != http.StatusOK {
				t.Fatalf("%s: ping is answered %d %s, %v meanwhile", socket, status, body, err)
			}
		}
	}
	for _, r := range p.Audit() {
		if r.Operation == "ImageList" && (r.Allow || len(r.Reasons) == 0) {
			t.Errorf("recorded %+v", r)
		}
	}
}

func getWithin(limit time.Duration, socket, uri string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+uri, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := engine.SocketClient(socket).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		err = fmt.Errorf("read answer: %w", err)
	}
	return resp.StatusCode, string(text), err
}
