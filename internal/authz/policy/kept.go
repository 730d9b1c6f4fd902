package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// keeper keeps the sources of the last good policy on disk, for a start at which the
// files of the policy are broken or gone. Whoever can write there can write the
// policy that decides then. So the folder must be ours, and nobody else may write to it;
// the same goes for the file. We do not make the folder: by making it, who sets us up says
// that there is a place which lasts. The zero keeper keeps nothing.
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
	dir, err := k.open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := dir.Open(k.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the policy that was kept: %w", err)
	}
	defer f.Close()
	name := filepath.Join(k.dir, k.file())
	info, err := f.Stat()
	if err == nil {
		err = onlyOurs(info)
	}
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	var kept keptSources
	if err == nil {
		err = json.NewDecoder(f).Decode(&kept)
	}
	if err == nil && !slices.Equal(kept.Paths, k.paths) {
		err = errors.New("it is of other paths")
	}
	if err != nil {
		return nil, fmt.Errorf("read the policy that was kept in %s: %w", name, err)
	}
	return kept.sources()
}

// save keeps the sources; those of the built-in policy alone mean that nothing is kept.
func (k keeper) save(src *sources) error {
	if k.dir == "" {
		return nil
	}
	dir, err := k.open()
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
		err = replace(dir, k.file(), raw)
	}
	if err != nil {
		return fmt.Errorf("keep the policy in %s: %w", k.dir, err)
	}
	return nil
}

// open opens the folder, if it is ours alone. The file is then opened in it, whatever
// the path means by then.
func (k keeper) open() (*os.Root, error) {
	dir, err := os.OpenRoot(k.dir)
	if err != nil {
		return nil, err
	}
	info, err := dir.Stat(".")
	if err == nil {
		err = onlyOurs(info)
	}
	if err != nil {
		_ = dir.Close()
		return nil, fmt.Errorf("%s: %w", k.dir, err)
	}
	return dir, nil
}

// replace writes a file so that it is the old one or the new one at each moment.
func replace(dir *os.Root, name string, raw []byte) error {
	beside := name + ".new"
	if err := dir.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := dir.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := dir.Rename(beside, name); err != nil {
		return err
	}
	folder, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
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
	kept.Modules = files(modules)
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
	src := &sources{label: strings.Join(k.Paths, " "), fromPaths: true, modules: files(k.Modules), tests: files(k.Tests)}
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
