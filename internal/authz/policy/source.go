package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"

	"vitrine/internal/spelling"
	"vitrine/rego"
)

const (
	maxSourceFile = 8 << 20 // bytes of one policy or data file, and of a bundle
	maxDepth      = 8       // folders below a policy directory
	builtinLabel  = "built-in"
)

// file is one source as read, before any parsing.
type file struct {
	name    string          // as messages show it
	raw     []byte          //
	version ast.RegoVersion // as declared by a bundle; RegoUndefined otherwise
	prefix  []string        // of a data file: where in data it belongs
	bundled bool            // it came in a bundle, which is read whole or not at all
	change  string          // what the file system says of its latest change
}

// sources are everything that one policy is made of.
type sources struct {
	label     string
	fromPaths bool     // something was read from a configured path
	builtin   bool     // the built-in rules decide, with those of extra
	extra     []file   // of the modules, those that add to the built-in ones
	modules   []file   // the policy
	tests     []file   // *_test.rego
	tested    bool     // tests need not run when the policy is loaded
	claims    []file   // what must hold of the policy: *.cases, invariants.yaml
	vetted    bool     // they held when the policy was kept
	data      [][]file // a group a path, later ones override earlier ones
	amend     func(data map[string]any)
	accepted  []string // revisions that the operator means, however odd they look
	revision  string
}

// readSources reads the files behind paths; every path that cannot be read is
// named in the error. With standIn, paths that do not exist stand for the
// built-in policy as long as none of them exists.
func readSources(paths []string, standIn bool) (*sources, error) {
	src := &sources{label: strings.Join(paths, " ")}
	var errs []error
	absent := 0
	for _, p := range paths {
		err := src.readPath(p)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoPolicy) {
			absent++
		}
		errs = append(errs, err)
		src.accepted = append(src.accepted, readAccepted(p)...)
	}
	if absent < len(paths) || !standIn {
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
	}
	src.fromPaths = absent < len(paths)
	if !src.fromPaths {
		src.label = builtinLabel
	}
	return src, src.complete()
}

// complete adds what the paths leave to us.
func (s *sources) complete() error {
	if len(s.modules) == 0 || isExtra(s.modules) {
		if err := s.useBuiltin(); err != nil {
			return err
		}
	}
	s.revision = s.digest()
	return nil
}

// errNoPolicy marks a path that exists and holds neither policy nor data.
var errNoPolicy = errors.New("holds no policy: no .rego file and no data.yaml or data.json")

func (s *sources) readPath(p string) error {
	if name, is := presetOf(p); is {
		return s.readPreset(p, name)
	}
	info, err := os.Stat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("policy %s: there is no such file or folder (%w)", p, err)
	}
	if err != nil {
		return fmt.Errorf("policy %w", err) // os names operation and path
	}
	var group group
	switch {
	case !info.IsDir() && isClaim(p):
		return fmt.Errorf("policy %s: says what must hold of a policy, and is none: name the policy beside it, or their folder, and it is read too", p)
	case info.IsDir():
		err = group.readDir(os.DirFS(p), p, ".", 0)
	case strings.HasSuffix(p, ".tar.gz"), strings.HasSuffix(p, ".tgz"):
		err = errors.Join(group.readBundle(p), group.readInvariantsBeside(p))
	case group.wants(filepath.Base(p)), isData(p):
		var f file
		if f, err = readLimited(os.DirFS(filepath.Dir(p)), filepath.Base(p)); err == nil {
			f.name = p
			group.add(f)
			err = group.readCasesBeside(p)
		}
		err = errors.Join(err, group.readInvariantsBeside(p))
	default:
		return fmt.Errorf("policy %s: not a directory, .rego, .yaml, .json or .tar.gz", p)
	}
	if err != nil {
		return fmt.Errorf("policy %s: %w", p, err)
	}
	if len(group.modules)+len(group.data) == 0 {
		return fmt.Errorf("policy %s %w", p, errNoPolicy)
	}
	s.modules = append(s.modules, group.modules...)
	s.tests = append(s.tests, group.tests...)
	for _, f := range group.claims { // one file may be beside several
		if !slices.ContainsFunc(s.claims, func(has file) bool { return has.name == f.name }) {
			s.claims = append(s.claims, f)
		}
	}
	s.data = append(s.data, group.data)
	return nil
}

// presetOf gives the name of a preset that is written as a path: preset:NAME.
func presetOf(p string) (name string, is bool) { return strings.CutPrefix(p, "preset:") }

// readPreset adds the roles of a preset. Who holds them the operator's own files say: its bindings are examples.
func (s *sources) readPreset(p, name string) error {
	if !slices.Contains(rego.Presets(), name) {
		return fmt.Errorf("policy %s: there is no preset %q%s: `authz-plugin preset` lists them", p, name, spelling.Hint(name, rego.Presets()))
	}
	raw, _, err := rego.Preset(name)
	if err != nil {
		return fmt.Errorf("policy %s: %w", p, err)
	}
	roles, _, _ := bytes.Cut(raw, []byte("\nbindings:"))
	s.data = append(s.data, []file{{name: p, raw: roles}})
	return nil
}

// useBuiltin makes the built-in modules the policy. What was read of data then
// amends the built-in data, and what was read of rules adds to the built-in ones.
func (s *sources) useBuiltin() error {
	var group group
	if err := group.readDir(rego.Files(), builtinLabel, ".", 0); err != nil {
		return fmt.Errorf("read the built-in policy: %w", err)
	}
	s.builtin, s.extra = true, s.modules
	s.modules = slices.Concat(group.modules, s.extra)
	if len(s.tests) == 0 {
		s.tests, s.tested = group.tests, true // before they were compiled in
	}
	s.data = append([][]file{group.data}, s.data...)
	return nil
}

// digest is a short hash over names and bytes of all sources.
func (s *sources) digest() string {
	h := sha256.New()
	groups := slices.Concat([][]file{s.modules, s.tests}, s.data)
	if len(s.claims) > 0 {
		groups = append(groups, s.claims)
	}
	for _, group := range groups {
		fmt.Fprintf(h, "%d\x00", len(group))
		for _, f := range group {
			fmt.Fprintf(h, "%s\x00%d\x00", f.name, len(f.raw))
			h.Write(f.raw)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// state tells two readings apart, also if the bytes happen to be the same.
func (s *sources) state() string {
	parts := append([]string{s.revision}, s.accepted...)
	for _, group := range slices.Concat([][]file{s.modules, s.tests, s.claims}, s.data) {
		for _, f := range group {
			parts = append(parts, f.change)
		}
	}
	return strings.Join(parts, " ")
}

// group is what one path holds.
type group struct {
	modules, tests, data, claims []file
}

func (g *group) wants(name string) bool {
	return strings.HasSuffix(name, ".rego") || isClaim(name) || slices.Contains([]string{"data.yaml", "data.yml", "data.json"}, name)
}

func isData(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name))
}

func (g *group) add(f file) {
	switch {
	case strings.HasSuffix(f.name, "_test.rego"):
		g.tests = append(g.tests, f)
	case strings.HasSuffix(f.name, ".rego"):
		g.modules = append(g.modules, f)
	case isClaim(f.name):
		g.claims = append(g.claims, f)
	default:
		g.data = append(g.data, f)
	}
}

// readDir reads the policy files of a folder and of those below it. A data file
// in a folder below belongs under the names of the folders, as in OPA.
func (g *group) readDir(fsys fs.FS, root, dir string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("folders nested deeper than %d at %s", maxDepth, dir)
	}
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		if strings.HasPrefix(entry.Name(), ".") /* editors' files, ConfigMap's ..data */ || dir != "." && strings.HasSuffix(name, casesSuffix) {
			continue
		}
		if !entry.IsDir() {
			if err := passedOver(name); err != nil {
				return err
			}
		}
		info, err := fs.Stat(fsys, name) // follows symbolic links
		if errors.Is(err, fs.ErrNotExist) && !g.wants(entry.Name()) {
			continue // a dangling link or a file just removed that is none of ours
		}
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is a link to nothing, or has just been taken away", name) // there is something to it
		}
		if err != nil {
			return err
		}
		if info.IsDir() && g.wants(entry.Name()) {
			return fmt.Errorf("%s is a folder, where there should be a file", name)
		}
		if info.IsDir() {
			if err := g.readDir(fsys, root, name, depth+1); err != nil {
				return err
			}
			continue
		}
		if !g.wants(entry.Name()) {
			continue
		}
		f, err := readLimited(fsys, name)
		if err != nil {
			return err
		}
		f.name = path.Join(root, name)
		if dir != "." {
			f.prefix = strings.Split(dir, "/")
		}
		g.add(f)
	}
	return nil
}

// readBundle reads an OPA bundle. Signatures are not verified: the file is as
// trustworthy as whoever may write it.
func (g *group) readBundle(name string) error {
	whole, err := readLimited(os.DirFS(filepath.Dir(name)), filepath.Base(name))
	if err != nil {
		return err
	}
	read := func(v ast.RegoVersion) (bundle.Bundle, error) {
		return bundle.NewReader(bytes.NewReader(whole.raw)).
			WithRegoVersion(v).
			WithSizeLimitBytes(maxSourceFile).
			WithSkipBundleVerification(true).
			Read()
	}
	version := ast.RegoV1
	b, err := read(version)
	if err != nil {
		var errV0 error
		version = ast.RegoV0
		if b, errV0 = read(version); errV0 != nil {
			return err // what version 1 says: it is what authors mean today
		}
	}
	for _, m := range b.Modules {
		v, err := b.RegoVersionForFile(m.Path, version)
		if err != nil {
			return err
		}
		g.add(file{name: path.Join(name, m.Path), raw: m.Raw, version: v, bundled: true, change: whole.change})
	}
	if len(b.Data) > 0 {
		data, err := json.Marshal(b.Data)
		if err != nil {
			return err
		}
		g.add(file{name: path.Join(name, "data.json"), raw: data, bundled: true, change: whole.change})
	}
	return g.readBundledClaims(name, whole)
}

// errBeingWritten marks a file that somebody has open for writing.
var errBeingWritten = errors.New("is being written: somebody has it open")

// readLimited reads one file, unless it is being written.
func readLimited(fsys fs.FS, name string) (file, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return file{}, err
	}
	if !info.Mode().IsRegular() {
		return file{}, fmt.Errorf("%s is not a regular file", name)
	}
	if info.Size() > maxSourceFile {
		return file{}, fmt.Errorf("%s is larger than %d bytes", name, maxSourceFile)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return file{}, err
	}
	defer f.Close()
	if openForWriting(f) {
		return file{}, fmt.Errorf("%s %w", name, errBeingWritten)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxSourceFile+1))
	if err != nil {
		return file{}, err
	}
	after, err := f.Stat()
	if err != nil {
		return file{}, err
	}
	if change(after) != change(info) || len(raw) > maxSourceFile {
		return file{}, fmt.Errorf("%s %w", name, errBeingWritten)
	}
	return file{raw: raw, change: change(info)}, nil
}
