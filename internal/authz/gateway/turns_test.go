package gateway

import (
	"io"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/test/wait"
)

// beside lets somebody else be active, who never waits, until the test ends.
func (g *rig) beside() {
	done := make(chan struct{})
	stopped := make(chan struct{})
	ask := func() {
		c := identity.NewLocal()
		c.Account = "somebody else"
		g.steps.Authorize(g.t.Context(), c, &operation.Request{Method: "GET", URI: "/_ping", Header: http.Header{}}).Release()
	}
	ask()
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
				ask()
			}
		}
	}()
	g.t.Cleanup(func() { close(done); <-stopped })
}

// What the Engine answers from its memory it answers for one caller as few at a time as
// the caller has turns; what may take its time, for as many as ask.
func TestEngineIsSharedBesideOthersClosed(t *testing.T) {
	for name, tc := range map[string]struct {
		method, uri string
		shared      bool
	}{
		"a list":      {"GET", "/containers/json", true},
		"an inspect":  {"GET", "/containers/x/json", true},
		"a start":     {"POST", "/containers/x/start", false},
		"a stop":      {"POST", "/containers/x/stop", false},
		"two samples": {"GET", "/containers/x/stats?stream=0", false},
	} {
		t.Run(name, func(t *testing.T) {
			const requests = 16
			var now, most atomic.Int64
			all := make(chan struct{})
			g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
				began := time.Now()
				n := now.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				if tc.shared {
					time.Sleep(2 * time.Millisecond)
				} else {
					if n == requests {
						close(all)
					}
					<-all
				}
				now.Add(-1)
				_, _ = io.WriteString(w, strconv.FormatInt(began.UnixMicro(), 10))
			})
			g.beside()
			// ask gives the longest that a request was at the Engine.
			ask := func() (longest time.Duration) {
				var mu sync.Mutex
				var done sync.WaitGroup
				for range requests {
					done.Go(func() {
						status, body := g.do(tc.method, tc.uri, "", "")
						began, err := strconv.ParseInt(body, 10, 64)
						if status != 200 || err != nil {
							t.Errorf("%d %s", status, body)
						}
						mu.Lock()
						defer mu.Unlock()
						longest = max(longest, time.Since(time.UnixMicro(began)))
					})
				}
				done.Wait()
				return longest
			}
			if !tc.shared {
				ask()
				return
			}
			share := int64(max(1, runtime.GOMAXPROCS(0)/2))
			wait.Until(t, "a time in which the machine keeps no request for longer than a turn counts", func() bool {
				most.Store(0)
				return ask() < 50*time.Millisecond || most.Load() <= share
			})
			if most.Load() > share {
				t.Errorf("%d at a time, of %d", most.Load(), share)
			}
		})
	}
}

// What the Engine takes for an answer is little of its caller's debt, however long it is: the caller's next request is answered at once.
func TestSlowEngineIsNotItsCallersDebt(t *testing.T) {
	const slow = 400 * time.Millisecond
	g := startHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/containers/slow/json" {
			time.Sleep(slow)
		}
	})
	g.beside()
	share := time.Duration(max(1, runtime.GOMAXPROCS(0)/2))
	wait.Until(t, "the next request to be answered at once", func() bool {
		g.do("GET", "/containers/slow/json", "", "")
		from := time.Now()
		g.do("GET", "/containers/json", "", "")
		return time.Since(from) < slow/share
	})
}

// An answer that goes on holds no turn.
func TestOpenAnswersHoldNoTurnClosed(t *testing.T) {
	release := make(chan struct{})
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/containers/slow/json" {
			w.(http.Flusher).Flush()
			<-release
		}
	})
	g.beside()
	for range 8 {
		res, err := g.client().Get("http://docker/containers/slow/json")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
	}
	defer close(release)
	wait.Until(t, "another request to be answered at once", func() bool { // not each time, on a busy machine
		from := time.Now()
		if status, text := g.do("GET", "/containers/json", "", ""); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
		return time.Since(from) < 50*time.Millisecond
	})
}
