package dogstatsd

import (
	"bytes"
	"math"
	"strconv"

	"vitrine/internal/monitor/tag"
)

// Kind is the kind of a message.
type Kind uint8

// The kinds of messages.
const (
	KindMetric Kind = iota
	KindEvent
	KindCheck

	kinds = int(KindCheck) + 1
)

func (k Kind) String() string { return [...]string{"metrics", "events", "service_checks"}[k] }

// Reason says why a line was refused.
type Reason uint8

// The reasons. Their texts are label values: they don't change.
const (
	Parsed Reason = iota // it was not refused
	noType
	noName
	noValue
	unknownType
	badValue
	notFinite
	badRate
	badTime
	badEventHeader
	badEventLength
	badCheck
	BadStatus

	reasons = int(BadStatus) + 1
)

var reasonTexts = [reasons]string{
	Parsed:         "parsed",
	noType:         "no type",
	noName:         "no name",
	noValue:        "no value",
	unknownType:    "unknown type",
	badValue:       "value is not a number",
	notFinite:      "value is not finite",
	badRate:        "bad sample rate",
	badTime:        "bad timestamp",
	badEventHeader: "bad event header",
	badEventLength: "event is shorter than its header says",
	badCheck:       "service check without name or status",
	BadStatus:      "unknown service check status",
}

func (r Reason) String() string { return reasonTexts[r] }

// Parser reads messages. It keeps its memory between lines, so that parsing
// allocates nothing once it has seen the longest. One goroutine may use it.
type Parser struct {
	Metric Metric // after KindMetric
	Event  Event  // after KindEvent
	Check  Check  // after KindCheck

	values  []float64
	scratch []byte // unescaped texts
}

// Parse reads one line, without its line end, into the field of its kind. Of a
// line that is refused, the kind is what it set out to be.
func (p *Parser) Parse(line []byte) (Kind, Reason) {
	if len(line) > 2 && line[0] == '_' {
		if bytes.HasPrefix(line, []byte("_e{")) {
			return KindEvent, p.event(line)
		}
		if bytes.HasPrefix(line, []byte("_sc|")) {
			return KindCheck, p.check(line)
		}
	}
	return KindMetric, p.metric(line)
}

// metric reads name:value|type and its fields. The name ends at the first
// colon; what it is made of is not checked.
func (p *Parser) metric(line []byte) Reason {
	pipe := bytes.IndexByte(line, '|')
	if pipe < 0 {
		return noType
	}
	colon := bytes.IndexByte(line[:pipe], ':')
	switch {
	case colon < 0:
		return noValue
	case colon == 0:
		return noName
	case colon == pipe-1:
		return noValue
	}
	value, rest := line[colon+1:pipe], line[pipe+1:]
	m := &p.Metric
	*m = Metric{Name: line[:colon], Rate: 1}
	kind, rest := cutField(rest)
	if m.Type = metricType(kind); m.Type == 0 {
		return unknownType
	}
	for len(rest) > 0 {
		var field []byte
		field, rest = cutField(rest)
		if r := m.field(field); r != Parsed {
			return r
		}
	}
	if m.Type == Set {
		m.Member = value
		return Parsed
	}
	return p.packed(value)
}

func metricType(b []byte) Type {
	switch {
	case len(b) == 1:
		switch t := Type(b[0]); t {
		case Count, Gauge, Histogram, Distribution, Set:
			return t
		}
	case len(b) == 2 && b[0] == 'm' && b[1] == 's':
		return Histogram
	}
	return 0
}

// cutField cuts at the next '|'.
func cutField(b []byte) (field, rest []byte) {
	// Fields are short: a loop beats the call of bytes.IndexByte.
	for i, c := range b {
		if c == '|' {
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}

func (m *Metric) field(f []byte) Reason {
	switch {
	case len(f) > 0 && f[0] == '@':
		rate, ok := parseFloat(f[1:])
		// A rate that is not above 0 would turn one sample into infinitely many.
		if !ok || !(rate > 0) || math.IsInf(1/rate, 0) || math.IsInf(rate, 0) {
			return badRate
		}
		m.Rate = rate
	case len(f) > 0 && f[0] == 'T':
		t, ok := parseTime(f[1:])
		if !ok {
			return badTime
		}
		m.Time = t
	default:
		m.claim(f)
	}
	return Parsed
}

// claim takes what all kinds of messages have, and says whether it was that.
func (c *Claim) claim(f []byte) bool {
	switch {
	case len(f) > 0 && f[0] == '#':
		c.Tags = f[1:]
	case len(f) < 2:
		return false
	case f[0] == 'c' && f[1] == ':':
		c.Local = f[2:]
	case f[0] == 'e' && f[1] == ':':
		c.External = f[2:]
	case bytes.HasPrefix(f, []byte("card:")):
		c.Cardinality = tag.ParseCardinality(string(f[5:]))
	default:
		return false
	}
	return true
}

// packed reads one or more values separated by colons; empty ones are skipped.
func (p *Parser) packed(b []byte) Reason {
	p.values = p.values[:0]
	m := &p.Metric
	for len(b) > 0 {
		var v []byte
		v, b, _ = bytes.Cut(b, []byte(":"))
		if len(v) == 0 {
			continue
		}
		f, ok := parseFloat(v)
		switch {
		case !ok:
			return badValue
		case math.IsNaN(f) || math.IsInf(f, 0):
			m.Skipped++
		default:
			p.values = append(p.values, f)
		}
	}
	m.Values = p.values
	switch {
	case len(m.Values) > 0:
		return Parsed
	case m.Skipped > 0:
		return notFinite
	}
	return noValue
}

var powersOfTen = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// parseFloat is [strconv.ParseFloat] with a short way for plain decimals: up to
// 15 digits and their power of ten are exact as float64, so that the quotient is
// the nearest one.
func parseFloat(b []byte) (float64, bool) {
	digits := b
	if len(b) > 0 && b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 16 {
		return parseFloatSlowly(b)
	}
	var n uint64
	point := -1
	for i, c := range digits {
		switch {
		case c-'0' <= 9:
			n = n*10 + uint64(c-'0')
		case c == '.' && point < 0:
			point = i
		default:
			return parseFloatSlowly(b)
		}
	}
	f := float64(n)
	switch {
	case point < 0 && len(digits) > 15, point >= 0 && len(digits) == 1:
		return parseFloatSlowly(b)
	case point >= 0:
		f /= powersOfTen[len(digits)-point-1]
	}
	if len(digits) < len(b) {
		f = -f
	}
	return f, true
}

func parseFloatSlowly(b []byte) (float64, bool) {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil && !math.IsInf(f, 0) { // out of range gives an infinity
		return 0, false
	}
	return f, true
}

// parseTime reads seconds since 1970, above 0.
func parseTime(b []byte) (int64, bool) {
	t, err := strconv.ParseInt(string(b), 10, 64)
	return t, err == nil && t > 0
}

// cutLine cuts a packet at the next line end, and a carriage return before it.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte("\n"))
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, rest
}
