package operation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxHostPaths bounds the questions that one request can cause.
const maxHostPaths = 256

// ResolvedPath is a path of the host that means another one.
type ResolvedPath struct {
	Typed string `json:"from"` // as the request has it
	Path  string `json:"to"`
}

// NamesHostPaths says whether there is something for ResolveHostPaths to resolve.
func (o *Operation) NamesHostPaths() bool {
	return slices.ContainsFunc(o.HostPath, isAbsolute)
}

// ResolveHostPaths is the operation with what each path of the host is in place
// of how it is written: in the body, in Canonical, and so in everything that is
// judged. resolve is given a canonical path and says what that is. The
// operation itself is returned where nothing has to be written otherwise, and
// is never changed; the new one has it in Typed.
//
// The error says which path could not be resolved, or cannot be written where
// the other one was.
func (o *Operation) ResolveHostPaths(resolve func(path string) (string, error)) (*Operation, error) {
	if !o.NamesHostPaths() {
		return o, nil
	}
	r := *o
	r.Body = clone(o.Body)
	w := rewriting{resolve: resolve, replacement: o.replacement, known: map[string]string{}, differ: map[string]string{}}
	if r.places(w.place); w.err != nil {
		return nil, w.err
	}
	if !w.changed {
		return o, nil
	}
	var err error
	if r.Canonical, err = encode(r.Body); err != nil {
		return nil, fmt.Errorf("write the request with resolved paths: %w", err)
	}
	r.Typed, r.Resolved = o, w.differing()
	r.judge()
	if !r.readsAs(w.known) {
		return nil, errAmbiguous
	}
	return &r, nil
}

// rewriting puts what paths resolve to in their places.
type rewriting struct {
	resolve func(string) (string, error)
	// replacement: the daemon takes those paths as it took them before, at each start of the container.
	replacement *replacement
	known       map[string]string // canonical path → what it resolves to
	differ      map[string]string // path as it is written → what it resolves to
	changed     bool
	err         error
}

func (w *rewriting) place(p place) {
	if w.err != nil || p.remote || w.replacement.has(p.field, false) || !isAbsolute(p.path) {
		return
	}
	clean := path.Clean(p.path)
	to, ok := w.known[clean]
	if !ok {
		if to, w.err = w.look(clean); w.err != nil {
			return
		}
		w.known[clean] = to
	}
	differs := to != clean || climbs(p.path)
	switch {
	case to == p.path:
	case p.set != nil:
		p.set(to)
		w.changed = true
	case differs:
		w.err = fmt.Errorf("%q is %q on the host, which cannot be put in its place: write that", p.path, to)
	}
	if differs {
		w.differ[p.path] = to
	}
}

// climbs says that a path has a "..": the daemon takes some such paths to the
// kernel as they are, and shortens others first, which is not the same behind a link.
func climbs(p string) bool { return slices.Contains(strings.Split(p, "/"), "..") }

func (w *rewriting) look(clean string) (string, error) {
	if len(w.known) == maxHostPaths {
		return "", fmt.Errorf("the request names more than %d paths of the host", maxHostPaths)
	}
	to, err := w.resolve(clean)
	switch {
	case err != nil:
		return "", err
	case !isAbsolute(to) || path.Clean(to) != to:
		return "", fmt.Errorf("%q resolves to %q, which is no canonical path", clean, to)
	case !utf8.ValidString(to):
		return "", fmt.Errorf("%q resolves to %q, which is not UTF-8: JSON cannot hold it", clean, to)
	}
	return to, nil
}

func (w *rewriting) differing() []ResolvedPath {
	var out []ResolvedPath
	for _, typed := range slices.Sorted(maps.Keys(w.differ)) {
		out = append(out, ResolvedPath{typed, w.differ[typed]})
	}
	return out
}

var errAmbiguous = errors.New("what a path of the host resolves to cannot be put in its place: it would be read otherwise there, as a path with a colon in Binds is")

// readsAs says that the request, as it is written now, names what was resolved
// and nothing else.
func (o *Operation) readsAs(known map[string]string) bool {
	resolved := map[string]bool{}
	for _, to := range known {
		resolved[to] = true
	}
	same := true
	o.places(func(p place) {
		if isAbsolute(p.path) && !p.remote && !o.replacement.has(p.field, false) && !resolved[path.Clean(p.path)] {
			same = false
		}
	})
	return same
}

// clone copies a JSON value.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, member := range v {
			out[key] = clone(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = clone(element)
		}
		return out
	}
	return v
}

// encode writes a JSON value that decodeJSON read.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
