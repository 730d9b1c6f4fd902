package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// schema is a type of JSON value: any, bool, string, number, strings (a string
// or a list), array, map (free-form keys) or object (closed).
type schema struct {
	Kind  string
	Name  string  // of object: its definition's in the newest description that has one, else ""
	Elem  *schema // of array and map
	Props []prop  // of object, by folded name
}

type prop struct {
	Name   string
	Schema *schema
	Class  string // what it does, by fields.go
}

func leaf(kind string) *schema       { return &schema{Kind: kind} }
func arrayOf(elem *schema) *schema   { return &schema{Kind: "array", Elem: elem} }
func mapOf(elem *schema) *schema     { return &schema{Kind: "map", Elem: elem} }
func fold(name string) string        { return strings.ToLower(name) }
func (s *schema) find(n string) *int { return findProp(s.Props, n) }

func findProp(props []prop, name string) *int {
	i, ok := slices.BinarySearchFunc(props, fold(name), func(p prop, key string) int { return cmp.Compare(fold(p.Name), key) })
	if !ok {
		return nil
	}
	return &i
}

func object(pairs ...any) *schema {
	s := &schema{Kind: "object"}
	for pair := range slices.Chunk(pairs, 2) {
		s.add(pair[0].(string), pair[1].(*schema))
	}
	return s
}

// add adds a property; the spelling and kind that came first, the newest
// version's, stay.
func (s *schema) add(name string, t *schema) {
	if i := s.find(name); i != nil {
		s.Props[*i].Schema.merge(t)
		return
	}
	s.Props = append(s.Props, prop{Name: name, Schema: t})
	slices.SortFunc(s.Props, func(a, b prop) int { return cmp.Compare(fold(a.Name), fold(b.Name)) })
}

// merge adds the properties of an older version.
func (s *schema) merge(older *schema) {
	if s.Kind != older.Kind {
		return
	}
	if s.Elem != nil && older.Elem != nil {
		s.Elem.merge(older.Elem)
	}
	for _, p := range older.Props {
		s.add(p.Name, p.Schema)
	}
}

// set puts a schema at a path such as /HostConfig/Mounts/*/ClusterOptions.
func (s *schema) set(path string, t *schema) error {
	head, rest, more := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if head == "*" && s.Elem != nil {
		return s.Elem.set(rest, t)
	}
	if s.Kind != "object" {
		return fmt.Errorf("%s: not in an object", path)
	}
	i := s.find(head)
	switch {
	case !more && i == nil:
		s.add(head, t)
		return nil
	case !more:
		s.Props[*i].Schema = t
		return nil
	}
	if i == nil {
		return fmt.Errorf("%s: no such key", path)
	}
	return s.Props[*i].Schema.set(rest, t)
}

// key is equal for equal schemas.
func (s *schema) key() string {
	var b strings.Builder
	b.WriteString(s.Kind)
	if s.Elem != nil {
		b.WriteString("<" + s.Elem.key() + ">")
	}
	if s.Kind == "object" {
		b.WriteString("{")
		for _, p := range s.Props {
			b.WriteString(p.Name + ":" + p.Class + ":" + p.Schema.key() + ",")
		}
		b.WriteString("}")
	}
	return b.String()
}

// print writes a schema for a reader, with what its keys do.
func (s *schema) print(b *strings.Builder, indent string) {
	b.WriteString(s.Kind)
	for s.Elem != nil {
		s = s.Elem
		b.WriteString(" of " + s.Kind)
	}
	b.WriteString("\n")
	for _, p := range s.Props {
		b.WriteString(indent + p.Name)
		if p.Class != "" && p.Class != harmless {
			b.WriteString(" (" + p.Class + ")")
		}
		b.WriteString(": ")
		p.Schema.print(b, indent+"  ")
	}
}
