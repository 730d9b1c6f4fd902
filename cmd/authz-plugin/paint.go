package main

import (
	"io"
	"os"

	"vitrine/internal/command"
)

// brush colours words for a person's terminal.
type brush bool

// brushFor paints on a terminal that has colours and may show them.
func brushFor(w io.Writer) brush {
	f, ok := w.(*os.File)
	if !ok || command.Colourless(os.Environ()) {
		return false
	}
	info, err := f.Stat()
	return brush(err == nil && info.Mode()&os.ModeCharDevice != 0)
}

func (b brush) paint(code, s string) string {
	if !b {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (b brush) bad(s string) string   { return b.paint("31", s) }
func (b brush) warn(s string) string  { return b.paint("33", s) }
func (b brush) good(s string) string  { return b.paint("32", s) }
func (b brush) faint(s string) string { return b.paint("2", s) }
