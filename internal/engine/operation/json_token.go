package operation

import (
	"encoding/json"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

func (d *decoder) number() (any, error) {
	start := d.pos
	if d.in[d.pos] == '-' {
		d.pos++
	}
	whole := d.digits()
	if whole == 0 || whole > 1 && d.in[d.pos-whole] == '0' {
		return nil, d.fail("body-json", "no JSON number")
	}
	if d.at('.') {
		if d.pos++; d.digits() == 0 {
			return nil, d.fail("body-json", "no digit after the point")
		}
	}
	if d.at('e') || d.at('E') {
		if d.pos++; d.at('+') || d.at('-') {
			d.pos++
		}
		switch n := d.digits(); {
		case n == 0:
			return nil, d.fail("body-json", "no digit in the exponent")
		case n > maxExp:
			return nil, d.fail("body-number", "a number too large for Docker")
		}
	}
	if d.pos-start > maxNumber {
		return nil, d.fail("body-number", "a number too long for Docker")
	}
	d.out = append(d.out, d.in[start:d.pos]...)
	return json.Number(d.in[start:d.pos]), nil
}

func (d *decoder) at(c byte) bool { return d.pos < len(d.in) && d.in[d.pos] == c }

func (d *decoder) digits() int {
	start := d.pos
	for d.pos < len(d.in) && '0' <= d.in[d.pos] && d.in[d.pos] <= '9' {
		d.pos++
	}
	return d.pos - start
}

// str reads a string; one without escapes is a part of the text.
func (d *decoder) str() (string, error) {
	d.pos++
	start := d.pos
	for d.pos < len(d.in) {
		switch c := d.in[d.pos]; {
		case c == '"':
			d.pos++
			return d.in[start : d.pos-1], nil
		case c == '\\':
			return d.escaped(start)
		case c < ' ':
			return "", d.fail("body-json", "a control character in a string")
		}
		d.pos++
	}
	return "", d.fail("body-json", "a string without end")
}

// escaped goes on with str at the first escape.
func (d *decoder) escaped(start int) (string, error) {
	b := append([]byte(nil), d.in[start:d.pos]...)
	for d.pos < len(d.in) {
		c := d.in[d.pos]
		d.pos++
		switch {
		case c == '"':
			return string(b), nil
		case c < ' ':
			return "", d.fail("body-json", "a control character in a string")
		case c == '\\':
			r, err := d.escape()
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, r)
		default:
			b = append(b, c)
		}
	}
	return "", d.fail("body-json", "a string without end")
}

// escape reads what follows a backslash.
func (d *decoder) escape() (rune, error) {
	if d.pos == len(d.in) {
		return 0, d.fail("body-json", "a string without end")
	}
	c := d.in[d.pos]
	d.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return d.unicode()
	}
	return 0, d.fail("body-json", "no such escape")
}

// unicode reads the digits of \uXXXX, and the second half of a pair. A lone
// half is no character: decoders differ on what they make of it.
func (d *decoder) unicode() (rune, error) {
	r, ok := d.hex4()
	if !ok {
		return 0, d.fail("body-json", `no four digits after \u`)
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if strings.HasPrefix(d.in[d.pos:], `\u`) {
		d.pos += 2
		if second, ok := d.hex4(); ok {
			if r := utf16.DecodeRune(r, second); r != utf8.RuneError {
				return r, nil
			}
		}
	}
	return 0, d.fail("body-utf8", "half of a surrogate pair")
}

func (d *decoder) hex4() (rune, bool) {
	if len(d.in)-d.pos < 4 {
		return 0, false
	}
	var r rune
	for _, c := range []byte(d.in[d.pos : d.pos+4]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	d.pos += 4
	return r, true
}

// appendString appends a JSON string with only the escapes that it needs.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		if c < ' ' {
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, '\\', c)
		}
	}
	return append(append(dst, s[start:]...), '"')
}
