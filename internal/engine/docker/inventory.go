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
//
// One container's failure is its own. The events are followed by one goroutine
// that asks nothing; whatever has changed is inspected by others, a container at
// a time, so that an inspect that hangs holds up only what is said of that
// container. Until it is answered that container is one of [Inventory.Unanswered].
// What is known of it then is what the Engine has told without being asked:
//
//   - It has ended: so it does not run, and has no process.
//   - It is created or renamed: so the name is its own, and nobody else is found
//     by it. (The event's name is the Engine's word; a label cannot stand over it.)
//   - It has started: so nothing, which leaves it as one that does not run.
//   - While nobody listened: anything may have happened. What was known of it
//     from before is not taken for true any longer: Lookup does not find it.
//
// A container's id, labels and image never change. So a container of which the inventory says
// that it runs has the process and the name that it says, or had them a moment ago.
package docker

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
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
	// ImageKnown: the image may be gone, or the daemon may not have answered, as ImageErr says.
	ImageLabels map[string]string
	ImageKnown  bool
	ImageErr    error

	Running   bool   // with a process; a restarting container has none
	Pid       int    // of init, as the daemon's PID namespace numbers it; 0 unless Running
	StartedAt string // RFC 3339, with the daemon's clock

	// Rev changes whenever anything above does: what was made from an older Rev
	// is stale.
	Rev uint64
	// Networks are names of those that it is in, or joins when it starts, as of its last inspect. Events keep them where the
	// inventory follows networks.
	Networks []string
	// Detail is what else the last inspect said; nil before one. Of an inventory that does not keep details it has
	// what decisions ask for, Mounts and Joined, and NetworkMode where that is another container's; what [Inventory.Refresh] gives has all but Env.
	Detail *Detail

	asked uint64 // when the inspect began, in the inventory's own order of things
	// doubted: it may have been renamed or restarted, and the Engine does not answer
	// about it.
	doubted bool
}

// Gave says of one of its labels that the container was given it when it was made, and has it from no image. An image that sets it
// to nothing leaves it to whoever makes the container, as the gateway has images that are built do; where one sets it to anything,
// even something else, nobody is trusted with it.
func (c Container) Gave(key string) bool {
	of, image := c.ImageLabels[key]
	return !image || of == "" && c.Labels[key] != ""
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

	followsDefaults bool
	defaults        atomic.Pointer[Defaults]
	kind            atomic.Pointer[Kind]

	followsNetworks bool
	networks        networks

	mu       sync.RWMutex
	byID     map[string]Container
	expected map[string]string // by id, the names of those that the Engine has told of and not described yet; "" if it did not say
	byName   map[string]string // ids, in byID or expected
	rev      uint64
	seq      uint64            // orders inspects (by their begin), and ends and names of containers
	passed   map[string]uint64 // seq of a container's last end or change of name: an inspect begun before it is stale
	swept    uint64            // seq when passed was last swept
	ready    bool
	err      error // what last ended an attempt to be ready
	// unanswered are the containers about which the Engine does not answer.
	unanswered map[string]Unanswered
	removed    map[string]tombstone
	changed    chan struct{} // closed at the next change; nil: nobody waits for one

	words words

	images   sync.Mutex
	imageMap map[string]map[string]string // labels by image id and the digest of its part; nothing in it ever changes
	// imageSaid: that these images' labels are not known is in the log.
	imageSaid map[string]bool

	misses chan struct{} // limits concurrent inspects of misses
	hung   chan string   // ids of containers, when an inspect of a miss was not answered: whoever follows asks on
}

// NewInventory is empty until Run or Refresh fills it.
func NewInventory(c *Client, log *slog.Logger) *Inventory {
	return &Inventory{
		client: c, log: log, timeout: time.Second, period: time.Minute,
		byID: map[string]Container{}, expected: map[string]string{}, byName: map[string]string{}, passed: map[string]uint64{},
		unanswered: map[string]Unanswered{}, removed: map[string]tombstone{}, imageMap: map[string]map[string]string{}, imageSaid: map[string]bool{},
		misses: make(chan struct{}, 16), hung: make(chan string, 64), networks: networks{place: make(chan struct{}, 1)},
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
// keep it. A container about which the Engine does not answer does not change that.
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
// asks nobody. It does not find one of which less is known: see the package.
func (inv *Inventory) Lookup(ref string) (Container, bool) {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	c, ok := inv.byID[inv.resolve(ref)]
	if !ok || c.doubted {
		return Container{}, false
	}
	return c, true
}

// Has says that the Engine has told of a container with this full id, whatever is known of it.
func (inv *Inventory) Has(id string) bool {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	_, known := inv.byID[id]
	_, expected := inv.expected[id]
	return known || expected
}

// resolve gives the id that a reference means, "" if there is none, or more than
// one, or if it cannot be told; the caller holds mu.
func (inv *Inventory) resolve(ref string) string {
	if _, ok := inv.byID[ref]; ok {
		return ref
	}
	if _, ok := inv.expected[ref]; ok {
		return ref
	}
	if id, ok := inv.byName[strings.TrimPrefix(ref, "/")]; ok {
		return id
	}
	if ref == "" || len(ref) >= 64 {
		return ""
	}
	found, several := "", false
	match := func(id, name string) {
		if strings.HasPrefix(id, ref) {
			several, found = several || found != "", id
		}
		several = several || name == "" // its name may be this one
	}
	for id, c := range inv.byID {
		match(id, c.Name)
	}
	for id, name := range inv.expected {
		match(id, name)
	}
	if several {
		return ""
	}
	return found
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
