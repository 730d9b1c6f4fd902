package decide

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/authz/view"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/internal/fair"
)

// Verdict is what a door has to do with one request. It is a denial unless
// Allow is true.
type Verdict struct {
	Allow   bool
	Status  int    // HTTP status of the denial: 400, 403, 413, 431, 503; 0 when allowed
	Code    string // why, in a stable word that docs/reasons.md explains: "hazard", "rail-body", "busy", or a refusal's code
	Message string // for the caller: "vitrine: container:web may not …: … [hazard]"

	Caller    *identity.Identity   // never nil
	Operation *operation.Operation // nil when the parser refused the request
	Enters    []string             // principals of the containers that it enters, as the policy saw them
	Decision  policy.Decision
	// View is how the answer is limited to what the caller may see, nil if it is not. Only
	// the gateway can do that.
	View *view.Plan

	carried    *operation.Operation
	containers containers
	pinned     operation.Pins // names in whose place carried has ids, sorted
	request    *operation.Request
	account    string // whom it counts against, "" for nobody
	steps      *Steps
	asked      *operation.Operation // as it was parsed
	engine     *operation.Engine
	world      record.World // what was found out
	named      *named
	planned    planned
	image      func() (operation.ImageConfig, error) // what that of a new container asks for, nil while nobody has looked
	inPlaceOf  *old                                  // the container in whose place it makes one, or connects what it made so
	id         string
	start      time.Time
	turn       fair.Turn
	waited     time.Duration // for the turn, and for the body
	decided    time.Duration
	reasons    []string
	unresolved *unresolved   // why it could not be told which container the request enters or changes
	instead    func() string // what would be allowed instead, "" for nothing; nil if there is nothing like it
	epoch      uint64        // of the policy when it was asked first, 0 for none
	made       func()        // it is no longer about to make a container, and holds no volume; nil: it never did
	lifted     bool          // denied by the policy, let through by audit mode
	again      bool          // it was allowed, and is decided once more
	holds      bool          // the volumes that it names are held for it
	sessioned  bool          // the daemon is given names of its caller's own for a session or a build
	finished   sync.Once
}

// ID identifies the request in the audit log.
func (v *Verdict) ID() string { return v.id }

// Reasons are why: the refusal's, the rail's or the policy's.
func (v *Verdict) Reasons() []string {
	if v.reasons != nil {
		return v.reasons
	}
	return v.Decision.Reasons
}

// Deny turns an allowing verdict into a denial: a door does so when it cannot
// meet an obligation. It must come before Finish.
func (v *Verdict) Deny(status int, code, reason string) { v.deny(status, code, reason) }

// Finish records the verdict, once: a second call does nothing. status is the
// HTTP status that the caller saw, 0 where the door cannot know it; redacted
// says that values in the answer were blanked.
func (v *Verdict) Finish(status int, redacted bool) {
	v.Release()
	v.finished.Do(func() {
		v.settle(status)
		if v.Allow && v.Operation.ID == "ExecStart" && status > 0 && status < http.StatusBadRequest {
			v.steps.waiting.remove(v.Operation.Target)
		}
		r := audit.New(v.id, v.start, v.Caller, v.request.Method, v.request.URI, v.Operation, v.Decision)
		r.Status, r.Allow, r.Redacted = status, v.Allow, redacted
		r.Duration, r.DurationUsec = v.decided, v.decided.Microseconds()
		switch {
		case v.lifted:
			r.Code = v.policyCode()
		case !v.Allow:
			r.Code = v.Code
		}
		if r.Reasons = v.Reasons(); !v.Allow && v.unresolved != nil {
			r.Reasons = append(slices.Clip(r.Reasons), v.unresolved.because(v.unresolved.err.Error()))
		}
		if v.Operation != nil && len(v.Operation.Concealed()) > 0 {
			r.Reasons = slices.Clone(r.Reasons)
			for i, reason := range r.Reasons {
				r.Reasons[i] = v.Operation.Tell(reason)
			}
		}
		if v.Allow {
			r.Changed = v.Changes()
		}
		if v.lifted {
			r.Mode = string(Audit)
		}
		v.steps.Record(r)
		shape := v.remember(&r)
		v.steps.denied.note(v, &r, shape)
	})
}

// HandOver says that from now on the Engine works for the request, and answers without waiting for
// anything: the caller keeps its turn until the answer.
func (v *Verdict) HandOver() { v.turn.HandOver() }

// Release gives the caller's turn back before Finish does, where the door or the
// Engine waits for something.
func (v *Verdict) Release() { v.turn.Give() }

// Made tells what the request has made, by the daemon's word. An exec is the caller's own from now on; a container is the one
// that it made in the place of another.
func (v *Verdict) Made(id string) {
	switch {
	case v.Operation.ID == "ContainerExec":
		v.steps.execs.add(ownerOf(v.Caller), id)
		if !v.Decision.Admin {
			v.steps.waiting.add(v.account, id)
		}
	case v.Operation.ID == "ContainerCreate" && v.inPlaceOf != nil:
		v.steps.olds.made(ownerOf(v.Caller), v.inPlaceOf, id)
	}
}

// Differential records a request at the plugin door that does not agree with
// what the gateway judged: a ticket that is unknown, used, or for another
// request. It is denied, in audit mode too.
func (s *Steps) Differential(caller *identity.Identity, method, uri, why string) {
	r := audit.New(s.ids.next(), time.Now(), caller, method, uri, nil, policy.Decision{})
	r.Status, r.Code, r.Differential, r.Reasons = http.StatusForbidden, "differential", why, []string{why}
	s.Record(r)
}

func newIDSource() idSource {
	var b [6]byte
	_, _ = rand.Read(b[:]) // it never fails
	return idSource{prefix: hex.EncodeToString(b[:]) + "-", n: new(atomic.Uint64)}
}

func (s idSource) next() string {
	id := make([]byte, 0, 32)
	return string(strconv.AppendUint(append(id, s.prefix...), s.n.Add(1), 36))
}
