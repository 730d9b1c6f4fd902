package plugin

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/docker/go-plugins-helpers/authorization"

	"vitrine/internal/authz/decide"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// Each guard is asked alone: behind most of them stands another one that denies too, for another reason.

// TestEachDoubtSaysItsOwnReasonClosed.
func TestEachDoubtSaysItsOwnReasonClosed(t *testing.T) {
	g := start(t)
	for want, res := range map[string]authorization.Response{
		"the daemon's question was not understood":        g.askBytes([]byte(`{"RequestMethod":`)),
		"asked about an empty request":                    g.ask(authorization.Request{RequestMethod: "GET"}),
		"about an empty request":                          g.ask(authorization.Request{RequestURI: "/_ping"}),
		"the ticket is unknown or has been used":          g.ask(get("/_ping", "X-Vitrine-Ticket", strings.Repeat("0", 32))),
		"Content-Length is no length":                     g.ask(get("/_ping", "Content-Length", "-1")),
		"Docker Engine does not show client certificates": g.ask(authorization.Request{RequestMethod: "GET", RequestURI: "/_ping", UserAuthNMethod: "TLS"}),
		"in a way that is not known":                      g.ask(authorization.Request{RequestMethod: "GET", RequestURI: "/_ping", UserAuthNMethod: "Basic"}),
		"names a caller in a way that is not known":       g.ask(authorization.Request{RequestMethod: "GET", RequestURI: "/_ping", User: "root"}),
		"a caller in a way that is not known":             g.ask(authorization.Request{RequestMethod: "GET", RequestURI: "/_ping", RequestPeerCertificates: []*authorization.PeerCertificate{certificate(t)}}),
	} {
		if res.Allow || !strings.Contains(res.Msg, want) {
			t.Errorf("allow %v: %q, want %q", res.Allow, res.Msg, want)
		}
	}
	if len(g.inputs) > 0 {
		t.Errorf("the policy was asked %d times", len(g.inputs))
	}
}

// TestLengthsThatDoNotAgreeClosed.
func TestLengthsThatDoNotAgreeClosed(t *testing.T) {
	body := []byte("{}")
	for declared, ok := range map[string]bool{"": true, "2": true, "3": false, "-1": false, "-2": false, "x": false, "2,2": false} {
		h := http.Header{}
		if declared != "" {
			h.Set("Content-Length", declared)
		}
		req, err := toOperation(&authorization.Request{RequestMethod: "POST", RequestURI: "/x", RequestBody: body}, h)
		if (err == nil) != ok || ok && (req.ContentLength != 2 || req.ReadBody == nil || req.Withheld) {
			t.Errorf("%q: %+v, %v", declared, req, err)
		}
	}
	req, err := toOperation(&authorization.Request{RequestMethod: "POST", RequestURI: "/x"}, http.Header{})
	if err != nil || !req.Withheld || req.ContentLength != -1 {
		t.Errorf("none is shown: %+v, %v", req, err)
	}
	if req, err := toOperation(&authorization.Request{RequestMethod: "POST", RequestURI: "/x"}, http.Header{"Content-Length": {"x"}}); err == nil {
		t.Errorf("none is shown, and of no length: %+v", req)
	}
}

// TestQuestionsAreReadInBoundsClosed: not a byte more than may be, and no room for what is only said to come.
func TestQuestionsAreReadInBoundsClosed(t *testing.T) {
	ask := func(body string, length int64) (*authorization.Request, error) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.ContentLength = length
		return decode(httptest.NewRecorder(), r)
	}
	for _, length := range []int64{-1, 0, 22, 1 << 40} {
		if req, err := ask(`{"RequestMethod":"GET"}`, length); err != nil || req.RequestMethod != "GET" {
			t.Errorf("said to have %d bytes: %+v, %v", length, req, err)
		}
	}
	if _, err := ask(`{"RequestMethod":"`+strings.Repeat("G", maxRequest)+`"}`, -1); err == nil || !strings.HasPrefix(err.Error(), "read question") {
		t.Errorf("too long: %v", err)
	}
	if req, err := ask(`nonsense`, 8); err == nil || req != nil {
		t.Errorf("%+v, %v", req, err)
	}
}

// TestPlacesAreTakenAndFullClosed: who finds none is denied, and says so; small questions need no place among the large ones.
func TestPlacesAreTakenAndFullClosed(t *testing.T) {
	g := start(t, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	allowed := func(body string, length int64) string {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/AuthZPlugin.AuthZReq", strings.NewReader(body))
		r.ContentLength = length
		w := httptest.NewRecorder()
		g.door.ServeHTTP(w, r)
		return w.Body.String()
	}
	const ping = `{"RequestMethod":"GET","RequestURI":"/_ping"}`
	for range bigRequests {
		g.door.big <- struct{}{}
	}
	for length, allow := range map[int64]bool{int64(len(ping)): true, bigRequest: true, bigRequest + 1: false, -1: false, 0: true} {
		if got := allowed(ping, length); strings.Contains(got, `"Allow":true`) != allow || !allow && !strings.Contains(got, "too many large requests") {
			t.Errorf("%d bytes: %s", length, got)
		}
	}
	for range reading {
		g.door.reading <- struct{}{}
	}
	if got := allowed(ping, int64(len(ping))); !strings.Contains(got, "too many requests at once") {
		t.Error(got)
	}
	<-g.door.reading
	if got := allowed(ping, int64(len(ping))); !strings.Contains(got, `"Allow":true`) {
		t.Error(got)
	}
	if len(g.door.reading) != reading-1 || len(g.door.big) != bigRequests {
		t.Errorf("%d and %d places are taken", len(g.door.reading), len(g.door.big))
	}
}

// TestOneAnswer: whoever comes first with it.
func TestOneAnswer(t *testing.T) {
	w := httptest.NewRecorder()
	a := &once{w: w}
	if !a.answer(deny("deadline", "late")) || a.answer(authorization.Response{Allow: true}) {
		t.Error("the first answer is the only one")
	}
	if got := w.Body.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "vitrine: late") || !w.Flushed {
		t.Errorf("%q, sent: %v", got, w.Flushed)
	}
}

// TestPluginProtocol: types and paths as dockerd's plugin client wants them.
func TestPluginProtocol(t *testing.T) {
	g := start(t)
	for path, want := range map[string]int{"/Plugin.Activate": 200, "/AuthZPlugin.AuthZRes": 200, "/AuthZPlugin.AuthZReq": 200, "/": 404, "/Plugin.Deactivate": 404} {
		res, err := g.client.Post("http://plugin"+path, "application/json", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if kind := res.Header.Get("Content-Type"); res.StatusCode != want || want == 200 && kind != "application/vnd.docker.plugins.v1.1+json" {
			t.Errorf("%s: %d, %s", path, res.StatusCode, kind)
		}
	}
	c, err := net.Dial("unix", g.sock)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("%v, %v", res, err)
	}
}

// remembering is an Authorizer that remembers what it is asked in.
type remembering struct {
	decide.Authorizer
	ctx context.Context //nolint:containedctx // it is what is tested
}

func (a *remembering) Authorize(ctx context.Context, c *identity.Connection, r *operation.Request) *decide.Verdict {
	a.ctx = ctx
	return a.Authorizer.Authorize(ctx, c, r)
}

// TestDecisionEndsWithItsAnswer.
func TestDecisionEndsWithItsAnswer(t *testing.T) {
	a := &remembering{}
	g := start(t, func(c *Config) { a.Authorizer, c.Authorizer = c.Authorizer, a })
	w := httptest.NewRecorder()
	g.door.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/AuthZPlugin.AuthZReq", strings.NewReader(`{"RequestMethod":"GET","RequestURI":"/_ping"}`)))
	if a.ctx == nil || a.ctx.Err() == nil {
		t.Errorf("%s, and the decision goes on", w.Body)
	}
}
