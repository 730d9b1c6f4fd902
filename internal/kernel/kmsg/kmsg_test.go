package kmsg

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// As Linux 6.1 wrote them.
const (
	root     = "/docker/d34a569ab7aaa54dacd715ae64953455d86b768846cd0085ef4e9e7471489b7b"
	other    = "/docker/131700ec51469bcb9a974f0de6b0a9155ae3aceb09c3d1875f31dfc8a987248a"
	head     = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=d34a569ab7aaa54dacd715ae64953455d86b768846cd0085ef4e9e7471489b7b,mems_allowed=0"
	choice   = head + ",oom_memcg=" + root + ",task_memcg=" + root + ",task=exe,pid=134,uid=0"
	kill     = "Memory cgroup out of memory: Killed process 134 (exe) total-vm:1300336kB, anon-rss:37180kB, file-rss:4kB, shmem-rss:4140kB, UID:0 pgtables:164kB oom_score_adj:0"
	group    = "Tasks in " + root + " are going to be killed due to memory.oom.group set"
	neighbor = "Memory cgroup out of memory: Killed process 121 (exe) total-vm:1263472kB, anon-rss:808kB"
)

func records(texts ...string) []string {
	for i, text := range texts {
		texts[i] = fmt.Sprintf("%d,%d,%d,-;%s\n", 6, i, i*1000, text)
	}
	return texts
}

func read(records []string) (out []Victim) {
	var p parser
	for _, r := range records {
		if v, ok := p.next([]byte(r)); ok {
			out = append(out, v)
		}
	}
	return out
}

func TestVictims(t *testing.T) {
	in := func(oom, task, comm string) string {
		return head + ",oom_memcg=" + oom + ",task_memcg=" + task + ",task=" + comm + ",pid=134,uid=0"
	}
	dead := func(comm string) string { return strings.Replace(kill, "(exe)", "("+comm+")", 1) }
	tests := []struct {
		name    string
		records []string
		want    string // "" for none
	}{
		{"a limit of the container", records(choice, kill), root + " exe (134)"},
		{"with other records between them", records(choice, "eth0: renamed from veth1", kill), root + " exe (134)"},
		{"a whole cgroup: the one that was chosen", records(choice, kill, group, neighbor, kill), root + " exe (134)"},
		{"a cgroup inside", records(in(root, root+"/job", "exe"), kill), root + "/job exe (134)"},
		{"a limit above", records(in("/docker", root, "exe"), kill), root + " exe (134)"},
		{"the host", records("oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg="+root+",task=exe,pid=134,uid=0",
			"Out of memory: Killed process 134 (exe) total-vm:1kB"), root + " exe (134)"},
		{"Linux 5.0", records(choice, "Memory cgroup out of memory: Kill process 134 (exe) score 900 or sacrifice child", "Killed process 134 (exe) total-vm:1kB"), root + " exe (134)"},
		{"a dictionary behind it", []string{"6,1,1,-,caller=T1;" + choice + "\n SUBSYSTEM=x\n", "3,2,1,-;" + kill + "\n"}, root + " exe (134)"},
		{"a systemd unit", records(in(`/my\x5cx2dslice.slice`, `/my\x5cx2dslice.slice/docker-1.scope`, "exe"), kill), `/my\x2dslice.slice/docker-1.scope exe (134)`},
		{"a name with a line end, quotes and a parenthesis", records(in(root, root, `a\x0a"b) c`), dead(`a\x0a"b) c`)), root + ` a\x0a"b) c (134)`},

		{"chosen, and already gone", records(choice), ""},
		{"chosen, and another one was killed (a child of it, before Linux 5.1)", records(choice, neighbor), ""},
		{"killed, and nobody says where", records(kill), ""},
		{"a neighbour is killed afterwards", records(choice, neighbor, kill), ""},
		{"SysRq", records("sysrq: Manual OOM execution"), ""},
		{"cut off by another processor", records(head+",oom_memcg="+root, kill), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for _, v := range read(tt.records) {
				got += v.Cgroup + " " + v.String()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestForgedClosed: names are bytes of those who would like another container to
// have had a victim. All these have the kernel's facility, and the cgroup of the
// record is below root; what is wanted is that other is never named.
func TestForgedClosed(t *testing.T) {
	forged := ",task_memcg=" + other + ",task=evil,pid=134,uid=0"
	kernels := ",oom_memcg=" + root + ",task_memcg=" + root + ",task=exe,pid=134,uid=0"
	for name, text := range map[string]string{
		"the process's name ends the record early":  head + ",oom_memcg=" + root + ",task_memcg=" + root + ",task=a,pid=1,uid=0,pid=134,uid=0",
		"the process's name is a task":              head + ",oom_memcg=" + root + ",task_memcg=" + root + ",task=a,task=b,pid=134,uid=0",
		"a cgroup's name is all that follows":       head + ",oom_memcg=" + root + "/x" + forged + ",task_memcg=" + root + "/x" + forged + ",task=exe,pid=134,uid=0",
		"and the record was cut off behind it":      head + ",oom_memcg=" + root + "/x" + forged,
		"a cgroup's name is a domain, too":          head + ",oom_memcg=" + root + "/x,oom_memcg=" + other + forged,
		"a cgroup's name says it is the whole host": head + ",oom_memcg=" + root + "/x,global_oom" + forged,
		"a cpuset's name is all that follows":       strings.Replace(head, "cpuset=", "cpuset=x,global_oom,task_memcg=,task=evil,pid=134,uid=0", 1) + kernels,
		"a cpuset's name, cut off behind it":        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,global_oom,task_memcg=x,task=evil,pid=134,uid=0",
		"the beginning is not the kernel's":         "x: " + head + ",oom_memcg=" + other + ",task_memcg=" + other + ",task=exe,pid=134,uid=0",
		"a neighbour with a longer name":            head + ",oom_memcg=/docker,task_memcg=" + other + "0,task=exe,pid=134,uid=0",
		"a domain that is the beginning of another": head + ",oom_memcg=" + other[:20] + ",task_memcg=" + other + ",task=exe,pid=134,uid=0",
	} {
		for _, comm := range []string{"exe", "evil"} {
			for _, v := range read(records(text, strings.Replace(kill, "(exe)", "("+comm+")", 1))) {
				if v.Within(other) {
					t.Errorf("%s: %+v", name, v)
				}
			}
		}
	}
}

// TestOthersRecordsClosed: what a process has written into the log has another
// facility, for the kernel sees to it.
func TestOthersRecordsClosed(t *testing.T) {
	for _, priority := range []string{"14", "8", "30", "8190", "-1", "", "x", "99999999999"} {
		var p parser
		for _, text := range []string{choice, kill} {
			if v, ok := p.next([]byte(priority + ",1,1,-;" + text + "\n")); ok || p.chosen.PID != 0 {
				t.Errorf("priority %s: %+v", priority, v)
			}
		}
	}
}

func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		inner, outer string
		want         bool
	}{
		{root, root, true},
		{root + "/job", root, true},
		{root + "0", root, false},
		{root, root + "/job", false},
		{root, "/", true},
		{root, "", false}, // whose cgroup is not known
		{"", "", false},
	} {
		if got := (Victim{Cgroup: tt.inner}).Within(tt.outer); got != tt.want {
			t.Errorf("%q within %q: %v", tt.inner, tt.outer, got)
		}
	}
}

// TestOpenRefusals: the reason says what to do, or what is wrong with what was named.
func TestOpenRefusals(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kern.log")
	if err := os.WriteFile(file, []byte("6,1,1,-;"+choice+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"/nonexistent/kmsg": "--device /dev/kmsg", file: "no device"} {
		if _, err := Open(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("open %s: %v, want it to say %q", name, err, want)
		}
	}
}

// FuzzParser: a record never makes a victim that its text does not spell out.
func FuzzParser(f *testing.F) {
	f.Add("6,1,1,-;"+choice+"\n", "3,2,1,-;"+kill+"\n")
	f.Add("6,1,1,-;"+head+",oom_memcg=/,task_memcg=/a\\x5c\\x0a,task=,pid=1,uid=0", "3,2,1,c;Killed process 1 () total-vm:")
	f.Add("14,1,1,-;"+choice, "3,2,1,-;"+kill)
	f.Fuzz(func(t *testing.T, first, second string) {
		var p parser
		if _, ok := p.next([]byte(first)); ok {
			t.Fatal("a victim of one record")
		}
		v, ok := p.next([]byte(second))
		if !ok {
			return
		}
		end := fmt.Sprintf(",task=%s,pid=", v.Name)
		if v.PID <= 0 || !strings.HasPrefix(v.Cgroup, "/") || strings.Count(first, end) != 1 || strings.Count(first, ",task_memcg=/") != 1 ||
			!strings.Contains(second, "Killed process ") || !strings.Contains(second, "("+v.Name+")") {
			t.Errorf("%+v of %q and %q", v, first, second)
		}
	})
}
