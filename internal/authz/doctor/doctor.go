// Package doctor tells whether a host is really protected: by what was seen of it, not by what is configured.
//
// It has three parts. [Gather] asks the kernel, dockerd and authz-plugin, read-only, and notes what they say as [Facts].
// Checks are a table: each is a pure function from the facts to what it found, so that a test can make a host weak in
// one way and hold the doctor to finding that and nothing else. [Examine] goes through the table.
//
// What could not be told is a finding of its own, with its cause: silence means that something was looked at.
//
// It will not change anything, and it is no scanner of images or of the kernel. The caller must be root of the host, in
// its namespaces; elsewhere most of it could not be told.
package doctor

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Severity is how bad a finding is.
type Severity string

// Severities: a high one is a way around the policy that is open now.
const (
	High   Severity = "high"
	Medium Severity = "medium" // a way around it for somebody who is trusted with something, or one more step
	Low    Severity = "low"    // to be known
)

var severities = []Severity{High, Medium, Low}

// Finding is one thing that is wrong with a host, or that could not be told.
type Finding struct {
	Check    string   `json:"check"` // stable; docs/doctor.md has a row for each
	Severity Severity `json:"severity"`
	Found    string   `json:"found"`         // what was seen, with names
	Means    string   `json:"means"`         // what it is good for to whom
	Do       string   `json:"do"`            // what mends it
	CIS      string   `json:"cis,omitempty"` // item of the CIS Docker Benchmark 1.6
	// Untold says that nothing was seen: why not stands in Found.
	Untold bool `json:"untold,omitempty"`
}

// check is one row of the table.
type check struct {
	name, means, do, cis string
	look                 func(f *Facts) []seen
}

// seen is what a check's function found; the rest of a finding is the table's.
type seen struct {
	severity Severity
	found    string
	do       string // instead of the table's, if there is better advice
	untold   bool
}

func found(s Severity, format string, args ...any) seen {
	return seen{severity: s, found: fmt.Sprintf(format, args...)}
}

// untold is for what nobody could be asked about. It is never nothing: unknown means no.
func untold(s Severity, what string, err error) []seen {
	return []seen{{severity: s, found: fmt.Sprintf("%s cannot be told: %v", what, err), untold: true}}
}

// Examine goes through all checks. The worst comes first.
func Examine(f *Facts) []Finding {
	out := []Finding{} // "[]" in JSON
	for _, c := range checks {
		for _, s := range c.look(f) {
			out = append(out, Finding{
				Check: c.name, Severity: s.severity, Found: s.found, Means: c.means, Do: cmp.Or(s.do, c.do), CIS: c.cis, Untold: s.untold,
			})
		}
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		return slices.Index(severities, a.Severity) - slices.Index(severities, b.Severity)
	})
	return out
}

// Worst says whether any finding is high.
func Worst(findings []Finding) (high bool) {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == High })
}

// Write writes findings for a person.
func Write(w io.Writer, findings []Finding) error {
	var b strings.Builder
	count := map[Severity]int{}
	for _, f := range findings {
		count[f.Severity]++
		cis := ""
		if f.CIS != "" {
			cis = " (CIS " + f.CIS + ")"
		}
		fmt.Fprintf(&b, "%-6s %s%s\n       %s\n       means: %s\n       do:    %s\n", f.Severity, f.Check, cis, f.Found, f.Means, f.Do)
	}
	fmt.Fprintf(&b, "%d checks: %d high, %d medium, %d low\n", len(checks), count[High], count[Medium], count[Low])
	_, err := io.WriteString(w, b.String())
	return err
}
