package policy

import (
	"slices"
	"strings"
)

// Reads says whether the policy that decides now reads one of these parts of the input, "request.body.Env",
// in whatever field they come to it. While there is no policy, nothing is read.
func (e *Engine) Reads(parts []string) bool {
	gen := e.current.Load()
	return gen != nil && slices.ContainsFunc(parts, gen.reads.part)
}

// part says whether the policy reads a part of the input, or something that holds it.
func (p projection) part(name string) bool {
	section, rest, _ := strings.Cut(name, ".")
	field, path, deeper := strings.Cut(rest, ".")
	var below []string
	if deeper {
		below = strings.Split(path, ".")
	}
	switch at := section + "." + field; at {
	case "request.body": // of which sources of mounts are left out only with all of it
		return p.below(at, below) || p.below(".Body", below) || !deeper && p.below(".BindMounts", nil)
	case "request.query":
		return p.below(at, below) || p.below("operation.params", below) || p.below(".Query", below) || p.below("request.uri", nil) || p.below(".Path", nil)
	case "operation.target":
		return slices.ContainsFunc([]string{at, "request.path", "request.uri", ".Path", ".PathPlain", ".PathArr"}, func(f string) bool { return p.below(f, nil) })
	case "request.headers":
		return p.below(at, nil) || p.below(".Headers", nil)
	default:
		return p.below(at, below)
	}
}

// below says whether a field, with the section it is in, is read at this place or around it.
func (p projection) below(at string, path []string) bool {
	return slices.ContainsFunc(p, func(f projected) bool {
		if f.section+"."+f.name != at {
			return false
		}
		return len(f.paths) == 0 || slices.ContainsFunc(f.paths, func(read []string) bool {
			n := min(len(read), len(path))
			return slices.Equal(read[:n], path[:n])
		})
	})
}
