package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"vitrine/internal/command"
	"vitrine/test/monitor"
	"vitrine/test/wait"
)

// terminal is a real one, of tmux.
type terminal struct {
	*testing.T
	dir string
}

func (t terminal) tmux(arg ...string) string {
	t.Helper()
	cmd := exec.Command("tmux", append([]string{"-L", "t", "-f", "/dev/null"}, arg...)...)
	cmd.Env = append(os.Environ(), "TMUX_TMPDIR="+t.dir, "TMUX=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("tmux %s: %v\n%s", arg, err, out)
	}
	return string(out)
}

// until waits until the screen holds each of the texts.
func (t terminal) until(texts ...string) {
	t.Helper()
	err := wait.NoError(20*time.Second, func() error {
		screen := t.tmux("capture-pane", "-p", "-t", "s")
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return fmt.Errorf("no %q on the screen:\n%s", text, screen)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTop: keys, another size, and a terminal that is as it was.
func TestTop(t *testing.T) {
	if _, err := exec.LookPath("tmux"); err != nil {
		if os.Getenv("VITRINE_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	program := monitor.Build(t)
	address, _, stop := started(t, newHost(t).args("run", "--http", "127.0.0.1:0", "--interval", "1s"))
	defer stop()
	on := terminal{t, t.TempDir()}
	on.tmux("new-session", "-d", "-s", "s", "-x", "80", "-y", "24",
		"echo before; NO_COLOR=1 "+program+" top --from "+address+"; echo left with $?; exec sleep 1000")
	defer on.tmux("kill-server")
	on.until("nothing wrong", "1 running, 0 stopped", "NAME", "web", "5.0MiB/10.0MiB", "sorted by trouble")
	on.tmux("send-keys", "-t", "s", "s", "s")
	on.until("sorted by cpu")
	on.tmux("send-keys", "-t", "s", "/", "zzz")
	on.until("filter: zzz", "no container that the filter leaves")
	on.tmux("send-keys", "-t", "s", "Escape")
	on.until("web")
	on.tmux("send-keys", "-t", "s", "Enter")
	on.until("busybox", "docker.container_state", "esc back")
	on.tmux("send-keys", "-t", "s", "Escape") // alone: with a key right behind it, it would be Alt
	on.until("enter details")
	on.tmux("send-keys", "-t", "s", "2")
	on.until("who asks Docker cannot be seen")
	on.tmux("send-keys", "-t", "s", "3")
	on.until("nothing has happened since the monitor looked")
	on.tmux("send-keys", "-t", "s", "1")
	on.tmux("resize-window", "-t", "s", "-x", "120", "-y", "30")
	on.until("web", "sorted by cpu")
	on.tmux("send-keys", "-t", "s", "q")
	on.until("before", "left with 0")
	if got := strings.TrimSpace(on.tmux("display-message", "-p", "-t", "s", "#{alternate_on} #{cursor_flag}")); got != "0 1" {
		t.Errorf("the terminal's alternate screen and cursor: %s", got)
	}
}

// TestTopRefused: the reason is told, and what to do.
func TestTopRefused(t *testing.T) {
	h := newHost(t)
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--from", "nowhere"}, command.Usage, "is no address such as 127.0.0.1:9780"},
		{[]string{"--http", ""}, command.Usage, "--from says where one answers"},
		{nil, command.Failed, "this is no terminal; monitor once prints a table"},
	} {
		var errs bytes.Buffer
		if code := run(t.Context(), h.args("top", tt.args...), command.Streams{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &errs}); code != tt.code || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%q: exit code %d, %s", tt.args, code, &errs)
		}
	}
}
