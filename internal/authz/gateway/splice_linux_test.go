package gateway

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// unixPair is both ends of a connection.
func unixPair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr)); err != nil {
		t.Fatal(err)
	}
	if b, err = l.AcceptUnix(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a, b
}

func random(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSplice moves all bytes in order, and ends when their sender does.
func TestSplice(t *testing.T) {
	from, src := unixPair(t)
	dst, to := unixPair(t)
	sent := random(t, 5<<20+123)
	done := make(chan error, 1)
	go func() { done <- splice(dst, src) }()
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 70_001)
			_, _ = from.Write(rest[:n])
			rest = rest[n:]
		}
		_ = from.CloseWrite()
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%v, equal %v", err, bytes.Equal(got, sent))
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestSpliceEnds as copying does: it tells who has failed.
func TestSpliceEnds(t *testing.T) {
	from, src := unixPair(t)
	dst, to := unixPair(t)
	_ = to.Close()
	_, _ = from.Write([]byte("x"))
	if err := splice(dst, src); !isWrite(err) {
		t.Errorf("to who has gone: %v", err)
	}
	dst, _ = unixPair(t)
	_ = src.SetReadDeadline(time.Now().Add(-time.Second))
	if err := splice(dst, src); !errors.Is(err, os.ErrDeadlineExceeded) || isWrite(err) {
		t.Errorf("too late: %v", err)
	}
	_ = src.Close()
	if err := splice(dst, src); !errors.Is(err, net.ErrClosed) || isWrite(err) {
		t.Errorf("from who was closed: %v", err)
	}
	for _, pair := range [][2]net.Conn{{dst, struct{ net.Conn }{src}}, {struct{ net.Conn }{dst}, src}} {
		if err := splice(pair[0], pair[1]); !errors.Is(err, errNoSplice) {
			t.Errorf("what is no Unix socket: %v", err)
		}
	}
}

// TestSpliceLeavesNothing open, however often it ends.
func TestSpliceLeavesNothing(t *testing.T) {
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	const times = 64
	_, src := unixPair(t)
	dst, _ := unixPair(t)
	_ = src.SetReadDeadline(time.Now().Add(-time.Second))
	before := open()
	for range times {
		if err := splice(dst, src); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	if more := open() - before; more >= times {
		t.Errorf("%d descriptors more are open", more)
	}
}

// TestMuchIsLeftToTheKernel, and nothing of it in a buffer.
func TestMuchIsLeftToTheKernel(t *testing.T) {
	var dst bytes.Buffer
	all := random(t, 3<<20)
	src := bufio.NewReaderSize(bytes.NewReader(all), 300_000)
	err := copyStream(&dst, src, &buffers{}, 1<<20)
	if n := dst.Len(); !errors.Is(err, errMuch) || n < 1<<20 || n == len(all) || src.Buffered() > 0 || !bytes.Equal(dst.Bytes(), all[:n]) {
		t.Errorf("%v after %d bytes, %d are left", err, dst.Len(), src.Buffered())
	}
}

// TestTunnelOfMuch comes through whole, both ways, though the kernel carries most of it.
func TestTunnelOfMuch(t *testing.T) {
	in, out := random(t, 3*spliceAfter), random(t, 5*spliceAfter)
	heard := make(chan []byte, 1)
	g := startRaw(t, func(g *rig, c *net.UnixConn, br *bufio.Reader, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.asks(r.Method, r.RequestURI, r.Header.Get("X-Vitrine-Ticket"), body)
		_, _ = io.WriteString(c, upgraded)
		var says sync.WaitGroup
		says.Go(func() { _, _ = c.Write(out); _ = c.CloseWrite() })
		all, _ := io.ReadAll(br)
		heard <- all
		says.Wait()
	})
	c := g.dial()
	_, _ = io.WriteString(c, "POST /exec/x/start HTTP/1.1\r\nHost: d\r\n"+upgrade+execBody)
	br := bufio.NewReader(c)
	readHead(t, br)
	go func() { _, _ = c.Write(in); _ = c.CloseWrite() }()
	if got, err := io.ReadAll(br); err != nil || !bytes.Equal(got, out) {
		t.Errorf("the answer: %d of %d bytes, %v", len(got), len(out), err)
	}
	if got := <-heard; !bytes.Equal(got, in) {
		t.Errorf("the input: %d of %d bytes", len(got), len(in))
	}
}

// TestTunnelOfMuchThatTheKernelCannotCarry, as TLS is, comes through whole, too.
func TestTunnelOfMuchThatTheKernelCannotCarry(t *testing.T) {
	from, src := net.Pipe()
	dst, to := net.Pipe()
	sent := random(t, 2*spliceAfter)
	go func() { _, _ = from.Write(sent); _ = from.Close() }()
	done := make(chan error, 1)
	go func() { done <- (&tunnel{}).carry(dst, src, bufio.NewReader(src), &buffers{}); _ = dst.Close() }()
	if got, err := io.ReadAll(to); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes, %v", len(got), len(sent), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
