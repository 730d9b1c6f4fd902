// Package docker knows the Engine's containers: an inventory that events keep
// fresh, so that a decision normally asks the daemon nothing.
//
// It says what the Engine says, and no more: names, labels and images are as
// trustworthy as those who may create containers, and State.Pid is a number
// that may have been given to another process since (package attest confirms
// it). Labels that come with the image are told apart from those that the
// container's creator set.
//
// It never blocks the start of anything, and never waits for the daemon without
// a deadline. A miss is one inspect; while the daemon is blocked or gone, what
// is not known stays unknown, and callers must take that for a no.
package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"
)

// Container is one container as of its last inspect. Its maps are shared and
// must not be changed.
type Container struct {
	ID      string // 64 hex digits
	Name    string // without the leading slash
	Image   string // as typed at create
	ImageID string // what runs, "sha256:…"
	// Labels are all labels, those of the image too.
	Labels map[string]string
	// ImageLabels are those that the image sets. They mean nothing unless
	// ImageKnown: the image may be gone, or the daemon may not have answered.
	ImageLabels map[string]string
	ImageKnown  bool

	Running   bool   // with a process; a restarting container has none
	Pid       int    // of init, as the daemon's PID namespace numbers it; 0 unless Running
	StartedAt string // RFC 3339, with the daemon's clock

	// Rev changes whenever anything above does: what was made from an older Rev
	// is stale.
	Rev uint64
	// Detail is what else the last inspect said; nil before one.
	Detail *Detail

	asked uint64 // when the inspect began, in the inventory's own order of things
}

// Pod is the id of the Kubernetes pod that the container belongs to, and its
// name in there, from the labels that Kubernetes gives; "" for others.
func (c Container) Pod() (uid, name string) {
	return c.Labels["io.kubernetes.pod.uid"], c.Labels["io.kubernetes.container.name"]
}

// Inventory holds the Engine's containers. Run keeps it.
type Inventory struct {
	client  *Client
	log     *slog.Logger
	timeout time.Duration // of one question to the daemon
	period  time.Duration // between two reconciliations

	// apply serializes changes and the hooks that are told of them, so that hooks
	// see changes in the order in which they happened to the inventory.
	apply    sync.Mutex
	onChange []func(Container)
	onDie    []func(id string)
	onEvent  []func(Event)
	details  bool // keep Detail fresh

	mu     sync.RWMutex
	byID   map[string]Container
	byName map[string]string
	rev    uint64
	seq    uint64            // orders inspects (by their begin) and ends of containers
	ended  map[string]uint64 // seq of a container's last end: an inspect begun before it is stale
	swept  uint64            // seq when ended was last swept
	ready  bool
	err    error // what last ended an attempt to be ready

	images   sync.Mutex
	imageMap map[string]map[string]string // labels by image id and platform; nothing in it ever changes

	misses chan struct{} // limits concurrent inspects of misses
}

// NewInventory is empty until Run or Refresh fills it.
func NewInventory(c *Client, log *slog.Logger) *Inventory {
	return &Inventory{
		client: c, log: log, timeout: time.Second, period: time.Minute,
		byID: map[string]Container{}, byName: map[string]string{}, ended: map[string]uint64{},
		imageMap: map[string]map[string]string{}, misses: make(chan struct{}, 16),
	}
}

// OnChange adds a hook that is told of each container when it was inspected,
// stopped or removed. Hooks must return soon and must not call Refresh. Call it
// before Run.
func (inv *Inventory) OnChange(f func(Container)) { inv.onChange = append(inv.onChange, f) }

// OnDie adds a hook that is told the id of each container whose processes have
// ended. Hooks must return soon and must not call Refresh. Call it before Run.
func (inv *Inventory) OnDie(f func(id string)) { inv.onDie = append(inv.onDie, f) }

// OnEvent adds a hook that is told of each event, before the inventory follows
// it. Hooks must return soon and must not call Refresh. Call it before Run.
func (inv *Inventory) OnEvent(f func(Event)) { inv.onEvent = append(inv.onEvent, f) }

// KeepDetails makes the inventory keep [Container.Detail] fresh too, at the
// price of an inspect whenever a container dies, is paused or updated, or its health
// changes. Call it before Run.
func (inv *Inventory) KeepDetails() { inv.details = true }

// Append adds every container to list, in no order.
func (inv *Inventory) Append(list []Container) []Container {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	for _, c := range inv.byID {
		list = append(list, c)
	}
	return list
}

// Ready says that the inventory is complete: it has the whole list, and events
// keep it.
func (inv *Inventory) Ready() bool {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	return inv.ready
}

// Err is why the last attempt to become Ready failed, or Ready ended; nil
// while it is Ready, and before the first attempt has ended.
func (inv *Inventory) Err() error {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	return inv.err
}

// Running returns the containers that run, in no order.
func (inv *Inventory) Running() []Container {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	var out []Container
	for _, c := range inv.byID {
		if c.Running {
			out = append(out, c)
		}
	}
	return out
}

// Lookup finds a container by its full id, its name with or without a slash, or
// a prefix of its id that no other container has, in the daemon's order. It
// asks nobody.
func (inv *Inventory) Lookup(ref string) (Container, bool) {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	if c, ok := inv.byID[ref]; ok {
		return c, true
	}
	if id, ok := inv.byName[strings.TrimPrefix(ref, "/")]; ok {
		return inv.byID[id], true
	}
	if ref == "" || len(ref) >= 64 {
		return Container{}, false
	}
	var found Container
	for id, c := range inv.byID {
		if strings.HasPrefix(id, ref) {
			if found.ID != "" {
				return Container{}, false
			}
			found = c
		}
	}
	return found, found.ID != ""
}

// Refresh asks the daemon for one container, with a deadline of a second, and
// puts the answer into the inventory. [ErrNotFound] is the daemon's own word; any
// other error says that nothing is known.
func (inv *Inventory) Refresh(ctx context.Context, ref string) (Container, error) {
	ctx, cancel := context.WithTimeout(ctx, inv.timeout)
	defer cancel()
	select {
	case inv.misses <- struct{}{}:
		defer func() { <-inv.misses }()
	case <-ctx.Done():
		return Container{}, fmt.Errorf("inspect container %q: %w", ref, ctx.Err())
	}
	return inv.inspect(ctx, ref)
}

// Find is Lookup, and on a miss Refresh. An incomplete inventory cannot tell
// whether a prefix is unique, so then only a full id is looked up.
func (inv *Inventory) Find(ctx context.Context, ref string) (Container, error) {
	if inv.Ready() || isID(ref) {
		if c, ok := inv.Lookup(ref); ok {
			return c, nil
		}
	}
	if ref == "" {
		return Container{}, ErrNotFound
	}
	return inv.Refresh(ctx, ref)
}

// ExecContainer finds the container that an exec runs in.
func (inv *Inventory) ExecContainer(ctx context.Context, execID string) (Container, error) {
	ctx, cancel := context.WithTimeout(ctx, inv.timeout)
	defer cancel()
	id, err := inv.client.ExecInspect(ctx, execID)
	if err != nil {
		return Container{}, err
	}
	return inv.Find(ctx, id)
}

// errOvertaken says that a container ended while it was inspected.
var errOvertaken = errors.New("the container ended meanwhile")

// inspect asks and stores. An answer that the container's end has overtaken is
// asked for once more: stored late, it would raise the dead.
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
		ID: in.ID, Name: strings.TrimPrefix(in.Name, "/"), Image: in.Config.Image, ImageID: in.Image,
		Labels: in.Config.Labels, StartedAt: in.State.StartedAt, asked: asked,
	}
	if in.State.Running && in.State.Pid > 0 {
		c.Running, c.Pid = true, in.State.Pid
	}
	c.ImageLabels, c.ImageKnown = inv.imageLabels(ctx, in)
	c.Detail = in.detail()
	return c, nil
}

// imageLabels remembers the labels of images: an id names its content.
func (inv *Inventory) imageLabels(ctx context.Context, in inspected) (map[string]string, bool) {
	var platform json.RawMessage
	if in.ImageManifestDescriptor != nil {
		platform = in.ImageManifestDescriptor.Platform
	}
	key := in.Image + " " + string(platform)
	inv.images.Lock()
	labels, ok := inv.imageMap[key]
	inv.images.Unlock()
	if ok || in.Image == "" {
		return labels, ok
	}
	labels, err := inv.client.imageLabels(ctx, in.Image, platform)
	if err != nil {
		inv.log.Warn("labels of an image are not known, so its containers have no label principals",
			"image_id", in.Image, "container_id", in.ID, "error", err)
		return nil, false
	}
	inv.images.Lock()
	defer inv.images.Unlock()
	if len(inv.imageMap) >= 4096 { // images of long ago; those in use are asked for again
		clear(inv.imageMap)
	}
	inv.imageMap[key] = labels
	return labels, true
}

// store puts c in, unless it is overtaken by the container's end or by an
// answer to a later question; it returns what the inventory then holds.
func (inv *Inventory) store(c Container) (Container, error) {
	inv.apply.Lock()
	defer inv.apply.Unlock()
	inv.mu.Lock()
	old, had := inv.byID[c.ID]
	switch {
	case c.asked < inv.ended[c.ID]:
		inv.mu.Unlock()
		return Container{}, errOvertaken
	case had && c.asked < old.asked:
		inv.mu.Unlock()
		return old, nil
	case had && same(old, c):
		c.Rev = old.Rev
	default:
		inv.rev++
		c.Rev = inv.rev
	}
	inv.put(c)
	inv.mu.Unlock()
	if old.Running && (!c.Running || c.Pid != old.Pid || c.StartedAt != old.StartedAt) {
		inv.died(c.ID) // its event was missed
	}
	for _, f := range inv.onChange {
		f(c)
	}
	return c, nil
}

func same(a, b Container) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Image == b.Image && a.ImageID == b.ImageID &&
		a.Running == b.Running && a.Pid == b.Pid && a.StartedAt == b.StartedAt &&
		a.ImageKnown == b.ImageKnown && maps.Equal(a.Labels, b.Labels) && maps.Equal(a.ImageLabels, b.ImageLabels)
}

// put replaces a container; the caller holds mu. A name belongs to who had it last.
func (inv *Inventory) put(c Container) {
	if old, ok := inv.byID[c.ID]; ok && inv.byName[old.Name] == c.ID {
		delete(inv.byName, old.Name)
	}
	inv.byID[c.ID] = c
	if c.Name != "" {
		inv.byName[c.Name] = c.ID
	}
}

// stop notes that a container's processes have ended, and forgets it if removed.
func (inv *Inventory) stop(id string, removed bool) {
	inv.apply.Lock()
	defer inv.apply.Unlock()
	inv.mu.Lock()
	inv.seq++
	inv.ended[id] = inv.seq
	c, ok := inv.byID[id]
	wasRunning := c.Running
	if ok {
		inv.rev++
		c.Running, c.Pid, c.Rev, c.asked = false, 0, inv.rev, inv.seq
		inv.put(c)
	}
	if ok && removed {
		delete(inv.byID, id)
		if inv.byName[c.Name] == id {
			delete(inv.byName, c.Name)
		}
	}
	inv.mu.Unlock()
	if !ok {
		return
	}
	if wasRunning {
		inv.died(id)
	}
	for _, f := range inv.onChange {
		f(c)
	}
}

// sweep forgets ends that were there at the sweep before: every inspect that
// was under way then has met its deadline.
func (inv *Inventory) sweep() {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	maps.DeleteFunc(inv.ended, func(_ string, seq uint64) bool { return seq <= inv.swept })
	inv.swept = inv.seq
}

func (inv *Inventory) died(id string) {
	for _, f := range inv.onDie {
		f(id)
	}
}
