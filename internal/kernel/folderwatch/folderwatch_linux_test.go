package folderwatch

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vitrine/test/wait"
)

// TestWithoutRoomInTheKernelClosed: whoever shares our user may have taken all that the kernel gives: we go on, say so once, and watch as soon as
// there is room.
func TestWithoutRoomInTheKernelClosed(t *testing.T) {
	switch {
	case os.Getuid() == 0:
	case os.Getenv("VITRINE_REQUIRE") != "":
		t.Fatal("needs root")
	default:
		t.Skip("needs root, to be a user who has nothing else")
	}
	dir, err := os.MkdirTemp("", "folderwatch") //nolint:usetesting // the folder above t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread that is another user's ends with it
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 47113, 47113, 47113); errno != 0 {
			t.Errorf("become another user: %v", errno)
			return
		}
		var taken []int
		for {
			fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
			if errors.Is(err, unix.EMFILE) {
				break
			}
			if err != nil {
				t.Errorf("take one more: %v", err)
				return
			}
			taken = append(taken, fd)
		}
		var log wait.Buffer
		w := New("the policy", slog.New(slog.NewTextHandler(&log, nil)))
		defer w.Close()
		folders := map[string]bool{dir: true, filepath.Join(dir, "none"): true}
		w.Set(folders)
		w.Set(folders)
		if n := strings.Count(log.String(), "changes are noticed late"); n != 1 || w.Events() != nil || w.Errors() != nil {
			t.Errorf("said %d times: %s", n, log.String())
		}
		for _, fd := range taken {
			_ = unix.Close(fd)
		}
		w.Set(folders)
		if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err == nil {
			t.Error("another user may write to the folder")
		}
		go func() { _ = os.WriteFile(filepath.Join(dir, "x"), nil, 0o600) }()
		select {
		case <-w.Events():
		case <-time.After(wait.Patience(5 * time.Second)):
			t.Error("a change is not told of")
		}
		w.Set(nil)
		if left := w.w.WatchList(); len(left) > 0 {
			t.Errorf("still watched: %q", left)
		}
	}()
	<-done
}
