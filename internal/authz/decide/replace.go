package decide

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"vitrine/internal/authz/object"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/engine/operation"
)

// Limits of what is remembered of containers that are being replaced. What is over them is forgotten, the oldest of its caller first.
const (
	oldsEach  = 256 // of one caller
	oldsAll   = 1024
	oldSize   = 64 << 10 // of one, in bytes
	oldsAfter = 15 * time.Minute
)

// olds remembers what containers had that somebody stopped, renamed or removed, by caller and name. They are what the daemon said then of
// containers that the caller's role let it replace, so whoever renames a container onto the name of another has what his own
// had. Nothing outlives the process, or the policy.
type olds struct {
	mu sync.Mutex
	of map[string][]*old // by caller, oldest first
	n  int
}

type old struct {
	operation.Old
	labels   map[string]string // that it was given, without its image's
	revision string            // of the policy that let it be replaced
	end      time.Time
	fields   []string // of a replay, instead of all that it had
	made     string   // the id of what its caller has made in its place, "" for nothing yet
	alike    bool     // that has its networks and its HostConfig
}

func (m *olds) add(caller string, o *old) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil {
		m.of = map[string][]*old{}
	}
	m.sweep()
	kept := slices.DeleteFunc(m.of[caller], func(other *old) bool { return other.Name == o.Name })
	m.n += len(kept) - len(m.of[caller]) + 1
	m.of[caller] = append(kept, o)
	if len(m.of[caller]) > oldsEach {
		m.forget(caller)
	}
	for m.n > oldsAll {
		most := caller
		for other, list := range m.of {
			if len(list) > len(m.of[most]) {
				most = other
			}
		}
		m.forget(most)
	}
}

// sweep forgets what has ended.
func (m *olds) sweep() {
	now := time.Now()
	for caller := range m.of {
		for len(m.of[caller]) > 0 && !m.of[caller][0].end.After(now) {
			m.forget(caller)
		}
	}
}

// forget takes away a caller's oldest.
func (m *olds) forget(caller string) {
	if m.of[caller] = m.of[caller][1:]; len(m.of[caller]) == 0 {
		delete(m.of, caller)
	}
	m.n--
}

// has says whether anything is remembered for a caller.
func (m *olds) has(caller string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.of[caller]) > 0
}

// get is a copy of what is remembered for a caller under a name, nil for nothing.
func (m *olds) get(caller, name string) *old {
	return m.find(caller, func(o *old) bool { return o.Name == name && name != "" })
}

// replacedBy is a copy of what the caller has made the container with a full id in the place of, nil for nothing.
func (m *olds) replacedBy(caller, id string) *old {
	return m.find(caller, func(o *old) bool { return o.made == id && id != "" })
}

func (m *olds) find(caller string, is func(*old) bool) *old {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.of[caller] {
		if is(o) && o.end.After(time.Now()) {
			found := *o
			return &found
		}
	}
	return nil
}

// made notes what a caller has made in the place of a container.
func (m *olds) made(caller string, of *old, id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.of[caller] {
		if o.Name == of.Name {
			o.made, o.alike = id, of.alike
		}
	}
}

// fits says whether a container is one of those that a role may replace.
func fits(which []map[string]string, labels map[string]string) bool {
	return slices.ContainsFunc(which, func(want map[string]string) bool {
		for key, value := range want {
			if has, is := labels[key]; !is || has != value {
				return false
			}
		}
		return len(want) > 0
	})
}

// replacing has a create, or a connect of what was created, judged in the place of the container that its caller has just taken
// away, if the policy would have that. The hint says why it is judged as any other.
func (s *Steps) replacing(ctx context.Context, v *Verdict, in *policy.Input, objects *named) (hint []string) {
	op, caller := v.Operation, ownerOf(v.Caller)
	if v.Caller.Door != string(obligation.Gateway) || !s.olds.has(caller) {
		return nil
	}
	var name string
	switch op.ID {
	case "ContainerCreate":
		name = strings.TrimPrefix(op.Query.Get("name"), "/")
	case "NetworkConnect":
		name = objects.entered()
	}
	before := s.olds.get(caller, name)
	if before == nil {
		return nil
	}
	unlike := func(err error) []string {
		return []string{fmt.Sprintf("it is not what container %q was: %v", name, err)}
	}
	if typed := s.Policy.Decide(ctx, in); typed.Allows() {
		if op.ID == "ContainerCreate" && before.fields == nil {
			if err := op.Runs(&before.Old); err != nil {
				return unlike(err)
			}
			_, err := asBefore(op, before, objects)
			before.alike = err == nil
		}
		v.inPlaceOf = before
		return nil
	}
	other, err := *in, error(nil)
	if before.fields != nil {
		other.Operation = op.ReplacingIn(before.fields)
	} else if other.Operation, err = asBefore(op, before, objects); err != nil {
		return unlike(err)
	}
	before.alike = true
	if d := s.Policy.Decide(ctx, &other); !d.Allows() || !before.counts(&d) {
		return nil
	}
	v.Operation, in.Operation, v.inPlaceOf = other.Operation, other.Operation, before
	return nil
}

// asBefore is the operation in the place of what was before. Who comes into that one's networks is what this caller made in its place: whoever else has
// its name, renamed or made by another, is not.
func asBefore(op *operation.Operation, before *old, objects *named) (*operation.Operation, error) {
	networks := map[string]string{}
	for _, o := range objects.get() {
		switch {
		case o.Kind == operation.KindNetwork:
			networks[o.Ref] = o.ID
		case op.ID == "NetworkConnect" && (o.ID == "" || o.ID != before.made || !before.alike): // the container
			return nil, errors.New("the container of that name is another one, or was made with more")
		}
	}
	return op.Replacing(&before.Old, networks)
}

// counts says whether a container may be replaced by a decision.
func (o *old) counts(d *policy.Decision) bool {
	return o != nil && (o.revision == d.Revision || o.fields != nil) && fits(d.Recreate, o.labels)
}

// entered is the name of the one container that the request enters.
func (n *named) entered() (name string) {
	if n == nil {
		return ""
	}
	for _, o := range n.get() {
		switch {
		case o.Role != operation.RoleEnters || o.Kind != operation.KindContainer:
		case name != "":
			return ""
		default:
			name = o.Name
		}
	}
	return name
}

// replaceable holds what an allowed request does to containers to those that the policy lets it replace, and remembers what they have
// where they are about to go. What else the operation does is no matter of this.
func (s *Steps) replaceable(ctx context.Context, v *Verdict, objects *named, unlike []string) {
	d, op := &v.Decision, v.Operation
	if v.lifted || d.Admin || len(d.Recreate) == 0 || v.Caller.Door != string(obligation.Gateway) || !op.ChangesContainers() {
		return
	}
	if op.ID == "ContainerCreate" {
		if !v.inPlaceOf.counts(d) {
			v.deny(http.StatusForbidden, "recreate", append(unlike, "it may make a container only in place of one that it has stopped, renamed or removed a moment ago, under that one's name")...)
			return
		}
		v.world.Old = &record.Old{Name: v.inPlaceOf.Name, Labels: v.inPlaceOf.labels, Fields: op.ReplacedFields()}
		return
	}
	if op.NamesImage() {
		v.deny(http.StatusForbidden, "recreate", op.ID+" gives an image whatever name it likes, and what it makes anew would run that: it may only pull")
		return
	}
	if objects == nil {
		v.deny(http.StatusServiceUnavailable, "object", "it may change only some containers, and nobody can say which those are")
		return
	}
	changed := 0
	for _, o := range objects.get() {
		if o.Kind != operation.KindContainer && o.Kind != operation.KindExec {
			continue
		}
		if changed++; !s.mayReplace(v, o) {
			return
		}
	}
	switch {
	case changed == 0:
		v.deny(http.StatusForbidden, "recreate", "it may change only some containers, and "+op.ID+" cannot be limited to them")
	case slices.Contains([]string{"ContainerStop", "ContainerKill", "ContainerRename", "ContainerDelete"}, op.ID) && !v.again:
		s.keep(ctx, v, objects.target(op.ID))
	}
	if v.inPlaceOf != nil {
		v.world.Old = &record.Old{Name: v.inPlaceOf.Name, Labels: v.inPlaceOf.labels, Fields: op.ReplacedFields(), Made: v.inPlaceOf.made}
	}
}

// mayReplace denies a request that names a container which its caller may not replace. What it has made in the place of one, a moment ago, is
// that one's still: an image that sets the labels takes away the word of who gave them.
func (s *Steps) mayReplace(v *Verdict, o object.Object) bool {
	switch {
	case o.Known == nil:
		v.deny(http.StatusServiceUnavailable, "object", fmt.Sprintf("it cannot be told now whether container %q is one that it may change; try again", o.Ref))
	case !*o.Known:
		v.deny(http.StatusNotFound, "recreate", fmt.Sprintf("there is no container %q", o.Ref))
	case fits(v.Decision.Recreate, o.Labels):
		return true
	default:
		if before := s.olds.replacedBy(ownerOf(v.Caller), o.ID); before.counts(&v.Decision) {
			v.inPlaceOf = before
			return true
		}
		v.deny(http.StatusForbidden, "recreate", fmt.Sprintf("container %q is none of those that it may replace: it was not given their labels", o.Ref))
	}
	return false
}

// keep remembers what a container has, or denies the request that would take it away: what nobody remembers could not be made anew.
func (s *Steps) keep(ctx context.Context, v *Verdict, target *object.Object) {
	caller := ownerOf(v.Caller)
	if s.Old == nil || caller == "" {
		v.deny(http.StatusForbidden, "recreate", "it cannot be remembered for it what the container has, so that it could not make it anew")
		return
	}
	had, err := s.Old(ctx, target.ID)
	switch {
	case err != nil:
		v.deny(http.StatusServiceUnavailable, "object", "it cannot be told now what the container has, to make it anew; try again")
		return
	case had.Size() > oldSize:
		v.deny(http.StatusForbidden, "recreate", fmt.Sprintf("what the container has is %d bytes long, and %d can be remembered to make it anew", had.Size(), oldSize))
		return
	}
	now := &old{Old: *had, labels: target.Labels, revision: v.Decision.Revision, end: time.Now().Add(oldsAfter)}
	if before := v.inPlaceOf; before != nil { // see mayReplace
		now.labels, now.made, now.alike = before.labels, before.made, before.alike
	}
	s.olds.add(caller, now)
}
