package decide_test

import (
	"slices"
	"testing"

	"vitrine/internal/authz/policy"
	"vitrine/internal/engine/operation"
)

// TestDefaultsOfTheEngineClosed: what is its default is no hazard, unless that is not
// known.
func TestDefaultsOfTheEngineClosed(t *testing.T) {
	for name, c := range map[string]struct {
		engine func() *operation.Engine
		hazard bool
	}{
		"its default":     {func() *operation.Engine { return &operation.Engine{Runtime: "runc"} }, false},
		"not its default": {func() *operation.Engine { return &operation.Engine{Runtime: "runsc"} }, true},
		"not known yet":   {func() *operation.Engine { return nil }, true},
		"never known":     {nil, true},
	} {
		w := &world{decision: policy.Decision{Allow: true}}
		o := w.options()
		o.Engine = c.engine
		w.ask(t, o, "POST", "/containers/create", `{"HostConfig":{"Runtime":"runc"}}`)
		if slices.Contains(w.input.Operation.Hazards, operation.HazardRuntime) != c.hazard {
			t.Errorf("%s: %v", name, w.input.Operation.Hazards)
		}
	}
}
