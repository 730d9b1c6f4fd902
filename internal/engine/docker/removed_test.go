package docker

import (
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// TestRecall: a container that has been removed is known for a while, and does not run.
func TestRecall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv := NewInventory(NewClient(nil), slog.New(slog.DiscardHandler))
		job := id(1)
		store := func(id, name string) {
			inv.seq++
			if _, err := inv.store(Container{ID: id, Name: name, Running: true, Pid: 1, asked: inv.seq}); err != nil {
				t.Fatal(err)
			}
		}
		store(job, "job")
		if c, ok := inv.Recall(job); !ok || !c.Running {
			t.Errorf("%v, %+v while it runs", ok, c)
		}
		inv.stop(job, true)
		if c, ok := inv.Recall(job); !ok || c.Name != "job" || c.Running {
			t.Errorf("%v, %+v", ok, c)
		}
		if _, ok := inv.Recall("job"); ok {
			t.Error("its name may be another's by now")
		}
		if _, ok := inv.Lookup(job); ok || inv.Has(job) {
			t.Error("it is still there for decisions")
		}
		time.Sleep(Afterlife + time.Second)
		if _, ok := inv.Recall(job); ok {
			t.Error("it is still known")
		}
		for i := range 3 * removedMost {
			store(strconv.Itoa(i), "")
			inv.stop(strconv.Itoa(i), true)
		}
		if n := len(inv.removed); n > removedMost {
			t.Errorf("%d are kept", n)
		}
	})
}
