package dogstatsd

import (
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// exitedProcess is one that has exited, and the datagram that it may have sent.
func exitedProcess(t testing.TB) (datagram func() *ancillary) {
	t.Helper()
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	fd, err := unix.PidfdOpen(pid, 0)
	_ = cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return func() *ancillary {
		passed, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return &ancillary{hasCred: true, cred: unix.Ucred{Pid: int32(pid)}, pidfd: passed}
	}
}

// TestExitedProcessIsAskedForOnce, however many datagrams of its are left, and
// these keep their order.
func TestExitedProcessIsAskedForOnce(t *testing.T) {
	if !kernelNamesExited(t) {
		cannot(t, "this kernel does not tell the cgroup of a process that has exited (Linux 6.15)")
	}
	x := serve(t, Config{})
	x.attestor.knows(ownCgroup(t), "web")
	datagram := exitedProcess(t)
	before := openFiles(t)
	var want []string
	for i := range 10_000 {
		packet := fmt.Appendf(nil, "a%d:1|g", i)
		want = append(want, fmt.Sprintf("gauge a%d from web", i))
		if o := x.receivers[0].origin(datagram(), packet); o != nil {
			x.receivers[0].worker.deliver(packet, o, x.receivers[0].counts)
		}
	}
	if got := x.sink.wait(t, len(want)); !slices.Equal(got, want) {
		t.Error("not in order, or not from web")
	}
	x.attestor.mu.Lock()
	defer x.attestor.mu.Unlock()
	if x.attestor.calls != 1 {
		t.Errorf("attested %d times", x.attestor.calls)
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// TestExitedProcessesAreForgotten: many that send one datagram each.
func TestExitedProcessesAreForgotten(t *testing.T) {
	var x exited
	for i := range uint64(10 * exitedMost) {
		d := &client{inode: 1 + i}
		if x.add(d); x.find(1+i) != d {
			t.Fatalf("process %d is forgotten at once", i)
		}
		if n := len(x.now) + len(x.before); n > exitedMost {
			t.Fatalf("%d are remembered", n)
		}
	}
	if x.add(&client{}); x.find(0) != nil {
		t.Error("a process that cannot be told from others is found")
	}
}

// TestExitsAfterABurst: a receiver that was busy knows senders that exit at
// once again as soon as it is not.
func TestExitsAfterABurst(t *testing.T) {
	if !kernelNamesExited(t) {
		cannot(t, "this kernel does not tell the cgroup of a process that has exited (Linux 6.15)")
	}
	x := serve(t, Config{})
	x.attestor.knows(ownCgroup(t), "short")
	const burst = 10 * pidfdsSaved
	_, leave := start(t, x.cfg.Datagram.Path, "long", "a:1|c", burst, true)
	defer leave()
	x.sink.wait(t, burst)
	time.Sleep(10 * pidfdsWait) // the quiet that is meant
	start(t, x.cfg.Datagram.Path, "short", "b:1|c", 1, false)
	if got := x.sink.wait(t, burst+1)[burst]; got != "count b from short" {
		t.Errorf("got %q", got)
	}
}

// BenchmarkExited is what 10 000 datagrams of one process that has exited cost.
func BenchmarkExited(b *testing.B) {
	x := serve(b, Config{})
	datagram := exitedProcess(b)
	packet := []byte("a:1|c")
	b.ReportAllocs()
	for b.Loop() {
		for range 10_000 {
			if o := x.receivers[0].origin(datagram(), packet); o != nil {
				x.receivers[0].worker.deliver(packet, o, x.receivers[0].counts)
			}
		}
	}
	x.attestor.mu.Lock()
	defer x.attestor.mu.Unlock()
	b.ReportMetric(float64(x.attestor.calls)/float64(b.N), "attestations/op")
}
