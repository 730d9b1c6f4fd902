package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
)

// Check vets the policy in paths as Load does, and looks at what loads but is
// probably not meant. It finds nothing in a policy that is in order; a Problem
// that is not a Warning would keep the policy from being loaded.
func Check(ctx context.Context, opts Options) []Problem {
	src, err := readSources(opts.Paths, opts.BuiltinIfAbsent)
	if err != nil {
		return problems(err, false)
	}
	_, found, err := build(ctx, src, opts)
	found = append(found, problems(err, false)...)
	own := src.modules
	if src.builtin {
		own, found = src.extra, append(found, checkData(src, opts)...)
	}
	if p, err := parse(own, capabilities()); err == nil {
		found = append(append(found, checkConstants(p.modules)...), checkTargets(p.modules)...)
	}
	return found
}

// checkData looks at roles and bindings.
func checkData(src *sources, opts Options) []Problem {
	where := map[string]position{}
	data := map[string]any{}
	for _, group := range src.data {
		read, err := readGroup(group, where)
		if err != nil {
			return nil // reported already
		}
		override(data, read)
	}
	terms := takeEnds(data, where)
	var found []Problem
	report := func(key, message string) {
		at := where[key]
		found = append(found, Problem{File: at.file, Line: at.line, Key: key, Message: message, Warning: true})
	}
	for _, t := range terms {
		if t.Over(opts.now()) {
			report(fmt.Sprintf("bindings.%s.%d", t.role, t.index), "has ended: take it out")
		}
	}
	checkAdmin(data, report)
	checkAudit(data, report)
	checkPartly(data, report)
	checkSequences(data, report)
	if opts.Survey != nil {
		checkHostPaths(data, opts.Survey, report)
	}
	checkWaysAround(data, report)
	checkBindings(src, data, opts.Never, report)
	checkStreams(data, report)
	checkViews(data, report)
	checkContradictions(data, report)
	checkImageNames(data, report)
	checkOwners(data, report)
	checkSockets(data, opts.NoSocket, report)
	checkRecreate(data, report)
	return found
}

// checkHostPaths objects to folders of the host out of which others can lead
// whoever a role allows to mount them.
func checkHostPaths(data map[string]any, survey func(string) []string, report func(key, message string)) {
	roles, _ := data["roles"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		role, _ := roles[name].(map[string]any)
		for i, p := range stringsOf(role["host_paths"]) {
			if !strings.HasPrefix(p, "/") || strings.ContainsRune(p, '$') {
				continue
			}
			for _, message := range survey(p) {
				report(fmt.Sprintf("roles.%s.host_paths.%d", name, i), message)
			}
		}
	}
}

// checkWaysAround warns of roles that hold paths of the host to some folders, and reach into containers that may have others mounted.
// Who sees only some containers reaches only those.
func checkWaysAround(data map[string]any, report func(key, message string)) {
	roles, _ := data["roles"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		role, _ := roles[name].(map[string]any)
		if role["host_paths"] == nil || role["own"] != nil || role["where"] != nil {
			continue
		}
		var ways []string
		hazards := stringsOf(role["hazards"])
		for _, h := range []operation.Hazard{operation.HazardVolumesFrom, operation.HazardJoinedNamespace} {
			if slices.Contains(hazards, string(h)) || slices.Contains(hazards, "*") {
				ways = append(ways, "the hazard "+string(h))
			}
		}
		if grants(role, "ContainerExec") {
			ways = append(ways, "ContainerExec")
		}
		if len(ways) > 0 {
			report("roles."+name+".host_paths", fmt.Sprintf(
				"by %s its holders reach what any other container has mounted, whatever host_paths says: limit it to containers by own or where, or leave that out", strings.Join(ways, " and ")))
		}
	}
}

// inAudit says that the holders of a role are denied nothing, but recorded.
func inAudit(roles map[string]any, name string) bool {
	role, _ := roles[name].(map[string]any)
	return role["mode"] == "audit"
}

// checkAudit says of roles in mode audit what that is.
func checkAudit(data map[string]any, report func(key, message string)) {
	roles, _ := data["roles"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		if inAudit(roles, name) {
			report("roles."+name+".mode", "in mode audit whoever holds the role may do everything but what rails stand before: take it out when it is learned")
		}
	}
}

// checkAdmin objects to bindings of admin that others can come by: a name, a
// label or an image is as trustworthy as all who may create containers.
func checkAdmin(data map[string]any, report func(key, message string)) {
	bindings, _ := data["bindings"].(map[string]any)
	list, _ := bindings[adminRole].([]any)
	for i, bound := range list {
		principals := stringsOf([]any{bound})
		if all, ok := bound.([]any); ok {
			principals = stringsOf(all)
		}
		// One that nobody can come by is enough: all of a list must hold.
		if !slices.ContainsFunc(principals, func(s string) bool { return principal.Split(s).Kind.Facts().ForAdmin }) {
			report(fmt.Sprintf("bindings.%s.%d", adminRole, i), fmt.Sprintf(
				"admin is bound to %s: bind it to unix:, tls: and local only", strings.Join(principals, " and ")))
		}
	}
}
