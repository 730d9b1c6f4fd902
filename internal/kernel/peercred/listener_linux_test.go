package peercred

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestFailedAcceptsAreOneLine: whoever makes them fail does not fill the log.
func TestFailedAcceptsAreOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		f := failures{log: slog.New(slog.NewTextHandler(&log, nil))}
		for range 1000 {
			f.say("x", ErrNoCredentials)
		}
		time.Sleep(sayEvery)
		f.say("x", syscall.EMFILE)
		got := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(got) != 2 || !strings.Contains(got[0], ErrNoCredentials.Error()) || !strings.Contains(got[1], "times=1000") {
			t.Errorf("%q", got)
		}
	})
}

func TestHTTPServerHijacksAndHalfCloses(t *testing.T) {
	l, path := listen(t)
	type key struct{}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, key{}, c.(*Conn).Peer())
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			body, _ := io.ReadAll(rw) // ends when the client half-closes
			fmt.Fprintf(c, "%d %s", r.Context().Value(key{}).(*Peer).PID, body)
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
		}),
	}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: docker\r\n\r\nhello")
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if want := strconv.Itoa(os.Getpid()) + " hello"; err != nil || !strings.HasSuffix(string(answer), want) {
		t.Errorf("answer %q, %v, want %q", answer, err, want)
	}
}

// TestListenerIsToldOnce that it is closed, and says nothing of it.
func TestListenerIsToldOnce(t *testing.T) {
	var log strings.Builder
	inner, err := net.Listen("unix", socketPath(t))
	if err != nil {
		t.Fatal(err)
	}
	l := NewListener(inner, slog.New(slog.NewTextHandler(&log, nil)))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := l.Accept(); !errors.Is(err, net.ErrClosed) || c != nil || log.Len() > 0 {
		t.Errorf("%v, %v, and it says %q", c, err, &log)
	}
}

type wrapped struct{ *net.UnixConn }

// scripted is a listener that accepts what it is told.
type scripted struct {
	net.Listener
	conns []net.Conn
}

func (s *scripted) Accept() (net.Conn, error) {
	if len(s.conns) == 0 {
		return nil, syscall.EMFILE
	}
	c := s.conns[0]
	s.conns = s.conns[1:]
	return c, nil
}

// TestWhoseConnectionIsNotToldIsClosed: it is never handed on, and both that and why nothing is accepted are said.
func TestWhoseConnectionIsNotToldIsClosed(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	client, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := tcp.Accept()
	if err != nil {
		t.Fatal(err)
	}
	end, pipe := net.Pipe()
	defer end.Close()
	var ends []net.Conn
	own, path := listen(t)
	for range 2 {
		_, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := own.Listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, c)
	}
	_ = ends[1].Close()
	for name, c := range map[string]net.Conn{"TCP": server, "a pipe": pipe, "a connection of a kind of its own": wrapped{ends[0].(*net.UnixConn)}, "closed": ends[1]} {
		var log strings.Builder
		l := NewListener(&scripted{conns: []net.Conn{c}}, slog.New(slog.NewTextHandler(&log, nil)))
		if got, err := l.Accept(); got != nil || !errors.Is(err, syscall.EMFILE) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if !strings.Contains(log.String(), "a connection is closed") {
			t.Errorf("%s: it says %q", name, &log)
		}
		if _, err := c.Write([]byte{0}); err == nil {
			t.Errorf("%s: it is open", name)
		}
	}
	var log strings.Builder
	if _, err := NewListener(&scripted{}, slog.New(slog.NewTextHandler(&log, nil))).Accept(); err == nil || !strings.Contains(log.String(), "no connection can be accepted") {
		t.Errorf("%v, and it says %q", err, &log)
	}
}
