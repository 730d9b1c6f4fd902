package imagename

import (
	"strings"
	"testing"
)

var id = strings.Repeat("1234abcd", 8)

func TestRepository(t *testing.T) {
	for ref, want := range map[string]string{
		"vitrine/monitor:1":           "vitrine/monitor",
		"nginx":                       "nginx",
		"localhost:5000/x":            "localhost:5000/x",
		"localhost:5000/x@sha256:abc": "localhost:5000/x",
		"h:1/x:2@sha256:abc":          "h:1/x",
		"sha256:abc":                  "",
		id:                            "",
		"sha256:":                     "sha256",
		"sha256:latest":               "sha256",
		strings.Repeat("z", 64):       strings.Repeat("z", 64),
		"sha256:" + id:                "",
		"a@sha256:" + id:              "a",
		"abcdef":                      "abcdef",
		"":                            "",
	} {
		if got := Repository(ref); got != want {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
}

func TestSplit(t *testing.T) {
	for ref, want := range map[string][3]string{
		"nginx:1.27":                   {"nginx", "1.27", ""},
		"h:5000/x":                     {"h:5000/x", "", ""},
		"h:5000/x:2@sha256:" + id:      {"h:5000/x", "2", "sha256:" + id},
		"docker.io/library/a@sha256:1": {"docker.io/library/a", "", "sha256:1"},
		id:                             {},
		"sha256:" + id:                 {},
	} {
		repository, tag, digest := Split(ref)
		if got := [3]string{repository, tag, digest}; got != want {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
}
