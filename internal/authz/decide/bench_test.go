package decide_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/docker"
	"vitrine/internal/engine/operation"
)

// manyObjects is an Engine with containers, networks and volumes, all of one team's, and the events that never come.
func manyObjects(containers, networks, volumes int) http.Handler {
	id := func(kind, n int) string { return fmt.Sprintf("%d%063x", kind, n) }
	labels := map[string]string{"team": "blue", "com.docker.compose.project": "bench", "com.docker.compose.service": "web"}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/containers/json", func(w http.ResponseWriter, _ *http.Request) {
		all := make([]map[string]any, containers)
		for i := range all {
			all[i] = map[string]any{"Id": id(1, i), "Names": []string{fmt.Sprint("/web", i)}, "Image": "nginx:1", "State": "exited", "Labels": labels}
		}
		answer(w, all)
	})
	mux.HandleFunc("/containers/{ref}/json", func(w http.ResponseWriter, r *http.Request) {
		var n int
		if _, err := fmt.Sscanf(r.PathValue("ref")[1:], "%x", &n); err != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		answer(w, map[string]any{
			"Id": id(1, n), "Name": fmt.Sprint("/web", n), "Image": "sha256:" + id(3, 1), "State": map[string]any{"Status": "exited", "StartedAt": "2026-01-01T00:00:00Z"},
			"Config": map[string]any{"Image": "nginx:1", "Labels": labels},
		})
	})
	mux.HandleFunc("/images/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"Id": "sha256:" + id(3, 1), "Config": map[string]any{}})
	})
	mux.HandleFunc("/networks", func(w http.ResponseWriter, _ *http.Request) {
		all := make([]map[string]any, networks)
		for i := range all {
			all[i] = map[string]any{"Id": id(2, i), "Name": fmt.Sprint("net", i), "Driver": "bridge", "Scope": "local", "Labels": labels}
		}
		answer(w, all)
	})
	mux.HandleFunc("/volumes/{name}", func(w http.ResponseWriter, r *http.Request) {
		var n int
		if _, err := fmt.Sscanf(r.PathValue("name"), "vol%d", &n); err != nil || n >= volumes {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		answer(w, map[string]any{"Name": r.PathValue("name"), "Labels": labels})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{"ApiVersion": "1.41"}) })
	return mux
}

// inventoryOf follows an Engine until it has all of its containers.
func inventoryOf(b *testing.B, engine http.Handler) *docker.Inventory {
	b.Helper()
	server := httptest.NewServer(engine)
	inv := docker.NewInventory(docker.NewClient(toServer(server)), slog.New(slog.DiscardHandler))
	inv.FollowNetworks()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { _ = inv.Run(ctx); close(done) }()
	b.Cleanup(func() { cancel(); <-done; server.CloseClientConnections(); server.Close() })
	for until := time.Now().Add(2 * time.Minute); !inv.Ready(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			b.Fatal(inv.Err())
		}
	}
	return inv
}

// toServer sends whatever is asked for to a server.
type toServerTripper struct {
	host string
	http.RoundTripper
}

func toServer(s *httptest.Server) http.RoundTripper {
	return toServerTripper{strings.TrimPrefix(s.URL, "http://"), http.DefaultTransport}
}

func (t toServerTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", t.host
	return t.RoundTripper.RoundTrip(r)
}

const (
	allSeen  = "roles: {team: {access: [list, inspect, write], hazards: [env]}}\nbindings: {admin: [local], team: [\"container:web\"]}\n"
	blueSeen = "roles: {team: {access: [list, inspect, write], hazards: [env], where: {team: blue}, stamp: {team: blue}}}\nbindings: {admin: [local], team: [\"container:web\"]}\n"
	// readsObjects decides by what is named.
	readsObjects = "package docker.authz.extra\n\nimport rego.v2\n\ndeny contains \"not blue\" if {\n\tsome o in input.objects\n\to.kind == \"container\"\n\tnot o.labels.team == \"blue\"\n}\n"
)

// BenchmarkObjects is a decision that is remembered: of who sees all, of one whose rules read what the request names, and of one who sees only
// a team's. All are of one container among 1 000.
func BenchmarkObjects(b *testing.B) {
	inv := inventoryOf(b, manyObjects(1000, 10, 10))
	for _, tc := range []struct{ name, data, extra string }{{"none", allSeen, ""}, {"read", allSeen, readsObjects}, {"view", blueSeen, ""}} {
		dir := b.TempDir()
		write := func(name, text string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				b.Fatal(err)
			}
		}
		write("data.yaml", tc.data)
		if tc.extra != "" {
			write("extra.rego", tc.extra)
		}
		e := policy.New(policy.Options{Paths: []string{dir}})
		if err := e.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
		for _, asked := range []struct{ method, uri string }{{"GET", "/v1.41/containers/web500/json"}, {"POST", "/v1.41/containers/web500/stop"}} {
			w := &world{containers: map[string][]string{"web500": {"container:web500"}}}
			steps := decide.New(decide.Options{Identifier: w, Policy: e, Objects: object.NewResolver(inv), Record: func(audit.Record) {}})
			conn := identity.NewLocal()
			b.Run(tc.name+"/"+asked.method, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					v := steps.Authorize(b.Context(), conn, &operation.Request{Method: asked.method, URI: asked.uri, Proto: "HTTP/1.1", Header: http.Header{}})
					if !v.Allow {
						b.Fatal(v.Message)
					}
					v.Finish(http.StatusOK, false)
				}
			})
		}
	}
}

// BenchmarkInventoryMemory is what the objects of a large Engine cost: containers and networks are held, volumes are asked for.
func BenchmarkInventoryMemory(b *testing.B) {
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	for b.Loop() {
		before := heap()
		inv := inventoryOf(b, manyObjects(10_000, 1000, 1000))
		r := object.NewResolver(inv)
		for i := range 1000 {
			for _, asked := range []string{fmt.Sprint("/networks/net", i), fmt.Sprint("/volumes/vol", i)} {
				op, err := operation.Parse(&operation.Request{Method: "GET", URI: asked, Proto: "HTTP/1.1", Header: http.Header{}})
				if err != nil {
					b.Fatal(err)
				}
				if found := r.Objects(b.Context(), op); len(found) != 1 || found[0].Known == nil || !*found[0].Known {
					b.Fatalf("%s: %+v", asked, found)
				}
			}
		}
		b.ReportMetric(heap()-before, "MiB")
		runtime.KeepAlive(inv)
	}
}
