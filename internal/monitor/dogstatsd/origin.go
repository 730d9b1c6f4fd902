package dogstatsd

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"vitrine/internal/caller/attest"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/monitor/sender"
)

// Source says on whose word an origin rests.
type Source uint8

// The sources.
const (
	SourceNone   Source = iota // nobody's: who sent the message is not known
	SourceKernel               // the kernel's, confirmed
	SourceClient               // the sender's own, where the kernel gives none

	sources = int(SourceClient) + 1
)

func (s Source) String() string { return [...]string{"none", "kernel", "client"}[s] }

// Origin is where a message comes from. It does not change.
type Origin struct {
	Source    Source
	Container string // full id; "" for a process of the host, and for SourceNone

	podUID string
	// claimable says that the kernel has no process to name, so that the client is asked.
	claimable bool
}

var (
	nowhere = &Origin{}                     // a sender that could not be established
	unnamed = &Origin{claimable: true}      // UDP, and processes of other PID namespaces
	host    = &Origin{Source: SourceKernel} // proven
)

// attestor is what a Server needs of a *sender.Finder.
type attestor interface {
	Attest(ctx context.Context, p *peercred.Peer) attest.Attestation
	Claimed(c sender.Claim) attest.Attestation
	Changed() <-chan struct{}      // closed when the next answer may be another one
	Group(p *peercred.Peer) string // for limits; proven by nothing
}

// attest establishes the origin of what a process sends. What it does not know it
// may know a moment later: nowhere must not be remembered for long. With later the
// Engine is about to tell of the container.
func (s *Server) attest(ctx context.Context, p *peercred.Peer) (o *Origin, later bool) {
	if p.PID == 0 {
		return s.unseen(), false
	}
	at := s.attestor.Attest(ctx, p)
	switch at.Kind {
	case attest.Container:
		uid, _ := at.Container.Pod()
		return &Origin{Source: SourceKernel, Container: at.Container.ID, podUID: uid}, false
	case attest.Host:
		return host, false
	case attest.Peer: // our own PID namespace is not the host's, and PIDs mean nothing
		return s.unseen(), false
	case attest.Unknown:
	}
	later = errors.Is(at.Err, attest.ErrNotYet)
	s.log.Debug("sender not established", "pid", p.PID, "why", at.Err, "later", later)
	return nowhere, later
}

// unseen is the origin of processes to which the kernel gives no number here.
func (s *Server) unseen() *Origin {
	s.foreign.Do(func() {
		s.log.Warn("senders are in a PID namespace that we cannot see, so that their containers are not known: run the monitor in the host's PID namespace (docker run --pid=host)")
	})
	return unnamed
}

// origin weighs what the client claims against the kernel's word: the kernel's
// wins. It returns nil for a message that is to be refused.
func (s *Server) origin(kernel *Origin, c *Claim) *Origin {
	switch {
	case kernel.claimable && !s.cfg.IgnoreClaims:
		if o := s.claims.resolve(s.attestor, c); o != nil {
			return o
		}
		return nowhere
	case kernel.Source != SourceKernel || !contradicts(kernel, c):
		return kernel
	}
	s.counts.mismatches.Add(1)
	if s.cfg.RefuseMismatch {
		return nil
	}
	return kernel
}

// contradicts says that a client claims to be elsewhere. Claims by inode are
// not compared: what a client sees of cgroups depends on where it looks.
func contradicts(kernel *Origin, c *Claim) bool {
	for item := range bytes.SplitSeq(c.Local, []byte(",")) {
		if id, ok := containerID(item); ok && string(id) != kernel.Container {
			return true
		}
	}
	for _, uid := range [...][]byte{podUID(c.External), entityID(c.Tags)} {
		if len(uid) > 0 && string(uid) != kernel.podUID {
			return true
		}
	}
	return false
}

func podUID(b []byte) []byte {
	uid, _ := external(b)
	return uid
}

// containerID reads ci-<id>, cid-<id> and the id alone (protocol 1.2).
func containerID(item []byte) ([]byte, bool) {
	id, ok := bytes.CutPrefix(item, []byte("ci-"))
	if !ok {
		id, ok = bytes.CutPrefix(item, []byte("cid-"))
	}
	if !ok && bytes.HasPrefix(item, []byte("in-")) {
		return nil, false
	}
	return id, len(id) > 0
}

// external reads it-<init>,cn-<container name>,pu-<pod uid>.
func external(b []byte) (uid, name []byte) {
	for item := range bytes.SplitSeq(b, []byte(",")) {
		if v, ok := bytes.CutPrefix(item, []byte("pu-")); ok {
			uid = v
		} else if v, ok := bytes.CutPrefix(item, []byte("cn-")); ok {
			name = v
		}
	}
	return uid, name
}

// claims remembers what claims meant. Who invents new ones all the time cannot
// make us look them all up.
type claims struct {
	mu     sync.Mutex
	known  map[string]*Origin // nil: nobody
	since  time.Time
	budget int
}

// For how long claims are remembered, and how many are looked up in that time.
const (
	claimsKept = 10 * time.Second
	claimsMost = 4096
	// claimLong is how long one may be, in bytes: a container's id, its name and its pod are half of that. Each is remembered, and all that it names
	// is looked for while everybody else's messages wait.
	claimLong = 1 << 10
)

func (m *claims) resolve(a attestor, c *Claim) *Origin {
	entity := entityID(c.Tags)
	if n := len(c.Local) + len(c.External) + len(entity); n == 0 || n > claimLong {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); now.Sub(m.since) > claimsKept {
		m.since, m.known, m.budget = now, map[string]*Origin{}, claimsMost
	}
	var scratch [256]byte
	key := append(append(append(append(append(scratch[:0], c.Local...), '|'), c.External...), '|'), entity...)
	if o, ok := m.known[string(key)]; ok {
		return o
	}
	if m.budget == 0 {
		return nil
	}
	m.budget--
	o := lookUp(a, c, entity)
	m.known[string(key)] = o
	return o
}

func lookUp(a attestor, c *Claim, entity []byte) *Origin {
	for item := range bytes.SplitSeq(c.Local, []byte(",")) {
		var claim sender.Claim
		if id, ok := containerID(item); ok {
			claim.ID = string(id)
		} else if inode, ok := strings.CutPrefix(string(item), "in-"); ok {
			claim.Inode, _ = strconv.ParseUint(inode, 10, 64)
		}
		if o := claimed(a, claim); o != nil {
			return o
		}
	}
	uid, name := external(c.External)
	if o := claimed(a, sender.Claim{PodUID: string(uid), Name: string(name)}); o != nil {
		return o
	}
	return claimed(a, sender.Claim{PodUID: string(entity)})
}

func claimed(a attestor, c sender.Claim) *Origin {
	if at := a.Claimed(c); at.Kind == attest.Container {
		uid, _ := at.Container.Pod()
		return &Origin{Source: SourceClient, Container: at.Container.ID, podUID: uid}
	}
	return nil
}

var entityTag = []byte("dd.internal.entity_id:")

// entityID is the pod uid that older clients send as a tag.
func entityID(tags Tags) []byte {
	if !bytes.Contains(tags, entityTag) {
		return nil
	}
	for tag := range tags.All() {
		if id, ok := bytes.CutPrefix(tag, entityTag); ok && string(id) != "none" {
			return id
		}
	}
	return nil
}
