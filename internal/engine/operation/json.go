package operation

import (
	"fmt"
	"strings"
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
// order, numbers, null.
type decoder struct {
	in      string
	pos     int
	out     []byte
	values  int
	depth   int
	path    []string // of the value being read
	unknown []string // JSON pointers to keys that the schema lacks
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
	d := decoder{in: text, out: out}
	if value, err = d.value(typ); err != nil {
		return nil, nil, nil, err
	}
	if d.space(); d.pos != len(d.in) {
		return nil, nil, nil, d.fail("body-trailing", "something follows the JSON value")
	}
	return value, d.out, d.unknown, nil
}

func (d *decoder) space() {
	for d.pos < len(d.in) {
		switch d.in[d.pos] {
		case ' ', '\t', '\r', '\n':
			d.pos++
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
		return d.nested(n, d.object)
	case c == '[':
		if n.kind != kindArray && n.kind != kindStrings && n.kind != kindAny {
			return nil, d.mismatch(n, "a list")
		}
		return d.nested(n, d.array)
	case c == '"':
		if n.kind != kindString && n.kind != kindStrings && n.kind != kindAny {
			return nil, d.mismatch(n, "a string")
		}
		s, err := d.str()
		if err != nil {
			return nil, err
		}
		d.out = appendString(d.out, s)
		return s, nil
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

func (d *decoder) nested(n *node, read func(*node) (any, error)) (any, error) {
	if d.depth++; d.depth > maxDepth {
		return nil, d.fail("body-depth", "the JSON is nested more than %d deep", maxDepth)
	}
	d.pos++
	v, err := read(n)
	d.depth--
	return v, err
}

func (d *decoder) array(n *node) (any, error) {
	elem := n.elem
	if n.kind == kindStrings {
		elem = nodeString
	}
	list := []any{}
	d.out = append(d.out, '[')
	if d.peek() == ']' {
		d.pos++
		d.out = append(d.out, ']')
		return list, nil
	}
	d.path = append(d.path, "*")
	for {
		v, err := d.value(elem)
		if err != nil {
			return nil, err
		}
		if list = append(list, v); len(list) > maxMembers && n.kind != kindStrings {
			d.path = d.path[:len(d.path)-1]
			return nil, d.crowded()
		}
		switch d.peek() {
		case ',':
			d.out = append(d.out, ',')
		case ']':
			d.path = d.path[:len(d.path)-1]
			d.out = append(d.out, ']')
			d.pos++
			return list, nil
		default:
			return nil, d.fail("body-json", "no , or ] after an element")
		}
		d.pos++
	}
}

func (d *decoder) object(n *node) (any, error) {
	size := 0
	if d.depth <= 2 { // a create's HostConfig comes with most of its keys, once
		const member = 24 // bytes of text; fewer are rare
		size = min(int(n.props.hi-n.props.lo)/2, (len(d.in)-d.pos)/member)
	}
	obj := make(map[string]any, size)
	d.out = append(d.out, '{')
	if d.peek() == '}' {
		d.pos++
		d.out = append(d.out, '}')
		return obj, nil
	}
	var unknown []string
	for {
		key, typ, known, err := d.key(n)
		if err != nil {
			return nil, err
		}
		if _, again := obj[key]; again {
			return nil, d.fail("body-duplicate-key", "the key %s comes twice", d.pointer(key))
		}
		if !known {
			if unknown, err = d.addUnknown(unknown, key); err != nil {
				return nil, err
			}
		}
		d.path = append(d.path, key)
		if obj[key], err = d.value(typ); err != nil {
			return nil, err
		}
		d.path = d.path[:len(d.path)-1]
		if len(obj) > maxMembers {
			return nil, d.crowded()
		}
		switch d.peek() {
		case ',':
			d.out = append(d.out, ',')
		case '}':
			d.out = append(d.out, '}')
			d.pos++
			return obj, nil
		default:
			return nil, d.fail("body-json", "no , or } after a value")
		}
		d.pos++
	}
}

// key reads a key with its colon and gives it in canonical spelling, with the
// type of its value.
func (d *decoder) key(n *node) (key string, typ uint16, known bool, err error) {
	if d.peek() != '"' {
		return "", 0, false, d.fail("body-json", "no key")
	}
	if key, err = d.str(); err != nil {
		return "", 0, false, err
	}
	if d.peek() != ':' {
		return "", 0, false, d.fail("body-json", "no : after a key")
	}
	d.pos++
	typ, known = n.elem, true // of a map; of any it is nodeAny
	if n.kind == kindObject {
		if p := n.property(key); p != nil && p.class != unclassified {
			key, typ = p.name, p.node
		} else {
			typ, known = nodeAny, false
		}
	}
	d.out = appendString(d.out, key)
	d.out = append(d.out, ':')
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
		d.out = append(d.out, "null"...)
		return nil, nil
	case n.kind != kindBool && n.kind != kindAny:
		return nil, d.mismatch(n, "true or false")
	case strings.HasPrefix(rest, "true"):
		d.pos += 4
		d.out = append(d.out, "true"...)
		return true, nil
	case strings.HasPrefix(rest, "false"):
		d.pos += 5
		d.out = append(d.out, "false"...)
		return false, nil
	}
	return nil, d.fail("body-json", "no JSON value")
}
