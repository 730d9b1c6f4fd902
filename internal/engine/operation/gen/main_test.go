package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
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

// TestGeneratedFilesAreCurrent fails when a table or the module of the API
// descriptions has changed and go generate was not run.
func TestGeneratedFilesAreCurrent(t *testing.T) {
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
