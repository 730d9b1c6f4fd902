package messages

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/tag"
	"vitrine/test/statsd"
)

// host is an Engine's containers, with the tags that they have in earnest.
type host struct {
	tagger     *tag.Tagger
	containers map[string]*docker.Container
}

func (h *host) ContainerTags(id string, level tag.Cardinality) ([]tag.Tag, bool) {
	c, ok := h.containers[id]
	if !ok {
		return nil, false
	}
	return h.tagger.Tags(c).At(level), true
}

func (h *host) messages() *Aggregator {
	return New(Config{Tags: h.ContainerTags, Keys: h.tagger.Keys()})
}

func mapped(t *testing.T, labels string) *tag.Tagger {
	t.Helper()
	m, err := tag.ParseMappings(labels)
	if err != nil {
		t.Fatal(err)
	}
	return tag.New(tag.Config{Labels: m})
}

// TestAnothersTagsClosed: a client that asks for no tags of its own, or has no container,
// does not get into a container's series by sending that one's tags, however it spells them.
func TestAnothersTagsClosed(t *testing.T) {
	h := &host{tagger: mapped(t, `{"com.corp.team":"team","com.corp.any.*":"%%label%%"}`), containers: map[string]*docker.Container{
		"victim": {ID: "victim", Name: "victim-1", Image: "shop:1", ImageID: "sha256:1", Labels: map[string]string{
			"com.docker.compose.service": "shop", "com.corp.team": "blue", "com.corp.any.tier": "gold", "com.datadoghq.ad.tags": `["floor:3"]`,
		}},
		"evil": {ID: "evil", Name: "evil-1", Image: "shop:1", ImageID: "sha256:1"}, // of the same image
		"twin": {ID: "twin", Name: "twin-1", Image: "evil:1", ImageID: "sha256:2", Labels: map[string]string{"com.docker.compose.service": "shop"}},
	}}
	kernel := func(id string) *dogstatsd.Origin {
		return &dogstatsd.Origin{Source: dogstatsd.SourceKernel, Container: id}
	}
	all, _ := h.ContainerTags("victim", tag.High)
	for _, spell := range []func(string) string{
		func(k string) string { return k },
		func(k string) string { return strings.ReplaceAll(k, "_", ".") },
		func(k string) string { return strings.ReplaceAll(strings.ReplaceAll(k, "_", "-"), ".", "_") },
	} {
		var tags []string
		for _, tag := range all {
			tags = append(tags, spell(tag.Key)+":"+tag.Value)
		}
		for _, from := range []*dogstatsd.Origin{kernel("evil"), kernel("twin"), kernel("unknown"), none, {Source: dogstatsd.SourceKernel}, {Source: dogstatsd.SourceClient, Container: "evil"}} {
			for _, level := range []string{"|card:none", "|card:low", "|card:orchestrator", "|card:high", "", ",dd.internal.card:none", ",dd.internal.card:high"} {
				a := h.messages()
				for _, card := range []string{"none", "low", "orchestrator", "high"} {
					statsd.Feed(t, a, kernel("victim"), "page.views:1|c|card:"+card)
				}
				statsd.Feed(t, a, from, "page.views:1000|c|#"+strings.Join(tags, ",")+level)
				for _, s := range a.Flush(time.Now()).Series {
					if s.Total > 2 && s.Total != 1000 { // the victim's low and orchestrator tags are equal
						t.Errorf("%v%s is in a series of the victim: %v %v", *from, level, s.Tags, s.Total)
					}
					if s.Total < 1000 {
						continue
					}
					for _, tag := range s.Tags {
						if label := tagName(tag); strings.HasPrefix(label, "container_") && tag.Value != from.Container && tag.Value != from.Container+"-1" ||
							label == "compose_service" && from.Container != "twin" || label == "team" {
							t.Errorf("%v%s passes for the victim: %v", *from, level, s.Tags)
						}
					}
				}
			}
		}
	}
}

func tagName(t tag.Tag) string { return tag.Name(t.Key) }

// TestContainersNeverMeetClosed: whatever containers and messages there are, one series has
// messages of those alone to whom we have given the same tags, and a label that bears a key of
// ours is true of each of them.
func TestContainersNeverMeetClosed(t *testing.T) {
	labels := []string{"com.docker.compose.service", "com.docker.compose.project", "com.corp.team", "any.tier", "com.datadoghq.tags.env", "io.kubernetes.pod.name", "com.amazonaws.ecs.task-arn"}
	keys := []string{"x", "section", "team", "any.tier", "any_tier", "host", "dd.internal.card", "container_id", "container.name", "compose-service", "floor"}
	for _, r := range tag.Rules() {
		keys = append(keys, r.Key, strings.ReplaceAll(r.Key, "_", "."), strings.ToUpper(r.Key))
	}
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 0))
		pick := func(list []string) string { return list[r.IntN(len(list))] }
		h := &host{tagger: mapped(t, pick([]string{`{}`, `{"com.corp.*":"team"}`, `{"any.*":"%%label%%","com.corp.team":"+team"}`})), containers: map[string]*docker.Container{}}
		values := []string{"a", "b", "shop:1", "docker"}
		for i := range 4 {
			id := fmt.Sprintf("c%d", i)
			c := &docker.Container{ID: id, Name: "name-" + id, Image: pick([]string{"a", "b", "shop:1", "sha256:1"}), ImageID: "sha256:1", Labels: map[string]string{}}
			for range r.IntN(4) {
				c.Labels[pick(labels)] = pick(values)
			}
			if r.IntN(3) == 0 {
				c.Labels["com.datadoghq.ad.tags"] = `["floor:a"]`
			}
			h.containers[id] = c
			values = append(values, id, c.Name)
		}
		a := h.messages()
		type message struct {
			from  *dogstatsd.Origin
			level tag.Cardinality
			line  string
		}
		var sent []message
		for i := range 50 { // each has a bit of the totals
			m := message{from: none, level: tag.Cardinality(1 + r.IntN(4))}
			if n := r.IntN(5); n < 4 {
				m.from = &dogstatsd.Origin{Source: dogstatsd.SourceKernel, Container: fmt.Sprintf("c%d", n)}
			}
			var tags []string
			like, _ := h.ContainerTags(fmt.Sprintf("c%d", r.IntN(4)), tag.High)
			for _, tag := range like { // as another one, or nearly
				if r.IntN(10) > 0 {
					tags = append(tags, tag.String())
				}
			}
			for range r.IntN(3) {
				tags = append(tags, pick(keys)+":"+pick(values))
			}
			r.Shuffle(len(tags), func(i, j int) { tags[i], tags[j] = tags[j], tags[i] })
			m.line = fmt.Sprintf("m:%d|c|#%s|card:%s", int64(1)<<i, strings.Join(tags, ","), []string{"", "none", "low", "orchestrator", "high"}[m.level])
			sent = append(sent, m)
			statsd.Feed(t, a, m.from, m.line)
		}
		for _, s := range a.Flush(time.Now()).Series {
			var first *message
			for i := range sent {
				m := &sent[i]
				if int64(s.Total)&(int64(1)<<i) == 0 {
					continue
				}
				given, own := h.given(m.from, m.level), h.given(m.from, tag.High)
				if first == nil {
					first = m
				}
				if other := h.given(first.from, first.level); !slices.Equal(given, other) {
					t.Errorf("seed %d: %s of %s and %s of %s are one series: %v", seed, first.line, first.from.Container, m.line, m.from.Container, s.Tags)
				}
				for _, tag := range s.Tags {
					if a.ours[tagName(tag)] && !slices.Contains(own, tag) && (m.from.Container != "" || !unified[tag.Key]) {
						t.Errorf("seed %d: %s of %s: %s is not true of it", seed, m.line, m.from.Container, tag)
					}
				}
			}
		}
	}
}

func (h *host) given(o *dogstatsd.Origin, level tag.Cardinality) []tag.Tag {
	if o.Container == "" || level == tag.None {
		return nil
	}
	tags, _ := h.ContainerTags(o.Container, level)
	return tags
}

// TestOnesOwnTagsStay: a client may say what is true of its container, and a process of no
// container what clients' libraries say of themselves.
func TestOnesOwnTagsStay(t *testing.T) {
	h := &host{tagger: mapped(t, `{}`), containers: map[string]*docker.Container{
		"web": {ID: "web", Name: "web-1", Labels: map[string]string{"com.datadoghq.tags.env": "prod"}},
	}}
	a := h.messages()
	web := &dogstatsd.Origin{Source: dogstatsd.SourceKernel, Container: "web"}
	statsd.Feed(t, a, web, "a:1|c|#env:prod,service:bank|card:none")
	statsd.Feed(t, a, none, "b:1|c|#env:prod,service:bank,runtime:docker,compose_service:shop")
	expect(t, a.Flush(time.Now()),
		"count a{env:prod,exported_service:bank} 1 total 1",
		"count b{env:prod,exported_compose_service:shop,exported_runtime:docker,service:bank} 1 total 1")
}

// TestClockDoesNotOutrankOthersClosed: a sender whose clock is ahead does not hold a series that
// others send to, with or without times of their own.
func TestClockDoesNotOutrankOthersClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Config{})
		at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
		shows := func(what string, value float64) {
			t.Helper()
			time.Sleep(10 * time.Second)
			s := a.Flush(time.Now()).Series[0]
			if s.Value != value || s.At.After(time.Now()) {
				t.Errorf("%s: %v at %v, want %v", what, s.Value, s.At, value)
			}
		}
		statsd.Feed(t, a, web1, fmt.Sprintf("g:1|g|T%d", at(55*time.Second)))
		shows("from ahead", 1)
		statsd.Feed(t, a, web2, "g:2|g")
		shows("another's without a time", 2)
		time.Sleep(2 * time.Second)
		statsd.Feed(t, a, web1, fmt.Sprintf("g:3|g|T%d", at(55*time.Second)))
		statsd.Feed(t, a, web2, fmt.Sprintf("g:4|g|T%d", at(0)))
		shows("another's with its time", 4)
		statsd.Feed(t, a, web1, fmt.Sprintf("g:5|g|T%d", at(55*time.Second)))
		statsd.Feed(t, a, web1, fmt.Sprintf("g:6|g|T%d", at(-5*time.Second)))
		shows("its own clock orders its own values", 5)
		statsd.Feed(t, a, web1, fmt.Sprintf("g:8|g|T%d", at(55*time.Second)))
		statsd.Feed(t, a, web2, fmt.Sprintf("g:7|g|T%d", at(-time.Second)))
		shows("one that is a little behind", 7)
	})
}

// TestChecksOfOneSender: a check has one latest word, in whatever order its tags come.
func TestChecksOfOneSender(t *testing.T) {
	a := New(Config{})
	statsd.Feed(t, a, web1, "_sc|up|0|#a,b", "_sc|up|2|#b,a", "_sc|up|1|#c|h:x", "_sc|up|0|#c,host:x")
	statsd.Feed(t, a, web2, "_sc|up|1|#a,b")
	var got []string
	for _, c := range a.Flush(time.Now()).Checks {
		got = append(got, fmt.Sprintf("%s{%s}%s of %s is %s", c.Name, join(c.Tags), c.Host, c.Container, c.Status))
	}
	if want := []string{"up{a,b} of web1 is critical", "up{a,b} of web2 is warning", "up{c}x of web1 is ok"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
