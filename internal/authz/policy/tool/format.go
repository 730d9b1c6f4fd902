// Package tool is what the command line does to the files of a policy: it brings
// them into OPA's canonical layout. Nothing that decides is in it, and nothing
// that decides writes an operator's files.
//
// What vets a policy (policy check, policy test) is in package policy: it is what
// happens to each policy that is loaded.
package tool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"

	"vitrine/internal/authz/policy"
)

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

// maxFile is what a policy's file may have, in bytes.
const maxFile = 8 << 20

func formatFile(name string, mode FormatMode, w io.Writer) (same bool, err error) {
	if info, err := os.Stat(name); err != nil {
		return false, err
	} else if !info.Mode().IsRegular() || info.Size() > maxFile { // a pipe is not waited for
		return false, fmt.Errorf("%s is no file of at most %d bytes", name, maxFile)
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	version, err := policy.RegoVersion(name, raw)
	if err != nil {
		return false, err
	}
	opts := format.Opts{RegoVersion: version}
	if version == ast.RegoV0 {
		opts.ParserOptions = &ast.ParserOptions{RegoVersion: version}
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
