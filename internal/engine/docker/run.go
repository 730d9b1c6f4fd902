package docker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Run keeps the inventory until ctx ends, and reconnects for ever. It returns
// ctx's error.
func (inv *Inventory) Run(ctx context.Context) error {
	const shortest, longest = 100 * time.Millisecond, 5 * time.Second
	wait, said, level := shortest, "", slog.LevelInfo // at the start the engine may be starting too
	for {
		began := time.Now()
		err := inv.follow(ctx)
		if wasReady := inv.setReady(false, err); ctx.Err() != nil {
			return ctx.Err()
		} else if wasReady {
			inv.log.Warn("lost the engine's events, reconnecting", "error", err)
			said, level = "", slog.LevelWarn
		} else if err.Error() != said { // once is enough
			inv.log.Log(ctx, level, "waiting for the engine", "error", err)
			said = err.Error()
		}
		if time.Since(began) > longest {
			wait = shortest
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, longest)
	}
}

func (inv *Inventory) setReady(now bool, err error) (before bool) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	before, inv.ready, inv.err = inv.ready, now, err
	if !now {
		inv.dropNetworks()
	}
	inv.notify()
	return before
}

// follow subscribes, takes the whole list, and then follows the events: in this
// order nothing falls between the list and the stream. What is to be asked of single
// containers is left to [asks], so that no answer is waited for here. The list and the
// stream are about all containers: if they fail, the Engine does.
func (inv *Inventory) follow(ctx context.Context) error {
	ctx, cancelCause := context.WithCancelCause(ctx)
	cancel := func() { cancelCause(nil) }
	defer cancel()
	// Subscribing has a deadline, the stream has none.
	deadline := time.AfterFunc(10*inv.timeout, func() { cancelCause(errors.New("the engine does not answer")) })
	types := []string{"container"}
	if inv.followsNetworks {
		types = append(types, "network")
	}
	next, stop, err := inv.client.events(ctx, types...)
	if err != nil {
		return err
	}
	defer stop()
	deadline.Stop()
	inv.kind.Store(nil) // it may be another engine than before

	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel() // before Wait: ends them
	if inv.followsDefaults {
		helpers.Go(func() { inv.keepDefaults(ctx) })
	}
	events, failed := read(ctx, &helpers, next)
	asks := newAsks(inv, &helpers)
	asks.list(ctx, true)
	tick, look := time.NewTicker(inv.period), time.NewTicker(inv.timeout/4)
	defer tick.Stop()
	defer look.Stop()
	for ready := false; ; {
		select {
		case e := <-events:
			asks.follow(ctx, e)
		case l := <-asks.lists:
			err = asks.compare(l)
		case a := <-asks.answers:
			asks.answered(a)
		case id := <-inv.hung:
			asks.about(id, false)
		case <-look.C:
			asks.look(time.Now())
		case <-tick.C:
			inv.sweep()
			asks.list(ctx, false)
		case err = <-failed:
		case <-ctx.Done(): // the reader may see it first, and has nothing to say then
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		asks.begin(ctx)
		if !ready && asks.complete() {
			ready = true
			inv.setReady(true, nil)
			inv.log.Info("following the engine's containers", "running", len(inv.Running()))
		}
	}
}

// read reads events until next fails, or ctx ends.
func read(ctx context.Context, helpers *sync.WaitGroup, next func() (Event, error)) (<-chan Event, <-chan error) {
	events, failed := make(chan Event, 256), make(chan error, 1)
	helpers.Go(func() {
		for {
			e, err := next()
			if err != nil {
				failed <- err
				return
			}
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
	})
	return events, failed
}
