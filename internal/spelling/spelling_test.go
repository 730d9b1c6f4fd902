package spelling

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"check", "test", "fmt", "VITRINE_MODE"}
	for s, want := range map[string]string{
		"chekc": "check", "Check": "check", "tst": "test", "ft": "fmt", "vitrine_mde": "VITRINE_MODE",
		"": "", "paint": "", "x": "",
	} {
		if got := Within(s, words, 1+len(s)/3); got != want {
			t.Errorf("nearest to %q is %q, want %q", s, got, want)
		}
	}
	if got := Hint("chekc", words) + Hint("paint", words); got != "; is it check?" {
		t.Errorf("hint %q", got)
	}
}
