package decide

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/record"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// Shapes is told of decisions; a *record.Store.
type Shapes interface {
	// Add gives the shape of a decision, nil if it has none.
	Add(*record.Seen) *record.Kept
	// Again is told of one more that is the same; see [record.Store.Again].
	Again(k *record.Kept, at time.Time, id, revision string) bool
}

// remember tells of the decision what it was made of. What was not decided, because it was not
// understood or could not be told just then, has no shape, nor have our own calls.
func (v *Verdict) remember(r *audit.Record) *record.Kept {
	s := v.steps
	if s.Shapes == nil || v.asked == nil || v.Caller.Kind == identity.Self || v.Status == http.StatusServiceUnavailable || v.Code == "internal-error" {
		return nil
	}
	seen := seens.Get().(*record.Seen)
	defer seens.Put(seen)
	*seen = record.Seen{
		Time: r.Time, ID: v.id, Caller: v.Caller, Asked: v.asked, Engine: v.engine,
		World: v.world, Revision: v.Decision.Revision, Verdict: v.outcome(),
	}
	seen.World.Containers = v.containers.list()
	if v.named != nil && v.named.read.Load() {
		seen.World.Objects, seen.World.Named = v.named.list, true
	}
	if socket, has := s.Sockets.For(v.Caller.Listener); has && v.asked.NamesSocket(socket) {
		seen.World.Socket, seen.World.Engines = &socket, s.Sockets.Engine
	}
	if seen.World.Own == nil && (v.asked.Target != "" && !v.asked.Access.Reads() || len(v.Enters) > 0) { // of an admin nobody asks
		seen.World.Own = s.ownNow()
	}
	return s.Shapes.Add(seen)
}

// seens are what decisions are told in: nothing of one is kept.
var seens = sync.Pool{New: func() any { return new(record.Seen) }}

// ownNow is the container that we run in, "" for none, nil if that cannot be told just now.
func (s *Steps) ownNow() *string {
	if s.OwnContainer == nil {
		return new(string)
	}
	own, err := s.OwnContainer()
	if err != nil {
		return nil
	}
	return &own
}

// outcome is the verdict as the record has it.
func (v *Verdict) outcome() record.Verdict {
	d := &v.Decision
	switch {
	case !v.Allow:
		return record.Verdict{Answer: record.Deny, Code: v.Code}
	case v.lifted:
		return record.Verdict{Answer: record.WouldDeny, Code: "policy"}
	}
	out := record.Verdict{Answer: record.Allow, Admin: d.Admin, Redact: d.Redact, KeepEnv: d.KeepEnv, Where: d.Where, Shared: d.Shared, ImageNames: d.ImageNames, Stamp: d.Stamp, Recreate: d.Recreate}
	if d.Ceilings != (operation.Ceilings{}) {
		out.Ceilings = &d.Ceilings
	}
	if out.Substitute = d.Substitute; v.View != nil && v.View.Nothing {
		out.Answer = record.Hidden
	}
	return out
}

// list gives the containers that were looked up, by their references.
func (c *containers) list() (all []record.Container) {
	for ref, is := range c.known {
		all = append(all, record.Container{Ref: ref, Principals: is.principals, Why: textOf(is.err)})
	}
	slices.SortFunc(all, func(a, b record.Container) int { return strings.Compare(a.Ref, b.Ref) })
	return all
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// noting is what a view asks of the Engine for a request. What it finds out of containers is noted.
type noting struct{ v *Verdict }

func (n noting) JoinedBy(ctx context.Context, id string) ([]object.Object, error) {
	networks, err := n.v.steps.Objects.JoinedBy(ctx, id)
	n.v.world.Starts = append(n.v.world.Starts, record.Start{ID: id, Networks: networks, Why: textOf(err)})
	return networks, err
}

func (n noting) Object(ctx context.Context, kind operation.Kind, id string) (object.Object, error) {
	return n.v.steps.Objects.Object(ctx, kind, id)
}

func (n noting) AnyBorrowed(such func(map[string]string) bool) (string, error) {
	return n.v.steps.Objects.AnyBorrowed(such)
}
