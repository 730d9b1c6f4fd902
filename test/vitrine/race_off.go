//go:build !race

package vitrine

// Race says whether the test, and so the binary that it starts, has the race
// detector: it then needs several times the memory.
const Race = false
