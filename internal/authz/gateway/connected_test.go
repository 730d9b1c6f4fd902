package gateway

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
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
			if !atEnd(ctx, func() { unhooked = true })() {
				t.Error("a hook was not there to be taken off")
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
