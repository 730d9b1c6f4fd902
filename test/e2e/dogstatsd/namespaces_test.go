package dogstatsd

import (
	"strings"
	"testing"
)

// nested runs a command as root of user, PID and mount namespaces of its own.
var nested = []string{"unshare", "--user", "--map-root-user", "--pid", "--mount", "--fork"}

// TestNamespaces: what a container unshares is still that container, of the host
// it is nobody; and who has CAP_SYS_ADMIN over its PID namespace may put on the number of
// any process in there, and no other's.
func TestNamespaces(t *testing.T) {
	for name, at := range map[string]place{"as installed": installed, "with CAP_SYS_PTRACE": seeing} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, at)
			s.box("outer", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined")
			s.box("home")
			s.box("joined", "--pid", "container:home", "--network", "container:home")
			s.box("spoofer", "--cap-add", "SYS_ADMIN")
			s.known("outer", "home", "joined", "spoofer")
			t.Run("nested", func(t *testing.T) { s.on(t).nested() })
			t.Run("spoofed", func(t *testing.T) { s.on(t).spoofed() })
		})
	}
}

func (s *stage) nested() {
	inOuter := append(append([]string{"exec", "-i", "outer"}, nested...), "sender", "stay", datagram, "nested:1|c|card:high")
	s.stay(s.docker(inOuter...), is(1, "nested_total", `container_name="outer"`))
	s.stay(s.docker("exec", "-i", "joined", "sender", "stay", datagram, "joined:1|c|card:high"), is(1, "joined_total", `container_name="joined"`))
	// They have exited by the time that they are looked at.
	s.exec("outer", append(nested, "sender", "forks", datagram, "gone:1|c|card:high", "20")...)
	s.itselfOrNobody(20, "gone_total", "outer")

	args := append(nested[1:], s.sender, "stay", s.e.Path(datagram), "outside:1|c|card:high")
	s.stay(s.host(0, nested[0], args...), is(1, "outside_total"))
	s.itselfOrNobody(1, "outside_total", "")
	if page := s.page(); page.sum("dogstatsd_processed_total", `origin="client"`) != 0 {
		s.Errorf("a client is asked: %s", page.series("dogstatsd_processed_total"))
	}
}

func (s *stage) spoofed() {
	pid := s.e.Docker("inspect", "--format", "{{.State.Pid}}", "home")
	as := func(container, pid string) error {
		return s.docker("exec", container, "sender", "as", pid, datagram, "spoofed:1|c|card:high").Run()
	}
	if as("home", "1") == nil {
		s.Error("a container without CAP_SYS_ADMIN can send as another process")
	}
	if as("spoofer", pid) == nil {
		s.Error("a container can send as a process that is not in its PID namespace")
	}
	for range 5 {
		s.must(as("spoofer", "1"))
	}
	if own := s.itselfOrNobody(5, "spoofed_total", "spoofer"); own != 5 {
		s.Errorf("%v of 5 known", own)
	}
}

// TestOtherPIDNamespace: a monitor that cannot see its senders' processes says so,
// once, and believes what they claim, unless it is told not to.
func TestOtherPIDNamespace(t *testing.T) {
	for name, ignore := range map[string]bool{"claims believed": false, "claims ignored": true} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, apart, "--dogstatsd-ignore-claims="+map[bool]string{true: "true", false: "false"}[ignore])
			s.box("unseen")
			client := "unseen" // Datadog's claims its own container
			if ignore {
				client = ""
			}
			s.exec("unseen", "sender", "everything", "unixgram://"+datagram, "app")
			s.exec("unseen", "sender", "everything", "unixstream://"+stream, "app")
			s.exec("unseen", "sender", "raw", datagram, "bare:1|c|card:high")
			s.done(s.host(1000, s.sender, "raw", s.e.Path(datagram), "bare:1|c|card:high"))
			page := s.expect(is(200, "app_incr_total"), is(2, "bare_total"))
			if named := page.named("app_incr_total"); named[client] != 200 {
				t.Errorf("claimed by %q, and of %v", client, named)
			}
			if named := page.named("bare_total"); named[""] != 2 {
				t.Errorf("claimed by nobody, and of %v", named)
			}
			if page.sum("dogstatsd_processed_total", `origin="kernel"`) != 0 {
				t.Errorf("processed: %s", page.series("dogstatsd_processed_total"))
			}
			if n := strings.Count(s.log(), "run the monitor in the host's PID namespace (docker run --pid=host)"); n != 1 {
				t.Errorf("it says %d times what to change", n)
			}
		})
	}
}
