package docker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/test/wait"
)

func known(inv *Inventory, ref string) func() bool {
	return func() bool { _, ok := inv.Lookup(ref); return ok }
}

func running(inv *Inventory, ref string) func() bool {
	return func() bool { c, ok := inv.Lookup(ref); return ok && c.Running }
}

func not(is func() bool) func() bool { return func() bool { return !is() } }

func TestInventoryFollowsEvents(t *testing.T) {
	e := newEngine(t)
	e.set(1, "old", "busybox:1", 77, nil)
	inv := e.inventory()
	var mu sync.Mutex
	var died []string
	inv.OnDie(func(id string) { mu.Lock(); defer mu.Unlock(); died = append(died, id) })
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)
	if c, ok := inv.Lookup("old"); !ok || c.Pid != 77 || c.Image != "busybox:1" || c.ImageID != "sha256:busybox:1" {
		t.Errorf("a container from before: %+v, %v", c, ok)
	}

	e.run(2, "web", nil)
	wait.Until(t, "web runs", running(inv, "web"))
	before, _ := inv.Lookup("web")

	e.set(2, "shop", "busybox:1", 1002, nil)
	e.event("rename", 2)
	wait.Until(t, "renamed", known(inv, "/shop"))
	if known(inv, "web")() {
		t.Error("the old name still finds it")
	}
	if after, _ := inv.Lookup("shop"); after.Rev == before.Rev {
		t.Error("a new name did not change Rev")
	}

	e.set(2, "shop", "busybox:1", 0, nil)
	e.event("die", 2)
	wait.Until(t, "stopped", not(running(inv, "shop")))
	mu.Lock()
	if !slices.Equal(died, []string{id(2)}) {
		t.Errorf("died: %v", died)
	}
	mu.Unlock()
	e.remove(2)
	e.event("destroy", 2)
	wait.Until(t, "removed", not(known(inv, id(2))))
	if len(inv.Running()) != 1 {
		t.Errorf("running: %v", inv.Running())
	}
}

func TestLookup(t *testing.T) {
	e := newEngine(t)
	inv := e.inventory()
	ids := []string{
		"aa11" + id(0)[4:], "aa22" + id(0)[4:], "bb33" + id(0)[4:],
	}
	for i, id := range ids {
		inv.put(Container{ID: id, Name: []string{"one", "two", "aa1"}[i]})
	}
	for ref, want := range map[string]string{
		ids[0]: ids[0], ids[0] + "0": "", "one": ids[0], "/two": ids[1], "bb": ids[2], "aa2": ids[1],
		"aa1": ids[2] /* a name comes before a prefix */, "aa": "" /* ambiguous */, "aa11": ids[0],
		"": "", "/": "", "none": "", "cc": "",
	} {
		if c, ok := inv.Lookup(ref); c.ID != want || ok != (want != "") {
			t.Errorf("Lookup(%q) = %q, %v, want %q", ref, c.ID, ok, want)
		}
	}
}

func TestStreamCutAndEngineRestart(t *testing.T) {
	e := newEngine(t)
	e.run(1, "web", nil)
	inv := e.inventory()
	died := make(chan string, 10)
	inv.OnDie(func(id string) { died <- id })
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)

	// While nobody listens, web restarts and another one comes.
	e.down()
	wait.Until(t, "not ready", func() bool { return !inv.Ready() })
	if inv.Err() == nil {
		t.Error("not ready, and no reason")
	}
	e.set(1, "web", "busybox:1", 4711, nil)
	e.set(2, "new", "busybox:1", 4712, nil)
	e.up()
	wait.Until(t, "ready again", inv.Ready)
	if err := inv.Err(); err != nil {
		t.Errorf("ready, and %v", err)
	}
	if c, _ := inv.Lookup("web"); c.Pid != 4711 {
		t.Errorf("web is %+v, and was restarted", c)
	}
	if !running(inv, "new")() {
		t.Error("a container that started meanwhile is not known")
	}
	if got := <-died; got != id(1) {
		t.Errorf("died: %s, want %s", got, id(1))
	}

	e.remove(2)
	e.cut()
	wait.Until(t, "forgotten after the stream was cut", not(known(inv, "new")))
}

func TestStartsWithoutEngine(t *testing.T) {
	e := newEngine(t)
	e.down()
	inv := e.inventory()
	e.follow(inv)
	if inv.Ready() {
		t.Error("ready without an engine")
	}
	if _, err := inv.Find(t.Context(), "web"); err == nil {
		t.Error("found a container without an engine")
	}
	e.run(1, "web", nil)
	e.up()
	wait.Until(t, "ready", inv.Ready)
}

func TestBlockedAtStart(t *testing.T) {
	e := newEngine(t)
	e.run(1, "web", nil)
	e.block()
	inv := e.inventory()
	inv.timeout = 20 * time.Millisecond
	e.follow(inv)
	wait.Until(t, "asked again", func() bool { return e.count("/events") > 2 })
	if inv.Ready() {
		t.Error("ready while the daemon is blocked")
	}
	e.unblock()
	wait.Until(t, "ready", inv.Ready)
}

// busyEngine has no containers, and events without end.
type busyEngine struct{}

func (busyEngine) RoundTrip(r *http.Request) (*http.Response, error) {
	body := io.Reader(strings.NewReader("[]"))
	if r.URL.Path == "/events" {
		body = endless(`{"Action":"exec_start","Actor":{"ID":"x"}}` + "\n")
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body)}, nil
}

// endless gives its text again and again.
type endless string

func (text endless) Read(p []byte) (int, error) { return copy(p, text), nil }

// TestStopsWhileEventsArrive: the end may come between two of them.
func TestStopsWhileEventsArrive(t *testing.T) {
	inv := NewInventory(NewClient(busyEngine{}), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- inv.Run(ctx) }()
	wait.Until(t, "ready", inv.Ready)
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
}

func TestMissIsOneInspect(t *testing.T) {
	e := newEngine(t)
	e.set(1, "web", "busybox:1", 77, nil)
	inv := e.inventory()
	for range 3 {
		if c, err := inv.Find(t.Context(), id(1)); err != nil || c.Name != "web" {
			t.Errorf("Find = %+v, %v", c, err)
		}
	}
	if n := e.count("/containers/" + id(1) + "/json"); n != 1 {
		t.Errorf("%d inspects, want 1", n)
	}
	if _, err := inv.Find(t.Context(), "nope"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a container that is not there: %v, want %v", err, ErrNotFound)
	}
	if c, err := inv.ExecContainer(t.Context(), "e1"); err != nil || c.Name != "web" {
		t.Errorf("ExecContainer = %+v, %v", c, err)
	}
	if _, err := inv.ExecContainer(t.Context(), "e2"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an exec that is not there: %v, want %v", err, ErrNotFound)
	}
}

func TestNamesOfAnIncompleteInventoryAreAskedFor(t *testing.T) {
	e := newEngine(t)
	e.set(1, "web", "busybox:1", 77, nil)
	inv := e.inventory()
	if _, err := inv.Refresh(t.Context(), id(1)); err != nil {
		t.Fatal(err)
	}
	e.set(1, "old", "busybox:1", 77, nil)
	e.set(2, "web", "busybox:1", 78, nil)
	if c, err := inv.Find(t.Context(), "web"); err != nil || c.ID != id(2) {
		t.Errorf("Find = %+v, %v, want the container that has the name now", c, err)
	}
}

func TestBlockedDaemonClosed(t *testing.T) {
	e := newEngine(t)
	e.run(1, "web", nil)
	inv := e.inventory()
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)
	e.block()
	defer e.unblock()
	began := time.Now()
	if c, err := inv.Find(t.Context(), id(2)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Find = %+v, %v, want a deadline", c, err)
	}
	if _, err := inv.ExecContainer(t.Context(), "e1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ExecContainer: %v, want a deadline", err)
	}
	if took := time.Since(began); took > wait.Patience(5*time.Second) {
		t.Errorf("took %v", took)
	}
	if !running(inv, "web")() {
		t.Error("what was known is not known any more")
	}
}

func TestManyMissesOfABlockedDaemonClosed(t *testing.T) {
	e := newEngine(t)
	inv := e.inventory()
	e.block()
	defer e.unblock()
	var all sync.WaitGroup
	for n := range 100 {
		all.Go(func() {
			if _, err := inv.Find(t.Context(), id(n)); err == nil {
				t.Error("found a container while the daemon is blocked")
			}
		})
	}
	all.Wait()
}

func TestLateAnswerAboutTheDeadClosed(t *testing.T) {
	e := newEngine(t)
	e.set(1, "web", "busybox:1", 77, nil)
	inv := e.inventory()
	once := false
	e.onInspect = func() { // the answer "running" is on its way when the container dies
		if !once {
			once = true
			inv.stop(id(1), false)
			e.set(1, "web", "busybox:1", 0, nil)
		}
	}
	if c, err := inv.Refresh(t.Context(), "web"); err != nil || c.Running {
		t.Errorf("Refresh = %+v, %v, want a stopped container", c, err)
	}
	e.onInspect = func() { inv.stop(id(1), false) }
	if c, err := inv.Refresh(t.Context(), "web"); err == nil {
		t.Errorf("Refresh = %+v of a container that dies all the time", c)
	}
}

func TestLabelsOfTheImage(t *testing.T) {
	e := newEngine(t)
	e.images["sha256:app:1"] = map[string]string{"vitrine.role": "look"}
	e.set(1, "web", "app:1", 77, map[string]string{"vitrine.role": "look", "team": "sre"})
	e.set(2, "api", "app:1", 78, nil)
	e.set(3, "odd", "gone:1", 79, map[string]string{"team": "sre"})
	inv := e.inventory()
	for _, ref := range []string{"web", "api"} {
		c, err := inv.Refresh(t.Context(), ref)
		if _, set := c.ImageLabels["vitrine.role"]; err != nil || !c.ImageKnown || !set {
			t.Errorf("%s: %+v, %v", ref, c, err)
		}
	}
	if n := e.count("/images/sha256:app:1/json"); n != 1 {
		t.Errorf("%d inspects of one image, want 1", n)
	}
	if c, err := inv.Refresh(t.Context(), "odd"); err != nil || c.ImageKnown {
		t.Errorf("a container whose image is gone: %+v, %v, want ImageKnown false", c, err)
	}
}

// TestLabelsOfTheImageOfAPlatformClosed: of an image of several platforms they are known where the engine says which one a container has, and shows that one.
func TestLabelsOfTheImageOfAPlatformClosed(t *testing.T) {
	platform := map[string]any{"os": "linux", "architecture": "arm64"}
	arm, other := map[string]any{"digest": "sha256:arm", "platform": platform}, map[string]any{"digest": "sha256:other", "platform": platform}
	for name, tc := range map[string]struct {
		info, version string
		descriptor    any
		known, never  bool
		want          string // the image's label
	}{
		"told":                   {contained, "1.49", arm, true, false, "arm64"},
		"not shown":              {contained, "1.48", arm, false, true, ""},
		"made by an older one":   {contained, "1.49", nil, false, true, ""},
		"without a platform":     {contained, "1.49", map[string]any{"digest": "sha256:arm"}, false, true, ""},
		"without a digest":       {contained, "1.49", map[string]any{"platform": platform}, false, true, ""},
		"another is shown":       {contained, "1.49", other, false, false, ""},
		"Docker's own store":     {`{}`, "1.45", nil, true, false, "any"},
		"an engine that is mute": {"503 not now", "1.49", arm, false, false, ""},
	} {
		e := newEngine(t)
		e.images["sha256:app:1"] = map[string]string{"of": "any"}
		e.others, e.version = map[string]string{"/info": tc.info}, tc.version
		e.variant = func(string) string {
			return `{"Config":{"Labels":{"of":"arm64"}},"Descriptor":{"digest":"sha256:arm"}}`
		}
		e.set(1, "web", "app:1", 77, map[string]string{"of": "any"})
		if tc.descriptor != nil {
			e.containers[id(1)]["ImageManifestDescriptor"] = tc.descriptor
		}
		inv := e.inventory()
		inv.FollowDefaults()
		c, err := inv.Refresh(t.Context(), "web")
		if err != nil || c.ImageKnown != tc.known || (c.ImageErr == nil) != tc.known || errors.Is(c.ImageErr, ErrPlatform) != tc.never || c.ImageLabels["of"] != tc.want {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
		if agrees := inv.agrees(c, Summary{ID: c.ID, Names: []string{"/web"}, State: "running"}); agrees != (tc.known || tc.never) {
			t.Errorf("%s: it is asked for again: %v", name, !agrees)
		}
	}
}

func TestReconcileFindsWhatEventsMissed(t *testing.T) {
	e := newEngine(t)
	e.run(1, "web", nil)
	inv := e.inventory()
	inv.period = 10 * time.Millisecond
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)
	e.set(1, "shop", "busybox:1", 0, nil) // no events
	e.set(2, "api", "busybox:1", 78, nil)
	wait.Until(t, "renamed", known(inv, "shop"))
	wait.Until(t, "stopped", not(running(inv, "shop")))
	wait.Until(t, "appeared", running(inv, "api"))
	e.remove(2)
	wait.Until(t, "removed", not(known(inv, "api")))
}

func TestWrongAnswersClosed(t *testing.T) {
	e := newEngine(t)
	e.containers["short"] = map[string]any{"Id": "short", "Name": "/web", "State": map[string]any{"Running": true, "Pid": 1}}
	inv := e.inventory()
	if c, err := inv.Refresh(t.Context(), "short"); err == nil {
		t.Errorf("Refresh = %+v from an answer without a full id", c)
	}
}

func TestManyAtOnce(t *testing.T) {
	e := newEngine(t)
	inv := e.inventory()
	inv.OnChange(func(Container) {})
	inv.OnDie(func(string) {})
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for range 20 {
				e.run(n, "web", nil)
				_, _ = inv.Find(t.Context(), id(n))
				_, _, _ = inv.Running(), inv.Ready(), known(inv, "web")()
				e.set(n, "web", "busybox:1", 0, nil)
				e.event("die", n)
			}
		})
	}
	all.Wait()
	wait.Until(t, "all stopped", func() bool { return len(inv.Running()) == 0 })
}
