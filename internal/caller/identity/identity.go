// Package identity says who is on the other end of a connection, as an Identity
// with its principals: the strings that a policy binds to roles.
//
// It believes the kernel (through attest), a verified certificate and Docker's
// inventory, and nothing that the caller says. What cannot be established is
// Unknown, which has no principals but that of the listener whose socket it could open. An identity is typed: a certificate with
// CN "root" is never uid 0, root in a container is never the host's root.
package identity

import (
	"reflect"
	"slices"

	"vitrine/internal/engine/principal"
	"vitrine/internal/kernel/procfs"
)

// Kind is the kind of a caller. The zero value is Unknown.
type Kind string

// The kinds of callers.
const (
	Unknown   Kind = "unknown"   // anything that could not be established
	Host      Kind = "host"      // a process proven to be the host's own
	Container Kind = "container" // a process in a container that Docker knows
	Peer      Kind = "peer"      // a UID is known, the process is not
	TLS       Kind = "tls"       // a verified client certificate
	Local     Kind = "local"     // dockerd showed neither ticket nor certificate
	Self      Kind = "self"      // our own calls
)

// Identity is one caller, as the policy sees it. Its JSON form is the
// "caller" of the policy's input.
type Identity struct {
	Kind        Kind           `json:"kind"`
	Principals  []string       `json:"principals"`
	UID         *uint32        `json:"uid"`
	GID         *uint32        `json:"gid"`
	Groups      []uint32       `json:"groups"`
	PID         int            `json:"pid"`
	User        string         `json:"user"`
	Door        string         `json:"door"`     // "gateway" or "plugin"
	Listener    string         `json:"listener"` // name of the gateway's listener, "" on the plugin door
	Container   *ContainerInfo `json:"container"`
	Certificate *Certificate   `json:"certificate"`

	// Process is what the host's process says of itself, nil if that is not known; for the audit record, not for policies.
	Process *Process `json:"-"`

	// Err says why the caller is Unknown; for messages and audit, not for policies.
	Err error `json:"-"`
}

// Process is a process of the host, by its /proc.
type Process struct {
	LoginUID *uint32 // who logged in; nil: nobody
	Exe      string  // the file that it runs; "" where that cannot be seen
}

// Why is the text of Err, "" for none.
func (id *Identity) Why() string {
	if id.Err == nil {
		return ""
	}
	return id.Err.Error()
}

// Same reports whether all that is known of two callers is the same. One that is unknown for some error is the same as itself alone.
func (id *Identity) Same(other *Identity) bool {
	a, b := id, other
	return a == b || a.Kind == b.Kind && slices.Equal(a.Principals, b.Principals) && equal(a.UID, b.UID) && equal(a.GID, b.GID) && slices.Equal(a.Groups, b.Groups) &&
		a.PID == b.PID && a.User == b.User && a.Door == b.Door && a.Listener == b.Listener && a.Process.same(b.Process) && a.Err == nil && b.Err == nil &&
		(a.Container == b.Container || reflect.DeepEqual(a.Container, b.Container)) && (a.Certificate == b.Certificate || reflect.DeepEqual(a.Certificate, b.Certificate))
}

func (p *Process) same(other *Process) bool {
	return p == other || p != nil && other != nil && equal(p.LoginUID, other.LoginUID) && p.Exe == other.Exe
}

func equal(a, b *uint32) bool { return a == b || a != nil && b != nil && *a == *b }

// Exhausted says that the caller is Unknown because no descriptor was left to look at it: it
// may be known a moment later, on another connection.
func (id *Identity) Exhausted() bool { return procfs.Exhausted(id.Err) }

// ContainerInfo is what a policy sees of the caller's container.
type ContainerInfo struct {
	ID      string            `json:"id"`
	Name    string            `json:"name"`
	Image   string            `json:"image"`    // as typed at create
	ImageID string            `json:"image_id"` // what runs
	Labels  map[string]string `json:"labels"`   // all of the container's, its image's too
	// Mounts are the paths of the host that it has mounted and may write to, canonical, sorted: as they were asked
	// for when it was made, by whoever made it, with no link followed.
	Mounts []string `json:"mounts"`
}

// Certificate is what a policy sees of a client certificate.
type Certificate struct {
	CommonName   string   `json:"cn"`
	Organization []string `json:"o"`
	OrgUnit      []string `json:"ou"`
	SANs         []string `json:"sans"` // DNS names and URIs
	SHA256       string   `json:"sha256"`
	Serial       string   `json:"serial"`
}

// String names the caller for messages; see [principal.Name].
func (id *Identity) String() string {
	if id == nil {
		id = &Identity{}
	}
	return principal.Name(id.Principals, string(id.Kind))
}
