package admin

import (
	"net"
	"sync"
	"time"

	"vitrine/internal/kernel/peercred"
)

const (
	// connections are how many there may be at one time: each costs the process that decides two descriptors, whoever is at its other end.
	connections = 64
	// idle is how long one may be open between two questions.
	idle = 2 * time.Minute
)

// bounded is a listener with at most connections open. No user has more of them than are left: root is answered, whatever the monitor does.
type bounded struct {
	net.Listener

	mu   sync.Mutex
	open int
	by   map[uint32]int // by user
}

func bound(l net.Listener) *bounded { return &bounded{Listener: l, by: map[uint32]int{}} }

// Accept waits for a connection that there is room for; others are closed.
func (l *bounded) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		pinned, ok := c.(*peercred.Conn)
		if !ok {
			return c, nil // it is told that it is none of a Unix socket
		}
		if uid := pinned.Peer().UID; l.add(uid) {
			return &counted{Conn: pinned, end: sync.OnceFunc(func() { l.remove(uid) })}, nil
		}
		_ = c.Close()
	}
}

func (l *bounded) add(uid uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by[uid] >= connections-l.open {
		return false
	}
	l.open++
	l.by[uid]++
	return true
}

func (l *bounded) remove(uid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.by[uid]--; l.by[uid] == 0 {
		delete(l.by, uid)
	}
}

// counted counts until it is closed.
type counted struct {
	*peercred.Conn
	end func()
}

// Close is the server's.
func (c *counted) Close() error {
	defer c.end()
	return c.Conn.Close()
}
