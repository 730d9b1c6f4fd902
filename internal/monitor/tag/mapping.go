package tag

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Mapping makes tags of labels, or of environment variables, by their names.
type Mapping struct {
	pattern string // in lower case; * stands for anything
	targets []target
}

type target struct {
	key  string // may hold %%label%% or %%env%%, which stand for the name
	high bool
}

// ParseMappings reads Datadog's DD_CONTAINER_LABELS_AS_TAGS and
// DD_CONTAINER_ENV_AS_TAGS: a JSON object of names to tags. A name matches in any
// case, and * in it matches anything. A tag may be several, with commas between them;
// a plus before it makes its cardinality high; %%label%% or %%env%% in it is the name.
func ParseMappings(text string) ([]Mapping, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var m map[string]string
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil, fmt.Errorf("not a JSON object of names to tags, such as {\"com.example.team\":\"team\"}: %w", err)
	}
	var out []Mapping
	for _, name := range slices.Sorted(maps.Keys(m)) {
		mapping := Mapping{pattern: strings.ToLower(name)}
		for tag := range strings.SplitSeq(m[name], ",") {
			key, high := strings.CutPrefix(strings.TrimSpace(tag), "+")
			if key == "" {
				return nil, fmt.Errorf("%q is mapped to a tag without a name: %q", name, m[name])
			}
			mapping.targets = append(mapping.targets, target{key, high})
		}
		out = append(out, mapping)
	}
	return out, nil
}

// keys are those of its tags that are known beforehand.
func (m Mapping) keys() []string {
	var out []string
	for _, to := range m.targets {
		if !strings.Contains(to.key, "%%") {
			out = append(out, to.key)
		}
	}
	return out
}

func (m Mapping) apply(t *Tags, values map[string]string) {
	for name, value := range values {
		if !match(m.pattern, strings.ToLower(name)) {
			continue
		}
		for _, to := range m.targets {
			level := Low
			if to.high {
				level = High
			}
			key := strings.NewReplacer("%%label%%", name, "%%env%%", name).Replace(to.key)
			t.claim(level, key, value)
		}
	}
}

// match: * stands for any text, and there is nothing else special.
func match(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(s, first) || len(s) < len(first)+len(last) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}
