package gateway

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/kernel/peercred"
)

// Connections that were left again before they are accepted are closed at once: they
// neither count nor cost a goroutine.
func TestWhoHasLeftIsNotServed(t *testing.T) {
	l := listenUnix(t, filepath.Join(t.TempDir(), "s"))
	accepted := make(chan net.Conn)
	dial := func(send string, leave bool) net.Conn {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, send)
		if leave {
			_ = c.Close()
		}
		return c
	}
	for range 100 {
		dial("", true)
	}
	dial("sent", true)
	stays := dial("", false)
	defer stays.Close()
	go func() {
		for {
			c, err := present{l}.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	first, second := <-accepted, <-accepted
	if b, err := io.ReadAll(first); string(b) != "sent" || err != nil {
		t.Errorf("first accepted: %q, %v", b, err)
	}
	_, _ = io.WriteString(second, "hello")
	b := make([]byte, 5)
	if _, err := io.ReadFull(stays, b); err != nil {
		t.Errorf("second accepted is not the one that stays: %v", err)
	}
	_, _ = first.Close(), second.Close()
	_ = l.Close()
	if c, more := <-accepted; more {
		t.Errorf("one more was accepted: %v", c.RemoteAddr())
	}
}

func TestGroupsAreRememberedForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		g := newGroups(func(p *peercred.Peer) string { asked++; return fmt.Sprint(p.PID, " ", p.UID, " ", asked) })
		for _, tc := range []struct {
			pid  int
			uid  uint32
			want string
		}{{1, 0, "1 0 1"}, {1, 0, "1 0 1"}, {2, 0, "2 0 2"}, {1, 5, "1 5 3"}, {1, 0, "1 0 1"}} {
			if got := g.of(&peercred.Peer{PID: tc.pid, UID: tc.uid}); got != tc.want {
				t.Errorf("%+v: got %s", tc, got)
			}
		}
		time.Sleep(groupFor)
		if got := g.of(&peercred.Peer{PID: 1}); got != "1 0 4" {
			t.Errorf("later: %s", got)
		}
		for i := range 3 * mostGroups {
			g.of(&peercred.Peer{PID: i})
		}
		if len(g.known) > mostGroups {
			t.Errorf("%d are remembered", len(g.known))
		}
	})
}

// The work for a connection counts against whom the kernel says it is.
func TestConnectionsAreOnTheirCallersAccount(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {}, func(c *Config) {
		c.CallerOf = func(p *peercred.Peer) string { return fmt.Sprint("group of ", p.UID) }
	})
	if status, _ := g.do("GET", "/_ping", "", ""); status != 200 {
		t.Fatal(status)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !strings.HasPrefix(g.account, "group of ") {
		t.Errorf("it was on the account of %q", g.account)
	}
}
