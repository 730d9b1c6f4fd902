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
	// born is when the process started, in nanoseconds since boot, as long as only
	// its number pins it: what was sent before, somebody else with that number may
	// have sent. It is 0 for a process that is pinned by a datagram's own pidfd.
	born  int64
	inode uint64 // of its pidfd, which is the process's alone; 0 if it has none such
	seen  uint64 // the batch in which it was last seen to send

	origin atomic.Pointer[Origin] // nil until it is established
	asked  atomic.Int64           // when it was found to be nowhere, in nanoseconds since the server's start

	mu      sync.Mutex
	pending bool          // with the resolver
	budget  *atomic.Int64 // of the resolver, from which the waiting packets are taken
	waiting [][]byte      // packets, until the resolver is done
	dropped bool          // forgotten by its receiver: release the peer when done

	// Of a sender that is put off; the resolver's alone.
	due time.Time
	patience
}

// patience is how long a sender has been waited for.
type patience struct {
	since, tried time.Time
	revision     uint64 // of the attestor, when it was tried
}

// over says that it has been long enough.
func (p *patience) over(now time.Time) bool { return now.Sub(p.since) > putOffFor }

// try says that the answer may be another one by now.
func (p *patience) try(a Attestor, now time.Time) bool {
	revision := a.Revision()
	if p.revision == revision && now.Sub(p.tried) <= tryEvery {
		return false
	}
	p.revision, p.tried = revision, now
	return true
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

// Limits of the resolver. A sender that is nowhere is asked for again after a
// while, as the Engine may have been slow to tell of its container.
const (
	retryAfter   = time.Second
	waitingMost  = 4 << 20 // bytes of packets that wait for their origin
	pendingMost  = 1024    // senders
	resolversRun = 4

	// Senders that are put off have room of their own, so that they take none from others.
	putOffFor  = time.Second
	putOffMost = 2 << 20
	askersRun  = 4 // each may wait for the Engine
	// Between two looks at one: whether the attestor has been told of a container
	// since; and if not, whether something else has changed.
	lookEvery = 25 * time.Millisecond
	tryEvery  = 200 * time.Millisecond
)

// resolver establishes the origin of senders seen for the first time, beside
// the receivers: an attestation reads a dozen files. Packets wait for it, in their
// order; what does not fit goes on without an origin.
//
// Nobody's packets wait for the Engine but those of senders whose container it has not told of:
// these are put off, and asked for again until it has, for a second at most.
type resolver struct {
	s       *Server
	queues  [resolversRun]chan *client
	later   chan *client
	waiting atomic.Int64 // bytes
	putOff  atomic.Int64 // bytes
}

func newResolver(s *Server) *resolver {
	r := &resolver{s: s, later: make(chan *client, pendingMost)}
	for i := range r.queues {
		r.queues[i] = make(chan *client, pendingMost/resolversRun)
	}
	return r
}

// queue is where the process of a sender waits. Each PID has one: where a process
// that has exited cannot be told by its pidfd, it is a new sender with each of its
// datagrams, and their order must be kept all the same, or a gauge would end with a
// value that is not its last.
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
	o, later := r.s.attest(ended(ctx), d.peer)
	if later {
		now := time.Now()
		d.due, d.patience = now, patience{since: now}
		if r.move(d) {
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

// again looks at a sender that was put off.
func (r *resolver) again(ctx context.Context, d *client, w *worker) {
	if wait := time.Until(d.due); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			r.finish(d, nowhere, w)
			return
		}
	}
	now := time.Now()
	o, later := nowhere, true
	switch {
	case d.over(now):
		o, _ = r.s.attest(ended(ctx), d.peer)
		later = false
	case d.try(r.s.attestor, now):
		asking, end := context.WithDeadline(ctx, d.since.Add(putOffFor))
		o, later = r.s.attest(asking, d.peer)
		end()
	}
	if later {
		d.due = time.Now().Add(lookEvery)
		select {
		case r.later <- d:
			return
		default:
		}
	}
	r.finish(d, o, w)
}

// move puts a sender off with its packets, if there is room.
func (r *resolver) move(d *client) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	var size int64
	for _, packet := range d.waiting {
		size += int64(len(packet))
	}
	if r.putOff.Add(size) > putOffMost {
		r.putOff.Add(-size)
		return false
	}
	d.budget = &r.putOff
	select {
	case r.later <- d:
		r.waiting.Add(-size)
		return true
	default:
		d.budget = &r.waiting
		r.putOff.Add(-size)
		return false
	}
}

func (r *resolver) finish(d *client, o *Origin, w *worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, packet := range d.waiting {
		w.deliver(packet, o, &r.s.counts.datagram)
		d.budget.Add(-int64(len(packet)))
	}
	d.waiting, d.pending = nil, false
	// Only now, so that no later packet goes on before those that waited.
	if o == nowhere {
		d.asked.Store(int64(time.Since(r.s.started)))
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
		d.budget = &r.waiting
		select {
		case r.queue(d) <- d:
			d.pending = true
		default:
			return nowhere
		}
	}
	most := int64(waitingMost)
	if d.budget == &r.putOff {
		most = putOffMost
	}
	if d.budget.Add(int64(len(packet))) > most {
		d.budget.Add(-int64(len(packet)))
		return nowhere
	}
	d.waiting = append(d.waiting, append([]byte(nil), packet...))
	return nil
}

// stale says that a sender that was nowhere may be somewhere by now.
func (r *resolver) stale(d *client, o *Origin) bool {
	return o == nowhere && time.Since(r.s.started)-time.Duration(d.asked.Load()) > retryAfter
}
