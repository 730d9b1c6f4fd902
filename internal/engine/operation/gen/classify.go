package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The classes that are not a hazard's name and not a function's, which ends in ().
const (
	harmless = "harmless"
	named    = "named"   // harmless, and kept in the record of shapes
	private  = "private" // harmless, and may be a secret: the record keeps its keys, and neither log has its values
	moment   = "moment"  // harmless, and left out of the record
	part     = "part"    // told with the key that holds it
	railed   = "railed"  // only admin may send the operation at all
)

// classes is the table of fields.go by object and key.
type classes struct {
	of   map[string]map[string]string
	used map[string]map[string]bool
}

func newClasses(rows []fields) (*classes, error) {
	c := &classes{of: map[string]map[string]string{}, used: map[string]map[string]bool{}}
	for _, row := range rows {
		for object := range strings.FieldsSeq(row.objects) {
			if c.of[object] == nil {
				c.of[object], c.used[object] = map[string]string{}, map[string]bool{}
			}
			for key := range strings.FieldsSeq(row.keys) {
				if c.of[object][key] != "" {
					return nil, fmt.Errorf("fields.go classifies %s of %s twice", key, object)
				}
				c.of[object][key] = row.class
			}
		}
	}
	return c, nil
}

// class gives the class of an object's key: of this very object, or of all that
// the descriptions define by its name.
func (c *classes) class(place, definition, key string) string {
	for _, object := range []string{place, definition} {
		if class := c.of[object][key]; class != "" {
			c.used[object][key] = true
			return class
		}
	}
	return ""
}

// classify gives each key and parameter its class. One that nobody classified
// is an error, and so is a line of the table that means none.
func (c *catalogue) classify(rows []fields) error {
	table, err := newClasses(rows)
	if err != nil {
		return err
	}
	var problems []error
	for _, op := range c.ops {
		problem := func(where, what string) {
			problems = append(problems, fmt.Errorf("%s: %s %s", op.ID, where, what))
		}
		if op.Schema != nil {
			table.walk(op.Schema, op.ID, harmless, op.rail() != "", problem)
		}
		params := "?" + op.ID
		for i := range op.Params {
			p := &op.Params[i]
			if p.Class = table.class(params, "", p.Name); p.Class == "" {
				problem("?"+p.Name, "is not classified: say in fields.go what it does")
			}
			if p.JSON != nil {
				table.walk(p.JSON, params+"."+p.Name, p.Class, op.rail() != "", problem)
			}
		}
	}
	for _, object := range slices.Sorted(maps.Keys(table.of)) {
		for _, key := range slices.Sorted(maps.Keys(table.of[object])) {
			if !table.used[object][key] {
				problems = append(problems, fmt.Errorf("fields.go: there is no key %s of an object %s", key, object))
			}
		}
	}
	return errors.Join(problems...)
}

// walk classifies the keys of a schema. place is the object's name by where it
// is, Mount.BindOptions; above is the class of the key that holds it.
func (c *classes) walk(s *schema, place, above string, rail bool, problem func(where, what string)) {
	for s.Elem != nil {
		s = s.Elem
	}
	for i := range s.Props {
		p := &s.Props[i]
		at := cmp.Or(s.Name, place) + "." + p.Name
		p.Class = c.class(place, s.Name, p.Name)
		holder := p.Class
		switch {
		case p.Class == "":
			problem(at, "is not classified: say in fields.go what it does")
		case p.Class == railed && !rail:
			problem(at, "is classified as railed, and the operation has no rail")
		case p.Class == part && innocent(above):
			problem(at, "is classified as told with what holds it, which is harmless")
		case p.Class == part:
			holder = above
		}
		c.walk(p.Schema, at, holder, rail, problem)
	}
}

// judged says that a value of the schema may be more than harmless.
func (s *schema) judged() bool {
	if s.Elem != nil {
		return s.Elem.judged()
	}
	return slices.ContainsFunc(s.Props, func(p prop) bool { return !quiet(p.Class) || p.Schema.judged() })
}

func innocent(class string) bool {
	return class == harmless || class == named || class == private || class == moment
}

func quiet(class string) bool { return innocent(class) || class == part || class == railed }

// identifier is the class's name in the sources: onHostPort of "host-port",
// byMountSource of "mountSource()".
func identifier(class string) string {
	if quiet(class) {
		return class
	}
	if function, ok := strings.CutSuffix(class, "()"); ok {
		return "by" + title(function)
	}
	var b strings.Builder
	b.WriteString("on")
	for word := range strings.SplitSeq(class, "-") {
		b.WriteString(title(word))
	}
	return b.String()
}
