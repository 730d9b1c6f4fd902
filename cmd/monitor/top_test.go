package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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
	cmd.Env = append(os.Environ(), "TMUX_TMPDIR="+t.dir, "TMUX=", "NO_COLOR=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("tmux %s: %v\n%s", arg, err, out)
	}
	return string(out)
}

func (t terminal) press(keys ...string) {
	t.Helper()
	t.tmux(append([]string{"send-keys", "-t", "s"}, keys...)...)
}

// until waits until the screen holds each of the texts.
func (t terminal) until(texts ...string) (screen string) {
	t.Helper()
	err := wait.NoError(20*time.Second, func() error {
		screen = t.tmux("capture-pane", "-p", "-t", "s")
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
	return screen
}

// fits waits until the keys stand in the last line of so many, and fails if a line went on in the next.
func (t terminal) fits(width, height int) {
	t.Helper()
	err := wait.NoError(20*time.Second, func() error {
		lines := strings.Split(strings.TrimSuffix(t.tmux("capture-pane", "-p", "-J", "-t", "s"), "\n"), "\n")
		for _, line := range lines {
			if line = strings.TrimRight(line, " "); utf8.RuneCountInString(line) > width {
				return fmt.Errorf("wider than %d: %q", width, line)
			}
		}
		if len(lines) != height || !strings.Contains(lines[height-1], "q quit") {
			return fmt.Errorf("no keys in the last of %d lines:\n%s", height, strings.Join(lines, "\n"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// script writes one that runs a program and says whether it left the terminal as it was.
func (t terminal) script(name, program, then string) (command string) {
	t.Helper()
	file := filepath.Join(t.dir, name)
	if err := os.WriteFile(file, []byte("echo before\nwas=$(stty -g)\n"+program+"\necho left "+name+" with $?\n"+
		`[ "$was" = "$(stty -g)" ] && echo `+name+" is as it was\n"+then+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "sh " + file
}

// open runs a program on a screen of 80 columns and 24 lines, and returns what is written to it.
func (t terminal) open(program string) (written func() string) {
	t.Helper()
	file := filepath.Join(t.dir, "written")
	t.tmux("new-session", "-d", "-s", "s", "-x", "80", "-y", "24", t.script("here", program, "exec cat >"+os.DevNull),
		";", "pipe-pane", "-t", "s", "exec cat >'"+file+"'")
	t.Cleanup(func() { t.tmux("kill-server") })
	return func() string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

// need skips the test where there is no such program, or fails it where VITRINE_REQUIRE is set.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		cannot(t, err)
	}
}

func cannot(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("VITRINE_REQUIRE") != "" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// TestTop: keys, another size, and a terminal that is as it was; here, and over ssh without colour.
func TestTop(t *testing.T) {
	need(t, "tmux")
	program := monitor.Build(t)
	address, _, stop := started(t, newHost(t).args("run", "--http", "127.0.0.1:0", "--interval", "1s"))
	t.Cleanup(func() { stop() })
	program += " top --from " + address
	t.Run("here", func(t *testing.T) {
		t.Parallel()
		on := terminal{t, t.TempDir()}
		written := on.open(program)
		on.walk(written)
		if !coloured(written()) {
			t.Errorf("no colour was written:\n%q", written())
		}
	})
	for name, tt := range map[string]struct{ term, environ string }{
		"ssh, vt100":    {"vt100", ""},
		"ssh, NO_COLOR": {"xterm", "NO_COLOR=1 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on := terminal{t, t.TempDir()}
			login := sshd(t)
			written := on.open("TERM=" + tt.term + " " + login + " " + on.script("away", tt.environ+program, ""))
			on.walk(written)
			on.until("left away with 0", "away is as it was")
			if coloured(written()) {
				t.Errorf("a colour was written:\n%q", written())
			}
		})
	}
}

// walk presses the keys and leaves.
func (t terminal) walk(written func() string) {
	t.Helper()
	t.until("nothing wrong", "1 running, 0 stopped", "NAME", "web", "5.0MiB/10.0MiB", "sorted by trouble")
	t.fits(80, 24)
	t.press("s", "s")
	t.until("sorted by cpu")
	t.press("/", "zzz")
	t.until("filter: zzz", "no container that the filter leaves")
	t.press("Escape")
	t.until("web")
	t.press("Enter")
	t.until("busybox", "docker.container_state", "esc back", "…")
	t.fits(80, 24)
	t.press("Escape") // alone: with a key right behind it, it would be Alt
	t.until("enter details")
	t.press("2")
	t.until("who asks Docker cannot be seen")
	t.fits(80, 24)
	t.press("3")
	t.until("nothing has happened since the monitor looked")
	t.press("1")
	for _, size := range [][2]int{{120, 30}, {60, 12}, {80, 24}} {
		t.tmux("resize-window", "-t", "s", "-x", strconv.Itoa(size[0]), "-y", strconv.Itoa(size[1]))
		t.fits(size[0], size[1])
		t.until("web", "sorted by cpu")
	}
	t.press("q")
	t.until("before", "left here with 0", "here is as it was")
	t.press("typed")
	wait.Until(t, "what is typed is shown, and was recorded", func() bool { return strings.HasSuffix(written(), "typed") })
	t.until("typed")
	if got := strings.TrimSpace(t.tmux("display-message", "-p", "-t", "s", "#{alternate_on} #{cursor_flag} #{keypad_flag} #{mouse_any_flag} #{wrap_flag}")); got != "0 1 0 0 1" {
		t.Errorf("the terminal's alternate screen, cursor, keypad, mouse, and wrapping: %s", got)
	}
	if !strings.HasPrefix(written(), "before") {
		t.Errorf("the record begins late: %.40q", written())
	}
	for mode, is := range modes(written()) {
		if initial := map[string]string{"7": "h", "25": "h"}[mode]; is != cmp.Or(initial, "l") {
			t.Errorf("the terminal's mode %s is left as %s", mode, is)
		}
	}
}

// modes are the private ones that were set (h) or reset (l), as they were left.
func modes(written string) map[string]string {
	last := map[string]string{}
	for _, m := range regexp.MustCompile(`\x1b\[\?([\d;]+)([hl])`).FindAllStringSubmatch(written, -1) {
		for mode := range strings.SplitSeq(m[1], ";") {
			last[mode] = m[2]
		}
	}
	return last
}

// coloured says whether a colour was written: SGR 30 to 38, 40 to 48, or 90 to 107.
func coloured(written string) bool {
	for _, m := range regexp.MustCompile(`\x1b\[([\d;:]*)m`).FindAllStringSubmatch(written, -1) {
		if regexp.MustCompile(`(^|[;:])(3[0-8]|4[0-8]|9\d|10[0-7])($|[;:])`).MatchString(m[1]) {
			return true
		}
	}
	return false
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
