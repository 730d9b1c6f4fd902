package record

import (
	"encoding/binary"
	"encoding/json"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"vitrine/internal/authz/object"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// Shape is what one decision was made of, and what it was.
type Shape struct {
	Caller    *identity.Identity `json:"caller"`           // its pid is 0
	Engine    *operation.Engine  `json:"engine,omitempty"` // what was known of it
	Operation *operation.Outline `json:"operation"`
	World     World              `json:"world"`
	Verdict   Verdict            `json:"verdict"`
}

// World is what was found out of the Engine and the host for a decision. What was not asked for
// is not in it.
type World struct {
	Containers []Container `json:"containers,omitempty"` // those that it enters or changes
	// Joined are the principals of containers that entered ones are joined to.
	Joined   []string        `json:"joined,omitempty"`
	Networks *Networks       `json:"networks,omitempty"` // nil: none is the host's
	Image    *Image          `json:"image,omitempty"`    // nil: that of a new container asks for nothing beyond it
	Paths    []Path          `json:"paths,omitempty"`    // of the host, each looked up
	Objects  []object.Object `json:"objects,omitempty"`
	// Named says that Objects are what the request names: they were asked for.
	Named bool `json:"named,omitempty"`
	// Starts are the networks that containers join when they start, if somebody asked.
	Starts []Start `json:"starts,omitempty"`
	// Socket is the gateway's that could stand in place of the Engine's, if the request mounts that; Engines are the Engine's.
	Socket  *operation.Socket `json:"socket,omitempty"`
	Engines []string          `json:"engines,omitempty"`
	// Old is the container in whose place the request made one.
	Old *Old `json:"old,omitempty"`
	// Own is the id of the container that Vitrine runs in, "" for none; nil if nobody asked.
	Own     *string `json:"own,omitempty"`
	OwnExec bool    `json:"own_exec,omitempty"` // the exec is the caller's own
}

// Container is a reference to one, with its principals.
type Container struct {
	Ref        string   `json:"ref"`
	Principals []string `json:"principals,omitempty"`
	Why        string   `json:"why,omitempty"` // they cannot be told
}

// Start is a container with the networks that it joins when it starts.
type Start struct {
	ID       string          `json:"id"`
	Networks []object.Object `json:"networks,omitempty"`
	Why      string          `json:"why,omitempty"` // they cannot be told
}

// Old is a container in whose place another one was made.
type Old struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"` // that it was given
	Fields []string          `json:"fields,omitempty"` // of the request, which the old one had in the same words
	Made   string            `json:"made,omitempty"`   // the id of what was made, where the request is about that
}

// Networks are the fields of a request that name the host's network.
type Networks struct {
	Fields []string `json:"fields,omitempty"`
	Why    string   `json:"why,omitempty"` // it cannot be told
}

// Image is what that of a new container has the Engine do beyond what a container may.
type Image struct {
	Burdens []string `json:"burdens,omitempty"` // fields of its configuration
	Why     string   `json:"why,omitempty"`     // it cannot be told
}

// Path is a path of the host, and what it is there.
type Path struct {
	From   string `json:"from"`
	To     string `json:"to,omitempty"`
	Why    string `json:"why,omitempty"` // it cannot be told
	Unseen bool   `json:"unseen,omitempty"`
}

// Answer is what came of a request.
type Answer string

// The answers.
const (
	Allow     Answer = "allow"
	Deny      Answer = "deny"
	WouldDeny Answer = "would-deny" // denied by the policy, and let through by audit mode
	Hidden    Answer = "hidden"     // it names what is not there for its caller: the Engine's 404
)

// Verdict is a decision, as its door carried it out.
type Verdict struct {
	Answer     Answer              `json:"answer"`
	Code       string              `json:"code,omitempty"` // of a denial
	Admin      bool                `json:"admin,omitempty"`
	Redact     []string            `json:"redact,omitempty"`
	KeepEnv    []string            `json:"keep_env,omitempty"`
	Where      map[string]string   `json:"where,omitempty"`
	Shared     map[string][]string `json:"shared,omitempty"`
	ImageNames []string            `json:"image_names,omitempty"`
	Stamp      map[string]string   `json:"stamp,omitempty"`
	Ceilings   *operation.Ceilings `json:"ceilings,omitempty"`
	Substitute bool                `json:"substitute,omitempty"`
	Recreate   []map[string]string `json:"recreate,omitempty"`
}

// Seen is one decision, as decide saw it. Nothing of it is changed or kept.
type Seen struct {
	Time     time.Time
	ID       string // of the audit record
	Caller   *identity.Identity
	Asked    *operation.Operation // as it was parsed
	Engine   *operation.Engine
	World    World
	Revision string // of the policy
	Verdict  Verdict
}

// shape is the decision without secrets.
func (s *Seen) shape() *Shape {
	caller := *s.Caller
	caller.PID = 0
	op := s.Asked.Outline()
	op.Dropped = append(op.Dropped, "caller.pid")
	slices.Sort(op.Dropped)
	world := s.World
	hidden := s.Asked.Concealed()
	world.Paths = slices.DeleteFunc(slices.Clone(world.Paths), func(p Path) bool { return hidden[p.From] })
	if s.Asked.Resource == "exec" { // the id of one exec says nothing
		world.Containers = slices.Clone(world.Containers)
		for i := range world.Containers {
			if len(op.Enters) == 1 && slices.Contains(s.Asked.Enters, world.Containers[i].Ref) {
				world.Containers[i].Ref = op.Enters[0]
			}
		}
		world.Objects = slices.Clone(world.Objects)
		for i := range world.Objects {
			if o := &world.Objects[i]; o.Kind == operation.KindExec {
				o.Ref, o.ID = "any", "any"
			}
		}
	}
	return &Shape{Caller: &caller, Engine: s.Engine, Operation: op, World: world, Verdict: s.Verdict}
}

// keys are the buffers in which a hash is made.
var keys = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// maxKey bounds what such a buffer keeps.
const maxKey = 64 << 10

// hash is the same for the same decision on the same request. Two may have one hash: what is read
// of it is a count.
func (s *Seen) hash(seed maphash.Seed) uint64 {
	buf := keys.Get().(*[]byte)
	b := key((*buf)[:0])
	b.text(string(s.Caller.Kind), s.Caller.Door, s.Caller.Listener, s.Caller.User)
	b.list(s.Caller.Principals)
	b.text(s.Asked.Method, s.Asked.URI, string(s.Asked.BodyState))
	b = binary.LittleEndian.AppendUint64(b, maphash.Bytes(seed, s.Asked.Canonical)) // a body may be long
	b.text(s.Revision, string(s.Verdict.Answer), s.Verdict.Code)
	if s.Engine != nil {
		b.text(s.Engine.Version)
	}
	s.World.addTo(&b)
	hash := maphash.Bytes(seed, b)
	if cap(b) <= maxKey {
		*buf = b
		keys.Put(buf)
	}
	return hash
}

// key is what a hash is made of: texts, each ended.
type key []byte

func (b *key) text(parts ...string) { b.list(parts) }

func (b *key) list(parts []string) {
	for _, p := range parts {
		*b = append(append(*b, p...), 0)
	}
}

func (w *World) addTo(b *key) {
	for _, c := range w.Containers {
		b.text(c.Ref, c.Why)
		b.list(c.Principals)
	}
	b.list(w.Joined)
	if w.Networks != nil {
		b.text(w.Networks.Why)
		b.list(w.Networks.Fields)
	}
	if w.Image != nil {
		b.text(w.Image.Why)
		b.list(w.Image.Burdens)
	}
	for _, p := range w.Paths {
		b.text(p.From, p.To, p.Why)
	}
	for _, o := range w.Objects {
		b.text(o.Ref, o.ID)
	}
	for _, s := range w.Starts {
		b.text(s.ID, s.Why)
		for _, n := range s.Networks {
			b.text(n.Ref, n.ID)
		}
	}
	if w.Socket != nil {
		b.text(w.Socket.Path)
	}
	if w.Old != nil {
		b.text(w.Old.Name, w.Old.Made)
		b.list(w.Old.Fields)
	}
	if w.Own != nil {
		b.text(*w.Own)
	}
	if w.OwnExec {
		b.text("own")
	}
}

// Line is a shape with how often it was seen: one line of a record.
type Line struct {
	Count    uint64    `json:"count"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Sample   string    `json:"sample,omitempty"` // id of the latest audit record
	Revision string    `json:"policy_revision,omitempty"`
	// Lossy says that the policy which decided reads something that is left out here.
	Lossy bool `json:"lossy,omitempty"`
	Shape
}

// encode is the shape's JSON, which is also what tells it from others.
func (s *Shape) encode() ([]byte, error) { return json.Marshal(s) }
