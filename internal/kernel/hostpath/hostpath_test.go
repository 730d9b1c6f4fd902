package hostpath

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine/test/wait"
)

// hostWith is a host whose root directory has these folders, files (which end
// in !) and links (NAME>TARGET).
func hostWith(t testing.TB, names ...string) (h *Host, root string) {
	t.Helper()
	root = t.TempDir()
	for _, name := range names {
		from, target, isLink := strings.Cut(name, ">")
		file, isFile := strings.CutSuffix(from, "!")
		at := filepath.Join(root, file)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		switch {
		case isLink:
			err = errors.Join(err, os.Symlink(target, at))
		case isFile:
			err = errors.Join(err, os.WriteFile(at, nil, 0o600))
		default:
			err = errors.Join(err, os.MkdirAll(at, 0o755))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return New(Config{Root: root, Logger: slog.New(slog.DiscardHandler)}), root
}

func TestClosedHostPathIsWhatItResolvesTo(t *testing.T) {
	h, _ := hostWith(t, "run/docker.sock!", "var/run>/run", "home/alice/proj/www", "home/alice/proj/r>/run",
		"home/alice/proj/up>../../../run", "home/alice/proj/far>../../../../../../../run", "home/alice/proj/in>www",
		"home/alice/proj/chain>r", "data>/home/alice/proj", "file!", "odd/a (deleted)", "odd/l>a (deleted)", "odd/n\n:x", "odd/m>n\n:x")
	for p, want := range map[string]string{
		"/":                            "/",
		"/home/alice/proj":             "/home/alice/proj",
		"/home/alice/proj/r":           "/run",
		"/home/alice/proj/r/x.sock":    "/run/x.sock",
		"/home/alice/proj/chain":       "/run",
		"/home/alice/proj/up":          "/run",
		"/home/alice/proj/far":         "/run", // the root's parent is the root
		"/home/alice/proj/in":          "/home/alice/proj/www",
		"/data/www":                    "/home/alice/proj/www",
		"/var/run/docker.sock":         "/run/docker.sock",
		"/home/alice/proj/new":         "/home/alice/proj/new",
		"/home/alice/proj/new/er/file": "/home/alice/proj/new/er/file",
		"/data/new":                    "/home/alice/proj/new",
		"/file":                        "/file",
		"/odd/l":                       "/odd/a (deleted)",
		"/odd/m":                       "/odd/n\n:x",
		strings.Repeat("/x", 32):       strings.Repeat("/x", 32),
	} {
		if got, err := h.Resolve(t.Context(), "c", p); got != want || err != nil {
			t.Errorf("%s is %q, %v; want %q", p, got, err, want)
		}
	}
}

// TestClosedPathThatCannotBeResolved: an error says what, and is about the path.
func TestClosedPathThatCannotBeResolved(t *testing.T) {
	h, _ := hostWith(t, "file!", "loop>loop", "ring/a>b", "ring/b>a", "dangling>/run/later", "in/dangling>later",
		"there>/nowhere/at/all")
	for p, want := range map[string]string{
		"/loop":                                "links go round",
		"/ring/a/x":                            "links go round",
		"/dangling":                            `"/dangling": it is a link that leads nowhere`,
		"/dangling/x":                          "leads nowhere",
		"/in/dangling":                         `"/in/dangling": it is a link`,
		"/there/x/y":                           "leads nowhere",
		"/file/x":                              "not a directory",
		"/" + strings.Repeat("x", 300):         "name too long",
		strings.Repeat("/x", 33):               "more than 32 folders of it do not exist",
		"/" + strings.Repeat("xxxxxxx/x", 600): "too long",
		"/a\x00b":                              "invalid argument",
		"relative":                             "canonical",
		"/a/../b":                              "canonical",
		"/a/":                                  "canonical",
		"":                                     "canonical",
	} {
		got, err := h.Resolve(t.Context(), "c", p)
		if got != "" || err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrUnseen) {
			t.Errorf("%.40s is %q, %v; want %s", p, got, err, want)
		}
	}
}

// TestClosedLinksOfProc: they lead each process elsewhere, or are no paths.
func TestClosedLinksOfProc(t *testing.T) {
	h := New(Config{Root: "/", Logger: slog.New(slog.DiscardHandler)})
	for _, p := range []string{"/proc/self", "/proc/self/root", "/proc/self/root/etc", "/proc/self/cwd", "/proc/mounts", "/proc/thread-self/fd/0"} {
		if got, err := h.Resolve(t.Context(), "c", p); err == nil {
			t.Errorf("%s is %s", p, got)
		}
	}
	if got, err := h.Resolve(t.Context(), "c", "/proc"); got != "/proc" || err != nil {
		t.Errorf("/proc is %q, %v", got, err)
	}
}

// TestClosedHostThatCannotBeSeen: that is another error than a path's own.
func TestClosedHostThatCannotBeSeen(t *testing.T) {
	gone := func(context.Context) (net.Conn, error) { return nil, errors.New("nobody listens") }
	notUnix := func(context.Context) (net.Conn, error) { a, _ := net.Pipe(); return a, nil }
	for why, cfg := range map[string]Config{
		"open /nonexistent: no such":        {Root: "/nonexistent"},
		"open /proc/self/status: not a dir": {Root: "/proc/self/status"},
		"nobody listens":                    {Dial: gone},
		"ask the kernel who dockerd is":     {Dial: notUnix},
		"CAP_SYS_PTRACE is needed":          {Dial: listening(t), Proc: t.TempDir()},
	} {
		cfg.Logger = slog.New(slog.DiscardHandler)
		if got, err := New(cfg).Resolve(t.Context(), "c", "/"); got != "" || !errors.Is(err, ErrUnseen) || !strings.Contains(err.Error(), why) {
			t.Errorf("%q, %v, want %s", got, err, why)
		}
	}
}

// listening is a socket of this process's.
func listening(t *testing.T) func(context.Context) (net.Conn, error) {
	t.Helper()
	at := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return func(context.Context) (net.Conn, error) { return net.Dial("unix", at) }
}

// TestRootOfWhoListens: it is that of the process at the other end of the socket.
func TestRootOfWhoListens(t *testing.T) {
	h := New(Config{Dial: listening(t), Logger: slog.New(slog.DiscardHandler)})
	dir := t.TempDir()
	if err := os.Symlink("/etc", filepath.Join(dir, "l")); err != nil {
		t.Fatal(err)
	}
	if got, err := h.Resolve(t.Context(), "c", filepath.Join(dir, "l")); got != "/etc" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	first := h.root
	if _, err := h.Resolve(t.Context(), "c", "/"); err != nil || h.root != first {
		t.Errorf("asked again who listens: %v", err)
	}
	h.root.peer.Close() // as if it had ended
	if _, err := h.Resolve(t.Context(), "c", "/"); err != nil || h.root == first {
		t.Errorf("not asked again who listens: %v", err)
	}
}

// TestClosedFileSystemThatHangs: a lookup ends in time, and whoever causes such
// lookups is refused further ones before others are.
func TestClosedFileSystemThatHangs(t *testing.T) {
	h, _ := hostWith(t, "srv")
	h.cfg.Timeout = 10 * time.Millisecond
	release := make(chan struct{})
	find := h.find
	h.find = func(p string) (string, error) {
		if p == "/nfs" {
			<-release
		}
		return find(p)
	}
	for i := range perCaller + 1 {
		_, err := h.Resolve(t.Context(), "sick", "/nfs")
		if busy := i == perCaller; err == nil || errors.Is(err, ErrBusy) != busy || errors.Is(err, ErrUnseen) {
			t.Errorf("lookup %d: %v", i, err)
		}
	}
	h.cfg.Timeout = time.Second
	if got, err := h.Resolve(t.Context(), "well", "/srv"); got != "/srv" || err != nil {
		t.Errorf("another caller: %q, %v", got, err)
	}
	close(release)
	wait.Until(t, "places are given back", func() bool {
		got, err := h.Resolve(t.Context(), "sick", "/srv")
		return got == "/srv" && err == nil
	})
}
