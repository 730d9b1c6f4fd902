package policy

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/answer"
)

type object = map[string]any

// TestDataSchema: the schema of data.yaml, for editors, says what checkRoles
// checks. It is written by this test with -update.
func TestDataSchema(t *testing.T) {
	list := func(items any) object { return object{"type": "array", "items": items} }
	enum := func(words ...string) object { return object{"enum": words} }
	text := object{"type": "string"}
	hazards := slices.DeleteFunc(append([]string{"*"}, hazards()...), func(h string) bool { return h == "unknown-input" })
	kinds := slices.Sorted(maps.Keys(principalKinds()))
	principal := object{"anyOf": []any{
		object{"const": "local"},
		object{"type": "string", "pattern": "^(" + strings.Join(kinds, "|") + "):[^*]+$"},
	}}
	operations := operationIDs()
	role := object{
		"type": "object", "additionalProperties": false,
		"properties": object{
			"operations": list(enum(append([]string{"*"}, operations...)...)),
			"access":     list(enum(accessClasses()...)),
			"resources":  list(enum(resources()...)),
			"except":     list(enum(operations...)),
			"hazards":    list(enum(hazards...)),
			"host_paths": list(object{"type": "string", "pattern": "^(/|volume:.)"}),
			"redact": object{
				"type": "object", "propertyNames": enum(append([]string{"*"}, operations...)...),
				"additionalProperties": list(object{"anyOf": []any{enum(append([]string{"*"}, answer.Names()...)...), object{"type": "string", "pattern": "^(/|$)"}}}),
			},
			"keep_env":          list(text),
			"where":             object{"type": "object", "additionalProperties": text},
			"without_redaction": object{"type": "boolean"},
			"unresolved":        object{"type": "boolean"},
		},
	}
	schema := object{
		"$schema":              "http://json-schema.org/draft-07/schema#",
		"title":                "Roles and bindings of the built-in policy",
		"type":                 "object",
		"additionalProperties": false,
		"properties": object{
			"roles":    object{"type": "object", "additionalProperties": role},
			"bindings": object{"type": "object", "additionalProperties": list(object{"anyOf": []any{principal, list(principal)}})},
		},
	}
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(schema); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("..", "..", "rego", "schemas", "data.json")
	if *update {
		if err := os.WriteFile(name, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("rego/schemas/data.json is not what the catalogue says: run this test with -update")
	}

	// Each key of the schema is one that checkRoles knows, and there is no other.
	accepted := map[string]any{}
	c := roleChecker{operations: operations, classes: accessClasses(), resources: resources()}
	for key := range role["properties"].(object) {
		accepted[key] = nil
	}
	c.role("roles.x", accepted)
	for _, p := range c.problems {
		if strings.Contains(p.Error(), "unknown key") {
			t.Error(p)
		}
	}
	c.problems = nil
	c.role("roles.x", map[string]any{"no_such_key": nil})
	names := slices.Sorted(maps.Keys(accepted))
	if text := c.problems[0].Error(); !strings.Contains(text, strings.Join(names, ", ")) {
		t.Errorf("%s: want %v", text, names)
	}
}
