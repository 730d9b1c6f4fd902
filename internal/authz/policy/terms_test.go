package policy

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/grant"
	"vitrine/test/long"
)

// lending is a policy with a binding that ends and a role that is lent.
const lending = `
roles:
  ops: {access: [list], grant: {max: 1h}}
  own: {access: [list], own: true}
  never: {access: [list]}
  learned: {access: [list], mode: audit, grant: {max: 1h}}
bindings:
  admin: [local]
  ops: ["tls:a", {principal: "tls:b", until: 2026-11-27T12:00Z}, "tls:c"]
  own: [{all: ["container:x", "container-uid:1"], until: "2026-11-27T13:00:00+01:00"}]
`

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// timed is an engine whose time the test sets, and what it tells of bindings that end.
type timed struct {
	*Engine
	at      atomic.Int64
	loads   atomic.Int32
	held    []grant.Grant
	refused []grant.Refused
}

func (w *timed) set(at time.Time) { w.at.Store(at.UnixNano()) }

func atTime(t *testing.T, data string, at time.Time) *timed {
	t.Helper()
	w := &timed{}
	w.set(at)
	w.Engine = New(Options{
		Paths: []string{policyDir(t, "data.yaml", data)},
		Now:   func() time.Time { return time.Unix(0, w.at.Load()).UTC() },
		Holds: func(held []grant.Grant, refused []grant.Refused) {
			w.held, w.refused = slices.Clone(held), slices.Clone(refused)
		},
		OnLoad: func() { w.loads.Add(1) },
	})
	if err := w.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// may says who may list containers.
func (w *timed) may(t *testing.T, principals ...string) bool {
	t.Helper()
	d := w.Decide(t.Context(), ask(t, principals, "GET", "/containers/json", ""))
	if d.Failed {
		t.Errorf("%v: %v", principals, d.Reasons)
	}
	return d.Allows()
}

func TestBindingThatEndsClosed(t *testing.T) {
	t.Parallel()
	w := atTime(t, lending, noon.Add(-time.Second))
	both := []string{"container:x", "container-uid:1"}
	if !w.may(t, "tls:a") || !w.may(t, "tls:b") || !w.may(t, both...) {
		t.Fatal("a binding does not hold before its end")
	}
	if d := w.Decide(t.Context(), ask(t, both, "GET", "/containers/json", "")); d.Where["vitrine.owner"] != "container:x+container-uid:1" {
		t.Errorf("owner: %v", d.Where)
	}
	if len(w.held) != 2 || !w.held[0].Until.Equal(noon) || !w.held[1].Until.Equal(noon) || w.held[0].By == "" {
		t.Errorf("held: %+v", w.held)
	}
	w.set(noon) // no Expire runs: the decision sees it
	for _, who := range [][]string{{"tls:b"}, both} {
		if w.may(t, who...) {
			t.Errorf("%v may after the end", who)
		}
	}
	if !w.may(t, "tls:a") || !w.may(t, "tls:c") {
		t.Error("bindings without an end have ended")
	}
	if len(w.held) != 0 || w.loads.Load() != 2 {
		t.Errorf("held %+v after %d loads", w.held, w.loads.Load())
	}
}

func TestBindingThatHasEndedIsNotLoadedClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	w := atTime(t, lending, noon.Add(time.Hour))
	if w.may(t, "tls:b") || !w.may(t, "tls:a") {
		t.Error("a binding that has ended holds after a restart")
	}
	m, err := ReadModel(Options{Paths: w.opts.Paths, Now: w.opts.Now})
	if err != nil {
		t.Fatal(err)
	}
	if held := m.Held([]string{"tls:b"}); len(held) > 0 {
		t.Errorf("by the model: %v", held)
	}
	warned := Check(t.Context(), Options{Paths: w.opts.Paths, Now: w.opts.Now})
	if !slices.ContainsFunc(warned, func(p Problem) bool { return p.Key == "bindings.ops.1" && p.Message == "has ended: take it out" }) {
		t.Errorf("policy check does not say so: %v", warned)
	}
}

// TestEndIsToldOnTime: whoever carries requests is told to look at them again when a binding
// ends, nobody having asked.
func TestEndIsToldOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		data := strings.ReplaceAll(lending, "2026-11-27T12:00Z", began.Add(90*time.Minute).UTC().Format(time.RFC3339))
		loads := make(chan time.Time, 8)
		e := New(Options{Paths: []string{policyDir(t, "data.yaml", data)}, OnLoad: func() { loads <- time.Now() }})
		if err := e.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-loads
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.Expire(ctx) }()
		if late := (<-loads).Sub(began) - 90*time.Minute; late != 0 {
			t.Errorf("told %s after the end", late)
		}
		e.Lend(ctx, []grant.Grant{lend(time.Now(), 10*time.Minute)})
		<-loads
		if late := (<-loads).Sub(began) - 100*time.Minute; late != 0 {
			t.Errorf("of a grant: told %s after the end", late)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestClockSetForwardIsNoticed: an end that came by the host's clock is told within a second.
func TestClockSetForwardIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := atTime(t, lending, noon.Add(-time.Hour))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Expire(ctx) }()
		synctest.Wait()
		w.set(noon.Add(24 * time.Hour))
		time.Sleep(lookAtClock)
		synctest.Wait()
		if w.loads.Load() != 2 {
			t.Error("nobody was told")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func lend(from time.Time, length time.Duration) grant.Grant {
	return grant.Grant{ID: "g-1", Role: "ops", To: []string{"tls:lent"}, From: from, Until: from.Add(length), By: "root", Reason: "x"}
}

func TestLent(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	now := noon.Add(-time.Hour)
	w := atTime(t, lending, now)
	w.Lend(t.Context(), []grant.Grant{lend(now, time.Hour)})
	if !w.may(t, "tls:lent") || !w.may(t, "tls:b") || w.may(t, "tls:other") {
		t.Error("lent to somebody else")
	}
	if len(w.held) != 3 || len(w.refused) != 0 {
		t.Errorf("held %v, refused %v", w.held, w.refused)
	}
	m, err := ReadModel(Options{Paths: w.opts.Paths, Now: w.opts.Now, Lent: []grant.Grant{lend(now, time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Holding{{"ops", []string{"tls:lent"}, "grant g-1, until " + now.Add(time.Hour).Format(time.RFC3339)}}
	if held := m.Held([]string{"tls:lent"}); !reflect.DeepEqual(held, want) {
		t.Errorf("by the model it is held by %+v", held)
	}
	if most, err := Lends(w.opts, "ops"); most != time.Hour || err != nil {
		t.Errorf("lent for %s at most, %v", most, err)
	}
	loads := w.loads.Load()
	if w.Lend(t.Context(), []grant.Grant{lend(now, time.Hour)}); w.loads.Load() != loads {
		t.Error("streams are looked at again, and nothing has changed")
	}
	// It outlives another policy, and shorter is shorter.
	write(t, w.opts.Paths[0], "data.yaml", lending+"# another\n")
	was := w.Status().Revision
	if err := w.Load(t.Context()); err != nil || !w.may(t, "tls:lent") {
		t.Error("a new policy forgets what is lent: ", err)
	}
	if w.Status().Revision == was {
		t.Error("the new policy does not decide")
	}
	w.Lend(t.Context(), []grant.Grant{lend(now, time.Minute)})
	if w.set(now.Add(time.Minute)); w.may(t, "tls:lent") {
		t.Error("a grant that was shortened goes on")
	}
	w.Lend(t.Context(), []grant.Grant{lend(now.Add(time.Minute), time.Hour)})
	if !w.may(t, "tls:lent") {
		t.Error("not lent again")
	}
	if w.Lend(t.Context(), nil); w.may(t, "tls:lent") {
		t.Error("a grant that is gone goes on")
	}
}

func TestNotLentClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	now := noon.Add(-time.Hour)
	w := atTime(t, lending, now)
	for name, tc := range map[string]struct {
		change func(*grant.Grant)
		want   string
	}{
		"for too long":         {func(g *grant.Grant) { g.Until = g.Until.Add(time.Hour) }, "role ops is lent for 1h0m0s at most (grant.max), not for 1h30m0s"},
		"a role without grant": {func(g *grant.Grant) { g.Role = "never" }, "role never is not lent"},
		"a built-in role":      {func(g *grant.Grant) { g.Role = "look" }, "role look is not lent"},
		"a role in audit":      {func(g *grant.Grant) { g.Role = "learned" }, "role learned is in mode audit"},
		"admin":                {func(g *grant.Grant) { g.Role = "admin" }, "role admin is never lent"},
		"no role":              {func(g *grant.Grant) { g.Role = "opps" }, "there is no role opps; is it ops?"},
	} {
		t.Run(name, func(t *testing.T) {
			g := lend(now, 30*time.Minute)
			tc.change(&g)
			w.Lend(t.Context(), []grant.Grant{g})
			if w.may(t, "tls:lent") {
				t.Error("it is lent")
			}
			if len(w.refused) != 1 || !strings.HasPrefix(w.refused[0].Why, tc.want) {
				t.Errorf("refused: %v, want %s", w.refused, tc.want)
			}
		})
	}
	t.Run("by a policy of other rules", func(t *testing.T) {
		e := New(Options{Paths: []string{policyDir(t, "authz.rego", module("default allow := false\nallow if input.caller.principals[_] in data.bindings.ops"), "data.yaml", "bindings: {ops: [x]}")}})
		if err := e.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.Lend(t.Context(), []grant.Grant{lend(time.Now(), time.Minute)})
		if e.Decide(t.Context(), ask(t, []string{"tls:lent"}, "GET", "/containers/json", "")).Allow {
			t.Error("it is lent")
		}
		if _, err := Lends(e.opts, "ops"); err == nil {
			t.Error("Lends says yes")
		}
	})
}

// TestLentIsMintedClosed: what is lent to a name is guarded as a binding is.
func TestLentIsMintedClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	now := noon.Add(-time.Hour)
	data := strings.Replace(lending, "roles:\n", "roles:\n  maker: {operations: [ContainerCreate]}\n", 1) + "  maker: [\"tls:maker\"]\n"
	w := atTime(t, data, now)
	create := func() bool {
		return w.Decide(t.Context(), ask(t, []string{"tls:maker"}, "POST", "/containers/create?name=job", `{"Image":"a"}`)).Allow
	}
	if !create() {
		t.Fatal("the maker may make nothing")
	}
	g := lend(now, time.Minute)
	g.To = []string{"container:job"}
	w.Lend(t.Context(), []grant.Grant{g})
	if create() {
		t.Error("who does not hold the role makes the container that it is lent to")
	}
}

// TestEndThatCannotBeMadeClosed: if what has ended cannot be left out, nothing is allowed.
func TestEndThatCannotBeMadeClosed(t *testing.T) {
	t.Parallel()
	w := atTime(t, lending, noon.Add(-time.Second))
	gen := w.current.Load()
	broken := *gen.vetted
	broken.data = map[string]any{"bindings": map[string]any{"ops": []any{"tls:a"}}, "roles": make(chan int)} // is no data
	gen.vetted = &broken
	loads := w.loads.Load()
	w.set(noon)
	if err := w.swap(t.Context(), gen, Status{Revision: "another"}); err == nil || w.Status().Revision == "another" {
		t.Errorf("it is put in force: %v", err)
	}
	for range 2 {
		if d := w.Decide(t.Context(), ask(t, []string{"tls:a"}, "GET", "/containers/json", "")); d.Allow || !d.Failed {
			t.Errorf("got %+v", d)
		}
	}
	if w.Status().LastError == "" || len(w.held) != 0 {
		t.Errorf("status %+v, held %v", w.Status(), w.held)
	}
	if w.loads.Load() == loads {
		t.Error("what is open is not looked at again")
	}
}

func TestParseUntil(t *testing.T) {
	for s, want := range map[string]time.Time{
		"2026-11-27T12:00Z": noon, "2026-11-27T12:00:00Z": noon, "2026-11-27T13:00+01:00": noon, "2026-11-27T12:00:00.0Z": noon,
	} {
		if got, err := parseUntil(s); err != nil || !got.Equal(want) {
			t.Errorf("%s: %s %v", s, got, err)
		}
	}
	for _, s := range []string{"9999-12-31T23:59Z", "9999-01-01T00:00Z", "9998-12-31T23:59-23:00", "", "tomorrow", "2026-11-27 12:00", "2026-11-27T12:00", "12:00Z"} {
		if got, err := parseUntil(s); err == nil {
			t.Errorf("%q is %s", s, got)
		}
	}
}

// TestEndThatIsNoneClosed: a binding whose end cannot be read has ended.
func TestEndThatIsNoneClosed(t *testing.T) {
	data := map[string]any{"bindings": map[string]any{"r": []any{map[string]any{"principal": "tls:x"}}}}
	v := &vetted{data: data, terms: takeEnds(data, nil), builtin: true}
	if m := v.momentAt(noon, nil); len(m.held) != 0 {
		t.Errorf("held: %v", m.held)
	}
	if left := v.dataIn(v.momentAt(noon, nil))["bindings"].(map[string]any)["r"].([]any); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestEpochClosed: whatever is put in force, or out of it, has another number, and none when it has ended.
func TestEpochClosed(t *testing.T) {
	t.Parallel()
	now := noon.Add(-time.Hour)
	w := atTime(t, lending, now)
	if n := New(Options{}).Epoch(); n != 0 {
		t.Errorf("%d, and there is no policy", n)
	}
	seen := map[uint64]string{0: "none"}
	fresh := func(what string) {
		t.Helper()
		n := w.Epoch()
		if before, has := seen[n]; has {
			t.Errorf("%s: %d, as %s", what, n, before)
		}
		if seen[n] = what; w.Epoch() != n {
			t.Errorf("%s: not the same at two looks", what)
		}
	}
	fresh("loaded")
	w.Lend(t.Context(), []grant.Grant{lend(now, time.Minute)})
	fresh("lent")
	w.set(now.Add(time.Minute - 1))
	if w.may(t, "tls:other"); w.Epoch() == 0 {
		t.Error("none before the end")
	}
	if w.set(now.Add(time.Minute)); w.Epoch() != 0 {
		t.Error("the same when the grant has ended")
	}
	w.may(t, "tls:lent")
	fresh("ended")
	write(t, w.opts.Paths[0], "data.yaml", lending+"# another\n")
	if err := w.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	fresh("another policy")
	w.put(nil)
	if n := w.Epoch(); n != 0 {
		t.Errorf("%d of no policy", n)
	}
}
