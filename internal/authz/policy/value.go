package policy

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"vitrine/internal/authz/object"
	"vitrine/internal/engine/operation"
)

// value is one value of the input. Strings and lists, which nearly all are, cost
// no allocation; everything else is a JSON tree.
type value struct {
	kind valueKind
	str  string
	list []string
	tree any // nil, bool, string, json.Number, []any, []string, map[string]any, map[string]string, map[string][]string, map[operation.Hazard][]string, []object.Object
}

type valueKind uint8

const (
	kindTree valueKind = iota
	kindString
	kindList
)

func str[S ~string](s S) value         { return value{kind: kindString, str: string(s)} }
func strs(list []string) value         { return value{kind: kindList, list: list} }
func tree(v any) value                 { return value{tree: v} }
func number[N ~int | ~uint32](n N) any { return json.Number(strconv.FormatInt(int64(n), 10)) }

// numberOrNull is null for a nil pointer.
func numberOrNull(n *uint32) value {
	if n == nil {
		return tree(nil)
	}
	return tree(number(*n))
}

// native is the value as encoding/json takes it.
func (v value) native() any {
	switch v.kind {
	case kindString:
		return v.str
	case kindList:
		if v.list == nil {
			return []string{}
		}
		return v.list
	case kindTree:
	}
	return v.tree
}

// term is the value as Rego takes it.
func (v value) term() (*ast.Term, error) {
	switch v.kind {
	case kindString:
		return textTerm(v.str), nil
	case kindList:
		return listTerm(v.list), nil
	case kindTree:
	}
	return treeTerm(v.tree)
}

// textTerm is one term for each of the catalogue's words, which nearly every input has some of.
func textTerm(s string) *ast.Term {
	if t := words()[s]; t != nil {
		return t
	}
	return ast.StringTerm(s)
}

var words = sync.OnceValue(func() map[string]*ast.Term {
	out := map[string]*ast.Term{}
	states := []string{string(operation.BodyNone), string(operation.BodyJSON), string(operation.BodyOpaque)}
	for _, s := range slices.Concat(operationIDs(), resources(), accessClasses(), hazards(), states) {
		out[s] = ast.StringTerm(s)
	}
	return out
})

// Most lists are empty. Nobody changes a term.
var (
	emptyList   = ast.ArrayTerm()
	emptyObject = ast.ObjectTerm()
)

func listTerm(list []string) *ast.Term {
	if len(list) == 0 {
		return emptyList
	}
	terms := make([]*ast.Term, len(list))
	for i, s := range list {
		terms[i] = textTerm(s)
	}
	return ast.ArrayTerm(terms...)
}

func treeTerm(v any) (*ast.Term, error) {
	switch v := v.(type) {
	case nil:
		return ast.NullTerm(), nil
	case bool:
		return ast.BooleanTerm(v), nil
	case string:
		return ast.StringTerm(v), nil
	case json.Number:
		return ast.NumberTerm(v), nil
	case []string:
		return listTerm(v), nil
	case []any:
		terms := make([]*ast.Term, len(v))
		for i, e := range v {
			t, err := treeTerm(e)
			if err != nil {
				return nil, err
			}
			terms[i] = t
		}
		return ast.ArrayTerm(terms...), nil
	case []object.Object:
		return treeTerm(objectTrees(v))
	case map[string]any:
		return objectTerm(v, treeTerm)
	case map[string]string:
		return objectTerm(v, func(s string) (*ast.Term, error) { return ast.StringTerm(s), nil })
	case map[string][]string:
		return objectTerm(v, listsTerm)
	case map[operation.Hazard][]string:
		return objectTerm(v, listsTerm)
	default:
		return nil, fmt.Errorf("a %T is no JSON value", v)
	}
}

func listsTerm(l []string) (*ast.Term, error) { return listTerm(l), nil }

func objectTerm[K ~string, V any](m map[K]V, member func(V) (*ast.Term, error)) (*ast.Term, error) {
	if len(m) == 0 {
		return emptyObject, nil
	}
	pairs := make([][2]*ast.Term, 0, len(m))
	for k, v := range m {
		t, err := member(v)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, [2]*ast.Term{ast.StringTerm(string(k)), t})
	}
	return ast.ObjectTerm(pairs...), nil
}

// appendKey appends the value so that two values have the same bytes only if a
// policy cannot tell them apart, and no encoding is a prefix of another one. It
// reports false for what it cannot encode.
func (v value) appendKey(b []byte, paths [][]string) ([]byte, bool) {
	switch {
	case v.kind == kindString:
		return appendString(b, v.str), true
	case v.kind == kindList:
		return appendList(b, v.list), true
	case len(paths) == 0:
		return appendTree(b, v.tree)
	}
	for _, p := range paths {
		found, exists := descend(v.tree, p)
		if !exists {
			b = append(b, '-')
			continue
		}
		var ok bool
		if b, ok = appendTree(b, found); !ok {
			return b, false
		}
	}
	return b, true
}

func appendString(b []byte, s string) []byte {
	b = append(b, 's')
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendList(b []byte, list []string) []byte {
	b = append(b, '[')
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

func appendTree(b []byte, v any) ([]byte, bool) {
	switch v := v.(type) {
	case nil:
		return append(b, 'n'), true
	case bool:
		if v {
			return append(b, 't'), true
		}
		return append(b, 'f'), true
	case string:
		return appendString(b, v), true
	case json.Number:
		b = append(b, '#')
		return appendString(b, string(v)), true
	case []string:
		return appendList(b, v), true
	case []any:
		b = append(b, '[')
		b = binary.AppendUvarint(b, uint64(len(v)))
		for _, e := range v {
			var ok bool
			if b, ok = appendTree(b, e); !ok {
				return b, false
			}
		}
		return b, true
	case []object.Object:
		return appendNamed(b, v), true
	case map[string]any:
		return appendObject(b, v, appendTree)
	case map[string]string:
		return appendObject(b, v, func(b []byte, s string) ([]byte, bool) { return appendString(b, s), true })
	case map[string][]string:
		return appendObject(b, v, appendLists)
	case map[operation.Hazard][]string:
		return appendObject(b, v, appendLists)
	default:
		return b, false
	}
}

// appendNamed is appendTree for what a request names, without making a tree of it: that is done at each request.
func appendNamed(b []byte, list []object.Object) []byte {
	b = append(b, '[')
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		o := &list[i]
		known := byte('n')
		if o.Known != nil {
			if known = 'f'; *o.Known {
				known = 't'
			}
		}
		b = append(b, known)
		for _, s := range [...]string{string(o.Role), string(o.Kind), o.Ref, o.Why, o.ID, o.Name, o.Image} {
			b = appendString(b, s)
		}
		b = appendList(appendList(b, o.Names), o.Networks)
		var room [16]string
		keys := sortedKeys(room[:0], o.Labels)
		b = binary.AppendUvarint(append(b, '{'), uint64(len(keys)))
		for _, k := range keys {
			b = appendString(appendString(b, k), o.Labels[k])
		}
	}
	return b
}

func appendLists(b []byte, l []string) ([]byte, bool) { return appendList(b, l), true }

func appendObject[K ~string, V any](b []byte, m map[K]V, member func([]byte, V) ([]byte, bool)) ([]byte, bool) {
	b = append(b, '{')
	b = binary.AppendUvarint(b, uint64(len(m)))
	var room [16]K
	for _, k := range sortedKeys(room[:0], m) {
		b = appendString(b, string(k))
		var ok bool
		if b, ok = member(b, m[k]); !ok {
			return b, false
		}
	}
	return b, true
}

// sortedKeys are appended to room.
func sortedKeys[K ~string, V any](room []K, m map[K]V) []K {
	for k := range m {
		room = append(room, k)
	}
	slices.Sort(room)
	return room
}

// descend follows object keys. A path through anything but an object does not
// exist, as in Rego.
func descend(v any, path []string) (any, bool) {
	for _, key := range path {
		var ok bool
		switch m := v.(type) {
		case map[string]any:
			v, ok = m[key]
		case map[string]string:
			v, ok = m[key]
		case map[string][]string:
			v, ok = m[key]
		case map[operation.Hazard][]string:
			v, ok = m[operation.Hazard(key)]
		}
		if !ok {
			return nil, false
		}
	}
	return v, true
}
