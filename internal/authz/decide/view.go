package decide

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/view"
	"vitrine/internal/engine/operation"
)

// errStamp is a request that cannot be given the labels which the policy wants on what it makes.
var errStamp = errors.New("what it makes cannot be labelled")

// stamped puts the policy's labels on what the request makes, and decides once more on
// that: so a label that somebody's role is bound to is guarded, whoever gives it. in is then
// about the request with its labels.
func (s *Steps) stamped(ctx context.Context, v *Verdict, in *policy.Input, d policy.Decision) (policy.Decision, error) {
	if !d.Allows() || d.Admin || in.Caller.Door != string(obligation.Gateway) {
		return d, nil
	}
	if labels := ofImage(in.Operation, &d); labels != nil {
		op, err := in.Operation.WithImageLabels(labels)
		if err != nil {
			return d, fmt.Errorf("%w: %w", errStamp, err)
		}
		in.Operation = op // of none of them anybody's role can be
		return d, nil
	}
	if len(d.Stamp) == 0 {
		return d, nil
	}
	op, err := s.mounted(ctx, v, in.Operation, d.Ceilings)
	if err == nil {
		op, err = op.WithLabels(d.Stamp)
	}
	switch {
	case err != nil:
		return d, fmt.Errorf("%w: %w", errStamp, err)
	case op == in.Operation: // it makes nothing that has labels, or gives them itself
		return d, nil
	}
	in.Operation = op
	again := s.Policy.Decide(ctx, in)
	if again.Allows() && !maps.Equal(again.Stamp, d.Stamp) {
		return d, fmt.Errorf("%w: the policy wants other labels on a request that has them", errStamp)
	}
	return again, nil
}

// ofImage are the labels of an image that is built or committed by who sees only some objects, nil for other requests. An image
// has none of a view's labels: of its containers it could not be told then who gave them those. It says who had it built.
func ofImage(op *operation.Operation, d *policy.Decision) map[string]string {
	if len(d.Where) == 0 || op.ID != "ImageBuild" && op.ID != "ImageCommit" {
		return nil
	}
	labels, by := map[string]string{}, []string{}
	for _, of := range []map[string]string{d.Where, d.Stamp} {
		for key := range of {
			labels[key] = ""
		}
	}
	for _, key := range slices.Sorted(maps.Keys(d.Where)) {
		by = append(by, key+"="+d.Where[key])
	}
	labels[operation.BuiltByLabel] = cmp.Or(d.Where[operation.OwnerLabel], strings.Join(by, ","))
	return labels
}

// given are the labels that the gateway puts on what a request makes.
func given(op *operation.Operation, d *policy.Decision) map[string]string {
	if labels := ofImage(op, d); labels != nil {
		return labels
	}
	if op.MakesLabelled() {
		return d.Stamp
	}
	return nil
}

// reserved says why a request may not give a label that is the gateway's to give, "" if it
// does not, or gives what the gateway would.
func reserved(op *operation.Operation, stamp map[string]string) string {
	for _, given := range op.GivenLabel(operation.OwnerLabel) {
		if want, stamps := stamp[operation.OwnerLabel]; !stamps || want != given {
			return "the label " + operation.OwnerLabel + " says whose something is: only the gateway gives it"
		}
	}
	return ""
}

// see limits an allowed request to what its caller may see. The plugin's door
// cannot, and denies by the decision's demand.
func (s *Steps) see(ctx context.Context, v *Verdict, objects *named) {
	d := &v.Decision
	if v.lifted || d.Admin || len(d.Where) == 0 || v.Caller.Door != string(obligation.Gateway) {
		return
	}
	if objects == nil && view.Can(v.Operation.ID) {
		v.deny(http.StatusServiceUnavailable, "object", "it may only see some objects, and nobody can say which those are")
		return
	}
	v.limit(s.limited(ctx, v, v.Operation, d, objects))
}

// limited plans how a request is carried within a view. What was planned already, for the same request in the same view, stays as it
// is: the daemon is asked once, and what it said is what is judged.
func (s *Steps) limited(ctx context.Context, v *Verdict, op *operation.Operation, d *policy.Decision, objects *named) (*view.Plan, *view.Denial) {
	p := &v.planned
	if p.op == op && maps.Equal(p.where, d.Where) && maps.EqualFunc(p.shared, d.Shared, slices.Equal) && slices.Equal(p.names, d.ImageNames) {
		return p.plan, p.denial
	}
	var list []object.Object
	if objects != nil {
		if err := s.holdVolumes(ctx, v, d.Where, objects); err != nil {
			return nil, &view.Denial{Status: http.StatusServiceUnavailable, Code: "busy", Reason: "another request is about the same volume, and is not answered yet; try again"}
		}
		list = objects.get()
	}
	*p = planned{op: op, where: d.Where, shared: d.Shared, names: d.ImageNames}
	p.plan, p.denial = view.New(d.Where, d.Shared, d.ImageNames).Limit(ctx, op, list, noting{v})
	return p.plan, p.denial
}

// planned is how a request was limited to a view.
type planned struct {
	op     *operation.Operation
	where  map[string]string
	shared map[string][]string
	names  []string
	plan   *view.Plan
	denial *view.Denial
}

// limit has the gateway carry a request by its plan, or denies it.
func (v *Verdict) limit(plan *view.Plan, denial *view.Denial) {
	if denial != nil {
		v.deny(denial.Status, denial.Code, denial.Reason)
		return
	}
	v.View, v.carried = plan, plan.Operation
}

// outside asks the policy, and settles a request that names a container outside its caller's view, or one that is not there: what is
// asked is not about any container then, and no rule that asks whose container is entered is to say which ones there are. in
// is what the policy is asked.
func (s *Steps) outside(ctx context.Context, v *Verdict, in *policy.Input, objects *named) (d policy.Decision, settled bool) {
	op := v.Operation
	if v.Caller.Door != string(obligation.Gateway) || op.Target == "" && len(op.Enters) == 0 {
		return s.Policy.Decide(ctx, in), false
	}
	first := in
	if len(in.Enters) > 0 {
		entering := *in
		entering.Enters = nil
		first = &entering
	}
	d = s.Policy.Decide(ctx, first)
	if d.Allows() && !d.Admin && len(d.Where) > 0 {
		if plan, denial := s.limited(ctx, v, op, &d, objects); denial != nil || plan.Nothing {
			v.Decision, v.Allow, v.Status = d, true, 0
			v.limit(plan, denial)
			return d, true
		}
	}
	if len(in.Enters) > 0 {
		d = s.Policy.Decide(ctx, in)
	}
	return d, false
}

// Changes are what the gateway forwards otherwise than it was asked.
func (v *Verdict) Changes() []audit.Change {
	if v.Caller.Door != string(obligation.Gateway) {
		return nil
	}
	list := audit.Changes(v.Operation, v.pinned)
	if v.sessioned {
		list = append(list, audit.Change{What: "session"}) // by which name is nobody's business
	}
	if !v.Decision.Admin {
		labels := given(v.Operation, &v.Decision)
		for _, label := range slices.Sorted(maps.Keys(labels)) {
			list = append(list, audit.Change{What: "label", To: label + "=" + labels[label]})
		}
		for _, f := range v.Operation.Set {
			list = append(list, audit.Change{What: "ceiling", To: fmt.Sprintf("%s=%d", f.Field, f.Value)})
		}
	}
	switch {
	case v.View != nil && v.View.Nothing:
		for _, name := range v.View.Hidden {
			list = append(list, audit.Change{What: "hidden", From: name})
		}
	case v.View != nil && v.View.Filtered():
		for _, label := range slices.Sorted(maps.Keys(v.Decision.Where)) {
			if label != operation.NetworkLabel {
				list = append(list, audit.Change{What: "filter", To: label + "=" + v.Decision.Where[label]})
			}
		}
	}
	noted := v.Operation.Resource == "containers" && v.pinned.ID(v.Operation.Target) != "" // as a container's
	if to := v.Carried(); !noted && (v.View == nil || !v.View.Nothing) && to.Path != v.Operation.Path {
		list = append(list, audit.Change{What: "id", From: v.Operation.Path, To: to.Path})
	}
	return list
}
