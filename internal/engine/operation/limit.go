package operation

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"vitrine/internal/engine/principal"
)

// OwnerLabel is the label by which an object is somebody's own.
const OwnerLabel = principal.OwnerLabel

// NetworkLabel stands in a view for the name of a network that containers are in. It is no label: an object that has one of this name is in no network by it.
const NetworkLabel = "vitrine.network"

// WithLabelFilter is the operation with a filter more: the daemon shows, or removes, only
// objects that have all of these labels. The client's own filters hold, too. The
// operation itself is not changed.
func (o *Operation) WithLabelFilter(labels map[string]string) (*Operation, error) {
	filters, _ := clone(o.Params["filters"]).(map[string]any)
	if filters == nil {
		filters = map[string]any{}
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		want := key + "=" + labels[key]
		switch values := filters["label"].(type) {
		case nil:
			if asLists(filters) {
				filters["label"] = []any{want}
			} else {
				filters["label"] = map[string]any{want: true}
			}
		case []any:
			filters["label"] = append(values, want)
		case map[string]any:
			values[want] = true
		default:
			return nil, fmt.Errorf("the filter label is neither a list nor an object")
		}
	}
	return o.withFilters(filters)
}

// WithFilter is the operation with one value of a filter, in place of those that the client gave it. The
// operation itself is not changed.
func (o *Operation) WithFilter(name, value string) (*Operation, error) {
	filters, _ := clone(o.Params["filters"]).(map[string]any)
	if filters == nil {
		filters = map[string]any{}
	}
	if asLists(filters) {
		filters[name] = []any{value}
	} else {
		filters[name] = map[string]any{value: true}
	}
	return o.withFilters(filters)
}

// asLists says that filters are written as old clients do, {"label": ["a=b"]}. The daemon
// takes either form, and not both in one.
func asLists(filters map[string]any) bool {
	for _, values := range filters {
		_, list := values.([]any)
		return list
	}
	return false
}

// WithoutNaming is the operation with another reference in place of one in its filters. It is not ok where the
// request names the object in another place. The operation itself is not changed.
func (o *Operation) WithoutNaming(kind Kind, ref, other string) (with *Operation, ok bool) {
	filters, _ := clone(o.Params["filters"]).(map[string]any)
	for _, n := range namings[o.ID] {
		name, filter := strings.CutPrefix(n.at, "?filters/")
		if n.kind != kind {
			continue
		}
		if !filter {
			return nil, false
		}
		switch values := filters[name].(type) {
		case []any:
			for i, v := range values {
				if v == ref {
					values[i], ok = other, true
				}
			}
		case map[string]any:
			if set, has := values[ref]; has {
				delete(values, ref)
				values[other], ok = set, true
			}
		}
	}
	if !ok {
		return nil, false
	}
	r, err := o.withFilters(filters)
	return r, err == nil
}

func (o *Operation) withFilters(filters map[string]any) (*Operation, error) {
	return o.withParam("filters", filters)
}

// withParam is the operation with another object in a parameter that is JSON.
func (o *Operation) withParam(name string, value map[string]any) (*Operation, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("write the parameter %s: %w", name, err)
	}
	r := *o
	r.Query, r.Params = maps.Clone(o.Query), maps.Clone(o.Params)
	if r.Params == nil {
		r.Params = map[string]any{}
	}
	r.Query[name], r.Params[name] = []string{string(text)}, value
	r.URI = (&target{path: r.Path, version: o.Version}).canonicalURI(r.Query)
	return &r, nil
}

// labelled are the objects of a body that hold the labels of what an operation makes, by
// operation: a container's mounts make volumes. create has those made that are not there.
func (o *Operation) labelled(create bool) []map[string]any {
	body := o.body()
	switch o.ID {
	case "NetworkCreate", "VolumeCreate", "SecretCreate", "ConfigCreate", "SecretUpdate", "ConfigUpdate":
		return []map[string]any{body}
	case "ContainerCreate":
		return append(volumeOptions(object(body, "HostConfig"), create), body)
	case "ServiceCreate", "ServiceUpdate":
		spec := object(object(body, "TaskTemplate"), "ContainerSpec")
		return append(volumeOptions(spec, create), body, spec)
	}
	return nil
}

// volumeOptions are those of mounts that may make a volume.
func volumeOptions(in map[string]any, create bool) (all []map[string]any) {
	for _, m := range list(in, "Mounts") {
		mount, _ := m.(map[string]any)
		if kind := text(mount, "Type"); mount == nil || kind != "" && kind != "volume" && kind != "cluster" {
			continue
		}
		options := object(mount, "VolumeOptions")
		if options == nil && create {
			options = map[string]any{}
			mount["VolumeOptions"] = options
		}
		if options != nil {
			all = append(all, options)
		}
	}
	return all
}

// GivenLabel is the values that the request itself gives a label of what it makes.
func (o *Operation) GivenLabel(key string) (values []string) {
	give := func(labels map[string]any) {
		if v, has := labels[key]; has {
			value, _ := v.(string)
			values = append(values, value)
		}
	}
	for _, of := range o.labelled(false) {
		give(object(of, "Labels"))
	}
	if o.ID == "ImageBuild" {
		give(object(o.Params, "labels"))
	}
	return values
}

// MakesLabelled says whether the operation makes something that has labels.
func (o *Operation) MakesLabelled() bool { return o.ID == "ImageBuild" || len(o.labelled(false)) > 0 }

// WithLabels is the operation with labels more on what it makes; one that makes nothing
// with labels is returned as it is. What the request gives otherwise is an error. The
// operation itself is not changed: the new one is judged anew.
func (o *Operation) WithLabels(labels map[string]string) (*Operation, error) {
	if o.BodyState != BodyJSON && o.ID != "ImageBuild" {
		return o, nil
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		for _, given := range o.GivenLabel(key) {
			if given != labels[key] {
				return nil, fmt.Errorf("it gives the label %s the value %q, and what this caller makes has %q: leave the label out", key, given, labels[key])
			}
		}
	}
	if o.ID == "ImageBuild" {
		return o.buildWithLabels(labels)
	}
	if len(o.labelled(false)) == 0 {
		return o, nil
	}
	r := *o
	r.Body = clone(o.Body)
	if r.ID == "ContainerCreate" {
		r.Mounted = append(slices.Clip(o.Mounted), mountVolumes(object(r.body(), "HostConfig"))...)
	}
	for _, of := range r.labelled(true) {
		if of == nil {
			continue
		}
		all := object(of, "Labels")
		if all == nil {
			all = map[string]any{}
			of["Labels"] = all
		}
		for key, value := range labels {
			all[key] = value
		}
	}
	var err error
	if r.Canonical, err = encode(r.Body); err != nil {
		return nil, fmt.Errorf("write the request with labels: %w", err)
	}
	r.judge()
	return &r, nil
}

// BuiltByLabel says of an image who had it built, for people: nobody is let in by it.
const BuiltByLabel = "vitrine.built-by"

// WithImageLabels is the operation with labels on the image that it builds or commits; one that does neither is returned as it is. The
// operation itself is not changed.
func (o *Operation) WithImageLabels(labels map[string]string) (*Operation, error) {
	switch o.ID {
	case "ImageBuild":
		return o.WithLabels(labels)
	case "ImageCommit":
		if goesOn(o.Query["changes"]) {
			return nil, errors.New("the last of its changes goes on in the next line, which would be a label's: end it")
		}
		r := *o
		r.Query = maps.Clone(o.Query)
		for _, key := range slices.Sorted(maps.Keys(labels)) {
			if strings.ContainsFunc(key+labels[key], unicode.IsControl) {
				return nil, fmt.Errorf("the label %q has no place in a line of a Dockerfile", key)
			}
			r.Query["changes"] = append(slices.Clone(r.Query["changes"]), `LABEL "`+inDockerfile.Replace(key)+`"="`+inDockerfile.Replace(labels[key])+`"`)
		}
		r.URI = (&target{path: r.Path, version: o.Version}).canonicalURI(r.Query)
		return &r, nil
	}
	return o, nil
}

// goesOn says that the last line of a Dockerfile's instructions is continued, with whichever character it has chosen for that. What
// is blank, or a comment, does not end it.
func goesOn(changes []string) bool {
	lines := strings.Split(strings.Join(changes, "\n"), "\n")
	for _, line := range slices.Backward(lines) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return strings.HasSuffix(line, `\`) || strings.HasSuffix(line, "`")
		}
	}
	return false
}

// inDockerfile writes text between double quotes of a Dockerfile.
var inDockerfile = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`)

func (o *Operation) buildWithLabels(labels map[string]string) (*Operation, error) {
	all, _ := clone(o.Params["labels"]).(map[string]any)
	if all == nil {
		all = map[string]any{}
	}
	for key, value := range labels {
		all[key] = value
	}
	r, err := o.withParam("labels", all)
	if err != nil {
		return nil, err
	}
	r.judge()
	return r, nil
}
