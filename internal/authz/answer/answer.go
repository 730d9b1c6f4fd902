// Package answer knows what the Engine answers: for each operation the schema of
// the document that it answers with when all went well, and which places in it
// may hold a secret.
//
// A role says by names (env, health) or by JSON Pointers what is to be blanked;
// Resolve makes pointers of both. Of a pointer it can be told at load what it
// covers: Find holds it against the schema, and Blanked says which secrets a set
// of them covers whole. Comparing pointers needs no schema; package redact does.
//
// The schemas are generated, a union over all versions of Docker's API
// descriptions and of what the daemon's Go types have beside them (operation/gen).
// They are not closed: an Engine may send what they lack, and a pointer such as
// /Config covers that too. The table of secrets is ours (secrets.go), and a test
// demands a decision on each string of each answer that the built-in roles read.
package answer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"vitrine/internal/authz/redact"
)

// All stands for every secret of an operation, and for every operation.
const All = "*"

// IsPointer tells a pointer from the name of a secret.
func IsPointer(item string) bool { return item == "" || item[0] == '/' }

// Resolve gives the pointers for what is to be blanked in an operation's answer:
// names of secrets and pointers, without those that others cover. A secret that
// the answer does not hold gives none.
func Resolve(operation string, items []string) ([]redact.Pointer, error) {
	var pointers []redact.Pointer
	for _, item := range items {
		if IsPointer(item) {
			p, err := redact.ParsePointer(item)
			if err != nil {
				return nil, err
			}
			pointers = append(pointers, p)
			continue
		}
		if item != All && !slices.Contains(Names(), item) {
			return nil, fmt.Errorf("%q, which is no JSON pointer (it must begin with a slash, e.g. /Config/Env/*), "+
				"nor the name of a secret (there are %s)", item, strings.Join(Names(), ", "))
		}
		pointers = append(pointers, Places(operation, item)...)
	}
	return redact.Minimal(pointers), nil
}

// Places are where an operation's answer holds a secret. They are shared: do not
// change them.
func Places(operation, secret string) []redact.Pointer {
	if secret != All {
		return places()[operation][secret]
	}
	var all []redact.Pointer
	for _, of := range places()[operation] {
		all = append(all, of...)
	}
	return all
}

// places is the table by operation and secret. It is made once, and not each time
// that a policy is loaded.
var places = sync.OnceValue(func() map[string]map[string][]redact.Pointer {
	index := map[string]map[string][]redact.Pointer{}
	for _, r := range table() {
		if index[r.operation] == nil {
			index[r.operation] = map[string][]redact.Pointer{}
		}
		for _, s := range r.places {
			p, err := redact.ParsePointer(s)
			if err != nil {
				panic("answer: the table of secrets has a pointer that is none: " + s) // held by a test
			}
			index[r.operation][r.secret] = append(index[r.operation][r.secret], p)
		}
	}
	return index
})

// Blanked are the secrets of an operation's answer of which the pointers leave
// nothing.
func Blanked(operation string, pointers []redact.Pointer) []string {
	var names []string
	for name, of := range places()[operation] {
		if redact.CoverAll(pointers, of) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Holding are the operations whose answers hold a secret.
func Holding(secret string) []string {
	var operations []string
	for operation, secrets := range places() {
		if secret == All || len(secrets[secret]) > 0 {
			operations = append(operations, operation)
		}
	}
	slices.Sort(operations)
	return operations
}

// ErrorText is where an error answer, of any operation, has its text.
const ErrorText = "/message"

// NothingError says that a pointer covers nothing in an operation's answer.
type NothingError struct {
	Operation string
	At        string   // how far the pointer leads, e.g. "Config"; "" is the top
	Is        string   // what is there: "an object", "a list", "a string"; "" if the answer is no document
	Key       string   // what is not below it
	Keys      []string // what is
	Elsewhere []string // other places with a key of that name
}

func (e *NothingError) Error() string {
	at := cmp.Or(e.At, "the answer")
	switch e.Is {
	case "":
		return e.Operation + " answers with no document that anything could be blanked in"
	case "a list":
		return fmt.Sprintf("in %s's answer %s is a list: below it is an index, or *", e.Operation, at)
	case "an object":
		return fmt.Sprintf("%s's answer has no %s", e.Operation, dotted(e.At, e.Key))
	}
	return fmt.Sprintf("in %s's answer %s is %s: nothing is below it", e.Operation, at, e.Is)
}

// Find holds a pointer against the schema of an operation's answer, and spells
// its keys as that does. The error is a NothingError, or says that it is none.
func Find(operation, pointer string) (redact.Pointer, error) {
	p, err := redact.ParsePointer(pointer)
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(pointer, ErrorText) {
		return redact.Pointer{ErrorText[1:]}, nil
	}
	top, known := schemaOf(operation)
	if !known {
		return nil, &NothingError{Operation: operation}
	}
	here := []*node{top}
	for i, segment := range p {
		var next []*node
		for _, n := range here {
			below, spelled := n.below(segment)
			next = append(next, below...)
			if len(below) > 0 {
				p[i] = spelled
			}
		}
		if len(next) == 0 {
			return nil, nothing(operation, top, here[0], p[:i], segment)
		}
		here = next
	}
	return p, nil
}

// below are the schemas to which a segment leads, and its spelling.
func (n *node) below(segment string) (to []*node, spelled string) {
	switch n.kind {
	case free:
		return []*node{n}, segment
	case mapping:
		return []*node{&nodes[n.elem]}, segment
	case list:
		if segment == "*" || segment != "" && strings.Trim(segment, "0123456789") == "" {
			return []*node{&nodes[n.elem]}, segment
		}
	case object:
		if segment == "*" {
			for _, m := range n.members() {
				to = append(to, &nodes[m.node])
			}
			return to, segment
		}
		if m := n.member(segment); m != nil {
			return []*node{&nodes[m.node]}, m.name
		}
	case scalar, text:
	}
	return nil, ""
}

func nothing(operation string, top, n *node, at []string, key string) error {
	err := &NothingError{Operation: operation, At: strings.Join(at, "."), Key: key}
	switch n.kind {
	case list:
		err.Is = "a list"
	case text:
		err.Is = "a string"
	case scalar:
		err.Is = "a number or boolean"
	case object, mapping, free:
		err.Is = "an object"
	}
	for _, m := range n.members() {
		err.Keys = append(err.Keys, m.name)
	}
	top.find(key, nil, func(at []string) { err.Elsewhere = append(err.Elsewhere, redact.Pointer(at).String()) })
	return err
}

// find calls visit for each place with a key of that name.
func (n *node) find(key string, at []string, visit func(at []string)) {
	switch n.kind {
	case list, mapping:
		nodes[n.elem].find(key, append(at, "*"), visit)
	case object:
		for _, m := range n.members() {
			below := append(at, m.name)
			if strings.EqualFold(m.name, key) {
				visit(below)
			}
			nodes[m.node].find(key, below, visit)
		}
	case free, scalar, text:
	}
}

func dotted(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}
