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

	"vitrine/internal/authz/answer"
	"vitrine/internal/engine/principal"
)

type schemaObject = map[string]any

// TestDataSchema: the schema of data.yaml, for editors, says what checkRoles
// checks. It is written by this test with -update.
func TestDataSchema(t *testing.T) {
	list := func(items any) schemaObject { return schemaObject{"type": "array", "items": items} }
	enum := func(words ...string) schemaObject { return schemaObject{"enum": words} }
	text := schemaObject{"type": "string"}
	hazards := slices.DeleteFunc(append([]string{"*"}, hazards()...), func(h string) bool { return h == "unknown-input" })
	var kinds []string
	for _, f := range principal.Kinds() {
		if f.Kind != principal.Local {
			kinds = append(kinds, string(f.Kind))
		}
	}
	bound := schemaObject{"anyOf": []any{
		schemaObject{"const": string(principal.Local)},
		schemaObject{"type": "string", "pattern": "^(" + strings.Join(kinds, "|") + "):[^*]+$"},
	}}
	ending := func(key string, of any) schemaObject {
		return schemaObject{"type": "object", "additionalProperties": false, "required": []string{key, "until"}, "properties": schemaObject{key: of, "until": text}}
	}
	operations := operationIDs()
	role := schemaObject{
		"type": "object", "additionalProperties": false,
		"properties": schemaObject{
			"operations": list(enum(append([]string{"*"}, operations...)...)),
			"access":     list(enum(accessClasses()...)),
			"resources":  list(enum(resources()...)),
			"except":     list(enum(operations...)),
			"hazards":    list(enum(hazards...)),
			"host_paths": list(schemaObject{"type": "string", "pattern": "^(/|volume:.|\\$mounts$)"}),
			"redact": schemaObject{
				"type": "object", "propertyNames": enum(append([]string{"*"}, operations...)...),
				"additionalProperties": list(schemaObject{"anyOf": []any{enum(append([]string{"*"}, answer.Names()...)...), schemaObject{"type": "string", "pattern": "^(/|$)"}}}),
			},
			"keep_env": list(text),
			"where":    schemaObject{"type": "object", "minProperties": 1, "additionalProperties": text},
			"stamp":    schemaObject{"type": "object", "minProperties": 1, "additionalProperties": text},
			"ceilings": schemaObject{"type": "object", "minProperties": 1, "additionalProperties": false, "properties": schemaObject{
				"memory": schemaObject{"type": []any{"string", "integer"}, "minimum": 1}, "cpus": schemaObject{"type": "number", "minimum": 0.01},
				"pids": schemaObject{"type": "integer", "minimum": 1}, "containers": schemaObject{"type": "integer", "minimum": 1}, "networks": schemaObject{"type": "integer", "minimum": 1},
				"volumes": schemaObject{"type": "integer", "minimum": 1},
			}},
			"own": schemaObject{"enum": []any{true, "container", "user"}},
			"shared": schemaObject{"type": "object", "additionalProperties": false, "properties": schemaObject{
				"containers": list(text), "images": list(text), "networks": list(text), "volumes": list(text),
			}},
			"image_names":   list(text),
			"engine_socket": schemaObject{"enum": []any{"substitute"}},
			"recreate": schemaObject{"type": "object", "additionalProperties": false, "required": []string{"where"}, "properties": schemaObject{
				"where": schemaObject{"type": "object", "minProperties": 1, "additionalProperties": text},
			}},
			"without_redaction": schemaObject{"type": "boolean"},
			"unresolved":        schemaObject{"type": "boolean"},
			"mode":              enum("audit", "enforce"),
			"grant":             schemaObject{"type": "object", "additionalProperties": false, "required": []string{"max"}, "properties": schemaObject{"max": text}},
		},
	}
	schema := schemaObject{
		"$schema":              "http://json-schema.org/draft-07/schema#",
		"title":                "Roles and bindings of the built-in policy",
		"type":                 "object",
		"additionalProperties": false,
		"properties": schemaObject{
			"roles":    schemaObject{"type": "object", "additionalProperties": role},
			"bindings": schemaObject{"type": "object", "additionalProperties": list(schemaObject{"anyOf": []any{bound, list(bound), ending("principal", bound), ending("all", list(bound))}})},
		},
	}
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(schema); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("..", "..", "..", "rego", "schemas", "data.json")
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
		t.Error("rego/schemas/data.json is not what the catalogue says: go test ./internal/authz/policy -run DataSchema -update")
	}

	// Each key of the schema is one that checkRoles knows, and there is no other.
	accepted := map[string]any{}
	c := roleChecker{operations: operations, classes: accessClasses(), resources: resources()}
	for key := range role["properties"].(schemaObject) {
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
