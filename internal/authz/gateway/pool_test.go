package gateway

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestAnswerThatWasNotReadIsNobodyElsesClosed: a connection with the rest of an answer on it would give that rest to whoever asks next.
func TestAnswerThatWasNotReadIsNobodyElsesClosed(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*exchange)
		pooled bool
	}{
		"read to its end":          {func(*exchange) {}, true},
		"not read to its end":      {func(e *exchange) { e.eof = false }, false},
		"the daemon closes":        {func(e *exchange) { e.res.Close = true }, false},
		"of a request with a body": {func(e *exchange) { e.keep = false }, false},
		"given up meanwhile":       {func(e *exchange) { e.stop = func() bool { return false } }, false},
		"more than the answer came": {func(e *exchange) {
			e.conn.br = bufio.NewReader(strings.NewReader("HTTP/1.1 200"))
			_, _ = e.conn.br.Peek(1)
		}, false},
		"not read, and closes later": {func(e *exchange) { e.eof, e.res.Close = false, true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			ours, daemons := net.Pipe()
			defer ours.Close()
			defer daemons.Close()
			u := &upstream{}
			e := &exchange{up: u, conn: newUpConn(ours), keep: true, eof: true, res: &http.Response{}, stop: func() bool { return true }}
			tc.change(e)
			e.close()
			if got := len(u.pool.idle) == 1; got != tc.pooled {
				t.Errorf("given to the next request: %v", got)
			}
		})
	}
}
