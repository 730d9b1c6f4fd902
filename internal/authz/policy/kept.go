package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"vitrine/internal/kernel/ownfile"
)

// maxKept bounds what is read of a kept policy: as many bytes as base64 makes of more files than anybody has.
const maxKept = 256 << 20

// keeper keeps the sources of the last good policy on disk, for a start at which the
// files of the policy are broken or gone. Whoever can write there can write the
// policy that decides then: see package ownfile. The zero keeper keeps nothing.
type keeper struct {
	dir   string
	paths []string
}

// keptSources are sources as they are kept. What is built in is not among them.
type keptSources struct {
	Paths   []string     `json:"paths"`
	Kept    time.Time    `json:"kept"`
	Builtin bool         `json:"builtin"` // the built-in rules, with Modules and Data
	Modules []keptFile   `json:"modules"`
	Tests   []keptFile   `json:"tests"`
	Data    [][]keptFile `json:"data"`
	Claims  []keptFile   `json:"claims,omitempty"`
}

type keptFile struct {
	Name    string          `json:"name"`
	Raw     []byte          `json:"raw"`
	Version ast.RegoVersion `json:"version"`
	Prefix  []string        `json:"prefix"`
	Bundled bool            `json:"bundled"`
}

// file is where the policy of these paths is kept: other paths are another policy.
func (k keeper) file() string {
	sum := sha256.Sum256([]byte(strings.Join(k.paths, "\x00")))
	return "policy-" + hex.EncodeToString(sum[:])[:12] + ".json"
}

// load gives what is kept, nil if nothing is. An error means that something is there,
// or may be, and cannot be trusted or read.
func (k keeper) load() (*sources, error) {
	if k.dir == "" {
		return nil, nil
	}
	dir, err := ownfile.OpenFolder(k.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	raw, err := ownfile.Read(dir, k.file(), maxKept)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var kept keptSources
	if err == nil {
		err = json.Unmarshal(raw, &kept)
	}
	if err == nil && !slices.Equal(kept.Paths, k.paths) {
		err = errors.New("it is of other paths")
	}
	if err != nil {
		return nil, fmt.Errorf("read the policy that was kept in %s: %w", filepath.Join(k.dir, k.file()), err)
	}
	return kept.sources()
}

// save keeps the sources; those of the built-in policy alone mean that nothing is kept.
func (k keeper) save(src *sources) error {
	if k.dir == "" {
		return nil
	}
	dir, err := ownfile.OpenFolder(k.dir)
	if errors.Is(err, fs.ErrNotExist) && !src.fromPaths {
		return nil
	}
	if err != nil {
		return fmt.Errorf("keep the policy: %w", err)
	}
	defer dir.Close()
	if !src.fromPaths {
		if err := dir.Remove(k.file()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget the policy that was kept: %w", err)
		}
		return nil
	}
	raw, err := json.Marshal(keep(src, k.paths))
	if err == nil {
		err = ownfile.Replace(dir, k.file(), raw)
	}
	if err != nil {
		return fmt.Errorf("keep the policy in %s: %w", k.dir, err)
	}
	return nil
}

func keep(src *sources, paths []string) keptSources {
	files := func(list []file) []keptFile {
		out := make([]keptFile, 0, len(list))
		for _, f := range list {
			out = append(out, keptFile{f.name, f.raw, f.version, f.prefix, f.bundled})
		}
		return out
	}
	kept := keptSources{Paths: paths, Kept: time.Now().UTC(), Builtin: src.builtin}
	modules, groups := src.modules, src.data
	if src.builtin {
		modules, groups = src.extra, groups[1:]
	}
	kept.Modules, kept.Claims = files(modules), files(src.claims)
	if !src.tested {
		kept.Tests = files(src.tests)
	}
	for _, group := range groups {
		kept.Data = append(kept.Data, files(group))
	}
	return kept
}

func (k keptSources) sources() (*sources, error) {
	files := func(list []keptFile) []file {
		var out []file
		for _, f := range list {
			out = append(out, file{name: f.Name, raw: f.Raw, version: f.Version, prefix: f.Prefix, bundled: f.Bundled})
		}
		return out
	}
	src := &sources{label: strings.Join(k.Paths, " "), fromPaths: true, modules: files(k.Modules), tests: files(k.Tests), claims: files(k.Claims)}
	for _, group := range k.Data {
		src.data = append(src.data, files(group))
	}
	if err := src.complete(); err != nil {
		return nil, err
	}
	if k.Builtin != src.builtin {
		return nil, errors.New("read the policy that was kept: its modules are missing")
	}
	return src, nil
}
