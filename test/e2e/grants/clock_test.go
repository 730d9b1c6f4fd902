//go:build linux && amd64

package grants

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/test/qemu"
	"vitrine/test/vitrine"
)

const (
	day = 24 * time.Hour
	// patience is the guest's, who sees nothing of what else its host does: there it took half a minute to load the policy.
	patience = 2 * time.Minute
)

// TestExpiryWhileTheHostsClockIsMovedClosed: in a guest, whose clock is its own, the host's clock is set a day back and a day forward while an
// exec is open that a grant allowed. It ends on time (by what the kernel says has passed), is recorded once, and holds no more after a
// restart, wherever the clock is then.
func TestExpiryWhileTheHostsClockIsMovedClosed(t *testing.T) {
	t.Parallel()
	if !qemu.InGuest() {
		qemu.Boot(t, "vitrine/cmd/authz-plugin")
		return
	}
	h := newHost(t)

	const length = 45 * time.Second
	h.run()
	began := time.Now() // its monotonic reading is not moved
	back := h.lend(length)
	exec := h.exec()
	h.move(-day)
	time.Sleep(length - 5*time.Second - time.Since(began))
	holds := !over(exec) && h.may()
	if passed := time.Since(began); !holds && passed < length { // else it was asked too late, on a busy machine
		t.Errorf("set back: ended %s after it was lent for %s", passed, length)
	}
	select {
	case at := <-exec.ended:
		passed := at.Sub(began)
		t.Logf("set back: ended %s after grant was called", passed)
		if passed < length-time.Second {
			t.Errorf("set back: ended after %s", passed)
		}
	case <-time.After(patience):
		t.Errorf("set back: the exec goes on %s after it was lent", time.Since(began))
	}
	h.overNow(back)
	h.stop()
	h.run() // still a day back
	h.overNow(back)

	h.move(day)
	forward := h.lend(time.Hour)
	exec = h.exec()
	h.move(day)
	select {
	case <-exec.ended:
	case <-time.After(patience):
		t.Error("set forward: the exec goes on")
	}
	h.overNow(forward)
	h.move(-day)
	h.overNow(forward)
	h.stop()
	h.run()
	h.overNow(back)
	h.overNow(forward)
}

func over(s *stream) bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// host has authz-plugin in front of an Engine in name only.
type host struct {
	*testing.T
	dir    string
	user   *vitrine.User
	serve  *exec.Cmd
	socket string
}

const job = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{T: t, dir: vitrine.OpenDir(t)} // the borrower comes to the socket
	h.socket = h.dir + "/docker/docker.sock"
	for name, text := range map[string]string{
		"policy/data.yaml": policyData,
		"config.yaml": fmt.Sprintf("policy: [%[1]s/policy]\ngrants: %[1]s/grants.yaml\nstate_dir: %[1]s/state\nlisten: [\"agents=unix://%[1]s/docker/docker.sock,mode=0666\"]\n"+
			"upstream: unix://%[1]s/engine.sock\nplugin_socket: \"\"\nadmin_socket: %[1]s/admin/admin.sock\naudit: %[1]s/audit.log\n", h.dir),
		"state/.keep": "", "docker/.keep": "", "admin/.keep": "",
	} {
		name = filepath.Join(h.dir, name)
		_ = os.Mkdir(filepath.Dir(name), 0o755)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", h.dir+"/engine.sock")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(engineInName)}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	h.user = vitrine.As(t, borrower)
	return h
}

// engineInName has one container, with one exec, which says what it is told.
func engineInName(w http.ResponseWriter, r *http.Request) {
	container := map[string]any{
		"Id": job, "Names": []string{"/job"}, "Name": "/job", "Image": "bb:1", "Config": map[string]any{"Image": "bb:1"},
		"State": map[string]any{"Status": "exited"}, "HostConfig": map[string]any{},
	}
	answer := any(map[string]any{})
	path := regexp.MustCompile(`^/v[0-9.]+`).ReplaceAllString(r.URL.Path, "")
	w.Header().Set("Content-Type", "application/json")
	switch {
	case path == "/_ping":
		_, _ = io.WriteString(w, "OK")
		return
	case path == "/version":
		answer = map[string]any{"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"}
	case path == "/events":
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return
	case path == "/containers/json":
		answer = []any{container}
	case strings.HasPrefix(path, "/containers/"):
		answer = container
	case strings.HasSuffix(path, "/start"):
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		_, _ = io.Copy(c, rw)
		return
	case strings.HasPrefix(path, "/exec/"):
		answer = map[string]any{"ID": "e1", "ContainerID": job}
	case strings.HasSuffix(path, "/json"), path == "/networks":
		answer = []any{}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (h *host) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(h.Context(), "authz-plugin", args...)
	cmd.Env = append(os.Environ(), "VITRINE_CONFIG="+h.dir+"/config.yaml")
	return cmd
}

func (h *host) run() {
	h.Helper()
	h.serve = h.command("serve")
	h.serve.Stderr = os.Stderr
	if err := h.serve.Start(); err != nil {
		h.Fatal(err)
	}
	h.until("authz-plugin is ready", func() bool {
		at, err := vitrine.HealthAt(h.dir + "/admin/admin.sock")
		return err == nil && at.Status == "ok"
	})
}

func (h *host) until(what string, is func() bool) {
	h.Helper()
	for begin := time.Now(); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > patience {
			h.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func (h *host) stop() {
	h.Helper()
	_ = h.serve.Process.Signal(syscall.SIGTERM)
	if err := h.serve.Wait(); err != nil {
		h.Errorf("authz-plugin ended with %v", err)
	}
}

// lend lends the role, and waits until it holds.
func (h *host) lend(length time.Duration) (id string) {
	h.Helper()
	out, err := h.command("grant", "--role", "ops", "--to", fmt.Sprintf("uid:%d", borrower), "--for", length.String(), "--reason", "a test").CombinedOutput()
	if err != nil {
		h.Fatalf("grant: %v\n%s", err, out)
	}
	h.until("the grant holds", h.may)
	id, _, _ = strings.Cut(string(out), ":")
	return id
}

func (h *host) may() bool {
	h.Helper()
	c, err := h.user.Dial(h.socket)
	if err != nil {
		h.Fatal(err)
	}
	defer c.Close()
	a, err := vitrine.Ask(c, "GET", "/containers/json", "")
	return err == nil && a.Status == http.StatusOK
}

func (h *host) exec() *stream {
	h.Helper()
	w := &world{T: h.T, user: h.user, p: &vitrine.Process{Socket: h.socket}}
	return w.open(http.StatusSwitchingProtocols, "POST", "/exec/e1/start", `{}`, http.Header{"Content-Type": {"application/json"}, "Connection": {"Upgrade"}, "Upgrade": {"tcp"}})
}

// move sets the host's clock.
func (h *host) move(by time.Duration) {
	h.Helper()
	to := syscall.NsecToTimeval(time.Now().Add(by).UnixNano())
	if err := syscall.Settimeofday(&to); err != nil {
		h.Fatal(err)
	}
	h.Logf("%s after boot the clock is set by %s to %s", uptime(), by, time.Now().Format(time.RFC3339))
}

func uptime() string {
	text, _ := os.ReadFile("/proc/uptime")
	seconds, _, _ := strings.Cut(string(text), " ")
	return seconds + " s"
}

// overNow checks that a grant does not hold, and that its beginning and its end stand once in the audit log.
func (h *host) overNow(id string) {
	h.Helper()
	if h.may() {
		h.Errorf("%s holds", id)
	}
	var events []string
	h.until("the end is recorded", func() bool {
		events = nil
		for _, r := range vitrine.AuditIn(h, h.dir+"/audit.log") {
			if r.ID == id {
				events = append(events, r.Event+" "+strings.Join(r.Reasons, ""))
			}
		}
		return len(events) > 1
	})
	if len(events) != 2 || !strings.HasPrefix(events[0], "grant-begin") || events[1] != "grant-end its time is over" {
		h.Errorf("recorded of %s: %q", id, events)
	}
}
