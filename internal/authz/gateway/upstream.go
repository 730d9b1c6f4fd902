package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"vitrine/internal/authz/ticket"
)

// maxHead bounds an answer's status line and headers.
const maxHead = 1 << 20

// dialTimeout bounds a connect to the daemon's socket.
const dialTimeout = 5 * time.Second

var (
	errDial     = errors.New("connect to the Docker Engine")
	errNoTicket = errors.New("a request without a ticket must not be written")
)

// upstream is the daemon's side: it writes requests with their tickets, and
// reads answers.
type upstream struct {
	dial    func(context.Context) (net.Conn, error)
	name    string
	tickets *ticket.Store
	log     *slog.Logger
	every   time.Duration

	pool  pool
	asked asked
	ready atomic.Bool // the daemon has answered at least once
}

func newUpstream(cfg Config) *upstream {
	return &upstream{
		dial: cfg.Dial, name: cfg.Upstream, tickets: cfg.Tickets, log: cfg.Logger, every: cfg.PingEvery,
		asked: asked{log: cfg.Logger, kick: make(chan struct{}, 1)},
	}
}

// outgoing is a request as it will be written.
type outgoing struct {
	method, uri string
	header      http.Header // from an allow-list, never the client's own map
	upgrade     string      // the protocol to upgrade to, "" for none
	body        []byte      // a JSON body
	stream      io.Reader   // or an opaque one
	length      int64       // of stream, -1 if unknown
	entry       ticket.Entry
	ping        bool // ours, see asked
}

// shareable: a request that may use a connection others have used and will
// use. A daemon that has meanwhile closed it makes us send the request again,
// so it must also be one that can be.
func (o *outgoing) shareable() bool {
	return (o.method == http.MethodGet || o.method == http.MethodHead) &&
		o.body == nil && o.stream == nil && o.upgrade == ""
}

// exchange is a request that was written, and its answer: its head, and its body to read. It ends by Close,
// which disposes of the connection, and may come more than once. An exchange is [own] or [pooled]; what
// began as one's own may become a [tunnel].
type exchange interface {
	io.ReadCloser
	base() *own
	buffered() bool // more of the answer has already arrived
}

// own is an exchange on a connection that was made for it, and ends with it.
type own struct {
	conn   *upConn
	res    *http.Response
	unbind func() bool // the connection from the request's context; false if that has ended
}

func (e *own) base() *own     { return e }
func (e *own) buffered() bool { return e.conn.br.Buffered() > 0 }

// paused reports whether the next part of the answer has not begun to arrive. What ends the last chunk is no part.
func (e *own) paused() bool {
	const end = len("\r\n")
	return e.conn.br.Buffered() <= end && !arrived(e.conn.Conn, end+1)
}

// Read reads the answer's body.
func (e *own) Read(p []byte) (int, error) { return e.res.Body.Read(p) }

// Close ends the connection.
func (e *own) Close() error {
	e.unbind()
	return e.conn.Close()
}

// pooled is an exchange on a connection that others have used, or will.
type pooled struct {
	*own
	pool   *pool
	atEnd  bool
	closed bool
}

func newPooled(e *own, p *pool) *pooled {
	return &pooled{own: e, pool: p, atEnd: e.res.Body == http.NoBody}
}

// Read reads the answer's body.
func (e *pooled) Read(p []byte) (int, error) {
	n, err := e.own.Read(p)
	e.atEnd = e.atEnd || errors.Is(err, io.EOF)
	return n, err
}

// Close gives the connection back: one at whose end, after the whole answer, nothing is left over.
func (e *pooled) Close() error {
	if e.closed {
		return nil
	}
	e.closed = true
	if e.unbind() && e.atEnd && !e.res.Close && !e.buffered() {
		e.pool.put(e.conn)
		return nil
	}
	return e.conn.Close()
}

// send writes a request without an opaque body and reads the answer's head. ctx
// bounds the whole exchange, its answer's body too.
func (u *upstream) send(ctx context.Context, out *outgoing) (exchange, error) {
	shared := out.shareable()
	var c *upConn
	if shared {
		c = u.pool.get()
	}
	if c != nil {
		ex, err := u.exchange(ctx, c, out, nil)
		if err == nil {
			return newPooled(ex, &u.pool), nil
		}
		if ctx.Err() != nil || !c.stale() {
			return nil, err
		}
	}
	ex, err := u.sendAlone(ctx, out)
	switch {
	case err != nil:
		return nil, err
	case shared:
		return newPooled(ex, &u.pool), nil
	}
	return ex, nil
}

// sendAlone is send on a connection that is made for it.
func (u *upstream) sendAlone(ctx context.Context, out *outgoing) (*own, error) {
	c, err := u.connect(ctx)
	if err != nil {
		return nil, err
	}
	return u.exchange(ctx, c, out, nil)
}

func (u *upstream) connect(ctx context.Context) (*upConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := u.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w at %s: %w", errDial, u.name, err)
	}
	return newUpConn(c), nil
}

// exchange writes the request and reads the answer's head. It owns c from here
// on: on an error it is closed. written, if not nil, is called when the request
// is written but for its opaque body.
func (u *upstream) exchange(ctx context.Context, c *upConn, out *outgoing, written func()) (ex *own, err error) {
	began := time.Now()
	c.limit.any = false
	e := &own{conn: c, unbind: atEnd(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })}
	pass := u.issue(out.entry)
	defer func() {
		u.settle(pass, out, e.res, began)
		if err != nil {
			_ = e.Close()
		}
	}()
	if err = u.write(c, out, pass); err == nil {
		if err = c.bw.Flush(); err != nil && c.answered() {
			err = nil // it had seen enough of the body
		}
	}
	if err != nil {
		return nil, fmt.Errorf("write request to the Docker Engine: %w", err)
	}
	if written != nil {
		written()
	}
	if e.res, err = c.readHead(out.method); err != nil { //nolint:bodyclose // Close closes the connection, or has read the body to its end
		return nil, fmt.Errorf("read answer of the Docker Engine: %w", err)
	}
	return e, nil
}

// issue makes the ticket, just before the request is written.
func (u *upstream) issue(e ticket.Entry) string {
	if u.tickets == nil {
		return ""
	}
	return u.tickets.Issue(e)
}

// settle takes the ticket back when the answer's head has come or will not
// come, and learns from it whether dockerd asked.
func (u *upstream) settle(pass string, out *outgoing, res *http.Response, began time.Time) {
	if res == nil {
		if u.tickets != nil {
			u.tickets.Abandon(pass)
		}
		return
	}
	u.ready.Store(true)
	if u.tickets == nil {
		return
	}
	unspent := u.tickets.Drop(pass)
	switch {
	case !unspent && out.ping:
		u.asked.yes(began)
	case unspent && fromHandler(res.StatusCode):
		u.asked.no(began)
	}
}

// fromHandler: dockerd answers this only after it has asked its plugins.
// Redirects, unknown routes, other plugins' denials and a plugin that cannot be
// reached are answered without, or instead of, asking us.
func fromHandler(status int) bool {
	return status == http.StatusSwitchingProtocols || status == http.StatusNotModified ||
		status >= 200 && status < 300
}

// upConn is a connection to the daemon.
type upConn struct {
	net.Conn
	br    *bufio.Reader
	bw    *bufio.Writer
	limit headLimit
	used  int // answers read
	since time.Time
}

func newUpConn(c net.Conn) *upConn {
	u := &upConn{Conn: c, limit: headLimit{r: c}}
	u.br = bufio.NewReader(&u.limit)
	u.bw = bufio.NewWriter(c)
	return u
}

// stale: the daemon closed a shared connection before it answered anything.
func (c *upConn) stale() bool { return c.used > 0 && !c.limit.any }

// answered reports whether the daemon has answered early, while it was still
// being written to.
func (c *upConn) answered() bool {
	c.limit.left = maxHead
	_, err := c.br.Peek(1)
	return err == nil
}

// readHead reads an answer's head, past interim ones.
func (c *upConn) readHead(method string) (*http.Response, error) {
	c.limit.left = maxHead
	defer func() { c.limit.left = -1 }()
	for range 5 {
		res, err := http.ReadResponse(c.br, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			c.used++
			return res, nil
		}
	}
	return nil, errors.New("more than five interim answers")
}

// headLimit bounds what is read until a head is complete.
type headLimit struct {
	r    io.Reader
	left int // -1: no bound
	any  bool
}

// Read reads at most what is left.
func (l *headLimit) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, fmt.Errorf("answer's head is over %d bytes", maxHead)
	}
	if l.left > 0 && len(p) > l.left {
		p = p[:l.left]
	}
	n, err := l.r.Read(p)
	if l.left > 0 {
		l.left -= n
	}
	l.any = l.any || n > 0
	return n, err
}
