// Package imagename takes references of images apart, as they were typed. It is the
// one place that says which repository a reference means. See the grammar in
// github.com/distribution/reference.
package imagename

import (
	"strings"

	"github.com/distribution/reference"
)

// Familiar is the repository of a name as the daemon shows it, whatever registry's default it was spelled with: "x" of
// "docker.io/library/x:1". It is "" for what the daemon takes for no name: an id, or something malformed.
func Familiar(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil || isID(ref) {
		return ""
	}
	return reference.FamiliarName(named)
}

// Split gives the repository, tag and digest of a reference: "localhost:5000/x", "1"
// and "sha256:…" of "localhost:5000/x:1@sha256:…". An image given by its id has no name,
// and so none of them.
func Split(ref string) (repository, tag, digest string) {
	if isID(ref) {
		return "", "", ""
	}
	ref, digest, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i], ref[i+1:], digest
	}
	return ref, "", digest
}

// Repository is that of a reference, "" for an image given by its id.
func Repository(ref string) string {
	repository, _, _ := Split(ref)
	return repository
}

// isID says that a reference is an id, or the whole of one in hex. (A shorter hex
// string may be either a name or the beginning of an id.)
func isID(ref string) bool {
	hex, prefixed := strings.CutPrefix(ref, "sha256:")
	return hex != "" && strings.Trim(hex, "0123456789abcdef") == "" && (prefixed || len(hex) == 64)
}
