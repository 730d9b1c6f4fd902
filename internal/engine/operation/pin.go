package operation

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// containerRef is a place beside the path in which a request names a container that it
// enters, and how another reference is written there.
type containerRef struct {
	at   string // as that of a naming
	with func(text string, id func(ref string) string) string
}

// containerRefs are all such places, by operation. What the judges call enter for is in
// them, and a test holds that. (A parent cgroup has the id itself.)
var containerRefs = map[string][]containerRef{
	"ContainerCreate": {
		{"/HostConfig/NetworkMode", modeWithID},
		{"/HostConfig/PidMode", modeWithID},
		{"/HostConfig/IpcMode", modeWithID},
		{"/HostConfig/UTSMode", modeWithID},
		{"/HostConfig/Cgroup", modeWithID},
		{"/HostConfig/VolumesFrom/*", firstWithID},
		{"/HostConfig/Links/*", linkWithID},
		{"/NetworkingConfig/EndpointsConfig/*/Links/*", linkWithID},
	},
	"NetworkConnect":    {{"/Container", wholeWithID}, {"/EndpointConfig/Links/*", linkWithID}},
	"NetworkDisconnect": {{"/Container", wholeWithID}},
	"ImageCommit":       {{"?container", wholeWithID}},
	"ImageBuild":        {{"?networkmode", modeWithID}},
}

// Pins are containers by what a request calls them, each once.
type Pins []Pin

// Pin is a reference to a container, and the id of the one that it means.
type Pin struct{ Ref, ID string }

// ID is the id of the container that a reference means, "" if it is none of these.
func (p Pins) ID(ref string) string {
	for i := range p {
		if p[i].Ref == ref {
			return p[i].ID
		}
	}
	return ""
}

// WithContainers is the operation with ids in place of the references to containers that
// Enters and Target have, for the daemon: what it looks for by a name may be another
// container by then. All else, Enters and Target too, stays what was typed. It is not
// ok if an id cannot stand there. The operation itself is not changed.
func (o *Operation) WithContainers(ids Pins) (with *Operation, ok bool) {
	for _, p := range ids {
		if p.ID == "" || strings.ContainsAny(p.ID, ":/,") {
			return nil, false
		}
	}
	with = o
	if id := ids.ID(o.Target); id != "" && id != o.Target && o.Resource == "containers" {
		if with, ok = o.WithTarget(id); !ok {
			return nil, false
		}
	}
	refs := containerRefs[o.ID]
	if len(ids) == 0 || len(refs) == 0 {
		return with, true
	}
	r := *with
	p := pinning{ids: ids}
	r.Query, r.Body = maps.Clone(o.Query), clone(o.Body)
	for _, ref := range refs {
		p.with = ref.with
		if name, is := strings.CutPrefix(ref.at, "?"); is {
			if values := slices.Clone(r.Query[name]); len(values) > 0 {
				values[0] = p.text(values[0])
				r.Query[name] = values
			}
			continue
		}
		r.Body = p.value(r.Body, strings.Split(ref.at[1:], "/"))
	}
	if !p.changed {
		return with, true
	}
	path, _, _ := strings.Cut(r.URI, "?")
	r.URI = path
	if len(r.Query) > 0 {
		r.URI += "?" + r.Query.Encode()
	}
	if o.BodyState == BodyJSON {
		var err error
		if r.Canonical, err = encode(r.Body); err != nil {
			return nil, false
		}
	}
	return &r, true
}

// pinning writes ids into a copy of a request.
type pinning struct {
	ids     Pins
	with    func(text string, id func(ref string) string) string
	changed bool
}

// value gives what stands in the place of v, in which texts lie at a place.
func (p *pinning) value(v any, at []string) any {
	switch v := v.(type) {
	case string:
		if len(at) == 0 {
			return p.text(v)
		}
	case []any:
		if len(at) > 0 && at[0] == "*" {
			for i, element := range v {
				v[i] = p.value(element, at[1:])
			}
		}
	case map[string]any:
		for key, member := range v {
			if len(at) > 0 && (at[0] == "*" || at[0] == key) {
				v[key] = p.value(member, at[1:])
			}
		}
	}
	return v
}

func (p *pinning) text(text string) string {
	id := func(ref string) string {
		return cmp.Or(p.ids.ID(strings.TrimLeft(ref, "/")), ref)
	}
	pinned := p.with(text, id)
	p.changed = p.changed || pinned != text
	return pinned
}

func wholeWithID(text string, id func(string) string) string { return id(text) }

// modeWithID is for container:REF.
func modeWithID(text string, id func(string) string) string {
	if ref, is := strings.CutPrefix(text, "container:"); is {
		return "container:" + id(ref)
	}
	return text
}

// firstWithID is for REF[:MODE].
func firstWithID(text string, id func(string) string) string {
	ref, rest, more := strings.Cut(text, ":")
	if more {
		return id(ref) + ":" + rest
	}
	return id(ref)
}

// linkWithID is for REF[:ALIAS], where REF itself is the alias if there is none. What
// inspect shows begins with a slash (/db:/web/alias), which says how the alias is to be read.
func linkWithID(text string, id func(string) string) string {
	ref, alias, more := strings.Cut(text, ":")
	is := id(ref)
	switch {
	case is == ref:
		return text
	case !more:
		return is + ":" + ref
	case strings.HasPrefix(ref, "/"):
		return "/" + is + ":" + alias
	}
	return is + ":" + alias
}
