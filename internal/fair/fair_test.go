package fair

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/test/long"
)

func queue(processors int) *Queue {
	q := New()
	q.processors = processors
	return q
}

// hold takes turns until one is not to be had at once, and returns them.
func hold(t *testing.T, q *Queue, key string) (held []*Turn) {
	t.Helper()
	for range 100 {
		turn := q.Of(key)
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		err := turn.Take(ctx)
		cancel()
		if err != nil {
			return held
		}
		held = append(held, &turn)
	}
	t.Fatalf("%s holds %d turns and gets more", key, len(held))
	return nil
}

func give(turns []*Turn) {
	for _, t := range turns {
		t.Give()
		t.Give()
	}
}

func TestShares(t *testing.T) {
	for _, tc := range []struct{ processors, others, want int }{
		{2, 0, 4}, {2, 1, 1}, {2, 9, 1}, {8, 0, 16}, {8, 1, 4}, {8, 2, 2}, {8, 20, 1}, {1, 0, 2}, {1, 1, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			q := queue(tc.processors)
			for i := range tc.others {
				turn := q.Of(fmt.Sprint("other ", i))
				if err := turn.Take(t.Context()); err != nil {
					t.Fatal(err)
				}
				turn.Give()
			}
			held := hold(t, q, "a")
			if len(held) != tc.want {
				t.Errorf("%d turns beside %d others on %d processors, want %d", len(held), tc.others, tc.processors, tc.want)
			}
			give(held)
			time.Sleep(activeFor + 1)
			if held = hold(t, q, "a"); len(held) != 2*tc.processors {
				t.Errorf("%d turns when the others are gone", len(held))
			}
			give(held)
		})
	}
}

// A caller that just came has a turn at once, whatever the others hold and however
// many wait.
func TestNewcomerNeverWaitsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue(2)
		give(hold(t, q, "quiet"))
		var all sync.WaitGroup
		for i := range 600 {
			all.Go(func() {
				turn := q.Of("loud")
				if err := turn.Take(t.Context()); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Millisecond)
				turn.Give()
			})
			if i == 300 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		for _, key := range []string{"quiet", "new", "newer"} {
			if len(hold(t, q, key)) == 0 {
				t.Errorf("%s has to wait", key)
			}
		}
		all.Wait()
	})
}

// situation is what generated callers do to a queue, and what is seen of it.
type situation struct {
	t *testing.T
	q *Queue

	mu      sync.Mutex
	working map[string]int
}

// work is a turn's work; it notes who works beside whom.
func (s *situation) work(key string, turn *Turn, r *rand.Rand) {
	s.mu.Lock()
	s.working[key]++
	alone, total := 2*s.q.processors, 0
	for _, n := range s.working {
		total += n
	}
	if most := max(alone+len(s.working), 2*len(s.working)); total > most {
		s.t.Errorf("%d at work for %d callers", total, len(s.working))
	}
	if n := s.working[key]; n > alone {
		s.t.Errorf("%d at work for %s", n, key)
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.working[key]--
		s.mu.Unlock()
		_ = recover()
		turn.Give()
	}()
	time.Sleep(time.Duration(r.IntN(5)) * time.Millisecond)
	if r.IntN(10) == 0 {
		panic("in its turn")
	}
}

// TestGeneratedCallers: whatever the loud ones do, with connections without number,
// patience that ends, and panics, one that asks one thing at a time has its turn
// at once, every request of the loud ones ends too, and nothing is left behind.
func TestGeneratedCallers(t *testing.T) {
	for seed := range uint64(long.Of(20, 60)) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			s := &situation{t: t, q: queue(1 + r.IntN(8)), working: map[string]int{}}
			var all sync.WaitGroup
			run := func(key string, patience func(*rand.Rand) time.Duration, seed uint64) {
				all.Go(func() {
					r := rand.New(rand.NewPCG(seed, 2))
					for range 20 {
						turn := s.q.Of(key)
						ctx, cancel := context.WithTimeout(t.Context(), patience(r))
						from := time.Now()
						err := turn.Take(ctx)
						cancel()
						if key[0] == 'h' && (err != nil || time.Since(from) != 0) {
							t.Errorf("seed %d: %s waited %s: %v", seed, key, time.Since(from), err)
						}
						if err == nil {
							s.work(key, &turn, r)
						} else if !errors.Is(err, errBusy) {
							t.Errorf("seed %d: %v", seed, err)
						}
						if key[0] == 'h' { // it owes nothing
							time.Sleep(2*time.Since(from) + time.Duration(r.IntN(30))*time.Millisecond + 2*request)
						}
					}
				})
			}
			for i := range 1 + r.IntN(4) {
				run(fmt.Sprint("honest ", i), func(*rand.Rand) time.Duration { return time.Hour }, r.Uint64())
			}
			for i := range 1 + r.IntN(3) {
				for range 1 + r.IntN(100) {
					run(fmt.Sprint("loud ", i), func(r *rand.Rand) time.Duration { return time.Duration(r.IntN(3000)) * time.Millisecond }, r.Uint64())
				}
			}
			all.Wait()
			time.Sleep(activeFor + 1)
			last := s.q.Of("last")
			_ = last.Take(t.Context())
			if n := len(s.q.callers); n != 1 || s.q.active.Len() != 1 {
				t.Errorf("seed %d: %d callers are still counted", seed, n-1)
			}
		})
	}
}

// One caller's requests are worked on in their order, and none is left out.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue(1)
		give(hold(t, q, "other"))
		first := hold(t, q, "a")
		var order []int
		for i := range 10 {
			go func() {
				turn := q.Of("a")
				_ = turn.Take(t.Context())
				order = append(order, i)
				turn.Give()
			}()
			synctest.Wait()
		}
		give(first)
		synctest.Wait()
		if fmt.Sprint(order) != "[0 1 2 3 4 5 6 7 8 9]" {
			t.Error(order)
		}
	})
}

func TestQueueOfOneCallerEndsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue(1)
		held := hold(t, q, "a")
		ctx, cancel := context.WithCancel(t.Context())
		for range mostWaiting {
			go func() {
				turn := q.Of("a")
				_ = turn.Take(ctx)
			}()
		}
		synctest.Wait()
		turn := q.Of("a")
		if err := turn.Take(t.Context()); !errors.Is(err, errBusy) {
			t.Errorf("one more: %v", err)
		}
		turn.Give()
		cancel()
		synctest.Wait()
		give(held)
		if len(hold(t, q, "a")) != 2 {
			t.Error("turns were lost")
		}
	})
}

// A turn that the Engine does not give back stops counting, but only for who
// waits, and each makes the next ones last longer.
func TestLentTurnsDoNotComeBackLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue(2)
		give(hold(t, q, "other"))
		var turns []*Turn
		from := time.Now()
		for i, want := range []time.Duration{0, 1, 3, 6, 10} { // in patiences
			turn := q.Of("a")
			if err := turn.Take(t.Context()); err != nil {
				t.Fatal(err)
			}
			paying := 2 * mostHanded * time.Duration(i)
			due := time.Duration(int64(want) * int64(patience))
			if took := time.Since(from); took < due || took > due+paying {
				t.Errorf("turn %d came after %s, want %s and what it pays", i, took, due)
			}
			turn.HandOver()
			turns = append(turns, &turn)
			give(hold(t, q, "other"))
		}
		time.Sleep(10 * patience)
		if turns[4].state != handed || turns[3].state != late {
			t.Error("a turn is late that nobody waited for, or the one before is not")
		}
		give(turns)
		time.Sleep(activeFor / 2) // for what it owes
		give(hold(t, q, "other"))
		if n := len(hold(t, q, "a")); n != 1 || q.callers["a"].late != 0 {
			t.Errorf("%d turns afterwards, %d late", n, q.callers["a"].late)
		}
	})
}

// Beside others, whoever keeps its turns busy has half of its share of the time; alone
// it has all of it, and nothing is left to pay afterwards.
func TestBusyCallersPayClosed(t *testing.T) {
	const work, during = 2 * time.Millisecond, 10 * time.Second
	for _, tc := range []struct {
		processors, requests int
		beside, handed       bool
		most                 float64 // of the time, in turns
	}{
		{2, 100, true, false, .5},
		{2, 1, true, false, .5},
		{8, 100, true, false, 2},
		{2, 100, true, true, .5},
		{2, 100, false, false, 4},
		{8, 100, false, true, 16},
	} {
		synctest.Test(t, func(t *testing.T) {
			q := queue(tc.processors)
			ctx, cancel := context.WithTimeout(t.Context(), during)
			defer cancel()
			var all sync.WaitGroup
			var turns atomic.Int64
			for range tc.requests {
				all.Go(func() {
					for {
						turn := q.Of("busy")
						if turn.Take(ctx) != nil || ctx.Err() != nil {
							turn.Give()
							return
						}
						if turns.Add(1); tc.handed {
							turn.HandOver()
						}
						time.Sleep(work)
						turn.Give()
					}
				})
			}
			for tc.beside && ctx.Err() == nil {
				from, turn := time.Now(), q.Of("other")
				if err := turn.Take(t.Context()); err != nil || time.Since(from) != 0 {
					t.Fatalf("the other waits %s: %v", time.Since(from), err)
				}
				turn.Give()
				time.Sleep(10 * time.Millisecond)
			}
			all.Wait()
			used := float64(turns.Load()) * work.Seconds() / during.Seconds()
			if used > 1.01*tc.most || used < .9*tc.most {
				t.Errorf("%+v: it used %.2f of the time", tc, used)
			}
		})
	}
}

func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue(2)
		give(hold(t, q, "other"))
		var resumes []func()
		for range mostResting {
			turn := q.Of("a")
			if err := turn.Take(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx := With(t.Context(), &turn)
			resume := Rest(ctx)
			resumes = append(resumes, func() { resume(); turn.Give() })
			Rest(ctx)() // within a rest there is nothing to give up
		}
		turn := q.Of("a")
		if err := turn.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		resume := Rest(With(t.Context(), &turn))
		if n := len(hold(t, q, "a")); n != 0 {
			t.Errorf("%d turns beside one that is kept, as others rest", n)
		}
		next := q.Of("a")
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = next.Take(ctx) }()
		synctest.Wait()
		if resume(); turn.state != held {
			t.Error("a turn that was kept was passed on when it was resumed")
		}
		cancel()
		synctest.Wait()
		go func() {
			for _, resume := range resumes {
				resume()
			}
		}()
		synctest.Wait()
		if c := q.callers["a"]; len(c.counted) != 1 || c.resting != mostResting-1 {
			t.Errorf("%d turns and %d resting while one resumes", len(c.counted), c.resting)
		}
		turn.Give()
		synctest.Wait()
		if c := q.callers["a"]; len(c.counted) != 0 || c.resting != 0 {
			t.Errorf("%d turns and %d resting when all have resumed", len(c.counted), c.resting)
		}
	})
}

func TestNobodysTurn(t *testing.T) {
	var turn Turn
	if err := turn.Take(t.Context()); err != nil {
		t.Error(err)
	}
	turn.HandOver()
	turn.Pay(time.Second)
	Rest(With(t.Context(), &turn))()
	Rest(t.Context())()
	turn.Give()
}

func BenchmarkTurn(b *testing.B) {
	q := New()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			turn := q.Of("container:0123456789abcdef")
			_ = turn.Take(context.Background())
			turn.Give()
		}
	})
}

// TestTurnThatHangsIsNotAllOfItsCallerClosed: a decision that hangs delays the next request of its caller for a moment, and each one more
// for longer: it is no way to more turns.
func TestTurnThatHangsIsNotAllOfItsCallerClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New()
		q.processors = 2
		beside := q.Of("b")
		if err := beside.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer beside.Give()
		var before time.Duration
		for i := range 4 {
			next := q.Of("a")
			began := time.Now()
			if err := next.Take(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer next.Give() // it hangs as long as the test
			waited := time.Since(began)
			if i > 0 && (waited < patience || waited <= before || waited > 2*time.Second) {
				t.Errorf("beside %d that hang the next waited %s, the one before %s", i, waited, before)
			}
			before = waited
		}
	})
}
