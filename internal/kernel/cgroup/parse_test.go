package cgroup

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// allFiles are the parsers of every file, by its name.
func allFiles() map[string]func([]byte, *Stats) error {
	out := map[string]func([]byte, *Stats) error{}
	for _, c := range []string{"cpu", "cpuacct", "cpuset", "memory", "blkio", "pids", "pressure"} {
		for version, of := range map[string]func(string) []file{"v1 ": filesV1, "v2 ": filesV2} {
			for _, f := range of(c) {
				out[version+f.name] = f.parse
			}
		}
	}
	return out
}

// TestNonsense: what no kernel writes is an error that shows it, in every file,
// and leaves no value behind.
func TestNonsense(t *testing.T) {
	for name, parse := range allFiles() {
		for _, content := range []string{"nonsense", "-2", "a b c\n", "8:0", "18446744073709551616", "some avg10=0", "8:0 Read", "rbytes=1\n", "1-0"} {
			var s Stats
			err := parse([]byte(content), &s)
			if got := dump(&s); got != "" {
				t.Errorf("%s: %q is read as %s (error %v)", name, content, got, err)
			}
			if strings.HasSuffix(name, "io.stat") && content == "8:0" {
				continue // a device without numbers
			}
			if err == nil {
				t.Errorf("%s: %q is no error", name, content)
			}
		}
	}
}

// rowsOf are files that have several rows.
var rowsOf = map[string]string{
	"v1 cpu.stat":     "nr_periods 10\nnr_throttled 2\nthrottled_time 3\n",
	"v1 cpuacct.stat": "user 5\nsystem 6\n",
	"v1 memory.stat":  "total_rss 1\ntotal_cache 2\nhierarchical_memory_limit 3\n",
	"v1 blkio.throttle.io_service_bytes_recursive": "8:0 Read 1\n8:0 Write 2\n8:16 Read 3\n8:16 Sync 4\nTotal 10\n",
	"v1 blkio.throttle.io_serviced_recursive":      "8:0 Read 1\n8:16 Discard 3\nTotal 4\n",
	"v1 memory.oom_control":                        "oom_kill_disable 0\nunder_oom 1\noom_kill 3\n",
	"v2 cpu.stat":                                  "usage_usec 1\nnr_periods 2\nthrottled_usec 3\n",
	"v2 memory.stat":                               "anon 1\nfile 2\npgfault 3\n",
	"v2 memory.events":                             "max 1\noom 2\noom_kill 3\n",
	"v2 io.stat":                                   "8:0 rbytes=1 wbytes=2 cost.usage=x\n8:16 rbytes=3 rios=4\n",
	"v2 cpu.pressure":                              "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=6\n",
}

// TestOneBadRowIsOneBadRow: wherever it is in a file, what comes before and after it is read,
// and the error shows it. A device that is gone is none.
func TestOneBadRowIsOneBadRow(t *testing.T) {
	for name, parse := range allFiles() {
		content, ok := rowsOf[name]
		if !ok {
			continue
		}
		var whole Stats
		if err := parse([]byte(content), &whole); err != nil || dump(&whole) == "" {
			t.Fatalf("%s: %q: %v", name, content, err)
		}
		rows := strings.SplitAfter(content, "\n")
		for at := range rows {
			for _, bad := range []string{"odd", "", "odd -1", "rbytes=1", "x:y Read 1", "(unknown) Read 0", "(unknown) rbytes=0 wbytes=0 rios=0 wios=0 dbytes=0 dios=0", "9:9 (unknown) rbytes=7"} {
				var s Stats
				file := strings.Join(slices.Insert(slices.Clone(rows), at, bad+"\n"), "")
				err := parse([]byte(file), &s)
				if dump(&s) != dump(&whole) {
					t.Errorf("%s: %q is read as\n%s, not\n%s", name, file, dump(&s), dump(&whole))
				}
				quiet := strings.HasPrefix(bad, "(unknown)") && strings.Contains(name, "io") && !strings.Contains(name, "pressure") ||
					name == "v2 io.stat" && (bad == "" || strings.Contains(bad, "(unknown)"))
				if (err == nil) != quiet {
					t.Errorf("%s: %q: error %v", name, file, err)
				}
			}
		}
	}
}

// TestHalfADeviceIsNone: with a number that cannot be read, the others are not shown beside a 0.
func TestHalfADeviceIsNone(t *testing.T) {
	for name, contents := range map[string][]string{
		"v1 blkio.throttle.io_service_bytes_recursive": {"8:0 Read 1\n8:0 Write x\n8:16 Read 2\n", "8:0 Read\n8:0 Write 1\n8:16 Read 2\n"},
		"v2 io.stat": {"8:0 rbytes=1 wbytes=x rios=2\n8:16 rbytes=2\n", "8:0 rbytes=1\n8:0 rbytes=\n8:16 rbytes=2\n"},
	} {
		for _, content := range contents {
			var s Stats
			err := allFiles()[name]([]byte(content), &s)
			s.derive()
			if got := dump(&s); err == nil || got != "IO 8:16 {Major:8 Minor:16 ReadBytes:2 WriteBytes:0 ReadOps:0 WriteOps:0 DiscardBytes:0 DiscardOps:0}\n" {
				t.Errorf("%s: %q is read as %q, error %v", name, content, got, err)
			}
		}
	}
}

// TestLineOfADevice: numbers are those of the device on their own line, the last one there.
func TestLineOfADevice(t *testing.T) {
	for content, want := range map[string]string{
		"8:0 rbytes=1\n\n8:16 wbytes=2\n": "8:0 1 0, 8:16 0 2", "7:0 7:1 8:16 rbytes=1 wbytes=2\n": "8:16 1 2", "7:0 \n8:16 rbytes=1\n": "8:16 1 0",
		"8:0 rbytes=1\nwbytes=9\n": "8:0 1 0", "8:0\nwbytes=9\n": "", "8:0 rbytes=1 8:16 wbytes=2\n": "8:16 0 2", "8:0 rbytes=1 (unknown) wbytes=2\n": "",
	} {
		var s Stats
		_ = parseIOStat([]byte(content), &s)
		var got []string
		for _, d := range s.IO {
			got = append(got, fmt.Sprintf("%d:%d %d %d", d.Major, d.Minor, d.ReadBytes, d.WriteBytes))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q is read as %q, want %q", content, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for in, want := range map[string]uint64{"0": 0, "007": 7, "18446744073709551615": math.MaxUint64} {
		if got, err := number([]byte(in)); err != nil || got != want {
			t.Errorf("number(%q) = %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", " 1", "+1", "1 ", "1e3", "18446744073709551616", "99999999999999999999", "１"} {
		if got, err := number([]byte(in)); err == nil {
			t.Errorf("number(%q) = %d", in, got)
		}
	}
}

func TestLimitCores(t *testing.T) {
	tests := []struct {
		name string
		cpu  CPU
		want float64
	}{
		{"nothing known", CPU{}, 8},
		{"quota", CPU{QuotaUsec: set(20000), PeriodUsec: set(100000)}, 0.2},
		{"quota of more than the host has", CPU{QuotaUsec: set(1e6), PeriodUsec: set(1e5)}, 8},
		{"cpuset is less than the quota", CPU{QuotaUsec: set(300000), PeriodUsec: set(100000), CPUs: set(2)}, 2},
		{"period 0", CPU{QuotaUsec: set(1), PeriodUsec: set(0)}, 8},
	}
	for _, tt := range tests {
		if got := tt.cpu.LimitCores(8); got != tt.want {
			t.Errorf("%s: %v cores, want %v", tt.name, got, tt.want)
		}
	}
}

// FuzzFiles: no content makes a parser panic, and what is accepted once reads
// the same again over old values.
func FuzzFiles(f *testing.F) {
	parsers := allFiles()
	for _, seed := range []string{
		"max 100000\n", "20000 100000", "anon 1\nfile 2\n", "254:0 Read 1\nTotal 1\n",
		"7:0 8:16 rbytes=1 wbytes=2\n", "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n", "0-3,8\n", "-1\n",
		"oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		for name, parse := range parsers {
			var s Stats
			if parse(content, &s) != nil {
				continue
			}
			first := dump(&s)
			s.reset()
			if err := parse(content, &s); err != nil || dump(&s) != first {
				t.Errorf("%s: %q reads as %s, then as %s (%v)", name, content, first, dump(&s), err)
			}
		}
	})
}
