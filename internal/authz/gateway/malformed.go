package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"vitrine/internal/engine/operation"
)

// net/http answers by itself what it cannot read as a request: 400, 431, 501, 417. Nobody
// should be able to try at a socket without a record, so a connection knows whether the
// request whose bytes have begun to arrive has reached ServeHTTP. Whatever is written before is
// net/http's own answer, and is recorded while the connection is open and its peer known.

// connState is http.Server's hook. net/http calls it for no request that came along with the
// one before, so a connection is unread from the end of each request on, and nothing of ours is
// written from then on either. A TLS connection writes its goodbye at that time, so it is unread
// only before its first request.
func connState(c net.Conn, state http.ConnState) {
	t, secure := c.(*tls.Conn)
	if secure {
		c = t.NetConn()
	}
	own, ok := c.(*conn)
	if ok && (state == http.StateActive || state == http.StateIdle && !secure) {
		own.unread.Store(true)
	}
}

// Write notices an answer to what is no request.
func (c *conn) Write(p []byte) (int, error) {
	if c.unread.Load() && c.unread.CompareAndSwap(true, false) {
		c.malformed(c, p)
	}
	return c.Conn.Write(p)
}

// malformed records what net/http refuses.
func (s *Server) malformed(c *conn, answer []byte) {
	r := &operation.Refusal{Status: http.StatusBadRequest, Code: "malformed", Reason: "what was sent is not an HTTP/1.1 request"}
	if c.tls == nil { // else the answer is encrypted
		head, body, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
		_, _ = fmt.Sscanf(string(head), "HTTP/1.1 %d", &r.Status) // 400 if it is anything else
		if len(body) > 0 {
			r.Reason += fmt.Sprintf(": %.200s", body)
		}
	}
	v := s.cfg.Authorizer.Authorize(context.Background(), s.identityOf(c), &operation.Request{Refused: r})
	v.Finish(r.Status, false)
}
