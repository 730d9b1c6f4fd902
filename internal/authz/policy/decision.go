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
	Allow   bool                // holds only if the policy could answer: see Allows
	Admin   bool                // passes the rails
	Redact  []string            // JSON pointers, "*" for any key or index; none that another covers
	KeepEnv []string            // environment names whose values survive a redacted Env
	Where   map[string]string   // only objects with these labels are there for the caller
	Shared  map[string][]string // those that are there all the same, by kind ("images"): names, "NAME*" for all that begin so
	Stamp   map[string]string   // labels that are put on what the request makes
	// ImageNames are the repositories whose names are the caller's own, to give and to take; "NAME/*" is all below one.
	ImageNames []string
	// Ceilings are how much what the request makes may have, and how many.
	Ceilings operation.Ceilings
	// Substitute: the gateway's own socket is to stand where a request mounts the Engine's. It says so
	// also beside a denial, and holds only of a request that was judged with it.
	Substitute bool
	// Recreate are labels of the containers that the caller may change, and make anew: those that have all of one of these. None is no limit.
	Recreate []map[string]string
	// WithoutRedaction: the role may go through the plugin door, where an answer
	// cannot be redacted.
	WithoutRedaction bool
	// Audit: a denial is recorded and lifted for this caller. It says nothing of an answer that failed.
	Audit bool
	Diagnostics
}

// Diagnostics say how a policy came to its decision. They decide nothing, but for Failed.
type Diagnostics struct {
	Reasons  []string // sorted; for the caller and the audit record
	Codes    []string // sorted; what kind of reasons they are, as the policy says: see Code
	Revision string   // of the policy that decided
	// Failed says that the policy could not answer (undefined, an error, a deadline, no policy loaded);
	// Reasons hold why.
	Failed bool
	// Rules are where the reasons come from, of an Engine with Options.Positions.
	Rules []Rule

	code string // of a policy that could not answer
}

// Allows is the whole decision: to allow is nothing beside a failure.
func (d *Decision) Allows() bool { return d.Allow && !d.Failed }

// Demand is what an allowing decision demands of the answer, and of what is made; a door that cannot
// meet it must deny.
func (d *Decision) Demand() obligation.Demand {
	return obligation.Demand{Redact: d.Redact, KeepEnv: d.KeepEnv, Where: d.Where, Stamp: d.Stamp, Ceilings: d.Ceilings, Recreate: len(d.Recreate) > 0, Sessions: !d.Admin, WithoutRedaction: d.WithoutRedaction}
}
