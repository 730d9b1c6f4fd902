package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vitrine/internal/command"
)

// TestGuideExplains: what the policy guide shows of explain is what it says of the guide's own example.
func TestGuideExplains(t *testing.T) {
	guide, err := os.ReadFile("../../docs/policy-guide.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)<!-- example: team data.yaml -->\n```yaml\n(.*?)```").FindSubmatch(guide)
	shown := regexp.MustCompile("(?s)\n\\$ authz-plugin (explain --policy DIR [^\n]*)\n(.*?)```").FindStringSubmatch(string(guide))
	if example == nil || shown == nil {
		t.Fatal("the guide has no such example")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "data.yaml"), example[1], 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	args := strings.Fields(strings.NewReplacer("DIR", dir, "'", "").Replace(shown[1]))
	if code := run(t.Context(), args, command.Streams{In: strings.NewReader(""), Out: &out, Err: &out}); code != command.Failed {
		t.Errorf("exit %d", code)
	}
	said := strings.ReplaceAll(out.String(), dir, "DIR")
	for line := range strings.Lines(shown[2]) {
		if line != "…\n" && !strings.Contains(said, line) {
			t.Errorf("it does not say %q:\n%s", line, said)
		}
	}
}
