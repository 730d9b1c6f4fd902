// Package rego is the built-in policy: the files of this folder, embedded as they
// are, so that they can be read, tested with `authz-plugin policy test rego/`
// and copied. It decides nothing; package policy loads and evaluates them.
package rego

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed authz.rego authz_test.rego extra.rego data.yaml
var files embed.FS

//go:embed schemas/input.json
var inputSchema []byte

//go:embed presets
var presets embed.FS

// Files are the policy, its tests and its data.
func Files() fs.FS { return files }

// Presets gives the names of the ready-made policies for tools that people put in front of Docker, sorted.
func Presets() []string {
	var names []string
	entries, _ := presets.ReadDir("presets") // it is embedded
	for _, e := range entries {
		if name, is := strings.CutSuffix(e.Name(), ".yaml"); is {
			names = append(names, name)
		}
	}
	return names
}

// Preset gives a preset's data and the cases that hold it, lines of "allow|deny PRINCIPAL,… METHOD URI [BODY]". The data's
// first line is a comment that says in a sentence what it is; its bindings come last, and are examples.
func Preset(name string) (data, cases []byte, err error) {
	if data, err = presets.ReadFile("presets/" + name + ".yaml"); err != nil {
		return nil, nil, err
	}
	cases, err = presets.ReadFile("presets/" + name + ".cases")
	return data, cases, err
}

// InputSchema is the closed JSON schema of what a policy is given as input,
// decoded.
func InputSchema() (any, error) {
	var schema any
	if err := json.Unmarshal(inputSchema, &schema); err != nil {
		return nil, fmt.Errorf("schemas/input.json: %w", err)
	}
	return schema, nil
}
