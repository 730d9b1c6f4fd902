package main

import (
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/engine/docker"
)

// TestLingering: a container that has been removed is known for a while, and
// does not run.
func TestLingering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := linger(docker.NewInventory(docker.NewClient(nil), slog.New(slog.DiscardHandler)))
		l.note(docker.Container{ID: id, Name: "job", Running: true})
		if _, ok := l.Lookup(id); ok {
			t.Error("a container that runs lingers")
		}
		l.note(docker.Container{ID: id, Name: "job"})
		if c, ok := l.Lookup(id); !ok || c.Name != "job" || c.Running {
			t.Errorf("%v, %+v", ok, c)
		}
		if _, ok := l.Lookup("job"); ok {
			t.Error("its name may be another's by now")
		}
		time.Sleep(lingerFor + time.Second)
		if _, ok := l.Lookup(id); ok {
			t.Error("it is still known")
		}
		for i := range 3 * lingerMost {
			l.note(docker.Container{ID: strconv.Itoa(i)})
		}
		if n := len(l.gone); n > lingerMost {
			t.Errorf("%d are kept", n)
		}
	})
}
