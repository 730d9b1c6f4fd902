package policy

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"vitrine/internal/authz/view"
	"vitrine/internal/engine/imagename"
	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
	"vitrine/internal/spelling"
)

// adminRole is the role that passes the rails and is limited by nothing.
const adminRole = "admin"

// checkRoles holds the data of the built-in policy against what that
// understands. A key that nothing reads, or a name that nothing answers to, would
// be a role that does less, or more, than its author believes. It also replaces
// the older names of operations by today's.
func checkRoles(data map[string]any, where map[string]position) error {
	c := roleChecker{where: where, operations: operationIDs(), classes: accessClasses(), resources: resources()}
	c.object("", data, map[string]check{"roles": c.roles, "bindings": c.bindings, strictKey: c.boolean})
	roles, _ := data["roles"].(map[string]any)
	bindings, _ := data["bindings"].(map[string]any)
	for _, role := range slices.Sorted(maps.Keys(bindings)) {
		if _, exists := roles[role]; !exists {
			c.problem("bindings."+role, "there is no role %s%s", role, spelling.Hint(role, slices.Collect(maps.Keys(roles))))
		}
	}
	c.administrable(data)
	return errors.Join(c.problems...)
}

// check looks at one value and reports what is wrong with it.
type check func(key string, v any)

type roleChecker struct {
	where      map[string]position
	operations []string
	classes    []string
	resources  []string
	problems   []error
}

func (c *roleChecker) problem(key, format string, args ...any) {
	at := c.where[key]
	c.problems = append(c.problems, Problem{File: at.file, Line: at.line, Key: key, Message: fmt.Sprintf(format, args...)})
}

// object checks the members of an object; a key without a check is a problem.
func (c *roleChecker) object(key string, v any, members map[string]check) {
	object, ok := v.(map[string]any)
	if !ok {
		c.problem(key, "must be a mapping, not %s", kindOf(v))
		return
	}
	for _, k := range slices.Sorted(maps.Keys(object)) {
		if member, known := members[k]; known {
			member(join(key, k), object[k])
			continue
		}
		names := slices.Sorted(maps.Keys(members))
		c.problem(join(key, k), "unknown key%s (there are %s)", spelling.Hint(k, names), strings.Join(names, ", "))
	}
}

// each checks every value of an object with free keys.
func (c *roleChecker) each(key string, v any, of check) {
	object, ok := v.(map[string]any)
	if !ok {
		c.problem(key, "must be a mapping, not %s", kindOf(v))
		return
	}
	for _, k := range slices.Sorted(maps.Keys(object)) {
		of(join(key, k), object[k])
	}
}

// list checks the items of a list of strings.
func (c *roleChecker) list(item func(key, s string)) check {
	return func(key string, v any) {
		list, ok := v.([]any)
		if !ok {
			c.problem(key, "must be a list, not %s", kindOf(v))
			return
		}
		for i, e := range list {
			at := join(key, strconv.Itoa(i))
			if s, ok := e.(string); ok {
				item(at, s)
			} else {
				c.problem(at, "must be a string, not %s: quote it", kindOf(e))
			}
		}
	}
}

// oneOf is an item that must be one of words.
func (c *roleChecker) oneOf(what string, words []string) func(key, s string) {
	return func(key, s string) {
		if !slices.Contains(words, s) {
			c.problem(key, "there is no %s %q%s", what, s, spelling.Hint(s, words))
		}
	}
}

func (c *roleChecker) roles(key string, v any) { c.each(key, v, c.role) }

func (c *roleChecker) role(key string, v any) {
	renameOperations(v)
	c.object(key, v, map[string]check{
		"operations":        c.list(c.oneOf("operation", append([]string{"*"}, c.operations...))),
		"access":            c.list(c.oneOf("access class", c.classes)),
		"resources":         c.list(c.oneOf("resource", c.resources)),
		"except":            c.list(c.oneOf("operation", c.operations)),
		"hazards":           c.list(c.hazard),
		"host_paths":        c.list(c.hostPath),
		"redact":            c.redact,
		"keep_env":          c.list(func(string, string) {}),
		"where":             c.visible,
		"stamp":             c.labels,
		"own":               c.own,
		"ceilings":          c.ceilings,
		"shared":            c.shared,
		"image_names":       c.list(c.imageName),
		"engine_socket":     c.engineSocket,
		"recreate":          c.recreate,
		"without_redaction": c.boolean,
		"unresolved":        c.boolean,
		"grant":             c.lent,
		"mode":              c.text(c.oneOf("mode", []string{"audit", "enforce"})),
	})
	role, _ := v.(map[string]any)
	if key == "roles."+adminRole {
		if len(role) != 1 || !slices.Contains(stringsOf(role["operations"]), "*") {
			c.problem(key, "admin may do everything: write `operations: [\"*\"]` and no more, or give the role another name")
		}
		return
	}
	if len(stringsOf(role["operations"]))+len(stringsOf(role["access"])) == 0 && role != nil {
		c.problem(key, "grants nothing: it needs operations or access")
	}
	for i, name := range stringsOf(role["image_names"]) {
		if whose := slices.Contains(strings.Split(name, "/"), "$owner"); whose != (role["own"] != nil) {
			c.problem(fmt.Sprintf("%s.image_names.%d", key, i), "$owner, between slashes, keeps one owner's names from another's: write it with own, and only there")
		}
	}
	of, _ := role["ceilings"].(map[string]any)
	for _, kind := range []string{"containers", "networks", "volumes"} {
		if of[kind] != nil && role["own"] == nil {
			c.problem(key+".ceilings."+kind, "counts the holder's own %s, and nothing is the holder's own: write own", kind)
		}
	}
	if role["resources"] != nil && role["access"] == nil {
		c.problem(key+".resources", "limits access, and there is none in this role")
	}
	if role["except"] != nil && role["access"] == nil {
		c.problem(key+".except", "limits access, and there is none in this role")
	}
	c.granted(key, role)
}

// granted checks that operations do not grant what access is kept from.
func (c *roleChecker) granted(key string, role map[string]any) {
	listed := stringsOf(role["operations"])
	if slices.Contains(listed, "*") {
		for _, limit := range []string{"resources", "except"} {
			if role[limit] != nil {
				c.problem(key+"."+limit, `limits access, and operations: ["*"] grants everything beside it: write the operations that are meant`)
			}
		}
		return
	}
	for i, id := range stringsOf(role["except"]) {
		if slices.Contains(listed, id) {
			c.problem(fmt.Sprintf("%s.except.%d", key, i), "limits access, and operations grants %s all the same: take it out of one of the two", id)
		}
	}
}

func (c *roleChecker) hazard(key, s string) {
	if s == "unknown-input" {
		c.problem(key, "unknown input is for admin alone: nobody can say what it does")
		return
	}
	c.oneOf("hazard", append([]string{"*"}, hazards()...))(key, s)
}

func (c *roleChecker) hostPath(key, s string) {
	if volume, ok := strings.CutPrefix(s, "volume:"); ok && volume != "" {
		if star := strings.IndexByte(volume, '*'); star >= 0 && star < len(volume)-1 {
			c.problem(key, "%q must be a volume's name, or the beginning of names with one * at its end", volume)
		}
		return
	}
	if s == "$mounts" {
		return
	}
	if strings.ContainsRune(s, '*') {
		c.problem(key, "%q: * stands for nothing in a path, and what is below a folder is allowed with it: write the folder", s)
		return
	}
	for part := range strings.SplitSeq(s, "/") {
		if part != "$user" && strings.ContainsRune(part, '$') {
			c.problem(key, "%q: $user stands for the caller's name, as a whole part of a path (/home/$user), and $mounts alone for what its container has mounted", part)
			return
		}
	}
	if !strings.HasPrefix(s, "/") || slices.Contains(strings.Split(s, "/"), "..") {
		c.problem(key, "must be an absolute path without .., or volume:NAME")
	} else if is := path.Clean(s); is != s && is+"/" != s {
		c.problem(key, "is compared with canonical paths: write %s", is)
	}
}

// visible checks what a role sees: labels, and the name of a network, which is none.
func (c *roleChecker) visible(key string, v any) {
	labels, _ := v.(map[string]any)
	network, limited := labels[operation.NetworkLabel]
	if !limited {
		c.labels(key, v)
		return
	}
	if name, _ := network.(string); name == "" || slices.Contains([]string{"host", "none", "default"}, name) {
		c.problem(join(key, operation.NetworkLabel), "must be the name of a network that containers are in, not %v", network)
	}
	rest := maps.Clone(labels)
	if delete(rest, operation.NetworkLabel); len(rest) > 0 {
		c.labels(key, rest)
	}
}

// labels checks an object of labels.
func (c *roleChecker) labels(key string, v any) {
	labels, ok := v.(map[string]any)
	switch {
	case !ok:
		c.problem(key, "must be a mapping of labels to their values, not %s", kindOf(v))
	case len(labels) == 0:
		c.problem(key, "is empty, and so limits nothing: leave it out")
	}
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		at := join(key, label)
		switch value, is := labels[label].(string); {
		case !is:
			c.problem(at, "must be a string, not %s: quote it", kindOf(labels[label]))
		case label == "" || strings.ContainsAny(label, "=\x00"):
			c.problem(at, "%q is no label that the daemon can be asked for", label)
		case label == ownerLabel:
			c.problem(at, "%s is what own gives: write own", label)
		case label == operation.NetworkLabel:
			c.problem(at, "%s is no label: it stands in a role's where, for the containers of a network", label)
		case strings.ContainsRune(value, 0):
			c.problem(at, "%q is no value of a label", value)
		}
	}
}

// ownerLabel is the label by which an object is somebody's own.
const ownerLabel = operation.OwnerLabel

func (c *roleChecker) own(key string, v any) {
	if v != true && v != "container" && v != "user" {
		c.problem(key, "must be true (what the holders of one binding make is theirs), container or user (each one's own), not %v: leave it out where nothing is", v)
	}
}

func (c *roleChecker) engineSocket(key string, v any) {
	if v != "substitute" {
		c.problem(key, "must be substitute (the gateway's own socket stands where a container would have the Engine's), not %v", v)
	}
}

// shared checks what is everybody's: kinds of objects to names.
func (c *roleChecker) shared(key string, v any) {
	names := c.list(func(key, name string) {
		if open := strings.IndexByte(name, '*'); name == "" || open >= 0 && open < len(name)-1 {
			c.problem(key, "%q must be a name, or the beginning of names with one * at its end", name)
		}
	})
	members := map[string]check{}
	for kind := range view.Kinds() {
		members[kind] = names
	}
	c.object(key, v, members)
}

// imageName checks a repository whose name a role's holders may give images, or NAME/* for all below one.
func (c *roleChecker) imageName(key, name string) {
	sample := strings.ReplaceAll(strings.TrimSuffix(name, "/*"), "$owner", "owner")
	if imagename.Familiar(sample) != sample {
		c.problem(key, "%q must be a repository as docker images shows it, without a tag, or NAME/* for all below one: registry.example/ci/$owner/*", name)
	}
}

func (c *roleChecker) boolean(key string, v any) {
	if _, ok := v.(bool); !ok {
		c.problem(key, "must be true or false, not %s", kindOf(v))
	}
}

// bindings are lists of principals, or of lists of them that must all hold.
func (c *roleChecker) bindings(key string, v any) {
	c.each(key, v, func(key string, v any) {
		list, ok := v.([]any)
		if !ok {
			c.problem(key, "must be a list of principals, not %s", kindOf(v))
			return
		}
		for i, e := range list {
			at := join(key, strconv.Itoa(i))
			c.owners(key, at, endless(e))
			switch e := e.(type) {
			case string:
				c.principal(at, e)
			case []any:
				c.all(at, e)
			case map[string]any:
				c.ending(at, e)
			default:
				c.problem(at, "must be a principal, a list of them, or {principal: P, until: TIME}, not %s: quote it", kindOf(e))
			}
		}
	})
}

// owners looks at whose containers an entry of a binding is about.
func (c *roleChecker) owners(binding, key string, entry any) {
	switch n := len(ownersIn(entry)); {
	case n > 0 && binding == "bindings."+adminRole:
		c.problem(key, "what somebody has made is never admin: bind it to unix:, tls: and local only")
	case n > 1:
		c.problem(key, "nothing has two owners, so nobody can hold this")
	}
}

// ownersIn are the owners that an entry of a binding names.
func ownersIn(entry any) (owners []string) {
	one, _ := entry.(string)
	for _, s := range append(stringsOf(entry), one) {
		if p := principal.Split(s); p.Kind == principal.Owner {
			owners = append(owners, p.Value)
		}
	}
	return owners
}

// all are principals that must all hold.
func (c *roleChecker) all(key string, v any) {
	if list, ok := v.([]any); ok && len(list) == 0 {
		c.problem(key, "an empty list is held by nobody")
	}
	c.list(c.principal)(key, v)
}

// ending is a binding that ends.
func (c *roleChecker) ending(key string, e map[string]any) {
	c.object(key, e, map[string]check{"principal": c.text(c.principal), "all": c.all, "until": c.text(func(key, s string) {
		if _, err := parseUntil(s); err != nil {
			c.problem(key, "%s", err)
		}
	})})
	if _, ends := e["until"]; !ends {
		c.problem(key, "has no until: without an end write the principal, or the list, alone")
	}
	_, one := e["principal"]
	if _, all := e["all"]; one == all {
		c.problem(key, "must name a principal, or all that must hold together: {principal: P, until: TIME} or {all: [P, Q], until: TIME}")
	}
}

// text checks a string.
func (c *roleChecker) text(of func(key, s string)) check {
	return func(key string, v any) {
		if s, ok := v.(string); ok {
			of(key, s)
		} else {
			c.problem(key, "must be a string, not %s: quote it", kindOf(v))
		}
	}
}

// mostLent bounds what a role can say: what is needed for longer is a binding.
const mostLent = 30 * 24 * time.Hour

// lent is how long a role may be lent.
func (c *roleChecker) lent(key string, v any) {
	c.object(key, v, map[string]check{"max": c.text(func(key, s string) {
		if d, _ := time.ParseDuration(s); d <= 0 || d > mostLent { // 0 if it is none
			c.problem(key, "%q is no duration up to %s, such as 30m or 8h", s, mostLent)
		}
	})})
	if terms, ok := v.(map[string]any); ok && terms["max"] == nil {
		c.problem(key, "does not say how long the role may be lent: grant: {max: 1h}")
	}
}

func (c *roleChecker) principal(key, s string) {
	if _, err := principal.Parse(s); err != nil {
		c.problem(key, "%s", err)
	}
}

// renameOperations replaces older names of operations in a role.
func renameOperations(v any) {
	role, _ := v.(map[string]any)
	for _, key := range []string{"operations", "except"} {
		list, _ := role[key].([]any)
		for i, e := range list {
			if s, ok := e.(string); ok {
				list[i] = operation.Alias(s)
			}
		}
	}
	redact, _ := role["redact"].(map[string]any)
	for _, id := range slices.Collect(maps.Keys(redact)) {
		if today := operation.Alias(id); today != id {
			redact[today] = redact[id]
			delete(redact, id)
		}
	}
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	default:
		return "a number"
	}
}

func stringsOf(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
