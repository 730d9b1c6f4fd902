package operation

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// Limits of one JSON text, beside its size, which is the door's.
const (
	maxDepth   = 64      // Docker's own bodies nest 9 deep
	maxValues  = 1 << 17 // a value costs about 50 bytes of ours for two of the caller's
	maxMembers = 1 << 14 // of one list or object; command lines may be as long as maxValues
	maxUnknown = 64      // unknown keys in all
	maxNumber  = 64      // bytes of a number; int64 has 20
	maxExp     = 3       // digits of an exponent: 1e999999999 as an integer would fill the memory of who computes it
)

// decoder reads one JSON text strictly (RFC 8259, no duplicate key, valid
// UTF-8, nothing behind it) along a schema, and writes it again in canonical
// form: keys of closed objects in the schema's spelling, no space, strings
// with no escape that need not be one. Everything else stays as it was:
// order, numbers, null. Most of what clients send is canonical, so only what is not is written piece by piece; see cut.
type decoder struct {
	in      string
	pos     int
	out     []byte // the canonical form of in, before from
	from    int    // what is read from here on is canonical as it is
	values  int
	depth   int
	path    []string // of the value being read
	members []member // of the objects and lists being read, the innermost one's last
	unknown []string // JSON pointers to keys that the schema lacks
}

// decoders have room for what they read; most requests need little.
var decoders = sync.Pool{New: func() any { return &decoder{path: make([]string, 0, 8), members: make([]member, 0, 64)} }}

// free gives a decoder back without anything of what it read.
func (d *decoder) free() {
	const most = 1024
	if cap(d.members) <= most {
		clear(d.members[:cap(d.members)])
		clear(d.path[:cap(d.path)])
		*d = decoder{path: d.path[:0], members: d.members[:0]}
		decoders.Put(d)
	}
}

// member is one of an object, or of a list.
type member struct {
	key   string
	pos   int // behind the key
	value any
}

// syntaxError is a text that is not in order; the code is a Refusal's.
type syntaxError struct{ code, reason string }

func (e *syntaxError) Error() string { return e.reason }

func (d *decoder) fail(code, format string, args ...any) error {
	return &syntaxError{code, fmt.Sprintf(format, args...) + fmt.Sprintf(" at byte %d", d.pos)}
}

// decodeJSON reads a whole text as a value of the given type. The canonical
// form is appended to out.
func decodeJSON(text string, typ uint16, out []byte) (value any, canonical []byte, unknown []string, err error) {
	if !utf8.ValidString(text) {
		return nil, nil, nil, &syntaxError{"body-utf8", "the JSON is not valid UTF-8"}
	}
	d := decoders.Get().(*decoder) //nolint:forcetypeassert // its New makes nothing else
	defer d.free()
	d.in, d.out = text, out
	if value, err = d.value(typ); err != nil {
		return nil, nil, nil, err
	}
	if d.space(); d.pos != len(d.in) {
		return nil, nil, nil, d.fail("body-trailing", "something follows the JSON value")
	}
	d.cut(d.pos)
	return value, d.out, d.unknown, nil
}

// cut leaves what was read since start out of the canonical form.
func (d *decoder) cut(start int) {
	d.out = append(d.out, d.in[d.from:start]...)
	d.from = d.pos
}

// rewrite has a text stand in the canonical form in place of what was read since start.
func (d *decoder) rewrite(start int, text string) {
	d.cut(start)
	d.out = appendString(d.out, text)
}

func (d *decoder) space() {
	for d.pos < len(d.in) {
		switch d.in[d.pos] {
		case ' ', '\t', '\r', '\n':
			d.pos++
			d.cut(d.pos - 1)
		default:
			return
		}
	}
}

// peek skips space and gives the next byte, 0 at the end.
func (d *decoder) peek() byte {
	d.space()
	if d.pos == len(d.in) {
		return 0
	}
	return d.in[d.pos]
}

func (d *decoder) value(typ uint16) (any, error) {
	if d.values++; d.values > maxValues {
		return nil, d.fail("body-complex", "more than %d values", maxValues)
	}
	n := &nodeTable[typ]
	switch c := d.peek(); {
	case c == '{':
		if n.kind != kindObject && n.kind != kindMap && n.kind != kindAny {
			return nil, d.mismatch(n, "an object")
		}
		return d.nested(n, c)
	case c == '[':
		if n.kind != kindArray && n.kind != kindStrings && n.kind != kindAny {
			return nil, d.mismatch(n, "a list")
		}
		return d.nested(n, c)
	case c == '"':
		if n.kind != kindString && n.kind != kindStrings && n.kind != kindAny {
			return nil, d.mismatch(n, "a string")
		}
		return d.str()
	case c == 't', c == 'f', c == 'n':
		return d.literal(n)
	case c == '-', '0' <= c && c <= '9':
		if n.kind != kindNumber && n.kind != kindAny {
			return nil, d.mismatch(n, "a number")
		}
		return d.number()
	}
	return nil, d.fail("body-json", "no JSON value")
}

var kindNames = [...]string{"anything", "true or false", "a string", "a number", "a string or a list", "a list", "an object", "an object"}

func (d *decoder) mismatch(n *node, found string) error {
	return d.fail("body-type", "%s must be %s and is %s", d.pointer(""), kindNames[n.kind], found)
}

func (d *decoder) crowded() error {
	return d.fail("body-complex", "%s has more than %d members", d.pointer(""), maxMembers)
}

// nested reads an object or a list, whichever begins. (A function that is told what to read would have the decoder on the heap.)
func (d *decoder) nested(n *node, begins byte) (v any, err error) {
	if d.depth++; d.depth > maxDepth {
		return nil, d.fail("body-depth", "the JSON is nested more than %d deep", maxDepth)
	}
	d.pos++
	if begins == '{' {
		v, err = d.object(n)
	} else {
		v, err = d.array(n)
	}
	d.depth--
	return v, err
}

func (d *decoder) array(n *node) (any, error) {
	elem := n.elem
	if n.kind == kindStrings {
		elem = nodeString
	}
	if d.peek() == ']' {
		d.pos++
		return []any{}, nil
	}
	first := len(d.members)
	d.path = append(d.path, "*")
	for {
		v, err := d.value(elem)
		if err != nil {
			return nil, err
		}
		if d.members = append(d.members, member{value: v}); len(d.members)-first > maxMembers && n.kind != kindStrings {
			d.path = d.path[:len(d.path)-1]
			return nil, d.crowded()
		}
		switch d.peek() {
		case ',':
		case ']':
			d.path = d.path[:len(d.path)-1]
			d.pos++
			return d.list(first), nil
		default:
			return nil, d.fail("body-json", "no , or ] after an element")
		}
		d.pos++
	}
}

// list makes a list of the members since the first.
func (d *decoder) list(first int) []any {
	list := make([]any, len(d.members)-first)
	for i, m := range d.members[first:] {
		list[i] = m.value
	}
	d.members = d.members[:first]
	return list
}

func (d *decoder) object(n *node) (any, error) {
	if d.peek() == '}' {
		d.pos++
		return map[string]any{}, nil
	}
	first := len(d.members)
	var unknown []string
	for {
		key, typ, known, err := d.key(n)
		if err != nil {
			return nil, err
		}
		if !known {
			if unknown, err = d.addUnknown(unknown, key); err != nil {
				return nil, err
			}
		}
		m := member{key: key, pos: d.pos}
		d.path = append(d.path, key)
		if m.value, err = d.value(typ); err != nil {
			return nil, err
		}
		d.path = d.path[:len(d.path)-1]
		if d.members = append(d.members, m); len(d.members)-first > maxMembers {
			return nil, d.crowded()
		}
		switch d.peek() {
		case ',':
		case '}':
			d.pos++
			return d.mapped(first)
		default:
			return nil, d.fail("body-json", "no , or } after a value")
		}
		d.pos++
	}
}

// mapped makes an object of the members since the first.
func (d *decoder) mapped(first int) (any, error) {
	obj := make(map[string]any, len(d.members)-first)
	for _, m := range d.members[first:] {
		if _, again := obj[m.key]; again {
			d.pos = m.pos
			return nil, d.fail("body-duplicate-key", "the key %s comes twice", d.pointer(m.key))
		}
		obj[m.key] = m.value
	}
	d.members = d.members[:first]
	return obj, nil
}

// key reads a key with its colon and gives it in canonical spelling, with the
// type of its value.
func (d *decoder) key(n *node) (key string, typ uint16, known bool, err error) {
	if d.peek() != '"' {
		return "", 0, false, d.fail("body-json", "no key")
	}
	start, from, written := d.pos, d.from, len(d.out)
	if key, err = d.str(); err != nil {
		return "", 0, false, err
	}
	typ, known = n.elem, true // of a map; of any it is nodeAny
	if n.kind == kindObject {
		p := n.property(key)
		if known = p != nil && p.class != unclassified; !known {
			typ = nodeAny
		} else if typ = p.node; p.name != key {
			key, d.out, d.from = p.name, d.out[:written], from
			d.rewrite(start, key)
		}
	}
	if d.peek() != ':' {
		return "", 0, false, d.fail("body-json", "no : after a key")
	}
	d.pos++
	return key, typ, known, nil
}

// addUnknown notes a key that the schema lacks. An engine of another version
// may know it, and then two spellings of it would be one.
func (d *decoder) addUnknown(list []string, key string) ([]string, error) {
	if len(d.unknown) == maxUnknown {
		return nil, d.fail("body-unknown-keys", "more than %d unknown keys", maxUnknown)
	}
	for _, other := range list {
		if strings.EqualFold(other, key) {
			return nil, d.fail("body-duplicate-key", "the keys %q and %q are one to the daemon", other, key)
		}
	}
	d.unknown = append(d.unknown, d.pointer(key))
	return append(list, key), nil
}

// pointer is the JSON Pointer of the value being read, or of a key in it; list
// indexes are "*".
func (d *decoder) pointer(key string) string {
	var b strings.Builder
	for _, p := range d.path {
		b.WriteString("/" + pointerEscapes.Replace(p))
	}
	if key != "" || b.Len() == 0 {
		b.WriteString("/" + pointerEscapes.Replace(key))
	}
	return b.String()
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func (d *decoder) literal(n *node) (any, error) {
	rest := d.in[d.pos:]
	switch {
	case strings.HasPrefix(rest, "null"):
		d.pos += 4
		return nil, nil
	case n.kind != kindBool && n.kind != kindAny:
		return nil, d.mismatch(n, "true or false")
	case strings.HasPrefix(rest, "true"):
		d.pos += 4
		return true, nil
	case strings.HasPrefix(rest, "false"):
		d.pos += 5
		return false, nil
	}
	return nil, d.fail("body-json", "no JSON value")
}
