package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// acceptFile is the name of the file by which an operator says that a policy is
// meant although it looks like an accident: its revision stands in there. Whoever may
// write it may write the policy.
const acceptFile = "accept"

// readAccepted gives the revisions that are accepted for a path. One that cannot be
// read accepts nothing.
func readAccepted(path string) []string {
	if _, is := presetOf(path); is {
		return nil
	}
	f, err := readLimited(os.DirFS(acceptFolder(path)), acceptFile)
	if err != nil {
		return nil
	}
	return strings.Fields(string(f.raw))
}

func acceptFolder(path string) string {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return filepath.Dir(path)
	}
	return path
}

// accident says why these sources look as if something had happened to those that are
// in force, nil if they do not, or are accepted. What a policy does not say is
// denied in Rego, but a rule that was lost may have been a denial, and the end of a role may
// have been its limits; and what data does not say the built-in policy does. Nobody
// can tell that from the bytes alone. So a file that is gone, one that is the beginning of what it was, and
// a built-in role or binding that returns, are the operator's to confirm.
func (s *sources) accident(last *sources, paths []string) error {
	if last == nil || slices.Contains(s.accepted, s.revision) {
		return nil
	}
	errs := slices.Concat(s.lost(last), s.returning(last))
	if len(errs) == 0 {
		return nil
	}
	// A preset has no accidents, so one of the paths is another.
	folder := acceptFolder(paths[slices.IndexFunc(paths, func(p string) bool { _, is := presetOf(p); return !is })])
	mkdir := ""
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		mkdir = "mkdir -p " + folder + " && "
	}
	return errors.Join(append(errs, fmt.Errorf("this may be an accident, so it is not taken; if it is meant: %secho %s > %s",
		mkdir, s.revision, filepath.Join(folder, acceptFile)))...)
}

// lost are the files that are not there any more, or not to their end.
func (s *sources) lost(last *sources) []error {
	now := map[string]file{}
	for _, f := range slices.Concat(s.own(), s.invariants()) {
		now[f.name] = f
	}
	var errs []error
	for _, was := range slices.Concat(last.own(), last.invariants()) {
		is, there := now[was.name]
		_, ours := presetOf(was.name) // it changes with this program alone
		switch {
		case was.bundled && !isClaim(was.name), ours: // a bundle is read whole, and may have been built without what must hold
		case !there:
			errs = append(errs, Problem{File: was.name, Message: "is gone, and is part of the policy in force"})
		case cut(is.raw, was.raw):
			errs = append(errs, Problem{File: was.name, Message: "is cut off: it is the beginning of the one in force"})
		}
	}
	return errs
}

// cut: an editor may take the last line's end, and nothing else of it, without
// meaning anything by it.
func cut(is, was []byte) bool {
	is, was = bytes.TrimSpace(is), bytes.TrimSpace(was)
	return len(is) < len(was) && bytes.HasPrefix(was, is)
}

// own are the files that came from the paths, without tests.
func (s *sources) own() []file {
	if s.builtin {
		return slices.Concat(s.extra, slices.Concat(s.data[1:]...))
	}
	return slices.Concat(s.modules, slices.Concat(s.data...))
}

// returning are what the built-in data says and the policy in force replaced, if
// nothing replaces it now.
func (s *sources) returning(last *sources) []error {
	if !s.builtin || !last.builtin || !s.fromPaths {
		return nil
	}
	was, is := last.ownData(), s.ownData()
	var errs []error
	if _, had := was["bindings"]; had {
		if _, has := is["bindings"]; !has {
			errs = append(errs, Problem{Key: "bindings", Message: "is gone, and without it the built-in bindings hold"})
		}
	}
	builtin, err := readGroup(s.data[0], map[string]position{})
	if err != nil {
		return append(errs, err)
	}
	roles := func(data map[string]any) map[string]any {
		roles, _ := data["roles"].(map[string]any)
		return roles
	}
	for _, name := range slices.Sorted(maps.Keys(roles(builtin))) {
		_, had := roles(was)[name]
		if _, has := roles(is)[name]; had && !has {
			errs = append(errs, Problem{Key: "roles." + name, Message: "is gone, and without it the built-in role of that name holds"})
		}
	}
	return errs
}

// ownData is the data of the operator's own files; what cannot be read is missing, and
// reported when the policy is built.
func (s *sources) ownData() map[string]any {
	data := map[string]any{}
	for _, group := range s.data[1:] {
		read, err := readGroup(group, map[string]position{})
		if err == nil {
			override(data, read)
		}
	}
	_ = takeEnds(data, nil)
	return data
}
