package gateway

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/internal/caller/identity"
	"vitrine/internal/fair"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/lane"
)

// tooMany is what a connection over the limit is told before it is closed.
const tooMany = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" +
	`{"message":"vitrine: too many connections; try again [limit]"}` + "\n"

type connKey struct{}

// conn is one client connection: it counts against the limits until it is
// closed, whoever closes it.
type conn struct {
	net.Conn
	listener string
	secure   bool           // TLS
	peer     *peercred.Peer // nil for TCP
	key      string         // whose connection it counts as
	conns    *connections
	once     sync.Once

	tls       *tls.Conn // what speaks TLS on it, if anything does
	malformed func(c *conn, answer []byte)
	unread    atomic.Bool // what arrives has not reached ServeHTTP
	lane      *lane.Lane  // for requests that arrive whole; nil with TLS

	looking

	identity  *identity.Connection // of the request's goroutine
	container string               // guarded by conns.mu
}

// Read reads what the server is to see.
func (c *conn) Read(p []byte) (int, error) {
	if c.lane != nil {
		return c.lane.Read(p)
	}
	return c.Conn.Read(p)
}

// Close is the server's: what goes by the lane is answered first.
func (c *conn) Close() error {
	if c.lane != nil && c.lane.Keeps() {
		return nil
	}
	c.sever()
	return nil
}

// sever closes the connection, and forgets it when it is closed; nothing is written to it any more. Its request ends as when the client leaves. Nobody waits for the
// close: that waits for who reads from the connection, and a read lasts as long as a client likes who gives up a descriptor along with his bytes (see package unixsocket).
func (c *conn) sever() {
	c.once.Do(func() {
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite() // it may be closed already
		}
		go func() {
			_ = c.Conn.Close() // nobody is left to be told
			c.conns.forget(c)
		}()
	})
	c.endRequest()
}

// CloseWrite ends our half of the connection.
func (c *conn) CloseWrite() error { return closeWrite(c.Conn) }

// closeWrite ends one half of a connection, or all of it where there are no halves.
func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// listener hands out counted connections.
type listener struct {
	net.Listener
	name      string
	secure    bool
	conns     *connections
	callerOf  func(*peercred.Peer) string
	malformed func(c *conn, answer []byte)
	lane      func(c *conn) *lane.Lane
}

// Accept waits for a connection that is within the limits.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if counted := l.count(c); counted != nil {
			return counted, nil
		}
		if !l.secure {
			_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // the socket's buffer is empty: it does not block
			_, _ = c.Write([]byte(tooMany))
		}
		_ = c.Close()
	}
}

func (l *listener) count(c net.Conn) net.Conn {
	counted := &conn{Conn: c, listener: l.name, secure: l.secure, conns: l.conns, malformed: l.malformed}
	if p, ok := c.(interface{ Peer() *peercred.Peer }); ok {
		counted.peer = p.Peer()
		counted.key = l.callerOf(counted.peer)
	} else if from := fair.Source(c); from != "" {
		counted.key = "ip:" + from
	}
	if !l.secure && l.lane != nil {
		counted.lane = l.lane(counted)
	}
	if !l.conns.add(counted) {
		return nil
	}
	return counted
}

// connections are the open client connections, and whose they are.
type connections struct {
	count *fair.Count[string]

	mu          sync.Mutex
	open        map[*conn]struct{}
	byContainer map[string]map[*conn]struct{}
}

func newConnections(l Limits) *connections {
	return &connections{
		count:       fair.NewCount[string](l.Connections, l.ConnectionsPerCaller),
		open:        make(map[*conn]struct{}),
		byContainer: make(map[string]map[*conn]struct{}),
	}
}

func (cs *connections) add(c *conn) bool {
	if !cs.count.Add(c.key) {
		return false
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.open[c] = struct{}{}
	return true
}

func (cs *connections) forget(c *conn) {
	cs.count.Remove(c.key)
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.open, c)
	cs.leave(c)
}

// attribute notes in which container a connection's caller is, for closeContainer.
func (cs *connections) attribute(c *conn, caller *identity.Identity) {
	id := ""
	if caller.Container != nil {
		id = caller.Container.ID
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if _, open := cs.open[c]; !open || c.container == id {
		return
	}
	cs.leave(c)
	c.container = id
	if id == "" {
		return
	}
	if cs.byContainer[id] == nil {
		cs.byContainer[id] = make(map[*conn]struct{})
	}
	cs.byContainer[id][c] = struct{}{}
}

func (cs *connections) leave(c *conn) {
	if c.container == "" {
		return
	}
	delete(cs.byContainer[c.container], c)
	if len(cs.byContainer[c.container]) == 0 {
		delete(cs.byContainer, c.container)
	}
	c.container = ""
}

func (cs *connections) closeContainer(id string) {
	cs.mu.Lock()
	var theirs []*conn
	for c := range cs.byContainer[id] {
		theirs = append(theirs, c)
	}
	cs.mu.Unlock()
	closeConns(theirs)
}

func (cs *connections) closeAll() { closeConns(cs.all()) }

// closed waits until all are closed, for as long as that may take: a client can hold it up.
func (cs *connections) closed(most time.Duration) {
	for end := time.Now().Add(most); len(cs.all()) > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

func (cs *connections) all() (all []*conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for c := range cs.open {
		all = append(all, c)
	}
	return all
}

func (cs *connections) lanes() (all []*lane.Lane) {
	for _, c := range cs.all() {
		if c.lane != nil {
			all = append(all, c.lane)
		}
	}
	return all
}

func closeConns(cs []*conn) {
	for _, c := range cs {
		c.sever()
	}
}
