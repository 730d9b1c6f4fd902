package audit

import (
	"bytes"
	"encoding/json"
)

// A Format appends a record to b as one line, its end too. Every format is made of the Record
// alone, so that what is cut there is in none.
type Format func(b []byte, r *Record) ([]byte, error)

// FormatOf is the format with a name; nil for none.
func FormatOf(name string) Format { return map[string]Format{"json": JSON, "ocsf": OCSF}[name] }

// JSON is the format that docs/audit.md documents.
func JSON(b []byte, r *Record) ([]byte, error) { return appendLine(b, r) }

// appendLine appends a value as a line of JSON.
func appendLine(b []byte, v any) ([]byte, error) {
	buf := bytes.NewBuffer(b)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return b, err
	}
	return buf.Bytes(), nil
}
