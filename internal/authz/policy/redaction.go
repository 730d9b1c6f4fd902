package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vitrine/internal/authz/answer"
	"vitrine/internal/authz/redact"
	"vitrine/internal/spelling"
)

// redact checks what a role blanks: operation, or "*" for all, to names of
// secrets and pointers.
func (c *roleChecker) redact(key string, v any) {
	object, ok := v.(map[string]any)
	if !ok {
		c.problem(key, "must be a mapping, not %s: operation, or \"*\", to what is blanked in its answer", kindOf(v))
		return
	}
	for _, id := range slices.Sorted(maps.Keys(object)) {
		at := join(key, id)
		if id != answer.All {
			c.oneOf("operation", c.operations)(at, id)
		}
		c.list(func(key, item string) { c.blanked(key, id, item) })(at, object[id])
		if pointers, err := answer.Resolve(id, stringsOf(object[id])); err == nil && len(pointers) > redact.MaxPointers {
			c.problem(at, "%d pointers, at most %d can be blanked in one answer", len(pointers), redact.MaxPointers)
		}
	}
}

// blanked checks one item. What covers nothing would be a promise that is not
// kept.
func (c *roleChecker) blanked(key, operation, item string) {
	all := operation == answer.All
	switch {
	case item == answer.All:
	case answer.IsPointer(item) && all:
		c.problem(key, "%q: a pointer belongs under the operation whose answer it is for; \"*\" takes names of secrets", item)
	case answer.IsPointer(item):
		if !slices.Contains(c.operations, operation) {
			return // reported already
		}
		if _, err := answer.Find(operation, item); err != nil {
			c.problem(key, "%q covers nothing: %v%s", item, err, meant(err))
		}
	case !slices.Contains(answer.Names(), item):
		c.problem(key, "%q is no JSON pointer: it must begin with a slash, e.g. /Config/Env/*; nor is it the name of a secret%s (there are %s)",
			item, spelling.Hint(item, answer.Names()), strings.Join(answer.Names(), ", "))
	case !all && len(answer.Places(operation, item)) == 0:
		c.problem(key, "%s's answer holds no %s (those of %s do)", operation, item, strings.Join(answer.Holding(item), ", "))
	}
}

// meant suggests what a pointer that covers nothing was probably to cover: the
// key that is there and differs least, or one of that name elsewhere.
func meant(err error) string {
	nothing, ok := errors.AsType[*answer.NothingError](err)
	if !ok {
		return ""
	}
	if len(nothing.Elsewhere) > 0 {
		return "; is it " + strings.Join(nothing.Elsewhere[:min(len(nothing.Elsewhere), 3)], " or ") + "?"
	}
	dot := nothing.At
	if dot != "" {
		dot += "."
	}
	if near := spelling.Hint(nothing.Key, nothing.Keys); near != "" {
		return strings.Replace(near, "is it ", "is it "+dot, 1)
	}
	// A long form of a short key, such as Environment.
	for _, key := range nothing.Keys {
		if len(key) >= 3 && len(nothing.Key) >= len(key) && strings.EqualFold(nothing.Key[:len(key)], key) {
			return "; is it " + dot + key + "?"
		}
	}
	return ""
}

// resolveRedaction makes the roles' redact what the built-in policy compares: for
// each operation the pointers of all roles are brought into one vocabulary: then
// what several roles cover in common are the pointers that stand in each role.
// Under the key blanks each role gets the secrets of an answer that it blanks whole.
func resolveRedaction(data map[string]any) error {
	roles, _ := data["roles"].(map[string]any)
	names := slices.Sorted(maps.Keys(roles))
	lists := map[string][][]redact.Pointer{} // by operation, in the order of names
	for i, name := range names {
		role, _ := roles[name].(map[string]any)
		blanked, _ := role["redact"].(map[string]any)
		for operation, items := range perOperation(blanked) {
			pointers, err := pointersFor(operation, items)
			if err != nil {
				return fmt.Errorf("roles.%s.redact.%s: %w", name, operation, err)
			}
			if lists[operation] == nil {
				lists[operation] = make([][]redact.Pointer, len(names))
			}
			lists[operation][i] = pointers
		}
	}
	resolved, blanks := make([]map[string]any, len(names)), make([]map[string]any, len(names))
	for i := range names {
		resolved[i], blanks[i] = map[string]any{}, map[string]any{}
	}
	for operation, ofRoles := range lists {
		refined, err := redact.Refine(ofRoles)
		if err != nil {
			return fmt.Errorf("redact.%s of several roles: %w", operation, err)
		}
		for i, pointers := range refined {
			if len(pointers) > 0 {
				resolved[i][operation] = anys(pointerStrings(pointers))
				blanks[i][operation] = anys(answer.Blanked(operation, pointers))
			}
		}
	}
	for i, name := range names {
		if role, _ := roles[name].(map[string]any); role["redact"] != nil {
			role["redact"], role["blanks"] = resolved[i], blanks[i]
		}
	}
	return nil
}

// adoptRedaction says to a policy of one's own, in its roles, what resolveRedaction
// says to the built-in one: a copy of that compares the same keys. Nothing is taken
// away from what is written, which may be read in other ways, and where something
// is written that the built-in policy would not understand, all stays as it is: the
// error says what.
func adoptRedaction(data map[string]any) error {
	roles, _ := data["roles"].(map[string]any)
	understood := map[string]any{}
	for name, v := range roles {
		if role, ok := v.(map[string]any); ok && role["redact"] != nil {
			blanked, ok := role["redact"].(map[string]any)
			if !ok {
				return fmt.Errorf("roles.%s.redact is %s", name, kindOf(role["redact"]))
			}
			for operation, items := range blanked {
				if list, ok := items.([]any); !ok || len(stringsOf(items)) != len(list) {
					return fmt.Errorf("roles.%s.redact.%s is no list of names and pointers", name, operation)
				}
			}
			understood[name] = map[string]any{"redact": blanked}
		}
	}
	if err := resolveRedaction(map[string]any{"roles": understood}); err != nil {
		return err
	}
	for name, v := range understood {
		role, _ := roles[name].(map[string]any)
		written, _ := role["redact"].(map[string]any)
		resolved, _ := v.(map[string]any)
		added, _ := resolved["redact"].(map[string]any)
		both := maps.Clone(written)
		for operation, pointers := range added {
			all := append(stringsOf(written[operation]), stringsOf(pointers)...)
			slices.Sort(all)
			both[operation] = anys(slices.Compact(all))
		}
		role["redact"] = both
		if _, own := role["blanks"]; !own {
			role["blanks"] = resolved["blanks"]
		}
	}
	return nil
}

// checkRedaction warns of roles whose redact a policy of one's own has to make sense of
// by itself.
func checkRedaction(data map[string]any) []Problem {
	err := adoptRedaction(data)
	if err == nil {
		return nil
	}
	return []Problem{{Warning: true, Key: "roles", Message: "what roles blank is left to the policy as it is written, so that two spellings of one place are two: " + err.Error()}}
}

// perOperation gives each operation what stands under "*", too.
func perOperation(blanked map[string]any) map[string][]string {
	out := map[string][]string{}
	for operation, items := range blanked {
		if operation != answer.All {
			out[operation] = append(out[operation], stringsOf(items)...)
			continue
		}
		for _, secret := range stringsOf(items) {
			for _, holder := range answer.Holding(secret) {
				out[holder] = append(out[holder], secret)
			}
		}
	}
	return out
}

// pointersFor are the pointers for what a role blanks in an operation's answer,
// spelled as the schema spells them.
func pointersFor(operation string, items []string) ([]redact.Pointer, error) {
	pointers, err := answer.Resolve(operation, items)
	for i, p := range pointers {
		found, errFind := answer.Find(operation, p.String())
		if errFind != nil {
			return nil, errFind
		}
		pointers[i] = found
	}
	return redact.Minimal(pointers), err
}

func pointerStrings(pointers []redact.Pointer) []string {
	out := make([]string, len(pointers))
	for i, p := range pointers {
		out[i] = p.String()
	}
	slices.Sort(out)
	return out
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// resolve replaces the names of secrets in a decision by pointers, and leaves out
// what others cover: a policy of one's own may answer either.
func (d *Decision) resolve(operation string) error {
	if len(d.Redact) == 0 {
		return nil
	}
	pointers, err := answer.Resolve(operation, d.Redact)
	if err != nil {
		return fmt.Errorf("data.docker.authz.redact holds %w", err)
	}
	d.Redact = pointerStrings(pointers)
	return nil
}
