package operation

import "strings"

// spellings gives every way to type a repository: "nginx" is also
// "docker.io/library/nginx", and who tags one changes what the other means.
func spellings(repository string) []string {
	if repository == "" {
		return nil
	}
	domain, rest, ok := strings.Cut(repository, "/")
	switch {
	case ok && (domain == "docker.io" || domain == "index.docker.io"):
	case ok && (strings.ContainsAny(domain, ".:") || domain == "localhost" || strings.ToLower(domain) != domain):
		return []string{repository}
	default:
		rest = repository
	}
	names := []string{rest}
	if short, ok := strings.CutPrefix(rest, "library/"); ok && !strings.Contains(short, "/") {
		names = append(names, short)
	} else if !strings.Contains(rest, "/") {
		names = append(names, "library/"+rest)
	}
	for _, n := range names {
		names = append(names, "docker.io/"+n, "index.docker.io/"+n)
	}
	return names
}
