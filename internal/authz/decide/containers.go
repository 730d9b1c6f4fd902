package decide

import (
	"context"
	"strings"
)

// containers are those that the decision of one request has looked at, by the references
// to them: each is looked up once, so that all of the decision is about the same ones.
type containers struct {
	known map[string][]string // their principals, nil: it could not be told
	ids   map[string]string
	// pinned are ids that an earlier decision of the request was about.
	pinned map[string]string
}

// principalsOf gives the principals of the container that a reference means. It is not ok
// if that cannot be told.
func (s *Steps) principalsOf(ctx context.Context, v *Verdict, ref string) (principals []string, ok bool) {
	c := &v.containers
	if principals, known := c.known[ref]; known {
		return principals, principals != nil
	}
	as := ref
	if id := c.pinned[ref]; id != "" {
		as = id
	}
	if principals, ok = s.Identifier.ContainerPrincipals(ctx, as); !ok {
		principals = nil
	} else if principals == nil {
		principals = []string{}
	}
	if c.known == nil {
		c.known, c.ids = map[string][]string{}, map[string]string{}
	}
	c.known[ref] = principals
	for _, p := range principals {
		if id, is := strings.CutPrefix(p, "container-id:"); is && !strings.HasPrefix(ref, "exec:") {
			c.ids[ref] = id
		}
	}
	return principals, ok
}
