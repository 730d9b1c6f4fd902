package peercred

import "net"

// Listener pins the peer of each connection when it is accepted. The
// listener inside must be one of Unix stream sockets.
type Listener struct {
	net.Listener
}

// NewListener wraps l.
func NewListener(l net.Listener) *Listener { return &Listener{l} }

// Accept waits for the next connection whose peer the kernel names; one without
// is closed. The connection is a *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uc, ok := c.(*net.UnixConn)
		if !ok {
			_ = c.Close()
			continue
		}
		peer, err := FromConn(uc)
		if err != nil {
			_ = c.Close()
			continue
		}
		return &Conn{UnixConn: uc, peer: peer}, nil
	}
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
