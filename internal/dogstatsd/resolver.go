package dogstatsd

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/internal/peercred"
)

// sender is one process that was seen to send datagrams.
type sender struct {
	peer *peercred.Peer
	// born is when the process started, in nanoseconds since boot, as long as only
	// its number pins it: what was sent before, somebody else with that number may
	// have sent. It is 0 for a process that is pinned by a datagram's own pidfd.
	born int64
	seen uint64 // the batch in which it was last seen to send

	origin atomic.Pointer[Origin] // nil until it is established
	asked  atomic.Int64           // when it was found to be nowhere, in nanoseconds since the server's start

	mu      sync.Mutex
	pending bool     // with the resolver
	waiting [][]byte // packets, until the resolver is done
	dropped bool     // forgotten by its receiver: close the peer when done
}

// forget gives the sender's descriptor back, now or when the resolver is done.
func (d *sender) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pending {
		d.dropped = true
		return
	}
	d.peer.Close()
}

// Limits of the resolver. A sender that is nowhere is asked for again after a
// while, as the Engine may have been slow to tell of its container.
const (
	retryAfter   = time.Second
	waitingMost  = 4 << 20 // bytes of packets that wait for their origin
	pendingMost  = 1024    // senders
	resolversRun = 4       // each may wait for the Engine
)

// resolver establishes the origin of senders seen for the first time, beside
// the receivers: an attestation reads a dozen files, and may ask the Engine. Packets wait
// for it, in their order; what does not fit goes on without an origin.
//
// Each PID has one queue: a process that has exited is a new sender with each of
// its datagrams, and their order must be kept all the same, or a gauge would end
// with a value that is not its last.
type resolver struct {
	s       *Server
	queues  [resolversRun]chan *sender
	waiting atomic.Int64
}

func newResolver(s *Server) *resolver {
	r := &resolver{s: s}
	for i := range r.queues {
		r.queues[i] = make(chan *sender, pendingMost/resolversRun)
	}
	return r
}

// queue is where the process of a sender waits.
func (r *resolver) queue(d *sender) chan *sender {
	return r.queues[uint(d.peer.PID)%resolversRun]
}

// run works until ctx ends, and then hands on what still waits.
func (r *resolver) run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, queue := range r.queues {
		wg.Go(func() {
			w := worker{s: r.s}
			for {
				select {
				case d := <-queue:
					r.resolve(ctx, d, &w)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	wg.Wait()
}

// drain hands on what waits when nobody resolves any more. Call it after run
// and the receivers have returned.
func (r *resolver) drain() {
	w := worker{s: r.s}
	for _, queue := range r.queues {
		for len(queue) > 0 {
			r.finish(<-queue, nowhere, &w)
		}
	}
}

func (r *resolver) resolve(ctx context.Context, d *sender, w *worker) {
	o := r.s.attest(ctx, d.peer)
	if o == nowhere {
		d.asked.Store(int64(time.Since(r.s.started)))
	}
	r.finish(d, o, w)
}

func (r *resolver) finish(d *sender, o *Origin, w *worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, packet := range d.waiting {
		w.deliver(packet, o, &r.s.counts.datagram)
		r.waiting.Add(-int64(len(packet)))
	}
	d.waiting, d.pending = nil, false
	d.origin.Store(o)
	if d.dropped {
		d.peer.Close()
	}
}

// hold keeps a packet until its sender's origin is established. It returns
// that origin if it is, and nowhere if there is no room to wait.
func (r *resolver) hold(d *sender, packet []byte) *Origin {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.pending {
		if o := d.origin.Load(); o != nil && !r.stale(d, o) {
			return o
		}
		select {
		case r.queue(d) <- d:
			d.pending = true
		default:
			return nowhere
		}
	}
	if r.waiting.Add(int64(len(packet))) > waitingMost {
		r.waiting.Add(-int64(len(packet)))
		return nowhere
	}
	d.waiting = append(d.waiting, append([]byte(nil), packet...))
	return nil
}

// stale says that a sender that was nowhere may be somewhere by now.
func (r *resolver) stale(d *sender, o *Origin) bool {
	return o == nowhere && time.Since(r.s.started)-time.Duration(d.asked.Load()) > retryAfter
}
