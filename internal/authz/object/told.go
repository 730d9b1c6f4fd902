package object

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"vitrine/internal/engine/operation"
)

// Told are the objects of an Engine that there is not, in words: those of eval's --object, and of object lines in cases.
type Told []Object

// ParseTold reads one: KIND:NAME[,id=ID][,label=KEY=VALUE][,image=NAME][,network=NAME], or KIND:NAME,none of what there is not.
func ParseTold(text string) (Object, error) {
	o, err := parseTold(text)
	if err != nil {
		return Object{}, fmt.Errorf("%w; write e.g. container:web,id=0f3c,label=team=blue", err)
	}
	return o, nil
}

func parseTold(text string) (Object, error) {
	named, rest, more := strings.Cut(text, ",")
	kind, name, _ := strings.Cut(named, ":")
	if name == "" {
		return Object{}, fmt.Errorf("it has no kind or no name")
	}
	known := rest != "none" // there is none of that name
	if !known {
		rest, more = "", false
	}
	o := Object{Kind: operation.Kind(kind), Known: &known, ID: name, Name: name, Names: []string{name}, Labels: map[string]string{}}
	if !slices.Contains(operation.Kinds(), o.Kind) {
		return Object{}, fmt.Errorf("there is no kind %q (there are %v)", kind, operation.Kinds())
	}
	for part := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(part, "=")
		switch label, labelled, isLabel := strings.Cut(value, "="); {
		case !more:
		case key == "id" && value != "":
			o.ID = value
		case key == "image":
			o.Image = value
		case key == "network" && value != "":
			o.Networks = append(o.Networks, value)
		case key == "label" && isLabel:
			o.Labels[label] = labelled
		default:
			return Object{}, fmt.Errorf("%q is none of id=ID, image=NAME, network=NAME and label=KEY=VALUE, or none alone for what there is not", part)
		}
	}
	return o, nil
}

// find is the daemon's way to find an object: by id, then name, then the beginning of an id.
func (f Told) find(kind operation.Kind, ref string) (found Object, ok bool) {
	for _, is := range []func(o Object) bool{
		func(o Object) bool { return o.ID == ref },
		func(o Object) bool { return o.Name == strings.TrimPrefix(ref, "/") },
		func(o Object) bool { return kind == operation.KindImage && fullImage(o.Name) == fullImage(ref) },
		func(o Object) bool { return strings.HasPrefix(o.ID, ref) },
	} {
		if i := slices.IndexFunc(f, func(o Object) bool { return o.Kind == kind && is(o) }); i >= 0 {
			return f[i], true
		}
	}
	return Object{}, false
}

// fullImage is a name of an image as the daemon completes it: docker.io/library/alpine:latest of alpine.
func fullImage(name string) string {
	named, err := reference.ParseDockerRef(name)
	if err != nil { // an id, or no name
		return name
	}
	return named.String()
}

// Objects are what the request names: what is not told of cannot be told.
func (f Told) Objects(_ context.Context, op *operation.Operation) []Object {
	out := []Object{}
	for _, n := range op.Objects() {
		o, ok := f.find(n.Kind, n.Ref)
		switch {
		case !ok:
			o.Kind, o.Why = n.Kind, errNoEngine.Error()
		case !*o.Known:
			o = Object{Kind: n.Kind, Known: o.Known}
		}
		o.Role, o.Ref = n.Role, n.Ref
		out = append(out, o)
	}
	return out
}

// HostNetworks takes a reference that is not told of for a name.
func (f Told) HostNetworks(_ context.Context, op *operation.Operation) (fields []string, err error) {
	for _, n := range op.JoinedNetworks() {
		if o, _ := f.find(operation.KindNetwork, n.Ref); o.Name == "host" {
			fields = append(fields, n.At)
		}
	}
	return fields, nil
}

// Object is one that is told of.
func (f Told) Object(_ context.Context, kind operation.Kind, id string) (Object, error) {
	o, ok := f.find(kind, id)
	if !ok {
		return Object{}, errNoEngine
	}
	return o, nil
}

// JoinedBy is nothing: what is told of a container says nothing of its networks.
func (Told) JoinedBy(context.Context, string) ([]Object, error) { return nil, nil }

// Owned are those that are told of.
func (f Told) Owned(_ context.Context, kind operation.Kind, owner string) (ids []string, _ error) {
	for _, o := range f {
		if o.Kind == kind && o.Labels[operation.OwnerLabel] == owner {
			ids = append(ids, o.ID)
		}
	}
	return ids, nil
}

// ImageConfig asks for nothing: nothing is told of an image's configuration.
func (Told) ImageConfig(context.Context, string, string) (operation.ImageConfig, error) {
	return operation.ImageConfig{}, nil
}

// ExecWaits is of none: nobody makes an exec here.
func (Told) ExecWaits(context.Context, string) (bool, error) { return false, errNoEngine }

// AnyBorrowed is none: labels that are told of are those that a container was given.
func (Told) AnyBorrowed(func(map[string]string) bool) (string, error) { return "", nil }

var errNoEngine = errors.New("there is no Engine to ask, and no object of that name is given (give --object, or a line of a case: object KIND:NAME)")
