package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine/internal/kernel/unixsocket"
)

// certs makes an authority, and certificates that it signs, as files.
func certs(t *testing.T, dir string) (ca *x509.Certificate, issue func(name string) (cert, key string)) {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	if ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", der)
	return ca, func(name string) (string, string) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
		if err != nil {
			t.Fatal(err)
		}
		keyDER, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		cert, keyFile := filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
		writePEM(t, cert, "CERTIFICATE", der)
		writePEM(t, keyFile, "EC PRIVATE KEY", keyDER)
		return cert, keyFile
	}
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTLS(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			var addr net.Addr
			var clientTLS *tls.Config
			g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") }, func(c *Config) {
				dir := t.TempDir()
				ca, issue := certs(t, dir)
				cert, key := issue("docker")
				cfg, err := LoadTLS(cert, key, filepath.Join(dir, "ca.pem"))
				if err != nil {
					t.Fatal(err)
				}
				var l net.Listener
				if network == "unix" {
					l, err = unixsocket.Listen(unixsocket.File{Path: filepath.Join(filepath.Dir(c.Upstream), "tls.sock"), Mode: 0o666, GID: -1})
				} else {
					l, err = net.Listen("tcp", "127.0.0.1:0")
				}
				if err != nil {
					t.Fatal(err)
				}
				addr = l.Addr()
				c.Listeners = []Listener{{Name: "tls", Listener: l, TLS: cfg}}
				pair, err := tls.LoadX509KeyPair(issue("monitor"))
				if err != nil {
					t.Fatal(err)
				}
				roots := x509.NewCertPool()
				roots.AddCert(ca)
				clientTLS = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: "docker", NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
			})
			get := func(cfg *tls.Config) (*http.Response, error) {
				tr := &http.Transport{ForceAttemptHTTP2: true, DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					d := tls.Dialer{Config: cfg}
					return d.DialContext(ctx, network, addr.String())
				}}
				t.Cleanup(tr.CloseIdleConnections)
				return (&http.Client{Transport: tr}).Get("https://docker/containers/json")
			}
			res, err := get(clientTLS)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != 200 || res.ProtoMajor != 1 {
				t.Errorf("%s %s", res.Proto, res.Status)
			}
			raw := clientTLS.Clone()
			raw.NextProtos = nil
			odd, err := tls.Dial(network, addr.String(), raw)
			if err != nil {
				t.Fatal(err)
			}
			defer odd.Close()
			_, _ = io.WriteString(odd, "GET /info HTTP/1.1\r\n\r\n") // without a host
			if b, _ := io.ReadAll(odd); !strings.HasPrefix(string(b), "HTTP/1.1 400 ") {
				t.Errorf("%q", b)
			}
			if r := g.recorded(2)[1]; r.Allow || r.Status != 400 || !strings.Contains(strings.Join(r.Reasons, ""), "not an HTTP/1.1 request") {
				t.Errorf("what is no request is recorded as %+v", r)
			}

			for name, change := range map[string]func(*tls.Config){
				"no certificate": func(c *tls.Config) { c.Certificates = nil },
				"another authority's": func(c *tls.Config) {
					_, issue := certs(t, t.TempDir())
					pair, _ := tls.LoadX509KeyPair(issue("monitor"))
					c.Certificates = []tls.Certificate{pair}
				},
			} {
				cfg := clientTLS.Clone()
				change(cfg)
				if res, err := get(cfg); err == nil {
					_ = res.Body.Close()
					t.Errorf("closed: %s was answered %s", name, res.Status)
				}
			}
			c, err := net.Dial(network, addr.String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = io.WriteString(c, "GET /_ping HTTP/1.0\r\n\r\n")
			if b, _ := io.ReadAll(c); strings.Contains(string(b), "200 OK") {
				t.Errorf("closed: plain HTTP was answered %q", b)
			}
			g.recorded(2)
			// Nothing is remembered of a certificate: each connection shows it, and it is verified, anew.
			again := clientTLS.Clone()
			again.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			for range 2 {
				res, err := get(again)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				if res.TLS.DidResume {
					t.Error("closed: a session was resumed, and no certificate looked at")
				}
			}
		})
	}
}

func TestListenerThatKnowsNobodyClosed(t *testing.T) {
	g := newRig(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for name, l := range map[string]Listener{
		"TCP without TLS":          {Name: "a", Listener: tcp},
		"TLS without certificates": {Name: "b", Listener: tcp, TLS: &tls.Config{MinVersion: tls.VersionTLS12}},
		"TLS with unverified ones": {Name: "c", Listener: tcp, TLS: &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert}},
	} {
		cfg := g.config()
		cfg.Listeners = []Listener{l}
		if _, err := New(cfg); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
