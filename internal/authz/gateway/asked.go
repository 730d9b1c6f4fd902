package gateway

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"vitrine/internal/authz/ticket"
)

// asked is what we know of whether dockerd asks its plugin. Any request can prove that dockerd
// does not ask. That dockerd asks is proven by our own pings only, because a ping is short: a
// request about which dockerd asked an hour ago says nothing of now.
type asked struct {
	log  *slog.Logger
	kick chan struct{} // ping now

	mu         sync.Mutex
	now, known bool
	proven     time.Time // when the last ping began that we were asked about
}

func (a *asked) get() (now, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now, a.known
}

// yes: a ping that began at that time was asked about.
func (a *asked) yes(began time.Time) {
	a.mu.Lock()
	a.proven = began
	changed := a.set(true)
	a.mu.Unlock()
	if changed {
		a.log.Info("dockerd asks the authorization plugin")
	}
}

// no: a request that began at that time was answered, and not asked about.
func (a *asked) no(began time.Time) {
	a.mu.Lock()
	if began.Before(a.proven) { // it was on its way before dockerd was told to ask
		a.mu.Unlock()
		return
	}
	changed := a.set(false)
	a.mu.Unlock()
	if changed {
		a.log.Error("dockerd does not ask the authorization plugin: requests on its own sockets pass undecided",
			"hint", "name the plugin in authorization-plugins of daemon.json and send dockerd a SIGHUP")
	}
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

func (a *asked) set(now bool) (changed bool) {
	changed = !a.known || a.now != now
	a.now, a.known = now, true
	return changed
}

// Pinging goes faster while there is something to wait for.
const (
	pingTimeout = 5 * time.Second
	pingSoon    = 250 * time.Millisecond
)

// watch pings the daemon until ctx ends, so that we know when it answers, and
// notice within the interval that it no longer asks, or asks again.
func (u *upstream) watch(ctx context.Context) {
	for ctx.Err() == nil {
		u.ping(ctx)
		u.pool.drop(idleTime)
		wait := u.every
		if !u.ready.Load() { // while dockerd does not ask, each ping kicks
			wait = min(wait, pingSoon)
		}
		select {
		case <-ctx.Done():
		case <-u.asked.kick:
			sleep(ctx, min(wait, pingSoon))
		case <-time.After(wait):
		}
	}
}

// sleep reports whether ctx still goes on afterwards.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (u *upstream) ping(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	ex, err := u.send(ctx, &outgoing{
		method: http.MethodGet, uri: "/_ping",
		entry: ticket.Entry{Method: http.MethodGet, URI: "/_ping", Caller: "self", Self: true},
		ping:  true,
	})
	if err != nil {
		u.log.Debug("ping", "error", err)
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(ex, 1<<10)) // a ping's body is "OK"
	_ = ex.Close()
}
