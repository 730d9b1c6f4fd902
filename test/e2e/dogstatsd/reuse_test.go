package dogstatsd

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
)

// taker is a container on the host's PIDs that may choose those of its children.
type taker struct {
	s      *stage
	name   string
	in     io.Writer
	answer *bufio.Scanner
}

func (s *stage) taker(name string) *taker {
	s.Helper()
	s.box(name, "--pid", "host")
	s.known(name)
	// Choosing a PID takes a capability with which a container that sees the host's
	// PIDs would count among those that may move processes. So root of the host enters this one.
	const enter = `while IFS=: read -r _ names path; do
		dir=/sys/fs/cgroup/${names#name=}
		[ -n "$names" ] || [ -e /sys/fs/cgroup/cgroup.procs ] || dir=/sys/fs/cgroup/unified
		echo 0 > "$dir$path/cgroup.procs" || exit 1
	done < "/proc/$1/cgroup"; exec nsenter --mount --target "$1" sender turns "$2"`
	pid := s.e.Docker("inspect", "--format", "{{.State.Pid}}", name)
	cmd := s.host(0, "sh", "-c", enter, "enter", pid, datagram)
	out, err := cmd.StdoutPipe()
	s.must(err)
	in, err := cmd.StdinPipe()
	s.must(err)
	s.must(cmd.Start())
	s.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return &taker{s, name, in, bufio.NewScanner(out)}
}

// tell has it do something, as test/sender has it, and says whether that was done.
func (k *taker) tell(format string, args ...any) bool {
	k.s.Helper()
	_, err := fmt.Fprintf(k.in, format+"\n", args...)
	if !k.answer.Scan() || err != nil {
		k.s.Fatalf("%s does not answer: %v, %v, %s", k.name, err, k.answer.Err(), k.answer.Text())
	}
	return k.answer.Text() == "ok"
}

// TestReuse: a process of one container exits, and at once one of another has its
// number. Each container sends its own name alone. The numbers are the kernel's own, of the
// first PID namespace: asked for, one by one, and free.
func TestReuse(t *testing.T) {
	for name, at := range map[string]place{"as installed": installed, "with CAP_SYS_PTRACE": seeing} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, at)
			takers := [2]*taker{s.taker("odd"), s.taker("even")}
			pid := freePID(t)
			var sent, stayed [2]float64
			// turn is one message of one container's under the number.
			turn := func(i int, how string) bool {
				k := takers[i%2]
				if !k.tell("%s %d %s:1|c|card:high", how, pid, k.name) {
					pid-- // somebody has it
					return false
				}
				sent[i%2]++
				return true
			}
			packets := func() want {
				return is(sent[0]+sent[1], "dogstatsd_uds_packets_total", `transport="unixgram"`, `state="ok"`)
			}
			t.Run("at once", func(t *testing.T) {
				for i := range 300 {
					turn(i, "go")
				}
				s.on(t).expect(packets())
			})
			t.Run("known by its number", func(t *testing.T) {
				for i := range 40 {
					if turn(i, "stay") {
						stayed[i%2]++
						s.on(t).expect(packets()) // seen while it lives
						takers[i%2].tell("end")
					}
				}
			})
			t.Run("both in the queue", func(t *testing.T) {
				s := s.on(t)
				for range 5 {
					s.e.Docker("pause", "monitor")
					for i := range 8 { // as many as the kernel holds
						turn(i, "go")
					}
					s.e.Docker("unpause", "monitor")
					s.expect(packets())
				}
			})
			for i, k := range takers {
				own := s.itselfOrNobody(sent[i], k.name+"_total", k.name)
				t.Logf("%s: %v of %v known", k.name, own, sent[i])
				if own < stayed[i] || tellsOfExited(t) && own < sent[i]*.9 {
					t.Errorf("%v of %v of %s are nobody's", sent[i]-own, sent[i], k.name)
				}
			}
			if sent[0]+sent[1] < 300 || stayed[0]+stayed[1] < 20 {
				t.Errorf("the number was had only %v times, and by one that stayed %v times", sent, stayed)
			}
		})
	}
}

// freePID is a number near the end of what the kernel gives, where it is not for long.
func freePID(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil {
		t.Fatal(err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for pid := most - 100; pid > most/2; pid-- {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); os.IsNotExist(err) {
			return pid
		}
	}
	t.Fatal("no PID is free")
	return 0
}
