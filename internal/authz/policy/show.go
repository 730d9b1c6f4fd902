package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// Show writes the data of the policy in opts.Paths, merged, as YAML that is a data file again, with
// the place where each key of the two topmost levels was written; with rules, its rules instead. A policy that
// would not load is an error.
func Show(ctx context.Context, opts Options, rules bool, w io.Writer) error {
	src, err := readSources(opts.Paths, opts.BuiltinIfAbsent)
	if err != nil {
		return err
	}
	if _, _, err := build(ctx, src, opts); err != nil {
		return err
	}
	if rules {
		for _, f := range src.modules {
			fmt.Fprintf(w, "# %s\n%s\n", f.name, f.raw)
		}
		return nil
	}
	data, where, err := mergeData(src)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "# Revision %s. Rules: %s.\n", src.revision, src.rulesFrom())
	if len(data) == 0 {
		return nil
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(shown("", data, where)); err != nil {
		return fmt.Errorf("write the data: %w", err)
	}
	return encoder.Close()
}

// rulesFrom names the files that hold the rules.
func (s *sources) rulesFrom() string {
	list := func(files []file) string {
		names := make([]string, len(files))
		for i, f := range files {
			names[i] = f.name
		}
		return strings.Join(names, ", ")
	}
	switch {
	case !s.builtin:
		return list(s.modules)
	case len(s.extra) > 0:
		return "the built-in ones, and those of " + list(s.extra)
	}
	return "the built-in ones"
}

// shown is a value of the data as YAML, its topmost keys with their places.
func shown(key string, v any, where map[string]position) *yaml.Node {
	node := &yaml.Node{}
	switch v := v.(type) {
	case map[string]any:
		node.Kind = yaml.MappingNode
		for _, k := range slices.Sorted(maps.Keys(v)) {
			name, below := &yaml.Node{}, join(key, k)
			name.SetString(k)
			if at, has := where[below]; has && strings.Count(below, ".") == 1 {
				name.HeadComment = fmt.Sprintf("%s:%d", at.file, at.line)
			}
			node.Content = append(node.Content, name, shown(below, v[k], where))
		}
	case []any:
		node.Kind, node.Style = yaml.SequenceNode, yaml.FlowStyle
		for _, e := range v {
			node.Content = append(node.Content, shown(key, e, nil))
		}
	case json.Number:
		node.Kind, node.Value = yaml.ScalarNode, v.String()
	case string:
		node.SetString(v)
	default:
		_ = node.Encode(v) // true, false and null
	}
	return node
}
