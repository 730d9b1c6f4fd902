package plans

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

// bindingsA leave out `local`: dockerd's own socket is nobody's.
const bindingsA = `
strict: true
bindings:
  admin: ["tls:admin"]
  monitor: ["tls:monitor"]
  look_here: ["tls:trusted"]
roles:
  look_here:
    access: [ping, list, inspect]
    redact: {ContainerInspect: ["/Config/Env/*"]}
    without_redaction: true
`

func TestPlanACertificatesOnDockerdsListener(t *testing.T) {
	p := begin(t, true)
	p.vitrine(vitrine.Options{Data: bindingsA})
	dial := func(certificates ...tls.Certificate) net.Conn {
		t.Helper()
		conn, err := p.e.Dial(t.Context(), "tcp", engine.TLSAddress)
		must(t, err)
		return secure(t, conn, p.ca, certificates...)
	}

	monitor := p.client("monitor").TLS
	r := p.ask(dial(monitor), expected{method: "GET", path: list, status: 200, says: "/web"})
	p.caller(r, "tls", "tls:monitor")
	if r.Door != "plugin" || r.Caller.UID != nil {
		t.Errorf("recorded as %+v", r)
	}
	// What must be redacted cannot pass here: the caller is told where it can.
	p.ask(dial(monitor), expected{method: "GET", path: inspect, status: 403, says: "which only the gateway can do: use its socket /run/vitrine/docker/docker.sock", hides: secret})
	for _, path := range []string{create, "/containers/web/exec", "/containers/web/stop"} {
		p.ask(dial(monitor), expected{method: "POST", path: path, body: body, status: 403, says: "vitrine: tls:monitor may not"})
	}
	if p.made() {
		t.Error("the monitor created a container")
	}
	r = p.ask(dial(p.client("trusted").TLS), expected{method: "GET", path: inspect, status: 200, says: secret}) // its role says so
	if r.Redacted {
		t.Error("recorded as redacted")
	}
	r = p.ask(dial(p.client("admin").TLS), expected{method: "POST", path: create, body: body, status: 201})
	p.caller(r, "tls", "tls:admin")
	if !p.made() {
		t.Error("the administrator created nothing")
	}

	// A typed caller: no name makes a certificate something else.
	for _, cn := range []string{"root", "unix:root", "local", "admin ", "Admin", "stranger"} {
		p.ask(dial(p.client(cn).TLS), expected{method: "GET", path: list, status: 403, says: "no role is bound to the caller"})
	}
	two, err := p.ca.Issue("two", &x509.Certificate{
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		Subject:     pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: []int{2, 5, 4, 3}, Value: "monitor"}, {Type: []int{2, 5, 4, 3}, Value: "admin"}}},
	})
	must(t, err)
	p.ask(dial(two.TLS), expected{method: "GET", path: list, status: 403, says: "no role is bound to the caller"})

	// dockerd refuses who has no certificate of its authority; nobody is asked.
	foreign, err := engine.NewCA(t.TempDir())
	must(t, err)
	pair, err := foreign.Client("admin")
	must(t, err)
	for name, conn := range map[string]net.Conn{"no certificate": dial(), "another authority's": dial(pair.TLS)} {
		if got, err := vitrine.Ask(conn, "GET", list, ""); err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}

	// And with `local` bound to nothing the plain socket is closed, but to ourselves.
	conn, err := net.Dial("unix", p.e.Socket)
	must(t, err)
	defer conn.Close()
	r = p.ask(conn, expected{method: "GET", path: list, status: 403, says: "vitrine: local may not ContainerList"})
	p.caller(r, "local", "local")
	p.p.WaitReady()
}

// TestPlanADockerCLI: the docker command line, by CN.
func TestPlanADockerCLI(t *testing.T) {
	p := begin(t, true)
	p.vitrine(vitrine.Options{Data: bindingsA})
	docker := func(cn string, arg ...string) (string, error) {
		pair := p.client(cn)
		cli := p.e.DockerCommand(p.e.Socket) // for its path and environment
		cmd := p.e.Command(cli.Path, append([]string{
			"--host", "tcp://" + engine.TLSAddress, "--tlsverify", "--tlscacert", p.ca.File, "--tlscert", pair.CertFile, "--tlskey", pair.KeyFile,
		}, arg...)...)
		cmd.Env = cli.Env
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := docker("monitor", "ps", "--format", "{{.Names}}"); err != nil || out != "web\n" {
		t.Errorf("docker ps of the monitor: %v\n%s", err, out)
	}
	for _, arg := range [][]string{{"run", "--rm", "--name", "made", "bb:1", "true"}, {"exec", "web", "true"}, {"rm", "--force", "web"}, {"logs", "web"}} {
		out, err := docker("monitor", arg...)
		if _, refused := errors.AsType[*exec.ExitError](err); !refused || !strings.Contains(out, "authorization denied by plugin vitrine: vitrine: tls:monitor may not") {
			t.Errorf("docker %v of the monitor: %v\n%s", arg, err, out)
		}
	}
	if out, err := docker("admin", "run", "--rm", "bb:1", "echo", "hello"); err != nil || out != "hello\n" {
		t.Errorf("docker run of the administrator: %v\n%s", err, out)
	}
}
