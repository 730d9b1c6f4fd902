// Package redact blanks values in a JSON answer of the Engine, so that a caller
// may look at an object without its secrets.
//
// What is blanked is named by JSON Pointers (RFC 6901) in which a segment "*"
// stands for any key or index. Types are kept, so that typed clients go on
// decoding: a string becomes "" (which is also how an unset address, prefix or
// identifier is written), one that is an RFC 3339 time becomes the zero time, a
// number becomes 0, a bool false, an array [], an object {}; null stays. The
// strings of an array under a key Env are "NAME=value": they become "NAME=",
// or stay whole if the name is to be kept. In a stream of events, where a
// pointer /Action or /status ends (API before 1.52 has both), the string loses
// only what the Engine appends to an action: see operation.BlankAction. It is all blanked if
// another pointer, such as /*, ends there too.
//
// The answer is the daemon's, but containers, images and plugins choose much of
// what is in it. So keys are compared as a Go client folds them ("env", "ENV"
// and "Env" are one field), each occurrence of a repeated key is blanked, and a
// document that is not exactly one JSON value is an error: the caller of this
// package must answer an error instead, and pass nothing on. Everything that
// is not blanked is copied byte for byte: numbers stay the tokens they were.
//
// It does not know which fields are secret, that is the policy's to say; and it
// holds the whole document, or one event, in memory, so the caller must bound
// its size. What a request asks the daemon to filter by is not blanked: for
// events the caller must refuse what operation.AsksForMore tells.
package redact

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxPointers bounds a plan: one bit of a word each.
const MaxPointers = 64

// ErrNotJSON says that the answer is not one JSON value.
var ErrNotJSON = errors.New("the answer is not one JSON value")

// Plan is a set of pointers, ready to be applied to any number of documents.
type Plan struct {
	pointers []Pointer
	keepEnv  map[string]bool
}

// Compile reads the pointers. It fails on one that is not an RFC 6901 pointer,
// and on more than 64: an obligation that cannot be met.
func Compile(pointers, keepEnv []string) (*Plan, error) {
	if len(pointers) > MaxPointers {
		return nil, fmt.Errorf("%d pointers to redact, at most %d can be", len(pointers), MaxPointers)
	}
	p := &Plan{keepEnv: make(map[string]bool, len(keepEnv))}
	for _, name := range keepEnv {
		p.keepEnv[name] = true
	}
	for _, pointer := range pointers {
		parsed, err := ParsePointer(pointer)
		if err != nil {
			return nil, err
		}
		p.pointers = append(p.pointers, parsed)
	}
	return p, nil
}

// Apply returns doc without the values that the plan names. It does not change
// doc. The error is ErrNotJSON.
func (p *Plan) Apply(doc []byte) ([]byte, error) { return p.apply(doc, false) }

func (p *Plan) apply(doc []byte, event bool) ([]byte, error) {
	if !json.Valid(doc) {
		return nil, ErrNotJSON
	}
	w := walker{plan: p, event: event, in: doc, out: make([]byte, 0, len(doc))}
	w.value(w.start(), 0, false)
	return append(w.out, w.in[w.kept:]...), nil
}

// walker goes once through a document that is known to be valid.
type walker struct {
	plan  *Plan
	event bool // the document is an event
	in    []byte
	at    int // the next byte to read
	kept  int // in[kept:at] has been read and is to be copied
	out   []byte
}

// set has one bit for each pointer that has matched so far.
type set uint64

func (w *walker) start() (active set) {
	for i := range w.plan.pointers {
		active |= 1 << i
	}
	return active
}

// value reads one value. active are the pointers that lead to it or below it,
// of which depth segments have been used; env says that the value is under a key Env.
func (w *walker) value(active set, depth int, env bool) {
	w.space()
	c := w.in[w.at]
	if active == 0 {
		w.skip()
		return
	}
	if w.ends(active, depth) || (c != '{' && c != '[' && w.wildcardNext(active, depth)) {
		w.blank(env, w.endsAtAction(active))
		return
	}
	switch c {
	case '{':
		w.object(active, depth)
	case '[':
		w.array(active, depth, env)
	default:
		w.skip()
	}
}

func (w *walker) object(active set, depth int) {
	w.at++ // {
	for w.more('}') {
		from := w.at
		w.skipString()
		key := decode(w.in[from:w.at])
		w.space()
		w.at++ // :
		w.value(w.match(active, depth, key), depth+1, strings.EqualFold(key, "Env"))
	}
}

func (w *walker) array(active set, depth int, env bool) {
	w.at++ // [
	for i := 0; w.more(']'); i++ {
		w.value(w.match(active, depth, strconv.Itoa(i)), depth+1, env)
	}
}

// more moves to the next member of an object or array, or past its end.
func (w *walker) more(end byte) bool {
	w.space()
	if w.in[w.at] == ',' {
		w.at++
		w.space()
	}
	if w.in[w.at] == end {
		w.at++
		return false
	}
	return true
}

// match keeps the pointers whose next segment is "*" or the key. Each has a next one: where a pointer ends, its
// value is blanked and not entered.
func (w *walker) match(active set, depth int, key string) (next set) {
	for i, p := range w.plan.pointers {
		if active&(1<<i) != 0 && (p[depth] == "*" || strings.EqualFold(p[depth], key)) {
			next |= 1 << i
		}
	}
	return next
}

// ends reports whether a pointer ends here.
func (w *walker) ends(active set, depth int) bool {
	for i, p := range w.plan.pointers {
		if active&(1<<i) != 0 && len(p) == depth {
			return true
		}
	}
	return false
}

// wildcardNext reports whether a pointer ends with a "*" below this place. If
// the daemon then sends a bare value where a list was expected, it is blanked.
func (w *walker) wildcardNext(active set, depth int) bool {
	for i, p := range w.plan.pointers {
		if active&(1<<i) != 0 && len(p) == depth+1 && p[depth] == "*" {
			return true
		}
	}
	return false
}

// blank replaces the value that begins here.
func (w *walker) blank(env, action bool) {
	w.out = append(w.out, w.in[w.kept:w.at]...)
	from := w.at
	switch {
	case env && w.in[from] == '[':
		w.environment()
	case action:
		w.skip()
		w.out = append(w.out, w.action(w.in[from:w.at])...)
	default:
		w.skip()
		w.out = append(w.out, w.zero(w.in[from:w.at], env)...)
	}
	w.kept = w.at
}

// environment replaces the members of an array under a key Env one by one.
func (w *walker) environment() {
	w.out = append(w.out, '[')
	w.at++
	for i := 0; w.more(']'); i++ {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		from := w.at
		w.skip()
		w.out = append(w.out, w.zero(w.in[from:w.at], true)...)
	}
	w.out = append(w.out, ']')
}

// zero is the empty value of the same type.
func (w *walker) zero(v []byte, env bool) string {
	switch v[0] {
	case '{':
		return "{}"
	case '[':
		return "[]"
	case 't', 'f':
		return "false"
	case 'n':
		return "null"
	case '"':
		return w.zeroString(v, env)
	default:
		return "0"
	}
}

func (w *walker) zeroString(v []byte, env bool) string {
	s := decode(v)
	if env {
		name, _, ok := strings.Cut(s, "=")
		switch {
		case !ok:
			return `""` // no name: all of it may be the secret
		case w.plan.keepEnv[name]:
			return string(v)
		}
		return quoted(name + "=")
	}
	if _, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return `"0001-01-01T00:00:00Z"`
	}
	return `""`
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // of a string it cannot fail
	return string(b)
}
