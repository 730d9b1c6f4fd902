package lane

import (
	"context"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Listener gives the connections of a server lanes, where nothing else stands between the two.
type Listener struct {
	net.Listener
	srv *http.Server

	mu   sync.Mutex
	open map[*conn]struct{}
}

type laneKey struct{}

// NewListener makes a Listener for srv.Serve. It sets the server's ConnState and ConnContext, and stands before its Handler; srv is to be
// shut down by Shutdown.
func NewListener(srv *http.Server, l net.Listener) *Listener {
	next := srv.Handler
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lane, is := r.Context().Value(laneKey{}).(*Lane); is {
			lane.taken()
		}
		next.ServeHTTP(w, r)
	})
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if c, ok := c.(*conn); ok {
			ctx = context.WithValue(ctx, laneKey{}, c.lane)
		}
		return ctx
	}
	srv.ConnState = func(c net.Conn, s http.ConnState) {
		if c, ok := c.(*conn); ok && s == http.StateIdle {
			c.lane.idled()
		}
	}
	return &Listener{Listener: l, srv: srv, open: map[*conn]struct{}{}}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, of: l}
	c.lane = New(inner, c, Options{
		Handler: l.srv.Handler, Context: context.Background(), Idle: l.srv.IdleTimeout, Header: l.srv.ReadHeaderTimeout,
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c] = struct{}{}
	return c, nil
}

// Shutdown is the server's, and lets what goes by lanes be answered as well, for as long as ctx lasts; then it closes all.
func (l *Listener) Shutdown(ctx context.Context) {
	Shutdown(ctx, l.srv, l.lanes)
	for _, c := range l.conns() {
		_ = c.sever() // it had its time
	}
}

func (l *Listener) conns() []*conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.open))
}

func (l *Listener) lanes() (all []*Lane) {
	for _, c := range l.conns() {
		all = append(all, c.lane)
	}
	return all
}

// Shutdown is the server's, and lets what goes by lanes be answered as well, for as long as ctx lasts. What takes longer, and what was
// hijacked, is its caller's to close.
func Shutdown(ctx context.Context, srv *http.Server, lanes func() []*Lane) {
	for _, l := range lanes() {
		l.drain()
	}
	_ = srv.Shutdown(ctx) // an error says that ctx has ended
	drained(ctx, lanes)
	_ = srv.Close() // an error is the listener's, which is closed
}

// drained waits until no lane has a request, as long as ctx lasts.
func drained(ctx context.Context, lanes func() []*Lane) {
	const every = 5 * time.Millisecond
	for {
		serving := false
		for _, lane := range lanes() {
			serving = serving || lane.isServing()
		}
		if !serving {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
	}
}

// conn is a connection with a lane.
type conn struct {
	net.Conn
	of   *Listener
	lane *Lane
}

// Read reads what the server is to see.
func (c *conn) Read(p []byte) (int, error) { return c.lane.Read(p) }

// Close closes the connection, or lets its last answer be given first.
func (c *conn) Close() error {
	if c.lane.Keeps() {
		return nil
	}
	return c.sever()
}

func (c *conn) sever() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
