// Package spelling finds the word that was probably meant, for messages that say so.
// Nothing is decided by it.
package spelling

import (
	"fmt"
	"strings"
)

// nearest is the word that differs least, "" if all differ by more than a third of the letters, and one.
func nearest(s string, words []string) string { return Within(s, words, 1+len(s)/3) }

// Within is the word that differs least, "" if all differ by more letters than most.
func Within(s string, words []string, most int) string {
	best, least := "", most
	for _, w := range words {
		if d := distance(strings.ToLower(s), strings.ToLower(w)); d <= least {
			best, least = w, d-1
		}
	}
	return best
}

// Hint ends a message with the nearest word, "" if there is none.
func Hint(s string, words []string) string {
	if near := nearest(s, words); near != "" {
		return fmt.Sprintf("; is it %s?", near)
	}
	return ""
}

// distance is the number of letters to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left, diagonal := i+1, i
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j] = left
			left = min(cost, row[j+1]+1, left+1)
		}
		row[len(b)] = left
	}
	return row[len(b)]
}
