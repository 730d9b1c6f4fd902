package callers

import (
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// TestZombieClosed: a container's root connects, leaves the connection to another
// and ends, unreaped. Its cgroup file then reads like a host process's.
func TestZombieClosed(t *testing.T) {
	s := begin(t)
	b := s.borrower()
	s.run("dying", "--label", "vitrine.role=look", b.flag)
	lent := b.borrow("dying", "zombie")
	s.p.Eventually("a zombie", func() error { return wantState(lent.pid, "Z") })
	for _, line := range s.cgroupFile(lent.pid) {
		if !strings.HasPrefix(line, "0::") && !strings.HasSuffix(line, ":/") {
			t.Errorf("this kernel leaves a zombie its cgroup: %s", line) // then the test shows less than it says
		}
	}
	s.unknown(s.over(lent, "GET", list), "exited")
}

// TestConnectionOutlivesItsProcessClosed: what was established once ends with the
// process, reaped or not.
func TestConnectionOutlivesItsProcessClosed(t *testing.T) {
	s := begin(t)
	b := s.borrower()
	id := s.run("lender", "--init", "--label", "vitrine.role=look", b.flag)
	lent := b.borrow("lender", "lend")
	s.itself(s.over(lent, "GET", list), "lender", id, 200)
	s.itself(s.over(lent, "GET", list), "lender", id, 200)
	s.must(lent.control.Close())
	s.p.Eventually("the process to end", func() error { return wantState(lent.pid, "") })
	s.unknown(s.over(lent, "GET", list), "exited")
}

// TestConnectionsOfTheDeadAreNotTheHostsClosed: a container's root has children connect and exit before anybody looks whose connections these are.
// They have root's number, and take nothing of what root of the host may have.
func TestConnectionsOfTheDeadAreNotTheHostsClosed(t *testing.T) {
	s := begin(t, "--limits", "connections_per_caller=3")
	b := s.borrower()
	s.run("crowding", b.flag)
	s.must(syscall.Kill(s.p.Pid(), syscall.SIGSTOP)) // what it would take a busy host for
	s.Cleanup(func() { _ = syscall.Kill(s.p.Pid(), syscall.SIGCONT) })
	s.e.Docker("exec", "--detach", "crowding", "caller", "crowd", socket, via, "3")
	s.must(b.listener.SetDeadline(time.Now().Add(wait.Patience(20 * time.Second))))
	control, err := b.listener.AcceptUnix() // all are there
	s.must(err)
	s.Cleanup(func() { _ = control.Close() })
	s.must(syscall.Kill(s.p.Pid(), syscall.SIGCONT))
	root, err := net.Dial("unix", s.p.Socket)
	s.must(err)
	s.Cleanup(func() { _ = root.Close() })
	if answer, err := vitrine.Ask(root, "GET", list, ""); err != nil || answer.Status != 200 {
		s.Errorf("root of the host is answered %.200s, %v", answer, err)
	}
}

// TestMovedOutOfItsCgroupClosed: a container's root with the cgroup file system
// mounted read-write moves wherever it likes.
func TestMovedOutOfItsCgroupClosed(t *testing.T) {
	s := begin(t)
	cgroup, err := s.e.Cgroup()
	s.must(err)
	monitor := s.run("monitor")
	look := []string{"--label", "vitrine.role=look", "--volume", cgroups + ":/cgroups"}
	mover := s.run("mover", look...)
	s.run("mover-pid-host", append(look, "--pid=host")...)

	s.itself(s.in("mover", "GET", list), "mover", mover, 200)
	for name, c := range map[string]struct{ container, to, why string }{
		"to /":                     {"mover", "/", "in a PID namespace that is not the host's"},
		"to / with the host's PID": {"mover-pid-host", "/", "with the mount namespace of container"},
		"to dockerd's":             {"mover", cgroup + "/daemon", "in a PID namespace that is not the host's"},
		"to dockerd's with PIDs":   {"mover-pid-host", cgroup + "/daemon", "with the mount namespace of container"},
		"to another container's":   {"mover", cgroup + "/" + monitor, "with the mount namespace of container " + mover},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.on(t)
			s.unknown(s.exec([]string{c.container}, "caller", "move", "/cgroups", c.to, "caller", "ask", socket, "GET", list), c.why)
		})
	}
	s.itself(s.in("monitor", "GET", list), "monitor", monitor, 200)
}

// TestMovedInitClosed: a container's first process moves and asks before anybody
// has heard that the container runs.
func TestMovedInitClosed(t *testing.T) {
	s := begin(t)
	b := s.borrower()
	cgroup, err := s.e.Cgroup()
	s.must(err)
	monitor := s.run("monitor")
	for name, c := range map[string]struct {
		to   string
		flag string
	}{
		"init-in-root":             {"/", "--pid="},
		"init-in-root-pid-host":    {"/", "--pid=host"},
		"init-in-dockerd":          {cgroup + "/daemon", "--pid="},
		"init-in-dockerd-pid-host": {cgroup + "/daemon", "--pid=host"},
		"init-in-monitor":          {cgroup + "/" + monitor, "--pid="},
		"init-in-monitor-pid-host": {cgroup + "/" + monitor, "--pid=host"},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.on(t)
			start := s.e.DockerCommand(s.e.Socket, "run", "--rm", "--name", name, c.flag, "--label", "vitrine.role=look",
				"--volume", folder+":"+folder+":ro", b.flag, "--volume", cgroups+":/cgroups",
				"caller:1", "caller", "move", "/cgroups", c.to, "caller", "lend", socket, via)
			s.must(start.Start())
			t.Cleanup(func() {
				_ = s.e.DockerCommand(s.e.Socket, "rm", "--force", name).Run()
				_ = start.Wait()
			})
			s.itselfOrUnknown(s.over(b.take(), "GET", list), name)
			s.itself(s.in("monitor", "GET", list), "monitor", monitor, 200)
		})
	}
}

func (s *stage) cgroupFile(pid int) []string {
	s.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	s.must(err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}
