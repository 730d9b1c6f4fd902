package unixsocket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// kinds are those of sockets, and what each needs before others may find it.
var kinds = map[string]struct {
	kind    int
	prepare func(fd int) error
}{
	"datagram": {unix.SOCK_DGRAM, func(int) error { return nil }},
	"stream":   {unix.SOCK_STREAM, listen},
}

func TestLife(t *testing.T) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "made")
			at := File{Path: filepath.Join(dir, "s"), Mode: 0o620, GID: os.Getgid()}
			fd, _, err := Bind(k.kind, at, k.prepare)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Lstat(at.Path); err != nil || info.Mode() != fs.ModeSocket|0o620 {
				t.Fatalf("socket: %v, %v", info, err)
			}
			if info, err := os.Lstat(dir); err != nil || info.Mode().Perm() != 0o755 {
				t.Errorf("folder: %v, %v", info, err)
			}
			if _, _, err := Bind(k.kind, at, k.prepare); err == nil || !strings.Contains(err.Error(), "still answers") {
				t.Fatalf("a socket that answers: %v", err)
			}
			closeFD(fd) // as one that is killed
			fd2, remove2, err := Bind(k.kind, at, k.prepare)
			if err != nil {
				t.Fatalf("a stale socket was not replaced: %v", err)
			}
			defer closeFD(fd2)
			remove2()
			if entries, _ := os.ReadDir(dir); len(entries) != 0 {
				t.Errorf("left behind: %v", entries)
			}
			fd3, remove3, err := Bind(k.kind, at, k.prepare)
			if err != nil {
				t.Fatal(err)
			}
			defer closeFD(fd3)
			remove2() // the second one's, and not there any more
			if _, err := os.Lstat(at.Path); err != nil {
				t.Fatal("another's socket was removed")
			}
			remove3()
		})
	}
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(File{Path: path, Mode: 0o600, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	if l.Addr().String() != path {
		t.Errorf("address %s", l.Addr())
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	// One that was put in its place meanwhile is somebody else's: Close leaves it.
	_ = os.Remove(path)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	_ = l.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("Close removed somebody else's file: %v", err)
	}
}

// TestWholeQueueIsNotTakenOverClosed: who cannot take more is somebody all the same.
func TestWholeQueueIsNotTakenOverClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := bind(unix.SOCK_STREAM, path)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFD(fd)
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	var last error
	for range 4 {
		waiting, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer closeFD(waiting)
		last = unix.Connect(waiting, &unix.SockaddrUnix{Name: path})
	}
	if last != unix.EAGAIN {
		t.Fatalf("the queue is not full: %v", last)
	}
	if _, err := Listen(File{Path: path, Mode: 0o600, GID: -1}); err == nil || !strings.Contains(err.Error(), "still answers") {
		t.Errorf("it was taken over: %v", err)
	}
}

// TestFolderThatAnotherHasLocked: whoever can read the folder can lock it, and
// keeps nobody from listening.
func TestFolderThatAnotherHasLocked(t *testing.T) {
	dir := t.TempDir()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(File{Path: filepath.Join(dir, "s"), Mode: 0o600, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

func TestWhatIsNoSocketIsLeftAloneClosed(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, dir} {
		for name, k := range kinds {
			if _, _, err := Bind(k.kind, File{Path: path, Mode: 0o666, GID: -1}, k.prepare); err == nil {
				t.Errorf("%s was replaced by a %s socket", path, name)
			}
		}
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Error("the file changed")
	}
	if target, _ := os.Readlink(link); target == "" {
		t.Error("the link changed")
	}
}

func TestFolderThatOthersCanWriteToClosed(t *testing.T) {
	dir := t.TempDir()
	wide, linked := filepath.Join(dir, "wide"), filepath.Join(dir, "linked")
	if err := os.Mkdir(wide, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(wide, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(wide, linked); err != nil {
		t.Fatal(err)
	}
	folders := []string{wide, linked}
	for name, mode := range map[string]os.FileMode{"group": 0o775, "others": 0o757} {
		folder := filepath.Join(dir, name)
		if err := errors.Join(os.Mkdir(folder, 0o755), os.Chmod(folder, mode)); err != nil {
			t.Fatal(err)
		}
		folders = append(folders, folder)
	}
	if os.Geteuid() == 0 { // only root can give a folder away
		folder := filepath.Join(dir, "another user's")
		if err := errors.Join(os.Mkdir(folder, 0o755), os.Chown(folder, 4711, 0)); err != nil {
			t.Fatal(err)
		}
		folders = append(folders, folder)
	}
	for _, folder := range folders {
		if _, err := Listen(File{Path: filepath.Join(folder, "s"), Mode: 0o666, GID: -1}); err == nil {
			t.Errorf("a socket was made in %s", folder)
		}
	}
}

// TestNeverOpenWiderThanAsked watches the folder while sockets come and go.
func TestNeverOpenWiderThanAsked(t *testing.T) {
	dir := t.TempDir()
	stop, wide := make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(wide)
		for {
			select {
			case <-stop:
				return
			default:
			}
			entries, _ := os.ReadDir(dir)
			for _, e := range entries {
				if info, err := e.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
					wide <- fmt.Sprint(e.Name(), " ", info.Mode())
					return
				}
			}
		}
	}()
	for range 100 {
		for name, k := range kinds {
			fd, remove, err := Bind(k.kind, File{Path: filepath.Join(dir, name), Mode: 0o600, GID: -1}, k.prepare)
			if err != nil {
				t.Fatal(err)
			}
			remove()
			closeFD(fd)
		}
	}
	close(stop)
	if what, ok := <-wide; ok {
		t.Errorf("seen: %s", what)
	}
}

// TestNobodyHandsUsDescriptorsClosed: on a kernel that can refuse them, before and after the connection was accepted.
func TestNobodyHandsUsDescriptorsClosed(t *testing.T) {
	if fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	} else {
		defer closeFD(fd)
		if errors.Is(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0), unix.ENOPROTOOPT) {
			t.Skip("Linux before 6.16 takes what is passed along")
		}
	}
	pass := func(when string, c net.Conn) {
		raw, err := c.(*net.UnixConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var sent error
		if err := raw.Control(func(fd uintptr) { sent = unix.Sendmsg(int(fd), []byte("x"), unix.UnixRights(0), nil, 0) }); err != nil || !errors.Is(sent, unix.EPERM) {
			t.Errorf("%s: %v, %v", when, sent, err)
		}
	}
	dial := func(network, path string) net.Conn {
		c, err := net.Dial(network, path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	stream, datagram := File{Path: filepath.Join(t.TempDir(), "s"), Mode: 0o600, GID: -1}, File{Path: filepath.Join(t.TempDir(), "d"), Mode: 0o600, GID: -1}
	fd, _, err := Bind(unix.SOCK_DGRAM, datagram, func(int) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer closeFD(fd)
	pass("a datagram", dial("unixgram", datagram.Path))
	l, err := Listen(stream)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c := dial("unix", stream.Path)
	pass("in the queue", c)
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = accepted.Close() }()
	pass("accepted", c)

	path := filepath.Join(t.TempDir(), "i")
	theirs := listening(t, "unix", path)
	dial("unix", path) // for whom the program waits
	if says, code := started(t, "agents", theirs)(); code != 0 {
		t.Fatal(code, says)
	}
	pass("on a socket that another program made", dial("unix", path))
}
