package command

import (
	"strings"
	"testing"
)

// TestColourless: no colour where the person, or the terminal, wants none.
func TestColourless(t *testing.T) {
	t.Setenv("TERMINFO", t.TempDir()) // knows none: what follows holds in an image without terminfo too
	for environ, want := range map[string]bool{
		"TERM=xterm-256color":              false,
		"TERM=xterm-256color NO_COLOR=":    false,
		"TERM=xterm-256color NO_COLOR=yes": true,
		"NO_COLOR=0 TERM=xterm":            true,
		"TERM=dumb":                        true,
		"TERM=vt100":                       true,
		"TERM=vt000-unknown":               true,
		"TERM=unknown":                     false,
		"":                                 false,
	} {
		if got := Colourless(strings.Fields(environ)); got != want {
			t.Errorf("%q: %v, want %v", environ, got, want)
		}
	}
}
