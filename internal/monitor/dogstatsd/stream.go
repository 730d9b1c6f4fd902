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
		// It counts for its group from now on: that it is established who sends takes a while, in which one
		// sender could open more than all others together.
		group := s.attestor.Group(conn.Peer())
		if !s.conns.Add(group) {
			_ = conn.Close()
			continue
		}
		wg.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = conn.UnixConn.Close() })
			s.serveConn(ctx, conn)
			stop()
			s.conns.Remove(group)
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
