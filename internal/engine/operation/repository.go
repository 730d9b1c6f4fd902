package operation

import "strings"

// Repository gives the repository of an image reference as it was typed,
// without tag and digest: "localhost:5000/x" of "localhost:5000/x@sha256:…". It
// is "" for an image given by its id.
func Repository(ref string) string {
	if isImageID(ref) {
		return ""
	}
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	return ref
}

// isImageID says that a reference is an id, or the whole of one in hex. (A
// shorter hex string may be either a name or the beginning of an id.)
func isImageID(ref string) bool {
	hex, prefixed := strings.CutPrefix(ref, "sha256:")
	return isHex(hex) && (prefixed || len(hex) == 64)
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}

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
