package aggregate

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"

	"vitrine/internal/dogstatsd"
	"vitrine/internal/tag"
)

// Tags with a meaning of their own.
const (
	hostKey        = "host" // the message's host
	internalPrefix = "dd.internal."
	cardKey        = "dd.internal.card"
	exportedPrefix = "exported_" // of a client's tag whose key is ours
)

// ours are keys that say which container a message is from: only we say that.
var ours = map[string]bool{"container_id": true, "container_name": true, "pod_name": true}

// tags are the final tags of a message, sorted and without repetitions: its own
// and its origin's. The host is that of a tag "host:…".
func (a *Messages) tags(from *origin, sent dogstatsd.Tags, level dogstatsd.Cardinality) (tags []tag.Tag, host string) {
	var asked dogstatsd.Cardinality
	for t := range sent.All() {
		k, v, _ := bytes.Cut(t, []byte(":"))
		key, value := string(k), string(v)
		switch {
		case key == hostKey && value != "":
			host = value
		case key == cardKey:
			asked = dogstatsd.ParseCardinality(value)
		case strings.HasPrefix(key, internalPrefix):
		default:
			tags = append(tags, tag.Tag{Key: key, Value: value})
		}
	}
	origin := a.originTags(from, cmp.Or(level, asked, a.cfg.Cardinality))
	for i, t := range tags {
		// As Prometheus reads them: container.name is container_name there.
		name := tag.Name(t.Key)
		taken := slices.ContainsFunc(origin, func(o tag.Tag) bool { return o.Key == t.Key || tag.Name(o.Key) == name })
		if taken && !slices.Contains(origin, t) || ours[name] {
			tags[i].Key = exportedPrefix + t.Key
		}
	}
	tags = append(tags, origin...)
	slices.SortFunc(tags, compareTags)
	return slices.Compact(tags), host
}

func compareTags(a, b tag.Tag) int {
	return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Value, b.Value))
}

// originTags are the tags of who sends, as of the last time that was asked.
func (a *Messages) originTags(from *origin, level dogstatsd.Cardinality) []tag.Tag {
	if level <= dogstatsd.CardinalityNone || from.key.container == "" || a.cfg.Tagger == nil {
		return nil
	}
	if !from.tagged[level] {
		from.tags[level], _ = a.cfg.Tagger.ContainerTags(from.key.container, level)
		from.tagged[level] = true
	}
	return from.tags[level]
}

// retag asks again for the tags of all origins. Contexts of one whose tags have
// changed are forgotten: the next message makes them anew.
func (a *Messages) retag() {
	if a.cfg.Tagger == nil {
		return
	}
	type question struct {
		from  *origin
		level dogstatsd.Cardinality
	}
	var ask []question
	a.mu.Lock()
	for _, from := range a.origins {
		for level := range from.tagged {
			if from.tagged[level] {
				ask = append(ask, question{from, dogstatsd.Cardinality(level)})
			}
		}
	}
	a.mu.Unlock()
	for _, q := range ask {
		tags, ok := a.cfg.Tagger.ContainerTags(q.from.key.container, q.level)
		if !ok {
			continue // gone: what was known last holds for its last messages
		}
		a.mu.Lock()
		if !slices.Equal(tags, q.from.tags[q.level]) {
			q.from.tags[q.level] = tags
			for key, c := range q.from.contexts {
				delete(q.from.contexts, key)
				a.contexts.giveBack(q.from, &q.from.used, c.cost)
			}
			for key, c := range q.from.checks {
				delete(q.from.checks, key)
				a.contexts.giveBack(q.from, &q.from.used, c.cost)
			}
		}
		a.mu.Unlock()
	}
}

// identity is a series' key. Lengths keep neighbours apart: a value may hold any byte.
func identity(name string, t dogstatsd.Type, host string, tags []tag.Tag) string {
	var b strings.Builder
	b.WriteByte(byte(t))
	part := func(s string) {
		b.WriteString(strconv.Itoa(len(s)))
		b.WriteByte(':')
		b.WriteString(s)
	}
	part(name)
	part(host)
	for _, t := range tags {
		part(t.Key)
		part(t.Value)
	}
	return b.String()
}
