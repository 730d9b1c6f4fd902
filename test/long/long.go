// Package long says which tests take their time: with VITRINE_LONG set, as make check sets it, tests that try many
// cases try all of them. Without, they try enough to fail for most mistakes, and a package's tests end in seconds.
package long

import "os"

// Of gives all with VITRINE_LONG, and few without.
func Of(few, all int) int {
	if os.Getenv("VITRINE_LONG") != "" {
		return all
	}
	return few
}
