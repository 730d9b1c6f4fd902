package children

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// TestNamesThatChangeMeanwhileClosed: while a name means now the caller's container and now another's, and is gone in
// between, what is done is done to the caller's or to none. The other one is never entered, changed or removed.
func TestNamesThatChangeMeanwhileClosed(t *testing.T) {
	w := begin(t, vitrine.Options{})
	first, second := vitrine.As(t, 4401), vitrine.As(t, 4402)
	mine, theirs := connection(t, w, first), connection(t, w, second)
	body := `{"Image":"caller:1","Cmd":["sleep","10000"],"HostConfig":{"CpuShares":512}}`
	must := func(c net.Conn, status int, method, path, body string) {
		t.Helper()
		if answer, err := vitrine.Ask(c, method, path, body); err != nil || answer.Status != status {
			t.Fatalf("%s %s: %s, %v", method, path, answer, err)
		}
	}
	for _, made := range []struct {
		c    net.Conn
		name string
	}{{mine, "flip"}, {theirs, "flop"}} {
		must(made.c, http.StatusCreated, "POST", "/containers/create?name="+made.name, body)
		must(made.c, http.StatusNoContent, "POST", "/containers/"+made.name+"/start", "")
	}
	its := w.inspect("flop", "{{.Id}}")
	before := w.inspect("flop", "{{.State.StartedAt}} {{.HostConfig.CpuShares}} {{.State.Paused}}")

	// Root swaps the two names, without pause.
	stop, stopped := make(chan struct{}), make(chan error, 1)
	var swaps atomic.Int64
	go func() {
		client := w.e.Client()
		rename := func(from, to string) error {
			resp, err := client.Post("http://docker/containers/"+from+"/rename?name="+to, "", nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusConflict && resp.StatusCode != http.StatusNotFound {
				return fmt.Errorf("rename %s to %s: %s", from, to, resp.Status)
			}
			return nil
		}
		for {
			for _, pair := range [][2]string{{"flip", "between"}, {"flop", "flip"}, {"between", "flop"}} {
				if err := rename(pair[0], pair[1]); err != nil {
					stopped <- err
					return
				}
			}
			swaps.Add(1)
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
		}
	}()

	const rounds = 1000
	begun := time.Now()
	outcomes := map[int]int{}
	raced := func() bool {
		return outcomes[http.StatusOK]+outcomes[http.StatusNoContent]+outcomes[http.StatusCreated] >= 10 && outcomes[http.StatusNotFound] >= 10 && swaps.Load() >= 10
	}
	done := 0
	for ; done < rounds && time.Since(begun) < time.Minute || !raced() && time.Since(begun) < wait.Patience(2*time.Minute); done++ {
		method, path, body := "POST", "/containers/flip/update", `{"CpuShares":1024}`
		switch done % 5 {
		case 1:
			path, body = "/containers/flip/exec", `{"Cmd":["true"]}`
		case 2:
			path, body = "/containers/flip/kill?signal=CONT", ""
		case 3:
			path, body = "/containers/flip/restart?t=0", ""
			if done%25 != 3 { // it takes a while
				path = "/containers/flip/pause"
			}
		case 4:
			path, body = "/containers/flip/unpause", ""
		}
		answer, err := vitrine.Ask(mine, method, path, body)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(answer.Body, its) {
			t.Fatalf("%s shows the other one: %s", path, answer)
		}
		outcomes[answer.Status]++
		var exec struct{ Id string }
		if answer.Status == http.StatusCreated && json.Unmarshal([]byte(answer.Body), &exec) == nil {
			resp, err := w.e.Client().Get("http://docker/exec/" + exec.Id + "/json")
			if err != nil {
				t.Fatal(err)
			}
			var in struct{ ContainerID string }
			err = json.NewDecoder(resp.Body).Decode(&in)
			_ = resp.Body.Close()
			if err != nil || in.ContainerID == its {
				t.Fatalf("an exec in the other one: %v", err)
			}
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	t.Logf("%d rounds, %d swaps, answers by status: %v", done, swaps.Load(), outcomes)
	if !raced() {
		t.Errorf("nothing raced: %v, %d swaps", outcomes, swaps.Load())
	}
	if after := w.inspect(its, "{{.State.StartedAt}} {{.HostConfig.CpuShares}} {{.State.Paused}}"); after != before {
		t.Errorf("the other one was %s, and is %s", before, after)
	}
}

// connection stays open, and is a user's.
func connection(t *testing.T, w *world, u *vitrine.User) net.Conn {
	t.Helper()
	c, err := u.Dial(w.p.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
