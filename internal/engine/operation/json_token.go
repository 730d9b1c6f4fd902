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
	d.pos += ordinary(d.in[start:])
	switch {
	case d.pos == len(d.in):
		return "", d.fail("body-json", "a string without end")
	case d.in[d.pos] == '"':
		d.pos++
		return d.in[start : d.pos-1], nil
	case d.in[d.pos] == '\\':
		return d.escaped(start)
	}
	return "", d.fail("body-json", "a control character in a string")
}

// ordinary is how many bytes s begins with that stand for themselves in a JSON string: no quote, no backslash, no control character. It looks
// at eight together. The highest bit of a byte is set where too little was there to take a space from it, or, of what differs from a quote or a
// backslash, a one; what that borrows from the bytes above it does not matter, as one is enough to look closer.
func ordinary(s string) (n int) {
	const each, highest = 0x0101010101010101, 0x8080808080808080
	for ; n+8 <= len(s); n += 8 {
		b := s[n : n+8]
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		quotes, backslashes := w^each*'"', w^each*'\\'
		if ((w-each*' ')&^w|(quotes-each)&^quotes|(backslashes-each)&^backslashes)&highest != 0 {
			break
		}
	}
	for n < len(s) && s[n] >= ' ' && s[n] != '"' && s[n] != '\\' {
		n++
	}
	return n
}

// escaped goes on with str at the first escape.
func (d *decoder) escaped(start int) (string, error) {
	b := append([]byte(nil), d.in[start:d.pos]...)
	for d.pos < len(d.in) {
		c := d.in[d.pos]
		d.pos++
		switch {
		case c == '"':
			text := string(b)
			d.rewrite(start-1, text)
			return text, nil
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
