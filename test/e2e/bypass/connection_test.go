package bypass

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/test/wait"
)

const (
	ping     = "GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"
	lastPing = "GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"
)

// TestConnectionsClosed: what needs more than one request, or other things than
// requests, on a connection.
func TestConnectionsClosed(t *testing.T) {
	w := newWorld(t, "--limits", "streams_per_caller=4")
	t.Run("35 several requests", func(t *testing.T) { w.on(t).severalRequests() })
	t.Run("47 bytes behind a failed upgrade", func(t *testing.T) { w.on(t).bytesBehind() })
	t.Run("48 tickets", func(t *testing.T) { w.on(t).tickets() })
	t.Run("24 25 certificates", func(t *testing.T) { w.on(t).certificates() })
	t.Run("32 streams of one caller", func(t *testing.T) { w.on(t).streams() })
}

// evil is a create that must not come through as a request of its own.
func evil(body string) string {
	r := request{method: "POST", uri: "/v1.41/containers/create?name=evil", body: body}
	return r.bytes()
}

// unchanged calls f, which must have no effect.
func (w world) unchanged(f func()) {
	w.Helper()
	since := time.Now()
	before := w.now(since)
	f()
	if changed := diff(before, w.now(since)); changed != "" {
		w.Errorf("it had an effect:\n%s", changed)
	}
}

// sendMany writes bytes and reads answers until the other side closes.
func (w world) sendMany(dial func() (net.Conn, error), bytes string) (statuses []int) {
	w.Helper()
	c, err := dial()
	check(w, err)
	defer c.Close()
	check(w, c.SetDeadline(time.Now().Add(wait.Patience(10*time.Second))))
	_, _ = io.WriteString(c, bytes) // the other side may close before the end
	for in := bufio.NewReader(c); ; {
		resp, err := http.ReadResponse(in, nil)
		if isTimeout(err) {
			w.Fatalf("after %v: the connection stays open: %v", statuses, err)
		}
		if err != nil {
			return statuses
		}
		_, err = io.Copy(io.Discard, resp.Body)
		check(w, err)
		statuses = append(statuses, resp.StatusCode)
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// severalRequests: each request on a connection is judged, in a pipeline too.
func (w world) severalRequests() {
	for _, as := range []role{look, creator} {
		for _, way := range w.ways(as) {
			w.Run(string(as)+" by "+way.name, func(t *testing.T) {
				w := w.on(t)
				w.unchanged(func() {
					got := w.sendMany(way.dial, ping+evil(privileged)+ping+evil(privileged)+lastPing)
					if !slices.Equal(got, []int{200, 403, 200, 403, 200}) {
						w.Errorf("answered %v", got)
					}
				})
			})
		}
	}
}

// bytesBehind: what follows a request for a tunnel, when there is no tunnel, is
// nobody's request. The caller root may create, so that only the connection
// stands between.
func (w world) bytesBehind() {
	upgrade := func(protocol string) string {
		return "Connection: Upgrade\r\nUpgrade: " + protocol + "\r\n"
	}
	head := func(line, headers string) string { return line + " HTTP/1.1\r\nHost: docker\r\n" + headers + "\r\n" }
	execStart := request{method: "POST", uri: "/v1.41/exec/nope/start", body: "{}"}
	execUpgrade := execStart
	execUpgrade.header = []string{"Connection: Upgrade", "Upgrade: tcp"}
	for name, c := range map[string]struct {
		head       string
		root, look int
	}{
		"exec start":                {execStart.bytes(), 404, 403},
		"exec start with upgrade":   {execUpgrade.bytes(), 404, 403},
		"attach":                    {head("POST /v1.41/containers/nope/attach?stream=1&stdin=1", ""), 404, 403},
		"attach with upgrade":       {head("POST /v1.41/containers/nope/attach?stream=1&stdin=1", upgrade("tcp")), 404, 403},
		"attach with a wrong one":   {head("POST /v1.41/containers/web/attach?stream=1&stdin=1", upgrade("websocket")), 400, 400},
		"websocket":                 {head("GET /v1.41/containers/nope/attach/ws?stream=1&stdin=1", upgrade("websocket")+websocket+"\r\nSec-WebSocket-Version: 13\r\n"), 404, 403},
		"websocket without upgrade": {head("GET /v1.41/containers/web/attach/ws?stream=1&stdin=1", ""), 400, 403},
		"session without upgrade":   {head("POST /v1.41/session", ""), 400, 403},
		"gRPC without upgrade":      {head("POST /grpc", ""), 500, 403},
		"HTTP/2":                    {head("GET /info", upgrade("h2c")), 400, 400},
		"preface":                   {preface + settings, 400, 400},
	} {
		for who, want := range map[string]int{"root": c.root, "look": c.look} {
			w.Run(name+" as "+who, func(t *testing.T) {
				w := w.on(t)
				dial := w.ways(look)[0].dial
				if who == "root" {
					dial = func() (net.Conn, error) { return net.Dial("unix", w.p.Socket) }
				}
				w.unchanged(func() {
					if got := w.sendMany(dial, c.head+evil(`{"Image":"bb:1"}`)+lastPing); !slices.Equal(got, []int{want}) {
						w.Errorf("answered %v, want %d alone", got, want)
					}
				})
			})
		}
	}
}

// tickets: nobody loses the gateway's, and nobody has one of his own.
func (w world) tickets() {
	forged := "X-Vitrine-Ticket: 0123456789abcdef0123456789abcdef"
	get := func(headers ...string) string {
		r := request{method: "GET", uri: "/containers/json", header: headers}
		return r.bytes()
	}
	gateway, certificate, own := w.ways(look)[0], w.ways(look)[1], w.ways(look)[2]
	for _, headers := range [][]string{{"Connection: X-Vitrine-Ticket"}, {"Connection: keep-alive, x-vitrine-ticket"}, {forged}, {forged, "Connection: X-Vitrine-Ticket"}} {
		w.records("")
		if got := w.send(gateway, "GET", get(headers...)); got.status != 200 {
			w.Errorf("%q: answered %d %s", headers, got.status, got.body)
		}
		got := w.recordsUntil("unix:look", "local")
		if len(got) != 1 || got[0].Door != "gateway" || !got[0].Allow {
			w.Errorf("%q: recorded %+v, want one by the gateway", headers, got)
		}
	}
	for _, way := range []way{certificate, own} {
		for _, header := range []string{forged, strings.ToLower(forged), "X-Vitrine-Ticket:"} {
			w.unchanged(func() {
				got := w.send(way, "GET", get(header))
				if w.refusal(got, "authorization denied by plugin vitrine: vitrine: differential: ", 403); w.Failed() {
					w.Fatalf("%s: %q", way.name, header)
				}
				w.refusal(w.send(way, "POST", strings.Replace(evil(`{"Image":"bb:1"}`), "Host: docker", "Host: docker\r\n"+header, 1)),
					"authorization denied by plugin vitrine: vitrine: differential: ", 403)
			})
		}
	}
	if !strings.Contains(w.p.Metrics(), "vitrine_differential_total 12\n") {
		w.Error("not all of it is counted as differential")
	}
	// One that the gateway has issued, and that has been used, is worth nothing
	// either: the daemon has it, and the audit log and log do not.
	for _, text := range []string{w.p.Log(), w.auditText()} {
		if strings.Contains(text, "0123456789abcdef0123456789abcdef") {
			w.Error("a ticket is in a log")
		}
	}
}

// certificates: what a certificate says is one name, of one kind, and it is the
// first one's.
func (w world) certificates() {
	names := func(cn ...string) pkix.Name {
		var n pkix.Name
		for _, v := range cn {
			n.ExtraNames = append(n.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: v})
		}
		return n
	}
	admin, err := w.ca.Client("admin")
	check(w, err)
	issue := func(subject pkix.Name, dns ...string) tls.Certificate {
		pair, err := w.ca.Issue("strange", &x509.Certificate{Subject: subject, DNSNames: dns, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		check(w, err)
		return pair.TLS
	}
	chained := issue(names("look"))
	chained.Certificate = append(chained.Certificate, admin.TLS.Certificate[0])
	for name, c := range map[string]struct {
		cert tls.Certificate
		ping int
	}{
		"looker":                      {issue(names("look")), 200},
		"admin behind a looker":       {chained, 200},
		"looker, then admin":          {issue(names("look", "admin")), 403},
		"admin, then looker":          {issue(names("admin", "look")), 403},
		"admin twice":                 {issue(names("admin", "admin")), 403},
		"no name":                     {issue(pkix.Name{}), 403},
		"no name but one for servers": {issue(pkix.Name{}, "admin"), 403},
		"empty name":                  {issue(names("")), 403},
		"root":                        {issue(names("root")), 403},
		"unix:root":                   {issue(names("unix:root")), 403},
		"tls:admin":                   {issue(names("tls:admin")), 403},
		"uid:0":                       {issue(names("uid:0")), 403},
		"local":                       {issue(names("local")), 403},
		"admin with a space":          {issue(names("admin ")), 403},
		"Admin":                       {issue(names("Admin")), 403},
		"organization admin":          {issue(pkix.Name{Organization: []string{"admin"}}), 403},
	} {
		w.Run(name, func(t *testing.T) {
			w := w.on(t)
			way := way{"certificate", look, false, "", func() (net.Conn, error) { return w.dialCertificate(c.cert) }}
			w.unchanged(func() {
				if got := w.send(way, "GET", ping); got.status != c.ping {
					w.Errorf("ping: answered %d %s, want %d", got.status, got.body, c.ping)
				}
				w.refusal(w.send(way, "POST", evil(`{"Image":"bb:1"}`)), "authorization denied by plugin vitrine: vitrine: ", 403)
			})
		})
	}
}

// streams: a caller holds no more of them than it may, and no one else waits.
func (w world) streams() {
	events := "GET /events HTTP/1.1\r\nHost: docker\r\n\r\n"
	way := w.ways(look)[0]
	var open []net.Conn
	for range 4 {
		c, err := way.dial()
		check(w, err)
		defer c.Close()
		check(w, c.SetDeadline(time.Now().Add(wait.Patience(10*time.Second))))
		_, err = io.WriteString(c, events)
		check(w, err)
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 200 {
			w.Fatalf("events: %v, %v", resp, err)
		}
		open = append(open, c)
	}
	w.refusal(w.send(way, "GET", events), "vitrine: ", 429)
	if got := w.send(w.ways(creator)[0], "GET", ping); got.status != 200 {
		w.Errorf("another caller: answered %d %s", got.status, got.body)
	}
	check(w, open[0].Close())
	w.eventually("a place", func() error {
		if got := w.send(way, "GET", ping); got.status != 200 {
			return fmt.Errorf("answered %d %s", got.status, got.body)
		}
		return nil
	})
}
