package learn

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/engine/operation"
)

// Grant is something that a policy grants, and that no request of a record used.
type Grant struct {
	Role string `json:"role"`
	Key  string `json:"key"`  // "operations", "access", "resources", "hazards", "host_paths", "bindings"
	Word string `json:"word"` // what is unused
	At   string `json:"at"`   // "data.yaml:12"
}

// Unused says what of roles and bindings, but for admin, no allowed request of a record used. Only bound roles are looked
// at, and of those what somebody holds; since is the time of the oldest request.
func Unused(m *policy.Model, lines []*record.Line) (unused []Grant, since time.Time) {
	for _, l := range lines {
		if since.IsZero() || l.First.Before(since) {
			since = l.First
		}
	}
	byRole := map[string][]*record.Line{}
	for _, h := range m.Holdings() {
		if h.Role == "admin" {
			continue // is for the day on which it is needed
		}
		used := false
		for _, l := range lines {
			if holds(h.Principals, l) {
				used = true
				if l.Verdict.Answer != record.Deny && !slices.Contains(byRole[h.Role], l) {
					byRole[h.Role] = append(byRole[h.Role], l)
				}
			}
		}
		if _, known := byRole[h.Role]; !known {
			byRole[h.Role] = nil
		}
		if !used {
			unused = append(unused, Grant{h.Role, "bindings", strings.Join(h.Principals, " and "), h.At})
		}
	}
	for _, role := range m.Roles() {
		of, bound := byRole[role]
		if !bound || len(of) == 0 {
			continue // nobody holds it, or the bindings say it
		}
		for _, key := range []string{"operations", "access", "resources", "hazards", "host_paths"} {
			words, at, _ := m.Has(role, key)
			for _, word := range words {
				if word != "*" && !slices.ContainsFunc(of, func(l *record.Line) bool { return uses(key, word, l) }) {
					unused = append(unused, Grant{role, key, word, at})
				}
			}
		}
	}
	return unused, since
}

func holds(principals []string, l *record.Line) bool {
	return !slices.ContainsFunc(principals, func(p string) bool { return !slices.Contains(l.Caller.Principals, p) })
}

// uses says whether a request had use for a word of a role.
func uses(key, word string, l *record.Line) bool {
	op, err := l.Operation.Operation(l.Engine)
	if err != nil {
		return true // it cannot be told
	}
	switch key {
	case "operations":
		return op.ID == word
	case "access":
		return string(op.Access) == word
	case "resources":
		return op.Resource == word
	case "hazards":
		return slices.Contains(op.Hazards, operation.Hazard(word))
	}
	return slices.ContainsFunc(hostPaths(l), func(p string) bool { return strings.Contains(word, "$") || below(p, word) })
}

// below says whether a path, or a volume, is what a role's host_paths name, or lies below that.
func below(p, allowed string) bool {
	if prefix, open := strings.CutSuffix(allowed, "*"); open && strings.HasPrefix(allowed, "volume:") {
		return strings.HasPrefix(p, prefix)
	}
	return strings.HasPrefix(path.Clean(p)+"/", strings.TrimRight(allowed, "/")+"/")
}

// hostPaths are the paths of a request, each as what it is on the host.
func hostPaths(l *record.Line) (paths []string) {
	for _, p := range l.Operation.HostPaths {
		for _, at := range l.World.Paths {
			if at.From == p && at.To != "" {
				p = at.To
			}
		}
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// WriteUnused tells a person.
func WriteUnused(w io.Writer, unused []Grant, since time.Time) error {
	var b strings.Builder
	for _, g := range unused {
		fmt.Fprintf(&b, "%s: role %s: %s: %s was never used\n", g.At, g.Role, g.Key, g.Word)
	}
	switch {
	case since.IsZero():
		b.WriteString("the record is empty\n")
	case len(unused) == 0:
		fmt.Fprintf(&b, "everything was used since %s\n", since.UTC().Format("2006-01-02 15:04"))
	default:
		fmt.Fprintf(&b, "in the record, which begins at %s\n", since.UTC().Format("2006-01-02 15:04"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
