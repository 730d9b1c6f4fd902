package policy

import (
	"slices"
	"strings"
)

// What a request makes and enters has names of the caller's choice, so that hardly two creates would be
// the same to a policy, and each would be evaluated. The built-in rules only compare these names with what
// roles are bound to (see reached in rego/authz.rego): any other name is the same to them as none. So they are
// not shown it, and a decision is remembered for all requests that differ in nothing else. An operator's rules
// beside them may read every name, and are shown all.

// showOnlyBound leaves out of what the policy is shown to be made and entered what none of its bindings is about.
func (p projection) showOnlyBound(data map[string]any) {
	bound := boundPrincipals(data)
	matters := func(name string) bool {
		if bound[name] || strings.HasSuffix(name, "*") { // it may stand for a bound one
			return true
		}
		user, ok := strings.CutPrefix(name, "container-") // a container's user is a peer where its process is not seen
		return ok && bound["peer-"+user]
	}
	for i, f := range p {
		if f.section == "operation" && (f.name == "mints" || f.name == "enters") {
			p[i].value = func(in *Input) value { return strs(only(f.value(in).list, matters)) }
		}
	}
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
