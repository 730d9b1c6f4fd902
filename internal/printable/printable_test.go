package printable

import (
	"strings"
	"testing"
)

// TestNothingSteersATerminalClosed: on one line, and in a message of several.
func TestNothingSteersATerminalClosed(t *testing.T) {
	for text, want := range map[string]struct{ line, message string }{
		"":                         {"", ""},
		"web é ✓":                  {"web é ✓", "web é ✓"},
		"a: b\n\tc":                {"a: b  c", "a: b\n\tc"},
		"a\r\nb":                   {"a? b", "a?\nb"},
		"\x1b]0;x\a\x1b[2Jé\x00\r": {"?]0;x??[2Jé??", "?]0;x??[2Jé??"},
		"\u009b31m":                {"?31m", "?31m"},
		"a\u202eb\u200bc\u2028d":   {"a?b?c?d", "a?b?c?d"},
		"a\xffb":                   {"a?b", "a?b"},
		"a\xff\xfe\xc3":            {"a???", "a???"},
		"a\ufffdb":                 {"a?b", "a?b"},
		"no\u00a0break":            {"no?break", "no?break"},
		strings.Repeat("é", 3000):  {strings.Repeat("é", 3000), strings.Repeat("é", 1000) + "…"},
		"a\n" + strings.Repeat("\t", 2001) + "\nb": {"a " + strings.Repeat(" ", 2001) + " b", "a\n" + strings.Repeat("\t", 2000) + "…\nb"},
	} {
		if got := Line(text); got != want.line {
			t.Errorf("%q is the line %q", text, got)
		}
		if got := Message(text); got != want.message {
			t.Errorf("%q is the message %q", text, got)
		}
	}
}
