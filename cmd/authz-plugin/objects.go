package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"vitrine/internal/authz/object"
	"vitrine/internal/engine/operation"
)

// fixedObjects are the objects of an Engine that there is not: those of --object.
type fixedObjects []object.Object

// parseObjects reads the values of --object.
func parseObjects(given []string) (fixedObjects, error) {
	var out fixedObjects
	for _, text := range given {
		o, err := parseObject(text)
		if err != nil {
			return nil, fmt.Errorf("--object %q: %w; write e.g. container:web,id=0f3c,label=team=blue", text, err)
		}
		out = append(out, o)
	}
	return out, nil
}

func parseObject(text string) (object.Object, error) {
	named, rest, more := strings.Cut(text, ",")
	kind, name, ok := strings.Cut(named, ":")
	if !ok || name == "" {
		return object.Object{}, fmt.Errorf("it has no kind or no name")
	}
	known := rest != "none" // there is none of that name
	if !known {
		rest, more = "", false
	}
	o := object.Object{Kind: operation.Kind(kind), Known: &known, ID: name, Name: name, Names: []string{name}, Labels: map[string]string{}}
	if !slices.Contains(operation.Kinds(), o.Kind) {
		return object.Object{}, fmt.Errorf("there is no kind %q (there are %v)", kind, operation.Kinds())
	}
	for part := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(part, "=")
		switch label, labelled, isLabel := strings.Cut(value, "="); {
		case !more:
		case key == "id" && value != "":
			o.ID = value
		case key == "image":
			o.Image = value
		case key == "label" && isLabel:
			o.Labels[label] = labelled
		default:
			return object.Object{}, fmt.Errorf("%q is none of id=ID, image=NAME and label=KEY=VALUE, or none alone for what there is not", part)
		}
	}
	return o, nil
}

// find is the daemon's way to find an object: by id, then name, then the beginning of an id.
func (f fixedObjects) find(kind operation.Kind, ref string) (found object.Object, ok bool) {
	for _, is := range []func(o object.Object) bool{
		func(o object.Object) bool { return o.ID == ref },
		func(o object.Object) bool { return o.Name == strings.TrimPrefix(ref, "/") },
		func(o object.Object) bool { return kind == operation.KindImage && fullImage(o.Name) == fullImage(ref) },
		func(o object.Object) bool { return strings.HasPrefix(o.ID, ref) },
	} {
		if i := slices.IndexFunc(f, func(o object.Object) bool { return o.Kind == kind && is(o) }); i >= 0 {
			return f[i], true
		}
	}
	return object.Object{}, false
}

// fullImage is a name of an image as the daemon completes it: docker.io/library/alpine:latest of alpine.
func fullImage(name string) string {
	named, err := reference.ParseDockerRef(name)
	if err != nil { // an id, or no name
		return name
	}
	return named.String()
}

// Objects are what the request names: what --object does not tell of cannot be told.
func (f fixedObjects) Objects(_ context.Context, op *operation.Operation) []object.Object {
	out := []object.Object{}
	for _, n := range op.Objects() {
		o, ok := f.find(n.Kind, n.Ref)
		switch {
		case !ok:
			o.Kind, o.Why = n.Kind, errNoEngine.Error()
		case !*o.Known:
			o = object.Object{Kind: n.Kind, Known: o.Known}
		}
		o.Role, o.Ref = n.Role, n.Ref
		out = append(out, o)
	}
	return out
}

// HostNetworks: a reference that --object does not explain is taken for a name.
func (f fixedObjects) HostNetworks(_ context.Context, op *operation.Operation) (fields []string, err error) {
	for _, n := range op.JoinedNetworks() {
		if o, ok := f.find(operation.KindNetwork, n.Ref); ok && o.Name == "host" {
			fields = append(fields, n.At)
		}
	}
	return fields, nil
}

// GivenLabels are those of a container that --object tells of.
func (f fixedObjects) GivenLabels(_ context.Context, id string) (map[string]string, error) {
	o, ok := f.find(operation.KindContainer, id)
	if !ok {
		return nil, errNoEngine
	}
	return o.Labels, nil
}

// JoinedBy: what --object tells of a container says nothing of its networks.
func (fixedObjects) JoinedBy(context.Context, string) ([]object.Object, error) { return nil, nil }

// Owned counts those that --object tells of.
func (f fixedObjects) Owned(_ context.Context, owner string) (n int, _ error) {
	for _, o := range f {
		if o.Kind == operation.KindContainer && *o.Known && o.Labels[operation.OwnerLabel] == owner {
			n++
		}
	}
	return n, nil
}

// AnyBorrowed: labels of --object are those that a container was given.
func (fixedObjects) AnyBorrowed(func(map[string]string) bool) (string, error) { return "", nil }

var errNoEngine = errors.New("there is no Engine to ask: give --object")
