package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The table stands between these lines of docs/engines.md.
const begin, end = "<!-- made by `make generate` from test/matrix/results.jsonl -->\n", "<!-- end of what is made -->\n"

func writeTable(root string) error {
	file := filepath.Join(root, "docs/engines.md")
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	made, err := withTable(root, string(page))
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(made), 0o644)
}

// withTable is the page with the table that the kept results make.
func withTable(root, page string) (string, error) {
	before, rest, ok := strings.Cut(page, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("docs/engines.md has not the lines %q and %q", begin, end)
	}
	all, err := results(root)
	if err != nil {
		return "", err
	}
	return before + begin + table(all) + end + after, nil
}

// table is a row for each suite that was run and a column for each engine; below it, what was skipped or failed.
func table(all map[string]Result) string {
	holds := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		holds[all[key].Suite] = all[key].Holds
	}
	names := slices.Sorted(maps.Keys(holds))
	var b strings.Builder
	b.WriteString("\n| suite | what it holds |")
	for _, engine := range engines {
		fmt.Fprintf(&b, " %s |", engine)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(engines)) + "\n")
	for _, suite := range names {
		fmt.Fprintf(&b, "| `%s` | %s |", suite, holds[suite])
		for _, engine := range engines {
			fmt.Fprintf(&b, " %s |", cell(all[suite+" "+engine]))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n| name | engine and command line |\n|---|---|\n")
	for _, engine := range engines {
		seen := map[string]bool{}
		for _, suite := range names {
			if s := all[suite+" "+engine].Stock; s != "" {
				seen[s] = true
			}
		}
		fmt.Fprintf(&b, "| %s | %s |\n", engine, strings.Join(slices.Sorted(maps.Keys(seen)), "; "))
	}
	b.WriteString("\n" + footnotes(names, all) + "\n")
	return b.String()
}

func cell(r Result) string {
	switch {
	case r.Engine == "":
		return "not run"
	case len(r.Failed) > 0:
		return fmt.Sprintf("**%d failed**, %d passed", len(r.Failed), r.Passed)
	case len(r.Skipped) > 0:
		return fmt.Sprintf("%d passed in %d s, %d skipped", r.Passed, r.Seconds, len(r.Skipped))
	default:
		return fmt.Sprintf("%d passed in %d s", r.Passed, r.Seconds)
	}
}

func footnotes(names []string, all map[string]Result) string {
	var lines []string
	for _, suite := range names {
		for _, engine := range engines {
			r := all[suite+" "+engine]
			for _, name := range r.Failed {
				lines = append(lines, fmt.Sprintf("- %s on %s: %s failed.\n", suite, engine, name))
			}
			for _, name := range slices.Sorted(maps.Keys(r.Skipped)) {
				lines = append(lines, fmt.Sprintf("- %s on %s: %s is skipped: %s.\n", suite, engine, name, r.Skipped[name]))
			}
		}
	}
	if len(lines) == 0 {
		return "Nothing failed, and nothing was skipped.\n"
	}
	return strings.Join(lines, "")
}

// packageComment is the comment above a package clause.
var packageComment = regexp.MustCompile(`(?m)^(// Package .*\n(?://.*\n)*)package `)

// firstSentence is that of a package's comment, without the package's name.
func firstSentence(folder string) (string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return "", err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if m := packageComment.FindSubmatch(text); m != nil {
			words := strings.Join(strings.Fields(strings.ReplaceAll("\n"+string(m[1]), "\n//", " ")), " ")
			sentence, _, _ := strings.Cut(strings.SplitN(words, " ", 3)[2], ". ") // Package NAME …
			return strings.TrimSuffix(sentence, "."), nil
		}
	}
	return "", fmt.Errorf("no file of %s has a package comment", folder)
}
