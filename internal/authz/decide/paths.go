package decide

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/kernel/hostpath"
)

// hostPaths says what paths of the host are.
type hostPaths interface {
	// Resolve follows the links of a canonical path. caller is whom it counts
	// against; the error is a [hostpath.ErrUnseen] if nothing of the host can be seen.
	Resolve(ctx context.Context, caller, path string) (string, error)
}

// onHost decides once more, on what the paths of a request are on the host, what was decided on
// the paths as they are written (typed). in is then about the former, and the former are what is
// forwarded, but for an admin. A caller who is denied the paths as they are written is told no
// more than that: what lies on the host is not its business.
func (s *Steps) onHost(ctx context.Context, v *Verdict, in *policy.Input, typed policy.Decision) (policy.Decision, error) {
	if s.HostPaths == nil || typed.Admin || typed.Failed {
		return typed, nil
	}
	var unseen error
	op, err := in.Operation.ResolveHostPaths(func(p string) (string, error) {
		to, err := s.HostPaths.Resolve(ctx, in.Caller.String(), p)
		v.world.Paths = append(v.world.Paths, record.Path{From: p, To: to, Why: textOf(err), Unseen: errors.Is(err, hostpath.ErrUnseen)})
		if errors.Is(err, hostpath.ErrUnseen) {
			unseen, in.Unresolved = err, append(in.Unresolved, p)
			return p, nil
		}
		return to, err
	})
	switch {
	case err != nil && !typed.Allow:
		return typed, nil
	case err != nil:
		return typed, err
	case op == in.Operation && unseen == nil:
		return typed, nil
	}
	slices.Sort(in.Unresolved)
	written := in.Operation
	in.Operation = op
	d := s.Policy.Decide(ctx, in)
	switch {
	case d.Allows():
		return d, nil
	case !typed.Allow:
		in.Operation = written
		return typed, nil
	}
	const most = 4
	d.Reasons = slices.Clone(d.Reasons)
	for _, r := range op.Resolved[:min(len(op.Resolved), most)] {
		d.Reasons = append(d.Reasons, fmt.Sprintf("%q is %q on this host", r.Typed, r.Path))
	}
	if unseen != nil {
		d.Reasons = append(d.Reasons, unseen.Error())
	}
	return d, nil
}

// denyPath denies a request with a path of which nobody can tell what it is on the host.
func (v *Verdict) denyPath(err error) {
	if errors.Is(err, hostpath.ErrBusy) {
		v.deny(http.StatusServiceUnavailable, "busy", err.Error())
		return
	}
	if errors.Is(err, errCeiling) {
		v.deny(http.StatusForbidden, "ceiling", err.Error())
		return
	}
	if errors.Is(err, errStamp) {
		v.deny(http.StatusForbidden, "stamp", err.Error())
		return
	}
	v.deny(http.StatusForbidden, "host-path-unresolved", err.Error())
}
