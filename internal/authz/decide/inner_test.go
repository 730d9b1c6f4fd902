package decide

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/engine/operation"
)

// TestUnknownClassIsNotHarmlessClosed: neither the zero class nor one that somebody adds later.
func TestUnknownClassIsNotHarmlessClosed(t *testing.T) {
	for _, a := range []operation.Access{"", "teleport"} {
		if harmless(a) {
			t.Errorf("%q is", a)
		}
	}
}

// TestExecsOfNobodyAreForgotten, and who has none any longer.
func TestExecsOfNobodyAreForgotten(t *testing.T) {
	var x ownExecs
	x.add("", "e")
	x.add("o", "")
	if len(x.owner) > 0 || x.has("", "e") || x.has("o", "") {
		t.Errorf("%v", x.owner)
	}
	x.add("o", "e")
	x.forgetOldest("o")
	if len(x.owner) > 0 || len(x.made) > 0 {
		t.Errorf("%v, %v", x.owner, x.made)
	}
}

// TestDeadlineOfTheParentIsSooner, or ours is.
func TestDeadlineOfTheParentIsSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for ours, want := range map[time.Duration]time.Duration{time.Second: time.Second, time.Hour: time.Minute} {
			d := withDeadline(parent, ours)
			if at, ok := d.Deadline(); !ok || time.Until(at) != want {
				t.Errorf("%s, %v, want %s", time.Until(at), ok, want)
			}
			d.stop()
		}
		if _, ok := withDeadline(context.Background(), time.Second).Deadline(); !ok {
			t.Error("there is none")
		}
		stopped := withDeadline(parent, time.Hour)
		stopped.stop()
		select {
		case <-stopped.Done():
		default:
			t.Error("it was stopped before anybody waited, and goes on")
		}
	})
}
