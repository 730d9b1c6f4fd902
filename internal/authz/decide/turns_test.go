package decide_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

func of(account string) *identity.Connection {
	c := identity.NewLocal()
	c.Account = account
	return c
}

func ping() *operation.Request {
	return &operation.Request{Method: "GET", URI: "/_ping", Header: http.Header{}}
}

// slow decides in a second.
type slow struct{}

func (slow) Decide(context.Context, *policy.Input) policy.Decision {
	time.Sleep(time.Second)
	return policy.Decision{Allow: true}
}

// One caller's requests, each a second's work, wait for each other; nobody else
// waits for them.
func TestManyRequestsOfOneCallerKeepNobodyWaitingClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := decide.New(decide.Options{Identifier: &world{}, Policy: slow{}, Record: func(audit.Record) {}})
		var all sync.WaitGroup
		var busy atomic.Int64
		for range 600 {
			all.Go(func() {
				v := steps.Authorize(t.Context(), of("loud"), ping())
				if v.Code == "busy" && v.Status == http.StatusServiceUnavailable {
					busy.Add(1)
				}
				v.Finish(v.Status, false)
			})
		}
		synctest.Wait()
		for _, account := range []string{"quiet", "", "another"} {
			from := time.Now()
			v := steps.Authorize(t.Context(), of(account), ping())
			v.Finish(0, false)
			if took := time.Since(from); !v.Allow || took != time.Second {
				t.Errorf("%q: allow = %v after %s", account, v.Allow, took)
			}
		}
		all.Wait()
		if n := busy.Load(); n < 400 {
			t.Errorf("%d of 600 were refused: the others cannot have been decided in the time that they may wait", n)
		}
	})
}

// However a request ends, its turn comes back; it is not held while the client
// sends its body.
func TestTurnsComeBackClosed(t *testing.T) {
	body := `{"Image":"a"}`
	send := func(read func() ([]byte, error)) *operation.Request {
		return &operation.Request{
			Method: "POST", URI: "/containers/create", Header: http.Header{"Content-Type": {"application/json"}},
			ContentLength: int64(len(body)), ReadBody: read,
		}
	}
	finish := func(v *decide.Verdict) { v.Finish(0, false) }
	for name, tc := range map[string]struct {
		world world
		req   *operation.Request
		after func(*decide.Verdict)
	}{
		"denied, before it is answered":  {world{}, ping(), func(*decide.Verdict) {}},
		"refused by the parser":          {world{}, &operation.Request{Method: "GET", URI: "/.."}, func(*decide.Verdict) {}},
		"a panic":                        {world{boom: errors.New("boom")}, ping(), func(*decide.Verdict) {}},
		"allowed":                        {world{decision: policy.Decision{Allow: true}}, ping(), finish},
		"allowed, while it is carried":   {world{decision: policy.Decision{Allow: true}}, ping(), (*decide.Verdict).Release},
		"handed over":                    {world{decision: policy.Decision{Allow: true}}, ping(), func(v *decide.Verdict) { v.HandOver(); finish(v) }},
		"denied by the door":             {world{decision: policy.Decision{Allow: true}}, ping(), func(v *decide.Verdict) { v.Deny(403, "x", "y"); finish(v) }},
		"a body that breaks off":         {world{}, send(func() ([]byte, error) { return nil, errors.New("gone") }), func(*decide.Verdict) {}},
		"a body that panics":             {world{}, send(func() ([]byte, error) { panic("boom") }), func(*decide.Verdict) {}},
		"a body that never comes, still": {world{}, send(func() ([]byte, error) { time.Sleep(time.Hour); return nil, nil }), nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := tc.world.options()
				o.Record = func(audit.Record) {}
				steps := decide.New(o)
				for range 64 {
					if tc.after == nil {
						go steps.Authorize(t.Context(), of("a"), tc.req)
						synctest.Wait()
					} else {
						tc.after(steps.Authorize(t.Context(), of("a"), tc.req))
					}
				}
				from := time.Now()
				if v := steps.Authorize(t.Context(), of("a"), ping()); v.Code == "busy" || time.Since(from) != 0 {
					t.Errorf("the next one: code %q after %s", v.Code, time.Since(from))
				}
				time.Sleep(2 * time.Hour) // all end
			})
		})
	}
}

// What waits for its turn is not what the decision took.
func TestWaitingIsNotTheDecisionsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := make(chan audit.Record, 4)
		steps := decide.New(decide.Options{Identifier: &world{}, Policy: slow{}, Record: func(r audit.Record) { records <- r }})
		steps.Authorize(t.Context(), of("other"), ping()).Finish(0, false)
		for range 3 {
			go func() { steps.Authorize(t.Context(), of("a"), ping()).Finish(0, false) }()
		}
		for range 4 {
			if r := <-records; !r.Allow || r.Duration != time.Second {
				t.Errorf("allow = %v, it took %s", r.Allow, r.Duration)
			}
		}
	})
}
