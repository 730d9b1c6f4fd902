package fair

import (
	"net"
	"sync"
	"sync/atomic"
)

// Count counts what callers hold, in all and each, up to a limit of both. It is safe for concurrent use.
type Count[K comparable] struct {
	all, each int
	refused   atomic.Uint64

	mu    sync.Mutex
	total int
	by    map[K]int
}

// NewCount has room for all, of which one key has each at most.
func NewCount[K comparable](all, each int) *Count[K] {
	return &Count[K]{all: all, each: each, by: make(map[K]int)}
}

// Add counts one more, or reports that there is no room. Nobody may hold more
// than is left: several that act together leave some to whoever comes next.
func (c *Count[K]) Add(key K) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[key] >= min(c.each, c.all-c.total) {
		c.refused.Add(1)
		return false
	}
	c.total++
	c.by[key]++
	return true
}

// Remove counts one less, of those that were added.
func (c *Count[K]) Remove(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.by[key]--; c.by[key] <= 0 {
		delete(c.by, key)
	}
}

// Len is how many are held in all.
func (c *Count[K]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// Refused is how often there was no room.
func (c *Count[K]) Refused() uint64 { return c.refused.Load() }

// Source is where a connection over TCP comes from: its address, and of IPv6 the network of 2^64 that one host may have all addresses of. Of others it is "".
func Source(c net.Conn) string {
	tcp, is := c.RemoteAddr().(*net.TCPAddr)
	switch {
	case !is:
		return ""
	case tcp.IP.To4() == nil:
		return tcp.IP.Mask(net.CIDRMask(64, 128)).String()
	}
	return tcp.IP.String()
}

// Listener accepts at most as many connections as there are to be open at one time; others are closed. Whose one is, of says.
// Who needs what l accepted finds it by NetConn, as with crypto/tls.
func Listener[K comparable](l net.Listener, most int, of func(net.Conn) K) net.Listener {
	return &listener[K]{Listener: l, count: NewCount[K](most, most), of: of}
}

type listener[K comparable] struct {
	net.Listener
	count *Count[K]
	of    func(net.Conn) K
}

// Accept waits for a connection that there is room for.
func (l *listener[K]) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if key := l.of(c); l.count.Add(key) {
			return &counted{Conn: c, end: sync.OnceFunc(func() { l.count.Remove(key) })}, nil
		}
		_ = c.Close()
	}
}

// counted counts until it is closed.
type counted struct {
	net.Conn
	end func()
}

func (c *counted) NetConn() net.Conn { return c.Conn }

func (c *counted) Close() error {
	defer c.end()
	return c.Conn.Close()
}
