package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/policy"
)

// TestHealthWithoutPolicyClosed: what denies everybody is not healthy, while the
// first policy is being loaded too.
func TestHealthWithoutPolicyClosed(t *testing.T) {
	p := parts{engine: policy.New(policy.Options{BuiltinIfAbsent: true})}
	check := p.checks()[0]
	if err := check.Run(); check.Name != "policy" || err == nil {
		t.Errorf("%s is healthy before a policy is loaded", check.Name)
	}
	if err := p.engine.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := check.Run(); err != nil {
		t.Errorf("not healthy with a policy: %v", err)
	}
}

// TestDoorsOpenAfterTheFirstPolicy, however long it takes to load, within reason: who comes before is not refused for it.
func TestDoorsOpenAfterTheFirstPolicy(t *testing.T) {
	for name, tt := range map[string]struct{ loaded, opened time.Duration }{
		"at once":   {0, 0},
		"after 5 s": {5 * time.Second, 5 * time.Second},
		"never":     {time.Hour, firstPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := parts{engine: policy.New(policy.Options{})}
				began, opened := time.Now(), time.Duration(-1)
				go func() {
					_ = p.afterFirst(func(context.Context) error { opened = time.Since(began); return nil })(t.Context())
				}()
				time.Sleep(tt.loaded)
				if err := p.engine.Load(t.Context()); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if opened != tt.opened {
					t.Errorf("opened after %s, want %s", opened, tt.opened)
				}
			})
		})
	}
}
