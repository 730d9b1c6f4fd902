package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// configFile is the YAML file: each key with its values as strings.
type configFile struct {
	name   string
	values map[string][]string
	lines  map[string]int // where each key is
	wrong  SettingErrors
}

// readFile reads the YAML file. One that was named must exist.
func (t Settings[S]) readFile(flags *pflag.FlagSet, getenv func(string) string) (*configFile, error) {
	f := &configFile{name: t.File, values: map[string][]string{}, lines: map[string]int{}}
	named := false
	if v := getenv("VITRINE_CONFIG"); v != "" {
		f.name, named = v, true
	}
	if flag := flags.Lookup("config"); flag.Changed {
		f.name, named = flag.Value.String(), true
	}
	if named && f.name == "" { // settings from elsewhere alone
		return f, nil
	}
	data, err := os.ReadFile(f.name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return f, nil
	}
	if err != nil {
		return f, fmt.Errorf("read the configuration: %w", err)
	}
	var doc map[string]yaml.Node // refuses a key that is there twice
	var whole yaml.Node
	if err := errors.Join(yaml.Unmarshal(data, &doc), yaml.Unmarshal(data, &whole)); err != nil {
		return f, fmt.Errorf("%s: %w", f.name, err)
	}
	if len(whole.Content) > 0 { // a value may begin below its key
		for i, n := range whole.Content[0].Content {
			if i%2 == 0 {
				f.lines[n.Value] = n.Line
			}
		}
	}
	for key, node := range doc {
		values, err := t.valuesOf(key, &node)
		if err != nil {
			f.wrong = append(f.wrong, SettingError{fmt.Sprintf("%s:%d: %s", f.name, f.lines[key], key), err})
		}
		f.values[key] = values
	}
	return f, nil
}

// valuesOf gives a key's value the form that its flag has. A mapping is JSON for
// an option with one value.
func (t Settings[S]) valuesOf(key string, n *yaml.Node) ([]string, error) {
	one := slices.ContainsFunc(t.Options, func(o Option[S]) bool { return o.Key == key && !o.List })
	if !one || n.Kind != yaml.MappingNode {
		return stringsOf(n)
	}
	var doc map[string]any
	if err := n.Decode(&doc); err != nil {
		return nil, err
	}
	text, err := json.Marshal(doc)
	return []string{string(text)}, err
}

// stringsOf gives a YAML value the form that the flag has: a list is several
// values; {name: agents, address: unix:///…, mode: 0666} is
// "agents=unix:///…,mode=0666"; {connections: 100} is "connections=100".
func stringsOf(n *yaml.Node) ([]string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return nil, nil
		}
		return []string{n.Value}, nil
	case yaml.SequenceNode:
		var out []string
		for _, item := range n.Content {
			switch item.Kind {
			case yaml.ScalarNode:
				out = append(out, item.Value)
			case yaml.MappingNode:
				spec, err := specOf(item)
				if err != nil {
					return nil, err
				}
				out = append(out, spec)
			case yaml.DocumentNode, yaml.SequenceNode, yaml.AliasNode:
				return nil, fmt.Errorf("line %d: want a string or a mapping", item.Line)
			}
		}
		return out, nil
	case yaml.MappingNode:
		var out []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i+1].Kind != yaml.ScalarNode {
				return nil, fmt.Errorf("line %d: want a plain value", n.Content[i+1].Line)
			}
			out = append(out, n.Content[i].Value+"="+n.Content[i+1].Value)
		}
		return out, nil
	case yaml.DocumentNode, yaml.AliasNode:
	}
	return nil, fmt.Errorf("line %d: want a value, a list or a mapping", n.Line)
}

func specOf(n *yaml.Node) (string, error) {
	var name, address string
	var rest []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		if value.Kind != yaml.ScalarNode {
			return "", fmt.Errorf("line %d: %s: want a plain value", value.Line, key)
		}
		switch key {
		case "name":
			name = value.Value
		case "address":
			address = value.Value
		default:
			rest = append(rest, key+"="+value.Value)
		}
	}
	return strings.Join(append([]string{name + "=" + address}, rest...), ","), nil
}
