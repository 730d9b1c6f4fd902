package command

import (
	"strings"

	"github.com/xo/terminfo"
)

// Colourless says whether a terminal, or the person in front of it, wants no colour, by its variables, each NAME=VALUE:
// NO_COLOR with any value (https://no-color.org), TERM=dumb, or a TERM of which terminfo(5) knows no colour. Where terminfo
// is not installed, as in the image of the monitor, the terminals of DEC are known by their names.
func Colourless(environ []string) bool {
	for _, variable := range environ {
		switch name, value, _ := strings.Cut(variable, "="); {
		case name == "NO_COLOR" && value != "":
			return true
		case name != "TERM":
		case value == "dumb" || monochrome(value):
			return true
		}
	}
	return false
}

func monochrome(term string) bool {
	known, err := terminfo.Load(term)
	if err != nil {
		return strings.HasPrefix(term, "vt")
	}
	return known.Num(terminfo.MaxColors) <= 0
}
