//go:build !race

package vitrine

const raceEnabled = false
