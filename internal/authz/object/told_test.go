package object

import (
	"testing"

	"vitrine/internal/engine/operation"
)

// TestImageByEachOfItsNames: an image is the one that the daemon takes a name for, and no other.
func TestImageByEachOfItsNames(t *testing.T) {
	var objects Told
	for _, text := range []string{"image:alpine,id=sha256:0f3c", "image:r.example.com/app:2,id=sha256:aa"} {
		o, err := ParseTold(text)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
	for ref, want := range map[string]string{
		"alpine": "sha256:0f3c", "alpine:latest": "sha256:0f3c", "docker.io/library/alpine": "sha256:0f3c", "index.docker.io/library/alpine:latest": "sha256:0f3c", "sha256:0f3c": "sha256:0f3c",
		"r.example.com/app:2": "sha256:aa",
		"alpine:3":            "", "library/alpin": "", "r.example.com/app": "", "other/alpine": "", "Alpine": "", "sha256:0f3d": "",
	} {
		if o, ok := objects.find(operation.KindImage, ref); o.ID != want || ok != (want != "") {
			t.Errorf("%s: %q, want %q", ref, o.ID, want)
		}
	}
	if _, ok := objects.find(operation.KindContainer, "alpine:latest"); ok {
		t.Error("an image for a container")
	}
}
