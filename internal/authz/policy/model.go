package policy

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"vitrine/internal/authz/grant"
	"vitrine/internal/engine/operation"
)

// Model is what data says of roles and bindings to the built-in rules, and where that is written. It is
// for telling and for looking for proofs: what is allowed only the rules say.
type Model struct {
	data  map[string]any
	where map[string]position
}

// ReadModel reads the data of the policy in paths. It is nil, without an error, if the rules are the operator's own.
func ReadModel(opts Options) (*Model, error) {
	src, err := readSources(opts.Paths, opts.BuiltinIfAbsent)
	if err != nil || !src.builtin {
		return nil, err
	}
	m, err := src.model(opts.now())
	if err != nil {
		return nil, err
	}
	m.lend(opts.Lent, opts.now())
	return m, nil
}

// lend adds the grants that hold to the bindings.
func (m *Model) lend(grants []grant.Grant, now time.Time) {
	v := &vetted{data: m.data, builtin: true}
	for _, g := range v.momentAt(now, grants).held {
		bindings, _ := m.data["bindings"].(map[string]any)
		all := make([]any, len(g.To))
		for i, p := range g.To {
			all[i] = p
		}
		list, _ := bindings[g.Role].([]any)
		bindings[g.Role] = append(slices.Clip(list), any(all))
		m.where[fmt.Sprintf("bindings.%s.%d", g.Role, len(list))] = position{file: "grant " + g.ID + ", until " + g.Until.UTC().Format(time.RFC3339)}
	}
}

func (s *sources) model(now time.Time) (*Model, error) {
	data, where, err := checkedData(s)
	if err != nil {
		return nil, err
	}
	for _, t := range takeEnds(data, where) {
		if list, _ := data["bindings"].(map[string]any)[t.role].([]any); t.Over(now) {
			list[t.index] = nil
		}
	}
	return &Model{data, where}, nil
}

// Holding is an entry of a binding: whoever has all its principals holds the role.
type Holding struct {
	Role       string   `json:"role"`
	Principals []string `json:"principals"`
	At         string   `json:"at"` // "data.yaml:12"
}

// Roles are the names of all roles, sorted.
func (m *Model) Roles() []string {
	roles, _ := m.data["roles"].(map[string]any)
	return slices.Sorted(maps.Keys(roles))
}

// Holdings are all entries of all bindings, by role, in the order in which they are written.
func (m *Model) Holdings() (all []Holding) {
	bindings, _ := m.data["bindings"].(map[string]any)
	for _, role := range slices.Sorted(maps.Keys(bindings)) {
		list, _ := bindings[role].([]any)
		for i, entry := range list {
			principals := stringsOf(entry)
			if len(principals) == 0 {
				principals = stringsOf([]any{entry})
			}
			if len(principals) == 0 { // it has ended
				continue
			}
			all = append(all, Holding{role, principals, m.at(fmt.Sprintf("bindings.%s.%d", role, i))})
		}
	}
	return all
}

// Held are the entries by which a caller holds a role.
func (m *Model) Held(principals []string) []Holding {
	return slices.DeleteFunc(m.Holdings(), func(h Holding) bool {
		return slices.ContainsFunc(h.Principals, func(p string) bool { return !slices.Contains(principals, p) })
	})
}

// Line is where a role says of an operation that it grants it; where the role begins, if it does not say so.
func (m *Model) Line(role string, op *operation.Operation) string {
	data := m.role(role)
	for _, says := range []struct {
		key   string
		words []string
	}{{"operations", []string{op.ID, "*"}}, {"access", []string{string(op.Access)}}} {
		for i, word := range stringsOf(data[says.key]) {
			if slices.Contains(says.words, word) {
				return m.at(fmt.Sprintf("roles.%s.%s.%d", role, says.key, i))
			}
		}
	}
	return m.at("roles." + role)
}

// Has says which strings stand under a role's key, and where the key is, the role if it is not there. given: the
// key is there.
func (m *Model) Has(role, key string) (words []string, at string, given bool) {
	data := m.role(role)
	if _, given = data[key]; given {
		return stringsOf(data[key]), m.at("roles." + role + "." + key), true
	}
	return nil, m.at("roles." + role), false
}

func (m *Model) role(name string) map[string]any {
	roles, _ := m.data["roles"].(map[string]any)
	role, _ := roles[name].(map[string]any)
	return role
}

func (m *Model) at(key string) string {
	p := m.where[key]
	return Problem{File: p.file, Line: p.line}.at()
}
