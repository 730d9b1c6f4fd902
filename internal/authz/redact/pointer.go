package redact

import (
	"fmt"
	"slices"
	"strings"
)

// Pointer is a JSON Pointer, split and unescaped. It names every value to which
// its segments lead, and all that is in them: "*" is any key or index, letter
// case does not count. So what two pointers name can be compared by the pointers
// alone.
type Pointer []string

// ParsePointer reads an RFC 6901 pointer.
func ParsePointer(s string) (Pointer, error) {
	if s == "" {
		return nil, nil // the whole document
	}
	if s[0] != '/' {
		return nil, fmt.Errorf("pointer %q does not begin with a slash", s)
	}
	p := Pointer(strings.Split(s[1:], "/"))
	for i, segment := range p {
		if strings.Count(segment, "~") != strings.Count(segment, "~0")+strings.Count(segment, "~1") {
			return nil, fmt.Errorf("pointer %q has a ~ that is neither ~0 nor ~1", s)
		}
		p[i] = strings.ReplaceAll(strings.ReplaceAll(segment, "~1", "/"), "~0", "~")
	}
	return p, nil
}

// String is the pointer as ParsePointer reads it.
func (p Pointer) String() string {
	var b strings.Builder
	for _, segment := range p {
		b.WriteString("/" + strings.ReplaceAll(strings.ReplaceAll(segment, "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// covers reports whether p names all that q names.
func (p Pointer) covers(q Pointer) bool {
	if len(p) > len(q) {
		return false
	}
	for i, segment := range p {
		if segment != "*" && !strings.EqualFold(segment, q[i]) {
			return false
		}
	}
	return true
}

// meet is the pointer that names what both name; there is none if they name
// nothing in common.
func (p Pointer) meet(q Pointer) (both Pointer, ok bool) {
	both = slices.Concat(p, q[min(len(p), len(q)):])
	for i, segment := range q {
		switch {
		case both[i] == "*":
			both[i] = segment
		case segment != "*" && !strings.EqualFold(segment, both[i]):
			return nil, false
		}
	}
	return both, true
}

// Minimal leaves out the pointers that others cover; the rest is sorted.
func Minimal(pointers []Pointer) []Pointer {
	var out []Pointer
	for i, p := range pointers {
		covered := func(j int) bool {
			q := pointers[j]
			return q.covers(p) && (j < i || !p.covers(q)) // of two equal ones the first stays
		}
		redundant := false
		for j := range pointers {
			redundant = redundant || covered(j)
		}
		if !redundant {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Pointer) int { return slices.Compare(a, b) })
	return out
}

// CoverAll reports whether one of pointers, each alone, covers each of what.
func CoverAll(pointers, what []Pointer) bool {
	for _, w := range what {
		if !slices.ContainsFunc(pointers, func(p Pointer) bool { return p.covers(w) }) {
			return false
		}
	}
	return true
}

// maxRefined bounds what Refine gives: lists that overlap in many ways are no
// policy that anybody could read.
const maxRefined = 1000

// Refine brings lists of pointers into one vocabulary: what several of them cover
// in common are then the pointers that stand in each. Each list covers what it
// did before.
func Refine(lists [][]Pointer) ([][]Pointer, error) {
	var all []Pointer
	add := func(p Pointer) {
		if !slices.ContainsFunc(all, func(q Pointer) bool { return p.covers(q) && q.covers(p) }) {
			all = append(all, p)
		}
	}
	for _, list := range lists {
		for _, p := range list {
			add(p)
		}
	}
	for i := 1; i < len(all); i++ { // all grows
		for j := range i {
			if p, ok := all[i].meet(all[j]); ok {
				add(p)
			}
		}
		if len(all) > maxRefined {
			return nil, fmt.Errorf("the pointers overlap in more than %d ways", maxRefined)
		}
	}
	out := make([][]Pointer, len(lists))
	for i, list := range lists {
		for _, p := range all {
			if CoverAll(list, []Pointer{p}) {
				out[i] = append(out[i], p)
			}
		}
	}
	return out, nil
}
