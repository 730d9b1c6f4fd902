package grant

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/test/wait"
)

// world is a host with its clock, a policy that lends whatever is asked, and the audit log.
type world struct {
	t           *testing.T
	file, state string
	wall        time.Time     // the host's clock
	running     time.Duration // the kernel's
	keeper      *Keeper
	bound       []Grant // what the policy binds, with an end
	refuse      string  // why the policy lends nothing
	lent        []Grant // what it was told
	held        []string
	log         []string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, file: filepath.Join(folder(t), "grants.yaml"), state: folder(t), wall: noon}
	w.start()
	return w
}

// start begins a new process.
func (w *world) start() {
	began := w.running
	w.keeper = NewKeeper(Options{
		File: w.file, StateDir: w.state, Logger: slog.New(slog.DiscardHandler),
		Clock: NewClock(func() (time.Time, time.Duration) { return w.wall, w.running - began }),
		Lend:  func(_ context.Context, grants []Grant) { w.lent = grants; w.decide() },
		Record: func(e Event) {
			what := "begin " + e.Grant.ID
			if e.Ended {
				what = "end " + e.Grant.ID + ": " + e.Why
			}
			w.log = append(w.log, what)
		},
	})
	w.look()
}

// decide is what the policy's engine does.
func (w *world) decide() {
	var held []Grant
	var refused []Refused
	for _, g := range slices.Concat(w.bound, w.lent) {
		switch {
		case g.Over(w.keeper.Now()):
		case w.refuse != "" && !g.From.IsZero():
			refused = append(refused, Refused{g, w.refuse})
		default:
			held = append(held, g)
		}
	}
	w.held = nil
	for _, g := range held {
		w.held = append(w.held, g.ID)
	}
	w.keeper.Holds(held, refused)
}

func (w *world) look() { w.keeper.Look(w.t.Context()) }

// pass lets time go by, and the engine's timer with it.
func (w *world) pass(d time.Duration) {
	w.wall, w.running = w.wall.Add(d), w.running+d
	w.decide()
}

func (w *world) grant(id string, length time.Duration) {
	w.t.Helper()
	g := lent(id, length)
	g.From, g.Until = w.wall, w.wall.Add(length)
	add(w.t, w.file, g)
	w.look()
}

func (w *world) revoke(id string) {
	w.t.Helper()
	err := Change(w.file, w.wall, func(list []Grant) ([]Grant, error) {
		for i := range list {
			if list[i].ID == id {
				list[i].Revoked = &Revocation{At: w.wall, By: "bob", Reason: "enough"}
			}
		}
		return list, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.look()
}

// expect compares what holds, and what the audit log says since the last time.
func (w *world) expect(held string, log ...string) {
	w.t.Helper()
	w.look()
	w.decide() // nothing is said twice
	if got := strings.Join(w.held, " "); got != held {
		w.t.Errorf("%q hold, want %q", got, held)
	}
	if !slices.EqualFunc(w.log, log, func(is, want string) bool {
		return is == want || strings.HasSuffix(want, "…") && strings.HasPrefix(is, strings.TrimSuffix(want, "…"))
	}) {
		w.t.Errorf("recorded %q, want %q", w.log, log)
	}
	w.log = nil
}

func TestBeginAndEndAreRecordedOnce(t *testing.T) {
	w := newWorld(t)
	w.grant("g-a", time.Hour)
	w.grant("g-b", 2*time.Hour)
	w.expect("g-a g-b", "begin g-a", "begin g-b")
	w.start() // again
	w.expect("g-a g-b")
	w.pass(time.Hour)
	w.expect("g-b", "end g-a: its time is over")
	w.revoke("g-b")
	w.expect("", "end g-b: revoked by bob: enough")
	w.start()
	w.expect("")
}

// TestEndWhileNotRunning: what ended meanwhile is recorded at the start, once; what both began and ended,
// not at all, as nobody had it.
func TestEndWhileNotRunning(t *testing.T) {
	w := newWorld(t)
	w.grant("g-a", time.Hour)
	w.expect("g-a", "begin g-a")
	add(t, w.file, lent("g-b", time.Minute))
	w.wall = w.wall.Add(2 * time.Hour)
	w.start()
	w.expect("", "end g-a: its time is over")
	w.start()
	w.expect("")
}

func TestClockSetBackClosed(t *testing.T) {
	t.Run("while it holds", func(t *testing.T) {
		w := newWorld(t)
		w.grant("g-a", time.Hour)
		w.pass(30 * time.Minute)
		w.wall = w.wall.Add(-24 * time.Hour)
		w.pass(29 * time.Minute)
		w.expect("g-a", "begin g-a")
		w.pass(time.Minute)
		w.expect("", "end g-a: its time is over")
	})
	t.Run("after its end", func(t *testing.T) {
		w := newWorld(t)
		w.grant("g-a", time.Hour)
		w.pass(time.Hour)
		w.wall = noon
		w.expect("", "begin g-a", "end g-a: its time is over")
	})
	t.Run("after its end, and started again", func(t *testing.T) {
		w := newWorld(t)
		w.grant("g-a", time.Hour)
		w.pass(time.Hour)
		w.wall = noon
		w.start()
		w.expect("", "begin g-a", "end g-a: its time is over")
	})
	t.Run("while not running", func(t *testing.T) {
		w := newWorld(t)
		w.grant("g-a", time.Hour)
		w.pass(59 * time.Minute)
		w.wall = noon.Add(-time.Hour)
		w.start()
		w.expect("g-a", "begin g-a")
		w.pass(time.Minute) // not an hour and more
		w.expect("", "end g-a: its time is over")
	})
	t.Run("before the day on which it was granted", func(t *testing.T) {
		w := newWorld(t)
		add(t, w.file, lent("g-a", time.Hour))
		w.wall = noon.Add(-24 * time.Hour)
		w.start()
		w.pass(time.Hour)
		w.expect("", "begin g-a", "end g-a: its time is over")
	})
}

func TestClockSetForwardClosed(t *testing.T) {
	w := newWorld(t)
	w.grant("g-a", time.Hour)
	w.wall = w.wall.Add(24 * time.Hour)
	w.pass(0)
	w.expect("", "begin g-a", "end g-a: its time is over")
	w.wall = noon
	w.expect("")
	w.start()
	w.expect("")
	if latest, err := Latest(w.state); err != nil || !latest.Equal(noon.Add(24*time.Hour)) {
		t.Errorf("the latest time is %s, %v", latest, err)
	}
}

// TestBindingsOfThePolicy: their ends are recorded too, and held by the same clock.
func TestBindingsOfThePolicy(t *testing.T) {
	w := newWorld(t)
	w.bound = []Grant{{ID: "policy-1", Role: "r", To: []string{"tls:x"}, Until: noon.Add(time.Hour), By: "data.yaml:3"}}
	w.expect("policy-1", "begin policy-1")
	w.start()
	w.expect("policy-1")
	w.pass(time.Hour)
	w.wall = noon
	w.expect("", "end policy-1: its time is over")
	w.start()
	w.expect("")
	w.bound[0].ID, w.bound[0].Until = "policy-2", noon.Add(2*time.Hour)
	w.expect("policy-2", "begin policy-2")
	w.bound = nil
	w.expect("", "end policy-2: the policy does not bind it any more")
}

func TestNoFileIsNoGrantsClosed(t *testing.T) {
	w := newWorld(t)
	w.grant("g-a", time.Hour)
	good, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	w.expect("g-a", "begin g-a")
	if err := os.WriteFile(w.file, good[:len(good)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	w.expect("", "end g-a: read the grants: "+w.file+"…")
	if err := w.keeper.Health(); err == nil || !strings.Contains(err.Error(), "there are none: read the grants: "+w.file) {
		t.Errorf("healthy: %v", err)
	}
	if err := os.WriteFile(w.file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	w.expect("g-a", "begin g-a") // mended
	if err := w.keeper.Health(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(w.file); err != nil {
		t.Fatal(err)
	}
	w.expect("", "end g-a: it is gone from "+w.file)
}

// TestRevokedStaysRevokedClosed: the file as it was before, from a backup, gives nothing back.
func TestRevokedStaysRevokedClosed(t *testing.T) {
	for _, how := range []string{"revoked", "gone"} {
		w := newWorld(t)
		w.grant("g-a", time.Hour)
		before, err := os.ReadFile(w.file)
		if err != nil {
			t.Fatal(err)
		}
		if how == "gone" {
			_ = os.Remove(w.file)
		} else {
			w.revoke("g-a")
		}
		w.look()
		w.log = nil
		if err := os.WriteFile(w.file, before, 0o600); err != nil {
			t.Fatal(err)
		}
		w.expect("")
		w.start()
		w.expect("")
	}
}

func TestEditedGrantIsAnother(t *testing.T) {
	w := newWorld(t)
	w.grant("g-a", time.Hour)
	w.expect("g-a", "begin g-a")
	err := Change(w.file, w.wall, func(list []Grant) ([]Grant, error) { list[0].To = []string{"tls:mallory"}; return list, nil })
	if err != nil {
		t.Fatal(err)
	}
	w.expect("g-a", "end g-a: it was changed in "+w.file, "begin g-a")
}

func TestRefusedByThePolicy(t *testing.T) {
	w := newWorld(t)
	w.grant("g-a", time.Hour)
	w.expect("g-a", "begin g-a")
	w.refuse = "role ops is not lent"
	w.expect("", "end g-a: role ops is not lent")
	w.refuse = ""
	w.expect("g-a", "begin g-a")
}

// TestStateThatCannotBeReadClosed: nobody knows what has ended then, so everything has.
func TestStateThatCannotBeReadClosed(t *testing.T) {
	for name, spoil := range map[string]func(dir, file string) error{
		"cut":        func(_, file string) error { return os.Truncate(file, 10) },
		"empty":      func(_, file string) error { return os.Truncate(file, 0) },
		"nothing":    func(_, file string) error { return os.WriteFile(file, []byte("{}"), 0o600) },
		"others'":    func(_, file string) error { return os.Chmod(file, 0o666) },
		"in others'": func(dir, _ string) error { return os.Chmod(dir, 0o777) },
		"of tomorrow": func(_, file string) error {
			return os.WriteFile(file, []byte(`{"version":2,"latest":"2026-11-27T12:00:00Z"}`), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.bound = []Grant{{ID: "policy-1", Role: "r", To: []string{"tls:x"}, Until: noon.Add(time.Hour)}}
			w.grant("g-a", time.Hour)
			w.expect("policy-1 g-a", "begin policy-1", "begin g-a")
			if err := spoil(w.state, filepath.Join(w.state, stateFile)); err != nil {
				t.Fatal(err)
			}
			w.start()
			w.expect("")
			if err := w.keeper.Health(); err == nil || !strings.Contains(err.Error(), w.state) {
				t.Errorf("healthy: %v", err)
			}
			if _, err := Latest(w.state); err == nil {
				t.Error("Latest knows")
			}
		})
	}
}

// TestRunFollowsTheFile: what is granted and revoked while it runs is lent and not, and the time
// is kept at the end.
func TestRunFollowsTheFile(t *testing.T) {
	file, state := filepath.Join(folder(t), "grants.yaml"), folder(t)
	lends := make(chan string, 16)
	var k *Keeper
	k = NewKeeper(Options{
		File: file, StateDir: state, Logger: slog.New(slog.DiscardHandler), Clock: NewClock(nil), Record: func(Event) {},
		Lend: func(_ context.Context, grants []Grant) { k.Holds(grants, nil); lends <- fmt.Sprint(len(grants)) },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	now := time.Now().UTC().Truncate(time.Second)
	g := lent("g-a", time.Hour)
	g.From, g.Until = now, now.Add(time.Hour)
	add(t, file, g)
	until := func(want string) {
		wait.Until(t, want+" grants", func() bool {
			select {
			case got := <-lends:
				return got == want
			default:
				return false
			}
		})
	}
	until("1")
	if err := Change(file, now, func(list []Grant) ([]Grant, error) { list[0].Revoked = &Revocation{At: now, By: "x"}; return list, nil }); err != nil {
		t.Fatal(err)
	}
	until("0")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if latest, err := Latest(state); err != nil || latest.Before(now) {
		t.Errorf("the time was not kept: %s %v", latest, err)
	}
}
