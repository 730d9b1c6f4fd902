// Package obligation says whether a door can do what a decision demands of the
// answer, or of what is made, and if not, why. It is the one place that knows: the
// doors deny by it, and so does every command that says beforehand what a door would do.
//
// A decision that allows may demand that values of the answer are blanked, that
// only some objects are shown, or that what is made has labels, limits or paths other
// than those asked for. A door that cannot see to that must deny. The gateway blanks
// answers that are JSON and end, and events one by one; what changes the request
// package decide has done before a door asks here. The plugin can change nothing: it is asked
// before there is an answer, and never sees it.
//
// It does not carry anything out, and asks nobody. What it is given is the parsed
// request and the policy's word; both are bounded by those who made them.
package obligation

import (
	"fmt"
	"net/http"
	"slices"

	"vitrine/internal/authz/answer"
	"vitrine/internal/authz/redact"
	"vitrine/internal/authz/view"
	"vitrine/internal/engine/operation"
)

// Door is where a request comes in.
type Door string

// The doors.
const (
	Gateway Door = "gateway"
	Plugin  Door = "plugin"
)

// Demand is what a decision demands of the answer, and of what is made.
type Demand struct {
	Redact           []string          // JSON Pointers
	KeepEnv          []string          // environment names whose values are shown all the same
	Where            map[string]string // only objects with these labels
	Stamp            map[string]string // labels on what the request makes
	Ceilings         operation.Ceilings
	Recreate         bool // it may change only some containers
	Sessions         bool // its sessions with BuildKit are told from others'
	WithoutRedaction bool // Redact does not hold where nothing can be blanked
}

// Unmet is a demand that a door cannot meet.
type Unmet struct {
	Rule    string // of the policy, which demands it: "where", "stamp", "ceilings", "recreate", "redact", "substitute" or "host_paths"; "session", which none has to demand
	Reason  string // for the caller
	Gateway bool   // the gateway can meet it
}

// Meet gives what is to be blanked in the answer, nil for nothing; or it says why
// the door cannot meet the demand, and the request must be denied.
func Meet(door Door, op *operation.Operation, d Demand) (*redact.Plan, *Unmet) {
	limited := len(d.Where) > 0
	if limited && !view.Can(op.ID) {
		return nil, &Unmet{Rule: "where", Reason: view.Unlimited(op)}
	}
	if door == Gateway {
		if limited {
			d.Redact = append(slices.Clone(d.Redact), view.Redact(op.ID)...)
		}
		return blank(op, d)
	}
	switch {
	case limited:
		return nil, &Unmet{Rule: "where", Reason: "it may only see some objects, and only the gateway can leave out the others", Gateway: true}
	case d.Sessions && op.NamesSession():
		return nil, &Unmet{Rule: "session", Reason: "its session with BuildKit is to be told from others', which only the gateway can do", Gateway: true}
	case len(d.Stamp) > 0 && op.MakesLabelled():
		return nil, &Unmet{Rule: "stamp", Reason: "what it makes is given labels, which only the gateway can do", Gateway: true}
	}
	if in, err := op.WithCeilings(d.Ceilings); err != nil || len(in.Set) > len(op.Set) {
		why := "what it makes is given limits, which only the gateway can do"
		if err == nil {
			f := in.Set[0]
			why += fmt.Sprintf("; or give them yourself, such as %s: %d", f.Field, f.Value)
		}
		return nil, &Unmet{Rule: "ceilings", Reason: why, Gateway: err == nil}
	}
	if d.Recreate && op.ChangesContainers() {
		return nil, &Unmet{Rule: "recreate", Reason: "it may change only some containers, and make anew what it took away, and only the gateway knows which those are", Gateway: true}
	}
	if len(d.Redact) > 0 && (!d.WithoutRedaction || door != Plugin) {
		if _, unmet := blank(op, d); unmet != nil {
			return nil, unmet
		}
		return nil, &Unmet{Rule: "redact", Reason: "the answer must be redacted, which only the gateway can do", Gateway: true}
	}
	if len(op.Substituted) > 0 {
		return nil, &Unmet{Rule: "substitute", Gateway: true, Reason: fmt.Sprintf(
			"%s would be the gateway's own socket in the container, and only the gateway can put that in its place", op.Substituted[0].Typed)}
	}
	if len(op.Resolved) > 0 {
		r := op.Resolved[0]
		return nil, &Unmet{Rule: "host_paths", Gateway: true, Reason: fmt.Sprintf(
			"%q is %q on this host (write that instead), and only the gateway can ask for that in its place", r.Typed, r.Path)}
	}
	return nil, nil
}

// blank is what the gateway blanks.
func blank(op *operation.Operation, d Demand) (*redact.Plan, *Unmet) {
	unmet := func(reason string) (*redact.Plan, *Unmet) { return nil, &Unmet{Rule: "redact", Reason: reason} }
	pointers := slices.DeleteFunc(slices.Clone(d.Redact), func(p string) bool { return p == answer.ErrorText }) // see answer
	if len(pointers) == 0 {
		return nil, nil
	}
	plan, err := redact.Compile(pointers, d.KeepEnv)
	switch {
	case err != nil:
		return unmet("the answer cannot be redacted as the policy asks: " + err.Error())
	case op.Has(operation.AnswersEvents) && operation.AsksForMore(op.Params["filters"]):
		return unmet("events are shown without command lines and cannot be filtered by them: write event=exec_create, and nothing behind it")
	case !op.Has(operation.AnswersEvents) && streams(op):
		return unmet("the answer must be redacted, and this stream cannot be")
	}
	return plan, nil
}

// streams: the answer is no JSON document. What has none at all needs no blanking.
func streams(op *operation.Operation) bool {
	return op.Has(operation.AnswersProgress) || op.Carry != operation.CarryPlain || op.Access == operation.Stream ||
		op.Access == operation.Content && op.Method != http.MethodHead && !answer.IsDocument(op.ID)
}
