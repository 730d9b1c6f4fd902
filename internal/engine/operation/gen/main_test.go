package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
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
	files, err := filepath.Glob(filepath.Join(dir, "v*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no descriptions in %s: %v", dir, err)
	}
	for _, file := range files {
		var minor int
		name := strings.Replace(filepath.Base(file), "-swagger.yaml", ".yaml", 1) // the same in the older form
		if _, err := fmt.Sscanf(name, "v1.%d.yaml", &minor); err != nil || minor > newest {
			t.Errorf("%s describes more than API 1.%d (%v): docs/adding.md (An operation) says how to take it in", file, newest, err)
		}
	}
	current, err := os.ReadFile(filepath.Join(dir, "..", "openapi.yaml")) // of the next version, before it has a file of its own
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(current), fmt.Sprintf("\n  version: \"1.%d\"\n", newest)) {
		t.Errorf("the module's openapi.yaml is not of API 1.%d", newest)
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

// TestBothFormsSayTheSame: API 1.57 is described in the older form as well, made of the newer one by others.
func TestBothFormsSayTheSame(t *testing.T) {
	long.Alone(t)
	dir, err := descriptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "v1.57-swagger.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	older, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	newer := described(t)[57-oldest]
	if older.Swagger == "" || newer.OpenAPI == "" || len(newer.Paths) < 90 || len(older.Paths) != len(newer.Paths) {
		t.Fatalf("Swagger %q of %d paths, OpenAPI %q of %d", older.Swagger, len(older.Paths), newer.OpenAPI, len(newer.Paths))
	}
	for path, methods := range newer.Paths {
		for method, of := range methods {
			got, want := &operation{}, &operation{}
			if err := errors.Join(got.read(newer, of, 57), want.read(older, older.Paths[path][method], 57)); err != nil {
				t.Fatal(err)
			}
			byName := func(a, b param) int { return cmp.Compare(a.Name, b.Name) }
			slices.SortFunc(got.Params, byName)
			slices.SortFunc(want.Params, byName)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s %s is %+v as OpenAPI, and %+v as Swagger", method, path, got, want)
			}
		}
	}
}

// TestUnknownDescriptionClosed: what the generator cannot read of a description stops it, and is not left out.
func TestUnknownDescriptionClosed(t *testing.T) {
	long.Alone(t)
	const sound = `
openapi: "3.2.0"
components:
  schemas:
    Spec: {type: object, properties: {Key: {type: string}}}
paths:
  /specs:
    post:
      parameters: [{name: verbose, in: query, schema: {type: boolean}}]
      requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/Spec"}}, text/plain: {schema: {$ref: "#/components/schemas/Spec"}}}}
      responses:
        200: {content: {application/json: {schema: {type: array, items: {$ref: "#/components/schemas/Spec"}}}}}
`
	read := func(text string) (*operation, error) {
		doc, err := parse([]byte(text))
		if err != nil {
			return nil, err
		}
		o := &operation{}
		return o, o.read(doc, doc.Paths["/specs"]["post"], newest)
	}
	o, err := read(sound)
	if err != nil || o.Body != "json" || o.Schema.find("Key") == nil || o.Answer.Elem.find("Key") == nil || len(o.Params) != 1 {
		t.Fatalf("%+v, %v", o, err)
	}
	for name, change := range map[string][2]string{
		"another version of OpenAPI":  {`"3.2.0"`, `"3.3.0"`},
		"a choice of schemas":         {`{type: string}`, `{oneOf: [{type: string}, {type: object, properties: {Token: {type: string}}}]}`},
		"keys beside a reference":     {`{schema: {$ref: "#/components/schemas/Spec"}}, text`, `{schema: {$ref: "#/components/schemas/Spec", properties: {Token: {type: string}}}}, text`},
		"a parameter that is named":   {`{name: verbose, in: query, schema: {type: boolean}}`, `{$ref: "#/components/parameters/verbose"}`},
		"a parameter of a new kind":   {`in: query`, `in: querystring`},
		"a body that is named":        {`{required: true, content:`, `{$ref: "#/components/requestBodies/Spec", content:`},
		"a body of which nothing is":  {`{schema: {$ref: "#/components/schemas/Spec"}}, text/plain: {schema: {$ref: "#/components/schemas/Spec"}}`, ``},
		"a body that is two things":   {`text/plain: {schema: {$ref: "#/components/schemas/Spec"}}`, `text/plain: {schema: {type: string}}`},
		"an answer that is named":     {`200: {content:`, `200: {$ref: "#/components/responses/Specs", content:`},
		"an answer in pieces":         {`{schema: {type: array, items: {$ref: "#/components/schemas/Spec"}}}`, `{itemSchema: {$ref: "#/components/schemas/Spec"}}`},
		"a method that is no word":    {`      parameters:`, "      additionalOperations: {COPY: {operationId: Copy}}\n      parameters:"},
		"a parameter of all methods":  {`    post:`, "    parameters: [{name: force, in: query}]\n    post:"},
		"a schema that is not there":  {`items: {$ref: "#/components/schemas/Spec"}`, `items: {$ref: "#/components/schemas/Other"}`},
		"a parameter with a new word": {`in: query,`, `in: query, allowReserved: true,`},
	} {
		if !strings.Contains(sound, change[0]) {
			t.Errorf("%s: there is no %q", name, change[0])
		}
		if o, err := read(strings.Replace(sound, change[0], change[1], 1)); err == nil {
			t.Errorf("%s is read as %+v", name, o)
		}
	}
}
