package grants

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(m.Run())
}

const borrower = 4401

const policyData = `
roles:
  ops:
    access: [ping, list, inspect, stream, interactive]
    hazards: [env]
    grant: {max: 1h}
bindings:
  admin: ["unix:root", "local"]
`

type world struct {
	*testing.T
	e    *engine.Engine
	p    *vitrine.Process
	user *vitrine.User
}

func newWorld(t *testing.T) *world {
	t.Helper()
	engine.Require(t)
	w := &world{T: t, e: engine.Start(t, engine.Options{})}
	if err := w.e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	w.e.Docker("run", "-d", "--name", "job", "bb:1", "sleep", "100000")
	w.p = vitrine.Start(t, vitrine.Options{Engine: w.e, Data: policyData, Alone: true})
	w.user = vitrine.As(t, borrower)
	return w
}

func (w *world) ask(method, path, body string) vitrine.Answer {
	w.Helper()
	c, err := w.user.Dial(w.p.Socket)
	if err != nil {
		w.Fatal(err)
	}
	defer c.Close()
	answer, err := vitrine.Ask(c, method, path, body)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	return answer
}

// command runs a command of authz-plugin on the Engine's host.
func (w *world) command(args ...string) string {
	w.Helper()
	out, err := w.e.Command(vitrine.Binary(w), args...).CombinedOutput()
	if err != nil {
		w.Fatalf("authz-plugin %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// lend lends the role, and waits until it holds.
func (w *world) lend(length string) (id string, until time.Time) {
	w.Helper()
	out := w.command("grant", "--role", "ops", "--to", fmt.Sprintf("uid:%d", borrower), "--for", length, "--reason", "a test")
	m := regexp.MustCompile(`^(g-\S+): .* until (\S+) `).FindStringSubmatch(out)
	if m == nil {
		w.Fatalf("grant says %q", out)
	}
	until, err := time.Parse(time.RFC3339, m[2])
	if err != nil {
		w.Fatal(err)
	}
	wait.Until(w, "the grant holds", func() bool { return w.ask("GET", "/containers/json", "").Status == http.StatusOK })
	return m[1], until
}

// stream is an open answer; ended gives when it was broken off.
type stream struct {
	net.Conn
	ended chan time.Time
}

// open asks for an answer that goes on, and reads until it ends.
func (w *world) open(want int, method, path, body string, header http.Header) *stream {
	w.Helper()
	c, err := w.user.Dial(w.p.Socket)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = c.Close() })
	req, err := http.NewRequest(method, "http://docker"+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	req.Header = header
	if err := req.Write(c); err != nil {
		w.Fatal(err)
	}
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, req)
	if err != nil || res.StatusCode != want {
		w.Fatalf("%s %s: %v %v", method, path, res, err)
	}
	s := &stream{c, make(chan time.Time, 1)}
	rest := io.Reader(res.Body)
	if want == http.StatusSwitchingProtocols {
		rest = r
	}
	go func() {
		_, _ = io.Copy(io.Discard, rest)
		s.ended <- time.Now()
	}()
	return s
}

func (w *world) openBoth() []*stream {
	w.Helper()
	made := w.ask("POST", "/containers/job/exec", `{"AttachStdin":true,"AttachStdout":true,"Cmd":["cat"]}`)
	var exec struct{ ID string }
	if err := json.Unmarshal([]byte(made.Body), &exec); err != nil || exec.ID == "" {
		w.Fatalf("exec: %s", made)
	}
	return []*stream{
		w.open(http.StatusOK, "GET", "/events", "", http.Header{}),
		w.open(http.StatusSwitchingProtocols, "POST", "/exec/"+exec.ID+"/start", `{}`,
			http.Header{"Content-Type": {"application/json"}, "Connection": {"Upgrade"}, "Upgrade": {"tcp"}}),
	}
}

// allEnd waits until the streams are broken off, none of them before a time; zero: now, or before.
func (w *world) allEnd(streams []*stream, from time.Time) {
	w.Helper()
	left := max(0, time.Until(from)) + wait.Patience(10*time.Second)
	for i, s := range streams {
		select {
		case at := <-s.ended:
			if at.Before(from) {
				w.Errorf("stream %d ended %s too early", i, from.Sub(at))
			}
		case <-time.After(left):
			w.Errorf("stream %d goes on %s after it should have ended", i, left)
		}
	}
	if a := w.ask("GET", "/containers/json", ""); a.Status != http.StatusForbidden {
		w.Errorf("after the end: %s", a)
	}
}

// recorded compares what the audit log says of a grant.
func (w *world) recorded(id string, want ...string) {
	w.Helper()
	var got []string
	w.p.Eventually("the audit records", func() error {
		got = nil
		for _, r := range w.p.Audit() {
			if r.ID == id {
				got = append(got, r.Event+" "+strings.Join(r.Reasons, ""))
			}
		}
		if len(got) < len(want) {
			return fmt.Errorf("there are %q", got)
		}
		return nil
	})
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		w.Errorf("recorded of %s: %q, want %q", id, got, want)
	}
}

func TestWhatWasAllowedEndsWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if a := w.ask("GET", "/containers/json", ""); a.Status != http.StatusForbidden {
		t.Fatalf("before: %s", a)
	}

	t.Run("by its time", func(t *testing.T) {
		w.T = t
		id, until := w.lend("40s")
		w.allEnd(w.openBoth(), until)
		w.recorded(id, "grant-begin ", "grant-end its time is over")
		i := slices.IndexFunc(w.p.Audit(), func(r audit.Record) bool { return r.ID == id })
		if g := w.p.Audit()[i].Grant; g == nil || g.Role != "ops" || g.Reason != "a test" || !strings.HasPrefix(g.By, "root") || !g.Until.Equal(until) {
			t.Errorf("recorded grant: %+v", g)
		}
	})

	t.Run("revoked", func(t *testing.T) {
		w.T = t
		id, _ := w.lend("1h")
		streams := w.openBoth()
		if out := w.command("status", "--admin-socket", "/run/vitrine-admin/admin.sock"); !strings.Contains(out, "grant "+id) || !strings.Contains(out, "ops to uid:4401, ends in ") || strings.Contains(out, "\x1b") {
			t.Errorf("status says\n%s", out)
		}
		if out := w.command("decisions", "--as", "uid:4401", "-n", "1000"); !strings.Contains(out, "ContainerExec job") || !strings.Contains(out, "deny") || strings.Contains(out, "unix:root") {
			t.Errorf("decisions are\n%s", out)
		}
		if out := w.command("decisions", "--denied"); strings.Contains(out, " allow ") || !strings.Contains(out, "[no-role] no role is bound to the caller") {
			t.Errorf("denied are\n%s", out)
		}
		w.command("revoke", id, "--reason", "enough")
		w.allEnd(streams, time.Time{})
		w.recorded(id, "grant-begin ", "grant-end revoked by root")
	})

	t.Run("over a restart", func(t *testing.T) {
		w.T = t
		id, until := w.lend("40s")
		w.recorded(id, "grant-begin ") // what was queued is lost
		w.p.Kill()                     // unclean
		w.p.Run()
		w.p.WaitReady()
		w.allEnd(w.openBoth(), until)
		w.recorded(id, "grant-begin ", "grant-end its time is over")
	})

	t.Run("while we do not run", func(t *testing.T) {
		w.T = t
		id, until := w.lend("20s")
		w.p.Stop()
		time.Sleep(time.Until(until))
		for range 2 {
			w.p.Run()
			w.p.WaitReady()
			w.allEnd(nil, until)
			w.p.Stop()
		}
		w.p.Run()
		w.recorded(id, "grant-begin ", "grant-end its time is over")
		w.p.WaitReady()
	})

	t.Run("with a file that others can write to", func(t *testing.T) {
		w.T = t
		id, _ := w.lend("1h")
		streams := w.openBoth()
		file := filepath.Join(w.p.PolicyDir, "grants.yaml")
		if err := os.Chmod(file, 0o666); err != nil {
			t.Fatal(err)
		}
		w.allEnd(streams, time.Time{})
		w.recorded(id, "grant-begin ", "grant-end read the grants: ")
		if h, err := w.p.Health(); err != nil || !strings.Contains(h.Checks["grants"], "others may write to it") {
			t.Errorf("health: %+v %v", h, err)
		}
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBindingWithUntilEnds: the same of a binding of the policy.
func TestBindingWithUntilEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	until := time.Now().Add(40 * time.Second).UTC().Truncate(time.Second)
	w.p.WritePolicy("data.yaml", policyData+fmt.Sprintf("  ops: [{principal: \"uid:%d\", until: \"%s\"}]\n", borrower, until.Format(time.RFC3339)))
	wait.Until(t, "the binding holds", func() bool { return w.ask("GET", "/containers/json", "").Status == http.StatusOK })
	w.allEnd(w.openBoth(), until)
	var got []string
	w.p.Eventually("the audit records", func() error {
		got = nil
		for _, r := range w.p.Audit() {
			if r.Event != "" {
				got = append(got, r.Event+" "+r.Grant.By)
			}
		}
		if len(got) < 2 {
			return fmt.Errorf("there are %q", got)
		}
		return nil
	})
	if len(got) != 2 || !strings.HasPrefix(got[0], "grant-begin /etc/docker/vitrine/data.yaml:") || !strings.HasPrefix(got[1], "grant-end ") {
		t.Errorf("recorded %q", got)
	}
}
