package explain

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/policy"
	"vitrine/internal/engine/operation"
)

// change is a change of data that would allow a request, decided under it.
type change struct {
	Edits []string `json:"edits"` // one a line of data.yaml
	// Opens is what else the caller could do then: operations of the catalogue, with the hazards that they could carry.
	Opens []opened `json:"opens"`
}

// opened is an operation that a change would allow.
type opened struct {
	Operation string             `json:"operation"`
	Hazards   []operation.Hazard `json:"hazards,omitempty"`
}

func (o opened) String() string {
	if len(o.Hazards) == 0 {
		return o.Operation
	}
	words := make([]string, len(o.Hazards))
	for i, h := range o.Hazards {
		words[i] = string(h)
	}
	return o.Operation + " with " + strings.Join(words, ", ")
}

// edit is one change of data.
type edit struct {
	say   string
	apply func(data map[string]any)
}

const adminRole = "admin"

// change looks for the fewest edits that allow the request; of as many, for those that open least. why says why there are none.
func (q *Question) change(ctx context.Context, m *policy.Model, v *decide.Verdict) (c *change, why string) {
	op := v.Operation
	best := q.best(ctx, q.candidates(m, op))
	if best == nil {
		best = q.best(ctx, q.more(m, op))
	}
	if best == nil {
		return nil, "no change of roles was found that would allow it (" + strings.Join(v.Reasons(), "; ") + ")"
	}
	c = &change{Opens: []opened{}}
	for _, e := range best.edits {
		c.Edits = append(c.Edits, e.say)
	}
	for _, o := range best.opens() {
		if o.Operation != op.ID || !slices.Equal(o.Hazards, op.Hazards) {
			c.Opens = append(c.Opens, o)
		}
	}
	return c, ""
}

// way is a list of edits that allows the request, and what it opens.
type way struct {
	edits []edit
	opens func() []opened // decides the catalogue's examples, once
}

// best is the shortest of candidates that allows the request, without the edits that it does not need; nil if none does.
func (q *Question) best(ctx context.Context, candidates [][]edit) (best *way) {
	for _, candidate := range candidates {
		if !q.allowedUnder(ctx, candidate) {
			continue
		}
		for i := 0; i < len(candidate); {
			if without := slices.Delete(slices.Clone(candidate), i, i+1); q.allowedUnder(ctx, without) {
				candidate = without
			} else {
				i++
			}
		}
		found := &way{candidate, sync.OnceValue(func() []opened { return q.opens(ctx, candidate) })}
		shorter := best == nil || len(candidate) < len(best.edits)
		if shorter || len(candidate) == len(best.edits) && len(found.opens()) < len(best.opens()) {
			best = found
		}
	}
	return best
}

// allowedUnder decides the request under some edits.
func (q *Question) allowedUnder(ctx context.Context, edits []edit) bool {
	options := q.Options
	options.Policy = q.under(ctx, edits, true)
	v, _ := Ask(ctx, options, q.Caller, q.Request())
	return v.Allow && !Hidden(v)
}

// under is the policy with some edits, which denies everything if it cannot be loaded.
func (q *Question) under(ctx context.Context, edits []edit, once bool) *policy.Engine {
	opts := q.Policy
	opts.Positions, opts.Once = false, once
	opts.Amend = func(data map[string]any) {
		for _, e := range edits {
			e.apply(data)
		}
	}
	engine := policy.New(opts)
	_ = engine.Load(ctx)
	return engine
}

// candidates are lists of edits that may allow an operation: for each role that the caller holds what that lacks, each
// other role by itself, and a new one.
func (q *Question) candidates(m *policy.Model, op *operation.Operation) (all [][]edit) {
	who := q.Caller.String()
	held := map[string]bool{}
	for _, h := range m.Held(q.Caller.Principals) {
		held[h.Role] = true
	}
	for _, role := range m.Roles() {
		switch {
		case role == adminRole: // that is nothing to advise
		case held[role]:
			all = append(all, q.lacking(m, role, op))
		case len(q.Caller.Principals) > 0:
			all = append(all, []edit{bind(role, who)})
		}
	}
	if len(held) == 0 && len(q.Caller.Principals) > 0 {
		role := "new"
		for slices.Contains(m.Roles(), role) {
			role += "1"
		}
		all = append(all, append([]edit{bind(role, who)}, q.lacking(m, role, op)...))
	}
	return all
}

// more are what a role of the caller lacks, and every other role beside it: one that the request would lend it may
// be among them.
func (q *Question) more(m *policy.Model, op *operation.Operation) (all [][]edit) {
	held := map[string]bool{adminRole: true}
	for _, h := range m.Held(q.Caller.Principals) {
		held[h.Role] = true
	}
	var others []edit
	for _, role := range m.Roles() {
		if !held[role] {
			others = append(others, bind(role, q.Caller.String()))
		}
	}
	for _, role := range m.Roles() {
		if held[role] && role != adminRole {
			all = append(all, append(q.lacking(m, role, op), others...))
		}
	}
	return all
}

// lacking is what a role may lack for an operation.
func (q *Question) lacking(m *policy.Model, role string, op *operation.Operation) []edit {
	edits := []edit{add(m, role, "operations", op.ID)}
	for _, h := range op.Hazards {
		edits = append(edits, add(m, role, "hazards", string(h)))
	}
	if _, _, limited := m.Has(role, "host_paths"); limited {
		for _, p := range op.HostPath {
			edits = append(edits, add(m, role, "host_paths", p))
		}
	}
	_, at, _ := m.Has(role, "unresolved")
	edits = append(edits, edit{"set unresolved: true in role " + role + place(at), func(data map[string]any) {
		roleOf(data, role)["unresolved"] = true
	}}, edit{"set without_redaction: true in role " + role + place(at) + ", which shows its holders every secret at dockerd's own socket", func(data map[string]any) {
		roleOf(data, role)["without_redaction"] = true
	}})
	if slices.Contains(op.Hazards, operation.HazardEngineSocket) && q.Caller.Door == string(obligation.Gateway) { // last: what the role need not take then is left out
		_, at, _ = m.Has(role, "engine_socket")
		edits = append(edits, edit{"set engine_socket: substitute in role " + role + place(at) + ", which puts the gateway's socket in place of the engine's", func(data map[string]any) {
			roleOf(data, role)["engine_socket"] = "substitute"
		}})
	}
	return edits
}

func add(m *policy.Model, role, key, word string) edit {
	_, at, _ := m.Has(role, key)
	return edit{fmt.Sprintf("add %s to %s of role %s%s", word, key, role, place(at)), func(data map[string]any) {
		of := roleOf(data, role)
		list, _ := of[key].([]any)
		of[key] = append(slices.Clip(list), word)
	}}
}

func bind(role, who string) edit {
	return edit{fmt.Sprintf("bind role %s to %s: add it to bindings.%s", role, who, role), func(data map[string]any) {
		bindings, _ := data["bindings"].(map[string]any)
		if bindings == nil {
			bindings = map[string]any{}
			data["bindings"] = bindings
		}
		list, _ := bindings[role].([]any)
		bindings[role] = append(slices.Clip(list), who)
	}}
}

// roleOf is a role of data, made if it is not there.
func roleOf(data map[string]any, name string) map[string]any {
	roles, _ := data["roles"].(map[string]any)
	if roles == nil {
		roles = map[string]any{}
		data["roles"] = roles
	}
	role, _ := roles[name].(map[string]any)
	if role == nil {
		role = map[string]any{}
		roles[name] = role
	}
	return role
}

// place says where, and what to do first if that is in the program.
func place(at string) string {
	switch {
	case at == "":
		return ""
	case strings.HasPrefix(at, "built-in/"), strings.HasPrefix(at, "preset:"):
		return " (" + at + ": copy the role to your data.yaml, and change it there)"
	}
	return " (" + at + ")"
}

// opens are the kinds of requests that the policy would allow the caller with some edits, and does not allow without.
func (q *Question) opens(ctx context.Context, edits []edit) (list []opened) {
	before, after := q.under(ctx, nil, false), q.under(ctx, edits, false)
	allows := func(e *policy.Engine, op *operation.Operation) bool {
		_, code := e.Would(ctx, &policy.Input{Caller: q.Caller, Operation: op})
		return code == ""
	}
	for _, info := range operation.Operations() {
		for _, example := range operation.Examples()[info.ID] {
			op := example.Operation
			if allows(after, op) && !allows(before, op) {
				list = append(list, opened{op.ID, op.Hazards})
			}
		}
	}
	return list
}
