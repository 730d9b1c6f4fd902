package decide

import (
	"context"
	"strings"

	"vitrine/internal/engine/principal"
)

// containers are those that the decision of one request has looked at, by the references
// to them: each is looked up once, so that all of the decision is about the same ones.
type containers struct {
	known map[string]lookedUp
	ids   map[string]string
	// pinned are ids that an earlier decision of the request was about.
	pinned map[string]string
}

// lookedUp are a container's principals, or why they cannot be told.
type lookedUp struct {
	principals []string
	err        error
}

// principalsOf gives the principals of the container that a reference means, or says why
// that cannot be told.
func (s *Steps) principalsOf(ctx context.Context, v *Verdict, ref string) ([]string, error) {
	c := &v.containers
	if is, known := c.known[ref]; known {
		return is.principals, is.err
	}
	as := ref
	if id := c.pinned[ref]; id != "" {
		as = id
	}
	var is lookedUp
	if is.principals, is.err = s.Identifier.ContainerPrincipals(ctx, as); is.err != nil {
		is.principals = nil
	}
	if c.known == nil {
		c.known, c.ids = map[string]lookedUp{}, map[string]string{}
	}
	c.known[ref] = is
	for _, p := range is.principals {
		if id, has := strings.CutPrefix(p, principal.ContainerID.With("")); has && !strings.HasPrefix(ref, "exec:") {
			c.ids[ref] = id
		}
	}
	return is.principals, is.err
}
