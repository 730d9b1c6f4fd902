package fair

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// beside makes a queue in which "a" is one of two callers: it has a turn at a time, and pays.
func beside(t *testing.T) *Queue {
	t.Helper()
	q := queue(2)
	give(hold(t, q, "other"))
	return q
}

// take is a turn that is had at once.
func take(t *testing.T, q *Queue, key string) *Turn {
	t.Helper()
	from, turn := time.Now(), q.Of(key)
	if err := turn.Take(t.Context()); err != nil || time.Since(from) != 0 {
		t.Fatalf("%s waited %s: %v", key, time.Since(from), err)
	}
	return &turn
}

// after is when a turn comes that is asked for now; it is given back then.
func after(t *testing.T, q *Queue, key string) time.Duration {
	t.Helper()
	from, turn := time.Now(), q.Of(key)
	if err := turn.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer turn.Give()
	return time.Since(from)
}

// TestWhatIsPaidForClosed: each way in which a caller uses time makes its next request wait for as long as it takes to make that good, at half
// of one turn, down to the allowance.
func TestWhatIsPaidForClosed(t *testing.T) {
	const used = 15 * time.Millisecond
	wait := func(owed time.Duration) time.Duration { return 2 * (owed - allowance) }
	for name, tt := range map[string]struct {
		use  func(turn *Turn)
		want time.Duration
	}{
		"nothing but that it asked": {func(*Turn) {}, 0},
		"work":                      {func(*Turn) { time.Sleep(used) }, wait(used + request)},
		"work, and then the Engine's": {func(turn *Turn) {
			time.Sleep(used)
			turn.HandOver()
			time.Sleep(used)
		}, wait(used + request + used/2)}, // half of which it makes good meanwhile
		"the Engine's, for long": {func(turn *Turn) {
			turn.HandOver()
			time.Sleep(time.Second)
		}, wait(mostHanded)},
		"handed over twice, which is once": {func(turn *Turn) {
			turn.HandOver()
			time.Sleep(used)
			turn.HandOver()
		}, wait(used)},
		"work before a question": {func(turn *Turn) {
			time.Sleep(used)
			turn.rest()
		}, wait(used)},
		"what it used elsewhere": {func(turn *Turn) { turn.Pay(used) }, wait(used + request)},
		"the allowance":          {func(turn *Turn) { turn.Pay(allowance - request) }, 0},
		"no more than the most":  {func(turn *Turn) { turn.Pay(time.Hour) }, wait(mostOwed)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := beside(t)
				turn := take(t, q, "a")
				tt.use(turn)
				turn.Give()
				if got := after(t, q, "a"); got != tt.want && (tt.want == 0 || got > tt.want || got < tt.want-request) {
					t.Errorf("the next waits %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// TestLateTurnsArePaidForClosed: one that hangs is paid for when it ceases to count, and the rest of it when it ends.
func TestLateTurnsArePaidForClosed(t *testing.T) {
	for name, tt := range map[string]struct {
		handed bool
		paid   time.Duration // when it ceases to count
	}{
		"working":                  {false, patience + request},
		"handed over: only a part": {true, mostHanded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := beside(t)
				turn := take(t, q, "a")
				if tt.handed {
					turn.HandOver()
				}
				waited := 2 * (tt.paid - allowance)
				if got, want := after(t, q, "a"), patience+waited; got < want-2*request || got > want {
					t.Errorf("the next waits %s, want %s", got, want)
				}
				time.Sleep(patience)
				turn.Give()
				want := 2 * (waited + patience - allowance)
				if tt.handed {
					want = 0
				}
				if got := after(t, q, "a"); got < want-2*request || got > want {
					t.Errorf("after it ended the next waits %s, want %s", got, want)
				}
			})
		})
	}
}

// TestWhoWaitsForADebtGoesInOrder: a turn that is free, as the debt is made good, is the first one's, and not of who comes just then.
func TestWhoWaitsForADebtGoesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := beside(t)
		nobody := q.Of("a")
		nobody.Pay(allowance + tick/10)
		began := time.Now()
		var first, second time.Duration
		var all sync.WaitGroup
		all.Go(func() {
			turn := q.Of("a")
			_ = turn.Take(t.Context())
			first = time.Since(began)
			time.Sleep(time.Millisecond)
			turn.Give()
		})
		synctest.Wait()
		time.Sleep(tick / 2) // the debt is good, the clock not off yet
		all.Go(func() { second = after(t, q, "a") })
		all.Wait()
		if first != tick/2 || second < time.Millisecond {
			t.Errorf("the first waited %s, who came later %s", first, second)
		}
	})
}

// TestTurnThatComesBackIsPassedOnInTime: who waits then waits for the debt, and no longer for the turn.
func TestTurnThatComesBackIsPassedOnInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := beside(t)
		turn := take(t, q, "a")
		time.AfterFunc(2*allowance, turn.Give)
		if got, want := after(t, q, "a"), 4*allowance+2*request; got != want {
			t.Errorf("it waited %s, want %s", got, want)
		}
	})
}

// TestTurnIsLateAsOfWhenItWasLent: the patience begins anew.
func TestTurnIsLateAsOfWhenItWasLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue(1)
		turns := hold(t, q, "a")
		time.AfterFunc(patience/2, func() {
			for _, turn := range turns {
				turn.HandOver()
			}
		})
		if got, want := after(t, q, "a"), patience+patience/2; got != want {
			t.Errorf("it waited %s, want %s", got, want)
		}
	})
}

// TestHandingOverNothingTakesNothing: what was never taken, or was given back, is not counted by being handed over, and gives nobody a share.
func TestHandingOverNothingTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue(2)
		idle := q.Of("a")
		idle.HandOver()
		nobody := q.Of("other")
		nobody.Give()
		if n := len(hold(t, q, "a")); n != 4 {
			t.Errorf("%d turns of a caller that is alone", n)
		}
	})
}

// TestWhoIsGoneIsForgottenClosed: whoever else was active before, is still, or holds a turn all the time.
func TestWhoIsGoneIsForgottenClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue(8)
		long := take(t, q, "long")
		give(hold(t, q, "a"))
		give(hold(t, q, "gone"))
		for range 3 {
			time.Sleep(activeFor / 2)
			take(t, q, "a").Give()
		}
		held := hold(t, q, "a")
		if len(held) != 4 {
			t.Errorf("%d turns beside one other on 8 processors", len(held))
		}
		give(held)
		long.Give()
		time.Sleep(activeFor + 1)
		if n := len(hold(t, q, "a")); n != 16 {
			t.Errorf("%d turns alone on 8 processors", n)
		}
	})
}

// TestRestingTurnIsSomebodyElses: who waits has it meanwhile.
func TestRestingTurnIsSomebodyElses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := beside(t)
		turn := take(t, q, "a")
		resting := make(chan func(), 1)
		time.AfterFunc(time.Millisecond, func() { resting <- Rest(With(t.Context(), turn)) })
		if got := after(t, q, "a"); got != time.Millisecond {
			t.Errorf("it waited %s for a turn that rests", got)
		}
		if (<-resting)(); turn.state != held {
			t.Error("it was not taken again")
		}
	})
}
