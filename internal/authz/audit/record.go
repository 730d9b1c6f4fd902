// Package audit keeps one record a decision: what was asked, by whom, and what
// was answered.
//
// A record never holds a body, a header or a secret: it is built from an
// allow-list of facts, and values in the query that can carry secrets are cut
// (see SafeURI). Records are one JSON object a line; strings come from callers
// and are escaped by encoding/json, so that a line is a record whatever a name
// holds.
//
// A Log writes behind a bounded queue, a moment after the record, so that
// nobody's answer waits for the writer to wake. When the writer is slower than the
// callers, those who fill the queue wait for up to a second; a record that still finds no place is
// counted as lost, and Health says so. Writing is not a decision: a full disk
// does not stop Docker, it makes the health check fail.
package audit

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vitrine/internal/authz/grant"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
)

// Record is one decision. Its JSON form is the audit log's line, documented in
// docs/audit.md.
type Record struct {
	Time      time.Time `json:"time"`
	ID        string    `json:"id"`
	Door      string    `json:"door"`
	Listener  string    `json:"listener,omitempty"`
	Caller    Caller    `json:"caller"`
	Operation string    `json:"operation"` // "" when the request was not understood
	// What the request would do: its class, what of it can hurt, the paths of the host that it asks for.
	Access         operation.Access   `json:"access,omitempty"`
	Hazards        []operation.Hazard `json:"hazards,omitempty"`
	HostPaths      []string           `json:"host_paths,omitempty"`
	Method         string             `json:"method"`
	URI            string             `json:"uri"`
	Status         int                `json:"status,omitempty"` // 0: dockerd answers, not we (plugin door, allowed)
	Allow          bool               `json:"allow"`
	Code           string             `json:"code,omitempty"` // of a denial: the kind of reason, see docs/reasons.md
	Reasons        []string           `json:"reasons,omitempty"`
	PolicyRevision string             `json:"policy_revision,omitempty"`
	DurationUsec   int64              `json:"duration_us"` // of the decision, not of the answer

	Mode         string `json:"mode,omitempty"` // "audit": the policy would have denied it
	Differential string `json:"differential,omitempty"`
	Redacted     bool   `json:"redacted,omitempty"`
	// Changed is what was forwarded otherwise than it was asked.
	Changed []Change `json:"changed,omitempty"`
	// Event is what the record is of, if it is of no decision; see OfGrant.
	Event string       `json:"event,omitempty"`
	Grant *grant.Grant `json:"grant,omitempty"`

	// Duration is the same with full precision, for histograms.
	Duration time.Duration `json:"-"`
}

// Change is one thing that was forwarded otherwise than it was asked.
type Change struct {
	What string `json:"what"` // "host_path", "container", "id", "label", "volume", "ceiling", "filter", "hidden", "session"
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Changes are paths of the host that were forwarded as what they are, and names in whose place the ids
// of containers were; the first of them, where they are many.
func Changes(op *operation.Operation, containers operation.Pins) (list []Change) {
	for _, p := range op.Substituted[:min(len(op.Substituted), mostChanges)] {
		if p.Typed != p.Path {
			list = append(list, Change{What: "engine_socket", From: short(p.Typed, mostChangeBytes), To: short(p.Path, mostChangeBytes)})
		}
	}
	for _, bind := range op.Mounted[:min(len(op.Mounted), mostChanges)] {
		list = append(list, Change{What: "volume", From: short(bind, mostChangeBytes)})
	}
	paths := op.Resolved
	for _, p := range paths[:min(len(paths), mostChanges)] {
		list = append(list, Change{What: "host_path", From: short(op.Tell(p.Typed), mostChangeBytes), To: short(op.Tell(p.Path), mostChangeBytes)})
	}
	for _, c := range containers[:min(len(containers), mostChanges)] {
		list = append(list, Change{What: "container", From: short(c.Ref, mostChangeBytes), To: c.ID})
	}
	return list
}

const mostChanges, mostChangeBytes = 16, 512 // of each kind

// Caller is who asked.
type Caller struct {
	Kind       identity.Kind `json:"kind"`
	Principals []string      `json:"principals"`
	UID        *uint32       `json:"uid,omitempty"`
	PID        int           `json:"pid,omitempty"`
	// LoginUID and Exe are of a process of the host: who logged in, whatever it became since, and what it runs.
	LoginUID    *uint32 `json:"loginuid,omitempty"`
	Exe         string  `json:"exe,omitempty"`
	ContainerID string  `json:"container_id,omitempty"`
	Why         string  `json:"why,omitempty"` // why it is unknown
}

// callerOf gives the facts of an identity that a record keeps.
func callerOf(id *identity.Identity) Caller {
	c := Caller{Kind: id.Kind, Principals: id.Principals, UID: id.UID, PID: id.PID, Why: id.Why()}
	if c.Principals == nil {
		c.Principals = []string{}
	}
	if id.Process != nil {
		c.LoginUID, c.Exe = id.Process.LoginUID, short(id.Process.Exe, mostChangeBytes)
	}
	if id.Container != nil {
		c.ContainerID = id.Container.ID
	}
	return c
}

// Verdict is allow, deny, or would-deny for what audit mode let through.
func (r *Record) Verdict() string {
	switch {
	case r.Allow && r.Mode != "":
		return "would-deny"
	case r.Allow:
		return "allow"
	}
	return "deny"
}

// Sentence says in short what was decided: "deny container:ci ContainerCreate".
func (r *Record) Sentence() string {
	if r.Event != "" {
		return r.Event + " " + r.Grant.String()
	}
	return r.Verdict() + " " + principal.Name(r.Caller.Principals, string(r.Caller.Kind)) + " " + cmp.Or(r.Operation, "what was not understood")
}

// account is whom a record counts against in the queue.
func (c *Caller) account() string {
	switch {
	case c.ContainerID != "":
		return c.ContainerID
	case len(c.Principals) > 0:
		return c.Principals[0]
	case c.UID != nil:
		return strconv.FormatUint(uint64(*c.UID), 10)
	}
	return ""
}

// OfGrant records the beginning or the end of a right that ends: no decision, and so nothing that was denied.
func OfGrant(e *grant.Event, revision string) Record {
	r := Record{
		Time: e.At.UTC(), ID: e.Grant.ID, Caller: Caller{Principals: []string{}},
		Allow: true, PolicyRevision: revision, Event: "grant-begin", Grant: &e.Grant,
	}
	if e.Ended {
		r.Event, r.Reasons = "grant-end", []string{e.Why}
	}
	return r
}

// New fills the facts that every record has.
func New(id string, at time.Time, caller *identity.Identity, method, uri string, op *operation.Operation, d policy.Decision) Record {
	r := Record{
		Time: at.UTC(), ID: id, Door: caller.Door, Listener: caller.Listener, Caller: callerOf(caller),
		Method: method, PolicyRevision: d.Revision, Reasons: d.Reasons,
	}
	if op != nil {
		r.Operation, r.Access, r.Hazards = op.ID, op.Access, op.Hazards
		told := op.TellPaths()
		for _, p := range told[:min(len(told), mostChanges)] {
			r.HostPaths = append(r.HostPaths, short(p, mostChangeBytes))
		}
		r.URI = short(SafeURI(op), 2048)
	} else {
		r.URI = pathOnly(uri)
	}
	return r
}

// SafeURI is the canonical request target with the values of parameters that can
// carry secrets replaced by "-".
func SafeURI(op *operation.Operation) string {
	path, query, ok := strings.Cut(op.URI, "?")
	if !ok {
		return op.URI
	}
	secret := false
	for name := range op.Query {
		secret = secret || op.HidesParam(name)
	}
	if !secret {
		return op.URI
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return path
	}
	for name := range q {
		if op.HidesParam(name) {
			q.Set(name, "-")
		}
	}
	return path + "?" + q.Encode()
}

// pathOnly is what is kept of a request target that nobody understood: no
// query, and no more than 512 bytes.
func pathOnly(uri string) string {
	path, _, _ := strings.Cut(uri, "?")
	return short(path, 512)
}

// short bounds what a caller can make a record hold: records are kept, queued
// and written to a disk.
func short(s string, most int) string {
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
