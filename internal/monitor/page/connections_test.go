package page

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"vitrine/test/wait"
)

// TestConnectionsOfOneAddressClosed: whoever reaches the page leaves the monitor its descriptors, and others room.
func TestConnectionsOfOneAddressClosed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(Bound(l)) }()
	var open []net.Conn
	t.Cleanup(func() {
		for _, c := range open {
			_ = c.Close()
		}
		_ = srv.Close()
		<-done
	})
	answered := func(from string) bool {
		c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		_ = c.SetDeadline(time.Now().Add(wait.Patience(5 * time.Second)))
		_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		_, errRead := c.Read(make([]byte, 1))
		return err == nil && errRead == nil
	}
	n := 0
	for n < 600 && answered("127.0.0.1") {
		n++
	}
	if n != 256 {
		t.Errorf("%d from one address", n)
	}
	if !answered("127.0.0.2") {
		t.Error("none from another one")
	}
	_ = open[0].Close()
	_ = open[1].Close()
	wait.Until(t, "room for one who leaves", func() bool { return answered("127.0.0.1") })
}
