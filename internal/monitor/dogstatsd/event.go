package dogstatsd

import "bytes"

// event reads _e{<title bytes>,<text bytes>}:title|text and its fields. A bad
// optional field costs itself alone. Some clients count characters where bytes are meant: what
// is longer than its length is clipped, as in Datadog's Agent, and not refused whole.
func (p *Parser) event(line []byte) Reason {
	head, rest, ok := bytes.Cut(line[len("_e{"):], []byte("}:"))
	if !ok {
		return badEventHeader
	}
	first, second, ok := bytes.Cut(head, []byte(","))
	titleLen, ok1 := parseLength(first)
	textLen, ok2 := parseLength(second)
	if !ok || !ok1 || !ok2 || titleLen == 0 {
		return badEventHeader
	}
	if len(rest) < titleLen+1+textLen {
		return badEventLength
	}
	title, text, rest := rest[:titleLen], rest[titleLen+1:titleLen+1+textLen], rest[titleLen+1+textLen:]
	p.scratch = p.scratch[:0]
	e := &p.Event
	*e = Event{Title: p.unescape(title, "\\n", "\n"), Text: p.unescape(text, "\\n", "\n")}
	_, rest = cutField(rest) // nothing, or what was clipped
	for len(rest) > 0 {
		var field []byte
		field, rest = cutField(rest)
		e.field(field)
	}
	return Parsed
}

// parseLength reads up to six digits: no packet is longer.
func parseLength(b []byte) (int, bool) {
	if len(b) == 0 || len(b) > 6 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// field takes what an event and a check have alike; of another field it gives key and value.
func (a *about) field(f []byte) (key byte, value []byte) {
	switch {
	case a.claim(f), len(f) < 2 || f[1] != ':':
	case f[0] == 'd':
		if t, ok := parseTime(f[2:]); ok {
			a.Time = t
		}
	case f[0] == 'h':
		a.Host = f[2:]
	default:
		return f[0], f[2:]
	}
	return 0, nil
}

func (e *Event) field(f []byte) {
	switch key, value := e.about.field(f); key {
	case 'k':
		e.AggregationKey = value
	case 'p':
		e.LowPriority = string(value) == "low"
	case 's':
		e.Source = value
	case 't':
		switch string(value) {
		case "success":
			e.Alert = AlertSuccess
		case "warning":
			e.Alert = AlertWarning
		case "error":
			e.Alert = AlertError
		}
	}
}

// check reads _sc|name|status and its fields.
func (p *Parser) check(line []byte) Reason {
	name, rest := cutField(line[len("_sc|"):])
	status, rest := cutField(rest)
	if len(name) == 0 || len(status) == 0 {
		return badCheck
	}
	if len(status) != 1 || status[0]-'0' > byte(StatusUnknown) {
		return BadStatus
	}
	p.scratch = p.scratch[:0]
	c := &p.Check
	*c = Check{Name: name, Status: Status(status[0] - '0')}
	for len(rest) > 0 {
		var f []byte
		f, rest = cutField(rest)
		if key, value := c.field(f); key == 'm' {
			c.Message = p.unescape(p.unescape(value, "\\n", "\n"), "m\\:", "m:")
		}
	}
	return Parsed
}

// unescape replaces what clients write for what would end a line or a field.
func (p *Parser) unescape(b []byte, old, by string) []byte {
	i := bytes.Index(b, []byte(old))
	if i < 0 {
		return b
	}
	start := len(p.scratch)
	for i >= 0 {
		p.scratch = append(append(p.scratch, b[:i]...), by...)
		b = b[i+len(old):]
		i = bytes.Index(b, []byte(old))
	}
	p.scratch = append(p.scratch, b...)
	return p.scratch[start:len(p.scratch):len(p.scratch)]
}
