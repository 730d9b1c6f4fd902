package gateway

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"

	"vitrine/internal/authz/ticket"
)

// TestAnswerThatWasNotReadIsNobodyElsesClosed: a connection with the rest of an answer on it would give that rest to whoever asks next.
func TestAnswerThatWasNotReadIsNobodyElsesClosed(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*pooled)
		pooled bool
	}{
		"read to its end":     {func(*pooled) {}, true},
		"not read to its end": {func(e *pooled) { e.atEnd = false }, false},
		"the daemon closes":   {func(e *pooled) { e.res.Close = true }, false},
		"given up meanwhile":  {func(e *pooled) { e.unbind = func() bool { return false } }, false},
		"more than the answer came": {func(e *pooled) {
			e.conn.br = bufio.NewReader(strings.NewReader("HTTP/1.1 200"))
			_, _ = e.conn.br.Peek(1)
		}, false},
		"not read, and closes later": {func(e *pooled) { e.atEnd, e.res.Close = false, true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			ours, daemons := net.Pipe()
			defer ours.Close()
			defer daemons.Close()
			var p pool
			e := newPooled(&own{conn: newUpConn(ours), res: &http.Response{Body: http.NoBody}, unbind: func() bool { return true }}, &p)
			tc.change(e)
			for range 2 { // it is given back once
				_ = e.Close()
			}
			if got := len(p.idle) == 1; got != tc.pooled {
				t.Errorf("given to the next request: %v", got)
			}
		})
	}
}

// TestRequestWithABodySharesNoConnectionClosed: nor does one that may turn its connection into a stream.
func TestRequestWithABodySharesNoConnectionClosed(t *testing.T) {
	g := startHTTP(t, nil)
	for name, out := range map[string]*outgoing{
		"a body":     {method: "GET", uri: "/_ping", body: []byte("{}")},
		"a write":    {method: "POST", uri: "/_ping"},
		"an upgrade": {method: "GET", uri: "/_ping", upgrade: "tcp"},
	} {
		out.entry = ticket.Entry{Method: out.method, URI: out.uri, Body: ticket.JSON(out.body, false)}
		ex, err := g.srv.up.send(t.Context(), out)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, shared := ex.(*pooled); shared {
			t.Error(name)
		}
		_ = ex.Close()
	}
}
