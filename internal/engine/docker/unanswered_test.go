package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/test/wait"
)

// observed follows e with a log to look at.
func observed(e *engine) (*Inventory, *wait.Buffer) {
	log := &wait.Buffer{}
	inv := NewInventory(e.client(), slog.New(slog.NewTextHandler(log, nil)))
	inv.timeout = wait.Patience(200 * time.Millisecond) // of the others, too, on a busy machine
	return inv, log
}

func sick(inv *Inventory, n int) func() bool {
	return func() bool {
		return slices.ContainsFunc(inv.Unanswered(), func(u Unanswered) bool { return u.ID == id(n) })
	}
}

// unknown: no reference to it finds anything, nor does a wait.
func unknown(t *testing.T, inv *Inventory, refs ...string) {
	t.Helper()
	for _, ref := range refs {
		if c, ok := inv.Lookup(ref); ok {
			t.Errorf("Lookup(%.12q) = %+v", ref, c)
		}
		began := time.Now()
		if c, err := inv.Find(t.Context(), ref); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("Find(%.12q) = %+v, %v, want that it cannot be told", ref, c, err)
		}
		if took := time.Since(began); took > wait.Patience(3*time.Second) {
			t.Errorf("Find(%.12q) took %v", ref, took)
		}
	}
}

// TestClosedHungInspectIsOneContainers: an inspect that hangs from the start on takes one
// container away, and nothing from the others; it is said once, and when it is over.
func TestClosedHungInspectIsOneContainers(t *testing.T) {
	e := newEngine(t)
	for n := range 10 {
		e.set(n, fmt.Sprint("c", n), "busybox:1", 1000+n, nil)
	}
	release := e.hang(3)
	inv, log := observed(e)
	inv.period = 50 * time.Millisecond
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)
	for n := range 10 {
		if n != 3 && !running(inv, fmt.Sprint("c", n))() {
			t.Errorf("c%d is not known", n)
		}
	}
	unknown(t, inv, id(3), "c3", "/c3")
	u := inv.Unanswered()
	if len(u) != 1 || u[0].ID != id(3) || u[0].Name != "c3" || u[0].Err == nil || u[0].Since.IsZero() {
		t.Errorf("unanswered: %+v", u)
	}
	e.set(11, "new", "busybox:1", 77, nil)
	e.event("create", 11)
	wait.Until(t, "another one is known", running(inv, "new"))
	e.set(4, "c4", "busybox:1", 0, nil)
	e.event("die", 4)
	wait.Until(t, "another one has stopped", not(running(inv, "c4")))
	lists := e.count("/containers/json")
	wait.Until(t, "it reconciles many times", func() bool { return e.count("/containers/json") > lists+20 })
	if n := e.count("/events"); n != 1 {
		t.Errorf("subscribed %d times", n)
	}
	if n := e.count("/containers/" + id(3) + "/json"); n > 5 {
		t.Errorf("asked %d times about a container that hangs", n)
	}
	release()
	wait.Until(t, "known", running(inv, "c3"))
	wait.Until(t, "answered", not(sick(inv, 3)))
	for what, want := range map[string]int{
		"does not answer about a container": 1, "answers about a container again": 1, "lost the engine's events": 0,
		"container_name=c3": 2, "following the engine's containers": 1,
	} {
		if n := strings.Count(log.String(), what); n != want {
			t.Errorf("the log says %q %d times, want %d:\n%s", what, n, want, log)
		}
	}
}

// TestSlowInspectLosesNoEvents: an Engine that takes longer than any patience for one
// container is not asked twice, and events go on.
func TestSlowInspectLosesNoEvents(t *testing.T) {
	e := newEngine(t)
	e.set(1, "slow", "busybox:1", 71, nil)
	e.set(2, "web", "busybox:1", 72, nil)
	inv, log := observed(e)
	e.slow[id(1)] = 12 * inv.timeout
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)
	for range 5 {
		e.set(2, "web", "busybox:1", 0, nil)
		e.event("die", 2)
		wait.Until(t, "stopped", not(running(inv, "web")))
		e.set(2, "web", "busybox:1", 72, nil)
		e.event("start", 2)
		wait.Until(t, "runs", running(inv, "web"))
	}
	wait.Until(t, "known", running(inv, "slow"))
	if n := e.count("/containers/" + id(1) + "/json"); n != 1 {
		t.Errorf("asked %d times about the slow one", n)
	}
	if strings.Contains(log.String(), "lost the engine's events") {
		t.Errorf("a gap:\n%s", log)
	}
}

// TestClosedManyHungInspects: more than there are places for leave others theirs.
func TestClosedManyHungInspects(t *testing.T) {
	e := newEngine(t)
	var release []func()
	for n := range 40 {
		e.set(n, fmt.Sprint("c", n), "busybox:1", 1000+n, nil)
		if n%2 == 0 {
			release = append(release, e.hang(n))
		}
	}
	inv, _ := observed(e)
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)
	if got := len(inv.Running()); got != 20 {
		t.Errorf("%d known", got)
	}
	wait.Until(t, "all of them are told", func() bool { return len(inv.Unanswered()) == 20 })
	began := time.Now()
	e.set(100, "new", "busybox:1", 77, nil)
	e.event("create", 100)
	wait.Until(t, "another one is known", running(inv, "new"))
	if took := time.Since(began); took > wait.Patience(2*time.Second) {
		t.Errorf("another one took %v", took)
	}
	for _, f := range release {
		f()
	}
	wait.Until(t, "all are known", func() bool { return len(inv.Running()) == 41 && len(inv.Unanswered()) == 0 })
}

// TestOddAnswerIsOneContainers: what is said of one container, and makes no sense, is
// no reason to know less of others.
func TestOddAnswerIsOneContainers(t *testing.T) {
	for name, odd := range map[string]func(e *engine){
		"no JSON":       func(e *engine) { e.garbage[id(3)] = "<html>" },
		"another type":  func(e *engine) { e.garbage[id(3)] = `{"Id":"` + id(3) + `","State":[]}` },
		"half of one":   func(e *engine) { e.garbage[id(3)] = `{"Id":"` + id(3) },
		"without an id": func(e *engine) { e.garbage[id(3)] = `{}` },
		"a row of the list": func(e *engine) {
			e.garbage[id(3)] = "x"
			e.row[id(3)] = `{"Names":7,"Id":"` + id(3) + `"}`
		},
		"a row without an id": func(e *engine) { e.row[id(3)] = `{"Id":{}}`; delete(e.containers[id(3)], "Id") },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			for n := range 5 {
				e.set(n, fmt.Sprint("c", n), "busybox:1", 1000+n, nil)
			}
			odd(e)
			inv, _ := observed(e)
			e.follow(inv)
			wait.Until(t, "ready", inv.Ready)
			if got := len(inv.Running()); got != 4 {
				t.Errorf("%d of the 4 others are known", got)
			}
			if c, ok := inv.Lookup(id(3)); ok {
				t.Errorf("it is known as %+v", c)
			}
		})
	}
}

// TestOddEventIsOneEvent: the stream goes on behind an event that cannot be understood,
// and what it may have been about is asked.
func TestOddEventIsOneEvent(t *testing.T) {
	for _, line := range []string{
		`{"Action":7,"Actor":{"ID":"` + id(1) + `"}}`, `{"Action":"start","Actor":[]}`, `null`, `"x"`, `[]`, `{}`,
		`{"Action":"start","Actor":{"ID":"../../info"}}`, `{"Action":"start","Actor":{"ID":"` + id(1) + `","Attributes":{"name":[]}}}`,
	} {
		t.Run(line, func(t *testing.T) {
			e := newEngine(t)
			e.set(1, "web", "busybox:1", 71, nil)
			inv, log := observed(e)
			e.follow(inv)
			wait.Until(t, "ready", inv.Ready)
			e.set(1, "shop", "busybox:1", 71, nil)
			e.say(line)
			if strings.Contains(line, id(1)) || strings.Contains(line, `"Actor":[]`) {
				wait.Until(t, "renamed", known(inv, "shop"))
			}
			e.run(2, "new", nil)
			wait.Until(t, "another one is known", running(inv, "new"))
			if !inv.Ready() || strings.Contains(log.String(), "lost") || e.count("/containers/../../info/json") > 0 {
				t.Errorf("the stream ended:\n%s", log)
			}
		})
	}
}

// TestClosedNameOfWhomTheEngineDoesNotAnswer: a name belongs to the container that the
// Engine told of, be it described or not, so nobody else is taken for it.
func TestClosedNameOfWhomTheEngineDoesNotAnswer(t *testing.T) {
	e := newEngine(t)
	e.set(1, "web", "busybox:1", 71, nil)
	prefix := id(1)[:63]
	inv, _ := observed(e)
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)

	t.Run("a new one whose name is the beginning of another's id", func(t *testing.T) {
		if !known(inv, prefix)() {
			t.Fatal("the prefix finds nobody")
		}
		defer e.hang(2)()
		e.set(2, prefix, "busybox:1", 72, nil)
		e.event("create", 2)
		wait.Until(t, "told", sick(inv, 2))
		unknown(t, inv, prefix, id(2))
	})
	t.Run("renamed", func(t *testing.T) {
		defer e.hang(1)()
		e.set(3, "web", "busybox:1", 73, nil)
		defer e.hang(3)()
		e.set(1, "old", "busybox:1", 71, nil)
		e.event("rename", 1)
		e.event("create", 3)
		wait.Until(t, "told", sick(inv, 3))
		unknown(t, inv, "web", id(3))
		if c, ok := inv.Lookup("old"); !ok || c.ID != id(1) || c.Name != "old" || c.Pid != 71 {
			t.Errorf("the renamed one is %+v, %v", c, ok)
		}
	})
	t.Run("restarted", func(t *testing.T) {
		wait.Until(t, "answered", not(sick(inv, 1)))
		defer e.hang(1)()
		e.event("die", 1)
		e.set(1, "old", "busybox:1", 99, nil)
		e.event("start", 1)
		wait.Until(t, "told", sick(inv, 1))
		if c, ok := inv.Lookup("old"); ok && (c.Running || c.Pid != 0) {
			t.Errorf("it runs as it did before: %+v", c)
		}
	})
}

// TestClosedWhatMayHaveHappenedUnseen: what was known of a container before a time in which
// nobody listened is not taken for true until the Engine has answered once more.
func TestClosedWhatMayHaveHappenedUnseen(t *testing.T) {
	e := newEngine(t)
	e.set(1, "web", "busybox:1", 71, nil)
	e.set(2, "api", "busybox:1", 72, nil)
	inv, _ := observed(e)
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)
	release := e.hang(1)
	e.cut()
	wait.Until(t, "told", sick(inv, 1))
	wait.Until(t, "ready again", inv.Ready)
	unknown(t, inv, "web", id(1))
	if !running(inv, "api")() {
		t.Error("the other one is not known")
	}
	if list := inv.Append(nil); len(list) != 2 {
		t.Errorf("for those who read counters on: %v", list)
	}
	release()
	wait.Until(t, "known", running(inv, "web"))
}

// TestClosedReconcileDoubtsWhatTheListContradicts, if the Engine does not answer about it.
func TestClosedReconcileDoubtsWhatTheListContradicts(t *testing.T) {
	e := newEngine(t)
	e.images["sha256:busybox:1"] = nil
	e.set(1, "web", "busybox:1", 71, nil)
	e.set(2, "api", "busybox:1", 72, nil)
	inv, _ := observed(e)
	inv.period = 50 * time.Millisecond
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)
	defer e.hang(1)()
	defer e.hang(2)()
	e.set(1, "other", "busybox:1", 71, nil) // no event
	wait.Until(t, "told", sick(inv, 1))
	unknown(t, inv, "web", id(1))
	if !running(inv, "api")() || sick(inv, 2)() {
		t.Error("one that the list agrees about was asked about, and is not known")
	}
}

// TestClosedMissesOfOneHungContainer: those who ask for it take no places from others.
func TestClosedMissesOfOneHungContainer(t *testing.T) {
	e := newEngine(t)
	e.set(1, "sick", "busybox:1", 71, nil)
	defer e.hang(1)()
	inv, _ := observed(e)
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)
	var callers sync.WaitGroup
	for range 200 {
		callers.Go(func() {
			if _, err := inv.Find(t.Context(), "sick"); !errors.Is(err, ErrUnanswered) {
				t.Errorf("Find: %v, want %v", err, ErrUnanswered)
			}
		})
	}
	e.set(2, "web", "busybox:1", 72, nil) // no event: a miss
	began := time.Now()
	if _, err := inv.Find(t.Context(), id(2)); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*inv.timeout { // that of 200 more, eight at a time, is longer by far
		t.Errorf("another's took %v", took)
	}
	callers.Wait()
}

// TestMissTellsOfAHungContainer: one that nothing has happened to is found to hang by who
// asks for it.
func TestMissTellsOfAHungContainer(t *testing.T) {
	e := newEngine(t)
	e.set(1, "web", "busybox:1", 71, nil)
	inv, _ := observed(e)
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)
	release := e.hang(1)
	if _, err := inv.Refresh(t.Context(), "web"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	wait.Until(t, "told", sick(inv, 1))
	if !running(inv, "web")() {
		t.Error("nothing has happened to it, and it is not known")
	}
	release()
	wait.Until(t, "answered", not(sick(inv, 1)))
}

// TestHooksSeeOneContainersChangesInOrder, whatever is asked beside.
func TestHooksSeeOneContainersChangesInOrder(t *testing.T) {
	e := newEngine(t)
	inv, _ := observed(e)
	var mu sync.Mutex
	last := map[string]uint64{}
	inv.OnChange(func(c Container) {
		mu.Lock()
		defer mu.Unlock()
		if c.Rev < last[c.ID] {
			t.Errorf("%s went back from %d to %d", c.Name, last[c.ID], c.Rev)
		}
		last[c.ID] = c.Rev
	})
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() {
			for pid := range 30 {
				e.set(n, fmt.Sprint("c", n), "busybox:1", 1000+pid, nil)
				e.event("start", n)
				_, _ = inv.Refresh(t.Context(), id(n))
				e.set(n, fmt.Sprint("c", n), "busybox:1", 0, nil)
				e.event("die", n)
			}
		})
	}
	all.Wait()
	wait.Until(t, "all stopped", func() bool { return len(inv.Running()) == 0 })
}

func TestChanged(t *testing.T) {
	e := newEngine(t)
	inv, _ := observed(e)
	e.set(1, "web", "busybox:1", 71, nil)
	for name, change := range map[string]func(){
		"an inspect":         func() { _, _ = inv.Refresh(t.Context(), id(1)) },
		"a new one":          func() { inv.expect(id(2), "new", 0) },
		"an end":             func() { inv.stop(id(1), false) },
		"a name":             func() { inv.rename(id(1), "x") },
		"it being ready":     func() { inv.setReady(false, nil) },
		"no answer":          func() { inv.unanswer(id(3), errors.New("x"), true, false) },
		"an answer after it": func() { inv.settle(id(3)) },
	} {
		if name == "an answer after it" {
			inv.unanswer(id(3), errors.New("x"), true, false)
		}
		changed, also := inv.Changed(), inv.Changed()
		select {
		case <-changed:
			t.Errorf("before %s", name)
		default:
		}
		change()
		for _, c := range []<-chan struct{}{changed, also} {
			select {
			case <-c:
			default:
				t.Errorf("%s is not told", name)
			}
		}
	}
}
