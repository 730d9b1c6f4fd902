package decide_test

import (
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

// TestClosedVolumeIsWhatWasJudged: while a request of who sees only some objects is about a volume, and until it is answered, no other one
// is judged by what the name means now.
func TestClosedVolumeIsWhatWasJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{labels: blueOnly}
		w := &world{}
		w.decide = func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Where: blueOnly} }
		o := w.options()
		o.Objects = s
		steps := decide.New(o)
		ask := func(method, uri, body string) *decide.Verdict {
			req := &operation.Request{Method: method, URI: uri, Proto: "HTTP/1.1", Header: http.Header{}}
			if body != "" {
				req.Header.Set("Content-Type", "application/json")
				req.ContentLength, req.ReadBody = int64(len(body)), func() ([]byte, error) { return []byte(body), nil }
			}
			return steps.Authorize(t.Context(), identity.NewLocal(), req)
		}
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
