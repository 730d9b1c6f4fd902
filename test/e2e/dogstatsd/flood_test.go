package dogstatsd

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestFlood: a container that invents names takes nothing from its neighbour, and
// no more memory of the monitor than its quota.
func TestFlood(t *testing.T) {
	s := begin(t, installed)
	s.box("flooder")
	s.box("neighbour")
	s.known("flooder", "neighbour")
	neighbour := s.start(s.docker("exec", "-i", "neighbour", "sender", "steady", "unixgram://"+datagram, "calm"))
	s.expect(want{100, 1e9, "calm_total", nil})
	const contexts, quota = 60000, 20000
	s.exec("flooder", "sender", "contexts", datagram, "flood", strconv.Itoa(contexts))
	s.exec("neighbour", "sender", "everything", "unixgram://"+datagram, "app")
	s.everything("app", "neighbour")
	flooder, calm := `container_name="flooder"`, `container_name="neighbour"`
	page := s.expect( // a context costs more than a unit here, by the tags of its container
		want{quota - 20, quota, "dogstatsd_quota_used", []string{flooder}}, want{quota / 2, quota, "dogstatsd_contexts", []string{flooder}},
		is(0, "dogstatsd_messages_refused_total", calm))
	s.expect(is(contexts-page.sum("dogstatsd_contexts", flooder), "dogstatsd_messages_refused_total", flooder))
	s.expect(is(neighbour.end(), "calm_total", calm), is(0, "dogstatsd_messages_refused_total", calm))

	const most = 128 << 20
	if peak := s.peak("monitor"); peak > most {
		t.Errorf("the monitor took %d MiB, more than %d", peak>>20, most>>20)
	} else {
		t.Logf("the monitor took %d MiB", peak>>20)
	}
}

// peak is the most memory that a container's first process has had, in bytes.
func (s *stage) peak(container string) int {
	s.Helper()
	pid := s.e.Docker("inspect", "--format", "{{.State.Pid}}", container)
	status, err := os.ReadFile("/proc/" + pid + "/status")
	s.must(err)
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		s.Fatalf("no VmHWM in:\n%s", status)
	}
	kib, err := strconv.Atoi(string(m[1]))
	s.must(err)
	return kib << 10
}

// TestRubbish: what cannot be read is counted with its reason, and costs itself alone.
func TestRubbish(t *testing.T) {
	s := begin(t, installed)
	s.box("rubbish")
	s.known("rubbish")
	const processed, packets = "dogstatsd_processed_total", "dogstatsd_uds_packets_total"
	bad := func(reason string) want {
		return want{1, 1, processed, []string{`state="error"`, `reason="` + reason + `"`}}
	}
	s.exec("rubbish", "sender", "raw", datagram,
		"fine:1|c", strings.Repeat("\x01", 4000), "fine:2|c", ":1|c", "fine:4|c", "a:|c", "a:x|c", "fine:8|c", "a:1|q", "a:1|c|@0",
		"fine:16|c", "_e{99,99}:a|b", "_sc|only.a.name", "_sc|check|9", "fine:32|c|#ok:yes", "a:NaN|g", "\xff\xfe\xfd", "fine:64|c")
	s.expect(is(127, "fine_total"),
		bad("no name"), bad("no value"), bad("value is not a number"), bad("unknown type"), bad("bad sample rate"),
		bad("event is shorter than its header says"), bad("service check without name or status"), bad("unknown service check status"))
	good := s.page().sum(processed, `state="ok"`)

	// 8 KiB of bytes that mean nothing, several times, without a line's end, with
	// many, and too long by one; each between good ones.
	random := rand.NewChaCha8([32]byte{4})
	before := s.page().sum(packets, `transport="unixgram"`)
	for i, ends := range []byte{0, 1, 16, 64} {
		for _, length := range []int{8192, 8193} {
			noise := make([]byte, length)
			_, _ = random.Read(noise)
			for j, b := range noise {
				switch {
				case ends > 0 && b < ends:
					noise[j] = '\n'
				case ends == 0 && b == '\n', b == ':', b == '|': // it might mean something
					noise[j] = 0
				}
			}
			cmd := s.docker("exec", "-i", "rubbish", "sender", "raw", datagram)
			cmd.Stdin = bytes.NewReader(noise)
			s.done(cmd)
			s.exec("rubbish", "sender", "raw", datagram, fmt.Sprintf("after:%d|c", i+1))
		}
	}
	page := s.expect(is(2*(1+2+3+4), "after_total"), is(127, "fine_total"),
		is(before+16, packets, `transport="unixgram"`), is(4, packets, `transport="unixgram"`, `state="error"`), is(good+8, processed, `state="ok"`))
	if page.sum(processed, `state="error"`) < 500 {
		t.Errorf("the noise is not counted: %s", page.series(processed))
	}
	// A stream with a packet that is too long ends; others do not.
	cmd := s.docker("exec", "-i", "rubbish", "sender", "raw", "unixstream://"+stream)
	cmd.Stdin = strings.NewReader(strings.Repeat("a:1|c\n", 2000))
	s.done(cmd)
	s.expect(is(1, packets, `transport="unix"`, `state="error"`))
	s.exec("rubbish", "sender", "everything", "unixstream://"+stream, "app")
	s.everything("app", "rubbish")
}
