package policy

import (
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"vitrine/internal/spelling"
)

// vocabulary are the words that fields of the input have, and no others.
func vocabulary() map[string][]string {
	return map[string][]string{
		"input.operation.id": operationIDs(), "input.operation.access": accessClasses(),
		"input.operation.resource": resources(), "input.operation.hazards": hazards(),
	}
}

// misnamed are words that an operator's rules compare with a field which never has them: a denial with one denies nothing. They are looked for
// as they are written: the compiler moves a field out of the comparison.
func misnamed(src *sources) (found []Problem) {
	files, words := src.modules, vocabulary()
	if src.builtin {
		files = src.extra
	}
	for _, f := range files {
		m, err := parseFile(f, capabilities())
		if err != nil {
			continue // it was read before, and that said so
		}
		ast.WalkExprs(m, func(e *ast.Expr) bool {
			terms, _ := e.Terms.([]*ast.Term)
			if len(terms) == 3 && slices.Contains([]string{"eq", "equal", "neq", "internal.member_2"}, e.Operator().String()) {
				found = append(append(found, unlike(words, terms[1], terms[2])...), unlike(words, terms[2], terms[1])...)
			}
			return false
		})
	}
	return found
}

// unlike says what of a constant is no word of a field.
func unlike(words map[string][]string, constant, field *ast.Term) (found []Problem) {
	ref, _ := field.Value.(ast.Ref)
	const depth = 3 // input.operation.id, and input.operation.hazards[_]
	if len(ref) < depth {
		return nil
	}
	known := words[ref[:depth].String()]
	if known == nil {
		return nil
	}
	said, several := elements(constant.Value)
	if !several {
		said = []*ast.Term{constant}
	}
	for _, t := range said {
		if word, is := t.Value.(ast.String); is && !slices.Contains(known, string(word)) {
			found = append(found, Problem{File: field.Location.File, Line: field.Location.Row, Warning: true, Message: fmt.Sprintf(
				"%s is never %q%s, so that this holds for none, or for all", ref[:depth], string(word), spelling.Hint(string(word), known))})
		}
	}
	return found
}
