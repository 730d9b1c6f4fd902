package policy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"

	"vitrine/internal/engine/principal"
)

// Check vets the policy in paths as Load does, and looks at what loads but is
// probably not meant. It finds nothing in a policy that is in order; a Problem
// that is not a Warning would keep the policy from being loaded.
func Check(ctx context.Context, opts Options) []Problem {
	src, err := readSources(opts.Paths, opts.BuiltinIfAbsent)
	if err != nil {
		return problems(err, false)
	}
	if opts.Timeout <= 0 {
		opts.Timeout = DefaultTimeout
	}
	_, found, err := build(ctx, src, opts)
	found = append(found, problems(err, false)...)
	if src.builtin {
		return append(found, checkData(src, opts)...)
	}
	if p, err := parse(src.modules, capabilities()); err == nil {
		found = append(append(found, checkConstants(p.modules)...), checkTargets(p.modules)...)
	}
	return found
}

// checkData looks at roles and bindings.
func checkData(src *sources, opts Options) []Problem {
	where := map[string]position{}
	data := map[string]any{}
	for _, group := range src.data {
		read, err := readGroup(group, where)
		if err != nil {
			return nil // reported already
		}
		override(data, read)
	}
	var found []Problem
	report := func(key, message string) {
		at := where[key]
		found = append(found, Problem{File: at.file, Line: at.line, Key: key, Message: message, Warning: true})
	}
	checkAdmin(data, report)
	checkPartly(data, report)
	checkSequences(data, report)
	if opts.Survey != nil {
		checkHostPaths(data, opts.Survey, report)
	}
	checkBindings(src, data, opts.Never, report)
	checkStreams(data, report)
	return found
}

// checkHostPaths objects to folders of the host out of which others can lead
// whoever a role allows to mount them.
func checkHostPaths(data map[string]any, survey func(string) []string, report func(key, message string)) {
	roles, _ := data["roles"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		role, _ := roles[name].(map[string]any)
		for i, p := range stringsOf(role["host_paths"]) {
			if !strings.HasPrefix(p, "/") {
				continue
			}
			for _, message := range survey(p) {
				report(fmt.Sprintf("roles.%s.host_paths.%d", name, i), message)
			}
		}
	}
}

// checkAdmin objects to bindings of admin that others can come by: a name, a
// label or an image is as trustworthy as all who may create containers.
func checkAdmin(data map[string]any, report func(key, message string)) {
	bindings, _ := data["bindings"].(map[string]any)
	list, _ := bindings[adminRole].([]any)
	for i, bound := range list {
		principals := stringsOf([]any{bound})
		if all, ok := bound.([]any); ok {
			principals = stringsOf(all)
		}
		// One that nobody can come by is enough: all of a list must hold.
		if !slices.ContainsFunc(principals, func(s string) bool { return principal.Split(s).Kind.Facts().ForAdmin }) {
			report(fmt.Sprintf("bindings.%s.%d", adminRole, i), fmt.Sprintf(
				"admin is bound to %s: bind it to unix:, tls: and local only", strings.Join(principals, " and ")))
		}
	}
}

// FormatMode says what Format does with a file that is not in canonical layout.
type FormatMode int

// The modes of Format.
const (
	FormatList  FormatMode = iota // write its name
	FormatDiff                    // write how it differs
	FormatWrite                   // rewrite it, and write its name
)

// Format brings the .rego files of paths (files and directories) into OPA's
// canonical layout. It reports whether all of them were in it already.
func Format(paths []string, mode FormatMode, w io.Writer) (tidy bool, err error) {
	tidy = true
	var errs []error
	for _, p := range paths {
		files, err := regoFiles(p)
		errs = append(errs, err)
		for _, name := range files {
			same, err := formatFile(name, mode, w)
			errs = append(errs, err)
			tidy = tidy && same
		}
	}
	return tidy, errors.Join(errs...)
}

func regoFiles(path string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(path, func(name string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(name, ".rego") {
			files = append(files, name)
		}
		return err
	})
	return files, err
}

func formatFile(name string, mode FormatMode, w io.Writer) (same bool, err error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	m, err := parseFile(file{name: name, raw: raw}, capabilities())
	if err != nil {
		return false, err
	}
	opts := format.Opts{RegoVersion: ast.RegoV1}
	if isV0(m) {
		opts.RegoVersion = ast.RegoV0
		opts.ParserOptions = &ast.ParserOptions{RegoVersion: ast.RegoV0}
	}
	out, err := format.SourceWithOpts(name, raw, opts)
	if err != nil {
		return false, fmt.Errorf("format %s: %w", name, err)
	}
	if bytes.Equal(raw, out) {
		return true, nil
	}
	switch mode {
	case FormatDiff:
		writeDiff(w, name, string(raw), string(out))
		return false, nil
	case FormatList: // its name is all
	case FormatWrite:
		info, err := os.Stat(name)
		if err != nil {
			return false, err
		}
		if err := os.WriteFile(name, out, info.Mode().Perm()); err != nil {
			return false, err
		}
	}
	fmt.Fprintln(w, name)
	return false, nil
}

// writeDiff writes the lines that differ between the first and the last one that do.
func writeDiff(w io.Writer, name, before, after string) {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < len(a)-start && end < len(b)-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	fmt.Fprintf(w, "--- %s\n+++ %s (formatted)\n@@ line %d @@\n", name, name, start+1)
	for _, line := range a[start : len(a)-end] {
		fmt.Fprintln(w, "-"+line)
	}
	for _, line := range b[start : len(b)-end] {
		fmt.Fprintln(w, "+"+line)
	}
}
