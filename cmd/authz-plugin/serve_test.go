package main

import (
	"testing"

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
