// Package gateway is the door in front of dockerd's socket: it knows who is
// calling, because the kernel or a certificate says so, asks package decide, and
// carries what is allowed to dockerd and its answer back.
//
// What goes up is never what came in. A request is written anew from the
// Operation that was judged: its method, its canonical URI, an allow-list of
// headers, its canonical JSON body or the opaque stream, "Host: docker", and
// last, behind everything that a caller could choose, the ticket by which the
// plugin door knows the request again. Upstream we speak HTTP/1.1 only. Nothing
// that a client sends after its request goes up before the daemon has answered
// 101, or 200 with a raw or multiplexed stream and no length; any other answer
// to such a request ends both connections, so bytes behind a failed exec start
// never become a second request. Connections to the daemon are shared between
// GET and HEAD requests without a body; every other request has its own.
//
// Forwarding is our own code and not httputil.ReverseProxy. That one carries
// the client's header map, minus what the client names in Connection (a ticket
// included), starts tunnels only for 101 and not for Docker's plain 200, and
// its Transport hands each request between three goroutines. Ours writes and
// reads in the request's own goroutine: it is shorter than the work-arounds,
// and its speed pays for the decision. net/http still parses what clients send,
// and what the daemon answers; its server is passed by where a request has arrived
// whole on a Unix socket (package lane). Who has closed such a connection is noticed
// as soon as its request is no longer brief.
//
// It also notices when dockerd stops asking its plugin: an answer that only a
// handler of dockerd gives, to a request whose ticket is still unspent. Answers
// that dockerd may give without asking us (301, 4xx, 5xx) prove nothing, so a
// ping of our own every ten seconds makes sure.
//
// It decides nothing. Answers are redacted (package redact) and what is outside the
// caller's view is left out of lists and events (package view); of streams that is done to
// events alone, and an obligation that it cannot meet is a denial. Such an answer is
// held until all of it has come. Other answers, uploads and tunnels are
// neither buffered nor cut when idle; what bounds them is Limits. The caller
// must keep the folders of the sockets out of others' reach (package unixsocket
// checks this), raise the limit of open files above Limits.Connections twice over,
// and call CloseContainer when a container dies.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/ticket"
	"vitrine/internal/caller/identity"
	"vitrine/internal/fair"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/lane"
)

// Listener is one socket that the gateway answers on.
type Listener struct {
	Name string // what policies and audit records call it
	// Listener accepts plain connections, of Unix or TCP sockets. TCP needs TLS.
	Listener net.Listener
	// TLS must require and verify client certificates (LoadTLS makes such a
	// one). nil: the caller is the peer of the Unix socket.
	TLS *tls.Config
}

// Config is what a Server is made of.
type Config struct {
	Listeners []Listener
	// Dial connects to dockerd's own socket.
	Dial func(context.Context) (net.Conn, error)
	// Upstream names that socket in messages.
	Upstream   string
	Authorizer decide.Authorizer
	// StillAllowed decides once more what the Authorizer has allowed, for Reconsider, several at one time.
	// The error says why not.
	StillAllowed func(context.Context, *identity.Connection, *decide.Verdict) error
	// Denied are requests that the Authorizer has denied a moment ago, by their bytes. nil: there are none.
	Denied func(*identity.Connection, []byte) *decide.Denied
	// Tickets are shared with the plugin door. nil: there is none, the gateway
	// stands alone.
	Tickets *ticket.Store
	// RequirePlugin refuses every request (503) while dockerd is not known to
	// ask the plugin. It needs Tickets.
	RequirePlugin bool
	Limits        Limits
	Logger        *slog.Logger
	// CallerOf groups the peers of Unix sockets for Limits.ConnectionsPerCaller,
	// at accept, before anybody is identified. nil: by user id.
	CallerOf func(*peercred.Peer) string
	// PingEvery is how often we ping the daemon ourselves; default 5 s, so that
	// the alarm rings within 10 s though a ping may take its pingTimeout.
	PingEvery time.Duration
}

// filesPerConnection: its socket, the peer's pidfd, and the daemon's side.
const filesPerConnection = 3

// drainTime is how long requests may go on after Serve was told to stop.
const drainTime = 2 * time.Second

// Server is the gateway.
type Server struct {
	cfg       Config
	limits    Limits
	log       *slog.Logger
	up        *upstream
	conns     *connections
	streams   *fair.Count[string]
	tasks     tasks
	bodies    *fair.Count[string] // JSON bodies in memory, big ones too
	bigBody   *fair.Count[string]
	bigAnswer *fair.Count[string]
	listener  []net.Listener
	buffers   buffers
	times     times
	life      context.Context // until requests that wait for nobody any longer are to end, too
	end       context.CancelFunc
	requests  sync.WaitGroup // in ServeHTTP; http.Server does not wait for tunnels
}

// New makes a Server. It neither listens nor connects.
func New(cfg Config) (*Server, error) {
	switch {
	case cfg.Dial == nil, cfg.Authorizer == nil, cfg.StillAllowed == nil, cfg.Logger == nil:
		return nil, errors.New("gateway: Dial, Authorizer, StillAllowed and Logger are required")
	case cfg.RequirePlugin && cfg.Tickets == nil:
		return nil, errors.New("gateway: require_plugin needs the plugin's socket")
	}
	if cfg.PingEvery <= 0 {
		cfg.PingEvery = 5 * time.Second
	}
	if cfg.CallerOf == nil {
		cfg.CallerOf = func(p *peercred.Peer) string { return fmt.Sprintf("uid:%d", p.UID) }
	}
	limits := cfg.Limits.withDefaults()
	if files := fileLimit(); files/filesPerConnection < limits.Connections {
		cfg.Logger.Warn("open files can run out before the limit of connections is reached", "open_files", files,
			"connections", limits.Connections, "hint", "raise the limit of open files (LimitNOFILE), or lower limits.connections")
	}
	s := &Server{
		cfg: cfg, limits: limits, log: cfg.Logger,
		up:        newUpstream(cfg),
		conns:     newConnections(limits),
		streams:   fair.NewCount[string](limits.Connections, limits.StreamsPerCaller),
		bodies:    fair.NewCount[string](limits.Connections, limits.StreamsPerCaller),
		bigBody:   fair.NewCount[string](bigBodies, bigBodiesPerCaller),
		bigAnswer: fair.NewCount[string](bigAnswers, bigAnswersPerCaller),
		times:     times{last: 5 * time.Second, hungUp: 5 * time.Second},
	}
	s.life, s.end = context.WithCancel(context.Background())
	for _, l := range cfg.Listeners {
		wrapped, err := s.wrap(l)
		if err != nil {
			return nil, err
		}
		s.listener = append(s.listener, wrapped)
	}
	return s, nil
}

// wrap pins peers, counts connections and, where asked, speaks TLS.
func (s *Server) wrap(l Listener) (net.Listener, error) {
	inner := l.Listener
	if inner.Addr().Network() == "unix" {
		inner = peercred.NewListener(present{inner}, s.log)
	} else if l.TLS == nil {
		return nil, fmt.Errorf("listener %s: only a Unix socket can do without TLS", l.Name)
	}
	counted := &listener{Listener: inner, name: l.Name, conns: s.conns, callerOf: newGroups(s.cfg.CallerOf).of, malformed: s.malformed, lane: s.lane}
	if l.TLS == nil {
		return counted, nil
	}
	if l.TLS.ClientAuth != tls.RequireAndVerifyClientCert {
		return nil, fmt.Errorf("listener %s: TLS must require and verify client certificates", l.Name)
	}
	counted.secure = true
	cfg := l.TLS.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	return tls.NewListener(counted, cfg), nil
}

// Serve answers on every listener until ctx ends; it then lets requests finish
// for two seconds and closes every connection. The error is nil when it was
// asked to stop.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	srv := s.httpServer()

	running := make(chan struct{}, len(s.listener)+1)
	go func() {
		s.up.watch(ctx)
		running <- struct{}{}
	}()
	for _, l := range s.listener {
		go func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("serve %s: %w", l.Addr(), err))
			}
			running <- struct{}{}
		}()
	}
	<-ctx.Done()
	drain, stop := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer stop()
	lane.Shutdown(drain, srv, s.conns.lanes)
	s.conns.closeAll()
	s.end()
	s.requests.Wait()
	s.conns.closed(drainTime)
	s.up.pool.close()
	for range cap(running) {
		<-running
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func (s *Server) httpServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:                      s,
		Protocols:                    protocols,
		TLSNextProto:                 map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ReadHeaderTimeout:            s.limits.HeaderTimeout,
		IdleTimeout:                  s.limits.IdleTimeout,
		MaxHeaderBytes:               s.limits.HeaderBytes,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			t, secure := c.(*tls.Conn)
			if secure {
				c = t.NetConn()
			}
			own, _ := c.(*conn)
			if own != nil {
				own.tls = t
			}
			return context.WithValue(ctx, connKey{}, own)
		},
		ConnState: connState,
	}
}

// lane is the short way of what arrives whole on a connection. Once something was left to the server, all that follows is: where the
// server stands in what a caller sends is nobody's guess then.
func (s *Server) lane(c *conn) *lane.Lane {
	return lane.New(c.Conn, c, lane.Options{
		Handler: s, Context: context.WithValue(context.Background(), connKey{}, c),
		Idle: s.limits.IdleTimeout, Header: s.limits.HeaderTimeout,
		Known: func(raw []byte) func(http.ResponseWriter) bool { return s.known(c, raw) },
	})
}

// CloseContainer closes every connection whose caller is the container with
// this full id: it has died, and whoever comes next is somebody else.
func (s *Server) CloseContainer(id string) { s.conns.closeContainer(id) }

// Asked reports whether dockerd asks the plugin: known is false as long as
// nothing is known, and always when the gateway stands alone.
func (s *Server) Asked() (asked, known bool) { return s.up.asked.get() }

// Ready reports whether the daemon has ever answered.
func (s *Server) Ready() bool { return s.up.ready.Load() }

// Stats are numbers for metrics.
type Stats struct {
	Connections int    // open
	Streams     int    // requests being forwarded
	Tickets     int    // out
	Refused     uint64 // connections and requests over a limit, since the start
}

// Stats says how busy the gateway is.
func (s *Server) Stats() Stats {
	out := Stats{Connections: s.conns.count.Len(), Streams: s.streams.Len()}
	out.Refused = s.conns.count.Refused() + s.streams.Refused() + s.bodies.Refused() + s.bigBody.Refused() + s.bigAnswer.Refused()
	if s.cfg.Tickets != nil {
		out.Tickets = s.cfg.Tickets.Len()
	}
	return out
}

// identityOf is the connection as package identity sees it, made when something
// has arrived on it: only then has a TLS handshake said whose certificate it is.
func (s *Server) identityOf(c *conn) *identity.Connection {
	if c.identity != nil {
		return c.identity
	}
	switch {
	case !c.secure && c.peer != nil:
		c.identity = identity.NewUnix(c.listener, c.peer)
		c.identity.Account = c.key
	case c.secure && c.tls != nil:
		if chains := c.tls.ConnectionState().VerifiedChains; len(chains) > 0 {
			c.identity = identity.NewTLS(c.listener, chains[0][0], c.peer)
		}
	}
	return c.identity
}
