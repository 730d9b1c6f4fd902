// Package operation turns a request for the Docker Engine API into a typed,
// canonical Operation: what is asked, of which object, with which hazards.
//
// It is pure: it opens nothing, asks nobody and keeps no state. Every byte it
// reads is controlled by the caller, so whatever it does not understand it
// refuses (a *Refusal) or names (Operation.Unknown, the hazard unknown-input);
// it never drops a key and never passes one unseen. Both doors judge the same
// Operation, and the gateway forwards a request rebuilt from it.
//
// Paths of the host are judged as they are written, in one spelling;
// ResolveHostPaths judges once more what they are, as somebody who can see the
// host says.
//
// It does not decide anything: access classes and hazards are facts for the
// policy. References to objects (Target, Enters) are what the caller typed;
// resolving them against the Engine is the caller's work (package decide).
package operation

import (
	"net/http"
	"net/url"
)

// Access is the class of what an operation does to the Engine. GET is not an
// access class: a GET can read a secret, open an interactive stream or write.
type Access string

// The access classes, from harmless to administrative.
const (
	Ping        Access = "ping"
	List        Access = "list"
	Inspect     Access = "inspect"
	Stream      Access = "stream"
	Content     Access = "content"
	Secret      Access = "secret"
	Interactive Access = "interactive"
	Write       Access = "write"
	Build       Access = "build"
	Admin       Access = "admin"
)

// Reads says of an access class that it neither changes anything nor reads files of a container.
func (a Access) Reads() bool {
	switch a {
	case Ping, List, Inspect, Stream:
		return true
	case Content, Secret, Interactive, Write, Build, Admin:
	}
	return false
}

// Hazard is a fact about a request that can hurt the host; Hazards lists them all
// with their meanings.
type Hazard string

// BodyState says what is known of a request's body.
type BodyState string

// The body states. Withheld and Invalid are denied for everyone but admins.
const (
	BodyNone     BodyState = "none"     // there is no body
	BodyJSON     BodyState = "json"     // parsed, canonical, in Operation.Body
	BodyOpaque   BodyState = "opaque"   // a stream that is not judged: build context, image archive, docker cp
	BodyWithheld BodyState = "withheld" // the daemon did not show it, though the operation needs one
	BodyInvalid  BodyState = "invalid"  // shown, and cannot be judged: Parse refuses it instead; for a door's own finding
)

// Carry says how a door has to carry the request and its answer.
type Carry string

// The ways to carry a request.
const (
	CarryPlain   Carry = "plain"   // ordinary request and answer; the answer may be endless (events, logs -f)
	CarryUpload  Carry = "upload"  // the request body is opaque and streams
	CarryHijack  Carry = "hijack"  // attach, exec start: 101, or 200 with a raw or multiplexed stream
	CarryUpgrade Carry = "upgrade" // attach/ws, /session, /grpc: 101 or nothing
)

// Trait is what sets an operation apart from others of its class, for whoever carries it. They
// stand in the catalogue.
type Trait uint8

// The traits.
const (
	AnswersEvents   Trait = 1 << iota // its answer is a stream of JSON documents, Docker's events
	AnswersID                         // its answer names the exec or the container that it has made
	AnswersProgress                   // its answer is a stream of progress
	AnswersVersion                    // its answer's body names API versions
	HidesBody                         // dockerd may keep its body from plugins, to guard passwords
	Waits                             // the Engine waits for something before it answers, though the operation only reads
	AnswersLate                       // the head of its answer comes at once, and tells something; the body when something has ended
)

// Operation is one request for the Engine API, understood.
// The zero value is no operation; only Parse makes a usable one.
type Operation struct {
	ID       string   // operationId of Docker's own API description, e.g. "ContainerInspect"
	Resource string   // "containers", "images", "volumes", "networks", "system", "exec", "swarm", "plugins", …
	Target   string   // the {id} or {name} of the path as typed (decoded once), "" where there is none
	Access   Access   //
	Hazards  []Hazard // sorted, no duplicates
	// HazardFields are the fields that a hazard comes from, sorted: "HostConfig.Binds",
	// "?networkmode", "{id}" of the path. One that the operation has in any case
	// (what its answer shows) has none.
	HazardFields map[Hazard][]string
	HostPath     []string       // host paths asked for, canonical; "volume:<name>" for named volumes; sorted
	Mints        []string       // principals that the request would create, "kind:*" or "*" where unknowable; sorted
	Enters       []string       // references to containers whose processes, files or namespaces it reaches; "exec:<id>" for an exec; "*" where unknowable; sorted
	Unknown      []string       // what the catalogue does not know, sorted: "/HostConfig/Foo" is a key of the body, "?foo" a parameter
	Params       map[string]any // JSON in the query (filters, buildargs …) parsed, by parameter name
	Version      string         // API version of the path, e.g. "1.41"; "" where the path has none

	Method    string      // upper case, as sent
	URI       string      // canonical request target: what the gateway forwards
	Path      string      // canonical path without the version prefix, decoded
	Query     url.Values  // canonical query
	Headers   http.Header // those that a policy may see: no credentials, no cookies, no ticket
	Body      any         // canonical JSON body: map[string]any, []any, json.Number, string, bool or nil; of /auth only the server's address
	BodyState BodyState

	// Canonical is the canonical JSON body as bytes, the gateway forwards it.
	// nil unless BodyState is BodyJSON.
	Canonical []byte

	// Typed is the operation before ResolveHostPaths wrote what its paths of the host
	// are, nil if it did not; Resolved are those that mean another path.
	Typed    *Operation
	Resolved []ResolvedPath

	// Mounted are the binds that WithLabels, and the volumes without a name that WithVolumeMounts, has written as mounts, for the labels of the volumes that they make.
	Mounted []string

	// Set are the fields that WithCeilings has given a value.
	Set []setField
	// Substituted are mounts of the Engine's socket in whose place WithSocket put the gateway's, and SubstitutedIn the
	// fields that have them.
	Substituted   []ResolvedPath
	SubstitutedIn []string

	// Replaced are the fields of which hazards and paths of the host do not count, as the container before it had them; see Replacing.
	Replaced []string

	replacement *replacement

	session map[string]string // by WithSession: headers in place of the caller's

	lost  *lost               // by Outline.Operation
	noted map[Hazard][]string // by WithHazard, with their fields: they are not to be found in the request

	Carry Carry
	// Rail, when not empty, says why only an admin may do this whatever the
	// policy allows (undocumented route, session upgrade, plugin write …).
	Rail string
	// Documented is false for the hand-written routes that Docker's API
	// descriptions do not have.
	Documented bool

	entry   *entry
	engine  *Engine
	sockets *Sockets
	given   Socket   // with Substituted
	at      []string // the field that is being judged
	element string   // the key of the free-form object whose value is being judged
}

// Has says that the operation has a trait.
func (o *Operation) Has(t Trait) bool { return o.entry != nil && o.entry.traits&t != 0 }

// Engine is what the daemon does where a request says nothing. Of the zero value
// nothing is known.
type Engine struct {
	Version      string // "28.5.2"; distributions write more behind it
	Runtime      string // "runc"
	LogDriver    string // "json-file"
	HostCgroupns bool   // containers see the host's cgroups, as on cgroup v1
	HostUsers    bool   // a user of a container has the same number on the host
	Root         string // where it keeps all that it has: "/var/lib/docker"
}

// Request is what a door has of a request, before any judgement.
type Request struct {
	Method string
	URI    string // the request target exactly as on the request line
	Proto  string // "HTTP/1.1"; "" where the door does not know (the plugin door)
	Header http.Header
	// ContentLength is the declared length, -1 if unknown (chunked), 0 if none.
	ContentLength int64
	// ReadBody returns the whole body. Parse calls it at most once, and only
	// for an operation whose body is JSON. It returns a *Refusal (413) for a body
	// over the door's limit. nil means that there is no body to read.
	ReadBody func() ([]byte, error)
	// Arrived says that ReadBody waits for nobody: all of the body is here.
	Arrived bool
	// Raw is all of it as it arrived, head and body, for who compares requests; nil where the door does not have it in one piece. It
	// is there until the door has answered. Parse does not look at it.
	Raw []byte
	// Refused is what the door has found already, of bytes that are no request: Parse
	// gives it back.
	Refused *Refusal
	// Engine is the daemon that is asked, nil if nothing is known of it: what is its
	// default anyway is no hazard.
	Engine *Engine
	// Sockets are those that give power over the Engine, nil if nobody says which.
	Sockets *Sockets
	// Rebuilt says that the daemon is sent what Parse gives, not what came in: the
	// body of an operation that takes none is then left out. A gateway sets it.
	Rebuilt bool
	// Withheld says that the door cannot see the body, though one may exist:
	// dockerd shows a plugin none over 1 MiB, for example. Parse then answers
	// BodyWithheld for an operation that takes a JSON body, and refuses a form
	// unless ContentLength is 0. A plugin sets it whenever it was shown no body.
	Withheld bool
}

// Refusal is a request that cannot be understood in exactly one way. It is
// final: no policy is asked. It holds in audit mode too.
type Refusal struct { //nolint:errname // a word of its own: what the parser says no with
	Status int    // the HTTP status that the gateway answers: 400, 403 (unknown route), 413, 431
	Code   string // short and stable, for audit and metrics, e.g. "path-not-canonical"
	Reason string // for the person who reads it
}

// Error gives the reason.
func (r *Refusal) Error() string { return r.Reason }
