package decide_test

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// shelf has one volume, whose labels change.
type shelf struct {
	tenancy
	mu     sync.Mutex
	labels map[string]string
}

func (s *shelf) set(labels map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.labels = labels
}

func (s *shelf) Objects(ctx context.Context, op *operation.Operation) []object.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return tenancy{labels: map[string]map[string]string{"data": s.labels, "x": blueOnly, "mine": blueOnly}}.Objects(ctx, op)
}

// asks gives what asks steps on a connection.
func asks(t *testing.T, steps *decide.Steps, c *identity.Connection) func(method, uri, body string) *decide.Verdict {
	return func(method, uri, body string) *decide.Verdict {
		req := &operation.Request{Method: method, URI: uri, Proto: "HTTP/1.1", Header: http.Header{}}
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
			req.ContentLength, req.ReadBody = int64(len(body)), func() ([]byte, error) { return []byte(body), nil }
		}
		return steps.Authorize(t.Context(), c, req)
	}
}

// TestClosedVolumeIsWhatWasJudged: while a request of who sees only some objects is about a volume, and until it is answered, no other one
// is judged by what the name means now.
func TestClosedVolumeIsWhatWasJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{labels: blueOnly}
		w := &world{}
		w.decide = func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Where: blueOnly} }
		o := w.options()
		o.Objects = s
		ask := asks(t, decide.New(o), identity.NewLocal())
		const mounts = `{"Image":"x","HostConfig":{"Binds":["data:/x","other:/y"]}}`
		for _, second := range [][3]string{
			{"POST", "/containers/create", mounts}, {"DELETE", "/volumes/data", ""}, {"GET", "/volumes/data", ""}, {"POST", "/volumes/create", `{"Name":"data"}`},
		} {
			s.set(blueOnly)
			first := ask("POST", "/containers/create", mounts)
			if !first.Allow || !first.Counted() {
				t.Fatal(first.Message)
			}
			if late := ask(second[0], second[1], second[2]); late.Allow || late.Status != http.StatusServiceUnavailable || late.Code != "busy" {
				t.Errorf("%s %s beside it: %v %s", second[0], second[1], late.Allow, late.Message)
			} else {
				late.Finish(late.Status, false)
			}
			if v := ask("DELETE", "/volumes/another", ""); v.Status == http.StatusServiceUnavailable {
				t.Errorf("another volume: %s", v.Message)
			} else {
				v.Finish(http.StatusNoContent, false)
			}
			done := make(chan *decide.Verdict)
			go func() { done <- ask(second[0], second[1], second[2]) }()
			synctest.Wait() // it waits for the name
			s.set(map[string]string{"team": "red"})
			first.Finish(http.StatusCreated, false)
			if v := <-done; v.Allow && !v.View.Nothing {
				t.Errorf("%s %s is judged by what the volume was", second[0], second[1])
			} else {
				v.Finish(http.StatusNotFound, false)
			}
		}

		// What was broken off may still be done.
		s.set(blueOnly)
		ask("DELETE", "/volumes/data", "").Finish(0, false)
		if v := ask("GET", "/volumes/data", ""); v.Allow {
			t.Error("a removal that was broken off is over")
		} else {
			v.Finish(v.Status, false)
		}
		time.Sleep(time.Minute)
		for range 2 { // of what only reads it is over at once
			v := ask("GET", "/volumes/data", "")
			if !v.Allow || !strings.Contains(v.Carried().Path, "data") {
				t.Error(v.Message)
			}
			v.Finish(0, false)
		}
	})
}

// TestClosedVolumeIsReadAgain: what a policy has read of it before the name was free is not what is judged.
func TestClosedVolumeIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{labels: blueOnly}
		w := &world{decide: func(in *policy.Input) policy.Decision {
			in.Objects()
			return policy.Decision{Allow: true, Where: blueOnly}
		}}
		o := w.options()
		o.Objects, o.Policy = s, looking{w}
		ask := asks(t, decide.New(o), identity.NewLocal())
		first := ask("DELETE", "/volumes/data", "")
		if !first.Allow {
			t.Fatal(first.Message)
		}
		done := make(chan *decide.Verdict)
		go func() { done <- ask("GET", "/volumes/data", "") }()
		synctest.Wait() // it waits for the name
		s.set(map[string]string{"team": "red"})
		first.Finish(http.StatusNoContent, false)
		if v := <-done; !v.Allow || !v.View.Nothing {
			t.Errorf("%v %s: it is judged by what the volume was", v.Allow, v.Message)
		}
	})
}

// TestWaitingForAVolume holds up nothing else: no other volume, and no other request of the same caller.
func TestWaitingForAVolume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{decide: func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Where: blueOnly} }}
		o := w.options()
		o.Objects = &shelf{labels: blueOnly}
		steps := decide.New(o)
		first := asks(t, steps, of("first"))("DELETE", "/volumes/data", "")
		if !first.Allow {
			t.Fatal(first.Message)
		}
		ask := asks(t, steps, of("second"))
		from := time.Now()
		done := make(chan *decide.Verdict)
		go func() {
			done <- ask("POST", "/containers/create", `{"Image":"x","HostConfig":{"Binds":["another:/x","data:/y"]}}`)
		}()
		synctest.Wait()
		if v := ask("GET", "/_ping", ""); time.Since(from) > 0 {
			t.Errorf("a ping waits %s beside it", time.Since(from))
		} else {
			v.Finish(http.StatusOK, false)
		}
		v := <-done
		if v.Finish(v.Status, false); v.Code != "busy" {
			t.Errorf("%v %s", v.Allow, v.Message)
		}
		from = time.Now()
		v = ask("DELETE", "/volumes/another", "")
		if v.Code == "busy" || time.Since(from) > 0 {
			t.Errorf("what was taken before it is not given back: %s", v.Message)
		}
		v.Finish(http.StatusNotFound, false)
		first.Finish(http.StatusNoContent, false)
	})
}

// TestClosedNameIsNotFreedWhileAllAreRemoved: the daemon looks once for all volumes of a view, and then removes them one by one by their names. Nobody else is to
// have one of these meanwhile, so none of them is removed alone, by whatever view it is seen; and the same the other way round.
func TestClosedNameIsNotFreedWhileAllAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{labels: map[string]string{"team": "blue", "app": "web"}}
		where := blueOnly
		w := &world{decide: func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Where: where} }}
		o := w.options()
		o.Objects = s
		ask := asks(t, decide.New(o), identity.NewLocal())
		as := func(labels map[string]string, method, uri string) *decide.Verdict {
			where = labels
			return ask(method, uri, "")
		}
		red, web := map[string]string{"team": "red"}, map[string]string{"app": "web"}
		for _, tc := range []struct {
			all, one map[string]string // by which views
			volume   string
			crosses  bool
		}{
			{blueOnly, blueOnly, "mine", true},
			{blueOnly, blueOnly, "data", true},
			{blueOnly, web, "data", true},
			{web, blueOnly, "data", true},
			{web, blueOnly, "mine", false},
			{red, blueOnly, "mine", false},
			{map[string]string{"nothing": ""}, blueOnly, "mine", false},
		} {
			for _, allFirst := range []bool{true, false} {
				all := func() *decide.Verdict { return as(tc.all, "POST", "/volumes/prune") }
				one := func() *decide.Verdict { return as(tc.one, "DELETE", "/volumes/"+tc.volume) }
				if !allFirst {
					all, one = one, all
				}
				first := all()
				if !first.Allow {
					t.Fatal(first.Message)
				}
				second := one()
				if second.Finish(cmp.Or(second.Status, http.StatusOK), false); second.Allow == tc.crosses || tc.crosses && (second.Status != http.StatusServiceUnavailable || second.Code != "busy") {
					t.Errorf("%+v, all first: %v: %v %s", tc, allFirst, second.Allow, second.Message)
				}
				done := make(chan *decide.Verdict)
				go func() { done <- one() }()
				synctest.Wait()
				first.Finish(http.StatusOK, false)
				if v := <-done; !v.Allow {
					t.Errorf("%+v, all first: %v: after it: %s", tc, allFirst, v.Message)
				} else {
					v.Finish(http.StatusOK, false)
				}
			}
		}
		// Two of one volume each do not wait for each other, nor two of all, and nothing else waits for these.
		for _, both := range [][2][2]string{
			{{"DELETE", "/volumes/mine"}, {"DELETE", "/volumes/data"}},
			{{"POST", "/volumes/prune"}, {"POST", "/volumes/prune"}},
			{{"POST", "/volumes/prune"}, {"GET", "/volumes/mine"}},
		} {
			first, second := as(blueOnly, both[0][0], both[0][1]), as(blueOnly, both[1][0], both[1][1])
			if !first.Allow || !second.Allow {
				t.Errorf("%q: %s, %s", both, first.Message, second.Message)
			}
			first.Finish(http.StatusOK, false)
			second.Finish(http.StatusOK, false)
		}
	})
}

// TestAllAreRemovedOnce by a request that is decided once more meanwhile: when it is answered it is over.
func TestAllAreRemovedOnce(t *testing.T) {
	w := &world{decide: func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Where: blueOnly} }}
	o := w.options()
	o.Objects = &shelf{labels: blueOnly}
	steps := decide.New(o)
	ask := asks(t, steps, identity.NewLocal())
	v := ask("POST", "/volumes/prune", "")
	if err := steps.StillAllowed(t.Context(), identity.NewLocal(), v); err != nil {
		t.Error(err)
	}
	v.Finish(http.StatusOK, false)
	if v = ask("DELETE", "/volumes/mine", ""); !v.Allow {
		t.Error(v.Message)
	}
	v.Finish(http.StatusNoContent, false)
}

// TestVolumeIsHeldOnce by a request that is decided more than once: as its policy has labels for it, and as the policy changes.
func TestVolumeIsHeldOnce(t *testing.T) {
	y := newYard(0)
	y.labels = map[string]map[string]string{"x": {}, "data": ofCI, "mine": ofCI}
	w, o := ciWorld(three, y)
	w.containers = map[string][]string{"mine": {"container:mine", "container-id:" + idOf("mine")}}
	steps := decide.New(o)
	ask := asks(t, steps, identity.NewLocal())
	for range 3 {
		v := ask("POST", "/containers/create", `{"Image":"x","HostConfig":{"Binds":["data:/x"],"VolumesFrom":["mine"]}}`)
		if !v.Allow {
			t.Fatal(v.Message)
		}
		if err := steps.StillAllowed(t.Context(), identity.NewLocal(), v); err != nil {
			t.Error(err)
		}
		v.Finish(http.StatusCreated, false) // and that it counts, and holds the volume, is over
	}
	y.has = 2
	for range 2 {
		v := ask("POST", "/containers/create", `{"Image":"x","HostConfig":{"Binds":["data:/x"]}}`)
		if !v.Allow || !v.Counted() {
			t.Fatal(v.Message)
		}
		v.Finish(http.StatusCreated, false)
	}
}
