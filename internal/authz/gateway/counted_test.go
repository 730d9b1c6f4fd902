package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/engine/operation"
	"vitrine/test/wait"
)

// oneEach is a policy by which each may have one container.
type oneEach struct{ byObjects }

func (oneEach) Decide(_ context.Context, in *policy.Input) policy.Decision {
	return policy.Decision{Allow: true, Stamp: map[string]string{operation.OwnerLabel: "me"}, Ceilings: operation.Ceilings{Containers: 1}}
}

// TestClosedCreateCountsUntilTheDaemonHasAnswered: whoever leaves a create behind has it made all the same, and has no other meanwhile; and no
// longer.
func TestClosedCreateCountsUntilTheDaemonHasAnswered(t *testing.T) {
	t.Parallel()
	asked, answer, broken := make(chan struct{}, 2), make(chan struct{}), make(chan struct{}, 1)
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-answer:
		case <-r.Context().Done():
			broken <- struct{}{}
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"Id":"x"}`)
	}, func(cfg *Config) {
		steps := decide.New(decide.Options{Identifier: cfg.Authorizer.(*decide.Steps).Identifier, Policy: oneEach{}, Objects: byObjects{}, Record: cfg.Authorizer.(*decide.Steps).Record})
		cfg.Authorizer, cfg.StillAllowed = steps, steps.StillAllowed
	})
	life := &hooked{Context: g.srv.life}
	g.srv.life = life
	const body = `{"Image":"x"}`
	c, err := net.Dial("unix", g.sock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n"+body); err != nil {
		t.Fatal(err)
	}
	<-asked
	_ = c.Close()
	select {
	case <-broken:
		t.Error("the daemon's request ends with its client")
	case <-time.After(4 * leftEvery): // it has been seen by now that nobody listens
	}
	if status, text := g.do("POST", "/containers/create", "application/json", body); status != http.StatusForbidden || !strings.Contains(text, "[ceiling]") {
		t.Errorf("one more: %d %s", status, text)
	}
	close(answer)
	wait.Until(t, "the next one", func() bool {
		status, _ := g.do("POST", "/containers/create", "application/json", body)
		return status == http.StatusCreated
	})
	wait.Until(t, "nothing more to hang on the gateway's end", func() bool { return life.hooks.Load() == 0 })
}

// hooked counts what is to be called at its end.
type hooked struct {
	context.Context
	hooks atomic.Int64
}

func (h *hooked) AfterFunc(func()) (stop func() bool) {
	h.hooks.Add(1)
	return func() bool { h.hooks.Add(-1); return true }
}
