package decide

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestVolumeGoesToTheNextCaller: who asks for a name all the time keeps none from it, and within a caller who came first has it first.
func TestVolumeGoesToTheNextCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u inUse
		var order []string
		free, err := u.take(t.Context(), "a", []string{"x"})
		if err != nil {
			t.Fatal(err)
		}
		for _, who := range []string{"a1", "a2", "a3", "b1", "c1", "b2"} {
			go func() {
				free, err := u.take(t.Context(), who[:1], []string{"x"})
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, who)
				free()
			}()
			synctest.Wait()
		}
		free()
		synctest.Wait()
		if want := []string{"b1", "a1", "c1", "a2", "b2", "a3"}; !slices.Equal(order, want) {
			t.Errorf("%v, want %v", order, want)
		}
		if len(u.by) > 0 {
			t.Errorf("%v are held", u.by)
		}
	})
}

// TestVolumeOfWhoGaveUpClosed: who waits no longer neither has the name nor keeps it.
func TestVolumeOfWhoGaveUpClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u inUse
		free, _ := u.take(t.Context(), "a", []string{"y"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := u.take(ctx, "b", []string{"x", "y"}); err == nil {
			t.Error("it has what another has")
		}
		if again, err := u.take(t.Context(), "c", []string{"x"}); err != nil { // which b had
			t.Error(err)
		} else {
			again()
		}
		free()
		if len(u.by) > 0 {
			t.Errorf("%v are held", u.by)
		}
		turn := u.join("x", "a")
		<-turn
		late := u.join("x", "b")
		u.free([]string{"x"}) // it is b's, who has just given up
		u.leave("x", late)
		if len(u.by) > 0 {
			t.Errorf("%v are held", u.by)
		}
	})
}

// TestVolumeStaysWithWhoHasItClosed as one of those who wait for it gives up, and the other has it next.
func TestVolumeStaysWithWhoHasItClosed(t *testing.T) {
	has := func(turn chan struct{}) bool {
		select {
		case <-turn:
			return true
		default:
			return false
		}
	}
	for gone := range 2 {
		var u inUse
		u.join("x", "a")
		turns := []chan struct{}{u.join("x", "b"), u.join("x", "c")}
		u.leave("x", turns[gone])
		if has(turns[0]) || has(turns[1]) {
			t.Errorf("%d gives up, and somebody has what a has", gone)
		}
		u.free([]string{"x"})
		if has(turns[gone]) || !has(turns[1-gone]) {
			t.Errorf("%d gives up, and has it, or the other has not", gone)
		}
		if u.free([]string{"x"}); len(u.by) > 0 {
			t.Errorf("%v are held", u.by)
		}
	}
}
