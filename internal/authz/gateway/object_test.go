package gateway

import (
	"context"
	"net/http"
	"testing"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/view"
	"vitrine/internal/engine/operation"
)

// byObjects is a policy that allows containers by what they are.
type byObjects struct{ view.Engine }

func (byObjects) ReadsObjects() bool { return true }

func (byObjects) Decide(_ context.Context, in *policy.Input) policy.Decision {
	list := in.Objects()
	return policy.Decision{Allow: len(list) == 1 && list[0].ID == containerID}
}

func (byObjects) ExecWaits(context.Context, string) (bool, error) { return false, nil }

func (byObjects) ImageConfig(context.Context, string, string) (operation.ImageConfig, error) {
	return operation.ImageConfig{}, nil
}

func (byObjects) Owned(context.Context, operation.Kind, string) ([]string, error) { return nil, nil }

func (byObjects) HostNetworks(context.Context, *operation.Operation) ([]string, error) {
	return nil, nil
}

func (byObjects) Objects(_ context.Context, op *operation.Operation) []object.Object {
	known, o := true, object.Object{Role: operation.RoleTarget, Kind: operation.KindContainer, Ref: op.Target}
	if op.Target == "web" {
		o.Known, o.ID = &known, containerID
	}
	return []object.Object{o}
}

// TestClosedTheDaemonIsGivenTheIDThatWasJudged, under a ticket for that.
func TestClosedTheDaemonIsGivenTheIDThatWasJudged(t *testing.T) {
	got := make(chan string, 1)
	g := startHTTP(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.RequestURI }, func(cfg *Config) {
		steps := decide.New(decide.Options{Identifier: cfg.Authorizer.(*decide.Steps).Identifier, Policy: byObjects{}, Objects: byObjects{}, Record: cfg.Authorizer.(*decide.Steps).Record})
		cfg.Authorizer, cfg.StillAllowed = steps, steps.StillAllowed
	})
	if status, body := g.do("POST", "/v1.41/containers/web/stop?t=3", "", ""); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if uri := <-got; uri != "/v1.41/containers/"+containerID+"/stop?t=3" {
		t.Errorf("the daemon was given %s", uri)
	}
	if status, body := g.do("POST", "/v1.41/containers/other/stop", "", ""); status != http.StatusForbidden {
		t.Errorf("%d %s", status, body)
	}
}
