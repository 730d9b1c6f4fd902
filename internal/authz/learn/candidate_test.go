package learn_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

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

// TestCandidateHoldsNobodyUpClosed: one that cannot keep up skips, and one that is not loaded is not asked.
func TestCandidateHoldsNobodyUpClosed(t *testing.T) {
	e, _ := engine(t, base())
	revision := ""
	c := learn.NewCandidate(e, func() policy.Status { return policy.Status{Revision: revision} })
	store := record.New(record.Options{Told: c.Tell}) // nobody runs c
	ask(t, e, store, decide.Enforce, asked{"container:traefik", "GET", "/_ping", ""})
	revision = "r1"
	for i := range 300 {
		if v := ask(t, e, store, decide.Enforce, asked{"container:traefik", "GET", "/containers/" + strings.Repeat("x", i+1) + "/json", ""}); v.Answer != record.Allow {
			t.Fatalf("%v", v)
		}
	}
	if differs, skipped := c.Counts(); len(differs) > 0 || skipped != 300-256 {
		t.Errorf("%v, %d skipped", differs, skipped)
	}
}
