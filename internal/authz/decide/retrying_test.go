package decide

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// retrying is a world in which one client asks for the same thing again and again.
type retrying struct {
	t     *testing.T
	steps *Steps
	conn  *identity.Connection

	who      *identity.Identity
	identify func() // called for each
	epoch    uint64
	engine   *operation.Engine
	decision policy.Decision
	decide   func(in *policy.Input)
	reads    bool // the policy reads objects

	asked   int // decisions
	records []audit.Record
	shapes  *record.Store
}

func caller() *identity.Identity {
	return &identity.Identity{
		Kind: identity.Container, Principals: []string{"container:web"}, UID: new(uint32(7)), GID: new(uint32(7)), Groups: []uint32{7}, PID: 42, User: "www", Door: "gateway",
		Listener: "agents", Container: &identity.ContainerInfo{ID: strings.Repeat("c", 64), Name: "web", Labels: map[string]string{"team": "blue"}, Mounts: []string{"/srv"}},
		Certificate: &identity.Certificate{CommonName: "web"}, Process: &identity.Process{LoginUID: new(uint32(7)), Exe: "/bin/web"},
	}
}

func newRetrying(t *testing.T, with ...func(*Options)) *retrying {
	t.Helper()
	r := &retrying{
		t: t, who: caller(), epoch: 1, conn: &identity.Connection{Account: "web"}, shapes: record.New(record.Options{}),
		decision: policy.Decision{Diagnostics: policy.Diagnostics{Revision: "r1", Reasons: []string{"no role"}, Codes: []string{"no-role"}}},
	}
	o := Options{
		Identifier: r, Policy: r, Objects: nothing{}, Engine: func() *operation.Engine { return r.engine }, Shapes: r.shapes,
		Record: func(a audit.Record) { r.records = append(r.records, a) },
	}
	for _, set := range with {
		set(&o)
	}
	r.steps = New(o)
	return r
}

func (r *retrying) Identify(context.Context, *identity.Connection) *identity.Identity {
	if r.identify != nil {
		r.identify()
	}
	return r.who
}

func (r *retrying) ContainerPrincipals(context.Context, string) ([]string, error) {
	return []string{"container:other"}, nil
}

// nothing is what there is: of all else nobody may be asked.
type nothing struct{ anything }

func (nothing) ImageConfig(context.Context, string, string) (operation.ImageConfig, error) {
	return operation.ImageConfig{}, nil
}

type anything = Objects

func (nothing) HostNetworks(context.Context, *operation.Operation) ([]string, error) { return nil, nil }

func (nothing) Objects(context.Context, *operation.Operation) []object.Object { return nil }

func (r *retrying) Epoch() uint64 { return r.epoch }

func (r *retrying) ReadsObjects() bool { return r.reads }

func (r *retrying) Decide(_ context.Context, in *policy.Input) policy.Decision {
	r.asked++
	if r.decide != nil {
		r.decide(in)
	}
	return r.decision
}

// creates is a request as it arrives.
func creates(body string) string {
	return fmt.Sprintf("POST /v1.41/containers/create?name=job HTTP/1.1\r\nHost: docker\r\nX-Team: blue\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

const image = `{"Image":"alpine"}`

// ask asks as the gateway does, and says what was answered.
func (r *retrying) ask(raw string) string {
	r.t.Helper()
	if d := r.steps.Denied(r.conn, []byte(raw)); d != nil {
		if again, ok := d.Again(r.t.Context(), r.conn); ok {
			return fmt.Sprint(again.Status, " ", again.Caller, " ", again.Message)
		}
	}
	h, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		r.t.Fatal(err)
	}
	v := r.steps.Authorize(r.t.Context(), r.conn, &operation.Request{
		Method: h.Method, URI: h.RequestURI, Proto: h.Proto, Header: h.Header, ContentLength: h.ContentLength, Rebuilt: true, Arrived: true, Raw: []byte(raw),
		ReadBody: func() ([]byte, error) { return io.ReadAll(h.Body) },
	})
	status := v.Status
	if v.Allow {
		status = http.StatusOK
	}
	v.Finish(status, false)
	return fmt.Sprint(status, " ", v.Caller, " ", v.Message)
}

// remembers has a request denied so often that it is remembered.
func (r *retrying) remembers(raw string) {
	r.t.Helper()
	for range 2 {
		r.ask(raw)
	}
	if !r.remembered(raw) {
		r.t.Fatal("it is not remembered")
	}
}

func (r *retrying) remembered(raw string) bool { return r.steps.Denied(r.conn, []byte(raw)) != nil }

// takeAll takes all turns that the caller has.
func (r *retrying) takeAll() (give func()) {
	var gives []func()
	for range 2 * runtime.GOMAXPROCS(0) {
		turn := r.steps.turns.Of(r.conn.Account)
		if err := turn.Take(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
		gives = append(gives, turn.Give)
	}
	return func() {
		for _, give := range gives {
			give()
		}
	}
}
