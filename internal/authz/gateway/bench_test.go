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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/authz/ticket"
	"vitrine/internal/caller/identity"
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

// BenchmarkAllocs counts what a request through the gateway allocates, with a policy from a folder, the audit log and the record of shapes: the
// fake daemon is in it where it answers, the client allocates nothing.
func BenchmarkAllocs(b *testing.B) {
	folder := b.TempDir()
	const data = "strict: true\nroles: {reader: {access: [ping, list, inspect]}}\nbindings: {reader: [\"unix:ci\"]}\n"
	if err := os.WriteFile(filepath.Join(folder, "data.yaml"), []byte(data), 0o600); err != nil {
		b.Fatal(err)
	}
	e := policy.New(policy.Options{Paths: []string{folder}})
	if err := e.Load(b.Context()); err != nil {
		b.Fatal(err)
	}
	log := audit.NewLog(io.Discard, audit.JSON, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(context.Background())
	var writer sync.WaitGroup
	writer.Go(func() { _ = log.Run(ctx) })
	b.Cleanup(func() { stop(); writer.Wait() })

	g := newRig(b)
	serve(b, g.upstream, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]\n") }))
	g.set(func() {
		g.caller = &identity.Identity{Kind: identity.Host, Door: "gateway", User: "ci", Principals: []string{"unix:ci"}}
	})
	g.start(func(c *Config) {
		c.Tickets, c.Logger = nil, slog.New(slog.DiscardHandler)
		steps := decide.New(decide.Options{Identifier: g, Policy: e, Record: log.Add, Shapes: record.New(record.Options{})})
		c.Authorizer, c.Denied = steps, steps.Denied
	})
	wait.Until(b, "the daemon", g.srv.Ready)
	const create = `{"Image":"bb:1","Cmd":["sleep","1000"],"Labels":{"com.example.team":"blue"},"HostConfig":{"NetworkMode":"default","RestartPolicy":{"Name":"no"}},"Env":["A=`
	body := create + strings.Repeat("x", 100) + `","B=` + strings.Repeat("y", 100) + `"]}`
	head := " HTTP/1.1\r\nHost: docker\r\nUser-Agent: Docker-Client/20.10.24 (linux)\r\n"
	for name, request := range map[string]string{
		"ping":          "GET /_ping" + head + "\r\n",
		"list":          "GET /v1.41/containers/json" + head + "\r\n",
		"denied create": fmt.Sprintf("POST /v1.41/containers/create?name=job%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body),
	} {
		b.Run(name, func(b *testing.B) {
			c, ask, answer := dialPath(b, g.sock), []byte(request), make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(ask); err != nil {
					b.Fatal(err)
				}
				if n, err := c.Read(answer); err != nil || n < len("HTTP/1.1 200") {
					b.Fatal(n, err)
				}
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
