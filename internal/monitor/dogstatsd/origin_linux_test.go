package dogstatsd

import (
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vitrine/internal/kernel/peercred"
)

func TestOriginIsTheKernelsWord(t *testing.T) {
	for _, tt := range []struct {
		name, line, want string
		mismatches       float64
	}{
		{"no claim", "a:1|c", "count a from web", 0},
		{"true claim", "a:1|c|c:ci-web", "count a from web", 0},
		{"another's id", "a:1|c|c:ci-db", "count a from web", 1},
		{"another's id, as of protocol 1.2", "a:1|c|c:db", "count a from web", 1},
		{"another's pod", "a:1|c|e:it-false,cn-x,pu-other", "count a from web", 1},
		{"another's pod, in a tag", "a:1|c|#k:v,dd.internal.entity_id:other", "count a from web", 1},
		{"no pod, in a tag", "a:1|c|#dd.internal.entity_id:none", "count a from web", 0},
		{"another's id in an event", "_e{1,1}:a|b|c:ci-db", "event a from web", 1},
		{"another's id in a check", "_sc|a|0|c:ci-db", "check a ok from web", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := serve(t, Config{})
			_, leave := start(t, x.cfg.Datagram.Path, "web", tt.line, 1, true)
			defer leave()
			if got := x.sink.wait(t, 1); got[0] != tt.want {
				t.Errorf("got %q, want %q", got[0], tt.want)
			}
			if n := x.telemetry("dogstatsd.origin_mismatches"); n < tt.mismatches || tt.mismatches == 0 && n > 0 {
				t.Errorf("%v mismatches", n)
			}
		})
	}
}

func TestMismatchRefusedClosed(t *testing.T) {
	x := serve(t, Config{RefuseMismatch: true})
	_, leave := start(t, x.cfg.Datagram.Path, "web", "a:1|c|c:ci-db\nb:1|c", 1, true)
	defer leave()
	if got := x.sink.wait(t, 1); !slices.Equal(got, []string{"count b from web"}) {
		t.Errorf("got %q", got)
	}
}

func TestClaimsCountOnlyWithoutTheKernel(t *testing.T) {
	lines := "a:1|c|c:ci-web\na:1|c|c:in-42\na:1|c|e:it-false,cn-x,pu-pod\na:1|c|#dd.internal.entity_id:pod,x\na:1|c|c:ci-nobody\na:1|c"
	web, none := "count a from web", "count a from none"
	for _, tt := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"asked", Config{}, []string{web, web, web, web, none, none}},
		{"ignored", Config{IgnoreClaims: true}, []string{none, none, none, none, none, none}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := serve(t, tt.cfg)
			send(t, "udp", x.UDPAddr(), lines)
			if got := x.sink.wait(t, 6); !slices.Equal(got, tt.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// A host process that claims to be a container is still the host's.
func TestHostCannotClaimAContainerClosed(t *testing.T) {
	x := serve(t, Config{})
	send(t, "unixgram", x.cfg.Datagram.Path, "a:1|c|c:ci-web")
	send(t, "unix", x.cfg.Stream.Path, "a:1|c|c:ci-web")
	if got := x.sink.wait(t, 2); !slices.Equal(got, []string{"count a from kernel", "count a from kernel"}) {
		t.Errorf("got %q", got)
	}
}

func TestSenderThatExitsAtOnce(t *testing.T) {
	x := listen(t, Config{})
	cmd, _ := start(t, x.cfg.Datagram.Path, "web", "a:1|c", 3, false) // has exited and is reaped
	if cmd.ProcessState == nil {
		t.Fatal("still running")
	}
	want := "count a from none"
	if kernelNamesExited(t) {
		want = "count a from web"
		x.attestor.knows(ownCgroup(t), "web")
	}
	x.serve()
	for _, got := range x.sink.wait(t, 3) {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// ownCgroup is the id of our cgroup in the version 2 hierarchy, which senders inherit.
func ownCgroup(t *testing.T) uint64 {
	t.Helper()
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	in := unix.PidfdInfo{Mask: unix.PIDFD_INFO_CGROUPID}
	if err := unix.IoctlPidfdInfo(fd, &in); err != nil {
		t.Fatal(err)
	}
	return in.Cgroupid
}

func TestPassedDescriptorsAreClosed(t *testing.T) {
	x := serve(t, Config{})
	send(t, "unixgram", x.cfg.Datagram.Path, "a:1|c")
	x.sink.wait(t, 1)
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: x.cfg.Datagram.Path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	before, sent := openFiles(t), 0
	for range 50 {
		if _, _, err := c.WriteMsgUnix([]byte("a:1|c"), syscall.UnixRights(0, 1, 2), nil); err == nil {
			sent++
		}
	}
	x.sink.wait(t, 1+sent)
	if after := openFiles(t); after > before+2 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	b := append(unix.UnixRights(7), 1, 2, 3) // and with a rest
	if a := parseAncillary(unix.UnixRights()); a.pidfd != -1 || a.hasCred {
		t.Errorf("%+v", a)
	}
	b[0] = 0xff
	if a := parseAncillary(b); a.hasCred {
		t.Errorf("%+v", a)
	}
}

func TestSenderIsAttestedOnce(t *testing.T) {
	x := serve(t, Config{})
	_, leave := start(t, x.cfg.Datagram.Path, "web", "a:1|c", 5000, true)
	defer leave()
	for _, got := range x.sink.wait(t, 5000) {
		if got != "count a from web" {
			t.Fatalf("got %q", got)
		}
	}
	x.attestor.mu.Lock()
	defer x.attestor.mu.Unlock()
	if x.attestor.calls != 1 {
		t.Errorf("attested %d times", x.attestor.calls)
	}
}

func TestFewSendersAreRemembered(t *testing.T) {
	x := serve(t, Config{MaxSenders: 4})
	var leaves []func()
	for range 8 {
		_, leave := start(t, x.cfg.Datagram.Path, "web", "a:1|c", 1, true)
		leaves = append(leaves, leave)
	}
	x.sink.wait(t, 8)
	if n := openFiles(t); n > 60 {
		t.Errorf("%d descriptors", n)
	}
	for _, leave := range leaves {
		leave()
	}
	for _, got := range x.sink.wait(t, 8) {
		if got != "count a from web" {
			t.Errorf("got %q", got)
		}
	}
}

func TestForeignPIDNamespaceIsReportedOnce(t *testing.T) {
	x := listen(t, Config{})
	for range 3 {
		if o := x.unseen(); !o.claimable {
			t.Errorf("got %+v", o)
		}
	}
	if n := strings.Count(x.log.String(), "--pid=host"); n != 1 {
		t.Errorf("reported %d times", n)
	}
	x.serve()
}

func TestPendingPacketsAreBounded(t *testing.T) {
	s := New(Config{}, &fakeAttestor{}, &recorder{})
	packet := make([]byte, 8192)
	d := &client{peer: &peercred.Peer{PID: 42}}
	held := 0
	for range 2 * waitingMost / len(packet) {
		if s.resolver.hold(d, packet) == nil {
			held++
		}
	}
	if held != waitingMost/len(packet) {
		t.Errorf("%d packets of %d bytes are held", held, len(packet))
	}
	if time.Since(s.started) < 0 {
		t.Error("time")
	}
}

// Each datagram of a process that has exited is from a new sender; a gauge must
// end with its last value all the same.
func TestDatagramsOfAnExitedProcessKeepTheirOrder(t *testing.T) {
	s := New(Config{}, &fakeAttestor{}, &recorder{})
	a, b := &client{peer: &peercred.Peer{PID: 4242}}, &client{peer: &peercred.Peer{PID: 4242}}
	if s.resolver.queue(a) != s.resolver.queue(b) {
		t.Error("two senders with one PID are resolved side by side")
	}
}

// TestLongClaimsAreNobodysClosed: each is remembered, and all that it names looked for, while others wait.
func TestLongClaimsAreNobodysClosed(t *testing.T) {
	x := serve(t, Config{})
	send(t, "udp", x.UDPAddr(), "a:1|c|c:ci-web,"+strings.Repeat("a,", 50)+"\na:1|c|c:ci-web,"+strings.Repeat("a,", 3000))
	if got, want := x.sink.wait(t, 2), []string{"count a from web", "count a from none"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
