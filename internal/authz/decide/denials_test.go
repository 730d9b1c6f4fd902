package decide

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/record"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// TestAnswerOfADenialIsWrittenOnce, of its own message.
func TestAnswerOfADenialIsWrittenOnce(t *testing.T) {
	r := newRetrying(t)
	for range 3 {
		r.ask(creates(image))
	}
	d := r.steps.Denied(r.conn, []byte(creates(image)))
	again, ok := d.Again(t.Context(), r.conn)
	if !ok {
		t.Fatal("it is not denied again")
	}
	first := d.Answer(func(message string) []byte { return []byte(message) })
	second := d.Answer(func(string) []byte { return []byte("another") })
	if string(first) != again.Message || string(second) != again.Message {
		t.Errorf("%q and %q, want %q", first, second, again.Message)
	}
}

// TestDeniedAgain: the answer is the same, and so is the record but for its id and time; the policy is asked twice.
func TestDeniedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const times = 5
		r := newRetrying(t)
		r.engine = &operation.Engine{Version: "28"}
		var told int
		r.shapes = record.New(record.Options{Told: func(*record.Kept) { told++ }})
		r.steps.Shapes = r.shapes
		first := r.ask(creates(image))
		for range times - 1 {
			time.Sleep(time.Millisecond)
			r.engine = &operation.Engine{Version: "28"} // asked for once more, and the same
			if got := r.ask(creates(image)); got != first || !strings.HasPrefix(got, "403 container:web vitrine: container:web may not ContainerCreate") {
				t.Errorf("answered %q, and %q before", got, first)
			}
		}
		if r.asked != 2 {
			t.Errorf("the policy was asked %d times", r.asked)
		}
		if len(r.records) != times || told != times || r.shapes.Size() != 1 {
			t.Fatalf("%d records, %d decisions told, of %d shapes", len(r.records), told, r.shapes.Size())
		}
		ids := map[string]bool{}
		for i, a := range r.records {
			ids[a.ID] = true
			if want := r.records[0].Time.Add(time.Duration(i) * time.Millisecond); !a.Time.Equal(want) || a.Time.Location() != time.UTC {
				t.Errorf("record %d is of %s, not %s", i, a.Time, want)
			}
			a.ID, a.Time = r.records[0].ID, r.records[0].Time
			if !reflect.DeepEqual(a, r.records[0]) {
				t.Errorf("record %d:\n%+v\n%+v", i, a, r.records[0])
			}
		}
		if len(ids) != times {
			t.Errorf("%d ids of %d records", len(ids), times)
		}
		var line bytes.Buffer
		if _, err := r.shapes.WriteTo(&line); err != nil || !strings.Contains(line.String(), fmt.Sprintf(`"count":%d`, times)) || !strings.Contains(line.String(), `"sample":"`+r.records[times-1].ID) {
			t.Errorf("the record of shapes says %s, %v", &line, err)
		}
	})
}

// TestDeniedAgainTakesItsTime: the record says how long the decision took, without the wait for a turn.
func TestDeniedAgainTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrying(t)
		r.remembers(creates(image))
		give := r.takeAll()
		time.AfterFunc(time.Millisecond, give)
		r.identify = func() { time.Sleep(3 * time.Millisecond) }
		r.ask(creates(image))
		last := r.records[len(r.records)-1]
		if r.asked != 2 || last.Duration != 3*time.Millisecond || last.DurationUsec != 3000 {
			t.Errorf("it took %s (%d µs), asked %d times", last.Duration, last.DurationUsec, r.asked)
		}
	})
}

// TestDeniedAgainTakesATurnClosed: it waits for one as any request, not for ever, and gives it back.
func TestDeniedAgainTakesATurnClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrying(t, func(o *Options) { o.Patience = 50 * time.Millisecond })
		r.remembers(creates(image))
		give := r.takeAll()
		d, from := r.steps.Denied(r.conn, []byte(creates(image))), time.Now()
		if _, ok := d.Again(t.Context(), r.conn); ok || time.Since(from) != r.steps.Patience {
			t.Errorf("ok = %v after %s, with no turn left", ok, time.Since(from))
		}
		if n := len(r.records); n != 2 {
			t.Errorf("%d records", n)
		}
		give()
		for range 4 * runtime.GOMAXPROCS(0) {
			if _, ok := d.Again(t.Context(), r.conn); !ok {
				t.Fatal("a turn was not given back")
			}
		}
		r.takeAll()()
	})
}

// TestDeniedWhoCannotBeIdentifiedInTimeClosed: the identification is told when to end.
func TestDeniedWhoCannotBeIdentifiedInTimeClosed(t *testing.T) {
	r := newRetrying(t, func(o *Options) { o.Timeout = time.Hour })
	r.remembers(creates(image))
	var until time.Time
	r.steps.Identifier = hurried{r, &until}
	r.ask(creates(image))
	if left := time.Until(until); left < 59*time.Minute || left > time.Hour {
		t.Errorf("%s left", left)
	}
}

type hurried struct {
	*retrying
	at *time.Time
}

func (u hurried) Identify(ctx context.Context, c *identity.Connection) *identity.Identity {
	*u.at, _ = ctx.Deadline()
	return u.retrying.Identify(ctx, c)
}

// TestDeniedWithoutItsShapeIsDecided: a shape that was put out of the record comes back to it.
func TestDeniedWithoutItsShapeIsDecided(t *testing.T) {
	r := newRetrying(t, func(o *Options) { o.Shapes = record.New(record.Options{Limit: 8 << 10}) })
	r.remembers(creates(image))
	for i := range 64 {
		r.ask(creates(fmt.Sprintf(`{"Image":"a%d"}`, i)))
	}
	asked := r.asked
	if r.ask(creates(image)); r.asked != asked+1 {
		t.Error("it is not recorded any longer")
	}
}

// TestDeniedWhereNobodyKeepsShapes: without a record of shapes the audit log is all.
func TestDeniedWhereNobodyKeepsShapes(t *testing.T) {
	r := newRetrying(t, func(o *Options) { o.Shapes = nil })
	r.remembers(creates(image))
	if n := r.steps.Denied(r.conn, []byte(creates(image))).size(); n < deniedOverhead+len(creates(image)) {
		t.Errorf("it counts as %d bytes", n)
	}
	if r.ask(creates(image)); r.asked != 2 || len(r.records) != 3 {
		t.Errorf("asked %d times, %d records", r.asked, len(r.records))
	}
}

// TestDeniedByAPanicClosed: it is decided, which says so.
func TestDeniedByAPanicClosed(t *testing.T) {
	r := newRetrying(t)
	r.remembers(creates(image))
	r.identify = func() { panic("boom") }
	if got := r.ask(creates(image)); !strings.Contains(got, "[internal-error]") {
		t.Errorf("answered %s", got)
	}
	r.takeAll()()
}
