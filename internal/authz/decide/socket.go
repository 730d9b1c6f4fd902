package decide

import (
	"context"
	"net/http"

	"vitrine/internal/authz/policy"
	"vitrine/internal/engine/operation"
)

// somewhere stands for the gateway's socket where there is none, to ask the policy whether it would want it.
var somewhere = operation.Socket{Path: "/run/vitrine/docker/docker.sock"}

// socketed has the gateway's own socket stand where the request would mount the Engine's, if the policy wants
// that: it is asked about the request as it is written, and then about the one that would be forwarded. in is then about
// the latter, and so is v. It is settled if the policy allows what is written and would have it carried otherwise, which it
// cannot be. Of a request that stays as it is written, the hint says why.
func (s *Steps) socketed(ctx context.Context, v *Verdict, in *policy.Input) (hint []string, settled bool) {
	socket, has := s.Sockets.For(in.Caller.Listener)
	if !has {
		socket = somewhere
	}
	if !in.Operation.NamesSocket(socket) {
		return nil, false
	}
	typed := s.Policy.Decide(ctx, in)
	if typed.Admin || typed.Failed || typed.Allow && !typed.Substitute {
		return nil, false
	}
	other := *in
	var err error
	if other.Operation, err = in.Operation.WithSocket(socket); err != nil {
		return []string{"the gateway's socket cannot be put in place of the engine's: " + err.Error()}, false
	}
	d := s.Policy.Decide(ctx, &other)
	switch wanted := d.Substitute && !d.Failed; {
	case wanted && has:
		v.Operation, in.Operation = other.Operation, other.Operation
		return nil, false
	case wanted:
		hint = []string{"the gateway's socket is to stand in place of the engine's, and it has no listener on a Unix socket (see --listen)"}
	}
	if typed.Allow {
		v.Decision = d
		v.deny(http.StatusForbidden, "engine-socket", append(hint, d.Reasons...)...)
	}
	return hint, typed.Allow
}
