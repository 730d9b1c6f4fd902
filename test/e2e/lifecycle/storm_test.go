package lifecycle

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// Two policies that differ in what the callers of a storm may do, and are both narrower than the built-in one.
const (
	stormPolicy = `
bindings:
  admin: ["unix:root", "local"]
  lister: ["uid:4711"]
roles:
  lister:
    access: [ping, list]
    except: [ImageList]
`
	otherStormPolicy = `
bindings:
  admin: ["unix:root", "local"]
  pinger: ["uid:4711"]
roles:
  pinger:
    access: [ping]
`
)

// storm is 20 callers who ask all the while, at both doors.
type storm struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	down    bool      // dockerd is being restarted
	up      time.Time // since when it is not
	answers map[int]int
	passed  []string // what no policy of the storm allows
	slow    []string // what took too long while dockerd ran
	slowest time.Duration
}

func begin(t *testing.T, p *vitrine.Process) *storm {
	ctx, cancel := context.WithCancel(t.Context())
	s := &storm{cancel: cancel, answers: map[int]int{}}
	agent, root := clientOf(vitrine.As(t, nobody), p.Socket), p.Engine.Client()
	for _, path := range []string{"/containers/json", "/_ping", "/images/json", "/volumes", "/networks"} {
		for range 2 {
			s.done.Go(func() { s.asks(ctx, agent, path, path == "/images/json") })
			s.done.Go(func() { s.asks(ctx, root, path, false) })
		}
	}
	t.Cleanup(s.end)
	return s
}

func (s *storm) asks(ctx context.Context, client *http.Client, path string, forbidden bool) {
	for ctx.Err() == nil {
		began := time.Now()
		a, err := get(ctx, client, path)
		if ctx.Err() == nil {
			s.count(path, a, err, began, forbidden)
		}
		time.Sleep(time.Millisecond) // there are others on this machine
	}
}

func (s *storm) count(path string, a answer, err error, began time.Time, forbidden bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.answers[a.status]++
	}
	if err == nil && forbidden && a.status < 400 {
		s.passed = append(s.passed, fmt.Sprintf("%s: %s", path, a))
	}
	if s.down || began.Before(s.up) {
		return
	}
	took := time.Since(began)
	s.slowest = max(s.slowest, took)
	if took > wait.Patience(3*time.Second) {
		s.slow = append(s.slow, fmt.Sprintf("%s took %s: %s %v", path, took, a, err))
	}
}

// without runs f while dockerd may be down: nobody is promised an answer then.
func (s *storm) without(f func()) {
	set := func(down bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.down, s.up = down, time.Now()
	}
	set(true)
	defer set(false)
	f()
}

func (s *storm) end() {
	s.cancel()
	s.done.Wait()
}

// TestClosedPolicyThroughAStorm: while 20 callers ask, the Engine restarts 24 times, and the policy's file is emptied, cut off,
// replaced by what is no file, moved, and made unreadable. Nothing is decided by anything but a policy that was in force.
func TestClosedPolicyThroughAStorm(t *testing.T) {
	p := legacyNamed(t, vitrine.Options{Data: stormPolicy})
	file := filepath.Join(p.PolicyDir, "data.yaml")
	inPlace := func(text string) { must(t, os.WriteFile(file, []byte(text), 0o644)) }
	whole := func(text string, status int) {
		t.Helper()
		must(t, os.RemoveAll(file))
		p.WritePolicy("data.yaml", text)
		agent := clientOf(vitrine.As(t, nobody), p.Socket)
		p.Eventually("the policy that was written", func() error {
			if a, err := get(t.Context(), agent, "/containers/json"); err != nil || a.status != status {
				return fmt.Errorf("%s %w", a, err)
			}
			return nil
		})
	}
	whole(otherStormPolicy, http.StatusForbidden)
	whole(stormPolicy, http.StatusOK)
	inForce := map[string]bool{}
	p.Eventually("decisions by both policies", func() error {
		for _, r := range p.Audit() {
			if r.PolicyRevision != "" { // else no policy was asked
				inForce[r.PolicyRevision] = true
			}
		}
		if len(inForce) != 2 {
			return fmt.Errorf("revisions %v", inForce)
		}
		return nil
	})

	s := begin(t, p)
	for round := range 24 {
		switch round % 8 {
		case 0:
			inPlace("")
		case 1:
			for cut := range strings.Index(stormPolicy, "    except") + 1 { // a slow writer, who stays where it would be wider
				inPlace(stormPolicy[:cut])
				time.Sleep(5 * time.Millisecond)
			}
		case 2:
			inPlace("# nothing\n---\n{}\n")
		case 3:
			must(t, os.Remove(file))
			must(t, os.Mkdir(file, 0o755))
		case 4:
			must(t, os.RemoveAll(file))
			must(t, os.Symlink("nowhere", file))
		case 5:
			must(t, os.RemoveAll(file))
		case 6:
			whole(otherStormPolicy, http.StatusForbidden)
		case 7:
			whole(stormPolicy, http.StatusOK)
		}
		s.without(func() {
			must(t, p.Engine.Restart())
			eventuallyAsked(t, p.Engine, true)
		})
	}
	s.end()

	for _, r := range p.Audit() {
		if r.Allow && !inForce[r.PolicyRevision] {
			t.Fatalf("the policies in force were %v, and this was decided: %+v", inForce, r)
		}
	}
	if len(s.passed) > 0 {
		t.Errorf("%d requests passed that no policy allows, e.g. %s", len(s.passed), s.passed[0])
	}
	if len(s.slow) > 0 {
		t.Errorf("%d requests were not answered in time, e.g. %s", len(s.slow), s.slow[0])
	}
	if s.answers[http.StatusOK] == 0 || s.answers[http.StatusForbidden] == 0 {
		t.Errorf("the storm was answered %v: it shows nothing", s.answers)
	}
	t.Logf("answers by status %v; the slowest while dockerd ran took %s", s.answers, s.slowest)
}
