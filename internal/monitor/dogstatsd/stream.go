package dogstatsd

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"vitrine/internal/kernel/peercred"
)

// connections of the stream socket. They are counted for their group when they
// are accepted, before it is established who sent them: that takes a while, in which one
// sender could open more than all others together.
type connections struct {
	mu      sync.Mutex
	open    map[*peercred.Conn]string // with their groups
	byGroup map[string]int
	closed  bool
}

// add counts a connection, unless there are too many, or too many of its group.
func (c *connections) add(conn *peercred.Conn, group string, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.open) >= most || c.byGroup[group] >= max(1, most/8) {
		return false
	}
	c.open[conn] = group
	c.byGroup[group]++
	return true
}

func (c *connections) remove(conn *peercred.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	group := c.open[conn]
	delete(c.open, conn)
	if c.byGroup[group]--; c.byGroup[group] == 0 {
		delete(c.byGroup, group)
	}
}

func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.open {
		_ = conn.UnixConn.Close() // its goroutine closes the rest
	}
}

// serveStream accepts connections until the listener is closed.
func (s *Server) serveStream(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	l := peercred.NewListener(s.stream, s.log)
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil: // no descriptor left, most likely: others may be given back
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		conn := c.(*peercred.Conn) //nolint:forcetypeassert // a peercred.Listener accepts nothing else
		if !s.conns.add(conn, s.attestor.Group(conn.Peer()), s.cfg.MaxConns) {
			s.counts.stream.refusedConns.Add(1)
			_ = conn.Close()
			continue
		}
		wg.Go(func() {
			s.serveConn(ctx, conn)
			s.conns.remove(conn)
			_ = conn.Close()
		})
	}
}

// serveConn reads one connection's packets. Its origin is that of who connected.
func (s *Server) serveConn(ctx context.Context, conn *peercred.Conn) {
	s.counts.connections.Add(1)
	defer s.counts.connections.Add(-1)
	patience := newPatience(s.attestor)
	origin, later := s.attest(ctx, conn.Peer())
	since := time.Now()
	for later && patience.wait(ctx, s.attestor) { // the client waits, and nobody else
		origin, later = s.attest(ctx, conn.Peer())
	}
	w := worker{s: s}
	r := bufio.NewReader(conn)
	var buf []byte
	for {
		var err error
		buf, err = readFrame(r, buf, s.cfg.MaxPacket)
		if err != nil {
			if !errors.Is(err, io.EOF) && ctx.Err() == nil {
				s.counts.stream.packets.Add(1)
				s.counts.stream.truncated.Add(1)
				s.log.Debug("stream broken off", "container_id", origin.Container, "error", err)
			}
			return
		}
		if origin == nowhere && time.Since(since) > retryAfter {
			origin, _ = s.attest(ctx, conn.Peer())
			since = time.Now()
		}
		s.counts.stream.packets.Add(1)
		s.counts.stream.bytes.Add(uint64(len(buf)))
		w.deliver(buf, origin, &s.counts.stream)
	}
}
