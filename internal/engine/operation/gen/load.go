package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// document is what we read of an API description: Swagger 2.0 to API 1.56, and
// from 1.57 on OpenAPI 3.2, which has bodies, answers and definitions elsewhere.
// The Swagger that comes beside that is made of it, and need not say all of it.
type document struct {
	Swagger     string                             `yaml:"swagger"`
	OpenAPI     string                             `yaml:"openapi"`
	Paths       map[string]map[string]docOperation `yaml:"paths"`
	Definitions map[string]*docSchema              `yaml:"definitions"`
	Components  struct {
		Schemas map[string]*docSchema `yaml:"schemas"`
	} `yaml:"components"`
}

type docOperation struct {
	ID         string                 `yaml:"operationId"`
	Parameters []docParam             `yaml:"parameters"`
	Body       *docBody               `yaml:"requestBody"`
	Responses  map[string]docResponse `yaml:"responses"`
	Rest       rest                   `yaml:",inline"`
}

type docParam struct {
	Name     string     `yaml:"name"`
	In       string     `yaml:"in"`
	Required bool       `yaml:"required"`
	Schema   *docSchema `yaml:"schema"`
	Rest     rest       `yaml:",inline"`
}

type docBody struct {
	Required bool                `yaml:"required"`
	Content  map[string]docMedia `yaml:"content"`
	Rest     rest                `yaml:",inline"`
}

// docMedia is a body or an answer in one of the forms that it can have, by media type.
type docMedia struct {
	Schema *docSchema `yaml:"schema"`
	Rest   rest       `yaml:",inline"`
}

type docSchema struct {
	Ref        string                `yaml:"$ref"`
	Type       typeName              `yaml:"type"`
	Format     string                `yaml:"format"`
	AllOf      []*docSchema          `yaml:"allOf"`
	Items      *docSchema            `yaml:"items"`
	Properties map[string]*docSchema `yaml:"properties"`
	Additional yaml.Node             `yaml:"additionalProperties"`
	Rest       rest                  `yaml:",inline"`
}

// rest is what else an object of a description says.
type rest map[string]yaml.Node

// unread are words of which none says what keys or parameters there are.
var unread = strings.Fields(`collectionFormat consumes default description enum example examples explode format headers items
	maxItems maxLength maximum minItems minLength minimum pattern produces required style summary tags title type`)

// known fails of a word that nobody has looked at, such as oneOf or a response's
// $ref: what it brings would be left out, and so never be classified.
func (r rest) known() error {
	for _, word := range slices.Sorted(maps.Keys(r)) {
		if !strings.HasPrefix(word, "x-") && !slices.Contains(unread, word) {
			return fmt.Errorf("the generator does not know what %q means", word)
		}
	}
	return nil
}

// typeName is a type, or a list with "null" that means the same: every JSON
// value may be null here.
type typeName string

// UnmarshalYAML reads either form; a real choice of types is "", any.
func (t *typeName) UnmarshalYAML(n *yaml.Node) error {
	var names []typeName
	if n.Kind == yaml.ScalarNode {
		names = []typeName{typeName(n.Value)}
	} else if err := n.Decode(&names); err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(s typeName) bool { return s == "null" })
	if len(names) == 1 {
		*t = names[0]
	}
	return nil
}

// operation is one entry of the catalogue.
type operation struct {
	ID, Method, Path, Resource string
	Params                     []param
	Body                       string // "", "json" (required), "optional" or "opaque"
	Schema                     *schema
	Answer                     *schema // of a document; nil for none
	Since, Until               int     // minor API versions; 0 for undocumented ones
	Names                      []span
}

type param struct {
	Name  string
	List  bool
	JSON  *schema
	Class string // what it does, by fields.go
}

// span is the versions in which an operation had an id.
type span struct {
	ID       string
	From, To int
}

type catalogue struct{ ops []*operation }

// read reads the descriptions in a folder, oldest first.
func read(dir string) ([]*document, error) {
	docs, errs := make([]*document, newest-oldest+1), make([]error, newest-oldest+1)
	var group sync.WaitGroup
	for i := range docs {
		group.Go(func() {
			data, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("v1.%d.yaml", oldest+i)))
			if err == nil {
				docs[i], err = parse(data)
			}
			if err != nil {
				errs[i] = fmt.Errorf("read API %d: %w", oldest+i, err)
			}
		})
	}
	group.Wait()
	return docs, errors.Join(errs...)
}

// parse reads a description. One of another form would seem to have neither
// bodies nor answers, and those of older versions would be taken for its own.
func parse(data []byte) (*document, error) {
	var d document
	if err := yaml.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	switch {
	case d.Swagger == "2.0":
	case d.OpenAPI == "3.2.0":
		d.Definitions = d.Components.Schemas
	default:
		return nil, fmt.Errorf("swagger %q, openapi %q: the generator reads Swagger 2.0 and OpenAPI 3.2.0", d.Swagger, d.OpenAPI)
	}
	return &d, nil
}

// load makes the catalogue of the descriptions, newest first: what a newer version says stays.
func load(docs []*document) (*catalogue, error) {
	byRoute := map[string]*operation{}
	for v := newest; v >= oldest; v-- {
		doc := docs[v-oldest]
		for path, methods := range doc.Paths {
			for method, op := range methods {
				route := strings.ToUpper(method) + " " + path
				if byRoute[route] == nil {
					byRoute[route] = &operation{ID: op.ID, Method: strings.ToUpper(method), Path: path, Resource: resource(path), Until: v}
				}
				if err := byRoute[route].read(doc, op, v); err != nil {
					return nil, fmt.Errorf("API %d, %s: %w", v, route, err)
				}
			}
		}
	}
	cat := &catalogue{}
	for _, op := range byRoute {
		cat.ops = append(cat.ops, op)
	}
	return cat, nil
}

func (o *operation) read(doc *document, from docOperation, version int) error {
	o.Since = version
	if n := len(o.Names); n > 0 && o.Names[n-1].ID == from.ID {
		o.Names[n-1].From = version
	} else {
		o.Names = append(o.Names, span{from.ID, version, version})
	}
	if err := from.Rest.known(); err != nil {
		return err
	}
	for _, p := range from.Parameters {
		if err := p.Rest.known(); err != nil {
			return fmt.Errorf("parameter %q: %w", p.Name, err)
		}
		switch p.In {
		case "query":
			o.addParam(p.Name)
		case "body":
			if err := o.addBody(doc, p); err != nil {
				return err
			}
		case "path", "header":
		default:
			return fmt.Errorf("parameter in %q", p.In)
		}
	}
	if from.Body != nil {
		s, err := doc.content(from.Body.Content, from.Body.Rest)
		if err == nil && s == nil {
			err = errors.New("has no schema")
		}
		if err == nil {
			err = o.addBody(doc, docParam{Required: from.Body.Required, Schema: s})
		}
		if err != nil {
			return fmt.Errorf("body: %w", err)
		}
	}
	return o.addAnswers(doc, from.Responses)
}

// content is what a body or an answer is, whatever its media type; nil, where
// nothing is said of it.
func (d *document) content(of map[string]docMedia, holder rest) (*docSchema, error) {
	if err := holder.known(); err != nil {
		return nil, err
	}
	var one *docSchema
	var key string
	for i, media := range slices.Sorted(maps.Keys(of)) {
		m := of[media]
		if err := m.Rest.known(); err != nil {
			return nil, fmt.Errorf("%s: %w", media, err)
		}
		k := ""
		if m.Schema != nil {
			s, err := d.schema(m.Schema, 0)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", media, err)
			}
			k = s.key()
		}
		if i > 0 && k != key {
			return nil, fmt.Errorf("is something else as %s", media)
		}
		one, key = m.Schema, k
	}
	return one, nil
}

func (o *operation) addParam(name string) {
	if !slices.ContainsFunc(o.Params, func(p param) bool { return p.Name == name }) {
		o.Params = append(o.Params, param{Name: name})
	}
}

func (o *operation) addBody(doc *document, p docParam) error {
	if p.Schema.Type == "string" {
		o.Body = "opaque"
		return nil
	}
	s, err := doc.schema(p.Schema, 0)
	if err != nil {
		return err
	}
	if o.Schema != nil {
		o.Schema.merge(s)
		return nil
	}
	o.Schema, o.Body = s, "optional"
	if p.Required {
		o.Body = "json"
	}
	return nil
}

// schema resolves a description's schema.
func (d *document) schema(s *docSchema, depth int) (*schema, error) {
	if depth > 24 {
		return nil, fmt.Errorf("schema is nested too deeply")
	}
	if err := s.Rest.known(); err != nil {
		return nil, err
	}
	if s.Ref != "" {
		if len(s.Properties) > 0 || len(s.AllOf) > 0 || s.Items != nil || s.Additional.Kind != 0 {
			return nil, fmt.Errorf("more than %q", s.Ref)
		}
		name := strings.TrimPrefix(strings.TrimPrefix(s.Ref, "#/definitions/"), "#/components/schemas/")
		if d.Definitions[name] == nil {
			return nil, fmt.Errorf("no definition %q", name)
		}
		t, err := d.schema(d.Definitions[name], depth+1)
		if err == nil && t.Kind == "object" {
			t.Name = name
		}
		return t, err
	}
	switch {
	case len(s.AllOf) > 0:
		return d.allOf(s, depth)
	case len(s.Properties) > 0:
		return d.object(s, depth)
	}
	switch s.Type {
	case "array":
		elem, err := d.schema(s.Items, depth+1)
		return arrayOf(elem), err
	case "object":
		elem := leaf("any")
		if s.Additional.Kind == yaml.MappingNode {
			var a docSchema
			if err := s.Additional.Decode(&a); err != nil {
				return nil, err
			}
			var err error
			if elem, err = d.schema(&a, depth+1); err != nil {
				return nil, err
			}
		}
		return mapOf(elem), nil
	case "string":
		return leaf("string"), nil
	case "boolean":
		return leaf("bool"), nil
	case "integer", "number":
		return leaf("number"), nil
	case "":
		return leaf("any"), nil
	}
	return nil, fmt.Errorf("type %q", s.Type)
}

func (d *document) object(s *docSchema, depth int) (*schema, error) {
	o := object()
	for name, p := range s.Properties {
		t, err := d.schema(p, depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if stringOrList[name] && t.Kind == "array" {
			t = leaf("strings")
		}
		o.add(name, t)
	}
	return o, nil
}

func (d *document) allOf(s *docSchema, depth int) (*schema, error) {
	var all *schema
	for _, part := range append(s.AllOf, &docSchema{Properties: s.Properties}) {
		t, err := d.schema(part, depth+1)
		if err != nil {
			return nil, err
		}
		switch {
		case all == nil:
			all = t
		case t.Kind == "object" && all.Kind == "object":
			all.merge(t)
		}
	}
	return all, nil
}

// complete adds what the descriptions do not say, and sorts.
func (c *catalogue) complete() error {
	c.ops = append(c.ops, undocumented...)
	for _, op := range c.ops {
		if access[op.ID] == "" {
			return fmt.Errorf("%s (%s %s) has no access class: add it to tables.go", op.ID, op.Method, op.Path)
		}
		for path, t := range extraKeys(op.ID) {
			if err := op.Schema.set(path, t); err != nil {
				return fmt.Errorf("extra keys of %s: %w", op.ID, err)
			}
		}
		for _, name := range extraParams[op.ID] {
			op.addParam(name)
		}
		for i, p := range op.Params {
			op.Params[i].List = slices.Contains(listParams[op.ID], p.Name)
			op.Params[i].JSON = jsonParam(op.ID, p.Name)
		}
		slices.SortFunc(op.Params, func(a, b param) int { return cmp.Compare(a.Name, b.Name) })
	}
	if err := c.classify(table); err != nil {
		return err
	}
	slices.SortFunc(c.ops, func(a, b *operation) int {
		return cmp.Or(cmp.Compare(a.Method, b.Method), cmp.Compare(segment(a.Path), segment(b.Path)),
			cmp.Compare(rank(a.Path), rank(b.Path)), cmp.Compare(a.Path, b.Path))
	})
	return nil
}

// rank orders the routes of one first segment as the daemon's router tries
// them: no route that matches less hides behind one that matches more.
// (Routes of equal rank exclude each other; a test compares with the router's
// own order.)
func rank(path string) int {
	switch {
	case !strings.Contains(path, "{"):
		return 0
	case strings.Count(path, "{") == 2:
		return 1
	case strings.HasSuffix(path, "}"):
		return 3
	}
	return 2
}

func segment(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

func resource(path string) string {
	switch s := segment(path); s {
	case "_ping", "auth", "events", "info", "system", "version":
		return "system"
	case "commit":
		return "images"
	case "session":
		return "build"
	default:
		return s
	}
}
