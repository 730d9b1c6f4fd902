package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"vitrine/internal/authz/answer"
	"vitrine/internal/authz/redact"
)

// checkPartly objects to roles that blank a part of the environments in an
// answer: they need the hazard env as if they blanked none.
func checkPartly(data map[string]any, report func(key, message string)) {
	roles, _ := data["roles"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		role, _ := roles[name].(map[string]any)
		hazards := stringsOf(role["hazards"])
		if slices.Contains(hazards, "*") || slices.Contains(hazards, "env") {
			continue
		}
		blanked, _ := role["redact"].(map[string]any)
		wanted := perOperation(blanked)
		for _, operation := range slices.Sorted(maps.Keys(wanted)) {
			pointers, err := pointersFor(operation, wanted[operation])
			missing := slices.DeleteFunc(slices.Clone(answer.Places(operation, "env")), func(p redact.Pointer) bool {
				return redact.CoverAll(pointers, []redact.Pointer{p})
			})
			if err != nil || len(missing) == 0 || len(missing) == len(answer.Places(operation, "env")) {
				continue
			}
			report(join(join(join("roles", name), "redact"), operation), fmt.Sprintf(
				"blanks a part of the environments, so that the role needs the hazard env: %s shows them too (write env, which is all of them)",
				strings.Join(pointerStrings(missing), ", ")))
		}
	}
}

// checkConstants objects to pointers that a policy of one's own has as constants
// in its rule redact, and that cover something in no operation's answer.
func checkConstants(modules map[string]*ast.Module) []Problem {
	var found []Problem
	for _, m := range modules {
		for _, rule := range m.Rules {
			if m.Package.Path.String() != "data.docker.authz" || rule.Head.Ref().GroundPrefix().String() != "redact" {
				continue
			}
			ast.WalkTerms(rule, func(t *ast.Term) bool {
				s, isString := t.Value.(ast.String)
				if isString && len(s) > 1 && s[0] == '/' && !coversAnything(string(s)) {
					found = append(found, Problem{
						File: t.Location.File, Line: t.Location.Row, Warning: true,
						Message: fmt.Sprintf("redact: %q covers nothing in the answer of any operation", string(s)),
					})
				}
				return false
			})
		}
	}
	return found
}

// checkTargets objects to rules of a policy of one's own that compare input.operation.target
// to a constant: it is what the client typed.
func checkTargets(modules map[string]*ast.Module) []Problem {
	target := ast.MustParseRef("input.operation.target")
	var found []Problem
	for _, m := range modules {
		if m.Package.Path.String() != "data.docker.authz" {
			continue
		}
		ast.WalkExprs(m, func(e *ast.Expr) bool {
			reads, constant := false, false
			ast.WalkTerms(e, func(t *ast.Term) bool {
				switch v := t.Value.(type) {
				case ast.Ref:
					reads = reads || v.Equal(target)
					return true
				case ast.String:
					constant = constant || v != ""
				}
				return false
			})
			if reads && constant {
				found = append(found, Problem{
					File: e.Location.File, Line: e.Location.Row, Warning: true,
					Message: "compares input.operation.target, which is what the client typed: it may send the id, or the beginning of it; compare input.objects[_].name",
				})
			}
			return reads && constant
		})
	}
	return found
}

func coversAnything(pointer string) bool {
	return slices.ContainsFunc(operationIDs(), func(operation string) bool {
		_, err := answer.Find(operation, pointer)
		return err == nil
	})
}
