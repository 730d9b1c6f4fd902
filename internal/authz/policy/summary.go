package policy

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Summary says in a line what Check has looked at, of a policy that it found no error in.
func Summary(opts Options) (string, error) {
	src, err := readSources(opts.Paths, opts.BuiltinIfAbsent)
	if err != nil {
		return "", err
	}
	data, err := readData(src)
	if err != nil {
		return "", err
	}
	names := namesOf(src.own())
	var parts []string
	if src.builtin {
		rules := "the built-in rules"
		if len(names) > 0 {
			rules += " with " + strings.Join(names, ", ")
		}
		roles, _ := data["roles"].(map[string]any)
		bindings, _ := data["bindings"].(map[string]any)
		parts = append(parts, rules, fmt.Sprintf("%d roles, bound are %s", len(roles), strings.Join(slices.Sorted(maps.Keys(bindings)), ", ")))
	} else {
		parts = append(parts, "rules of your own: "+strings.Join(names, ", "))
	}
	parts = append(parts, fmt.Sprintf("%d inputs of the self-test answered", len(probes())))
	if n := len(src.cases()); n > 0 {
		parts = append(parts, fmt.Sprintf("its cases hold (%d files)", n))
	}
	switch {
	case src.tested: // ours, which ran before they were compiled in
	case len(src.tests) == 0:
		parts = append(parts, "no tests of its own (*_test.rego)")
	default:
		parts = append(parts, "its own tests pass")
	}
	return fmt.Sprintf("%s; revision %s", strings.Join(parts, "; "), src.revision), nil
}

func namesOf(files []file) []string {
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, filepath.Base(f.name))
	}
	return names
}

// checkBindings says which roles nobody holds, and which bindings nobody can have. never says
// of a principal why nobody has it; it may be nil.
func checkBindings(src *sources, data map[string]any, never func(principal string) string, report func(key, message string)) {
	own := src.ownData()
	bindings, _ := data["bindings"].(map[string]any)
	if mine, has := own["bindings"].(map[string]any); has {
		bindings = mine
	}
	roles, _ := own["roles"].(map[string]any)
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		if list, _ := bindings[role].([]any); len(list) == 0 {
			report("roles."+role, "nobody holds it: bindings do not name it")
		}
	}
	mine, _ := own["bindings"].(map[string]any)
	checkBare(mine, report)
	if never == nil {
		return
	}
	for _, role := range slices.Sorted(maps.Keys(mine)) {
		list, _ := mine[role].([]any)
		for i, bound := range list {
			for _, principal := range append(stringsOf(bound), stringsOf([]any{bound})...) {
				if why := never(principal); why != "" {
					report(fmt.Sprintf("bindings.%s.%d", role, i), fmt.Sprintf("%s is nobody: %s", principal, why))
				}
			}
		}
	}
}

// checkBare objects to bindings that name nothing but a number or an image's id, which any
// container's process may have: whoever does not hold the role is refused what could make one.
func checkBare(bindings map[string]any, report func(key, message string)) {
	bare := func(principal string) bool {
		kind, _, _ := strings.Cut(principal, ":")
		return slices.Contains([]string{"container-uid", "container-gid", "image-id"}, kind)
	}
	for _, role := range slices.Sorted(maps.Keys(bindings)) {
		list, _ := bindings[role].([]any)
		for i, bound := range list {
			all, isList := bound.([]any)
			if !isList {
				all = []any{bound}
			}
			principals := stringsOf(all)
			if len(principals) > 0 && !slices.ContainsFunc(principals, func(p string) bool { return !bare(p) }) {
				report(fmt.Sprintf("bindings.%s.%d", role, i), fmt.Sprintf("%s may be any container's, so that nobody without this role may create containers"+
					" (or, for a user, exec into one): bind it together with a name or a label, [container:NAME, %s]", strings.Join(principals, " and "), strings.Join(principals, ", ")))
			}
		}
	}
}
