package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"vitrine/internal/fair"
)

// ErrUnanswered says that the Engine does not answer about one container, whatever
// it says of others.
var ErrUnanswered = errors.New("the engine does not answer about this container")

// Refresh asks the daemon for one container, with a deadline of a second, and
// puts the answer into the inventory. [ErrNotFound] is the daemon's own word; any
// other error says that nothing is known. Where the daemon is known not to answer about
// a container, Refresh does not ask: the goroutine that follows the events does.
func (inv *Inventory) Refresh(ctx context.Context, ref string) (Container, error) {
	defer fair.Rest(ctx)() // the Engine is waited for
	id, err := inv.hangs(ref)
	if err != nil {
		return Container{}, fmt.Errorf("inspect container %q: %w", ref, err)
	}
	asking, cancel := context.WithTimeout(ctx, inv.timeout)
	defer cancel()
	select {
	case inv.misses <- struct{}{}:
		defer func() { <-inv.misses }()
	case <-asking.Done():
		return Container{}, fmt.Errorf("inspect container %q: %w", ref, asking.Err())
	}
	c, err := inv.inspect(asking, ref)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && id != "" {
		select {
		case inv.hung <- id:
		default: // enough to do
		}
	}
	return c, err
}

// hangs gives the id that a reference means, "" where that is not known, and an error
// if the daemon does not answer about that container.
func (inv *Inventory) hangs(ref string) (id string, err error) {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	id = inv.resolve(ref)
	if u := inv.unanswered[id]; inv.ready && u.hangs {
		return id, fmt.Errorf("%w: %w", ErrUnanswered, u.Err)
	}
	return id, nil
}

// ExecContainer finds the container that an exec runs in.
func (inv *Inventory) ExecContainer(ctx context.Context, execID string) (Container, error) {
	defer fair.Rest(ctx)()
	ctx, cancel := context.WithTimeout(ctx, inv.timeout)
	defer cancel()
	id, err := inv.client.execInspect(ctx, execID)
	if err != nil {
		return Container{}, err
	}
	return inv.Find(ctx, id)
}

// ExecWaits says of an exec that it was made, and has not run.
func (inv *Inventory) ExecWaits(ctx context.Context, id string) (bool, error) {
	defer fair.Rest(ctx)()
	ctx, cancel := context.WithTimeout(ctx, inv.timeout)
	defer cancel()
	return inv.client.execWaits(ctx, id)
}

// inspect asks and stores. An answer that something has overtaken is asked for once
// more: stored late, it would raise the dead.
func (inv *Inventory) inspect(ctx context.Context, ref string) (Container, error) {
	var err error
	for range 3 {
		var c Container
		if c, err = inv.ask(ctx, ref); err != nil {
			return Container{}, err
		}
		if c, err = inv.store(c); err == nil {
			return c, nil
		}
	}
	return Container{}, fmt.Errorf("inspect container %q: %w", ref, err)
}

func (inv *Inventory) ask(ctx context.Context, ref string) (Container, error) {
	inv.mu.Lock()
	inv.seq++
	asked := inv.seq
	inv.mu.Unlock()
	in, err := inv.client.containerInspect(ctx, ref)
	if err != nil {
		return Container{}, err
	}
	c := Container{
		ID: in.ID, Name: strings.TrimPrefix(in.Name, "/"), Image: inv.words.held(in.Config.Image), ImageID: inv.words.held(in.Image),
		Labels: inv.words.heldAll(in.Config.Labels), StartedAt: in.State.StartedAt, Networks: slices.Sorted(maps.Keys(in.NetworkSettings.Networks)), asked: asked,
	}
	if in.State.Running && in.State.Pid > 0 {
		c.Running, c.Pid = true, in.State.Pid
	}
	c.ImageLabels, c.ImageErr = inv.imageLabels(ctx, in)
	c.ImageKnown = c.ImageErr == nil
	c.Detail = in.detail()
	if !inv.details {
		c.Detail.Env = nil // which nobody asks for then, and which has passwords in it
	}
	return c, nil
}

// words are texts that many containers have, such as keys of labels: of those each is held once.
type words struct {
	mu sync.Mutex
	of map[string]string
}

// held is a text that is held already, if there is the same.
func (w *words) held(s string) string {
	const most, longest = 4096, 128
	w.mu.Lock()
	defer w.mu.Unlock()
	had, has := w.of[s]
	switch {
	case has:
		return had
	case len(s) > longest:
		return s
	case w.of == nil || len(w.of) >= most: // what is common comes again
		w.of = map[string]string{}
	}
	w.of[s] = s
	return s
}

func (w *words) heldAll(labels map[string]string) map[string]string {
	if labels == nil {
		return nil
	}
	all := make(map[string]string, len(labels))
	for key, value := range labels {
		all[w.held(key)] = w.held(value)
	}
	return all
}

// imageLabels remembers the labels of images: an id names its content, for each platform. An image about
// which the Engine does not answer does not keep a container from being known.
func (inv *Inventory) imageLabels(ctx context.Context, in inspected) (map[string]string, error) {
	of, err := inv.partOf(ctx, in)
	if err != nil {
		return nil, err
	}
	key := in.Image
	if of != nil {
		key += " " + of.Digest
	}
	inv.images.Lock()
	labels, ok := inv.imageMap[key]
	said := inv.imageSaid[key]
	inv.images.Unlock()
	switch {
	case ok:
		return labels, nil
	case in.Image == "":
		return nil, fmt.Errorf("the engine does not say which image container %q has", in.ID)
	}
	patience := 5 * inv.timeout
	if said { // it may have none again
		patience = inv.timeout
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	labels, err = inv.client.imageLabels(ctx, in.Image, of)
	inv.images.Lock()
	inv.rememberImage(key, labels, err)
	inv.images.Unlock()
	if err != nil && !said {
		inv.log.Warn("labels of an image are not known, so its containers have no label principals",
			"image_id", in.Image, "container_id", in.ID, "error", err)
	}
	return labels, err
}

// partOf is that of its image which a container was made of, nil where images have but one. A container that was made by an older
// Engine has none for ever.
func (inv *Inventory) partOf(ctx context.Context, in inspected) (*descriptor, error) {
	kind, err := inv.kindNow(ctx)
	if err != nil {
		return nil, err
	}
	of := in.ImageManifestDescriptor
	switch {
	case !kind.Platforms:
		return nil, nil
	case !kind.TellsPlatform, of == nil, of.Digest == "", len(of.Platform) == 0:
		return nil, ErrPlatform
	}
	return of, nil
}

// rememberImage keeps an image's labels, or that the log says that there was no answer; the
// caller holds images. When there is no more room all is forgotten: images in use are asked for again.
func (inv *Inventory) rememberImage(key string, labels map[string]string, err error) {
	const most = 4096
	if err != nil {
		if len(inv.imageSaid) >= most {
			clear(inv.imageSaid)
		}
		inv.imageSaid[key] = true
		return
	}
	if len(inv.imageMap) >= most {
		clear(inv.imageMap)
	}
	inv.imageMap[key] = labels
	delete(inv.imageSaid, key)
}
