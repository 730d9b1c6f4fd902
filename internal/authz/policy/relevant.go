package policy

import (
	"slices"
	"strings"

	"vitrine/internal/engine/principal"
)

// What a request makes and enters has names of the caller's choice, so that hardly two creates would be
// the same to a policy, and each would be evaluated; and each new container has an id that nobody had before. The built-in
// rules only compare these names, and the caller's own, with what
// roles are bound to (see reached and roles in rego/authz.rego): any other name is the same to them as none. So they are
// not shown it, and a decision is remembered for all requests, and callers, that differ in nothing else. An operator's rules
// beside them may read every name, and are shown all.

// showOnlyBound leaves out of what the policy is shown to be made and entered, and to be the caller, what none of its bindings is about.
func (p projection) showOnlyBound(data map[string]any) {
	bound := boundPrincipals(data)
	named := ownNames(data)
	isCaller := func(name string) bool {
		return bound[name] || slices.ContainsFunc(named, func(k principal.Kind) bool { return principal.Split(name).Kind == k })
	}
	matters := func(name string) bool {
		if bound[name] || strings.HasSuffix(name, "*") { // it may stand for a bound one
			return true
		}
		return bound["peer-"+strings.TrimPrefix(name, "container-")] // a container's user is a peer where its process is not seen
	}
	for i, f := range p {
		switch f.section + "." + f.name {
		case "operation.mints", "operation.enters":
			p[i].value = func(in *Input) value { return strs(only(f.value(in).list, matters)) }
		case "caller.principals":
			p[i].value = func(in *Input) value { return strs(only(f.value(in).list, isCaller)) }
		}
	}
}

// ownNames are the kinds of principals of which roles take the caller's own name: see own_name in rego/authz.rego.
func ownNames(data map[string]any) (kinds []principal.Kind) {
	roles, _ := data["roles"].(map[string]any)
	for _, v := range roles {
		role, _ := v.(map[string]any)
		if role["own"] == "container" {
			kinds = append(kinds, principal.Container)
		}
		if role["own"] == "user" || slices.ContainsFunc(stringsOf(role["host_paths"]), func(path string) bool { return strings.Contains(path, "$user") }) {
			kinds = append(kinds, principal.Unix)
		}
	}
	return kinds
}

// boundPrincipals are all principals of the bindings, those of lists inside lists too.
func boundPrincipals(data map[string]any) map[string]bool {
	bound := map[string]bool{}
	bindings, _ := data["bindings"].(map[string]any)
	for _, list := range bindings {
		entries, _ := list.([]any)
		for _, entry := range entries {
			one, _ := entry.(string)
			for _, p := range append(stringsOf(entry), one) {
				bound[p] = true
			}
		}
	}
	return bound
}

// only is the list itself if all of it matters, which is without cost.
func only(list []string, matters func(string) bool) []string {
	if !slices.ContainsFunc(list, func(s string) bool { return !matters(s) }) {
		return list
	}
	var kept []string
	for _, s := range list {
		if matters(s) {
			kept = append(kept, s)
		}
	}
	return kept
}
