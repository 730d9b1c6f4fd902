// Package admin is the admin socket: metrics, health, recent decisions and the record of shapes of a
// process that has no network.
//
// It answers only callers that hold one of the configured principals (by
// default the host's root and the monitor), known by the kernel's word on the
// socket like any other caller. It shows what the audit log shows, never more;
// it changes nothing.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"vitrine/internal/authz/audit"
	"vitrine/internal/caller/identity"
	"vitrine/internal/fair"
	"vitrine/internal/kernel/peercred"
)

const (
	// connections are how many there may be at one time: each costs the process that decides two descriptors, whoever is at its other end.
	connections = 64
	// idle is how long one may be open between two questions.
	idle = 2 * time.Minute
)

// identifier says who is on a connection.
type identifier interface {
	Identify(ctx context.Context, conn *identity.Connection) *identity.Identity
}

// Check is one line of the health answer; nil is healthy.
type Check struct {
	Name string
	Run  func() error
}

// Options are the parts of a Server; all but Shapes and Candidate are required.
type Options struct {
	Identifier identifier
	Allow      []string // principals that may read
	Log        *audit.Log
	Shapes     io.WriterTo // the record; nil: there is none
	Candidate  io.WriterTo // what a candidate for the policy would decide otherwise; nil: there is none
	Metrics    *Metrics
	Checks     []Check
	Status     func() Status // without what the server knows itself: counts and checks
	Logger     *slog.Logger
}

// Server answers on the admin socket.
type Server struct {
	o    Options
	http *http.Server
}

type connectionKey struct{}

// New makes the server.
func New(o Options) *Server {
	s := &Server{o: o}
	mux := http.NewServeMux()
	// Not in OpenMetrics: two of the Go collector's metrics are one there (go_memstats_alloc_bytes), which strict readers refuse.
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /decisions", s.decisions)
	mux.HandleFunc("GET /shapes", written(o.Shapes, "application/x-ndjson", "there is no record of shapes"))
	mux.HandleFunc("GET /candidate", written(o.Candidate, "application/json", "there is no candidate: serve has none (key candidate)"))
	mux.HandleFunc("GET /status", s.status)
	s.http = &http.Server{
		Handler: s.guard(mux), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: idle, MaxHeaderBytes: 16 << 10,
		DisableGeneralOptionsHandler: true, // it would answer anybody
		ErrorLog:                     slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		ConnContext:                  connection,
	}
	return s
}

// connection remembers the pinned peer of a connection.
func connection(ctx context.Context, c net.Conn) context.Context {
	pinned, ok := c.(interface{ NetConn() net.Conn }).NetConn().(*peercred.Conn)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, connectionKey{}, identity.NewUnix("admin", pinned.Peer()))
}

// Serve answers on l, whose connections carry the peer's credentials, until ctx ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = s.http.Close() })
	defer stop()
	if err := s.http.Serve(fair.Listener(l, connections, user)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the admin socket: %w", err)
	}
	return nil
}

// user is whose a connection is: root is answered, whatever the monitor's user does.
func user(c net.Conn) int64 {
	if pinned, ok := c.(*peercred.Conn); ok {
		return int64(pinned.Peer().UID)
	}
	return -1 // it is told that it is none of a Unix socket
}

// guard lets only the configured principals in.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, ok := r.Context().Value(connectionKey{}).(*identity.Connection)
		if !ok {
			http.Error(w, "vitrine: the admin socket answers only on a Unix socket", http.StatusForbidden)
			return
		}
		who := s.o.Identifier.Identify(r.Context(), conn)
		if !slices.ContainsFunc(who.Principals, func(p string) bool { return slices.Contains(s.o.Allow, p) }) {
			http.Error(w, fmt.Sprintf("vitrine: %s may not read the admin socket; it answers %v (key admin_allow)", who, s.o.Allow), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// health answers 200 when every check is nil, 503 otherwise, with a line each.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	answer := struct {
		Status string            `json:"status"`
		Checks map[string]string `json:"checks"`
	}{Status: "ok"}
	ok := false
	if answer.Checks, ok = s.checks(); !ok {
		answer.Status = "failing"
	}
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // what a policy's error says to type is typed
	_ = enc.Encode(answer)   // the reader is gone: nobody to tell
}

// written answers what there is to be written: the record of shapes, the candidate's differences.
func written(what io.WriterTo, kind, none string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if what == nil {
			http.Error(w, "vitrine: "+none, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = what.WriteTo(w) // the reader is gone: nobody to tell
	}
}

// checks runs all checks: "ok", or what is wrong.
func (s *Server) checks() (said map[string]string, ok bool) {
	said, ok = map[string]string{}, true
	for _, c := range s.o.Checks {
		said[c.Name] = "ok"
		if err := c.Run(); err != nil {
			said[c.Name], ok = err.Error(), false
		}
	}
	return said, ok
}

// decisions answers the last ?n= records (100), one JSON object a line, and
// with ?follow=1 those that come after them until the reader leaves; with ?denied=1 only what was denied or
// would be, and with ?as=PRINCIPAL, which may be repeated, only of callers that have all of them.
func (s *Server) decisions(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	n := 100
	if v := query.Get("n"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil || n < 0 {
			http.Error(w, fmt.Sprintf("vitrine: n=%q is not a number of decisions", v), http.StatusBadRequest)
			return
		}
	}
	unwanted := func(rec audit.Record) bool {
		return query.Get("denied") != "" && rec.Allow && rec.Mode == "" ||
			slices.ContainsFunc(query["as"], func(p string) bool { return !slices.Contains(rec.Caller.Principals, p) })
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	var live <-chan audit.Record
	past := s.o.Log.Recent()
	if query.Get("follow") != "" {
		past, live = s.o.Log.Follow(r.Context())
	}
	past = slices.DeleteFunc(past, unwanted)
	for _, rec := range past[max(0, len(past)-n):] {
		if enc.Encode(rec) != nil {
			return
		}
	}
	if live == nil {
		return
	}
	_ = flush.Flush()
	for rec := range live {
		if !unwanted(rec) && (enc.Encode(rec) != nil || flush.Flush() != nil) {
			return
		}
	}
}
