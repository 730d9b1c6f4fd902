package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// An option is one setting of serve: a flag, a key of the YAML file and an
// environment variable of the same name. This table is the only list of them;
// plugin/config.json is compared with it by a test.
type option struct {
	key  string   // YAML key; the flag has dashes for its underscores
	list bool     // may be given several times; ";" separates in the environment
	def  []string // as written in the help
	help string
	set  func(s *settings, values []string) error
}

func (o option) flag() string { return strings.ReplaceAll(o.key, "_", "-") }
func (o option) env() string  { return "VITRINE_" + strings.ToUpper(o.key) }

// problem is one thing that is wrong with the configuration.
type problem struct {
	where string // "--mode", "VITRINE_MODE" or "config.yaml: mode"
	err   error
}

func (p problem) Error() string { return p.where + ": " + p.err.Error() }

// problems are all that is wrong with the configuration: exit 2.
type problems []problem

func (p problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

const defaultConfig = "/etc/docker/vitrine/config.yaml"

// addFlags registers the table's flags.
func addFlags(flags *pflag.FlagSet) {
	flags.String("config", defaultConfig, "YAML file with these settings by `FILE`; the default may be absent (VITRINE_CONFIG)")
	for _, o := range options {
		help := fmt.Sprintf("%s (%s)", o.help, o.env())
		if o.list {
			flags.StringArray(o.flag(), o.def, help)
		} else {
			flags.String(o.flag(), strings.Join(o.def, ""), help)
		}
	}
}

// readSettings merges flags, environment, file and defaults, in this order of
// precedence, and reports every problem it finds, not just the first.
func readSettings(flags *pflag.FlagSet, getenv func(string) (string, bool)) (*settings, error) {
	var wrong problems
	file, err := readFile(flags, getenv)
	if err != nil {
		wrong = append(wrong, problem{"config", err})
	}
	s := &settings{}
	for _, o := range options {
		where, values := pick(o, flags, getenv, file)
		if err := o.set(s, values); err != nil {
			wrong = append(wrong, problem{where, err})
		}
	}
	wrong = append(wrong, file.unknown()...)
	wrong = append(wrong, s.check()...)
	if len(wrong) > 0 {
		return nil, wrong
	}
	return s, nil
}

// pick finds the strongest source of an option's values.
func pick(o option, flags *pflag.FlagSet, getenv func(string) (string, bool), file *configFile) (where string, values []string) {
	if f := flags.Lookup(o.flag()); f != nil && f.Changed {
		if v, ok := f.Value.(pflag.SliceValue); ok {
			return "--" + o.flag(), v.GetSlice()
		}
		return "--" + o.flag(), []string{f.Value.String()}
	}
	// An empty variable is an unset one: config.json declares them all.
	if v, ok := getenv(o.env()); ok && v != "" {
		if o.list {
			return o.env(), strings.Split(v, ";")
		}
		return o.env(), []string{v}
	}
	if v, ok := file.values[o.key]; ok {
		file.used = append(file.used, o.key)
		return file.name + ": " + o.key, v
	}
	return "--" + o.flag(), o.def
}

// configFile is the YAML file: each key with its values as strings.
type configFile struct {
	name   string
	values map[string][]string
	used   []string
	wrong  problems
}

// readFile reads the YAML file. One that was named must exist.
func readFile(flags *pflag.FlagSet, getenv func(string) (string, bool)) (*configFile, error) {
	f := &configFile{name: defaultConfig, values: map[string][]string{}}
	named := false
	if v, ok := getenv("VITRINE_CONFIG"); ok && v != "" {
		f.name, named = v, true
	}
	if flag := flags.Lookup("config"); flag != nil && flag.Changed {
		f.name, named = flag.Value.String(), true
	}
	data, err := os.ReadFile(f.name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return f, nil
	}
	if err != nil {
		return f, fmt.Errorf("read the configuration: %w", err)
	}
	var doc map[string]yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return f, fmt.Errorf("%s: %w", f.name, err)
	}
	for key, node := range doc {
		values, err := stringsOf(&node)
		if err != nil {
			f.wrong = append(f.wrong, problem{fmt.Sprintf("%s:%d: %s", f.name, node.Line, key), err})
		}
		f.values[key] = values
	}
	return f, nil
}

// unknown reports the keys that nobody asked for, and bad values.
func (f *configFile) unknown() problems {
	wrong := f.wrong
	for key := range f.values {
		known := slices.ContainsFunc(options, func(o option) bool { return o.key == key })
		if !known {
			wrong = append(wrong, problem{f.name + ": " + key, fmt.Errorf("no such key; there are %s", strings.Join(keys(), ", "))})
		}
	}
	slices.SortFunc(wrong, func(a, b problem) int { return strings.Compare(a.where, b.where) })
	return wrong
}

func keys() []string {
	out := make([]string, len(options))
	for i, o := range options {
		out[i] = o.key
	}
	return out
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
