package view

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"vitrine/internal/engine/operation"
)

// Filters says whether something may have to be left out of an answer that is a document.
func (p *Plan) Filters() bool {
	return p != nil && slices.Contains([]what{list, network, image, history, usage}, p.how.what)
}

// Streams says whether something may have to be left out of an answer that is a stream of events.
func (p *Plan) Streams() bool { return p != nil && p.how.what == events }

// Apply leaves out of an answer what is outside the view. An answer of another shape is an error.
func (p *Plan) Apply(ctx context.Context, doc []byte) ([]byte, error) {
	doc = bytes.TrimSpace(doc)
	switch {
	case len(doc) == 0 || bytes.Equal(doc, []byte("null")):
		return doc, nil
	case p.how.what == usage:
		return p.usage(ctx, doc)
	case p.how.what == network && doc[0] == '{':
		return p.network(ctx, doc)
	case p.how.what == image:
		var o struct {
			Config struct{ Labels map[string]string }
		}
		if err := json.Unmarshal(doc, &o); err != nil {
			return nil, fmt.Errorf("%w: %w", errUnlike, err)
		}
		return p.image(doc, o.Config.Labels)
	case p.how.key != "":
		return p.under(ctx, doc)
	}
	return p.items(ctx, doc)
}

// under filters the list under a key.
func (p *Plan) under(ctx context.Context, doc []byte) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(doc, &all); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnlike, err)
	}
	if items := all[p.how.key]; len(items) > 0 && !bytes.Equal(items, []byte("null")) {
		left, err := p.items(ctx, items)
		if err != nil {
			return nil, err
		}
		all[p.how.key] = left
	}
	return json.Marshal(all)
}

// items filters a list. Each element is read once, and passed on in the bytes that it has.
func (p *Plan) items(ctx context.Context, doc []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	if begin, _ := dec.Token(); begin != json.Delim('[') {
		return nil, fmt.Errorf("%w: it is no list", errUnlike)
	}
	out := append(make([]byte, 0, len(doc)), '[')
	for dec.More() {
		from := dec.InputOffset()
		o, err := p.element(dec)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUnlike, err)
		}
		item := json.RawMessage(bytes.TrimLeft(doc[from:dec.InputOffset()], ", \t\r\n"))
		shown, err := p.item(ctx, item, o)
		if err != nil {
			return nil, err
		}
		if shown == nil {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, shown...)
	}
	if _, err := dec.Token(); err != nil || len(bytes.TrimSpace(doc[dec.InputOffset():])) > 0 {
		return nil, fmt.Errorf("%w: it does not end as a list", errUnlike)
	}
	return append(out, ']'), nil
}

// element is what is read of an element of a list.
type element struct {
	ID       string `json:"Id"`
	Name     string
	Names    []string
	RepoTags []string
	Labels   map[string]string
	Spec     struct{ Labels map[string]string } // of what a swarm has
	Service  string                             `json:"ServiceID"` // of a task
}

func (p *Plan) element(dec *json.Decoder) (o element, err error) {
	if p.how.kind != operation.KindContainer {
		return o, dec.Decode(&o)
	}
	var c struct { // whose labels the list does not say: it has those of images too
		ID    string `json:"Id"`
		Names []string
	}
	err = dec.Decode(&c)
	return element{ID: c.ID, Names: c.Names}, err
}

// item is an element of a list as the caller may see it, nil if it may not.
func (p *Plan) item(ctx context.Context, item json.RawMessage, o element) (json.RawMessage, error) {
	if p.how.what == history {
		return p.image(item, nil)
	}
	kind := p.how.kind
	var shown bool
	switch {
	case kind == operation.KindContainer:
		shown = p.container(ctx, o.ID, o.Names)
	case kind == operation.KindTask:
		shown = p.task(ctx, o.Service)
	case slices.Contains([]operation.Kind{operation.KindService, operation.KindSecret, operation.KindConfig, operation.KindNode}, kind):
		shown = p.view.owns(kind, o.Spec.Labels)
	default:
		shown = p.view.has(kind, o.Labels, o.RepoTags) || p.view.shares(kind, append(o.RepoTags, o.Name)...)
	}
	switch {
	case !shown:
		return nil, nil
	case kind == operation.KindImage:
		return p.image(item, o.Labels)
	case kind == operation.KindNetwork:
		return p.network(ctx, item)
	}
	return item, nil
}

// container says whether a container is in the view. One of which that cannot be told is not.
func (p *Plan) container(ctx context.Context, id string, names []string) bool {
	shown, _ := p.shows(ctx, id, names)
	return shown
}

// task says whether a task is in the view: as its service is.
func (p *Plan) task(ctx context.Context, service string) bool {
	shown, known := p.seen[service]
	if !known {
		o, err := p.of.Object(ctx, operation.KindService, service)
		shown = err == nil && p.view.Has(&o)
		p.see(service, shown)
	}
	return shown
}

func (p *Plan) see(id string, shown bool) {
	if p.seen == nil || len(p.seen) > maxSeen {
		p.seen = map[string]bool{}
	}
	p.seen[id] = shown
}

func (p *Plan) shows(ctx context.Context, id string, names []string) (bool, error) {
	for _, name := range names {
		if p.view.shares(operation.KindContainer, strings.TrimPrefix(name, "/")) {
			return true, nil
		}
	}
	o, err := p.of.Object(ctx, operation.KindContainer, id)
	return err == nil && p.view.Has(&o), err
}

// network leaves out who else is in a network.
func (p *Plan) network(ctx context.Context, doc json.RawMessage) (json.RawMessage, error) {
	var all map[string]json.RawMessage
	var containers map[string]json.RawMessage
	if err := json.Unmarshal(doc, &all); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnlike, err)
	}
	if raw := all["Containers"]; len(raw) > 0 {
		if err := json.Unmarshal(raw, &containers); err != nil {
			return nil, fmt.Errorf("%w: %w", errUnlike, err)
		}
	}
	maps.DeleteFunc(containers, func(id string, _ json.RawMessage) bool { return !p.container(ctx, id, nil) })
	if containers != nil {
		left, err := json.Marshal(containers)
		if err != nil {
			return nil, err
		}
		all["Containers"] = left
	}
	for _, key := range []string{"Services", "Peers", "Status"} { // tasks, nodes, and how many addresses are taken
		delete(all, key)
	}
	return json.Marshal(all)
}

// image leaves out of what is said of an image which containers use it, where it was pulled, how much it shares with others and, unless it is the caller's own, its names that are not
// shared: others may have given it those.
func (p *Plan) image(doc json.RawMessage, labels map[string]string) (json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(doc, &all); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnlike, err)
	}
	if err := p.imageKeys(all, labels); err != nil {
		return nil, err
	}
	return json.Marshal(all)
}

// imageKeys leaves out of an image's keys what image does.
func (p *Plan) imageKeys(all map[string]json.RawMessage, labels map[string]string) error {
	for _, key := range []string{"Manifests", "Identity"} { // which containers use it, and from where it was pulled
		delete(all, key)
	}
	for _, key := range []string{"Containers", "SharedSize"} { // how many use it, and what it shares with others: of what is not shown, too
		if all[key] != nil {
			all[key] = number(unsaid)
		}
	}
	for _, key := range []string{"RepoTags", "RepoDigests", "Tags"} {
		var names []string
		if p.view.owns(operation.KindImage, labels) || all[key] == nil {
			continue
		}
		if err := json.Unmarshal(all[key], &names); err != nil {
			return fmt.Errorf("%w: %w", errUnlike, err)
		}
		left, err := json.Marshal(slices.DeleteFunc(names, func(name string) bool { return !p.view.shares(operation.KindImage, name) && !p.view.names(name) }))
		if err != nil {
			return err
		}
		all[key] = left
	}
	return nil
}

// Event says whether an event is shown: those of containers and images in the view are. What else an event can be
// about has no labels in it.
func (p *Plan) Event(ctx context.Context, event []byte) bool {
	var e struct {
		Type  string
		Actor struct {
			ID         string
			Attributes map[string]string
		}
	}
	if json.Unmarshal(event, &e) != nil {
		return false
	}
	switch e.Type {
	case "container":
		was, known := p.seen[e.Actor.ID]
		if known && p.view.Network == "" { // its labels stay as they are
			return was
		}
		shown, err := p.shows(ctx, e.Actor.ID, []string{e.Actor.Attributes["name"]})
		if err != nil {
			return was // it is gone, or cannot be told just now, of which nothing is remembered
		}
		p.see(e.Actor.ID, shown)
		return shown
	case "image": // with the image's labels, over one of which the daemon writes what it is called
		name := e.Actor.Attributes["name"]
		delete(e.Actor.Attributes, "name")
		return p.view.has(operation.KindImage, e.Actor.Attributes, []string{name, e.Actor.ID}) || p.view.shares(operation.KindImage, name, e.Actor.ID)
	}
	return false
}

// maxSeen bounds what is remembered.
const maxSeen = 10000

// Pinned notes the ids that the daemon is given in place of names.
func (p *Plan) Pinned(pins operation.Pins) {
	if p != nil {
		p.pinned = pins
	}
}

// Answer puts back what the caller asked for into the text of an error, in place of what the daemon was asked for, and
// leaves out ids of whatever else the text may name: the container that has a name already, or uses a volume.
func (p *Plan) Answer(text string) string {
	if p == nil {
		return text
	}
	const mark = "\x00"
	back := slices.Clip(p.back)
	for _, pin := range p.pinned {
		back = append(back, pin.ID, pin.Ref)
	}
	own := make([]string, 0, len(back))
	for i := 0; i < len(back); i += 2 {
		own = append(own, back[i], mark+strconv.Itoa(i+1)+mark)
	}
	text = ids.ReplaceAllStringFunc(strings.NewReplacer(own...).Replace(text), func(id string) string {
		if strings.Contains(p.asked.URI, id) || bytes.Contains(p.asked.Canonical, []byte(id)) {
			return id // the caller has named it itself
		}
		return "…"
	})
	names := make([]string, 0, len(back))
	for i := 1; i < len(back); i += 2 {
		names = append(names, mark+strconv.Itoa(i)+mark, back[i])
	}
	return strings.NewReplacer(names...).Replace(text)
}

var ids = regexp.MustCompile(`[0-9a-f]{12,64}`)
