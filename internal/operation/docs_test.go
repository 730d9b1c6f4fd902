package operation

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/hazards.md")

// TestHazardsPage holds docs/hazards.md against the closed list.
func TestHazardsPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Hazards\n\nWhat a request can carry that hurts the host, as a policy sees it in `operation.hazards`. The list is closed: a role\n" +
		"names those that it takes (`hazards: [env, named-volume]`), and a request with another one is denied.\n\n| hazard | meaning |\n|---|---|\n")
	for _, h := range Hazards() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", h.Hazard, h.Meaning)
	}
	const page = "../../docs/hazards.md"
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/hazards.md is not what the table says: go test ./internal/operation -run HazardsPage -update")
	}
}
