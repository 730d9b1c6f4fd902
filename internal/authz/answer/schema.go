package answer

import (
	"sort"
	"strings"
)

// root is an operation and the schema of its answer.
type root struct {
	operation string
	node      uint16
}

// node is a type of JSON value; null is a value of each.
type node struct {
	kind     kind
	elem     uint16 // of lists and mappings, in nodes
	from, to uint16 // of objects, in members
}

type kind uint8

const (
	free    kind = iota // anything
	scalar              // a number or boolean
	text                // a string
	list                // an array
	mapping             // an object whose keys are free: labels, options, ports
	object              // an object whose keys are the schema's
)

// member is a key of an object.
type member struct {
	name string
	node uint16
}

// schemaOf gives the schema of an operation's answer; there is none if it does
// not answer with a document.
func schemaOf(operation string) (n *node, known bool) {
	i := sort.Search(len(answers), func(i int) bool { return answers[i].operation >= operation })
	if i == len(answers) || answers[i].operation != operation {
		return nil, false
	}
	return &nodes[answers[i].node], true
}

// IsDocument says that an operation answers with one JSON document whose schema is
// known.
func IsDocument(operation string) bool {
	_, known := schemaOf(operation)
	return known
}

func (n *node) members() []member { return members[n.from:n.to] }

// member finds a key as Go's encoding/json finds a struct's field.
func (n *node) member(key string) *member {
	for i := range n.members() {
		if m := &members[int(n.from)+i]; strings.EqualFold(m.name, key) {
			return m
		}
	}
	return nil
}
