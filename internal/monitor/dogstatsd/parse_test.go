package dogstatsd

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"vitrine/internal/monitor/tag"
)

// describe writes a parsed message down, so that a table can hold it.
func describe(p *Parser, line string) string {
	kind, reason := p.Parse([]byte(line))
	if reason != Parsed {
		return "refused: " + reason.String()
	}
	var b strings.Builder
	add := func(key string, v any) {
		if s := fmt.Sprintf("%s", v); s != "" && s != "0" {
			fmt.Fprintf(&b, " %s=%s", key, s)
		}
	}
	claim := func(tags Tags, c Claim) {
		var list []string
		for t := range tags.All() {
			list = append(list, string(t))
		}
		add("tags", strings.Join(list, ";"))
		add("c", c.Local)
		add("e", c.External)
		if c.Cardinality != tag.Unset {
			add("card", strconv.Itoa(int(c.Cardinality)))
		}
	}
	switch kind {
	case KindMetric:
		m := p.Metric
		fmt.Fprintf(&b, "%s %s", m.Type, m.Name)
		for _, v := range m.Values {
			fmt.Fprintf(&b, " %v", v)
		}
		add("member", m.Member)
		if m.Rate != 1 {
			add("rate", strconv.FormatFloat(m.Rate, 'g', -1, 64))
		}
		add("time", strconv.FormatInt(m.Time, 10))
		add("skipped", strconv.Itoa(m.Skipped))
		claim(m.Tags, m.Claim)
	case KindEvent:
		e := p.Event
		fmt.Fprintf(&b, "event %q %q %s", e.Title, e.Text, e.Alert)
		add("time", strconv.FormatInt(e.Time, 10))
		add("host", e.Host)
		add("key", e.AggregationKey)
		add("source", e.Source)
		if e.LowPriority {
			add("priority", "low")
		}
		claim(e.Tags, e.Claim)
	case KindCheck:
		c := p.Check
		fmt.Fprintf(&b, "check %s %s", c.Name, c.Status)
		add("time", strconv.FormatInt(c.Time, 10))
		add("host", c.Host)
		add("message", c.Message)
		claim(c.Tags, c.Claim)
	}
	return b.String()
}

func TestParse(t *testing.T) {
	id := strings.Repeat("ab", 32)
	for _, tt := range []struct{ name, line, want string }{
		{"counter", "page.views:1|c", "count page.views 1"},
		{"gauge", "fuel.level:0.5|g", "gauge fuel.level 0.5"},
		{"signed gauge is absolute", "g:-3|g", "gauge g -3"},
		{"plus", "g:+3|g", "gauge g 3"},
		{"histogram", "song.length:240|h|@0.5", "histogram song.length 240 rate=0.5"},
		{"timing is a histogram", "request:12.5|ms", "histogram request 12.5"},
		{"distribution", "latency:1e3|d", "distribution latency 1000"},
		{"set", "users.uniques:1234|s", "set users.uniques member=1234"},
		{"set values may hold colons", "s:abc:def|s", "set s member=abc:def"},
		{"tags", "a:1|c|#env:prod,solo,k:v:w", "count a 1 tags=env:prod;solo;k:v:w"},
		{"empty tags", "a:1|c|#", "count a 1"},
		{"empty tag items", "a:1|c|#,x,,y,", "count a 1 tags=x;y"},
		{"fields in any order, last wins", "a:1|c|#x|@0.1|@0.5|#y", "count a 1 rate=0.5 tags=y"},
		{"unknown fields", "a:1|c|zzz|#x||q", "count a 1 tags=x"},
		{"packed", "a:1:2:3|d", "distribution a 1 2 3"},
		{"packed with gaps", "a:21::22:|d", "distribution a 21 22"},
		{"packed counter", "a:1:2|c|@0.5", "count a 1 2 rate=0.5"},
		{"container id, 1.2", "a:1|c|c:" + id, "count a 1 c=" + id},
		{"container id, 1.4", "a:1|c|c:ci-" + id, "count a 1 c=ci-" + id},
		{"inode", "a:1|c|c:in-4026531835", "count a 1 c=in-4026531835"},
		{"timestamp", "a:1|g|T1656581400", "gauge a 1 time=1656581400"},
		{"timestamp on a histogram", "a:1|h|T1656581400", "histogram a 1 time=1656581400"},
		{"external data", "a:1|c|e:it-false,cn-web,pu-x", "count a 1 e=it-false,cn-web,pu-x"},
		{"cardinality", "a:1|c|card:high", "count a 1 card=4"},
		{"orch", "a:1|c|card:orch", "count a 1 card=3"},
		{"unknown cardinality", "a:1|c|card:huge", "count a 1"},
		{"1.6 whole", "a:1|c|@1|#x|c:ci-1|e:it-true|T5|card:none", "count a 1 time=5 tags=x c=ci-1 e=it-true card=1"},
		{"unicode name", "größe:1|c", "count größe 1"},
		{"spaces are the name's", " a b :1|c", "count  a b  1"},
		{"hex", "a:0x10p0|g", "gauge a 16"},
		{"rate above one", "a:1|c|@2", "count a 1 rate=2"},
		{"some values not finite", "a:NaN:3:inf|h", "histogram a 3 skipped=2"},
		{"name like a check's", "_scale:1|c", "count _scale 1"},

		{"no type", "a:1", "refused: no type"},
		{"nothing", "rubbish", "refused: no type"},
		{"no value", "a|c", "refused: no value"},
		{"empty value", "a:|c", "refused: no value"},
		{"only gaps", "a:::|c", "refused: no value"},
		{"no name", ":1|c", "refused: no name"},
		{"unknown type", "a:1|x", "refused: unknown type"},
		{"empty type", "a:1||#x", "refused: unknown type"},
		{"bad value", "a:1x|c", "refused: value is not a number"},
		{"one bad value of many", "a:1:x:3|h", "refused: value is not a number"},
		{"underscores, as in Go", "a:1_000|c", "count a 1000"},
		{"not finite", "a:NaN|g", "refused: value is not finite"},
		{"too large", "a:1e999|g", "refused: value is not finite"},
		{"bad rate", "a:1|c|@x", "refused: bad sample rate"},
		{"empty rate", "a:1|c|@", "refused: bad sample rate"},
		{"rate zero", "a:1|c|@0", "refused: bad sample rate"},
		{"negative rate", "a:1|c|@-1", "refused: bad sample rate"},
		{"rate NaN", "a:1|c|@NaN", "refused: bad sample rate"},
		{"rate so small that one sample is infinitely many", "a:1|c|@1e-320", "refused: bad sample rate"},
		{"bad time", "a:1|c|Tx", "refused: bad timestamp"},
		{"no time", "a:1|c|T", "refused: bad timestamp"},
		{"time before 1970", "a:1|c|T-1", "refused: bad timestamp"},

		{"event", "_e{5,4}:title|text", `event "title" "text" info`},
		{
			"event whole", "_e{5,4}:title|text|d:12|h:me|k:key|p:low|s:src|t:error|#a,b:c|c:ci-1|e:x|card:low",
			`event "title" "text" error time=12 host=me key=key source=src priority=low tags=a;b:c c=ci-1 e=x card=2`,
		},
		{"event escapes", `_e{4,4}:a\nb|c\nd`, `event "a\nb" "c\nd" info`},
		{"event lengths are bytes", "_e{4,2}:äö|ü", `event "äö" "ü" info`},
		{"event holds pipes", "_e{3,3}:a|b|c|d|t:success", `event "a|b" "c|d" success`},
		{"event with bad optional fields", "_e{1,1}:a|b|d:x|t:y|p:z|zz", `event "a" "b" info`},
		{"event without text", "_e{1,0}:a|", `event "a" "" info`},
		{"event without title", "_e{0,1}:|b", "refused: bad event header"},
		{"event header cut", "_e{1,1", "refused: bad event header"},
		{"event one length", "_e{1}:a|b", "refused: bad event header"},
		{"event negative length", "_e{-1,1}:a|b", "refused: bad event header"},
		{"event too short", "_e{9,9}:a|b", "refused: event is shorter than its header says"},
		{"event overflow", "_e{99999999999999999999,1}:a|b", "refused: bad event header"},
		{"event longer than it says", "_e{1,1}:a|bc", `event "a" "b" info`},
		{"event clipped, with fields", "_e{5,6}:title|äöüäöü|t:error|#a", `event "title" "äöü" error tags=a`},
		{"event with a clipped title", "_e{2,4}:äö|text|t:error", `event "ä" "\xb6|te" error`},
		{"event whose rest looks like a field", "_e{1,1}:a|bt:error|p:low", `event "a" "b" info priority=low`},

		{"check", "_sc|db|0", "check db ok"},
		{
			"check whole", `_sc|db|2|d:12|h:me|#x:y|m:a\nb m\: c|c:ci-1|e:x|card:low`,
			"check db critical time=12 host=me message=a\nb m: c tags=x:y c=ci-1 e=x card=2",
		},
		{"check status 3", "_sc|db|3", "check db unknown"},
		{"check status 4", "_sc|db|4", "refused: unknown service check status"},
		{"check status text", "_sc|db|ok", "refused: unknown service check status"},
		{"check without status", "_sc|db", "refused: service check without name or status"},
		{"check without name", "_sc||0", "refused: service check without name or status"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p Parser
			// A line before must not leave anything behind.
			_, _ = p.Parse([]byte("q:9:8:7|d|@0.1|#left,over|T9|c:x|e:y|card:high"))
			if got := describe(&p, tt.line); got != tt.want {
				t.Errorf("%q\n got %s\nwant %s", tt.line, got, tt.want)
			}
		})
	}
}

func TestCutLine(t *testing.T) {
	var got []string
	for rest := []byte("a\r\n\nb\nc\r"); len(rest) > 0; {
		var line []byte
		line, rest = cutLine(rest)
		got = append(got, string(line))
	}
	if s := strings.Join(got, "/"); s != "a//b/c" {
		t.Errorf("got %s", s)
	}
}

func TestParseFloatIsStrconv(t *testing.T) {
	for _, s := range []string{
		"", "-", ".", "-.", "0", "-0", "00012", "1.", ".5", "-.5", "1..2", "1e5", "123456789012345", "1234567890123456",
		"0.000000000000001", "12345678.1234567", "99999999999999.9", "1.7976931348623157e308", "1e400", "+1", "0x1p-2", "1_0", "Inf", "-inf", "nan",
	} {
		checkFloat(t, s)
	}
}

func checkFloat(t *testing.T, s string) {
	t.Helper()
	want, err := strconv.ParseFloat(s, 64)
	got, ok := parseFloat([]byte(s))
	if wantOK := err == nil || errors.Is(err, strconv.ErrRange); ok != wantOK {
		t.Fatalf("%q: understood %v, strconv says %v", s, ok, err)
	}
	if ok && math.Float64bits(got) != math.Float64bits(want) && !(math.IsNaN(got) && math.IsNaN(want)) {
		t.Fatalf("%q: %v, strconv says %v", s, got, want)
	}
}

// steady are lines of all kinds that a client sends again and again.
var steady = []string{
	"page.views:1|c",
	"daemon:666|h|@0.5|#sometag1:somevalue1,sometag2:somevalue2",
	"request.duration:1.5:2.25:17:0.125:8:9:10:11|d|#env:prod,route:/login|c:ci-" + strings.Repeat("ab", 32),
	"users:someone@example.com|s|#a,b,c,d,e|T1656581400|card:low",
	`_e{10,11}:some title|some\n text|t:warning|#a:b`,
	`_sc|db.up|1|m:slow\nm\: x|#a:b`,
}

func TestParseAllocatesNothing(t *testing.T) {
	var p Parser
	for _, line := range steady {
		b := []byte(line)
		if n := testing.AllocsPerRun(100, func() {
			if _, r := p.Parse(b); r != Parsed {
				t.Fatal(r)
			}
		}); n != 0 {
			t.Errorf("%v allocations for %q", n, line)
		}
	}
	bad := []byte("daemon:666|x|@0.5")
	if n := testing.AllocsPerRun(100, func() { _, _ = p.Parse(bad) }); n != 0 {
		t.Errorf("%v allocations for a bad line", n)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, line := range steady {
		b.Run(line[:min(len(line), 16)], func(b *testing.B) {
			var p Parser
			l := []byte(line)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p.Parse(l)
			}
		})
	}
}

func FuzzFloat(f *testing.F) {
	for _, s := range []string{"1", "-1.5", "123456789.123456", "1e5", "0x10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkFloat(t, s) })
}

// FuzzLine holds any line against what consumers of a metric rely on.
func FuzzLine(f *testing.F) {
	for _, line := range steady {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var p Parser
		before := bytes.Clone(line)
		kind, reason := p.Parse(line)
		if !bytes.Equal(before, line) {
			t.Fatal("the line was changed")
		}
		if kind != KindMetric {
			return
		}
		m := p.Metric
		if reason != Parsed {
			if reason.String() == "" {
				t.Fatalf("reason %d has no text", reason)
			}
			return
		}
		if len(m.Name) == 0 || bytes.ContainsAny(m.Name, ":|") || metricTypeUnknown(m.Type) {
			t.Fatalf("bad metric %+v", m)
		}
		if (m.Type == Set) != (len(m.Values) == 0) || (m.Type == Set) != (len(m.Member) > 0) {
			t.Fatalf("values of the wrong kind %+v", m)
		}
		for _, v := range m.Values {
			if w := v / m.Rate; math.IsNaN(w) || math.IsInf(v, 0) {
				t.Fatalf("value %v at rate %v", v, m.Rate)
			}
		}
		if m.Time < 0 || bytes.IndexByte(m.Tags, '|') >= 0 {
			t.Fatalf("bad fields %+v", m)
		}
	})
}

func metricTypeUnknown(t Type) bool { return t.String() == "unknown" }

func FuzzEvent(f *testing.F) {
	f.Add("some title", "some|text\nmore", "t:error|#a,b")
	f.Fuzz(func(t *testing.T, title, text, fields string) {
		if title == "" || strings.ContainsAny(title+text+fields, "\\") {
			return
		}
		var p Parser
		line := fmt.Sprintf("_e{%d,%d}:%s|%s|%s", len(title), len(text), title, text, fields)
		if _, r := p.Parse([]byte(line)); r != Parsed {
			return // longer than any packet
		}
		if string(p.Event.Title) != title || string(p.Event.Text) != text {
			t.Fatalf("%q: got %q, %q", line, p.Event.Title, p.Event.Text)
		}
		_ = p.Event.Alert.String()
	})
}

func FuzzCheck(f *testing.F) {
	f.Add("_sc|db|0|m:fine")
	f.Fuzz(func(t *testing.T, line string) {
		var p Parser
		if kind, r := p.Parse([]byte("_sc|" + line)); r == Parsed && kind == KindCheck {
			if len(p.Check.Name) == 0 || p.Check.Status > StatusUnknown {
				t.Fatalf("%q: %+v", line, p.Check)
			}
		}
	})
}
