// Package version says what was built, for every command of the module.
package version

import "runtime/debug"

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
