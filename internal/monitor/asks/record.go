package asks

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"vitrine/internal/engine/principal"
)

// record is what is read of a line of /decisions; docs/audit.md has all of it.
type record struct {
	Time   time.Time `json:"time"`
	ID     string    `json:"id"`
	Caller struct {
		Kind       string   `json:"kind"`
		Principals []string `json:"principals"`
		Why        string   `json:"why"`
	} `json:"caller"`
	Operation string   `json:"operation"`
	Access    string   `json:"access"`
	Method    string   `json:"method"`
	URI       string   `json:"uri"`
	Allow     bool     `json:"allow"`
	Reasons   []string `json:"reasons"`
	Mode      string   `json:"mode"`
	Code      string   `json:"code"`
}

func (rec *record) verdict() Verdict {
	switch {
	case rec.Allow && rec.Mode != "":
		return WouldDeny
	case rec.Allow:
		return Allowed
	}
	return Denied
}

func nameOf(principals []string, kind string) string { return cut(principal.Name(principals, kind)) }

// take counts a decision, unless it has been told before; it reports whether it is news.
func (r *Reader) take(rec *record) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := rec.ID + rec.Time.Format(time.RFC3339Nano)
	if r.seen[key] {
		return false
	}
	delete(r.seen, r.order[r.next])
	r.seen[key], r.order[r.next] = true, key
	r.next = (r.next + 1) % seenMost
	if r.since.IsZero() || rec.Time.Before(r.since) {
		r.since = rec.Time
	}

	name, verdict := nameOf(rec.Caller.Principals, rec.Caller.Kind), rec.verdict()
	r.hour.count(rec.Time, verdict)
	c, ok := r.callers[name]
	if !ok {
		r.makeRoom()
		c = &caller{kind: rec.Caller.Kind, cells: map[string]*cell{}}
		r.callers[name] = c
	}
	c.principals = c.principals[:0:0]
	for _, p := range rec.Caller.Principals[:min(namesMost, len(rec.Caller.Principals))] {
		c.principals = append(c.principals, cut(p))
	}
	if rec.Time.After(c.last) {
		c.last = rec.Time
	}
	class := notUnderstood
	if rec.Operation != "" {
		class = cmp.Or(rec.Access, notUnderstood)
	}
	one := c.cells[class]
	if one == nil {
		one = &cell{operations: map[string]*Operation{}, last: map[Verdict]time.Time{}, count: map[Verdict]int{}}
		c.cells[class] = one
	}
	one.take(rec, name, verdict)
	return true
}

// makeRoom drops who has not asked for longest, if there are too many.
func (r *Reader) makeRoom() {
	if len(r.callers) < callersMost {
		return
	}
	oldest := ""
	for name, c := range r.callers {
		if oldest == "" || c.last.Before(r.callers[oldest].last) {
			oldest = name
		}
	}
	delete(r.callers, oldest)
	r.leftOut++
}

func (c *cell) take(rec *record, name string, verdict Verdict) {
	c.count[verdict]++
	if rec.Time.After(c.last[verdict]) {
		c.last[verdict] = rec.Time
	}
	op := c.operations[rec.Operation]
	if op == nil {
		op = &Operation{ID: rec.Operation}
		c.operations[rec.Operation] = op
	}
	switch verdict {
	case Allowed:
		op.Allowed++
	case WouldDeny:
		op.WouldDeny++
	case Denied:
		op.Denied++
	}
	req := Request{
		Time: rec.Time, ID: rec.ID, Caller: name, Operation: rec.Operation, Method: rec.Method, URI: cut(rec.URI), Verdict: verdict,
		Reasons: []string{}, Code: rec.Code,
	}
	for _, text := range append(slices.Clone(rec.Reasons), rec.Caller.Why)[:min(4, 1+len(rec.Reasons))] {
		if text == "" {
			continue
		}
		req.Reasons = append(req.Reasons, cut(text))
		if verdict != Allowed {
			c.reason(cut(text), rec.Time)
		}
	}
	c.keep(req)
}

// keep keeps a request, in place of the oldest that was answered alike, if there is no room: a caller
// who is allowed much does not hide what he was denied.
func (c *cell) keep(req Request) {
	if len(c.requests) == requestsMost {
		drop, alike := 0, 0
		for i, old := range slices.Backward(c.requests) {
			if (old.Verdict == Allowed) == (req.Verdict == Allowed) {
				drop, alike = i, alike+1
			}
		}
		if alike < requestsMost/2 {
			drop = slices.IndexFunc(c.requests, func(q Request) bool { return (q.Verdict == Allowed) != (req.Verdict == Allowed) })
		}
		c.requests = slices.Delete(c.requests, drop, drop+1)
	}
	c.requests = append(c.requests, req)
}

func (c *cell) reason(text string, at time.Time) {
	i := slices.IndexFunc(c.reasons, func(r Reason) bool { return r.Text == text })
	if i < 0 {
		if i = len(c.reasons); i == reasonsMost {
			for j := range c.reasons {
				if i == reasonsMost || c.reasons[j].Last.Before(c.reasons[i].Last) {
					i = j
				}
			}
			c.reasons[i] = Reason{Text: text}
		} else {
			c.reasons = append(c.reasons, Reason{Text: text})
		}
	}
	c.reasons[i].Count++
	c.reasons[i].Last = at
}

// cut bounds a text.
func cut(s string) string {
	if len(s) <= textMost {
		return s
	}
	return strings.ToValidUTF8(s[:textMost], "") + "…"
}

// names says whether a request's target is, or makes, a container.
func names(req *Request, id, name string) bool {
	path, query, _ := strings.Cut(req.URI, "?")
	parts := strings.Split(path, "/")
	for i, part := range parts[:len(parts)-1] {
		if part != "containers" {
			continue
		}
		ref, err := url.PathUnescape(parts[i+1])
		if err != nil {
			return false
		}
		if ref == "create" {
			q, err := url.ParseQuery(query)
			return err == nil && name != "" && strings.TrimPrefix(q.Get("name"), "/") == name
		}
		return ref == name || len(ref) >= 12 && strings.HasPrefix(id, ref)
	}
	return false
}

// hour counts decisions by minute.
type hour struct {
	minutes [60]struct {
		at    int64 // minutes since 1970
		count [3]int
	}
}

func (h *hour) count(at time.Time, v Verdict) {
	minute := at.Unix() / 60
	if minute < 0 {
		return
	}
	m := &h.minutes[minute%60]
	switch {
	case m.at > minute:
		return // older than an hour
	case m.at < minute:
		m.at, m.count = minute, [3]int{}
	}
	m.count[rank(v)]++
}

func (h *hour) counts(now time.Time) (allowed, would, denied int) {
	minute := now.Unix() / 60
	for i := range h.minutes {
		if m := &h.minutes[i]; minute-m.at < 60 {
			allowed, would, denied = allowed+m.count[0], would+m.count[1], denied+m.count[2]
		}
	}
	return allowed, would, denied
}
