// Package explain answers for a person what decide answers for a door: as whom the caller is
// known, which roles it holds and by which line, which line of which file decided, what the smallest change is that would
// allow the request, and what else that change would open.
//
// A change is only told after the request was decided once more under it and was allowed; without any one part of it the request is
// denied. What it opens is counted by deciding the catalogue's examples before and after: there may be more requests of
// these kinds, not other kinds.
//
// It writes nothing and asks no Engine. Whoever runs it may read the policy.
package explain

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// Question is what to explain.
type Question struct {
	Policy  policy.Options // with Positions
	Options decide.Options // without a Policy
	Caller  *identity.Identity
	Request func() *operation.Request // anew at each call: a body is read once
}

// Answer is what there is to say.
type Answer struct {
	Known     []string         `json:"known_as"`
	Holds     []policy.Holding `json:"holds"`
	Operation string           `json:"operation,omitempty"`
	Class     operation.Access `json:"access,omitempty"`
	Allow     bool             `json:"allow"`
	Code      string           `json:"code,omitempty"`
	Message   string           `json:"message"`
	Decided   []line           `json:"decided"`
	Change    *change          `json:"change,omitempty"`
	// Why says why there is no change to tell of a denied request.
	Why string `json:"why_no_change,omitempty"`
}

// line is a line of a file that decided.
type line struct {
	At   string `json:"at"`
	What string `json:"what"`
}

// Explain decides, and says why. The error says that the policy cannot be loaded.
func Explain(ctx context.Context, q Question) (*Answer, error) {
	engine := policy.New(q.Policy)
	if err := engine.Load(ctx); err != nil {
		return nil, fmt.Errorf("load the policy: %w", err)
	}
	model, err := policy.ReadModel(q.Policy)
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	q.Options.Policy = engine
	v, _ := Ask(ctx, q.Options, q.Caller, q.Request())
	a := &Answer{Known: q.Caller.Principals, Allow: v.Allow && !Hidden(v), Code: v.Code, Message: strings.TrimPrefix(v.Message, "vitrine: ")}
	if v.Operation != nil {
		a.Operation, a.Class = v.Operation.ID, v.Operation.Access
	}
	if model != nil {
		a.Holds = model.Held(q.Caller.Principals)
	}
	a.Decided = lines(model, v)
	switch {
	case Hidden(v):
		a.Message, a.Code = v.Operation.Target+" is not one of the objects that this caller sees: it is told that there is none", "view"
		a.Why = "the object is outside of what the role's where, own or shared show: change those, or the object's labels"
	case a.Allow:
		a.Message = strings.Join(v.Reasons(), "; ")
	default:
		if a.Why = unchangeable(v, model); a.Why == "" {
			a.Change, a.Why = q.change(ctx, model, v)
		}
	}
	return a, nil
}

// lines are those that decided: of data what a role says of the operation, and the rules that gave the reasons.
func lines(m *policy.Model, v *decide.Verdict) (out []line) {
	add := func(at, what string) {
		if at != "" && !slices.Contains(out, line{at, what}) {
			out = append(out, line{at, what})
		}
	}
	if m != nil && v.Operation != nil {
		for _, reason := range v.Decision.Reasons {
			for _, role := range m.Roles() {
				if reason == "role "+role {
					add(m.Line(role, v.Operation), "role "+role+" grants "+v.Operation.ID)
				} else if rest, is := strings.CutPrefix(reason, "role "+role+" does not take "); is {
					_, at, _ := m.Has(role, keyOf(rest))
					add(at, "role "+role+" does not take "+rest)
				}
			}
		}
	}
	for _, r := range v.Decision.Rules {
		add(r.At, "rule "+r.Rule+": "+r.Reason)
	}
	return out
}

// keyOf is the key of a role by which it does not take something.
func keyOf(what string) string {
	switch {
	case strings.HasPrefix(what, "the hazards"):
		return "hazards"
	case strings.HasPrefix(what, "the host paths"):
		return "host_paths"
	}
	return "unresolved"
}

// unchangeable says why nothing that a role can say would allow the request, "" if something may.
func unchangeable(v *decide.Verdict, m *policy.Model) string {
	switch {
	case strings.HasPrefix(v.Code, "rail"):
		return "nothing that a role can say: only an admin may (" + strings.Join(v.Reasons(), "; ") + ")"
	case v.Operation == nil:
		return "nothing that a policy can say: the request has no single meaning, or no place; write it as the message says"
	case slices.Contains(v.Operation.Hazards, operation.HazardUnknownInput):
		return "nothing that a role can say: nobody knows what " + strings.Join(v.Operation.Unknown, ", ") + " does; leave it out"
	case m == nil:
		return "the policy is Rego of its own: the rules that said no are above, with their lines"
	case v.Decision.Failed:
		return "the policy could not answer"
	}
	return ""
}
