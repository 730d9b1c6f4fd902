// Package importer makes a policy of what another thing in front of Docker's socket was told: Tecnativa's environment,
// wollomatic's regular expressions, sockguard's rules, Docker Desktop's list of images that may have the socket (ECI).
//
// Those speak of methods and paths, a role here of operations. So each operation of the catalogue is asked of them, as requests with
// names of no meaning, and is granted if they let it through. What they let through besides is left out, and
// said: an expression that is wider than the operations that it names (a rule for /containers/.* is also one
// for archive and attach/ws), operations that only an admin may do, and everything that a body can ask for. A role that was imported holds
// no hazard but those without which its operations would be nothing, and blanks secrets in answers.
//
// Whom they let in is not carried over either: an address, or that somebody has a socket, proves nobody. The role is
// bound to the principal that the operator names.
//
// It only reads, and what it makes is text: nothing here decides. Whoever wrote the source controls each byte of it, so it is bounded, and what
// cannot be read is an error with its line.
package importer

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
)

// maxSource bounds a source, in bytes.
const maxSource = 1 << 20

// Result is a policy, and how it came about.
type Result struct {
	Data   []byte // data.yaml
	Cases  []byte // lines of "allow|deny WHO METHOD URI [BODY]" that hold under it
	Report []string
}

// reader reads one format into grants.
type reader func(s *source) ([]*grant, error)

func readers() map[string]reader {
	return map[string]reader{"tecnativa": tecnativa, "wollomatic": wollomatic, "sockguard": sockguard, "eci": eci}
}

// Formats are the names of the formats, sorted.
func Formats() []string { return slices.Sorted(maps.Keys(readers())) }

// source is what is imported.
type source struct {
	format, file string
	text         []byte
	as           string
	report       []string
}

// problem is what is wrong with it. Line 0 is the whole.
func (s *source) problem(line int, format string, args ...any) error {
	where := s.file
	if line > 0 {
		where = fmt.Sprintf("%s:%d", s.file, line)
	}
	return fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...))
}

// note adds a line to the report. It has no line ends: it may stand in a comment.
func (s *source) note(line int, format string, args ...any) {
	text := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
	if line > 0 {
		text = fmt.Sprintf("line %d: %s", line, text)
	}
	s.report = append(s.report, text)
}

// grant is what one caller was allowed there.
type grant struct {
	role string
	as   []string
	// allows says whether a request passed.
	allows func(method, path string) bool
	// names says whether the source speaks of an operation, and does not only let it through.
	names     func(op operation.Info) bool
	hostPaths []string // to mount, also from inside them
	// secretsShown: there, nothing was blanked.
	secretsShown bool
}

// Import makes a policy of a source in one of [Formats]. file is its name in messages; as is the principal to bind, which
// ECI can do without, as it names images.
func Import(format, file string, text []byte, as string) (*Result, error) {
	read, known := readers()[format]
	s := &source{format: format, file: file, text: text, as: as}
	switch {
	case !known:
		return nil, fmt.Errorf("there is no format %q: there are %s", format, strings.Join(Formats(), ", "))
	case len(text) > maxSource:
		return nil, s.problem(0, "is larger than %d bytes", maxSource)
	case as == "" && format != "eci":
		return nil, fmt.Errorf("who is to hold the role? Name a principal, such as container:traefik")
	}
	if as != "" {
		if _, err := principal.Parse(as); err != nil {
			return nil, err
		}
	}
	grants, err := read(s)
	if err != nil {
		return nil, err
	}
	return s.result(grants)
}
