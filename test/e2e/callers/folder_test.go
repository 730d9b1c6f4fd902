package callers

import (
	"strings"
	"testing"
)

// TestSocketFolder: a container must mount the socket's folder read-only. Root in
// one that has it read-write puts a socket of its own there; nobody else does.
func TestSocketFolder(t *testing.T) {
	const open = "/run/vitrine/open"
	s := begin(t, "--listen", "agents=unix://"+socket, "--listen", "open=unix://"+open+"/docker.sock")
	agent := s.run("agent", "--label", "vitrine.role=look", "--volume", open+":"+open+":ro")
	s.run("writer", "--volume", open+":"+open)
	ask := []string{"caller", "ask", open + "/docker.sock", "GET", list}
	as := func(container string, command ...string) string {
		out, _ := s.e.CombinedOutput(s.e.Socket, append([]string{"exec"}, append(strings.Fields(container), command...)...)...)
		return out
	}
	for _, try := range []struct{ container, command, why string }{
		{"agent", "rm " + open + "/docker.sock", "Read-only file system"},
		{"agent", "mv " + open + "/docker.sock " + open + "/x", "Read-only file system"},
		{"agent", "ln -s /tmp/x " + open + "/x", "Read-only file system"},
		{"agent", "mount -o remount,rw " + open, "ermission denied"},
		{"agent", "umount " + open, "not permitted"},
		{"agent", "caller pose " + open + "/docker.sock", "read-only file system"},
		{"--user=65532 writer", "caller pose " + open + "/docker.sock", "permission denied"},
	} {
		if got := as(try.container, strings.Fields(try.command)...); !strings.Contains(got, try.why) {
			t.Errorf("%s in %s: %s", try.command, try.container, got)
		}
	}
	got := s.exec([]string{"agent"}, ask...)
	s.itself(got, "agent", agent, 200)
	if got.Listener != "open" {
		t.Errorf("recorded as of the listener %q", got.Listener)
	}

	// What the rule is for.
	s.e.Docker("exec", "--detach", "writer", "caller", "pose", open+"/docker.sock")
	s.p.Eventually("the impostor", func() error { return contains(as("agent", ask...), `"posed"`) })
	s.itself(s.in("agent", "GET", list), "agent", agent, 200) // the other folder is not concerned
}
