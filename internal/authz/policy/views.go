package policy

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"vitrine/internal/authz/view"
	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
)

// checkViews warns of roles that see some objects only, and cannot be what their author
// means by them.
func checkViews(data map[string]any, report func(key, message string)) {
	roles, _ := data["roles"].(map[string]any)
	bindings, _ := data["bindings"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		role, _ := roles[name].(map[string]any)
		key := "roles." + name
		if name == adminRole || role["where"] == nil && role["own"] == nil {
			if name != adminRole && role["shared"] != nil {
				report(key+".shared", "is for roles with own or where: this one sees everything")
			}
			if name != adminRole && role["image_names"] != nil {
				report(key+".image_names", "is for roles with own or where: this one gives images whatever names it likes")
			}
			continue
		}
		if taken := slices.DeleteFunc(stringsOf(role["hazards"]), func(h string) bool { return !slices.Contains(gettingRound, h) }); len(taken) > 0 && role["host_paths"] == nil {
			report(key+".hazards", "with "+strings.Join(taken, ", ")+" it has everybody's things, whatever it sees")
		}
		if shared, _ := role["shared"].(map[string]any); role["own"] != nil && shared["images"] == nil && role["image_names"] == nil && grants(role, "ContainerCreate") {
			report(key+".own", "no image is anybody's own, and it shares none: it can start no container (shared: {images: [...]})")
		}
		for i, op := range stringsOf(role["operations"]) {
			if shared, _ := role["shared"].(map[string]any); op == "ImageBuild" && !slices.Contains(stringsOf(shared["images"]), "*") {
				report(fmt.Sprintf("%s.operations.%d", key, i), `a Dockerfile can begin with any image, so a build is denied without shared: {images: ["*"]}`)
			}
			if slices.Contains([]string{"ImageBuild", "ImageTag", "ImageCommit", "ImagePush"}, op) && role["image_names"] == nil {
				report(fmt.Sprintf("%s.operations.%d", key, i), op+" is denied without names that the images may have: image_names")
			}
		}
		for i, op := range stringsOf(role["operations"]) {
			if op != "*" && !view.Can(op) {
				report(fmt.Sprintf("%s.operations.%d", key, i), op+" cannot be limited to some objects, and is denied to who sees only some")
			}
		}
		checkStamp(key, role, report)
		if shared, _ := role["shared"].(map[string]any); shared["volumes"] != nil && grants(role, "ContainerCreate") {
			report(key+".shared.volumes", "each holder may write to them, and the others read that: nothing makes a shared volume read-only")
		}
		list, _ := bindings[name].([]any)
		for i, bound := range list {
			if why := nobodysOwn(role["own"], bound); why != "" {
				report(fmt.Sprintf("bindings.%s.%d", name, i), why)
			}
			if bound == "local" {
				report(fmt.Sprintf("bindings.%s.%d", name, i), "local comes by dockerd's own socket, where nothing can be left out of an answer: it is denied nearly everything that this role grants")
			}
		}
	}
}

// checkSockets warns of roles that put the gateway's socket in place of the Engine's, where that cannot be or is not what it
// seems.
func checkSockets(data map[string]any, noSocket bool, report func(key, message string)) {
	roles, _ := data["roles"].(map[string]any)
	bindings, _ := data["bindings"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		role, _ := roles[name].(map[string]any)
		key := "roles." + name + ".engine_socket"
		switch {
		case role["engine_socket"] == nil:
			continue
		case noSocket:
			report(key, "the configuration has no listener on a Unix socket, so that there is none to put in: what mounts the engine's is denied (listen)")
		case !grants(role, "ContainerCreate"):
			report(key, "is for roles that make containers, which this one does not")
		case role["own"] == nil:
			report(key, "without own nobody can tell which containers its holders have made: bind what those may do to their names, or write own")
		}
		if list, _ := bindings[name].([]any); slices.Contains(list, any("local")) {
			report(key, "local comes by dockerd's own socket, where nothing can be put in: what mounts the engine's socket is denied to it")
		}
	}
}

// nobodysOwn says why whoever is bound by an entry owns nothing, and so is denied all, "" if he may.
func nobodysOwn(own, bound any) string {
	of := map[any]string{"container": "container", "user": "host"}[own]
	all, isList := bound.([]any)
	if !isList {
		all = []any{bound}
	}
	for _, entry := range stringsOf(all) {
		if kind := principal.Split(entry).Kind.Facts(); of != "" && kind.Of != of {
			return fmt.Sprintf("%s is no %s's, and own: %v gives each %s its own things: nobody bound by it may do anything", entry, ownerWord(own), own, ownerWord(own))
		}
	}
	return ""
}

func ownerWord(own any) string {
	if own == "user" {
		return "host user"
	}
	return "container"
}

// checkContradictions warns of roles that one entry binds, and that want different values for a label: what both grant is denied to it.
func checkContradictions(data map[string]any, report func(key, message string)) {
	roles, _ := data["roles"].(map[string]any)
	bindings, _ := data["bindings"].(map[string]any)
	first := map[string]string{} // by entry, kind of limit and label: the role that wants a value
	for _, name := range slices.Sorted(maps.Keys(bindings)) {
		role, _ := roles[name].(map[string]any)
		list, _ := bindings[name].([]any)
		for i, bound := range list {
			entry := fmt.Sprint(bound)
			for _, limit := range []string{"where", "stamp"} {
				labels, _ := role[limit].(map[string]any)
				for _, label := range slices.Sorted(maps.Keys(labels)) {
					at := strings.Join([]string{entry, limit, label}, "\x00")
					other, known := first[at]
					if !known {
						first[at] = name
						continue
					}
					of, _ := roles[other].(map[string]any)
					if values, _ := of[limit].(map[string]any); values[label] != labels[label] {
						report(fmt.Sprintf("bindings.%s.%d", name, i), fmt.Sprintf("%s holds role %s too, and they want %s=%v and %s=%v in %s: what both grant is denied",
							entry, other, label, labels[label], label, values[label], limit))
					}
				}
			}
		}
	}
}

// checkImageNames warns of roles whose holders do not see the same, and may give images the same names.
func checkImageNames(data map[string]any, report func(key, message string)) {
	roles, _ := data["roles"].(map[string]any)
	type names struct {
		role  map[string]any
		begin string
		at    string
	}
	var all []names
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		role, _ := roles[name].(map[string]any)
		for i, written := range stringsOf(role["image_names"]) {
			begin, _, open := strings.Cut(strings.TrimSuffix(written, "*"), "$owner")
			if !open && !strings.HasSuffix(written, "*") {
				begin += "\x00" // no other name begins with it
			}
			all = append(all, names{role, begin, fmt.Sprintf("roles.%s.image_names.%d", name, i)})
		}
	}
	for i, n := range all {
		for _, other := range all[:i] {
			same := n.role["own"] != nil && other.role["own"] != nil || n.role["own"] == nil && other.role["own"] == nil && reflect.DeepEqual(n.role["where"], other.role["where"])
			if !same && (strings.HasPrefix(n.begin, other.begin) || strings.HasPrefix(other.begin, n.begin)) {
				report(n.at, "gives names that "+other.at+" gives too, to callers who do not see the same: each could have the others run its images")
			}
		}
	}
}

// byGateway warns of roles that nobody can have anything of, as there is no gateway.
func byGateway(data map[string]any) (found []Problem) {
	roles, _ := data["roles"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		role, _ := roles[name].(map[string]any)
		for _, key := range []string{"own", "where", "stamp", "ceilings", "recreate"} {
			if role[key] != nil {
				found = append(found, Problem{
					Key: "roles." + name + "." + key, Warning: true,
					Message: "is the gateway's work, and there is none (no listener): dockerd's own socket denies what it would have to change, or leave out",
				})
			}
		}
	}
	return found
}

// checkOwners warns of entries about what somebody has made which nobody can hold, as he does not hold the role himself in
// the same words.
func checkOwners(data map[string]any, report func(key, message string)) {
	bindings, _ := data["bindings"].(map[string]any)
	for _, role := range slices.Sorted(maps.Keys(bindings)) {
		list, _ := bindings[role].([]any)
		held := map[string]bool{}
		for _, entry := range list {
			one, is := entry.(string)
			if !is {
				one = strings.Join(stringsOf(entry), "+")
			}
			held[one] = len(ownersIn(entry)) == 0
		}
		for i, entry := range list {
			for _, owner := range ownersIn(entry) {
				if !held[owner] {
					report(fmt.Sprintf("bindings.%s.%d", role, i), fmt.Sprintf(
						"nobody holds this: what somebody has made holds no more than he does, and %s is no entry of this binding itself", strings.ReplaceAll(owner, "+", " and ")))
				}
			}
		}
	}
}

// gettingRound are the hazards with which a container reaches what belongs to others.
var gettingRound = []string{"*", "privileged", "host-path", "host-namespace", "devices", "engine-socket", "vitrine-files", "volume-driver", "security-opt"}

// checkStamp warns of a role that would not see what it makes.
func checkStamp(key string, role map[string]any, report func(key, message string)) {
	makes := slices.DeleteFunc([]string{"ContainerCreate", "NetworkCreate", "VolumeCreate"}, func(op string) bool { return !grants(role, op) })
	where, _ := role["where"].(map[string]any)
	stamp, _ := role["stamp"].(map[string]any)
	for _, label := range slices.Sorted(maps.Keys(where)) {
		value, is := where[label].(string)
		switch {
		case len(makes) == 0 || !is || label == ownerLabel || stamp[label] == value:
		case label == operation.NetworkLabel:
			report(key+".where", fmt.Sprintf("grants %s, and sees what it makes only if that is a container in network %s", strings.Join(makes, " and "), value))
		default:
			report(key+".where", fmt.Sprintf("grants %s, and what it makes is not one of the objects that it sees, or is given labels of its choice: write stamp: {%s: %v} too", strings.Join(makes, " and "), label, where[label]))
		}
	}
}
