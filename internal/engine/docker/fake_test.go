package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"vitrine/test/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func id(n int) string { return fmt.Sprintf("%064x", n+1) }

// engine is a fake Engine on a Unix socket.
type engine struct {
	t      *testing.T
	server *httptest.Server
	path   string

	mu         sync.Mutex
	containers map[string]map[string]any // as inspect answers
	images     map[string]map[string]string
	networks   []NetworkInfo
	others     map[string]string            // answers by path
	version    string                       // of the API
	variant    func(platform string) string // the answer about an image for a platform; "": there is none
	streams    []chan string                // open event streams; closed to cut them
	asked      map[string]int
	blocked    chan struct{} // not nil: every answer waits for it
	onInspect  func()        // called while an inspect is answered, after it was read
	// What is odd about single containers, by id.
	hangs   map[string]chan struct{} // an inspect waits for it
	slow    map[string]time.Duration
	garbage map[string]string // the answer of an inspect
	row     map[string]string // in the list
}

func newEngine(t *testing.T) *engine {
	e := &engine{
		t: t, path: filepath.Join(t.TempDir(), "s"), asked: map[string]int{},
		containers: map[string]map[string]any{}, images: map[string]map[string]string{},
		hangs: map[string]chan struct{}{}, slow: map[string]time.Duration{}, garbage: map[string]string{}, row: map[string]string{},
	}
	e.up()
	t.Cleanup(e.down)
	return e
}

func (e *engine) up() {
	e.t.Helper()
	l, err := net.Listen("unix", e.path)
	if err != nil {
		e.t.Fatal(err)
	}
	e.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: e}}
	e.server.Start()
}

func (e *engine) down() {
	e.unblock()
	e.mu.Lock()
	for _, c := range e.hangs {
		close(c)
	}
	clear(e.hangs)
	e.mu.Unlock()
	e.cut()
	e.server.CloseClientConnections()
	e.server.Close()
}

func (e *engine) block() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.blocked = make(chan struct{})
}

func (e *engine) unblock() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.blocked != nil {
		close(e.blocked)
		e.blocked = nil
	}
}

// cut ends all event streams.
func (e *engine) cut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.streams {
		close(s)
	}
	e.streams = nil
}

func (e *engine) run(n int, name string, labels map[string]string) {
	e.set(n, name, "busybox:1", 1000+n, labels)
	e.event("create", n)
	e.event("start", n)
}

func (e *engine) set(n int, name, image string, pid int, labels map[string]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.containers[id(n)] = map[string]any{
		"Id": id(n), "Name": "/" + name, "Image": "sha256:" + image,
		"State":  map[string]any{"Running": pid != 0, "Pid": pid, "StartedAt": fmt.Sprint("at ", pid)},
		"Config": map[string]any{"Image": image, "Labels": labels},
	}
}

func (e *engine) remove(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.containers, id(n))
}

func (e *engine) event(action string, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	name, _ := e.containers[id(n)]["Name"].(string)
	for _, s := range e.streams {
		s <- fmt.Sprintf(`{"Type":"container","Action":%q,"Actor":{"ID":%q,"Attributes":{"name":%q}}}`+"\n", action, id(n), strings.TrimPrefix(name, "/"))
	}
}

// say sends a line of events as it is.
func (e *engine) say(line string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.streams {
		s <- line + "\n"
	}
}

func (e *engine) count(path string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked[path]
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	e.asked[r.URL.Path]++
	blocked, hook := e.blocked, e.onInspect
	e.mu.Unlock()
	if blocked != nil {
		select {
		case <-blocked:
		case <-r.Context().Done():
			return
		}
	}
	part := strings.Split(r.URL.Path, "/")
	w.Header().Set("Api-Version", e.version)
	switch {
	case e.variant != nil && r.URL.Query().Has("platform"):
		if answer := e.variant(r.URL.Query().Get("platform")); answer != "" {
			_, _ = w.Write([]byte(answer))
			return
		}
		http.NotFound(w, r)
	case strings.HasPrefix(e.others[r.URL.Path], "503 "):
		http.Error(w, e.others[r.URL.Path][4:], http.StatusServiceUnavailable)
	case e.others[r.URL.Path] != "":
		_, _ = w.Write([]byte(e.others[r.URL.Path]))
	case r.Method != http.MethodGet:
		http.Error(w, "not a read", http.StatusMethodNotAllowed)
	case r.URL.Path == "/events":
		e.stream(w, r)
	case r.URL.Path == "/version":
		_, _ = w.Write([]byte(`{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12","Os":"linux"}`))
	case r.URL.Path == "/networks":
		e.mu.Lock()
		list := append([]NetworkInfo{}, e.networks...)
		e.mu.Unlock()
		e.answer(w, list)
	case r.URL.Path == "/containers/json":
		e.answer(w, e.list(r.URL.Query().Get("all") == "1"))
	case part[1] == "containers" && part[3] == "json":
		c := e.find(part[2])
		if hook != nil {
			hook()
		}
		if !e.odd(w, r, c) {
			e.answer(w, c)
		}
	case part[1] == "images":
		e.mu.Lock()
		labels, ok := e.images[part[2]]
		e.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		e.answer(w, map[string]any{"Config": map[string]any{"Labels": labels}})
	case part[1] == "exec" && part[2] == "e1":
		e.answer(w, map[string]any{"ID": "e1", "ContainerID": id(1)})
	default:
		http.NotFound(w, r)
	}
}

// hang lets every inspect of a container wait, until the function is called.
func (e *engine) hang(n int) (release func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := make(chan struct{})
	e.hangs[id(n)] = c
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.hangs[id(n)] == c {
			delete(e.hangs, id(n))
			close(c)
		}
	}
}

// odd answers what is odd about this container.
func (e *engine) odd(w http.ResponseWriter, r *http.Request, c map[string]any) bool {
	cid, _ := c["Id"].(string)
	e.mu.Lock()
	hang, slow, garbage := e.hangs[cid], e.slow[cid], e.garbage[cid]
	e.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-r.Context().Done():
			return true
		}
	}
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return true
		}
	}
	if garbage != "" {
		_, _ = w.Write([]byte(garbage))
	}
	return garbage != ""
}

func (e *engine) answer(w http.ResponseWriter, v any) {
	if m, ok := v.(map[string]any); ok && m == nil {
		http.Error(w, `{"message":"No such container"}`, http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(v)
}

func (e *engine) list(all bool) []any {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := []any{}
	for cid, c := range e.containers {
		if row, odd := e.row[cid]; odd {
			out = append(out, json.RawMessage(row))
			continue
		}
		state := "exited"
		if c["State"].(map[string]any)["Running"].(bool) {
			state = "running"
		}
		if all || state == "running" {
			out = append(out, map[string]any{"Id": c["Id"], "Names": []any{c["Name"]}, "State": state})
		}
	}
	return out
}

func (e *engine) find(ref string) map[string]any {
	e.mu.Lock()
	defer e.mu.Unlock()
	for cid, c := range e.containers {
		if strings.HasPrefix(cid, ref) || c["Name"] == "/"+strings.TrimPrefix(ref, "/") {
			return c
		}
	}
	return nil
}

func (e *engine) stream(w http.ResponseWriter, r *http.Request) {
	if f := r.URL.Query().Get("filters"); f != `{"type":["container"]}` && f != `{"type":["container","network"]}` {
		http.Error(w, "not filtered", http.StatusBadRequest)
		return
	}
	s := make(chan string, 100)
	e.mu.Lock()
	e.streams = append(e.streams, s)
	e.mu.Unlock()
	w.(http.Flusher).Flush()
	for {
		select {
		case line, open := <-s:
			if !open {
				return
			}
			_, _ = w.Write([]byte(line))
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (e *engine) client() *Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", e.path)
	}}
	e.t.Cleanup(tr.CloseIdleConnections)
	return NewClient(tr)
}

// inventory is not started yet.
func (e *engine) inventory() *Inventory {
	inv := NewInventory(e.client(), slog.New(slog.DiscardHandler))
	inv.timeout = wait.Patience(200 * time.Millisecond)
	return inv
}

// follow runs an inventory until the test ends.
func (e *engine) follow(inv *Inventory) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = inv.Run(ctx) }()
	e.t.Cleanup(func() { cancel(); <-done })
}
