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
	at := strings.SplitN(name, ".", 3)
	if len(at) < 2 {
		return false
	}
	var below []string
	if len(at) == 3 {
		below = strings.Split(at[2], ".")
	}
	switch section := at[0] + "." + at[1]; section {
	case "request.body":
		return p.below("request", "body", below) || p.below("", "Body", below)
	case "request.query":
		return p.below("request", "query", below) || p.below("operation", "params", below) || p.below("", "Query", below) ||
			p.below("request", "uri", nil) || p.below("", "Path", nil)
	case "operation.target":
		return slices.ContainsFunc([][2]string{
			{"operation", "target"}, {"request", "path"}, {"request", "uri"}, {"", "Path"}, {"", "PathPlain"}, {"", "PathArr"},
		}, func(f [2]string) bool { return p.below(f[0], f[1], nil) })
	case "request.headers":
		return p.below("request", "headers", nil) || p.below("", "Headers", nil)
	}
	return p.below(at[0], at[1], below)
}

// below says whether one field is read, at this place or around it.
func (p projection) below(section, name string, path []string) bool {
	return slices.ContainsFunc(p, func(f projected) bool {
		if f.section != section || f.name != name {
			return false
		}
		return len(f.paths) == 0 || slices.ContainsFunc(f.paths, func(read []string) bool {
			n := min(len(read), len(path))
			return slices.Equal(read[:n], path[:n])
		})
	})
}
