package policy

import (
	"context"

	"vitrine/internal/authz/obligation"
	"vitrine/internal/engine/operation"
)

// Would decides as a door would, as far as that can be told of the request alone: what the policy allows, no rail
// stands before and the caller's door can meet. A door looks at more (whose the objects are, where paths of the host lead, which
// container is Vitrine's own), which only takes away. code says why not, "" if it would.
func (e *Engine) Would(ctx context.Context, in *Input) (d Decision, code string) {
	d = e.Decide(ctx, in)
	return d, no(&d, in)
}

// no is the code of what stands in the way of a request, "" if nothing does.
func no(d *Decision, in *Input) string {
	if !d.Allows() {
		return d.Code()
	}
	if d.Admin {
		return ""
	}
	if code := rail(in); code != "" {
		return code
	}
	if _, unmet := obligation.Meet(obligation.Door(in.caller().Door), in.Operation, d.Demand()); unmet != nil {
		return "obligation"
	}
	return ""
}

// rail is the code of what stands before a request of anybody but an admin, as far as the request alone tells; "" if nothing does.
func rail(in *Input) string {
	switch {
	case in.Operation.Rail != "":
		return "rail-operation"
	case in.Operation.BodyState == operation.BodyWithheld, in.Operation.BodyState == operation.BodyInvalid:
		return "rail-body"
	}
	return ""
}

// lifted says that the caller is let through even if the policy denies it: it holds a role in mode audit, and no rail stands before.
func lifted(d *Decision, in *Input) bool { return d.Audit && !d.Failed && (d.Admin || rail(in) == "") }
