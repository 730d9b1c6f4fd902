package dogstatsd

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"vitrine/internal/fair"
	"vitrine/internal/kernel/unixsocket"
)

// Config of a Server.
type Config struct {
	// Without a path there is no socket; its mode is 0722 if zero, as clients need to write, and a group of 0 leaves it.
	Datagram, Stream unixsocket.File
	UDP              string // host:port; "": not at all

	MaxPacket     int // bytes; 8192 if zero. What is longer loses its last line
	ReceiveBuffer int // bytes of the kernel's, for UDP; 0 leaves the kernel's default
	MaxConns      int // on the stream socket; 1024 if zero, and an eighth of it for each container, or user of the host
	MaxSenders    int // processes remembered, each with a descriptor; 4096 if zero

	IgnoreClaims   bool // don't ask the client where the kernel gives no origin
	RefuseMismatch bool // refuse messages whose claim contradicts the kernel

	Logger *slog.Logger
}

// Sink takes the messages. It is locked while those of one packet are handed
// over. It must copy what it keeps.
type Sink interface {
	sync.Locker
	Metric(o *Origin, m *Metric)
	Event(o *Origin, e *Event)
	Check(o *Origin, c *Check)
}

// Server receives messages on its sockets, and hands them on with their origin.
type Server struct {
	cfg      Config
	attestor attestor
	sink     Sink
	log      *slog.Logger

	counts   counts
	examples examples
	claims   claims
	foreign  sync.Once
	started  time.Time

	receivers []*receiver // datagram socket and UDP, as far as they are asked for
	udp       *receiver   // of them; nil: none
	stream    net.Listener
	resolver  *resolver
	conns     *fair.Count[string] // of the stream socket, by group
}

// New makes a Server that does not listen yet.
func New(cfg Config, a attestor, sink Sink) *Server {
	cfg.MaxPacket = cmp.Or(cfg.MaxPacket, 8192)
	cfg.MaxConns = cmp.Or(cfg.MaxConns, 1024)
	cfg.MaxSenders = cmp.Or(cfg.MaxSenders, 4096)
	for _, at := range []*unixsocket.File{&cfg.Datagram, &cfg.Stream} {
		at.Mode, at.GID = cmp.Or(at.Mode, 0o722), cmp.Or(at.GID, -1)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, attestor: a, sink: sink, log: cfg.Logger, started: time.Now()}
	s.resolver = newResolver(s)
	s.conns = fair.NewCount[string](cfg.MaxConns, max(1, cfg.MaxConns/8))
	return s
}

// Listen opens the sockets. From then on messages queue; Serve reads them. After
// an error nothing listens.
func (s *Server) Listen() (err error) {
	defer func() {
		if err != nil {
			s.closeSockets()
		}
	}()
	if s.cfg.Datagram.Path != "" {
		r, err := s.listenDatagram(s.cfg.Datagram)
		if err != nil {
			return err
		}
		s.receivers = append(s.receivers, r)
	}
	if s.cfg.Stream.Path != "" {
		if s.stream, err = unixsocket.Listen(s.cfg.Stream); err != nil {
			return err
		}
	}
	if s.cfg.UDP != "" {
		if s.udp, err = s.listenUDP(s.cfg.UDP); err != nil {
			return err
		}
		s.receivers = append(s.receivers, s.udp)
	}
	return nil
}

// UDPAddr is where the UDP socket listens, once it does; "" if not.
func (s *Server) UDPAddr() string {
	if s.udp == nil {
		return ""
	}
	return s.udp.addr()
}

// Serve reads messages until ctx ends or a socket fails. The sockets are closed
// and their files removed when it returns.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	fail := func(err error) {
		if err != nil {
			cancel(err)
		}
	}
	wg.Go(func() { s.resolver.run(ctx) })
	for _, r := range s.receivers {
		wg.Go(func() { fail(r.run()) })
	}
	if s.stream != nil {
		wg.Go(func() { fail(s.serveStream(ctx)) })
	}
	<-ctx.Done()
	for _, r := range s.receivers {
		r.interrupt()
	}
	if s.stream != nil {
		_ = s.stream.Close()
	}
	wg.Wait()
	s.resolver.drain()
	s.closeSockets()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (s *Server) closeSockets() {
	for _, r := range s.receivers {
		r.close()
	}
	if s.stream != nil {
		_ = s.stream.Close()
	}
}

// worker hands packets on. Each goroutine has its own.
type worker struct {
	s      *Server
	parser Parser
}

// deliver parses a packet's lines. A bad one costs its neighbours nothing.
func (w *worker) deliver(packet []byte, kernel *Origin, t *transport) {
	if kernel.Source == SourceNone && t != &w.s.counts.udp {
		t.originErrors.Add(1)
	}
	w.s.sink.Lock()
	defer w.s.sink.Unlock()
	for len(packet) > 0 {
		var line []byte
		line, packet = cutLine(packet)
		if len(line) > 0 {
			w.line(line, kernel)
		}
	}
}

func (w *worker) line(line []byte, kernel *Origin) {
	s, p := w.s, &w.parser
	kind, reason := p.Parse(line)
	if reason != Parsed {
		w.refuse(reason, line, kernel)
		return
	}
	o := s.origin(kernel, [...]*Claim{KindMetric: &p.Metric.Claim, KindEvent: &p.Event.Claim, KindCheck: &p.Check.Claim}[kind])
	if o == nil {
		s.counts.rejected.Add(1)
		return
	}
	s.counts.processed[kind][o.Source].Add(1)
	switch kind {
	case KindMetric:
		if p.Metric.Skipped > 0 {
			s.counts.notFinite.Add(uint64(p.Metric.Skipped))
		}
		s.sink.Metric(o, &p.Metric)
	case KindEvent:
		s.sink.Event(o, &p.Event)
	case KindCheck:
		s.sink.Check(o, &p.Check)
	}
}

func (w *worker) refuse(reason Reason, line []byte, kernel *Origin) {
	w.s.counts.refused[reason].Add(1)
	if w.s.examples.add(reason, line, kernel) {
		w.s.log.Debug("line refused", "reason", reason.String(), "line", string(line), "container_id", kernel.Container)
	}
}
