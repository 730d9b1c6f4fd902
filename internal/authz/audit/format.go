package audit

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// A Format appends a record to b as one line, its end too. Every format is made of the Record
// alone, so that what is cut there is in none.
type Format func(b []byte, r *Record) ([]byte, error)

// FormatOf is the format with a name; nil for none.
func FormatOf(name string) Format { return map[string]Format{"json": JSON, "ocsf": OCSF}[name] }

// JSON is the format that docs/audit.md documents: what encoding/json makes of a Record, written without its reflection where the record is
// plain. That took a fifth of a repeated denial.
func JSON(b []byte, r *Record) ([]byte, error) {
	if r.plain() {
		l := line{b: b}
		l.record(r)
		if !l.odd {
			return l.b, nil
		}
	}
	return appendLine(b, r)
}

// plain says that nothing of a record is seldom there.
func (r *Record) plain() bool {
	return r.Differential == "" && len(r.Changed) == 0 && r.Event == "" && r.Grant == nil
}

// line is a line that is being written.
type line struct {
	b   []byte
	odd bool // it has what encoding/json writes in a way of its own
}

func (l *line) record(r *Record) {
	at, err := r.Time.AppendText(append(l.b, `{"time":"`...))
	l.b, l.odd = append(at, '"'), err != nil
	l.text("id", r.ID)
	l.text("door", r.Door)
	l.some("listener", r.Listener)
	l.caller(&r.Caller)
	l.text("operation", r.Operation)
	l.some("access", string(r.Access))
	list(l, "hazards", r.Hazards)
	list(l, "host_paths", r.HostPaths)
	l.text("method", r.Method)
	l.text("uri", r.URI)
	if r.Status != 0 {
		l.number("status", int64(r.Status))
	}
	l.b = strconv.AppendBool(l.key("allow"), r.Allow)
	l.some("code", r.Code)
	list(l, "reasons", r.Reasons)
	l.some("policy_revision", r.PolicyRevision)
	l.number("duration_us", r.DurationUsec)
	l.some("mode", r.Mode)
	if r.Redacted {
		l.b = append(l.key("redacted"), "true"...)
	}
	l.b = append(l.b, "}\n"...)
}

func (l *line) caller(c *Caller) {
	l.b = append(l.b, `,"caller":{"kind":`...)
	l.quoted(string(c.Kind))
	if len(c.Principals) > 0 {
		list(l, "principals", c.Principals)
	} else {
		l.odd = l.odd || c.Principals == nil
		l.b = append(l.key("principals"), "[]"...)
	}
	if c.UID != nil {
		l.number("uid", int64(*c.UID))
	}
	if c.PID != 0 {
		l.number("pid", int64(c.PID))
	}
	if c.LoginUID != nil {
		l.number("loginuid", int64(*c.LoginUID))
	}
	l.some("exe", c.Exe)
	l.some("container_id", c.ContainerID)
	l.some("why", c.Why)
	l.b = append(l.b, '}')
}

func (l *line) key(name string) []byte {
	l.b = append(append(append(l.b, `,"`...), name...), `":`...)
	return l.b
}

func (l *line) number(key string, n int64) { l.b = strconv.AppendInt(l.key(key), n, 10) }

func (l *line) text(key, s string) {
	l.key(key)
	l.quoted(s)
}

// some is a text that is left out if it is empty.
func (l *line) some(key, s string) {
	if s != "" {
		l.text(key, s)
	}
}

// list is left out if it is empty.
func list[S ~string](l *line, key string, all []S) {
	for i, s := range all {
		if i == 0 {
			l.b = append(l.key(key), '[')
		} else {
			l.b = append(l.b, ',')
		}
		l.quoted(string(s))
	}
	if len(all) > 0 {
		l.b = append(l.b, ']')
	}
}

// quoted is a text of visible ASCII; any other makes the line odd.
func (l *line) quoted(s string) {
	l.b = append(l.b, '"')
	from := 0
	for i := range len(s) {
		if itself[s[i]] {
			continue
		}
		if s[i] != '"' && s[i] != '\\' {
			l.odd = true
			return
		}
		l.b = append(append(l.b, s[from:i]...), '\\')
		from = i
	}
	l.b = append(append(l.b, s[from:]...), '"')
}

// itself says which characters of a text stand in a line as they are: all that are visible ASCII, but for two.
var itself = func() (is [256]bool) {
	for c := ' '; c <= '~'; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

// appendLine appends a value as a line of JSON.
func appendLine(b []byte, v any) ([]byte, error) {
	buf := bytes.NewBuffer(b)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return b, err
	}
	return buf.Bytes(), nil
}
