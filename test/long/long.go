// Package long says which tests take their time: with VITRINE_LONG set, as make check sets it, tests that try many
// cases try all of them. Without, they try enough to fail for most mistakes, and a package's tests end in seconds.
// Tests of one goroutine are left out where the race detector, which can find nothing in them, makes them ten times as long.
package long

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// Of gives all with VITRINE_LONG, and few without.
func Of(few, all int) int {
	if os.Getenv("VITRINE_LONG") != "" {
		return all
	}
	return few
}

// Alone says of a test that it has one goroutine. make unit runs all tests without the race detector, and with it, by
// -short, those that are not alone.
func Alone(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("it has one goroutine: it is run without -race")
	}
}

// AtATime has n parallel tests at least run beside each other, for a package whose tests wait more than they compute. It is for TestMain.
func AtATime(n int) {
	flag.Parse()
	if runtime.GOMAXPROCS(0) < n {
		_ = flag.Set("test.parallel", strconv.Itoa(n))
	}
}
