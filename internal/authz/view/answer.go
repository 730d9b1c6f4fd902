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

func (p *Plan) items(ctx context.Context, doc []byte) ([]byte, error) {
	var all []json.RawMessage
	if err := json.Unmarshal(doc, &all); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnlike, err)
	}
	out := append(make([]byte, 0, len(doc)), '[')
	for _, item := range all {
		shown, err := p.item(ctx, item)
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
	return append(out, ']'), nil
}

// item is an element of a list as the caller may see it, nil if it may not.
func (p *Plan) item(ctx context.Context, item json.RawMessage) (json.RawMessage, error) {
	var o struct {
		ID       string `json:"Id"`
		Name     string
		Names    []string
		RepoTags []string
		Labels   map[string]string
		Spec     struct{ Labels map[string]string } // of a service
	}
	if err := json.Unmarshal(item, &o); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnlike, err)
	}
	if p.how.what == history {
		return p.image(item, nil)
	}
	kind := p.how.kind
	if kind == operation.KindService {
		o.Labels = o.Spec.Labels
	}
	shown := p.view.has(kind, o.Labels, o.RepoTags) || p.view.Shares(kind, append(o.RepoTags, o.Name)...)
	if kind == operation.KindContainer {
		shown = p.container(ctx, o.ID, o.Names)
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
	for _, name := range names {
		if p.view.Shares(operation.KindContainer, strings.TrimPrefix(name, "/")) {
			return true
		}
	}
	labels, err := p.of.GivenLabels(ctx, id)
	return err == nil && p.view.Owns(operation.KindContainer, labels)
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
		if p.view.Owns(operation.KindImage, labels) || all[key] == nil {
			continue
		}
		if err := json.Unmarshal(all[key], &names); err != nil {
			return fmt.Errorf("%w: %w", errUnlike, err)
		}
		left, err := json.Marshal(slices.DeleteFunc(names, func(name string) bool { return !p.view.Shares(operation.KindImage, name) && !p.view.Names(name) }))
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
		shown, known := p.seen[e.Actor.ID]
		if !known { // later events may be about one that is gone
			shown = p.container(ctx, e.Actor.ID, []string{e.Actor.Attributes["name"]})
			if p.seen == nil || len(p.seen) > maxSeen {
				p.seen = map[string]bool{}
			}
			p.seen[e.Actor.ID] = shown
		}
		return shown
	case "image":
		return p.view.has(operation.KindImage, e.Actor.Attributes, []string{e.Actor.Attributes["name"], e.Actor.ID}) || p.view.Shares(operation.KindImage, e.Actor.Attributes["name"], e.Actor.ID)
	}
	return false
}

// maxSeen bounds what is remembered of a stream of events.
const maxSeen = 10000

// Pinned notes that the daemon is given an id in place of the name.
func (p *Plan) Pinned(id, name string) {
	if p != nil {
		p.back = append(p.back, id, name)
	}
}

// Answer puts back what the caller asked for into the text of an error, in place of what the daemon was asked for, and
// leaves out ids of whatever else the text may name: the container that has a name already, or uses a volume.
func (p *Plan) Answer(text string) string {
	if p == nil {
		return text
	}
	const mark = "\x00"
	own := make([]string, 0, len(p.back))
	for i := 0; i < len(p.back); i += 2 {
		own = append(own, p.back[i], mark+strconv.Itoa(i+1)+mark)
	}
	text = ids.ReplaceAllStringFunc(strings.NewReplacer(own...).Replace(text), func(id string) string {
		if strings.Contains(p.asked.URI, id) || bytes.Contains(p.asked.Canonical, []byte(id)) {
			return id // the caller has named it itself
		}
		return "…"
	})
	back := make([]string, 0, len(p.back))
	for i := 1; i < len(p.back); i += 2 {
		back = append(back, mark+strconv.Itoa(i)+mark, p.back[i])
	}
	return strings.NewReplacer(back...).Replace(text)
}

var ids = regexp.MustCompile(`[0-9a-f]{12,64}`)
