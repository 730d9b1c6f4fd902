package decide

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/attest"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/principal"
	"vitrine/internal/fair"
)

// ownContainer guards the container that we run in: whoever writes to it,
// enters it or stops it decides instead of us.
func (s *Steps) ownContainer(ctx context.Context, v *Verdict, in *policy.Input) string {
	op := in.Operation
	changes := op.Target != "" && !op.Access.Reads()
	reaches, service := changes && op.Resource == "containers", changes && op.Resource == "services"
	if s.OwnContainer == nil || !reaches && !service && len(in.Enters) == 0 {
		return ""
	}
	const reached = "it reaches the container that Vitrine runs in"
	own, err := s.findOwn(ctx)
	if err == nil {
		v.world.Own = &own
	}
	switch {
	case errors.Is(err, attest.ErrNotYet):
		return "it cannot be told yet whether " + reached + ", because " + err.Error() + "; try again"
	case err != nil:
		return "it cannot be told whether " + reached + ", because " + err.Error()
	case own == "":
		return ""
	}
	ours := principal.ContainerID.With(own)
	if slices.Contains(in.Enters, ours) || slices.Contains(in.Enters, "*") {
		return reached
	}
	if service {
		return s.ownService(ctx, own, op.Target)
	}
	if !reaches {
		return ""
	}
	target, err := s.principalsOf(ctx, v, op.Target)
	switch {
	case err != nil:
		v.unresolved = &unresolved{op.Target, err}
		return "it cannot be told which container it reaches: there is none of that name, or Docker does not answer"
	case slices.Contains(target, ours):
		return reached
	}
	return ""
}

// ownService guards the swarm service whose task we are: who changes it ends us. The
// swarm labels the container with the service's id and name, and takes both, and the
// beginning of the id, for the service. A name of another service comes before the beginning of our id; whether there
// is one is not looked at here: then too much is denied.
func (s *Steps) ownService(ctx context.Context, own, target string) string {
	const reached = "it reaches the service whose container Vitrine runs in"
	principals, err := s.Identifier.ContainerPrincipals(ctx, own)
	switch {
	case err != nil:
		return "it cannot be told whether " + reached + ": " + identity.WhyNot(err)
	case slices.Contains(principals, principal.Label.Any()):
		return "it cannot be told whether " + reached + ": it has too many labels"
	}
	for _, p := range principals {
		if id, is := strings.CutPrefix(p, principal.Label.With("com.docker.swarm.service.id=")); is && strings.HasPrefix(id, target) {
			return reached
		}
		if name, is := strings.CutPrefix(p, principal.Label.With("com.docker.swarm.service.name=")); is && name == target {
			return reached
		}
	}
	return ""
}

// findOwn waits a moment for what cannot be told yet: while a container starts or
// ends, its processes are no help, and the Engine is about to say which of the two it is.
// Others decide meanwhile.
func (s *Steps) findOwn(ctx context.Context) (id string, err error) {
	if id, err = s.OwnContainer(); !errors.Is(err, attest.ErrNotYet) || s.Changed == nil {
		return id, err
	}
	defer fair.Rest(ctx)()
	const patience = 500 * time.Millisecond
	enough := time.NewTimer(patience)
	defer enough.Stop()
	for {
		changed := s.Changed()
		if id, err = s.OwnContainer(); !errors.Is(err, attest.ErrNotYet) {
			return id, err
		}
		select {
		case <-changed:
		case <-enough.C:
			return "", err
		case <-ctx.Done():
			return "", err
		}
	}
}
