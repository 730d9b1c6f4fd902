package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// recreate checks which containers may be made anew.
func (c *roleChecker) recreate(key string, v any) {
	c.object(key, v, map[string]check{"where": c.labels})
	if of, is := v.(map[string]any); is && of["where"] == nil {
		c.problem(key, "does not say which containers may be made anew: recreate: {where: {LABEL: VALUE}}")
	}
}

// checkRecreate warns of roles that make containers anew, and cannot, or get more by it than their author believes.
func checkRecreate(data map[string]any, report func(key, message string)) {
	roles, _ := data["roles"].(map[string]any)
	bindings, _ := data["bindings"].(map[string]any)
	takesAway := []string{"ContainerStop", "ContainerKill", "ContainerRename", "ContainerDelete"}
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		role, _ := roles[name].(map[string]any)
		if role["recreate"] == nil {
			continue
		}
		key := "roles." + name
		of := func(id string) bool { return grants(role, id) }
		switch {
		case !of("ContainerCreate"):
			report(key+".recreate", "is for roles that make containers, which this one does not; to change only some containers, write where")
		case !slices.ContainsFunc(takesAway, of):
			report(key+".recreate", "it may make only what it has taken away, and it can take nothing away: add one of "+strings.Join(takesAway, ", "))
		}
		if taken := slices.DeleteFunc(stringsOf(role["hazards"]), func(h string) bool { return !slices.Contains(gettingRound, h) }); len(taken) > 0 {
			report(key+".hazards", "with "+strings.Join(taken, ", ")+" it may make of each container that it replaces what it likes: what that had already needs no hazard here")
		}
		for _, id := range []string{"ContainerExec", "ContainerAttach", "PutContainerArchive", "ContainerUpdate"} {
			if of(id) {
				report(key+".recreate", "beside "+id+" it also gets into the containers that it may replace, with all that those have")
			}
		}
		for i, id := range stringsOf(role["operations"]) {
			if slices.Contains([]string{"ImageBuild", "ImageCommit", "ImageLoad", "ImageTag"}, id) {
				report(fmt.Sprintf("%s.operations.%d", key, i), id+" gives an image a name that a container may be made anew of, and is denied to who holds the role")
			}
		}
		if list, _ := bindings[name].([]any); slices.Contains(list, any("local")) {
			report(key+".recreate", "local comes by dockerd's own socket, where nothing is remembered: it is denied to change a container")
		}
	}
}
