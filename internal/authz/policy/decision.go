package policy

import (
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// Input is what one decision is about. A policy sees it as
// {"caller": …, "operation": …, "request": …}; InputJSON shows that.
type Input struct {
	Caller    *identity.Identity
	Operation *operation.Operation
	// Enters are the principals of the containers that the operation enters,
	// resolved by the caller of Decide from Operation.Enters. They are what the
	// policy sees as operation.enters.
	Enters []string
	// OwnExec says that the operation is on an exec which the caller has made
	// itself. The policy sees it as operation.own_exec.
	OwnExec bool
	// Unresolved are the host paths of the operation of which nobody could say
	// what they are, sorted: they are judged as they are written.
	Unresolved []string
	// Objects gives what the request names; the policy sees it as input.objects. It is
	// called, once or more, if the policy reads that (see [Engine.ReadsObjects]), and
	// without it such a policy fails.
	Objects func() []object.Object
}

// Decision is the policy's answer. The zero value denies.
type Decision struct {
	Allow    bool
	Admin    bool     // passes the rails
	Reasons  []string // sorted; for the caller and the audit record
	Redact   []string // JSON pointers, "*" for any key or index; none that another covers
	KeepEnv  []string // environment names whose values survive a redacted Env
	Where    map[string]string
	Revision string // of the policy that decided
	// WithoutRedaction: the role may go through the plugin door, where an answer
	// cannot be redacted.
	WithoutRedaction bool
	// Failed says that the policy could not answer (undefined, an error, a
	// deadline, no policy loaded). Allow is false then.
	Failed bool
}

// Demand is what an allowing decision demands of the answer; a door that cannot meet it must
// deny.
func (d *Decision) Demand() obligation.Demand {
	return obligation.Demand{Redact: d.Redact, KeepEnv: d.KeepEnv, Where: d.Where, WithoutRedaction: d.WithoutRedaction}
}
