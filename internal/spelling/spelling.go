// Package spelling finds the word that was probably meant, for messages that say so.
// Nothing is decided by it.
package spelling

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Within is the word that differs least, "" if all differ by more letters than most.
func Within(s string, words []string, most int) string {
	best, least := "", most
	for _, w := range words {
		if d := levenshtein.ComputeDistance(strings.ToLower(s), strings.ToLower(w)); d <= least {
			best, least = w, d-1
		}
	}
	return best
}

// Hint ends a message with the word that differs least, "" if all differ by more than a third of the letters, and one.
func Hint(s string, words []string) string {
	if near := Within(s, words, 1+len(s)/3); near != "" {
		return fmt.Sprintf("; is it %s?", near)
	}
	return ""
}
