package plans

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine/internal/authz/audit"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(m.Run())
}

const (
	list    = "/containers/json"
	inspect = "/containers/web/json"
	create  = "/containers/create?name=made"
	body    = `{"Image":"bb:1"}`
	secret  = "s3cr3t"
)

// plan is an engine with a container "web" that has a secret, and our plugin
// beside it.
type plan struct {
	*testing.T
	e  *engine.Engine
	ca *engine.CA
	p  *vitrine.Process
}

// begin starts an engine, with TLS if that is set.
func begin(t *testing.T, onTLS bool) *plan {
	t.Helper()
	engine.Require(t)
	ca, err := engine.NewCA(t.TempDir())
	must(t, err)
	o := engine.Options{}
	if onTLS {
		o.TLS = ca
	}
	p := &plan{T: t, e: engine.Start(t, o), ca: ca}
	must(t, p.e.ImportBusybox())
	p.e.Docker("run", "--detach", "--name", "web", "--env", "TOKEN="+secret, "bb:1", "sleep", "1000")
	return p
}

// vitrine starts the plugin with a policy, and names it in daemon.json.
func (p *plan) vitrine(o vitrine.Options) {
	p.Helper()
	o.Engine = p.e
	p.p = vitrine.Start(p.T, o)
	must(p.T, p.e.WriteDaemonJSON(map[string]any{"authorization-plugins": []string{"vitrine"}}))
	must(p.T, p.e.Hangup())
	p.p.Eventually("dockerd to ask the plugin", func() error {
		h, err := p.p.Health()
		if err == nil && h.Checks["plugin"] != "ok" {
			err = errors.New(h.Checks["plugin"])
		}
		return err
	})
}

// client is a certificate of that common name.
func (p *plan) client(cn string) *engine.Pair {
	p.Helper()
	pair, err := p.ca.Client(cn)
	must(p.T, err)
	return pair
}

// secure speaks TLS with a certificate over a connection.
func secure(t *testing.T, conn net.Conn, ca *engine.CA, certificates ...tls.Certificate) net.Conn {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	return tls.Client(conn, &tls.Config{ServerName: "127.0.0.1", RootCAs: ca.Pool, Certificates: certificates, MinVersion: tls.VersionTLS12})
}

// expected is what must come of a request.
type expected struct {
	method, path, body string
	status             int
	says               string // a part of the answer
	hides              string // what must not be in it
}

// ask asks over a connection, and returns the record.
func (p *plan) ask(conn net.Conn, want expected) audit.Record {
	p.Helper()
	var got vitrine.Answer
	record := p.p.Recorded(p.T, func() {
		var err error
		got, err = vitrine.Ask(conn, want.method, want.path, want.body)
		must(p.T, err)
	})
	what := fmt.Sprintf("%s %s by %v", want.method, want.path, record.Caller.Principals)
	if got.Status != want.status || !strings.Contains(got.Body, want.says) || want.hides != "" && strings.Contains(got.Body, want.hides) {
		p.Errorf("%s is answered %.300s, want %d and %q, without %q", what, got, want.status, want.says, want.hides)
	}
	if record.Allow != (want.status < 400) {
		p.Errorf("%s is recorded as allow %v, reasons %q", what, record.Allow, record.Reasons)
	}
	return record
}

// caller holds the caller of a record against what it must be.
func (p *plan) caller(r audit.Record, kind, principal string) {
	p.Helper()
	if string(r.Caller.Kind) != kind || len(r.Caller.Principals) == 0 || r.Caller.Principals[0] != principal {
		p.Errorf("the caller is %s %v (%s), want %s %s", r.Caller.Kind, r.Caller.Principals, r.Caller.Why, kind, principal)
	}
}

// made says whether the container of the request create exists.
func (p *plan) made() bool {
	files, err := filepath.Glob(filepath.Join(p.e.Dir, "data/containers/*/config.v2.json"))
	must(p.T, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(p.T, err)
		if strings.Contains(string(text), `"Name":"/made"`) {
			return true
		}
	}
	return false
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
