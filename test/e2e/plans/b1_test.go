package plans

import (
	"crypto/tls"
	"net"
	"testing"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

// regoB1 decides by both: the certificate says who, the kernel which user it is.
const regoB1 = `package docker.authz

import rego.v2

default allow := false

allow if {
	"tls:monitor" in input.caller.principals
	input.caller.uid == 4711
	input.operation.access in {"ping", "list"}
}

allow if {
	"tls:root-only" in input.caller.principals
	input.caller.user == "root"
}

reasons contains sprintf("%s by uid %d", [input.caller.kind, input.caller.uid])
`

const bindingsB1 = `
bindings:
  admin: ["tls:admin", "local"]
  monitor: ["tls:monitor"]
  look: ["tls:trusted"]
roles:
  look:
    access: [ping, list, inspect]
    redact: {ContainerInspect: ["/Config/Env/*"]}
    without_redaction: true
`

const socketB1 = "/run/vitrine/tls/docker.sock"

// b1 starts the gateway with one listener: HTTPS on a Unix socket.
func (p *plan) b1(o vitrine.Options) {
	p.Helper()
	server, err := p.ca.Server("127.0.0.1")
	must(p.T, err)
	o.Args = []string{"--listen", "tls=unix://" + socketB1 + ",cert=" + server.CertFile + ",key=" + server.KeyFile + ",ca=" + p.ca.File}
	p.vitrine(o)
	p.p.Socket = p.e.Path(socketB1)
}

func TestPlanB1CertificatesOnAUnixSocket(t *testing.T) {
	p := begin(t, false)
	p.b1(vitrine.Options{Data: bindingsB1})
	user, root := vitrine.As(t, 4711), vitrine.As(t, 0)
	dial := func(u *vitrine.User, certificates ...tls.Certificate) net.Conn {
		t.Helper()
		conn, err := u.Dial(p.p.Socket)
		must(t, err)
		return secure(t, conn, p.ca, certificates...)
	}

	monitor := p.client("monitor").TLS
	for _, u := range []*vitrine.User{user, root} { // the certificate decides, whoever shows it
		r := p.ask(dial(u, monitor), expected{method: "GET", path: list, status: 200, says: "/web"})
		p.caller(r, "tls", "tls:monitor")
		if r.Door != "gateway" || r.Listener != "tls" || r.Caller.UID == nil || int(*r.Caller.UID) != u.UID || r.Caller.PID != u.Pid() {
			t.Errorf("process %d of uid %d is recorded as %+v", u.Pid(), u.UID, r)
		}
		r = p.ask(dial(u, monitor), expected{method: "GET", path: inspect, status: 200, says: "TOKEN=", hides: secret})
		if !r.Redacted {
			t.Error("not recorded as redacted")
		}
		p.ask(dial(u, monitor), expected{method: "POST", path: create, body: body, status: 403, says: "vitrine: tls:monitor may not ContainerCreate"})
	}
	if p.made() {
		t.Error("the monitor created a container")
	}
	// That a role may do without redaction at the plugin changes nothing here.
	p.ask(dial(user, p.client("trusted").TLS), expected{method: "GET", path: inspect, status: 200, says: "TOKEN=", hides: secret})
	// CN root is not the host's root, not even when root shows it.
	p.ask(dial(user, p.client("root").TLS), expected{method: "GET", path: list, status: 403, says: "no role is bound to the caller"})
	p.ask(dial(root, p.client("unix:root").TLS), expected{method: "GET", path: list, status: 403, says: "no role is bound to the caller"})
	r := p.ask(dial(user, p.client("admin").TLS), expected{method: "POST", path: create, body: body, status: 201})
	p.caller(r, "tls", "tls:admin")

	foreign, err := engine.NewCA(t.TempDir())
	must(t, err)
	pair, err := foreign.Client("admin")
	must(t, err)
	before := len(p.p.Audit())
	for name, conn := range map[string]net.Conn{"no certificate": dial(root), "another authority's": dial(root, pair.TLS)} {
		if got, err := vitrine.Ask(conn, "GET", list, ""); err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
	conn, err := root.Dial(p.p.Socket)
	must(t, err)
	defer conn.Close()
	if got, err := vitrine.Ask(conn, "GET", list, ""); err == nil && got.Status < 400 {
		t.Errorf("root without TLS: %s", got)
	}
	if after := p.p.Audit(); len(after) != before {
		t.Errorf("who has no identity was judged: %+v", after[before:])
	}
}

// TestPlanB1PolicySeesBoth: a policy that wants the certificate and the user.
func TestPlanB1PolicySeesBoth(t *testing.T) {
	p := begin(t, false)
	p.b1(vitrine.Options{Rego: regoB1})
	ask := func(uid int, cn string, status int, says string) {
		t.Helper()
		conn, err := vitrine.As(t, uid).Dial(p.p.Socket)
		must(t, err)
		p.ask(secure(t, conn, p.ca, p.client(cn).TLS), expected{method: "GET", path: list, status: status, says: says})
	}
	ask(4711, "monitor", 200, "/web")
	ask(4712, "monitor", 403, "tls by uid 4712")
	ask(0, "monitor", 403, "tls by uid 0")
	ask(4711, "other", 403, "tls by uid 4711")
	ask(0, "root-only", 200, "/web")
	ask(4711, "root-only", 403, "tls by uid 4711")
}
