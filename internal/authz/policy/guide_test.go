package policy

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vitrine/test/long"
)

// TestGuide runs the examples of the policy guide and the other pages: files are vetted, tests run,
// and each line of "allow" and "deny" is asked. Whatever a request names is there.
func TestGuide(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join("..", "..", "..", "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	var guide []byte
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		guide = append(guide, text...)
	}
	block := regexp.MustCompile("(?s)<!-- (example|ask): (\\S+) ?(\\S*) -->\n```\\w*\n(.*?)```\n")
	base := t.TempDir()
	lines := map[string]string{}
	for _, m := range block.FindAllStringSubmatch(string(guide), -1) {
		if m[1] == "example" && m[3] == "" {
			continue // a configuration, which another test runs
		}
		if m[1] == "example" {
			write(t, filepath.Join(base, m[2]), m[3], m[4])
		} else {
			lines[m[2]] = m[4]
		}
	}
	entries, err := os.ReadDir(base)
	if err != nil || len(entries) != len(lines) || len(lines) == 0 {
		t.Fatalf("%d examples, %d of them asked: %v", len(entries), len(lines), err)
	}
	for _, entry := range entries {
		t.Run(entry.Name(), func(t *testing.T) {
			t.Parallel()
			paths := []string{filepath.Join(base, entry.Name())}
			for _, p := range Check(t.Context(), Options{Paths: paths, Once: true}) {
				if entry.Name() != "compat" || !strings.Contains(p.Message, "is admin") { // its author knew of no admins
					t.Error(p)
				}
			}
			if found, _ := filepath.Glob(filepath.Join(paths[0], "*_test.rego")); len(found) > 0 {
				var out bytes.Buffer
				whole := long.Of(0, 1) > 0
				if ok, err := RunTests(t.Context(), paths, &out, whole); err != nil || !ok {
					t.Errorf("%v\n%s", err, out.String())
				}
				if whole {
					wantContains(t, out.String(), "coverage: 100.0 %")
				}
			}
			askAll(t, loaded(t, Options{Paths: paths, Once: true}), lines[entry.Name()])
		})
	}
}

// askAll asks the lines of a file of cases.
func askAll(t *testing.T, e *Engine, lines string) {
	t.Helper()
	cases, err := parseCases(file{name: t.Name(), raw: []byte(lines)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if allowed, why := c.decide(t.Context(), e.current.Load()); allowed != c.allow {
			t.Error(c.problem(why))
		}
	}
}
