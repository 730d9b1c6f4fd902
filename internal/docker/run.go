package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
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
	return before
}

// follow subscribes, takes the whole list, and then follows the events: in this
// order nothing falls between the list and the stream.
func (inv *Inventory) follow(ctx context.Context) error {
	ctx, cancelCause := context.WithCancelCause(ctx)
	cancel := func() { cancelCause(nil) }
	defer cancel()
	// Subscribing has a deadline, the stream has none.
	deadline := time.AfterFunc(10*inv.timeout, func() { cancelCause(errors.New("the engine does not answer")) })
	next, stop, err := inv.client.Events(ctx)
	if err != nil {
		return err
	}
	defer stop()
	deadline.Stop()

	events := make(chan Event, 256)
	failed := make(chan error, 1)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer cancel() // before Wait: ends the reader
	reader.Go(func() {
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

	if err := inv.reconcile(ctx, true); err != nil {
		return err
	}
	inv.setReady(true, nil)
	inv.log.Info("following the engine's containers", "running", len(inv.Running()))
	tick := time.NewTicker(inv.period)
	defer tick.Stop()
	for {
		select {
		case e := <-events:
			err = inv.event(ctx, e)
		case <-tick.C:
			inv.sweep()
			err = inv.reconcile(ctx, false)
		case err = <-failed:
		case <-ctx.Done(): // the reader may see it first, and has nothing to say then
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// event brings one container up to date. What the event says beyond "look
// again" and "it died" is not used: an inspect is newer.
func (inv *Inventory) event(ctx context.Context, e Event) error {
	for _, f := range inv.onEvent {
		f(e)
	}
	switch e.Action {
	case "destroy":
		inv.stop(e.ID, true)
	case "die":
		inv.stop(e.ID, false)
		if inv.details {
			return inv.update(ctx, e.ID)
		}
	case "create", "start", "rename":
		return inv.update(ctx, e.ID)
	case "oom", "pause", "unpause", "update":
		if inv.details {
			return inv.update(ctx, e.ID)
		}
	default:
		if inv.details && strings.HasPrefix(e.Action, "health_status") { // "health_status: healthy"
			return inv.update(ctx, e.ID)
		}
	}
	return nil
}

// update inspects one container; one that is gone is forgotten.
func (inv *Inventory) update(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*inv.timeout)
	defer cancel()
	_, err := inv.inspect(ctx, id)
	if errors.Is(err, ErrNotFound) {
		inv.stop(id, true)
		return nil
	}
	return err
}

// reconcile compares with the whole list and inspects what differs, or all: the
// list does not say whether a container was restarted while nobody listened.
func (inv *Inventory) reconcile(ctx context.Context, all bool) error {
	listing, cancel := context.WithTimeout(ctx, 10*inv.timeout)
	defer cancel()
	list, err := inv.client.ContainerList(listing)
	if err != nil {
		return err
	}
	missing := inv.snapshot()
	for _, s := range list {
		known, ok := missing[s.ID]
		delete(missing, s.ID)
		if ok && !all && inv.agrees(known, s) {
			continue
		}
		if err := inv.update(ctx, s.ID); err != nil {
			return fmt.Errorf("reconcile: %w", err)
		}
	}
	for id := range missing { // removed, or created since the list
		if err := inv.update(ctx, id); err != nil {
			return fmt.Errorf("reconcile: %w", err)
		}
	}
	return nil
}

func (inv *Inventory) snapshot() map[string]Container {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	return maps.Clone(inv.byID)
}

func (inv *Inventory) agrees(c Container, s Summary) bool {
	running := s.State == "running" || s.State == "paused"
	return c.ImageKnown && c.Running == running && slices.Contains(s.Names, "/"+c.Name) &&
		(!inv.details || c.Detail != nil && c.Detail.State == s.State)
}
