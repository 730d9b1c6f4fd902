package gateway

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/test/wait"
)

// An answer that is held counts against its caller for as long as its client takes some of it, and no longer.
func TestHeldAnswerThatNobodyTakesIsGivenUpClosed(t *testing.T) {
	t.Parallel()
	big := `{"Config":{"Env":["A=b"],"Labels":{"a":"` + strings.Repeat("x", 8<<20) + `"}}}`
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, big)
	}, limits(Limits{BodyTimeout: 100 * time.Millisecond}))
	redacting()(g)
	still := g.dial()
	_, _ = io.WriteString(still, "GET /containers/big/json HTTP/1.1\r\nHost: d\r\n\r\n")
	g.recorded(1) // its head is written, all of it is held
	wait.Until(t, "the answer to be given up", func() bool { return g.srv.bigAnswer.Len() == 0 })
	if n, err := io.Copy(io.Discard, still); n >= 8<<20 {
		t.Errorf("%d bytes came, %v", n, err)
	}
}

// oneConn is a listener with one connection.
type oneConn chan net.Conn

func (l oneConn) Accept() (net.Conn, error) {
	if c, more := <-l; more {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l oneConn) Close() error   { return nil }
func (l oneConn) Addr() net.Addr { return &net.UnixAddr{} }

// TestHowLongAClientMayTakeOverAHeldAnswer: as long as it likes, if each part of it comes within the limit; the deadline of one
// answer is none of the next.
func TestHowLongAClientMayTakeOverAHeldAnswer(t *testing.T) {
	const limit, parts = time.Minute, 8
	for pause, whole := range map[time.Duration]bool{limit - time.Second: true, limit + time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			s := &Server{limits: Limits{BodyTimeout: limit}}
			srv := &http.Server{ReadHeaderTimeout: time.Hour, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(parts*bigAnswer))
				if r.URL.Path == "/held" {
					(&task{s: s, w: w}).hand(make([]byte, parts*bigAnswer))
				} else {
					_, _ = w.Write(make([]byte, parts*bigAnswer))
				}
			})}
			theirs, client := net.Pipe()
			l := make(oneConn, 1)
			l <- theirs
			go func() { _ = srv.Serve(l) }()
			defer close(l)
			defer client.Close()
			in := bufio.NewReader(client)
			for _, path := range []string{"/held", "/held", "/plain"} {
				if _, err := io.WriteString(client, "GET "+path+" HTTP/1.1\r\nHost: d\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				n := int64(0)
				for err == nil {
					var m int64
					m, err = io.CopyN(io.Discard, res.Body, bigAnswer)
					n += m
					time.Sleep(pause)
				}
				if (n == parts*bigAnswer) != whole || errors.Is(err, io.EOF) != whole {
					t.Errorf("a part in %s: %d bytes, %v", pause, n, err)
				}
				if !whole {
					return
				}
				time.Sleep(10 * limit)
			}
		})
	}
}
