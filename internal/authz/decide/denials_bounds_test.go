package decide

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
)

// TestDeniedForAMomentClosed: a second after it was decided, it is decided again; that it was denied meanwhile is no reason.
func TestDeniedForAMomentClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrying(t)
		r.remembers(creates(image))
		time.Sleep(deniedFor - time.Nanosecond)
		if r.ask(creates(image)); r.asked != 2 {
			t.Errorf("asked %d times within the second", r.asked)
		}
		time.Sleep(time.Nanosecond)
		r.decision = policy.Decision{Allow: true}
		if got := r.ask(creates(image)); r.asked != 3 || !strings.HasPrefix(got, "200") {
			t.Errorf("asked %d times behind it, and told %s", r.asked, got)
		}
	})
}

// TestDeniedAnewIsRememberedAnew: at once, as it is known to be repeated.
func TestDeniedAnewIsRememberedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrying(t)
		r.remembers(creates(image))
		for i := range 3 {
			time.Sleep(deniedFor)
			for range 5 {
				r.ask(creates(image))
			}
			if r.asked != 3+i {
				t.Errorf("asked %d times in %d seconds", r.asked, i+2)
			}
		}
		if a := r.steps.denied.of["web"]; len(a.kept) != 1 || a.size != a.kept[0].size() {
			t.Errorf("%d are kept of one request, of %d bytes", len(a.kept), a.size)
		}
	})
}

// TestDeniedIsBoundedClosed: a caller's own oldest go, and nobody else's.
func TestDeniedIsBoundedClosed(t *testing.T) {
	r := newRetrying(t)
	other, web := &identity.Connection{Account: "other"}, r.conn
	r.conn = other
	r.remembers(creates(image))
	r.conn = web
	name := func(i int) string { return creates(fmt.Sprintf(`{"Image":"%s%d"}`, strings.Repeat("a", 1000), i)) }
	for i := range 100 {
		r.remembers(name(i))
		a := r.steps.denied.of["web"]
		size := 0
		for _, d := range a.kept {
			size += d.size()
			if d.size() < deniedOverhead+len(d.raw)+len(d.message)+len(d.shape.Text()) {
				t.Fatalf("one of %d bytes counts as %d", len(d.raw), d.size())
			}
		}
		if size != a.size || size > deniedBytes {
			t.Fatalf("%d bytes are kept, as %d", size, a.size)
		}
	}
	if n := len(r.steps.denied.of["web"].kept); n < 4 || r.remembered(name(99-n)) || !r.remembered(name(100-n)) {
		t.Errorf("%d are kept, and not the latest", n)
	}
	r.conn = other
	if !r.remembered(creates(image)) {
		t.Error("another caller's is gone")
	}
}

// TestDeniedAccountsAreBoundedClosed: who comes later has no room until an earlier one is quiet.
func TestDeniedAccountsAreBoundedClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrying(t)
		as := func(i int) { r.conn = &identity.Connection{Account: fmt.Sprint("caller", i)} }
		for i := range deniedAccounts {
			as(i)
			r.remembers(creates(image))
		}
		for range 3 {
			as(deniedAccounts)
			r.ask(creates(image))
		}
		if len(r.steps.denied.of) != deniedAccounts || r.remembered(creates(image)) {
			t.Errorf("%d accounts", len(r.steps.denied.of))
		}
		time.Sleep(deniedFor - time.Nanosecond)
		as(0)
		r.ask(creates("{}"))
		time.Sleep(time.Nanosecond)
		as(deniedAccounts)
		r.remembers(creates(image))
		as(0)
		if len(r.steps.denied.of) != 2 || !r.remembered(creates(image)) {
			t.Errorf("%d accounts when all but one are quiet", len(r.steps.denied.of))
		}
	})
}

// TestDeniedOfAnAccountThatIsForgotten: it is not kept, whoever is late with it.
func TestDeniedOfAnAccountThatIsForgotten(t *testing.T) {
	r := newRetrying(t)
	r.steps.denied.keep("gone", &Denied{})
	if len(r.steps.denied.of) != 0 {
		t.Error("it is kept")
	}
}

// TestDeniedOnceIsNotKept: nor does one that never comes again make room for itself.
func TestDeniedOnceIsNotKept(t *testing.T) {
	r := newRetrying(t)
	for range 2 {
		r.ask(creates(image))
		for i := range deniedNoted {
			r.ask(creates(fmt.Sprintf(`{"Image":"a%d"}`, i)))
		}
	}
	if n := len(r.steps.denied.of["web"].kept); n != 0 {
		t.Errorf("%d are kept", n)
	}
	r.ask(creates(image))
	for i := range deniedNoted - 1 {
		r.ask(creates(fmt.Sprintf(`{"Image":"b%d"}`, i)))
	}
	if r.ask(creates(image)); !r.remembered(creates(image)) {
		t.Error("it came again soon enough")
	}
}

// TestDeniedFillsItsRoom: what has room to the byte is kept.
func TestDeniedFillsItsRoom(t *testing.T) {
	m := newDenials()
	m.again("web", nil, time.Now())
	half := func(c string) *Denied { return &Denied{raw: []byte(strings.Repeat(c, deniedBytes/2-deniedOverhead))} }
	m.keep("web", half("a"))
	m.keep("web", half("b"))
	if n := len(m.of["web"].kept); n != 2 {
		t.Errorf("%d of two that have room are kept", n)
	}
	m.keep("web", &Denied{})
	if a := m.of["web"]; len(a.kept) != 2 || a.kept[0].raw[0] != 'b' {
		t.Error("the oldest has not gone for one more")
	}
}

// TestDeniedAnewTakesItsPlace: of one request the latest counts, and what has ended is gone with the next.
func TestDeniedAnewTakesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrying(t)
		r.remembers(creates(image))
		r.epoch++
		r.ask(creates(image))
		if r.ask(creates(image)); r.asked != 3 {
			t.Errorf("asked %d times", r.asked)
		}
		time.Sleep(deniedFor)
		r.remembers(creates(`{"Image":"other"}`))
		if r.remembered(creates(image)) {
			t.Error("what has ended is kept")
		}
	})
}
