// Package version says what was built, for every command of the module.
package version

import (
	"runtime/debug"
	"strings"
)

// number is set by the build: -ldflags "-X vitrine/internal/version.number=1.2.3".
var number = ""

// Get gives the version of the program and that of Go. Without a number from
// the build the version is what the go command knows.
func Get() (program, goVersion string) {
	program, goVersion = number, "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = info.GoVersion
		if program == "" {
			program = info.Main.Version
		}
	}
	return program, goVersion
}

// Text is version, commit and date of the commit, and Go's version, for a person: "0.1.0 (24cd307a55e1, 2026-11-27, go1.26.8)".
// What is not known is left out: the go command knows the commit of what it builds in a repository.
func Text() string {
	program, goVersion := Get()
	var known []string
	if info, ok := debug.ReadBuildInfo(); ok {
		known = commit(info.Settings)
	}
	return program + " (" + strings.Join(append(known, goVersion), ", ") + ")"
}

// commit is the commit, of 12 digits, and its date, as far as they are known.
func commit(settings []debug.BuildSetting) (known []string) {
	var hash, date, modified string
	for _, s := range settings {
		switch s.Key {
		case "vcs.revision":
			hash = s.Value[:min(12, len(s.Value))]
		case "vcs.time":
			date, _, _ = strings.Cut(s.Value, "T")
		case "vcs.modified":
			if s.Value == "true" {
				modified = " with changes"
			}
		}
	}
	if hash != "" {
		known = append(known, hash+modified)
	}
	if date != "" {
		known = append(known, date)
	}
	return known
}
