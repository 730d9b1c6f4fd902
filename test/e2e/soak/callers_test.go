package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/test/vitrine"
)

// gaps are the times in which the Engine is restarted.
type gaps struct {
	mu   sync.RWMutex
	open bool
	seen int // gaps that have begun
}

func (g *gaps) begin() { g.mu.Lock(); g.open, g.seen = true, g.seen+1; g.mu.Unlock() }
func (g *gaps) end()   { g.mu.Lock(); g.open = false; g.mu.Unlock() }

// now is whether there is a gap, and how many have begun.
func (g *gaps) now() (open bool, seen int) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.open, g.seen
}

// counts are requests: all, those that a gap cut off, those that were told to try again, as the Engine or the policy did not answer in time, and
// those that failed.
type counts struct{ asked, cut, again, failed atomic.Int64 }

// errAgain is an answer that says so, or that there was no time to decide, as on a machine that does much else.
var errAgain = errors.New("try again")

const late = "the policy gave no answer in time"

// caller is one user, who asks one thing after the other on connections that are kept, but now and then.
type caller struct {
	*soak
	user *vitrine.User
	name string
	http *http.Client
	n    int
}

// run repeats its steps. What a gap cuts off is begun anew behind it.
func (c *caller) run(ctx context.Context, steps func() error) {
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return c.user.Dial(c.process.Socket) }}
	c.http = &http.Client{Transport: transport, Timeout: time.Minute}
	defer transport.CloseIdleConnections()
	for ctx.Err() == nil {
		open, before := c.now()
		if open {
			pause(ctx, 50*time.Millisecond)
			continue
		}
		c.n++
		err := steps()
		if _, after := c.now(); err != nil && after != before {
			c.cut.Add(1)
		} else if errors.Is(err, errAgain) {
			c.again.Add(1)
		} else if err != nil && c.failed.Add(1) <= 10 {
			c.Errorf("%s: %v", c.name, err)
		}
		if c.n%20 == 0 {
			transport.CloseIdleConnections()
		}
	}
}

// request is one, and the status that it must have.
type request struct {
	method, path, body string
	status             int
	some               bool // a stream, of which the first bytes are enough
}

func (c *caller) all(requests ...request) error {
	for _, r := range requests {
		if err := c.ask(r); err != nil {
			return err
		}
	}
	return nil
}

func (c *caller) ask(r request) error {
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	req, err := http.NewRequest(r.method, "http://docker/v1.41"+r.path, body)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	c.asked.Add(1)
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var text []byte
	if r.some {
		text = make([]byte, 8)
		_, err = res.Body.Read(text)
	} else {
		text, err = io.ReadAll(res.Body)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	if again(res.StatusCode, text) {
		return errAgain
	}
	if res.StatusCode != r.status {
		return fmt.Errorf("%s %s: %s, not %d: %.300s", r.method, r.path, res.Status, r.status, text)
	}
	return nil
}

func again(status int, text []byte) bool {
	return status == http.StatusServiceUnavailable && bytes.Contains(text, []byte(errAgain.Error())) || bytes.Contains(text, []byte(late))
}

// looks is what a reader does: with secrets blanked, and refused what it may not.
func (c *caller) looks() error {
	time.Sleep(20 * time.Millisecond)
	return c.all(
		request{method: "GET", path: "/_ping", status: 200},
		request{method: "GET", path: "/version", status: 200},
		request{method: "GET", path: "/info", status: 200},
		request{method: "GET", path: "/containers/json?all=1", status: 200},
		request{method: "GET", path: "/containers/still/json", status: 200},
		request{method: "GET", path: "/images/json", status: 200},
		request{method: "GET", path: "/networks", status: 200},
		request{method: "GET", path: "/volumes", status: 200},
		request{method: "GET", path: "/events?since=0", status: 200, some: true},
		request{method: "GET", path: "/containers/none/json", status: 404},
		request{method: "POST", path: "/containers/still/start", status: 403},
		request{method: "POST", path: "/containers/create?name=" + c.name, body: `{"Image":"bb:1","HostConfig":{"Privileged":true,"Binds":["/:/host"]}}`, status: 403},
		request{method: "POST", path: "/containers/create", body: `{"Image":`, status: 400},
	)
}

// works is what a worker does: containers, a volume and a network of its own come and go.
func (c *caller) works() error {
	name := fmt.Sprintf("%s-%d", c.name, c.n)
	container := "/containers/" + name
	if err := c.all(
		request{method: "POST", path: "/volumes/create", body: `{"Name":"` + name + `"}`, status: 201},
		request{method: "POST", path: "/containers/create?name=" + name, body: `{"Image":"bb:1","Cmd":["sh","-c","echo hello; sleep 1000"],"StopSignal":"SIGKILL","Env":["A=b"],"HostConfig":{"NetworkMode":"none","Binds":["` + name + `:/data"]}}`, status: 201},
		request{method: "POST", path: container + "/start", status: 204},
		request{method: "GET", path: container + "/json", status: 200},
		request{method: "GET", path: "/containers/json", status: 200},
		request{method: "GET", path: container + "/logs?stdout=1&follow=1", status: 200, some: true},
		request{method: "GET", path: container + "/stats?stream=0&one-shot=1", status: 200},
		request{method: "GET", path: container + "/archive?path=/etc", status: 200},
		request{method: "GET", path: "/containers/still/json", status: 404}, // not its own
		request{method: "POST", path: container + "/rename?name=" + name + "b", status: 204},
	); err != nil {
		return err
	}
	container += "b"
	if err := c.exec(container); err != nil {
		return err
	}
	return c.all(
		request{method: "POST", path: container + "/kill", status: 204},
		request{method: "POST", path: container + "/wait", status: 200},
		request{method: "DELETE", path: container + "?force=1", status: 204},
		request{method: "DELETE", path: "/volumes/" + name, status: 204},
	)
}
