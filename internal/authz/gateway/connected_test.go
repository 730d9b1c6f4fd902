package gateway

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/kernel/peercred"
	"vitrine/test/wait"
)

// connectedTask is a task whose client's half ends by the function; peer is nil, so it has left then.
func connectedTask(t *testing.T) (*task, context.CancelFunc) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	return &task{r: (&http.Request{}).WithContext(ctx), conn: &conn{}}, leave
}

// TestConnectedEndsWhenTheClientLeaves, whether that is while the request is brief or not: with it what hangs on it.
func TestConnectedEndsWhenTheClientLeaves(t *testing.T) {
	for _, after := range []time.Duration{0, brief / 2, brief, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			task, leave := connectedTask(t)
			ctx, began := task.whileConnected(), time.Now()
			defer ctx.end()
			var hook, child time.Duration
			atEnd(ctx, func() { hook = time.Since(began) })
			derived, cancel := context.WithCancel(ctx)
			defer cancel()
			context.AfterFunc(derived, func() { child = time.Since(began) })
			unhooked := false
			unhook := atEnd(ctx, func() { unhooked = true })
			if !unhook() || unhook() {
				t.Error("a hook is taken off once")
			}
			time.Sleep(after)
			if ctx.Err() != nil {
				t.Errorf("it has ended: %v", ctx.Err())
			}
			leave()
			<-ctx.Done()
			synctest.Wait()
			want := max(after, brief)
			if took := time.Since(began); took != want || hook != want || child != want || unhooked || ctx.Err() == nil {
				t.Errorf("left after %s: ended after %s, hook %s, child %s, %v, unhooked %v", after, took, hook, child, ctx.Err(), unhooked)
			}
			late := make(chan struct{})
			if atEnd(ctx, func() { close(late) })() {
				t.Error("a hook behind the end can be taken off")
			}
			<-late
		})
	}
}

// TestConnectedOfTheRequestBefore does not end the one that came after it on the same connection.
func TestConnectedOfTheRequestBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task, leave := connectedTask(t)
		before := task.whileConnected()
		before.end()
		if <-before.Done(); before.Err() == nil {
			t.Error("it has not ended")
		}
		after := task.whileConnected()
		defer after.end()
		before.end()
		leave()
		synctest.Wait()
		time.Sleep(brief)
		synctest.Wait()
		if after.Err() == nil {
			t.Error("nobody looks whether the client of the next one leaves")
		}
	})
}

// TestConnectionThatWeCloseEndsItsRequest at once: nobody has to find out that its client has gone.
func TestConnectionThatWeCloseEndsItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		task, leave := connectedTask(t)
		defer leave()
		task.conn.Conn, task.conn.conns = ours, newConnections(Limits{}.withDefaults())
		ctx, began := task.whileConnected(), time.Now()
		defer ctx.end()
		task.conn.sever()
		if <-ctx.Done(); time.Since(began) > 0 {
			t.Errorf("it ends after %s", time.Since(began))
		}
	})
}

// TestNobodyLooksAfterTheAnswer whether a client leaves that may ask again.
func TestNobodyLooksAfterTheAnswer(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") })
	c := g.dial()
	if _, err := io.WriteString(c, "GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	wait.Until(t, "the request to be over", func() bool {
		all := g.srv.conns.all()
		return len(all) == 1 && all[0].current() == nil
	})
}

// TestClosedConnectionHasHungUp: nobody is at the other end of what we have closed.
func TestClosedConnectionHasHungUp(t *testing.T) {
	a, _ := unixPair(t)
	if hungUp(a) {
		t.Error("the other end is there")
	}
	if _ = a.Close(); !hungUp(a) {
		t.Error("it is closed")
	}
}

// TestLookingForAClientEndsWithItsRequest, whose connection goes on.
func TestLookingForAClientEndsWithItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, _ := net.Pipe()
		task, _ := connectedTask(t)
		task.conn.Conn, task.conn.peer = ours, &peercred.Peer{}
		c := task.whileConnected()
		looks := true
		go func() { c.halfClosed(); looks = false }()
		if time.Sleep(10 * leftEvery); !looks {
			t.Error("its client is said to have left")
		}
		c.end()
		if synctest.Wait(); looks {
			t.Error("it goes on")
		}
	})
}
