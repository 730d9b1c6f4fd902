package dogstatsd

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/internal/kernel/peercred"
)

// client is one process that was seen to send datagrams.
type client struct {
	peer *peercred.Peer
	// born is when the process started, in nanoseconds since boot, as long as the process
	// is pinned by its number alone: a datagram from before that time may be somebody else's
	// who had the number. It is 0 for a process that is pinned by a datagram's own pidfd.
	born  int64
	inode uint64 // of its pidfd, if pidfds have inodes of their own; else 0
	seen  uint64 // the batch in which it was last seen to send

	origin atomic.Pointer[Origin] // nil until it is established
	failed atomic.Int64           // when it was found to be nowhere, in nanoseconds since the server's start

	mu      sync.Mutex
	pending bool     // with the resolver
	room    *room    // of the resolver, which the waiting packets take
	waiting [][]byte // packets, until the resolver is done
	dropped bool     // forgotten by its receiver: release the peer when done

	patience // of the resolver alone, while the sender is deferred
}

// patience is how long a sender is waited for, of whose container the Engine has not told.
type patience struct {
	until, again time.Time       // enough; when to try once more in any case
	changed      <-chan struct{} // closed: the answer may be another one by now
}

// newPatience is begun before a sender is looked at for the first time.
func newPatience(a attestor) patience {
	now := time.Now()
	return patience{now.Add(deferFor), now, a.Changed()}
}

// wait waits until it is time to try again, which it is not once it has been long enough.
func (p *patience) wait(ctx context.Context, a attestor) bool {
	again := time.NewTimer(min(time.Until(p.again), time.Until(p.until)))
	defer again.Stop()
	select {
	case <-p.changed:
	case <-again.C:
	case <-ctx.Done():
		return false
	}
	now := time.Now()
	p.again, p.changed = now.Add(tryEvery), a.Changed()
	return now.Before(p.until)
}

// forget gives the sender's descriptor back, now or when the resolver is done.
func (d *client) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pending {
		d.dropped = true
		return
	}
	d.peer.Release()
}

// Limits of the resolver. A sender that is nowhere is looked at again after a
// while, as the Engine may have been slow to tell of the sender's container.
const (
	retryAfter   = time.Second
	waitingMost  = 4 << 20 // bytes of packets that wait for their origin
	pendingMost  = 1024    // senders
	resolversRun = 4

	// Deferred senders have room of their own, so that they take none from others.
	deferFor     = time.Second
	deferredMost = 2 << 20
	askersRun    = 4                      // each may wait for the Engine
	tryEvery     = 200 * time.Millisecond // even if the Engine has told of nothing
)

// resolver establishes the origin of senders seen for the first time, beside
// the receivers: an attestation reads a dozen files. Packets wait for their sender's
// attestation, in their order; a packet for which there is no room goes on without an origin.
//
// A sender is deferred while the Engine has not told of the sender's container: it is looked
// at again until the Engine has, for a second at most. Nobody else's packets wait for the Engine.
type resolver struct {
	s                 *Server
	queues            [resolversRun]chan *client
	later             chan *client
	waiting, deferred room
}

// room is how many bytes of packets may wait.
type room struct {
	used atomic.Int64
	most int64
}

func (r *room) take(n int) bool {
	if r.used.Add(int64(n)) > r.most {
		r.give(n)
		return false
	}
	return true
}

func (r *room) give(n int) { r.used.Add(-int64(n)) }

func newResolver(s *Server) *resolver {
	r := &resolver{s: s, later: make(chan *client, pendingMost), waiting: room{most: waitingMost}, deferred: room{most: deferredMost}}
	for i := range r.queues {
		r.queues[i] = make(chan *client, pendingMost/resolversRun)
	}
	return r
}

// queue is where a sender waits. Each PID has one queue: where pidfds have no inodes of
// their own, a process that has exited is a new sender with each of its datagrams, and the
// datagrams' order must be kept all the same, or a gauge would end with a value that is not
// the last one.
func (r *resolver) queue(d *client) chan *client {
	return r.queues[uint(d.peer.PID)%resolversRun]
}

// run works until ctx ends, and then hands on what still waits.
func (r *resolver) run(ctx context.Context) {
	var wg sync.WaitGroup
	work := func(queue chan *client, resolve func(context.Context, *client, *worker)) {
		wg.Go(func() {
			w := worker{s: r.s}
			for {
				select {
				case d := <-queue:
					resolve(ctx, d, &w)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	for _, queue := range r.queues {
		work(queue, r.resolve)
	}
	for range askersRun {
		work(r.later, r.again)
	}
	wg.Wait()
}

// drain hands on what waits when nobody resolves any more. Call it after run
// and the receivers have returned.
func (r *resolver) drain() {
	w := worker{s: r.s}
	for _, queue := range append(r.queues[:], r.later) {
		for len(queue) > 0 {
			r.finish(<-queue, nowhere, &w)
		}
	}
}

// resolve looks at a sender for the first time, and waits for nobody.
func (r *resolver) resolve(ctx context.Context, d *client, w *worker) {
	patience := newPatience(r.s.attestor)
	o, later := r.s.attest(ended(ctx), d.peer)
	if later {
		if d.patience = patience; r.move(d) {
			return
		}
	}
	r.finish(d, o, w)
}

// ended is a context that lets nobody be asked.
func ended(ctx context.Context) context.Context {
	ctx, end := context.WithCancel(ctx)
	end()
	return ctx
}

// again looks at a sender that was deferred.
func (r *resolver) again(ctx context.Context, d *client, w *worker) {
	if !d.wait(ctx, r.s.attestor) {
		o, _ := r.s.attest(ended(ctx), d.peer)
		r.finish(d, o, w)
		return
	}
	asking, end := context.WithDeadline(ctx, d.until)
	o, later := r.s.attest(asking, d.peer)
	end()
	if later {
		select {
		case r.later <- d:
			return
		default:
		}
	}
	r.finish(d, o, w)
}

// move defers a sender with its packets, if there is room.
func (r *resolver) move(d *client) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	size := 0
	for _, packet := range d.waiting {
		size += len(packet)
	}
	if !r.deferred.take(size) {
		return false
	}
	select {
	case r.later <- d:
		r.waiting.give(size)
		d.room = &r.deferred
		return true
	default:
		r.deferred.give(size)
		return false
	}
}

func (r *resolver) finish(d *client, o *Origin, w *worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, packet := range d.waiting {
		w.deliver(packet, o, &r.s.counts.datagram)
		d.room.give(len(packet))
	}
	d.waiting, d.pending = nil, false
	// Only now, so that no later packet goes on before those that waited.
	if o == nowhere {
		d.failed.Store(int64(time.Since(r.s.started)))
	}
	d.origin.Store(o)
	if d.dropped {
		d.peer.Release()
	}
}

// hold keeps a packet until its sender's origin is established. It returns
// that origin if it is, and nowhere if there is no room to wait.
func (r *resolver) hold(d *client, packet []byte) *Origin {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.pending {
		if o := d.origin.Load(); o != nil && !r.stale(d, o) {
			return o
		}
		d.room = &r.waiting
		select {
		case r.queue(d) <- d:
			d.pending = true
		default:
			return nowhere
		}
	}
	if !d.room.take(len(packet)) {
		return nowhere
	}
	d.waiting = append(d.waiting, append([]byte(nil), packet...))
	return nil
}

// stale says that a sender that was nowhere may be somewhere by now.
func (r *resolver) stale(d *client, o *Origin) bool {
	return o == nowhere && time.Since(r.s.started)-time.Duration(d.failed.Load()) > retryAfter
}
