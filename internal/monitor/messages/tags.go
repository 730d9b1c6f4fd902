package messages

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/tag"
)

// Tags with a meaning of their own.
const (
	hostKey        = "host" // the message's host
	internalPrefix = "dd.internal."
	cardKey        = "dd.internal.card"
	exportedPrefix = "exported_" // of a client's tag whose key is ours
)

// unified are the tags that clients' libraries add by themselves. Where the sender's container
// is not known, they are the sender's own to use.
var unified = map[string]bool{"env": true, "service": true, "version": true}

// labeled is what a message is filed under, besides its name and type.
type labeled struct {
	host  string    // of a tag "host:…"
	tags  []tag.Tag // the client's and the container's, sorted and without repetitions
	given []tag.Tag // those of them that we have given, sorted
}

// label gives a message its tags. Of the keys that we may give to any container, at any
// cardinality, a client may use only those whose very tag its own container has: else the
// client could ask for no tags, and send another container's.
func (a *Aggregator) label(from *origin, sent dogstatsd.Tags, level tag.Cardinality) labeled {
	var l labeled
	var asked tag.Cardinality
	for t := range sent.All() {
		k, v, _ := bytes.Cut(t, []byte(":"))
		key, value := string(k), string(v)
		switch {
		case key == hostKey && value != "":
			l.host = value
		case key == cardKey:
			asked = tag.ParseCardinality(value)
		case strings.HasPrefix(key, internalPrefix):
		default:
			l.tags = append(l.tags, tag.Tag{Key: key, Value: value})
		}
	}
	l.given = a.originTags(from, cmp.Or(level, asked, a.cfg.Cardinality))
	for i, t := range l.tags {
		if !a.mayUse(from, t) {
			l.tags[i].Key = exportedPrefix + t.Key
		}
	}
	l.tags = append(l.tags, l.given...)
	slices.SortFunc(l.tags, tag.Compare)
	l.tags = slices.Compact(l.tags)
	return l
}

// mayUse says whether a client's tag stays as it is. Keys are compared as Prometheus reads
// them: container.name is container_name there.
func (a *Aggregator) mayUse(from *origin, t tag.Tag) bool {
	name := tag.Name(t.Key)
	own := a.originTags(from, tag.High)
	switch {
	case slices.Contains(own, t):
		return true
	case a.ours[name]:
		return from.key.container == "" && unified[name]
	}
	return !slices.ContainsFunc(own, func(o tag.Tag) bool { return tag.Name(o.Key) == name })
}

// originTags are the tags of who sends, as of the last time that was asked.
func (a *Aggregator) originTags(from *origin, level tag.Cardinality) []tag.Tag {
	if level <= tag.None || from.key.container == "" || a.cfg.Tags == nil {
		return nil
	}
	if !from.tagged[level] {
		from.tags[level], _ = a.cfg.Tags(from.key.container, level)
		from.tagged[level] = true
	}
	return from.tags[level]
}

// retag asks again for the tags of all origins. Contexts of one whose tags have
// changed are forgotten: the next message makes them anew.
func (a *Aggregator) retag() {
	if a.cfg.Tags == nil {
		return
	}
	type question struct {
		from  *origin
		level tag.Cardinality
	}
	var ask []question
	a.mu.Lock()
	for _, from := range a.origins {
		for level := range from.tagged {
			if from.tagged[level] {
				ask = append(ask, question{from, tag.Cardinality(level)})
			}
		}
	}
	a.mu.Unlock()
	for _, q := range ask {
		tags, ok := a.cfg.Tags(q.from.key.container, q.level)
		if !ok {
			continue // gone: what was known last holds for its last messages
		}
		a.mu.Lock()
		if !slices.Equal(tags, q.from.tags[q.level]) {
			q.from.tags[q.level] = tags
			a.forget(q.from, func(int) bool { return true }) // the latest words of checks, too, are of the old tags
		}
		a.mu.Unlock()
	}
}

// identity is a series' key. Lengths keep neighbours apart: a value may hold any byte. A tag
// that a client has chosen is another than one that we have given, so that nobody gets into
// the series of a container whose tags are others.
func identity(name string, t dogstatsd.Type, l *labeled) string {
	var b strings.Builder
	b.WriteByte(byte(t))
	part := func(s string) {
		b.WriteString(strconv.Itoa(len(s)))
		b.WriteByte(':')
		b.WriteString(s)
	}
	part(name)
	part(l.host)
	given := l.given
	for _, t := range l.tags {
		if len(given) > 0 && given[0] == t {
			given = given[1:]
			b.WriteByte('+')
		}
		part(t.Key)
		part(t.Value)
	}
	return b.String()
}
