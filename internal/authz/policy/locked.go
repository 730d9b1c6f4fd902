package policy

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
)

// strictKey of the data says that nobody on the host needs to be admin.
const strictKey = "strict"

// administrable objects to data of the built-in policy under which nobody on the host
// is admin. Its author would be locked out with everybody else: the
// Engine API cannot disable the plugin then, nor undo what was done.
func (c *roleChecker) administrable(data map[string]any) {
	if strict, _ := data[strictKey].(bool); strict {
		return
	}
	bindings, _ := data["bindings"].(map[string]any)
	list, _ := bindings[adminRole].([]any)
	way := fmt.Sprintf("write admin: [\"unix:root\", local] under bindings, or %s: true at the top if that is meant", strictKey)
	switch {
	case len(list) == 0:
		c.problem("bindings", "nobody is admin, so nobody could disable the plugin or undo a mistake through Docker: %s", way)
	case !slices.ContainsFunc(list, heldOnHost):
		c.problem("bindings."+adminRole, "neither local nor a user of the host is admin, so nobody on the host could disable the plugin or undo a mistake through Docker: %s", way)
	}
}

// heldOnHost: a process of the host can hold what is bound.
func heldOnHost(bound any) bool {
	if s, ok := bound.(string); ok {
		bound = []any{s}
	}
	all := stringsOf(bound)
	return len(all) > 0 && (slices.Equal(all, []string{string(principal.Local)}) || !slices.ContainsFunc(all, func(s string) bool {
		return principal.Split(s).Kind.Facts().Of != string(identity.Host)
	}))
}

// lockedOut asks a policy of the operator's own what administrable asks of data. Its
// rules may do what they like, so the answer is a warning.
func lockedOut(ctx context.Context, g *generation, data map[string]any) []Problem {
	if strict, _ := data[strictKey].(bool); strict {
		return nil
	}
	zero := uint32(0)
	callers := map[string]*identity.Identity{
		"local":     {Kind: identity.Local, Principals: []string{"local"}, Groups: []uint32{}, Door: "plugin"},
		"unix:root": {Kind: identity.Host, Principals: []string{"gid:0", "uid:0", "unix:root"}, UID: &zero, GID: &zero, Groups: []uint32{0}, User: "root", Door: "gateway"},
	}
	op, err := operation.Parse(&operation.Request{Method: http.MethodPost, URI: "/v" + operation.MaxVersion + "/plugins/vitrine/disable", Proto: "HTTP/1.1", Header: http.Header{}})
	if err != nil {
		return []Problem{{Message: "ask who is admin: " + err.Error(), Warning: true}}
	}
	for _, who := range slices.Sorted(maps.Keys(callers)) {
		if d := g.fresh(ctx, &Input{Caller: callers[who], Operation: op}); d.Allows() && d.Admin {
			return nil
		}
	}
	return []Problem{{Warning: true, Message: fmt.Sprintf("neither local nor unix:root is admin (rule admin), so nobody on the host can disable the plugin "+
		"or undo a mistake through Docker; %s: true in its data says that it is meant", strictKey)}}
}
