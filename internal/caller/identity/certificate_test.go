package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"slices"
	"testing"
	"time"

	"vitrine/internal/caller/attest"
	"vitrine/internal/engine/principal"
	"vitrine/internal/kernel/peercred"
)

// issue makes a certificate as an authority would, and reads it back.
func issue(t *testing.T, template *x509.Certificate) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(255)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func subject(cns ...string) pkix.Name {
	n := pkix.Name{Organization: []string{"sre"}}
	for _, cn := range cns {
		n.ExtraNames = append(n.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: cn})
	}
	return n
}

func TestCertificate(t *testing.T) {
	uri, _ := url.Parse("spiffe://example.org/agent")
	f := &fake{}
	i := New(f, f, nil)
	for name, tt := range map[string]struct {
		template x509.Certificate
		want     []string
	}{
		"a name, and others": {
			x509.Certificate{Subject: subject("monitor"), DNSNames: []string{"m.example.org"}, URIs: []*url.URL{uri}},
			[]string{"tls:monitor", "tls-san:m.example.org", "tls-san:spiffe://example.org/agent", "tls-o:sre"},
		},
		"root, which is not uid 0":       {x509.Certificate{Subject: subject("root")}, []string{"tls:root", "tls-o:sre"}},
		"uid:0, which is not uid 0":      {x509.Certificate{Subject: subject("uid:0")}, []string{"tls:uid:0", "tls-o:sre"}},
		"no CN":                          {x509.Certificate{Subject: subject()}, []string{"tls-o:sre"}},
		"an empty CN":                    {x509.Certificate{Subject: subject("")}, []string{"tls-o:sre"}},
		"two CNs, the last is for Go":    {x509.Certificate{Subject: subject("agent", "admin")}, []string{"tls-o:sre"}},
		"the same CN twice":              {x509.Certificate{Subject: subject("admin", "admin")}, []string{"tls-o:sre"}},
		"a CN with a line end":           {x509.Certificate{Subject: subject("a\nadmin")}, []string{"tls-o:sre"}},
		"a CN that is written backwards": {x509.Certificate{Subject: subject("\u202enimda")}, []string{"tls-o:sre"}},
	} {
		t.Run(name, func(t *testing.T) {
			leaf := issue(t, &tt.template)
			for _, c := range []*Connection{NewCertificate(leaf), NewTLS("tcp", leaf, nil)} {
				id := i.Identify(t.Context(), c)
				want := append(slices.Clone(tt.want), "tls-sha256:"+id.Certificate.SHA256)
				wantPrincipals(t, id, TLS, want...)
				if len(id.Certificate.SHA256) != 64 || id.Certificate.Serial != "ff" || id.UID != nil {
					t.Errorf("%+v of %+v", id.Certificate, id)
				}
			}
		})
	}
	if f.asked != 0 {
		t.Errorf("where there is no peer, one was attested %d times", f.asked)
	}
}

func TestExpiredCertificateClosed(t *testing.T) {
	for _, at := range []time.Duration{-2 * time.Hour, 2 * time.Hour} {
		begin := time.Now().Add(at)
		leaf := issue(t, &x509.Certificate{Subject: subject("monitor"), NotBefore: begin, NotAfter: begin.Add(time.Hour)})
		wantPrincipals(t, New(&fake{}, &fake{}, nil).Identify(t.Context(), NewTLS("x", leaf, nil)), Unknown)
	}
}

// On a Unix socket the peer's facts are fields, and never principals.
func TestCertificateOnAUnixSocket(t *testing.T) {
	leaf := issue(t, &x509.Certificate{Subject: subject("monitor")})
	host := &fake{attested: attest.Attestation{Kind: attest.Host, UID: new(uint32(0)), GID: new(uint32(0)), Groups: []uint32{0}}}
	id := New(host, host, nil).Identify(t.Context(), NewTLS("x", leaf, self(t)))
	wantPrincipals(t, id, TLS, "tls:monitor", "tls-o:sre", "tls-sha256:"+id.Certificate.SHA256)
	if id.UID == nil || *id.UID != 0 || id.User != "root" || id.PID == 0 {
		t.Errorf("facts %+v", id)
	}

	f := inContainer(monitor())
	c := NewTLS("x", leaf, self(t))
	if id = New(f, f, nil).Identify(t.Context(), c); id.Kind != TLS || id.Container == nil || id.Container.Name != "monitor" || c.attested.Container.ID != monitorID {
		t.Errorf("in a container: %+v", id)
	}

	dead := &fake{attested: attest.Attestation{Err: errors.New("exited"), UID: new(uint32(5))}}
	if id = New(dead, dead, nil).Identify(t.Context(), NewTLS("x", leaf, &peercred.Peer{})); id.Kind != TLS || *id.UID != 5 || id.User != "" {
		t.Errorf("of a process that is gone: %+v", id)
	}
}

// livingPeer is this process, pinned as the kernel pins it.
func livingPeer(b *testing.B) (*peercred.Peer, error) {
	l, err := net.Listen("unix", b.TempDir()+"/s")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		return nil, err
	}
	b.Cleanup(func() { _ = client.Close() })
	c, err := peercred.NewListener(l, slog.New(slog.DiscardHandler)).Accept()
	if err != nil {
		return nil, err
	}
	b.Cleanup(func() { _ = c.Close() })
	return c.(*peercred.Conn).Peer(), nil
}

func FuzzPasswd(f *testing.F) {
	f.Add("root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n")
	f.Add("a:x:1:1:::\nb:x:1:1:::\n77:x:2:2:::\n")
	f.Fuzz(func(t *testing.T, text string) {
		seen := map[string]bool{}
		byUID, _ := parsePasswd(text)
		for uid, name := range byUID {
			if uid == 0 || name == "root" || seen[name] || !principal.Nameable(name) {
				t.Errorf("uid %d is %q", uid, name)
			}
			seen[name] = true
		}
	})
}
