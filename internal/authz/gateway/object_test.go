package gateway

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
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

// TestClosedTheDaemonKnowsASessionByAnotherName than its client does, and the build that names it by the same, under a ticket for that.
func TestClosedTheDaemonKnowsASessionByAnotherName(t *testing.T) {
	got := make(chan string, 2)
	g := startHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("X-Docker-Expose-Session-Uuid") + r.URL.Query().Get("session")
	})
	uid := uint32(1000)
	g.set(func() { g.decision, g.caller.UID = policy.Decision{Allow: true}, &uid })
	if status, body := g.do("POST", "/build?session=one", "", ""); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	c := g.dial()
	_, _ = io.WriteString(c, "POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nX-Docker-Expose-Session-Uuid: one\r\n\r\n")
	if head := readHead(t, bufio.NewReader(c)); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Fatal(head)
	}
	if built, opened := <-got, <-got; built != opened || built == "one" || built == "" {
		t.Errorf("the daemon was told to build in %q, and of session %q", built, opened)
	}
	for _, r := range g.recorded(2) {
		if len(r.Changed) != 1 || r.Changed[0].What != "session" {
			t.Errorf("%s: recorded as %+v", r.Operation, r.Changed)
		}
	}
}
