package hostpath

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"

	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/procfs"
)

// What is tested here is hidden elsewhere by a guard behind it, or happens only when somebody moves things about; so each is asked alone.

// handle opens what must be there, as look does.
func handle(t *testing.T, name string) int {
	t.Helper()
	fd, err := unix.Open(name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// TestClosedSameFile: a path is that of an open file if it leads to it, without a link; by number and device.
func TestClosedSameFile(t *testing.T) {
	_, root := hostWith(t, "a!", "b!", "l>a")
	dir := handle(t, root)
	for name, want := range map[string]bool{"/a": true, "/b": false, "/l": false, "/none": false, "/": false} {
		if got := sameFile(dir, name, handle(t, filepath.Join(root, "a"))); got != want {
			t.Errorf("%s is a: %v", name, got)
		}
	}
	numbers := map[uint64]string{}
	for _, mount := range []string{"/proc", "/sys", "/dev", "/dev/shm", "/dev/pts", "/run", "/tmp", "/"} {
		var st unix.Stat_t
		if unix.Stat(mount, &st) != nil {
			continue
		}
		other, seen := numbers[st.Ino]
		if numbers[st.Ino] = mount; seen {
			if sameFile(handle(t, "/"), other, handle(t, mount)) {
				t.Errorf("%s is %s, as both have number %d", other, mount, st.Ino)
			}
			return
		}
	}
	t.Errorf("no two mounts have one number: %v", numbers)
}

// TestClosedPathThatKeepsChanging is given up, and never answered.
func TestClosedPathThatKeepsChanging(t *testing.T) {
	_, dir := hostWith(t, "a")
	r := &root{}
	if err := r.open(dir); err != nil {
		t.Fatal(err)
	}
	r.prefix = "/elsewhere" // as if all of it had just left the root
	if got, err := r.resolve("/a"); got != "" || !errors.Is(err, errChanged) {
		t.Errorf("%q, %v", got, err)
	}
	_ = r.dir.Close()
	if got, err := r.resolve("/a"); got != "" || err == nil || !strings.Contains(err.Error(), "dockerd has just been restarted") {
		t.Errorf("of a root that was given up: %q, %v", got, err)
	}
}

// TestClosedNameThatAppears: where there was none a moment ago.
func TestClosedNameThatAppears(t *testing.T) {
	_, root := hostWith(t, "there!", "link>there", "nowhere>none")
	for name, want := range map[string]string{
		"none": "<nil>", "there": errChanged.Error(), "link": "it is a link", "nowhere": "it is a link", strings.Repeat("x", 300): "name too long",
	} {
		if got := fmt.Sprint(absent(handle(t, root), name)); !strings.Contains(got, want) {
			t.Errorf("%.20s: %s, want %s", name, got, want)
		}
	}
}

func TestWhatTheKernelSays(t *testing.T) {
	if err := explain(unix.EAGAIN); !errors.Is(err, errChanged) {
		t.Errorf("something was moved: %v", err)
	}
	if err := explain(unix.EACCES); !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "CAP_DAC_READ_SEARCH") {
		t.Error(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if got, err := pathOf(int(r.Fd())); got != "" || err == nil || !strings.Contains(err.Error(), `no path: "pipe:[`) {
		t.Errorf("a pipe lies at %q, %v", got, err)
	}
}

// TestClosedPlacesOfAllCallers: there are so many in all, and who has given back all of its own is forgotten.
func TestClosedPlacesOfAllCallers(t *testing.T) {
	h, _ := hostWith(t)
	for i := range inAll {
		if !h.busy.Add(fmt.Sprint(i)) {
			t.Fatalf("no place for the %dth", i)
		}
	}
	if h.busy.Add("one more") {
		t.Error("a place for one more")
	}
	h.busy.Remove("0")
	if !h.busy.Add("again") || h.busy.Add("one more") {
		t.Error("a place that was given back is gone, or two are there")
	}
	h.busy.Remove("again")
	for i := 1; i < inAll; i++ {
		h.busy.Remove(fmt.Sprint(i))
	}
	if n := h.busy.Len(); n != 0 {
		t.Errorf("%d places are taken", n)
	}
}

// process is a peer with this number, which lives until it is told to end.
func process(pid int) (p *peercred.Peer, end, revive func()) {
	tree := fstest.MapFS{}
	begin := func() {
		tree[fmt.Sprint(pid, "/status")] = &fstest.MapFile{Data: []byte("Uid:\t0\t0\t0\t0\n")}
		tree[fmt.Sprint(pid, "/stat")] = &fstest.MapFile{Data: fmt.Appendf(nil, "%d (dockerd) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0", pid)}
	}
	begin()
	return peercred.FromStartTime(procfs.New(tree), pid, 0, 0, nil), func() { clear(tree) }, begin
}

type closing struct {
	*net.UnixConn
	closed *int
}

func (c closing) Close() error { *c.closed++; return c.UnixConn.Close() }

// TestClosedDockerdThatEnds: its root is given up with it, as is one whose number is another's by the time that it is
// open; and each state is said once.
func TestClosedDockerdThatEnds(t *testing.T) {
	var log bytes.Buffer
	dial, dialed, closed := listening(t), 0, 0
	h := New(Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), Dial: func(ctx context.Context) (net.Conn, error) {
		dialed++
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		return closing{c.(*net.UnixConn), &closed}, nil
	}})
	sees := func(want string) {
		t.Helper()
		for range 2 {
			if _, err := h.Resolve(t.Context(), "c", "/"); !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%v, want %s", err, want)
			}
		}
		if dialed != closed {
			t.Errorf("%d connections, %d closed", dialed, closed)
		}
	}
	first, end, revive := process(os.Getpid())
	h.whose = func(net.Conn) (*peercred.Peer, error) { return first, nil }
	sees("<nil>")
	was := h.root
	end()
	second, end2, revive2 := process(os.Getpid())
	end2()
	h.whose = func(net.Conn) (*peercred.Peer, error) { return second, nil }
	sees("is not the same any more")
	revive()
	revive2()
	if first.Alive() == nil || second.Alive() == nil {
		t.Error("a peer that has ended, or was never seen, is still held")
	}
	if _, err := was.dir.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the root of the one that has ended is still open: %v", err)
	}
	h.whose = func(net.Conn) (*peercred.Peer, error) { return &peercred.Peer{}, nil }
	sees("share the host's (pid: host)")
	third, _, _ := process(os.Getpid())
	h.whose = func(net.Conn) (*peercred.Peer, error) { return third, nil }
	sees("<nil>")
	if seen, unseen := strings.Count(log.String(), "are resolved"), strings.Count(log.String(), "cannot be resolved"); seen != 2 || unseen != 3 { // twice a dead one, which is given up after the first look
		t.Errorf("said %d and %d times:\n%s", seen, unseen, &log)
	}
}
