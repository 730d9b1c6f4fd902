// Command gen writes the catalogue of package operation from the API
// descriptions in the module github.com/moby/moby/api and the tables in
// tables.go.
//
// It writes catalogue_gen.go, and three lists for people to review and tests
// to hold on to: testdata/catalogue.txt, testdata/schemas.txt and
// testdata/versions.txt; and the same of answers for package answer:
// schema_gen.go and testdata/answers.txt. It is run by go generate in
// internal/engine/operation.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Versions of the API that the module describes. 1.24 has no description; it
// is 1.25's.
const oldest, newest = 25, 57

const module = "github.com/moby/moby/api"

func main() {
	if err := run(context.Background(), "."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string) error {
	from, err := descriptions(ctx)
	if err != nil {
		return err
	}
	docs, err := read(from)
	if err != nil {
		return err
	}
	files, err := generate(docs)
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil { //nolint:gosec // sources
			return err
		}
	}
	return nil
}

// descriptions is the folder of the module that has the API descriptions.
func descriptions(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", module).Output() // nothing, if it is there
	if err != nil {
		return "", fmt.Errorf("find the module %s: %w", module, err)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		return "", fmt.Errorf("find the module %s: %w", module, err)
	}
	return filepath.Join(found.Dir, "docs"), nil
}

// generate gives every generated file by its name, relative to the package.
func generate(docs []*document) (map[string][]byte, error) {
	cat, err := load(docs)
	if err != nil {
		return nil, err
	}
	if err := cat.complete(); err != nil {
		return nil, err
	}
	if err := cat.completeAnswers(); err != nil {
		return nil, err
	}
	code, err := cat.code()
	if err != nil {
		return nil, err
	}
	answers, err := cat.answersCode()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"catalogue_gen.go":       code,
		"testdata/catalogue.txt": cat.list(),
		"testdata/schemas.txt":   cat.schemas(func(op *operation) *schema { return op.Schema }),
		"testdata/versions.txt":  cat.versions(),

		"../../authz/answer/schema_gen.go":        answers,
		"../../authz/answer/testdata/answers.txt": cat.schemas(func(op *operation) *schema { return op.Answer }),
	}, nil
}
