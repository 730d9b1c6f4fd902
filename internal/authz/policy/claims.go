package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// isClaim says of what must hold of a policy: it stands in the policy's folder itself, not in one below.
func isClaim(name string) bool {
	return strings.HasSuffix(name, casesSuffix) || path.Base(name) == invariantsFile
}

// readCasesBeside reads NAME.cases beside a file NAME.yaml or NAME.rego.
func (g *group) readCasesBeside(p string) error {
	beside := strings.TrimSuffix(p, path.Ext(p)) + casesSuffix
	f, err := readLimited(os.DirFS(filepath.Dir(beside)), filepath.Base(beside))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	f.name = beside
	g.add(f)
	return err
}

// readInvariantsBeside reads invariants.yaml in the folder of a named file.
func (g *group) readInvariantsBeside(p string) error {
	dir := filepath.Dir(p)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		beside := filepath.Join(dir, entry.Name())
		if beside == filepath.Clean(p) { // read as what it is named as
			continue
		}
		if err := passedOver(entry.Name()); err != nil {
			return err
		}
		if entry.Name() != invariantsFile {
			continue
		}
		f, err := readLimited(os.DirFS(dir), entry.Name())
		if err != nil {
			return err
		}
		f.name = beside
		g.add(f)
	}
	return nil
}

// passedOver refuses a file, by its path below the policy's folder, that somebody will take for invariants, and that would
// not be read.
func passedOver(name string) error {
	base := strings.ToLower(path.Base(name))
	like := isData(base) && strings.Contains(base, "invariant") || base == "invariants"
	if !like || strings.HasPrefix(base, ".") || name == invariantsFile {
		return nil
	}
	return fmt.Errorf("%s is not read, and looks like invariants: they stand in %s, in the policy's folder itself; rename it", name, invariantsFile)
}

// readBundledClaims reads what OPA passes over in a bundle: what must hold of the policy. OPA has looked at it all before, and how long each file is.
func (g *group) readBundledClaims(name string, whole file) error {
	unzipped, err := gzip.NewReader(bytes.NewReader(whole.raw))
	if err != nil {
		return err
	}
	archive := tar.NewReader(unzipped)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		inside := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		if header.Typeflag == tar.TypeDir {
			continue
		}
		if err := passedOver(inside); err != nil {
			return err
		}
		if !isClaim(inside) || strings.Contains(inside, "/") || strings.HasPrefix(inside, ".") {
			continue
		}
		if header.Typeflag != tar.TypeReg {
			return fmt.Errorf("%s is not a regular file", inside)
		}
		raw, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		g.add(file{name: path.Join(name, inside), raw: raw, change: whole.change})
	}
}
