package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/ticket"
	"vitrine/test/wait"
)

// BenchmarkRequest compares a whole request through the gateway with an empty
// httputil.ReverseProxy and with the bare socket: go test -bench Request. The
// ways take turns, so that a busy machine is busy for all of them; p50 is in µs.
func BenchmarkRequest(b *testing.B) {
	for _, n := range []int{0, 10, 100} {
		b.Run(fmt.Sprintf("containers=%d", n), func(b *testing.B) {
			ways := benchWays(b, n)
			took := make([][]time.Duration, len(ways))
			b.ReportAllocs()
			for b.Loop() {
				for i, w := range ways {
					from := time.Now()
					w.get(b)
					took[i] = append(took[i], time.Since(from))
				}
			}
			var bare, proxy float64
			for i, w := range ways {
				slices.Sort(took[i])
				p50 := float64(took[i][len(took[i])/2].Nanoseconds()) / 1000
				switch w.name {
				case "bare":
					bare = p50
				case "proxy":
					proxy = p50
				}
				b.ReportMetric(p50, w.name+"-µs")
				if w.name == "gateway" || w.name == "ticket" {
					b.ReportMetric(p50/proxy, w.name+"/proxy")
					b.ReportMetric(p50/bare, w.name+"/bare")
				}
			}
		})
	}
}

// BenchmarkAllocs counts what one ping through the gateway allocates, the fake
// daemon and the client included.
func BenchmarkAllocs(b *testing.B) {
	for _, w := range benchWays(b, 0) {
		b.Run(w.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.get(b)
			}
		})
	}
}

// way is one path to the fake daemon: a raw keep-alive connection that writes
// the same bytes and reads the answer.
type way struct {
	name string
	conn net.Conn
	br   *bufio.Reader
}

func (w *way) get(b *testing.B) {
	if _, err := io.WriteString(w.conn, "GET /v1.41/containers/json HTTP/1.1\r\nHost: docker\r\nUser-Agent: Docker-Client/20.10.24\r\nAccept: application/json\r\n\r\n"); err != nil {
		b.Fatal(err)
	}
	res, err := http.ReadResponse(w.br, nil)
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusOK {
		b.Fatal(res.Status)
	}
}

func benchWays(b *testing.B, containers int) []*way {
	b.Helper()
	doc := []byte("[" + strings.TrimSuffix(strings.Repeat(`{"Id":"`+containerID+`","Names":["/web"],"Labels":{"a":"`+strings.Repeat("x", 900)+`"}},`, containers), ",") + "]\n")
	daemon := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(doc)
	}
	alone := newRig(b)
	bare := alone.upstream
	serve(b, bare, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if pass := r.Header.Get(ticket.Header); pass != "" {
			alone.tickets.Take(pass)
		}
		daemon(w, r)
	}))
	target, _ := url.Parse("http://docker")
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 16, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", bare)
		}},
	}
	b.Cleanup(proxy.Transport.(*http.Transport).CloseIdleConnections)
	proxySock := filepath.Join(alone.dir, "proxy.sock")
	serve(b, proxySock, proxy)

	ways := []*way{{name: "bare", conn: dialPath(b, bare)}, {name: "proxy", conn: dialPath(b, proxySock)}}
	for _, name := range []string{"gateway", "ticket"} {
		g := newRig(b)
		g.upstream, g.tickets = bare, alone.tickets
		g.start(func(c *Config) {
			if name == "gateway" {
				c.Tickets = nil
			}
			c.Logger = slog.New(slog.DiscardHandler)
			c.Authorizer = decide.New(decide.Options{Identifier: g, Policy: allowAll{}, Record: g.forget})
		})
		wait.Until(b, "the daemon", g.srv.Ready)
		ways = append(ways, &way{name: name, conn: dialPath(b, g.sock)})
	}
	for _, w := range ways {
		w.br = bufio.NewReader(w.conn)
	}
	return ways
}

type allowAll struct{}

func (allowAll) Decide(context.Context, *policy.Input) policy.Decision {
	return policy.Decision{Allow: true}
}

func serve(b *testing.B, path string, h http.Handler) {
	b.Helper()
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	l := listenUnix(b, path)
	go func() { _ = srv.Serve(l) }()
	b.Cleanup(func() { _ = srv.Close() })
}

func dialPath(b *testing.B, path string) net.Conn {
	b.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	return c
}
