package tenants

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/test/long"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// kept asks on one connection as one of the two.
func (w *world) kept(uid int) func(method, path, body string) vitrine.Answer {
	var c net.Conn
	return func(method, path, body string) vitrine.Answer {
		for range 2 {
			if c == nil {
				var err error
				if c, err = w.users[uid].Dial(w.p.Socket); err != nil {
					w.Error(err)
					return vitrine.Answer{}
				}
				w.Cleanup(func() { _ = c.Close() })
			}
			answer, err := vitrine.Ask(c, method, path, body)
			if err == nil {
				return answer
			}
			_ = c.Close()
			c = nil
		}
		return vitrine.Answer{}
	}
}

// TestVolumesMadeAnewMeanwhileClosed: a name means now a's volume, now b's, and nothing in between. Neither ever removes, mounts or sees the other's.
func TestVolumesMadeAnewMeanwhileClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rounds := long.Of(100, 1000)
	var all sync.WaitGroup
	var stop atomic.Bool
	mounted := atomic.Int64{}
	all.Go(func() { // a mounts it all the time, and may make it so
		ask := w.kept(a)
		for !stop.Load() {
			made := ask("POST", "/containers/create", `{"Image":"bb:1","HostConfig":{"Binds":["race:/x"]}}`)
			if made.Status != http.StatusCreated {
				continue
			}
			var c struct{ ID string }
			if err := json.Unmarshal([]byte(made.Body), &c); err != nil {
				t.Error(err)
				return
			}
			if owner := strings.TrimSpace(w.e.Docker("volume", "inspect", "--format", `{{index .Labels "vitrine.owner"}}`, "race")); owner != "uid:4301" {
				t.Errorf("a's container has a volume of %q", owner)
			}
			mounted.Add(1)
			ask("DELETE", "/containers/"+c.ID+"?force=1", "")
			ask("DELETE", "/volumes/race", "")
			for range 20 { // others have a go
				ask("GET", "/volumes/race", "")
			}
		}
	})
	all.Go(func() { // and removes it
		ask := w.kept(a)
		for !stop.Load() {
			if got := ask("GET", "/volumes/race", ""); strings.Contains(got.Body, "planted") {
				t.Errorf("a sees b's: %s", got)
			}
			ask("DELETE", "/volumes/race", "")
		}
	})
	ask, other, mine := w.kept(b), w.kept(a), 0
	raced := func() bool { return mine >= rounds/10 && mounted.Load() >= 3 }
	for n, begun := 0, time.Now(); n < rounds || !raced() && time.Since(begun) < wait.Patience(time.Minute); n++ {
		if other("POST", "/volumes/create", `{"Name":"race"}`).Status == http.StatusCreated {
			other("DELETE", "/volumes/race", "")
		}
		if made := ask("POST", "/volumes/create", `{"Name":"race","Labels":{"note":"planted"}}`); made.Status != http.StatusCreated {
			continue
		}
		mine++
		if got := ask("GET", "/volumes/race", ""); got.Status != http.StatusOK || !strings.Contains(got.Body, "planted") {
			t.Errorf("b's volume, to b: %s", got)
		}
		if got := ask("DELETE", "/volumes/race", ""); got.Status != http.StatusNoContent {
			t.Errorf("b removes its own: %s", got)
		}
	}
	stop.Store(true)
	all.Wait()
	if t.Logf("%d rounds: %d times b's, %d times mounted by a", rounds, mine, mounted.Load()); !raced() {
		t.Errorf("nothing raced: %d times b's, %d times mounted by a", mine, mounted.Load())
	}
}

// TestVolumeRemovedWithOthersMeanwhileClosed: the daemon finds all volumes that it prunes, and then removes one after the other by its name. A name that a's volume
// gave up in between may be b's by then.
func TestVolumeRemovedWithOthersMeanwhileClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask, other, prunes := w.kept(b), w.kept(a), w.kept(a)
	for range long.Of(5, 100) {
		for i := range 40 { // they keep the daemon at it
			other("POST", "/volumes/create", fmt.Sprintf(`{"Name":"many%d"}`, i))
		}
		other("POST", "/volumes/create", `{"Name":"pruned"}`)
		var all sync.WaitGroup
		var pruned atomic.Bool
		all.Go(func() {
			got := prunes("POST", "/v1.41/volumes/prune", "")
			if pruned.Store(true); got.Status != http.StatusOK {
				t.Errorf("a prunes: %s", got)
			}
		})
		for !pruned.Load() && strings.Count(other("GET", "/volumes", "").Body, `"many`) == 40 { // it has not begun
		}
		made := false
		for !made {
			other("DELETE", "/volumes/pruned", "")
			made = ask("POST", "/volumes/create", `{"Name":"pruned","Labels":{"note":"planted"}}`).Status == http.StatusCreated
		}
		all.Wait()
		if got := ask("GET", "/volumes/pruned", ""); got.Status != http.StatusOK || !strings.Contains(got.Body, "planted") {
			t.Errorf("b's volume, to b: %s", got)
		}
		if got := ask("DELETE", "/volumes/pruned", ""); got.Status != http.StatusNoContent {
			t.Errorf("b removes its own: %s", got)
		}
	}
}

// TestNetworksMadeAnewMeanwhileClosed: as of volumes. Networks are asked for by their ids.
func TestNetworksMadeAnewMeanwhileClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rounds := long.Of(20, 250) // a network takes the Engine a while: 1 000 are -count 4
	box := w.made(a, "/containers/create?name=minebox", `{"Image":"bb:1","Cmd":["sleep","10000"]}`)
	var all sync.WaitGroup
	var stop atomic.Bool
	joined := atomic.Int64{}
	all.Go(func() { // a joins, looks at and removes it all the time
		ask := w.kept(a)
		for !stop.Load() {
			if got := ask("GET", "/networks/race", ""); strings.Contains(got.Body, "planted") {
				t.Errorf("a sees b's: %s", got)
			}
			if ask("POST", "/networks/race/connect", `{"Container":"minebox"}`).Status == http.StatusOK {
				joined.Add(1)
				ask("POST", "/networks/race/disconnect", `{"Container":"minebox","Force":true}`)
			}
			ask("DELETE", "/networks/race", "")
		}
	})
	ask, other, mine := w.kept(b), w.kept(a), 0
	raced := func() bool { return mine >= rounds/10 && joined.Load() >= 3 }
	for n, begun := 0, time.Now(); n < rounds || !raced() && time.Since(begun) < wait.Patience(time.Minute); n++ {
		if other("POST", "/networks/create", `{"Name":"race"}`).Status == http.StatusCreated {
			for range 5 {
				other("GET", "/networks/race", "")
			}
			other("DELETE", "/networks/race", "")
		}
		made := ask("POST", "/networks/create", `{"Name":"race","Labels":{"note":"planted"}}`)
		var n struct{ ID string }
		if made.Status != http.StatusCreated || json.Unmarshal([]byte(made.Body), &n) != nil {
			continue
		}
		mine++
		if got := w.e.Docker("network", "inspect", n.ID); strings.Contains(got, box) {
			t.Errorf("a's container is in b's network: %s", got)
		}
		if got := ask("DELETE", "/networks/"+n.ID, ""); got.Status != http.StatusNoContent {
			t.Errorf("b removes its own: %s", got)
		}
	}
	stop.Store(true)
	all.Wait()
	if t.Logf("%d rounds: %d times b's, %d times joined by a", rounds, mine, joined.Load()); !raced() {
		t.Errorf("nothing raced: %d times b's, %d times joined by a", mine, joined.Load())
	}
}
