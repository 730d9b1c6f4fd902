package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vitrine/internal/engine/operation"
)

// sequence is what one command of Docker's command line asks, beside what anybody
// may: whoever may do the first, and not the rest, has a command that ends half way.
type sequence struct {
	command string
	first   string
	rest    []string
}

// sequences were recorded of the command lines of 20.10 and 28. What an Engine can do
// without (to inspect before cp, to pull before run) is not in them, nor what follows
// from the first by itself (start and inspect of one's own exec).
func sequences() []sequence {
	return []sequence{
		{"docker run", "ContainerCreate", []string{"ContainerStart"}},
		{"docker attach, and docker run in the foreground", "ContainerAttach", []string{"ContainerInspect", "ContainerWait"}},
		{"docker exec", "ContainerExec", []string{"ContainerInspect", "ExecStart", "ExecInspect"}},
		{"docker logs", "ContainerLogs", []string{"ContainerInspect"}},
		{"docker cp", "ContainerArchive", []string{"ContainerArchiveInfo"}},
		{"docker stats", "ContainerStats", []string{"ContainerList", "SystemEvents"}},
	}
}

// checkSequences warns of roles with the beginning of a command and without its end, unless
// whoever holds such a role holds another one that has it.
func checkSequences(data map[string]any, report func(key, message string)) {
	roles, _ := data["roles"].(map[string]any)
	bindings, _ := data["bindings"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		if name == adminRole { // passes everything
			continue
		}
		renameOperations(roles[name])
		for _, s := range sequences() {
			missing := map[string]bool{}
			if grants(roles[name], s.first) {
				for _, held := range heldWith(name, bindings) {
					for _, op := range s.rest {
						if !slices.ContainsFunc(held, func(role string) bool { return grants(roles[role], op) }) {
							missing[op] = true
						}
					}
				}
			}
			if len(missing) > 0 {
				ops := slices.Sorted(maps.Keys(missing))
				report("roles."+name, fmt.Sprintf("grants %s, and %s also asks %s: add to operations what is meant%s",
					s.first, s.command, strings.Join(ops, " and "), aboutEnv(ops)))
			}
		}
	}
}

func aboutEnv(ops []string) string {
	if slices.Contains(ops, "ContainerInspect") {
		return ", and redact ContainerInspect or take the hazard env"
	}
	return ""
}

// heldWith gives, for each binding of a role, the roles that one holds by it.
func heldWith(role string, bindings map[string]any) (all [][]string) {
	list, _ := bindings[role].([]any)
	for _, bound := range list {
		var held []string // that role, too
		for other, principals := range bindings {
			list, _ := principals.([]any)
			if slices.ContainsFunc(list, func(p any) bool { return fmt.Sprint(p) == fmt.Sprint(bound) }) {
				held = append(held, other)
			}
		}
		all = append(all, held)
	}
	if all == nil {
		return [][]string{{role}}
	}
	return all
}

// grants says what the built-in rules say of a role and an operation in its most usual form:
// ContainerStats streams, and ContainerInspect shows environments. A test holds it against them.
func grants(v any, id string) bool {
	role, _ := v.(map[string]any)
	if id != "ContainerInspect" || !includes(role, id) {
		return includes(role, id)
	}
	hazards := stringsOf(role["hazards"])
	redact, _ := role["redact"].(map[string]any)
	return slices.Contains(hazards, "*") || slices.Contains(hazards, "env") || redact[id] != nil || redact["*"] != nil
}

func includes(role map[string]any, id string) bool {
	operations := stringsOf(role["operations"])
	if slices.Contains(operations, id) || slices.Contains(operations, "*") {
		return true
	}
	if slices.Contains(stringsOf(role["except"]), id) {
		return false
	}
	if id == "ExecStart" || id == "ExecInspect" {
		return includes(role, "ContainerExec") || classed(role, id)
	}
	return classed(role, id)
}

func classed(role map[string]any, id string) bool {
	for _, op := range operation.Operations() {
		if op.ID != id {
			continue
		}
		access := op.Access
		if id == "ContainerStats" {
			access = operation.Stream
		}
		resources, limited := role["resources"]
		return slices.Contains(stringsOf(role["access"]), string(access)) &&
			(!limited || slices.Contains(stringsOf(resources), op.Resource))
	}
	return false
}
