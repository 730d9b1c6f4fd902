// Package plugin is the door that dockerd knocks at: its authorization plugin
// protocol. dockerd asks about a request before it acts on it, and tells
// neither a user id nor a listener. So the request is known by the gateway's
// ticket, or by the client certificate that dockerd verified, or it is local.
//
// A request with a ticket was judged by the gateway; all that is left to see is
// that dockerd read what the gateway wrote. Whatever does not agree (a ticket
// that is unknown, used, or for another request, or one beside a certificate)
// is denied as differential: somebody or something stands between the two doors.
// It is never treated as a request without a ticket.
//
// The types of the protocol are those of go-plugins-helpers/authorization; its
// handler is not used. After a request that it cannot decode that one still asks
// the plugin, about an empty request, and so writes two answers; it panics on a
// certificate that is not PEM; it reads without a bound; and it decodes the
// daemon's answers (AuthZRes), which can be many megabytes and which we look at
// none of: when dockerd shows one, the deed is done.
//
// Unknown means no: an empty request, a deadline, a panic, too many at once are
// denials. A denial is Allow: false with a Msg; Err is ignored by dockerd and
// never used. The door needs nothing of the rest to be ready before it answers:
// dockerd waits for it when it starts.
//
// The door cannot change an answer. If the policy demands that, the caller is
// told to use the gateway's socket. The caller of this package must make the
// socket one that only root can connect to.
package plugin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/docker/go-plugins-helpers/authorization"
	"github.com/docker/go-plugins-helpers/sdk"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/ticket"
	"vitrine/internal/caller/identity"
	"vitrine/internal/lane"
)

// Config is what a Door is made of. Authorizer, Tickets and Logger are required.
type Config struct {
	Authorizer decide.Authorizer
	Tickets    *ticket.Store // shared with the gateway
	Logger     *slog.Logger
	// Differential records a request that does not agree with what the gateway
	// judged. It may be nil.
	Differential func(caller *identity.Identity, method, uri, why string)
	// GatewaySocket is named to callers whose answer must be redacted.
	GatewaySocket string
	// Timeout of one question, whatever hangs; default 10 s. dockerd itself would
	// wait for ever. The steps of a decision have shorter ones, and say which it was.
	Timeout time.Duration
}

const (
	// maxRequest bounds what dockerd may send about one request: a body of
	// 4 MiB, the most it shows, is 5.6 MB in base64.
	maxRequest = 8 << 20
	// bigRequest is the size from which only a few are read and decided at a time.
	bigRequest  = 128 << 10
	bigRequests = 4
	// reading is how many questions are read and decoded at one time. They are not
	// told apart before, and take no time then: dockerd has written all of it.
	reading = 512

	headerTimeout = 10 * time.Second
	drainTime     = 2 * time.Second
)

// Door serves dockerd's authorization plugin protocol.
type Door struct {
	cfg     Config
	reading chan struct{}
	big     chan struct{}
}

// New makes a Door.
func New(cfg Config) *Door {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	return &Door{cfg: cfg, reading: make(chan struct{}, reading), big: make(chan struct{}, bigRequests)}
}

// Serve answers dockerd on l until ctx ends.
func (d *Door) Serve(ctx context.Context, l net.Listener) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	srv := &http.Server{
		Handler:           d,
		Protocols:         protocols,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ReadHeaderTimeout: headerTimeout,
		// "OPTIONS *" is no question of dockerd's either.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(d.cfg.Logger.Handler(), slog.LevelDebug),
	}
	lanes := lane.NewListener(srv, l)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lanes) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	lanes.Shutdown(drain)
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// ServeHTTP answers one call of dockerd.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/Plugin.Activate":
		w.Header().Set("Content-Type", sdk.DefaultContentTypeV1_1)
		_, _ = io.WriteString(w, `{"Implements": ["`+authorization.AuthZApiImplements+`"]}`+"\n")
	case "/" + authorization.AuthZApiRequest:
		d.ask(w, r)
	case "/" + authorization.AuthZApiResponse:
		// Read to the end, so that dockerd can write it and the connection lives on.
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, authorization.Response{Allow: true})
	default:
		http.NotFound(w, r)
	}
}

// ask reads the request that dockerd asks about, and answers it. Whatever
// hangs, dockerd gets an answer in time: then it is the clock that gives it, and
// nobody waits for what was hung.
func (d *Door) ask(w http.ResponseWriter, r *http.Request) {
	a := &once{w: w}
	if r.ContentLength < 0 || r.ContentLength > bigRequest {
		if !d.acquire(r.Context(), d.big) {
			a.answer(deny("busy", "too many large requests at once; try again"))
			return
		}
		defer func() { <-d.big }()
	}
	req, refused := d.read(w, r)
	if refused != nil {
		a.answer(*refused)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	late := time.AfterFunc(d.cfg.Timeout, func() {
		cancel() // what comes later is a denial in its record too
		if a.answer(deny("deadline", "the decision took too long")) {
			d.cfg.Logger.Error("decision took too long", "method", req.RequestMethod, "timeout", d.cfg.Timeout)
		}
	})
	defer late.Stop()
	a.answer(d.reply(ctx, req))
}

// read reads the question, or says why it cannot.
func (d *Door) read(w http.ResponseWriter, r *http.Request) (*authorization.Request, *authorization.Response) {
	no := func(code, why string) (*authorization.Request, *authorization.Response) {
		res := deny(code, why)
		return nil, &res
	}
	if !d.acquire(r.Context(), d.reading) {
		return no("busy", "too many requests at once; try again")
	}
	defer func() { <-d.reading }()
	req, err := decode(w, r)
	if err != nil {
		d.cfg.Logger.Warn("request of dockerd not understood", "error", err)
		return no("bad-question", "the daemon's question was not understood")
	}
	return req, nil
}

// acquire takes a place, or reports that there was none in time.
func (d *Door) acquire(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
