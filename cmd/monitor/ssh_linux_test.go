package main

import (
	"context"
	"errors"
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

// server is sshd as root, without which it gives no terminal. It wants a /run/sshd, writes to the logs of logins, and lets nobody
// in whose account is locked, as root's may be: it has its own of these, in a mount namespace.
const server = `
mount -t tmpfs none /run && mkdir -m 0755 /run/sshd && mount -t tmpfs none /var/log && touch /var/log/lastlog && mount --bind shadow /etc/shadow &&
exec /usr/sbin/sshd -e -f config "$@"
`

// sshd serves root, with keys of its own, on loopback, until the test ends. It returns the command that logs in.
func sshd(t *testing.T) (login string) {
	t.Helper()
	need(t, "/usr/sbin/sshd")
	if os.Getuid() != 0 {
		cannot(t, errors.New("sshd needs root"))
	}
	dir := t.TempDir()
	for _, key := range []string{"host", "user"} {
		if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	hostKey, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	for name, content := range map[string]string{
		"config": fmt.Sprintf("HostKey %s/host\nAuthorizedKeysFile %s/user.pub\nAllowUsers root\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"+
			"KbdInteractiveAuthentication no\nStrictModes no\nUsePAM no\nPermitUserRC no\nDisableForwarding yes\nPidFile none\n", dir, dir),
		"shadow": "root:*:1::::::\n",
		"known":  fmt.Sprintf("[127.0.0.1]:%d %s", port, hostKey),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := serverCommand(t.Context(), dir, "-t").Run(); errors.Is(err, syscall.EPERM) {
		_ = l.Close()
		cannot(t, fmt.Errorf("start sshd in a mount namespace: %w", err))
	}
	accept(t, l, dir)
	return fmt.Sprintf("ssh -tt -F %s -i %s/user -o IdentitiesOnly=yes -o UserKnownHostsFile=%s/known -o GlobalKnownHostsFile=%s -o StrictHostKeyChecking=yes -p %d -l root 127.0.0.1",
		os.DevNull, dir, dir, os.DevNull, port)
}

func serverCommand(ctx context.Context, dir string, arg ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", server, "sshd"}, arg...)...)
	cmd.Dir, cmd.WaitDelay = dir, 10*time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// accept hands one connection to an sshd, as inetd would: a port that sshd listened on by itself would have to be guessed.
func accept(t *testing.T, l net.Listener, dir string) {
	t.Helper()
	said, ended := &wait.Buffer{}, make(chan error, 1)
	cmd := serverCommand(t.Context(), dir, "-i")
	go func() {
		conn, err := l.Accept()
		if err != nil {
			ended <- err
			return
		}
		socket, err := conn.(*net.TCPConn).File()
		_ = conn.Close()
		if err == nil {
			cmd.Stdin, cmd.Stdout, cmd.Stderr = socket, socket, said
			err = cmd.Run()
			_ = socket.Close()
		}
		ended <- err
	}()
	t.Cleanup(func() {
		_ = l.Close()
		err := <-ended // with the context of t, if not before
		if t.Failed() {
			t.Logf("sshd: %v\n%s", err, said)
		}
	})
}
