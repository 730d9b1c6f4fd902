package fair

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
)

// TestManyCallersLeaveRoomClosed: callers that act together, each within its own limit, leave some for others.
func TestManyCallersLeaveRoomClosed(t *testing.T) {
	c := NewCount[string](4096, 1024)
	for caller := range 8 {
		for c.Add(fmt.Sprint("attacker ", caller)) {
		}
	}
	for range 4 {
		if !c.Add("somebody else") {
			t.Fatalf("no room among %d", c.Len())
		}
	}
	alone, n := NewCount[string](4096, 1024), 0
	for alone.Add("alone") {
		n++
	}
	if n != 1024 || alone.Refused() != 1 {
		t.Errorf("one caller alone got %d, and was refused %d times", n, alone.Refused())
	}
}

// TestWhatEndedIsNotCounted: not even its name is kept.
func TestWhatEndedIsNotCounted(t *testing.T) {
	c := NewCount[string](4, 2)
	c.Add("a")
	c.Add("a")
	c.Remove("a")
	c.Remove("a")
	if len(c.by) > 0 || c.Len() != 0 {
		t.Errorf("%v, %d", c.by, c.Len())
	}
}

// TestConnectionsOfOneKeyClosed: others are closed, until one of them ends; it is counted down once.
func TestConnectionsOfOneKeyClosed(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = inner.Close() }()
	l := Listener(inner, 4, func(c net.Conn) string { return c.RemoteAddr().(*net.TCPAddr).IP.String() })
	dial := func(from string) net.Conn {
		c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	accept := func(from net.Conn) net.Conn {
		t.Helper()
		c, err := l.Accept()
		if err != nil || c.RemoteAddr().String() != from.LocalAddr().String() {
			t.Fatalf("%v, %v, want %v", c, err, from.LocalAddr())
		}
		if got := c.(interface{ NetConn() net.Conn }).NetConn(); got.(*net.TCPConn).RemoteAddr().String() != from.LocalAddr().String() {
			t.Errorf("NetConn is of %v", got.RemoteAddr())
		}
		return c
	}
	first := accept(dial("127.0.0.1"))
	accept(dial("127.0.0.1"))
	refused := dial("127.0.0.1")
	accept(dial("127.0.0.2"))
	if n, err := refused.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the third of one address: %d, %v", n, err)
	}
	_ = first.Close()
	_ = first.Close()
	if n := l.(*listener[string]).count.Len(); n != 2 {
		t.Errorf("%d are counted", n)
	}
	accept(dial("127.0.0.2"))
	_ = inner.Close()
	if _, err := l.Accept(); err == nil {
		t.Error("accepted by what is closed")
	}
}

// TestAddressesOfOneHostAreOneSourceClosed: of IPv6 a host may have as many addresses as it likes, in a network of its own.
func TestAddressesOfOneHostAreOneSourceClosed(t *testing.T) {
	for of, want := range map[net.Addr]string{
		&net.TCPAddr{IP: net.ParseIP("192.0.2.7"), Port: 1}:            "192.0.2.7",
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 8).To4(), Port: 1}:        "192.0.2.8",
		&net.TCPAddr{IP: net.ParseIP("2001:db8:1:2::3"), Port: 1}:      "2001:db8:1:2::",
		&net.TCPAddr{IP: net.ParseIP("2001:db8:1:2:ffff::4"), Port: 2}: "2001:db8:1:2::",
		&net.TCPAddr{IP: net.ParseIP("2001:db8:1:3::3"), Port: 1}:      "2001:db8:1:3::",
		&net.UnixAddr{Name: "@", Net: "unix"}:                          "",
	} {
		if got := Source(from{of: of}); got != want {
			t.Errorf("%v is %q, want %q", of, got, want)
		}
	}
}

type from struct {
	net.Conn
	of net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.of }
