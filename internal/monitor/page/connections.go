package page

import (
	"net"
	"sync"
)

// connections are how many there may be at one time on one listener. Each costs a descriptor, and some KB; of descriptors the monitor needs some for
// each container.
const connections = 512

// Bound is a listener with at most so many connections open; others are closed. From no address there are more of them than are left for others.
func Bound(l net.Listener) net.Listener {
	return &bounded{Listener: l, by: map[string]int{}}
}

type bounded struct {
	net.Listener

	mu   sync.Mutex
	open int
	by   map[string]int // by address
}

// Accept waits for a connection that there is room for.
func (l *bounded) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := ""
		if tcp, is := c.RemoteAddr().(*net.TCPAddr); is {
			from = tcp.IP.String()
		}
		if l.add(from) {
			return &counted{Conn: c, end: sync.OnceFunc(func() { l.remove(from) })}, nil
		}
		_ = c.Close()
	}
}

func (l *bounded) add(from string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by[from] >= connections-l.open {
		return false
	}
	l.open++
	l.by[from]++
	return true
}

func (l *bounded) remove(from string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.by[from]--; l.by[from] == 0 {
		delete(l.by, from)
	}
}

// counted counts until it is closed.
type counted struct {
	net.Conn
	end func()
}

// Close is the server's.
func (c *counted) Close() error {
	defer c.end()
	return c.Conn.Close()
}
