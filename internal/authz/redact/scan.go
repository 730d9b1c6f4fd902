package redact

import (
	"bytes"
	"encoding/json"
)

// The functions of this file read a document that json.Valid has accepted, so they need not look
// for mistakes: every value is complete and every string is closed.

// space passes over white space, behind which there is always something.
func (w *walker) space() {
	for {
		switch w.in[w.at] {
		case ' ', '\t', '\n', '\r':
			w.at++
		default:
			return
		}
	}
}

// skip passes over one value.
func (w *walker) skip() {
	switch w.in[w.at] {
	case '"':
		w.skipString()
	case '{', '[':
		w.skipNested()
	default:
		for w.at < len(w.in) && !delimiter(w.in[w.at]) {
			w.at++
		}
	}
}

// delimiter reports whether c ends a number or a literal.
func delimiter(c byte) bool {
	switch c {
	case ' ', '\t', '\n', '\r', ',', ']', '}':
		return true
	}
	return false
}

func (w *walker) skipNested() {
	for depth := 0; ; {
		switch w.in[w.at] {
		case '"':
			w.skipString()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		w.at++
		if depth == 0 {
			return
		}
	}
}

func (w *walker) skipString() {
	for w.at++; w.in[w.at] != '"'; w.at++ {
		if w.in[w.at] == '\\' {
			w.at++
		}
	}
	w.at++
}

// decode returns the string of a quoted token.
func decode(token []byte) string {
	if bytes.IndexByte(token, '\\') < 0 {
		return string(token[1 : len(token)-1])
	}
	var s string
	_ = json.Unmarshal(token, &s) // it is a string
	return s
}
