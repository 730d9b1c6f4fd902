package gateway

import (
	"net"
	"sync"
	"time"

	"vitrine/internal/kernel/peercred"
)

// Whoever connects and leaves again in a loop fills the listener's backlog, and
// then the kernel turns others away (EAGAIN): so to accept such a connection must cost
// us less than to make it. What follows is what makes that cheap.

// present leaves out connections whose other end has left before it was accepted.
type present struct{ net.Listener }

// Accept waits for a connection from which something can still come.
func (p present) Accept() (net.Conn, error) {
	for {
		c, err := p.Listener.Accept()
		if err != nil || !leftSilently(c) {
			return c, err
		}
		_ = c.Close()
	}
}

// groups remembers for a moment whom a process counts as: to find out takes
// longer than all else of an accept. A number that another process has got meanwhile
// counts as the first one's for so long; it is a guess for limits anyway.
type groups struct {
	ask func(*peercred.Peer) string

	mu    sync.Mutex
	known map[process]group
}

type process struct {
	pid int
	uid uint32
}

type group struct {
	key  string
	from time.Time
}

const (
	groupFor   = time.Second
	mostGroups = 4096
)

func newGroups(ask func(*peercred.Peer) string) *groups {
	return &groups{ask: ask, known: map[process]group{}}
}

func (g *groups) of(p *peercred.Peer) string {
	who, now := process{p.PID, p.UID}, time.Now()
	g.mu.Lock()
	known, ok := g.known[who]
	g.mu.Unlock()
	if ok && now.Sub(known.from) < groupFor {
		return known.key
	}
	key := g.ask(p)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.known) >= mostGroups {
		clear(g.known)
	}
	g.known[who] = group{key, now}
	return key
}
