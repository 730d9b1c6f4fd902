package policy

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/open-policy-agent/opa/v1/topdown"

	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// What the first look reads is few: a caller cannot make it new by what it sends.
func TestFirstLookIsRemembered(t *testing.T) {
	t.Parallel()
	e := loaded(t, Options{})
	g := e.current.Load()
	if got := summarize(g.first.reads); got != "caller.principals operation.id operation.resource operation.access operation.own_exec" {
		t.Errorf("the first look reads %s", got)
	}
	evaluated := 0
	look := g.first.evaluate
	g.first.evaluate = func(ctx context.Context, input *given, cancel topdown.Cancel) (Decision, error) {
		evaluated++
		return look(ctx, input, cancel)
	}
	for i := range 100 {
		in := &Input{
			Caller: &identity.Identity{Kind: identity.Container, Principals: []string{"container:nobody"}},
			Operation: &operation.Operation{
				ID: "ContainerCreate", Resource: "containers", Access: operation.Write, Target: fmt.Sprint(i),
				Mints: []string{fmt.Sprint("container:", i)}, HostPath: []string{fmt.Sprint("/", i)}, BodyState: operation.BodyJSON,
			},
		}
		if d := e.Decide(t.Context(), in); d.Allow || d.Failed || !slices.Equal(d.Reasons, []string{"no role is bound to the caller"}) || d.Revision != g.revision {
			t.Fatalf("%+v", d)
		}
	}
	if evaluated != 1 {
		t.Errorf("%d evaluations for 100 requests of a kind", evaluated)
	}
}

// Another policy may have a rule of that name: it is not asked, and what cannot be
// told at first look is told by the whole policy.
func TestFirstLookIsTheBuiltInPolicysAloneClosed(t *testing.T) {
	t.Parallel()
	e := loaded(t, Options{Paths: []string{policyDir(t, "authz.rego", module(`default allow := false
allow if input.operation.id == "ContainerList"
refused contains "no"`))}})
	in := &Input{Operation: &operation.Operation{ID: "ContainerList"}}
	if d := e.Decide(t.Context(), in); !d.Allow {
		t.Errorf("%+v", d)
	}
	e = loaded(t, Options{})
	g := e.current.Load()
	g.first.evaluate = func(context.Context, *given, topdown.Cancel) (Decision, error) { panic("boom") }
	in.Caller = &identity.Identity{Kind: identity.Container, Principals: []string{"container:nobody"}}
	if d := e.Decide(t.Context(), in); d.Allow || d.Failed || len(d.Reasons) != 1 {
		t.Errorf("%+v", d)
	}
}

// TestBuiltInPolicyReads: what is remembered of it hangs on no more than this.
func TestBuiltInPolicyReads(t *testing.T) {
	t.Parallel()
	if got := summarize(builtin().current.Load().reads); got != "caller.principals caller.container/mounts operation.id operation.resource operation.access operation.hazards operation.hazard_fields operation.host_paths operation.unresolved operation.substituted operation.replaced operation.mints operation.enters operation.own_exec operation.unknown request.body_state" {
		t.Errorf("it reads %s", got)
	}
}
