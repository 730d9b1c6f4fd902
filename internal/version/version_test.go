package version

import (
	"runtime/debug"
	"slices"
	"testing"
)

func TestCommit(t *testing.T) {
	for name, c := range map[string]struct {
		settings []debug.BuildSetting
		want     []string
	}{
		"a release":               {[]debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.time", Value: "2026-11-27T10:00:00Z"}, {Key: "vcs.modified", Value: "false"}}, []string{"0123456789ab", "2026-11-27"}},
		"somebody's working tree": {[]debug.BuildSetting{{Key: "vcs.revision", Value: "0123"}, {Key: "vcs.modified", Value: "true"}}, []string{"0123 with changes"}},
		"no repository":           {nil, nil},
	} {
		if got := commit(c.settings); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
