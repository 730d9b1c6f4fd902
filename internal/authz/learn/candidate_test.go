package learn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"weak"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/learn"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
)

// TestCandidateCountsWhatDiffers, and decides each shape once; a new revision begins again.
func TestCandidateCountsWhatDiffers(t *testing.T) {
	was, _ := engine(t, base())
	data := base()
	data["bindings"].(tree)["see"] = []any{"container:traefik"}
	data["roles"].(tree)["see"].(tree)["redact"] = tree{"*": []any{"env"}}
	data["roles"].(tree)["ci"].(tree)["except"] = []any{}
	is, _ := engine(t, data)
	synctest.Test(t, func(t *testing.T) {
		revision := "r1"
		c := learn.NewCandidate(is, func() policy.Status { return policy.Status{Revision: revision} })
		store := record.New(record.Options{Told: c.Tell})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _ = c.Run(ctx); close(done) }()
		for range 3 {
			for _, a := range []asked{
				{"container:prometheus", "GET", "/containers/json", ""},                         // denied now
				{"unix:ci", "POST", "/containers/prune", ""},                                    // allowed now
				{"container:traefik", "GET", "/containers/web/json", ""},                        // blanked otherwise
				{"unix:ci", "POST", "/containers/create", `{"HostConfig":{"Privileged":true}}`}, // as before
				{"container:traefik", "GET", "/_ping", ""},                                      // as before
			} {
				if v := ask(t, was, store, decide.Enforce, a); v.Answer == record.WouldDeny {
					t.Errorf("%v", v)
				}
			}
			synctest.Wait()
		}
		differs, skipped := c.Counts()
		if differs["allow-deny"] != 3 || differs["deny-allow"] != 3 || differs["answer"] != 3 || len(differs) != 3 || skipped > 0 {
			t.Errorf("%v, %d skipped", differs, skipped)
		}
		var said struct {
			Shapes      int
			Differences []learn.Difference
		}
		var b strings.Builder
		_, _ = c.WriteTo(&b)
		if err := json.Unmarshal([]byte(b.String()), &said); err != nil || said.Shapes != 5 || len(said.Differences) != 3 || said.Differences[0].Requests != 3 {
			t.Errorf("%v %s", err, &b)
		}
		revision = "r2"
		ask(t, was, store, decide.Enforce, asked{"container:traefik", "GET", "/_ping", ""})
		synctest.Wait()
		b.Reset()
		if _, _ = c.WriteTo(&b); !strings.Contains(b.String(), `"shapes": 1,`) || !strings.Contains(b.String(), `"differences": []`) {
			t.Errorf("%s", &b)
		}
		cancel()
		<-done
	})
}

// TestOneCallerDoesNotFillTheCandidateClosed: whoever sends more than there is time for, another's request is compared, and among the first.
func TestOneCallerDoesNotFillTheCandidateClosed(t *testing.T) {
	was, _ := engine(t, base())
	data := base()
	data["bindings"].(tree)["see"] = []any{"container:traefik"}
	is, _ := engine(t, data)
	synctest.Test(t, func(t *testing.T) {
		c := learn.NewCandidate(is, func() policy.Status { return policy.Status{Revision: "r1"} })
		store := record.New(record.Options{Told: c.Tell})
		for i := range 300 {
			ask(t, was, store, decide.Enforce, asked{"container:traefik", "GET", []string{"/containers/", "/images/"}[i%2] + strings.Repeat("x", i+1) + "/json", ""})
		}
		ask(t, was, store, decide.Enforce, asked{"container:prometheus", "GET", "/containers/json", ""})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _ = c.Run(ctx); close(done) }()
		synctest.Wait()
		if differs, skipped := c.Counts(); differs["allow-deny"] != 1 || len(differs) != 1 || skipped != 301-256 {
			t.Errorf("%v, %d skipped", differs, skipped)
		}
		cancel()
		<-done
	})
}

// TestCandidateHoldsNobodyUpClosed: one that cannot keep up skips, and one that is not loaded is not asked.
func TestCandidateHoldsNobodyUpClosed(t *testing.T) {
	e, _ := engine(t, base())
	revision := ""
	c := learn.NewCandidate(e, func() policy.Status { return policy.Status{Revision: revision} })
	store := record.New(record.Options{Told: c.Tell}) // nobody runs c
	ask(t, e, store, decide.Enforce, asked{"container:traefik", "GET", "/_ping", ""})
	revision = "r1"
	for i := range 300 {
		if v := ask(t, e, store, decide.Enforce, asked{"container:traefik", "GET", []string{"/containers/", "/images/"}[i%2] + strings.Repeat("x", i+1) + "/json", ""}); v.Answer != record.Allow {
			t.Fatalf("%v", v)
		}
	}
	if differs, skipped := c.Counts(); len(differs) > 0 || skipped != 300-256 {
		t.Errorf("%v, %d skipped", differs, skipped)
	}
}

// TestCandidateHoldsNoShapeThatWasPutOutClosed: the record's bound is one of memory.
func TestCandidateHoldsNoShapeThatWasPutOutClosed(t *testing.T) {
	e, _ := engine(t, base())
	synctest.Test(t, func(t *testing.T) {
		c := learn.NewCandidate(e, func() policy.Status { return policy.Status{Revision: "r1"} })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _ = c.Run(ctx); close(done) }()
		var all []weak.Pointer[record.Kept]
		store := record.New(record.Options{Limit: 128 << 10, Told: func(k *record.Kept) { all = append(all, weak.Make(k)); c.Tell(k) }})
		for i := range 100 {
			ask(t, e, store, decide.Enforce, asked{"container:traefik", "GET", fmt.Sprintf("/containers/%d%s/json", i, strings.Repeat("x", 8<<10)), ""})
			synctest.Wait()
		}
		ask(t, e, store, decide.Enforce, asked{"container:traefik", "GET", "/_ping", ""})
		synctest.Wait()
		runtime.GC()
		held := 0
		for _, p := range all {
			if p.Value() != nil {
				held++
			}
		}
		if held > store.Size()+1 /* in Run's hand */ || len(all) != 101 {
			t.Errorf("%d of %d are held, and %d in the record", held, len(all), store.Size())
		}
		runtime.KeepAlive(store)
		cancel()
		<-done
		runtime.KeepAlive(c)
	})
}

// TestCandidateBoundsWhatWaitsClosed in bytes.
func TestCandidateBoundsWhatWaitsClosed(t *testing.T) {
	e, _ := engine(t, base())
	c := learn.NewCandidate(e, func() policy.Status { return policy.Status{Revision: "r1"} })
	store := record.New(record.Options{Limit: 64 << 20, Told: c.Tell}) // nobody runs c
	for i := range 200 {
		ask(t, e, store, decide.Enforce, asked{"container:traefik", "GET", fmt.Sprintf("/containers/%d%s/json", i, strings.Repeat("x", 30<<10)), ""})
	}
	if _, skipped := c.Counts(); skipped == 0 || skipped > 150 {
		t.Errorf("%d of 200 skipped", skipped)
	}
}
