package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vitrine/test/long"
)

// described are the descriptions, which are read once for all tests: that takes longest by far.
func described(t *testing.T) []*document {
	t.Helper()
	docs, err := readOnce()
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

var readOnce = sync.OnceValues(func() ([]*document, error) {
	dir, err := descriptions(context.Background())
	if err != nil {
		return nil, err
	}
	return read(dir)
})

// TestNewestDescriptionIsKnown fails when the module that go.mod names describes a newer API than the catalogue is made
// from: what is new in it must be classified first, and read in the module's docs/CHANGELOG.md.
func TestNewestDescriptionIsKnown(t *testing.T) {
	long.Alone(t)
	dir, err := descriptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "v1.*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no descriptions in %s: %v", dir, err)
	}
	for _, file := range files {
		var minor int
		if _, err := fmt.Sscanf(filepath.Base(file), "v1.%d.yaml", &minor); err != nil || minor > newest {
			t.Errorf("%s describes more than API 1.%d (%v): raise newest, and run go generate ./internal/engine/operation", file, newest, err)
		}
	}
	current, err := os.ReadFile(filepath.Join(dir, "..", "swagger.yaml")) // of the next version, before it has a file of its own
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(current), fmt.Sprintf("\n  version: \"1.%d\"\n", newest)) {
		t.Errorf("the module's swagger.yaml is not of API 1.%d", newest)
	}
}

// TestGeneratedFilesAreCurrent fails when a table or the module of the API
// descriptions has changed and go generate was not run.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	long.Alone(t)
	files, err := generate(described(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator writes: run go generate ./internal/engine/operation", name)
		}
	}
}
