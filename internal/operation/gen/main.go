// Command gen writes the catalogue of package operation from the API
// descriptions in the module github.com/moby/moby/api and the tables in
// tables.go.
//
// It writes catalogue_gen.go, and three lists for people to review and tests
// to hold on to: testdata/catalogue.txt, testdata/schemas.txt and
// testdata/versions.txt. It is run by go generate in internal/operation.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
)

// Versions of the API that the module describes. 1.24 has no description; it
// is 1.25's.
const oldest, newest = 25, 56

const module = "github.com/moby/moby/api"

func main() {
	log.SetFlags(0)
	if err := run("."); err != nil {
		log.Fatal(err)
	}
}

func run(dir string) error {
	files, err := generate()
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate gives every generated file by its name, relative to the package.
func generate() (map[string][]byte, error) {
	out, err := exec.Command("go", "mod", "download", "-json", module).Output() // nothing, if it is there
	if err != nil {
		return nil, fmt.Errorf("find the module %s: %w", module, err)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, fmt.Errorf("find the module %s: %w", module, err)
	}
	cat, err := load(filepath.Join(found.Dir, "docs"))
	if err != nil {
		return nil, err
	}
	if err := cat.complete(); err != nil {
		return nil, err
	}
	code, err := cat.code()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"catalogue_gen.go":       code,
		"testdata/catalogue.txt": cat.list(),
		"testdata/schemas.txt":   cat.schemas(),
		"testdata/versions.txt":  cat.versions(),
	}, nil
}
