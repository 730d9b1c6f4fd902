package cgroup

import (
	"math"
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
