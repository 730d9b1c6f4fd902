// Package principal has the type of a principal, the kinds that there are in one
// table, and their limits.
//
// A principal is one name by which a caller is known, KIND:VALUE, and what a policy
// binds to roles: container:web, tls:ci, or local, which has no value. As text it is
// taken as it is written; KIND:* is what a request may create without saying which.
//
// The package says what kinds mean, not who has which: package identity does, and
// nothing else gives a principal to a caller. It stands on the floor of the Engine,
// because package operation must say which principals a request would create.
package principal

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"vitrine/internal/spelling"
)

// Kind is the kind of a principal: what stands before its colon.
type Kind string

// The kinds.
const (
	Container    Kind = "container"     // its name
	ContainerGID Kind = "container-gid" // a group of the process, in its container
	ContainerID  Kind = "container-id"
	ContainerUID Kind = "container-uid" // the process's user, in its container
	GID          Kind = "gid"           // a group of a process of the host
	Image        Kind = "image"         // the repository of a container's image
	ImageID      Kind = "image-id"
	Label        Kind = "label"    // KEY=VALUE of a container's own
	Listener     Kind = "listener" // whoever can open the socket of one of the gateway's listeners
	Local        Kind = "local"    // whoever reaches dockerd's own socket; it has no value
	Owner        Kind = "owner"    // whose a container is, as the gateway's label says: another principal, or several joined by +
	PeerGID      Kind = "peer-gid"
	PeerUID      Kind = "peer-uid" // the user of a process that cannot be seen
	TLS          Kind = "tls"      // a certificate's only common name
	TLSO         Kind = "tls-o"
	TLSSAN       Kind = "tls-san"
	TLSSHA256    Kind = "tls-sha256"
	UID          Kind = "uid"  // the user of a process of the host
	Unix         Kind = "unix" // that user's name
)

// Facts are what is to be known of a kind.
type Facts struct {
	Kind    Kind
	Of      string // the kind of caller that has it, an identity.Kind
	Example string
	// Numeric: the value is a number.
	Numeric bool
	// Mintable: Docker can give it to a process, so that whoever may create containers can make, or
	// get into, somebody who has it.
	Mintable bool
	// Beside: it comes only beside a container's other principals, which whoever reaches it then reaches too.
	Beside bool
	// ForAdmin: nobody can come by it through Docker, nor by a number that somebody else had before.
	ForAdmin bool
}

// kinds is the table, sorted; Local stands last, as it has no value.
var kinds = []Facts{
	{Kind: Container, Of: "container", Example: "container:web", Mintable: true},
	{Kind: ContainerGID, Of: "container", Example: "container-gid:1000", Numeric: true, Mintable: true, Beside: true},
	{Kind: ContainerID, Of: "container", Example: "container-id:<64 hex digits>", Mintable: true},
	{Kind: ContainerUID, Of: "container", Example: "container-uid:1000", Numeric: true, Mintable: true, Beside: true},
	{Kind: GID, Of: "host", Example: "gid:1000", Numeric: true},
	{Kind: Image, Of: "container", Example: "image:vitrine/monitor", Mintable: true},
	{Kind: ImageID, Of: "container", Example: "image-id:sha256:<64 hex digits>", Mintable: true, Beside: true},
	{Kind: Label, Of: "container", Example: "label:team=sre", Mintable: true},
	{Kind: Listener, Of: "peer", Example: "listener:ci", Mintable: true, Beside: true},
	{Kind: Owner, Of: "container", Example: "owner:container:runner", Mintable: true},
	{Kind: PeerGID, Of: "peer", Example: "peer-gid:1000", Numeric: true, Mintable: true},
	{Kind: PeerUID, Of: "peer", Example: "peer-uid:1000", Numeric: true, Mintable: true},
	{Kind: TLS, Of: "tls", Example: "tls:ci", ForAdmin: true},
	{Kind: TLSO, Of: "tls", Example: "tls-o:Example", ForAdmin: true},
	{Kind: TLSSAN, Of: "tls", Example: "tls-san:ci.example.org", ForAdmin: true},
	{Kind: TLSSHA256, Of: "tls", Example: "tls-sha256:<64 hex digits>", ForAdmin: true},
	{Kind: UID, Of: "host", Example: "uid:1000", Numeric: true},
	{Kind: Unix, Of: "host", Example: "unix:root", ForAdmin: true},
	{Kind: Local, Of: "local", Example: "local", ForAdmin: true},
}

// Kinds are the facts of all kinds, sorted by kind, Local last.
func Kinds() []Facts { return slices.Clone(kinds) }

// Facts are the kind's own; of a kind that there is not, they are zero.
func (k Kind) Facts() Facts {
	if i := slices.IndexFunc(kinds, func(f Facts) bool { return f.Kind == k }); i >= 0 {
		return kinds[i]
	}
	return Facts{}
}

// With is the principal of this kind with a value, as text.
func (k Kind) With(value string) string { return Principal{k, value}.String() }

// Any stands for every principal of the kind: the request does not say which it makes.
func (k Kind) Any() string { return k.With("*") }

// OwnerLabel is the label by which an object is somebody's own. The gateway alone gives it, so that a container's
// says who made it.
const OwnerLabel = "vitrine.owner"

// OfLabel is what a container is named by for a label of its own; that of its owner is no label like others.
func OfLabel(key, value string) Principal {
	if key == OwnerLabel {
		return Principal{Owner, value}
	}
	return Principal{Label, key + "=" + value}
}

// Name is what people are told a caller by: its first principal, as package identity puts the one that says most first, or
// what kind of caller it is, where it has none.
func Name(principals []string, kind string) string {
	switch {
	case len(principals) > 0:
		return principals[0]
	case kind != "":
		return kind
	}
	return "unknown"
}

// Principal is one of a kind. Of text that is no principal, the kind is "" and the value all of it.
type Principal struct {
	Kind  Kind
	Value string // "" of Local
}

// Split takes a principal apart, as it is written: its String is s again.
func Split(s string) Principal {
	kind, value, found := strings.Cut(s, ":")
	if kind == "" || found == (kind == string(Local)) { // a value of what has none, or none of what has one
		return Principal{"", s}
	}
	return Principal{Kind(kind), value}
}

// String is the principal as a policy writes it.
func (p Principal) String() string {
	if p.Kind == "" {
		return p.Value
	}
	if p.Kind == Local {
		return string(Local)
	}
	return string(p.Kind) + ":" + p.Value
}

var digits = regexp.MustCompile(`^(0|[1-9][0-9]{0,9})$`)

// Parse reads a principal as somebody binds it to a role. The error says what is wrong with
// one that nobody can have.
func Parse(s string) (Principal, error) {
	kind, value, _ := strings.Cut(s, ":")
	p := Principal{Kind(kind), value}
	facts := p.Kind.Facts()
	switch {
	case s == string(Local):
		return p, nil
	case p.Kind == Local || facts.Kind == "":
		all := make([]string, len(kinds))
		for i, f := range kinds {
			all[i] = string(f.Kind)
		}
		return p, fmt.Errorf("%q: there is no kind of principal %q%s (there are %s)", s, kind, spelling.Hint(kind, all), strings.Join(all, ", "))
	case value == "":
		return p, fmt.Errorf("%q names nobody: write e.g. %s", s, facts.Example)
	case strings.Contains(value, "*"):
		return p, fmt.Errorf("%q: a principal is taken as it is written, * stands for nothing", s)
	case facts.Numeric && !digits.MatchString(value):
		return p, fmt.Errorf("%q: %s takes a number, e.g. %s", s, kind, facts.Example)
	case p.Kind == Label && !strings.Contains(value, "="):
		return p, fmt.Errorf("%q has no value: write e.g. %s", s, facts.Example)
	case p.Kind == Label && strings.HasPrefix(value, OwnerLabel+"="):
		return p, fmt.Errorf("%q: that label says whose a container is: write %s", s, Owner.With(strings.TrimPrefix(value, OwnerLabel+"=")))
	case p.Kind == Owner && (Split(value).Kind.Facts().Kind == "" || Split(value).Kind == Owner):
		return p, fmt.Errorf("%q: whose it is is said by a principal, e.g. %s", s, facts.Example)
	case p.Kind == Container && strings.HasPrefix(value, "/"):
		return p, fmt.Errorf("%q: names of containers have no slash here, write %s", s, Container.With(strings.TrimPrefix(value, "/")))
	}
	return p, nil
}

// Nameable says that a text can be the value of a principal: not empty, not endless, and every character
// can be seen and told apart in a log. One with control or formatting characters (line ends,
// bidirectional overrides) or broken UTF-8 gives no principal at all; escaping it could make it another one's.
func Nameable(s string) bool {
	if s == "" || len(s) > 4096 || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// TooManyLabels says that so many labels, with so many bytes of keys and values, are more than a container
// is named by: each is looked at in every decision and written into every audit record. Such a container
// has no principals of its labels, and who creates it, or gets into it, may get any: label:*.
func TooManyLabels(labels, bytes int) bool { return labels > 1000 || bytes > 64<<10 }
