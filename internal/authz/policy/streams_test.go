package policy

import (
	"slices"
	"testing"
)

// TestStreamsAreNotBlanked: whoever blanks something of a stream denies it to those that it was meant for, and is told so at the key.
func TestStreamsAreNotBlanked(t *testing.T) {
	pointers := []any{"/x"}
	data := map[string]any{"roles": map[string]any{"r": map[string]any{"redact": map[string]any{
		"ContainerLogs": pointers, "ContainerList": pointers, // a list can be blanked
		"ContainerAttach": pointers, // a POST may be asked for no stream
	}}}}
	var said []string
	checkStreams(data, func(key, message string) { said = append(said, key+": "+message) })
	want := []string{"roles.r.redact.ContainerLogs: a plain GET /containers/{id}/logs is denied: the answer must be redacted, and this stream cannot be"}
	if !slices.Equal(said, want) {
		t.Errorf("said %q", said)
	}
}
