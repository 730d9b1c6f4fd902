package dogstatsd

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"vitrine/internal/caller/attest"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/monitor/sender"
)

// slowEngine is an Attestor that has not been told of a container yet: processes
// above 1000 are in "known", others in "late" once that is told.
type slowEngine struct {
	told    atomic.Bool
	changed chan struct{}
	calls   atomic.Int64
	blocked atomic.Bool // the Engine does not answer
}

func (e *slowEngine) Attest(ctx context.Context, p *peercred.Peer) attest.Attestation {
	if p.PID > 1000 {
		return inContainer("known")
	}
	e.calls.Add(1)
	if ctx.Err() == nil && e.blocked.Load() {
		<-ctx.Done()
	}
	if e.told.Load() {
		return inContainer("late")
	}
	return attest.Attestation{Err: attest.ErrNotYet}
}

func (e *slowEngine) tell()                                 { e.told.Store(true); close(e.changed) }
func (e *slowEngine) Changed() <-chan struct{}              { return e.changed }
func (e *slowEngine) Group(*peercred.Peer) string           { return "" }
func (*slowEngine) Claimed(sender.Claim) attest.Attestation { return attest.Attestation{} }

// process is one that lives, whatever its number.
func process(t *testing.T, pid int) *client {
	t.Helper()
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return &client{peer: peercred.FromPidfd(fd, pid, 0, 0)}
}

func (r *resolver) mustHold(t *testing.T, d *client, packet string) {
	t.Helper()
	if o := r.hold(d, []byte(packet)); o != nil {
		t.Fatalf("%s goes on as from %+v", packet, o)
	}
}

// slow runs a resolver in front of a slowEngine, in a bubble of its own.
func slow(t *testing.T, test func(t *testing.T, e *slowEngine, s *Server, sink *recorder, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e, sink := &slowEngine{changed: make(chan struct{})}, &recorder{}
		s := New(Config{}, e, sink)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan bool)
		go func() { s.resolver.run(ctx); s.resolver.drain(); close(done) }()
		stop := func() { cancel(); <-done }
		defer stop()
		test(t, e, s, sink, stop)
	})
}

func (r *recorder) notes() []string {
	r.Lock()
	defer r.Unlock()
	return slices.Clone(r.list)
}

// TestDeferredUntilTheEngineTells: in order, and without delay for anybody else.
func TestDeferredUntilTheEngineTells(t *testing.T) {
	slow(t, func(t *testing.T, e *slowEngine, s *Server, sink *recorder, _ func()) {
		late, known := process(t, 4), process(t, 4*resolversRun+1000) // of one queue
		if s.resolver.queue(late) != s.resolver.queue(known) {
			t.Fatal("two queues")
		}
		s.resolver.mustHold(t, late, "a:1|g")
		synctest.Wait()
		s.resolver.mustHold(t, late, "b:1|g")
		s.resolver.mustHold(t, known, "x:1|c")
		synctest.Wait()
		if got := sink.notes(); !slices.Equal(got, []string{"count x from known"}) {
			t.Errorf("before the Engine has told: %q", got)
		}
		before := e.calls.Load()
		time.Sleep(tryEvery / 2)
		if n := e.calls.Load(); n > before+1 {
			t.Errorf("asked %d times while nothing has changed", n-before)
		}
		e.tell()
		synctest.Wait()
		if got := sink.notes(); !slices.Equal(got[1:], []string{"gauge a from late", "gauge b from late"}) {
			t.Errorf("afterwards: %q", got)
		}
		if o := s.resolver.hold(late, nil); o == nil || o.Container != "late" {
			t.Errorf("the next packet goes on as from %+v", o)
		}
		if s.resolver.waiting.used.Load() != 0 || s.resolver.deferred.used.Load() != 0 {
			t.Errorf("%d and %d bytes are said to wait", s.resolver.waiting.used.Load(), s.resolver.deferred.used.Load())
		}
	})
}

// TestDeferredForASecondClosed: then without an origin. An Engine that does not
// answer makes it no longer.
func TestDeferredForASecondClosed(t *testing.T) {
	for _, blocked := range []bool{false, true} {
		slow(t, func(t *testing.T, e *slowEngine, s *Server, sink *recorder, _ func()) {
			e.blocked.Store(blocked)
			const senders = 40
			for i := range senders {
				s.resolver.mustHold(t, process(t, 1+i), "a:1|c")
			}
			time.Sleep(deferFor - time.Millisecond)
			synctest.Wait()
			if got := sink.notes(); len(got) > 0 {
				t.Errorf("blocked %v: early: %q", blocked, got)
			}
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			got := sink.notes()
			if len(got) != senders || got[0] != "count a from none" {
				t.Errorf("blocked %v: %d messages: %q", blocked, len(got), got[:min(1, len(got))])
			}
			if n := e.calls.Load(); n > 8*senders {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// TestDeferredIsBounded: who is deferred takes no room from others.
func TestDeferredIsBounded(t *testing.T) {
	slow(t, func(t *testing.T, _ *slowEngine, s *Server, sink *recorder, _ func()) {
		late, packet := process(t, 1), fmt.Sprintf("%08191d", 0)
		s.resolver.mustHold(t, late, packet)
		synctest.Wait()
		held := 1
		for range 2 * deferredMost / len(packet) {
			if s.resolver.hold(late, []byte(packet)) == nil {
				held++
			}
		}
		if held != deferredMost/len(packet) {
			t.Errorf("%d packets of %d bytes are held", held, len(packet))
		}
		s.resolver.mustHold(t, process(t, 1001), "x:1|c")
		synctest.Wait()
		if got := sink.notes(); !slices.Equal(got, []string{"count x from known"}) {
			t.Errorf("got %q", got)
		}
	})
}

// TestDeferredAtTheEnd: nothing is lost when the Server stops.
func TestDeferredAtTheEnd(t *testing.T) {
	slow(t, func(t *testing.T, _ *slowEngine, s *Server, sink *recorder, stop func()) {
		for i := range 20 {
			s.resolver.mustHold(t, process(t, 1+i), "a:1|c")
		}
		synctest.Wait()
		stop()
		if got := sink.notes(); len(got) != 20 {
			t.Errorf("%d messages are left", len(got))
		}
	})
}

// sinkThatLooks does something while it takes a message.
type sinkThatLooks struct {
	recorder
	look func()
}

func (x *sinkThatLooks) Metric(*Origin, *Metric) { x.look() }

// TestNothingPassesThoseThatWait: while the packets of a sender are handed on that
// was nowhere before, and is again, what it sends next waits behind them.
func TestNothingPassesThoseThatWait(t *testing.T) {
	sink := &sinkThatLooks{}
	s := New(Config{}, &slowEngine{}, sink)
	s.started = time.Now().Add(-time.Hour)
	d := process(t, 1)
	d.origin.Store(nowhere)
	s.resolver.mustHold(t, d, "a:1|g")
	looked := false
	sink.look = func() {
		looked = true
		if !s.resolver.stale(d, d.origin.Load()) {
			t.Error("the next packet would go on at once")
		}
	}
	s.resolver.finish(d, nowhere, &worker{s: s})
	if !looked || s.resolver.stale(d, d.origin.Load()) {
		t.Errorf("handed on: %v; asked for again at once: %v", looked, s.resolver.stale(d, d.origin.Load()))
	}
}

// TestStreamWaitsForTheEngine: a connection of a container of which the Engine
// has not told is read when it has.
func TestStreamWaitsForTheEngine(t *testing.T) {
	x := serve(t, Config{})
	x.attestor.late.Store(true)
	send(t, "unix", x.cfg.Stream.Path, "a:1|c")
	for x.attestor.seen() < 2 {
		time.Sleep(time.Millisecond)
	}
	x.attestor.late.Store(false)
	if got := x.sink.wait(t, 1); got[0] != "count a from kernel" {
		t.Errorf("got %q", got)
	}
}
