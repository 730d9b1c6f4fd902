// Package kmsg finds in the kernel's log whom the OOM killer killed.
//
// The log only names the victims of kills that the kernel's counters have
// counted: it is limited in rate, it overwrites itself, and not everyone may read it.
//
// Who controls what: only the kernel writes records of facility 0, and gives those
// of others another one. In its records, the name of a process (comm) is the
// process's choice, 15 bytes of anything; and whoever may make cgroups chooses their
// names, which hold any byte but "/" and a line end, so that a name, or a path of several,
// can spell out all that follows in the record. A record is also cut short
// when another processor writes in between. So a key that is there twice makes
// the record worthless, a victim must be in the cgroup that was out of memory, and
// the kernel must say in a second record that it killed that PID of that name. What
// is left to a container is to be silent about its own victims.
package kmsg

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Victim is a process that the OOM killer chose and killed.
type Victim struct {
	// Name is its comm, as the log writes it: what is not printable ASCII is
	// written "\x0a", and so is a backslash.
	Name string
	PID  int // in the host's PID namespace
	// Cgroup is the path of its memory cgroup in the hierarchy, as the host's root sees it.
	Cgroup string
}

// String is the name and the PID.
func (v Victim) String() string { return fmt.Sprintf("%s (%d)", v.Name, v.PID) }

// Within says that the victim was in that cgroup, or in one inside.
func (v Victim) Within(cgroup string) bool { return within(v.Cgroup, cgroup) }

func within(inner, outer string) bool {
	rest, ok := strings.CutPrefix(inner, strings.TrimSuffix(outer, "/"))
	return ok && outer != "" && (rest == "" || rest[0] == '/')
}

// parser goes through records in their order.
type parser struct {
	chosen Victim // of whom the log does not say yet that it was killed
}

// next takes one record, as read(2) of /dev/kmsg returns it, see
// Documentation/ABI/testing/dev-kmsg.
func (p *parser) next(record []byte) (Victim, bool) {
	text, ok := kernelText(record)
	if !ok {
		return Victim{}, false
	}
	if v, ok := chosen(text); ok {
		p.chosen = v
		return Victim{}, false
	}
	pid, name, ok := killed(text)
	if !ok || p.chosen.PID == 0 {
		return Victim{}, false
	}
	v := p.chosen
	p.chosen = Victim{}
	return v, pid == v.PID && name == v.Name
}

// kernelText is the text of a record that the kernel itself wrote:
// "priority,sequence,microseconds,flags;text", and lines of a dictionary that begin with a blank.
func kernelText(record []byte) (string, bool) {
	prefix, rest, ok := bytes.Cut(record, []byte{';'})
	priority, _, more := bytes.Cut(prefix, []byte{','})
	n, err := strconv.ParseUint(string(priority), 10, 32)
	const kernel, severityBits = 0, 3
	if !ok || !more || err != nil || n>>severityBits != kernel {
		return "", false
	}
	text, _, _ := bytes.Cut(rest, []byte{'\n'})
	return string(text), true
}

// chosen reads what Linux writes since 5.0 (dump_oom_victim and mem_cgroup_print_oom_context in mm/), in one line:
//
//	oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=NAME,mems_allowed=0,
//	oom_memcg=PATH,task_memcg=PATH,task=COMM,pid=N,uid=N
//
// Where the whole host is out of memory, "global_oom" stands for oom_memcg.
func chosen(text string) (Victim, bool) {
	if !strings.HasPrefix(text, "oom-kill:constraint=CONSTRAINT_") {
		return Victim{}, false
	}
	before, rest, ok1 := cutOnly(text, ",task_memcg=")
	cgroup, rest, ok2 := cutOnly(rest, ",task=")
	name, rest, ok3 := cutOnly(rest, ",pid=")
	number, uid, ok4 := cutOnly(rest, ",uid=")
	pid, err := strconv.ParseUint(number, 10, 31)
	_, err2 := strconv.ParseUint(uid, 10, 32)
	if !ok1 || !ok2 || !ok3 || !ok4 || err != nil || err2 != nil || pid == 0 {
		return Victim{}, false
	}
	// Before that path only the name of a cpuset is not the kernel's, and it has no "/".
	_, domain, ok := cutOnly(before, ",oom_memcg=/")
	if !strings.Contains(before, ",oom_memcg=/") {
		domain, ok = "", strings.HasSuffix(before, ",global_oom")
	}
	if !ok || !strings.HasPrefix(cgroup, "/") || !within(cgroup, "/"+domain) {
		return Victim{}, false
	}
	return Victim{Name: name, PID: int(pid), Cgroup: unescape(cgroup)}, true
}

// cutOnly cuts around a separator that is there once.
func cutOnly(s, sep string) (before, after string, ok bool) {
	before, after, ok = strings.Cut(s, sep)
	return before, after, ok && !strings.Contains(after, sep)
}

// killed reads "Memory cgroup out of memory: Killed process 134 (name) total-vm:1300336kB, …".
func killed(text string) (pid int, name string, ok bool) {
	why, rest, ok := strings.Cut(text, "Killed process ")
	if !ok || why != "" && why != "Memory cgroup out of memory: " && why != "Out of memory: " && why != "Out of memory (oom_kill_allocating_task): " {
		return 0, "", false
	}
	number, rest, ok1 := strings.Cut(rest, " (")
	name, _, ok2 := cutOnly(rest, ") total-vm:")
	n, err := strconv.ParseUint(number, 10, 31)
	return int(n), name, ok1 && ok2 && err == nil
}

// unescape: the kernel writes a backslash, and what is not printable ASCII, as "\x5c".
func unescape(s string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, `\x`)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		s = after
		if len(after) >= 2 {
			if c, err := strconv.ParseUint(after[:2], 16, 8); err == nil {
				b.WriteByte(byte(c))
				s = after[2:]
				continue
			}
		}
		b.WriteString(`\x`)
	}
}
