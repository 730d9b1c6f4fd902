// Package rego is the default policy: the files of this folder, embedded as they
// are, so that they can be read, tested with `authz-plugin policy test rego/`
// and copied. It decides nothing; package policy loads and evaluates them.
package rego

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
)

//go:embed authz.rego authz_test.rego data.yaml
var files embed.FS

//go:embed schemas/input.json
var inputSchema []byte

// Files are the policy, its tests and its data.
func Files() fs.FS { return files }

// InputSchema is the closed JSON schema of what a policy is given as input,
// decoded.
func InputSchema() (any, error) {
	var schema any
	if err := json.Unmarshal(inputSchema, &schema); err != nil {
		return nil, fmt.Errorf("schemas/input.json: %w", err)
	}
	return schema, nil
}
