package peercred

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"vitrine/internal/kernel/procfs"
)

// Listener pins the peer of each connection when it is accepted. The
// listener inside must be one of Unix stream sockets.
type Listener struct {
	net.Listener
	failures failures
}

// NewListener wraps l. The log says why connections were not accepted.
func NewListener(l net.Listener, log *slog.Logger) *Listener {
	return &Listener{Listener: l, failures: failures{log: log}}
}

// Accept waits for the next connection whose peer the kernel names; one without
// is closed. The connection is a *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				l.failures.say("no connection can be accepted", err)
			}
			return nil, err
		}
		peer, err := FromConn(c)
		uc, ok := c.(*net.UnixConn)
		if err != nil || !ok {
			_ = c.Close()
			l.failures.say("a connection is closed, as the kernel does not say whose it is", err)
			continue
		}
		if procfs.Exhausted(peer.lost) {
			l.failures.say("the process behind a connection cannot be looked at", peer.lost)
		}
		return &Conn{UnixConn: uc, peer: peer}, nil
	}
}

// failures writes a line about what happens to connections at most every so often:
// whoever makes them fail must not fill the log as well.
type failures struct {
	log *slog.Logger

	mu    sync.Mutex
	next  time.Time
	count int // since the last line
}

const sayEvery = 10 * time.Second

func (f *failures) say(what string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	now := time.Now()
	if now.Before(f.next) {
		return
	}
	f.next = now.Add(sayEvery)
	hint := ""
	if procfs.Exhausted(err) {
		hint = "raise the limit of open files (LimitNOFILE), or lower limits.connections"
	}
	f.log.Warn("callers are not known by their sockets", "reason", what, "error", err, "times", f.count, "hint", hint)
	f.count = 0
}

// Conn is an accepted connection with its pinned peer.
type Conn struct {
	*net.UnixConn
	peer *Peer
}

// Peer is the process that connected. It is no longer Alive after Close.
func (c *Conn) Peer() *Peer { return c.peer }

// Close closes the connection and gives the peer's pidfd back.
func (c *Conn) Close() error {
	c.peer.Close()
	return c.UnixConn.Close()
}
