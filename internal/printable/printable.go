// Package printable makes fit for a person's terminal what others chose: names, values, files, answers. Such a text
// neither steers the terminal (control and formatting characters, broken UTF-8) nor, in a message, fills it.
//
// It is for what people read. What programs read is escaped by its format (JSON, OpenMetrics), and keeps every byte.
package printable

import (
	"strings"
	"unicode"
)

// maxLine is how much is shown of one line of a message, in bytes.
const maxLine = 2000

// Line is a text on one line: a tab and a line's end are a space, and whatever else does not print is "?".
func Line(s string) string { return plain(strings.ReplaceAll(s, "\n", " "), ' ') }

// Message is a message of our own, in which others are quoted: its lines and tabs stay, as they show where in a file
// something is, and a line that is too long is cut.
func Message(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if line = plain(line, '\t'); len(line) > maxLine {
			line = strings.ToValidUTF8(line[:maxLine], "") + "…"
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}

// plain has "?" for what does not print, and for each byte that is no text.
func plain(s string, tab rune) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return tab
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s)
}
