// Package tag makes a container's tags, as Datadog's agent does, out of what the
// Engine says of it: its names, image, labels and environment.
//
// Each tag has a cardinality. Low ones are as many as there are services,
// orchestrator ones as tasks or pods, high ones as containers; custom metrics get low
// ones unless somebody asks for more. The whole list is a table, and docs/tags.md
// is made from it.
//
// Tags describe, and never decide: whoever may create containers, or build
// their images, chooses them. Environment values reach this package only as far as
// the policy keeps them (keep_env); a blanked one gives no tag.
package tag

import (
	"cmp"
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"vitrine/internal/engine/docker"
)

// Cardinality says how many values a tag has on a host, and which tags are wanted.
type Cardinality uint8

// The cardinalities; each includes those before it.
const (
	Unset Cardinality = iota // what the configuration says
	None                     // no tags
	Low
	Orchestrator
	High
	cardinalities
)

// String is the name, as in configuration.
func (c Cardinality) String() string {
	return [...]string{"", "none", "low", "orchestrator", "high"}[c]
}

// ParseCardinality reads one; "orch" is orchestrator too, and what is none is Unset.
func ParseCardinality(s string) Cardinality {
	if s == "orch" {
		return Orchestrator
	}
	for c := None; c < cardinalities; c++ {
		if s == c.String() {
			return c
		}
	}
	return Unset
}

// Tag is one tag. A key may have several values.
type Tag struct{ Key, Value string }

// String is the tag as Datadog writes it.
func (t Tag) String() string { return t.Key + ":" + t.Value }

// Tags are a container's, sorted, by cardinality.
type Tags struct{ by [cardinalities][]Tag }

// At returns the tags of that cardinality and those before it, sorted.
func (t *Tags) At(c Cardinality) []Tag {
	var out []Tag
	for level := Low; level <= c; level++ {
		out = append(out, t.by[level]...)
	}
	slices.SortFunc(out, Compare)
	return out
}

// Get is the first value of a key; "" if it has none.
func (t *Tags) Get(key string) string {
	for _, level := range t.by {
		for _, tag := range level {
			if tag.Key == key {
				return tag.Value
			}
		}
	}
	return ""
}

// Compare orders tags by key, then value.
func Compare(a, b Tag) int {
	return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Value, b.Value))
}

// ByKey yields the keys of sorted tags, each with its values.
func ByKey(tags []Tag) iter.Seq2[string, []string] {
	return func(yield func(key string, values []string) bool) {
		for len(tags) > 0 {
			key, values := tags[0].Key, []string(nil)
			for ; len(tags) > 0 && tags[0].Key == key; tags = tags[1:] {
				values = append(values, tags[0].Value)
			}
			if !yield(key, values) {
				return
			}
		}
	}
}

// add puts a tag in. What is empty is no tag.
func (t *Tags) add(c Cardinality, key, value string) {
	key, value = clean(key), clean(value)
	if key != "" && value != "" {
		t.by[c] = append(t.by[c], Tag{key, value})
	}
}

// claim adds a tag whose key the container has chosen. It does not say which
// container this is, however it is spelled: to Prometheus container.id is container_id too.
func (t *Tags) claim(c Cardinality, key, value string) {
	if read := Name(clean(key)); read != "container_id" && read != "container_name" {
		t.add(c, key, value)
	}
}

// clean makes text fit for every output: labels may hold any bytes.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, s))
}

// Config says which labels and environment variables become tags.
type Config struct {
	Labels, Env []Mapping
}

// Tagger makes tags. It keeps nothing of a container.
type Tagger struct{ cfg Config }

// New makes a Tagger.
func New(cfg Config) *Tagger { return &Tagger{cfg} }

// Keys are what tags of containers are called by the settings, besides those of
// [Rules], and besides names that containers choose.
func (g *Tagger) Keys() []string {
	var out []string
	for _, m := range slices.Concat(g.cfg.Labels, g.cfg.Env) {
		out = append(out, m.keys()...)
	}
	return out
}

// Tags are those of a container.
func (g *Tagger) Tags(c *docker.Container) *Tags {
	s := newSource(c)
	t := &Tags{}
	for _, r := range rules() {
		t.add(r.Cardinality, r.Key, r.value(s))
	}
	for _, r := range unified() {
		t.add(Low, r.Key, r.value(s))
	}
	custom(t, c.Labels["com.datadoghq.ad.tags"])
	for _, m := range g.cfg.Labels {
		m.apply(t, c.Labels)
	}
	for _, m := range g.cfg.Env {
		m.apply(t, s.env)
	}
	for level := range t.by {
		slices.SortFunc(t.by[level], Compare)
		t.by[level] = slices.Compact(t.by[level])
	}
	return t
}

// custom adds the tags that a container asks for: a JSON array of "key:value".
// The value may hold colons.
func custom(t *Tags, list string) {
	var tags []string
	if list == "" || json.Unmarshal([]byte(list), &tags) != nil {
		return // a typo in somebody's label is not our failure
	}
	for _, tag := range tags {
		key, value, _ := strings.Cut(tag, ":")
		t.claim(High, key, value)
	}
}
