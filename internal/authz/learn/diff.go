// Package learn asks a record of shapes what policies would have made of it: which requests two of them answer
// otherwise (Compare), the smallest role under which a caller could have done what it did (Learn), and what a policy
// grants that nobody used (Unused).
//
// It never reasons about rules. Whatever it says of a policy it has decided, shape by shape, through
// decide.Replay, which is the one place that decides. Where the record lacks what a policy would have
// asked for, the answer is said to be uncertain.
//
// The record's bytes are its writer's, and callers choose what is in it: what is learnt from it is a
// proposal for a person to read, and nothing here changes a policy in force.
package learn

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/record"
	"vitrine/internal/printable"
)

// decider decides, and says what of its input it reads; a *policy.Engine.
type decider interface {
	decide.Policy
	ReadsObjects() bool
	Reads(parts []string) bool
}

// Difference is what two policies make otherwise of the requests of one caller.
type Difference struct {
	// Change is "allow-deny", "deny-allow", or "answer": allowed by both, and other things are shown or labelled.
	Change    string    `json:"change"`
	Caller    string    `json:"caller"`
	Operation string    `json:"operation"`
	Requests  uint64    `json:"requests"`
	Shapes    int       `json:"shapes,omitempty"`
	Last      time.Time `json:"last"`
	Example   string    `json:"example"` // METHOD URI
	Sample    string    `json:"sample,omitempty"`
	Reasons   []string  `json:"reasons,omitempty"`   // of the example's denial; of an answer what differs
	Uncertain []string  `json:"uncertain,omitempty"` // why it may be otherwise
}

// Report is what two policies make of a record.
type Report struct {
	Shapes      int          `json:"shapes"`
	Requests    uint64       `json:"requests"`
	Differences []Difference `json:"differences"`
	// Uncertain are shapes that differ in nothing as far as can be told from the record.
	Uncertain int      `json:"uncertain"`
	Failed    []string `json:"failed,omitempty"` // shapes that cannot be decided, with why; 8 at most
}

// Compare decides each line under two policies.
func Compare(ctx context.Context, was, is decider, lines []*record.Line) *Report {
	r := &Report{Differences: []Difference{}}
	groups := map[[3]string]*Difference{}
	for _, l := range lines {
		r.Shapes++
		r.Requests += l.Count
		before, errBefore := decide.Replay(ctx, was, &l.Shape)
		after, errAfter := decide.Replay(ctx, is, &l.Shape)
		if err := cmp.Or(errBefore, errAfter); err != nil {
			if len(r.Failed) < 8 {
				r.Failed = append(r.Failed, err.Error())
			}
			continue
		}
		uncertain := unsure(l, was, is, &before, &after)
		change, reasons := differ(&before, &after)
		if change == "" {
			if len(uncertain) > 0 {
				r.Uncertain++
			}
			continue
		}
		key := [3]string{change, l.Caller.String(), l.Operation.ID}
		d := groups[key]
		if d == nil {
			d = &Difference{Change: change, Caller: key[1], Operation: key[2]}
			groups[key] = d
		}
		d.add(l, reasons, uncertain)
	}
	for _, key := range slices.SortedFunc(maps.Keys(groups), func(a, b [3]string) int { return slices.Compare(a[:], b[:]) }) {
		r.Differences = append(r.Differences, *groups[key])
	}
	return r
}

func (d *Difference) add(l *record.Line, reasons, uncertain []string) {
	d.Requests += l.Count
	d.Shapes++
	if d.Example == "" || l.Last.After(d.Last) {
		d.Last, d.Example, d.Sample, d.Reasons = l.Last, l.Operation.Method+" "+l.Operation.URI, l.Sample, reasons
	}
	for _, u := range uncertain {
		if !slices.Contains(d.Uncertain, u) && len(d.Uncertain) < 8 {
			d.Uncertain = append(d.Uncertain, u)
		}
	}
}

// unsure says why a verdict may be another one than the record lets see.
func unsure(l *record.Line, was, is decider, before, after *decide.Replayed) (why []string) {
	if dropped := slices.DeleteFunc(slices.Clone(l.Operation.Dropped), func(part string) bool {
		return !was.Reads([]string{part}) && !is.Reads([]string{part})
	}); len(dropped) > 0 {
		why = append(why, "the policy reads what the record leaves out: "+strings.Join(dropped, ", "))
	}
	for _, missing := range slices.Concat(before.Missing, after.Missing) {
		if text := "the record does not say " + missing; !slices.Contains(why, text) {
			why = append(why, text)
		}
	}
	return why
}

func allowed(v *record.Verdict) bool { return v.Answer == record.Allow || v.Answer == record.Hidden }

// differ says how a verdict differs from another one, "" if it does not. Of denials the words do not count.
func differ(was, is *decide.Replayed) (change string, reasons []string) {
	switch before, after := allowed(&was.Verdict), allowed(&is.Verdict); {
	case before && !after:
		return "allow-deny", is.Reasons
	case !before && after:
		return "deny-allow", was.Reasons
	case !before:
		return "", nil
	}
	for _, part := range []struct {
		what    string
		was, is any
	}{
		{"what is there for it", was.Answer, is.Answer},
		{"what is blanked", was.Redact, is.Redact},
		{"names of environment variables that are shown", was.KeepEnv, is.KeepEnv},
		{"the labels of what it sees", was.Where, is.Where},
		{"what is shared with it", was.Shared, is.Shared},
		{"which names it may give images", was.ImageNames, is.ImageNames},
		{"the labels on what it makes", was.Stamp, is.Stamp},
		{"how much what it makes may have", was.Ceilings, is.Ceilings},
		{"which containers it may change and make anew", was.Recreate, is.Recreate},
		{"whose socket it mounts", was.Substitute, is.Substitute},
	} {
		if !same(part.was, part.is) {
			reasons = append(reasons, part.what)
		}
	}
	if len(reasons) > 0 {
		change = "answer"
	}
	return change, reasons
}

// same takes nothing and none for the same.
func same(a, b any) bool {
	empty := func(v any) bool {
		r := reflect.ValueOf(v)
		return (r.Kind() == reflect.Slice || r.Kind() == reflect.Map) && r.Len() == 0
	}
	return empty(a) && empty(b) || reflect.DeepEqual(a, b)
}

// Write tells a person. now is the time that "yesterday" is said from.
func (r *Report) Write(w io.Writer, now time.Time) error {
	said := map[string]string{"allow-deny": "would deny", "deny-allow": "would allow", "answer": "would answer otherwise"}
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(printable.Line(fmt.Sprintf(format, args...)) + "\n") }
	for _, d := range r.Differences {
		line("%s %s of %s (%s; last: %s), e.g. %s", said[d.Change], requests(d.Requests), d.Caller, d.Operation, ago(d.Last, now), d.Example)
		if len(d.Reasons) > 0 {
			line("    %s", strings.Join(d.Reasons, "; "))
		}
		for _, u := range d.Uncertain {
			line("    uncertain: %s", u)
		}
	}
	if len(r.Differences) == 0 {
		line("no difference in %s", requests(r.Requests))
	}
	if r.Uncertain > 0 {
		line("of %d shapes it cannot be told for sure: the record leaves out something that one of the policies asks for", r.Uncertain)
	}
	for _, f := range r.Failed {
		line("cannot be decided: %s", f)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func requests(n uint64) string {
	if n == 1 {
		return "1 request"
	}
	return fmt.Sprintf("%d requests", n)
}

// ago is a time as people say it, in UTC.
func ago(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	day := func(t time.Time) time.Time { return t.Truncate(24 * time.Hour) }
	switch {
	case day(t).Equal(day(now)):
		return "today " + t.Format("15:04")
	case day(t).Equal(day(now).Add(-24 * time.Hour)):
		return "yesterday " + t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}
