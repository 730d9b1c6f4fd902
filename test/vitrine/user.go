package vitrine

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"vitrine/test/wait"
)

// dialVariable makes a test binary a process that only dials; see Main.
const dialVariable = "VITRINE_TEST_DIAL"

// User is a process of another user: it connects, and hands the connections to
// the test. Credentials are those of who connected, so what the test sends over
// them is that user's.
type User struct {
	UID     int
	control *net.UnixConn
	cmd     *exec.Cmd
}

// Main is called first in the TestMain of a package whose tests use As: such a
// user is the same test binary, started again. It does not return there.
func Main() {
	if os.Getenv(dialVariable) == "" {
		return
	}
	if err := dialForTest(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// As starts a process of uid and the group of the same number. It ends with the
// test.
func As(tb testing.TB, uid int) *User {
	tb.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "control"), os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	u := &User{UID: uid, control: unixConn(tb, ours)}
	// Not the binary's path: its folder is closed to others.
	u.cmd = exec.Command("/proc/self/exe")
	u.cmd.Env = []string{dialVariable + "=1"}
	u.cmd.Dir = "/"
	u.cmd.Stderr = os.Stderr
	u.cmd.ExtraFiles = []*os.File{theirs}
	u.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	if err := u.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = u.control.Close() // it ends on this
		if err := u.cmd.Wait(); err != nil {
			tb.Errorf("process of uid %d: %v", uid, err)
		}
	})
	return u
}

// Pid is the process id of who connects.
func (u *User) Pid() int { return u.cmd.Process.Pid }

// Dial connects to a Unix socket as the user.
func (u *User) Dial(socket string) (net.Conn, error) {
	_ = u.control.SetDeadline(time.Now().Add(wait.Patience(10 * time.Second)))
	if _, err := u.control.Write([]byte(socket)); err != nil {
		return nil, err
	}
	message, rights := make([]byte, 1024), make([]byte, syscall.CmsgSpace(4))
	n, rn, _, _, err := u.control.ReadMsgUnix(message, rights)
	if err != nil {
		return nil, err
	}
	if rn == 0 {
		return nil, fmt.Errorf("uid %d: %s", u.UID, message[:n])
	}
	control, err := syscall.ParseSocketControlMessage(rights[:rn])
	if err != nil {
		return nil, err
	}
	fds, err := syscall.ParseUnixRights(&control[0])
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(fds[0])
	f := os.NewFile(uintptr(fds[0]), socket)
	defer f.Close()
	return net.FileConn(f)
}

func unixConn(tb testing.TB, f *os.File) *net.UnixConn {
	tb.Helper()
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		tb.Fatal(err)
	}
	return c.(*net.UnixConn)
}

// dialForTest dials what it is asked to until the test closes the control socket.
func dialForTest() error {
	c, err := net.FileConn(os.NewFile(3, "control"))
	if err != nil {
		return err
	}
	control := c.(*net.UnixConn)
	path := make([]byte, 1024)
	for {
		n, err := control.Read(path)
		if n == 0 || err != nil {
			return nil //nolint:nilerr // the test has ended
		}
		if err := dialAndPass(control, string(path[:n])); err != nil {
			return err
		}
	}
}

// dialAndPass answers with the connection, or with the error's text. It keeps no copy.
func dialAndPass(control *net.UnixConn, path string) error {
	conn, err := net.Dial("unix", path)
	if err != nil {
		_, err = control.Write([]byte(err.Error()))
		return err
	}
	defer conn.Close()
	f, err := conn.(*net.UnixConn).File()
	if err != nil {
		return err
	}
	defer f.Close()
	_, _, err = control.WriteMsgUnix([]byte("connected"), syscall.UnixRights(int(f.Fd())), nil)
	return err
}

// OpenDir is a folder of the test's own that every user may enter and read. The
// testing package's are in one of the test's name, which is closed to others; what is
// above that is the machine's, and stays as it is.
func OpenDir(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	for _, dir := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(dir, 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}
