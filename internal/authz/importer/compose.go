package importer

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// setting is one KEY=VALUE, a flag, or a label, with where it stands.
type setting struct {
	key, value string
	line       int
}

// service is one of a compose file.
type service struct {
	name, container, image       string
	environment, command, labels []setting
}

// document reads the source as one YAML document whose top level is a mapping; nil if it is something else.
func (s *source) document() (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(s.text))
	var node yaml.Node
	switch err := dec.Decode(&node); {
	case errors.Is(err, io.EOF):
		return nil, s.problem(0, "is empty")
	case err != nil:
		return nil, s.problem(0, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(node.Content) != 1 || node.Content[0].Kind != yaml.MappingNode {
		return nil, nil
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, s.problem(0, "has more in it than one document")
	}
	return node.Content[0], nil
}

// followed follows an alias, once: one to another is none.
func followed(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// at gives the value of a key, nil without one.
func at(n *yaml.Node, key string) *yaml.Node {
	for k, v := range pairs(n) {
		if k.Value == key {
			return v
		}
	}
	return nil
}

// pairs are the keys and values of a mapping; none of anything else.
func pairs(n *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		if n = followed(n); n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for pair := range slices.Chunk(n.Content, 2) {
			if !yield(pair[0], followed(pair[1])) {
				return
			}
		}
	}
}

func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// services are those of a compose file, nil if it is none.
func services(doc *yaml.Node) (all []service) {
	for key, n := range pairs(at(doc, "services")) {
		all = append(all, service{
			name: key.Value, container: text(at(n, "container_name")), image: text(at(n, "image")),
			environment: settings(at(n, "environment")), command: settings(at(n, "command")), labels: settings(at(n, "labels")),
		})
	}
	return all
}

// settings reads a mapping, a list of KEY=VALUE, or a line of words.
func settings(n *yaml.Node) (all []setting) {
	switch {
	case n == nil:
	case n.Kind == yaml.MappingNode:
		for key, value := range pairs(n) {
			all = append(all, setting{key.Value, text(value), key.Line})
		}
	case n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			all = append(all, keyValue(text(followed(item)), item.Line))
		}
	case n.Kind == yaml.ScalarNode:
		for word := range strings.FieldsSeq(n.Value) {
			all = append(all, keyValue(word, n.Line))
		}
	}
	return all
}

func keyValue(s string, line int) setting {
	key, value, _ := strings.Cut(strings.TrimSpace(s), "=")
	return setting{strings.TrimSpace(key), unquoted(strings.TrimSpace(value)), line}
}

func unquoted(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// lines reads KEY=VALUE lines, as env files and lists of flags have them.
func (s *source) lines() (all []setting, err error) {
	n := 0
	for line := range strings.Lines(string(s.text)) {
		n++
		line = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "\\"))
		line = strings.TrimSpace(strings.TrimPrefix(line, "export "))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if !strings.Contains(line, "=") {
			return nil, s.problem(n, "%.40q is no NAME=VALUE", line)
		}
		all = append(all, keyValue(unquoted(line), n))
	}
	if all == nil {
		return nil, s.problem(0, "is empty")
	}
	return all, nil
}
