package plugin

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/go-plugins-helpers/authorization"
	"go.uber.org/goleak"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/ticket"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/test/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a door on a real socket, with fakes of everything that decides.
type rig struct {
	t       testing.TB
	sock    string
	door    *Door
	tickets *ticket.Store
	client  *http.Client

	mu           sync.Mutex
	caller       *identity.Identity
	decide       func(*policy.Input) policy.Decision
	inputs       []*policy.Input
	records      []audit.Record
	differential []string
}

func (g *rig) Identify(context.Context, *identity.Connection) *identity.Identity { return g.caller }

func (g *rig) ContainerPrincipals(context.Context, string) ([]string, error) { return nil, nil }

func (g *rig) Decide(_ context.Context, in *policy.Input) policy.Decision {
	g.mu.Lock()
	g.inputs = append(g.inputs, in)
	g.mu.Unlock()
	return g.decide(in)
}

func (g *rig) record(r audit.Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.records = append(g.records, r)
}

func start(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "pl") //nolint:usetesting // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	g := &rig{
		t: t, sock: filepath.Join(dir, "s"), tickets: ticket.NewStore(),
		caller: &identity.Identity{Kind: identity.Local, Principals: []string{"local"}, Door: "plugin"},
		decide: func(*policy.Input) policy.Decision { return policy.Decision{Allow: true} },
	}
	cfg := Config{
		Authorizer: decide.New(decide.Options{Identifier: g, Policy: g, Record: g.record}), Tickets: g.tickets,
		Logger: slog.New(slog.DiscardHandler), GatewaySocket: "/run/vitrine/docker/docker.sock",
		Differential: func(_ *identity.Identity, method, _, why string) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.differential = append(g.differential, method+": "+why)
		},
	}
	for _, c := range change {
		c(&cfg)
	}
	g.door = New(cfg)
	l, err := net.Listen("unix", g.sock)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.door.Serve(ctx, l) }()
	tr := &http.Transport{MaxIdleConnsPerHost: 64, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", g.sock)
	}}
	g.client = &http.Client{Transport: tr, Timeout: 20 * time.Second}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return g
}

func (g *rig) post(path string, body []byte) (int, []byte) {
	g.t.Helper()
	res, err := g.client.Post("http://plugin"+path, "application/json", bytes.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, b
}

func (g *rig) ask(req authorization.Request) authorization.Response {
	g.t.Helper()
	b, err := json.Marshal(req)
	if err != nil {
		g.t.Fatal(err)
	}
	return g.askBytes(b)
}

// askBytes expects exactly one answer, with status 200 and never an Err.
func (g *rig) askBytes(b []byte) authorization.Response {
	g.t.Helper()
	status, answer := g.post("/AuthZPlugin.AuthZReq", b)
	var res authorization.Response
	if err := json.Unmarshal(answer, &res); err != nil || status != 200 || res.Err != "" {
		g.t.Fatalf("%d %s: %v", status, answer, err)
	}
	if !res.Allow && res.Msg == "" {
		g.t.Error("a denial without a message")
	}
	return res
}

func get(uri string, headers ...string) authorization.Request {
	req := authorization.Request{RequestMethod: "GET", RequestURI: uri, RequestHeaders: map[string]string{}}
	for i := 0; i < len(headers); i += 2 {
		req.RequestHeaders[headers[i]] = headers[i+1]
	}
	return req
}

func certificate(t testing.TB) *authorization.PeerCertificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "monitor"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return (*authorization.PeerCertificate)(cert)
}

func TestActivate(t *testing.T) {
	if status, body := start(t).post("/Plugin.Activate", nil); status != 200 || strings.TrimSpace(string(body)) != `{"Implements": ["authz"]}` {
		t.Errorf("%d %s", status, body)
	}
}

func TestLocalRequestIsDecided(t *testing.T) {
	g := start(t)
	if res := g.ask(get("/v1.41/containers/json", "Authz-User", "admin")); !res.Allow {
		t.Errorf("%+v", res)
	}
	g.decide = func(*policy.Input) policy.Decision {
		return policy.Decision{Diagnostics: policy.Diagnostics{Reasons: []string{"because"}}}
	}
	if res := g.ask(get("/v1.41/containers/json")); res.Allow || res.Msg != "vitrine: local may not ContainerList (GET /containers/json): because [policy]" {
		t.Errorf("%+v", res)
	}
	if len(g.records) != 2 || !g.records[0].Allow || g.records[1].Allow || g.records[1].Status != 403 {
		t.Errorf("records %+v", g.records)
	}
}

func TestCallers(t *testing.T) {
	cert := certificate(t)
	for name, tc := range map[string]struct {
		req  authorization.Request
		open bool
	}{
		"a verified certificate":      {authorization.Request{User: "monitor", UserAuthNMethod: "TLS", RequestPeerCertificates: []*authorization.PeerCertificate{cert}}, true},
		"nothing at all":              {authorization.Request{}, true},
		"closed: no certificate":      {authorization.Request{User: "root", UserAuthNMethod: "TLS"}, false},
		"closed: null certificate":    {authorization.Request{UserAuthNMethod: "TLS", RequestPeerCertificates: []*authorization.PeerCertificate{nil}}, false},
		"closed: a user and no way":   {authorization.Request{User: "root"}, false},
		"closed: a certificate alone": {authorization.Request{RequestPeerCertificates: []*authorization.PeerCertificate{cert}}, false},
		"closed: another way":         {authorization.Request{User: "root", UserAuthNMethod: "krb"}, false},
	} {
		g := start(t)
		tc.req.RequestMethod, tc.req.RequestURI = "GET", "/_ping"
		if res := g.ask(tc.req); res.Allow != tc.open {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

func TestTicket(t *testing.T) {
	body := []byte(`{"Image":"bb"}`)
	create := func(pass string, body []byte) authorization.Request {
		return authorization.Request{
			RequestMethod: "POST", RequestURI: "/containers/create", RequestBody: body,
			RequestHeaders: map[string]string{"X-Vitrine-Ticket": pass, "Content-Type": "application/json"},
		}
	}
	g := start(t)
	g.decide = func(*policy.Input) policy.Decision {
		t.Error("a ticketed request was decided again")
		return policy.Decision{}
	}
	issue := func() string {
		return g.tickets.Issue(ticket.Entry{Method: "POST", URI: "/containers/create", Body: ticket.JSON(body, false), Caller: "container:web"})
	}

	pass := issue()
	if res := g.ask(create(pass, body)); !res.Allow {
		t.Errorf("the forwarded request: %+v", res)
	}
	if len(g.records) != 0 || len(g.differential) != 0 {
		t.Errorf("records %v, differential %v", g.records, g.differential)
	}
	closed := func(name string, req authorization.Request) {
		t.Helper()
		before := len(g.differential)
		res := g.ask(req)
		if res.Allow || !strings.Contains(res.Msg, "differential") {
			t.Errorf("closed: %s: %+v", name, res)
		}
		if len(g.differential) != before+1 {
			t.Errorf("%s rang no alarm", name)
		}
	}
	closed("used ticket", create(pass, body))
	closed("used ticket, dockerd's retry without the body", create(pass, nil))
	late := issue()
	g.tickets.Abandon(late)
	if res := g.ask(create(late, body)); res.Allow || len(g.differential) != 2 {
		t.Errorf("closed: a request that was given up: %+v, differential %v", res, g.differential)
	}
	closed("its ticket again", create(late, body))
	closed("unknown ticket", create(strings.Repeat("0", 32), body))
	closed("empty ticket", create("", body))
	closed("another body", create(issue(), []byte(`{"Image":"xx"}`)))
	closed("no body", create(issue(), nil))
	other := create(issue(), body)
	other.RequestURI = "/containers/create?name=x"
	closed("another URI", other)
	other = create(issue(), body)
	other.RequestMethod = "PUT"
	closed("another method", other)
	other = create(issue(), body)
	other.RequestPeerCertificates = []*authorization.PeerCertificate{certificate(t)}
	closed("a certificate too", other)
	other = create(issue(), body)
	other.User = "monitor"
	closed("a user too", other)
	other = create(issue(), body)
	other.UserAuthNMethod = "TLS"
	closed("a way of authentication too", other)
	other = create(issue(), body)
	other.RequestHeaders["x-vitrine-ticket"] = issue()
	closed("two tickets", other)
	for _, why := range g.differential {
		if strings.Contains(why, pass) || strings.Contains(why, "name=x") {
			t.Errorf("%q shows too much", why)
		}
	}
}

func TestSelfTicketIsForReadsOnlyClosed(t *testing.T) {
	g := start(t)
	g.caller = &identity.Identity{Kind: identity.Self}
	g.decide = func(*policy.Input) policy.Decision { t.Error("our own call was decided"); return policy.Decision{} }
	for uri, open := range map[string]bool{"/_ping": true, "/containers/json": true, "/events": true, "/swarm/unlockkey": false, "/containers/x/export": false, "/nonsense": false} {
		pass := g.tickets.Issue(ticket.Entry{Method: "GET", URI: uri, Self: true})
		if res := g.ask(get(uri, ticket.Header, pass)); res.Allow != open {
			t.Errorf("%s: %+v", uri, res)
		}
	}
}

func TestWhatIsNotUnderstoodClosed(t *testing.T) {
	g := start(t)
	g.decide = func(*policy.Input) policy.Decision { t.Error("it was decided"); return policy.Decision{Allow: true} }
	notPEM := base64.StdEncoding.EncodeToString([]byte("no certificate"))
	for name, body := range map[string]string{
		"empty":                "",
		"half":                 `{"RequestMethod":"GET","RequestUri":"/_ping"`,
		"not JSON":             "hello",
		"an array":             "[]",
		"two":                  `{"RequestMethod":"GET","RequestUri":"/_ping"}{}`,
		"an empty object":      "{}",
		"no URI":               `{"RequestMethod":"GET"}`,
		"no method":            `{"RequestUri":"/_ping"}`,
		"null":                 "null",
		"wrong type":           `{"RequestMethod":5,"RequestUri":"/_ping"}`,
		"not a certificate":    `{"RequestMethod":"GET","RequestUri":"/_ping","UserAuthNMethod":"TLS","RequestPeerCertificates":["` + notPEM + `"]}`,
		"too long":             `{"RequestMethod":"GET","RequestUri":"/_ping","User":"` + strings.Repeat("x", maxRequest) + `"}`,
		"body of other length": `{"RequestMethod":"POST","RequestUri":"/containers/create","RequestBody":"e30=","RequestHeaders":{"Content-Length":"3","Content-Type":"application/json"}}`,
		"body and length zero": `{"RequestMethod":"POST","RequestUri":"/containers/create","RequestBody":"e30=","RequestHeaders":{"Content-Length":"0","Content-Type":"application/json"}}`,
		"length is no number":  `{"RequestMethod":"POST","RequestUri":"/containers/create","RequestBody":"e30=","RequestHeaders":{"Content-Length":"2x","Content-Type":"application/json"}}`,
	} {
		if res := g.askBytes([]byte(body)); res.Allow {
			t.Errorf("%s was allowed", name)
		}
	}
}

// Whatever hides a body from us, an operation that needs one is withheld.
func TestBodyThatIsNotShownClosed(t *testing.T) {
	for name, headers := range map[string]map[string]string{
		"over 1 MiB": {"Content-Type": "application/json", "Content-Length": "1200000"},
		"chunked":    {"Content-Type": "application/json"},
		"zero":       {"Content-Type": "application/json", "Content-Length": "0"},
		"other type": {"Content-Type": "text/plain", "Content-Length": "20"},
		"no headers": nil,
	} {
		g := start(t)
		res := g.ask(authorization.Request{RequestMethod: "POST", RequestURI: "/containers/create?x=/auth", RequestHeaders: headers})
		if res.Allow {
			t.Errorf("%s: %+v", name, res)
		}
		for _, in := range g.inputs {
			if in.Operation.BodyState != operation.BodyWithheld {
				t.Errorf("%s: body state %s", name, in.Operation.BodyState)
			}
		}
	}
	// Where none is needed, and where it can be no form, nothing is amiss.
	g := start(t)
	for _, req := range []authorization.Request{
		get("/containers/json"),
		{RequestMethod: "POST", RequestURI: "/containers/x/stop", RequestHeaders: map[string]string{"Content-Length": "0"}},
		{RequestMethod: "POST", RequestURI: "/containers/x/stop"},
		{RequestMethod: "POST", RequestURI: "/build?t=a&t=b", RequestHeaders: map[string]string{"Content-Length": "200000000"}},
	} {
		if res := g.ask(req); !res.Allow {
			t.Errorf("%s %s: %+v", req.RequestMethod, req.RequestURI, res)
		}
	}
}

// A request may have two Content-Types. dockerd goes by the first, a form's,
// whose values win over the query, and shows us the last: so one that we are
// shown says nothing of a body that we are not.
func TestFormBehindAnotherTypeClosed(t *testing.T) {
	for _, uri := range []string{"/containers/x/rename?name=a", "/images/x/tag?repo=a", "/build?t=a", "/images/load"} {
		for _, shown := range []string{"text/plain", "application/json", "application/x-tar", ""} {
			for _, length := range []string{"12", ""} {
				headers := map[string]string{"Content-Type": shown, "Content-Length": length}
				if length == "" {
					delete(headers, "Content-Length") // chunked
				}
				g := start(t)
				if res := g.ask(authorization.Request{RequestMethod: "POST", RequestURI: uri, RequestHeaders: headers}); res.Allow {
					t.Errorf("POST %s, type %q, length %q was allowed", uri, shown, length)
				}
			}
		}
	}
}

func TestObligationThatNeedsTheGatewayClosed(t *testing.T) {
	for name, tc := range map[string]struct {
		decision policy.Decision
		open     bool
	}{
		"redact":                    {policy.Decision{Allow: true, Redact: []string{"/a"}}, false},
		"where":                     {policy.Decision{Allow: true, Where: map[string]string{"a": "b"}}, false},
		"where without redaction":   {policy.Decision{Allow: true, Where: map[string]string{"a": "b"}, WithoutRedaction: true}, false},
		"redact, but may go unseen": {policy.Decision{Allow: true, Redact: []string{"/a"}, WithoutRedaction: true}, true},
	} {
		g := start(t)
		g.decide = func(*policy.Input) policy.Decision { return tc.decision }
		res := g.ask(get("/containers/x/json"))
		if res.Allow != tc.open || !tc.open && !strings.Contains(res.Msg, "/run/vitrine/docker/docker.sock") {
			t.Errorf("%s: %+v", name, res)
		}
		if len(g.records) != 1 || g.records[0].Allow != tc.open {
			t.Errorf("%s: records %+v", name, g.records)
		}
	}
}

// hung never decides, whatever its context says.
type hung struct {
	decide.Authorizer
	release chan struct{}
}

func (h hung) Authorize(ctx context.Context, c *identity.Connection, r *operation.Request) *decide.Verdict {
	<-h.release
	return h.Authorizer.Authorize(context.WithoutCancel(ctx), c, r)
}

func TestHungDecisionClosed(t *testing.T) {
	release := make(chan struct{})
	g := start(t, func(c *Config) {
		c.Timeout = 50 * time.Millisecond
		c.Authorizer = hung{c.Authorizer, release}
	})
	from := time.Now()
	if res := g.ask(get("/_ping")); res.Allow {
		t.Errorf("%+v", res)
	}
	if took := time.Since(from); took > wait.Patience(5*time.Second) {
		t.Errorf("it took %s", took)
	}
	close(release)
	wait.Until(t, "what comes late is a denial in the record too", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.records) == 1 && !g.records[0].Allow
	})
}

type panics struct{ decide.Authorizer }

func (panics) Authorize(context.Context, *identity.Connection, *operation.Request) *decide.Verdict {
	panic("boom")
}

func TestPanicClosed(t *testing.T) {
	g := start(t, func(c *Config) { c.Authorizer = panics{} })
	for range 3 {
		if res := g.ask(get("/_ping")); res.Allow {
			t.Errorf("%+v", res)
		}
	}
}

// A question that cannot be decoded gives its place back.
func TestQuestionsThatAreNotUnderstoodKeepNoPlaceClosed(t *testing.T) {
	g := start(t)
	for range reading + 1 {
		if res := g.askBytes([]byte("nonsense")); res.Allow {
			t.Fatalf("%+v", res)
		}
	}
	for range bigRequests + 1 {
		if res := g.askBytes(bytes.Repeat([]byte{'x'}, bigRequest+1)); res.Allow {
			t.Fatalf("%+v", res)
		}
	}
	if res := g.ask(get("/_ping")); !res.Allow {
		t.Errorf("%+v", res)
	}
}

// Questions of one caller, however many, hold up nobody else's: not those with a
// ticket, which the gateway has decided, and not those with a certificate.
func TestManyQuestionsOfOneCallerHoldUpNobodyClosed(t *testing.T) {
	g := start(t)
	release := make(chan struct{})
	var all sync.WaitGroup
	g.decide = func(in *policy.Input) policy.Decision {
		if in.Operation.ID == "ContainerList" {
			<-release
		}
		return policy.Decision{Allow: true}
	}
	for range reading + 64 {
		all.Go(func() { g.ask(get("/containers/json")) })
	}
	wait.Until(t, "questions to be read", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return len(g.inputs) > 0 })
	pass := g.tickets.Issue(ticket.Entry{Method: "GET", URI: "/_ping"})
	if res := g.ask(get("/_ping", ticket.Header, pass)); !res.Allow {
		t.Errorf("with a ticket: %+v", res)
	}
	verified := get("/_ping")
	verified.User, verified.UserAuthNMethod = "monitor", "TLS"
	verified.RequestPeerCertificates = []*authorization.PeerCertificate{certificate(t)}
	if res := g.ask(verified); !res.Allow {
		t.Errorf("with a certificate: %+v", res)
	}
	close(release)
	all.Wait()
}

// AuthZRes is always allowed, whatever it holds, and touches no ticket.
func TestAnswersAreNotLookedAt(t *testing.T) {
	g := start(t)
	g.decide = func(*policy.Input) policy.Decision { t.Error("an answer was decided"); return policy.Decision{} }
	pass := g.tickets.Issue(ticket.Entry{Method: "GET", URI: "/_ping"})
	for _, body := range [][]byte{nil, []byte("{}"), []byte("nonsense"), bytes.Repeat([]byte{'x'}, 20<<20), []byte(`{"RequestHeaders":{"X-Vitrine-Ticket":"` + pass + `"}}`)} {
		status, answer := g.post("/AuthZPlugin.AuthZRes", body)
		if status != 200 || strings.TrimSpace(string(answer)) != `{"Allow":true}` {
			t.Errorf("%d %s", status, answer)
		}
	}
	if g.tickets.Len() != 1 {
		t.Error("an answer touched the ticket")
	}
}

func TestManyQuestionsAtOnce(t *testing.T) {
	g := start(t)
	body := base64.StdEncoding.EncodeToString([]byte(`{"Image":"x","Labels":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`))
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			q := `{"RequestMethod":"GET","RequestUri":"/containers/json"}`
			if i%8 == 0 {
				q = `{"RequestMethod":"POST","RequestUri":"/containers/create","RequestHeaders":{"Content-Type":"application/json"},"RequestBody":"` + body + `"}`
			}
			if res := g.askBytes([]byte(q)); !res.Allow {
				t.Errorf("%+v", res)
			}
		})
	}
	wg.Wait()
	wait.Until(t, "places to be given back", func() bool { return len(g.door.reading) == 0 && len(g.door.big) == 0 })
}

// The floor is a plugin that only says yes, with the helpers' own handler.
type yes struct{}

func (yes) AuthZReq(authorization.Request) authorization.Response {
	return authorization.Response{Allow: true}
}

func (yes) AuthZRes(authorization.Request) authorization.Response {
	return authorization.Response{Allow: true}
}

func BenchmarkQuestion(b *testing.B) {
	req := []byte(`{"RequestMethod":"GET","RequestUri":"/v1.41/containers/json","RequestHeaders":{"Accept":"application/json","User-Agent":"Docker-Client/20.10.24"}}`)
	res := []byte(`{"RequestMethod":"GET","RequestUri":"/v1.41/containers/json","RequestHeaders":{"Accept":"application/json"},"ResponseStatusCode":200,"ResponseBody":"` +
		base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{'x'}, 4000)) + `","ResponseHeaders":{"Content-Type":"application/json"}}`)
	both := func(b *testing.B, g *rig) {
		b.ReportAllocs()
		for b.Loop() {
			g.post("/AuthZPlugin.AuthZReq", req)
			g.post("/AuthZPlugin.AuthZRes", res)
		}
	}
	b.Run("floor", func(b *testing.B) {
		g := start(b)
		l, err := net.Listen("unix", g.sock+".yes")
		if err != nil {
			b.Fatal(err)
		}
		go func() { _ = authorization.NewHandler(yes{}).Serve(l) }()
		tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", g.sock+".yes")
		}}
		g.client = &http.Client{Transport: tr}
		both(b, g)
		tr.CloseIdleConnections()
		_ = l.Close()
	})
	b.Run("door", func(b *testing.B) { both(b, start(b)) })
}
