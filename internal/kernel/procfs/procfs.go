// Package procfs reads the few facts of /proc that a verdict about a process
// may rest on: its state, its start time, its cgroup membership, its namespaces.
//
// Each fact has a function that opens a file and a pure parser that reads it;
// the root is an [fs.FS], so that tests bring their own. It keeps nothing: a
// PID is a number that the kernel gives away again, and only [FS.Process] holds
// several facts together, by the start time read before and after them. A
// caller that has a pidfd must look at it afterwards; that is the only proof
// that the number meant one process all the time.
//
// What a process controls itself (its comm, the names of cgroups that it may
// create) is parsed so that it cannot pass for a neighbouring field.
package procfs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// FS is a mounted proc file system.
type FS struct{ root fs.FS }

// New reads from root, usually os.DirFS("/proc"). Namespaces need a root that
// implements [fs.ReadLinkFS].
func New(root fs.FS) FS { return FS{root} }

// FlagKernelThread is PF_KTHREAD of a task's flags (include/linux/sched.h).
// No user process can set it.
const FlagKernelThread = 0x00200000

// FlagExiting is PF_EXITING: the process has begun to exit, and will not do
// anything any more.
const FlagExiting = 0x00000004

// Stat is what is read of /proc/<pid>/stat, see proc_pid_stat(5).
type Stat struct {
	PID   int
	State byte   // R, S, D, T, t, I; Z and X for the dead
	PPID  int    // 0 for a process whose parent is outside the PID namespace
	Flags uint64 // PF_*
	Start uint64 // in clock ticks since boot; with the PID it names one process
}

// Dead says that the process has exited: it is a zombie or being reaped. What
// /proc says of its cgroups is not true any more: on cgroup v1 it reads "/".
func (s Stat) Dead() bool { return s.State == 'Z' || s.State == 'X' || s.State == 'x' }

// Running says that the process is neither dead nor about to be.
func (s Stat) Running() bool { return !s.Dead() && s.Flags&FlagExiting == 0 }

// Stat reads /proc/<pid>/stat.
func (p FS) Stat(pid int) (Stat, error) {
	s, err := parsed(p, pid, "stat", "state", parseStat)
	if err == nil && s.PID != pid {
		return Stat{}, fmt.Errorf("parse state of pid %d: it speaks of pid %d", pid, s.PID)
	}
	return s, err
}

// parseStat reads a stat line. The second field, the comm, is the process's
// own choice and may hold ") Z 1": what counts is behind the last parenthesis.
func parseStat(b []byte) (Stat, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 { // what else is wrong with it is wrong with the number before it
		return Stat{}, errors.New("no command name in parentheses")
	}
	f := strings.Fields(string(b[end+1:]))
	const state, ppid, flags, start = 0, 1, 6, 19 // proc_pid_stat(5) counts from 1, and these from its (3)
	if len(f) <= start || len(f[state]) != 1 {
		return Stat{}, fmt.Errorf("%d fields behind the command name", len(f))
	}
	s := Stat{State: f[state][0]}
	var err [4]error
	s.PID, err[0] = strconv.Atoi(strings.TrimSpace(string(b[:open])))
	s.PPID, err[1] = strconv.Atoi(f[ppid])
	s.Flags, err[2] = strconv.ParseUint(f[flags], 10, 64)
	s.Start, err[3] = strconv.ParseUint(f[start], 10, 64)
	if e := errors.Join(err[:]...); e != nil {
		return Stat{}, e
	}
	return s, nil
}

// Status is what is read of /proc/<pid>/status, see proc_pid_status(5).
type Status struct {
	EUID  uint32 // effective user id, in the reader's user namespace
	NSpid []int  // its PIDs from the proc mount's PID namespace inwards; nil before Linux 4.1
	// Killed says that SIGKILL waits for it, which it meets when it is scheduled next.
	Killed bool
}

// Status reads /proc/<pid>/status.
func (p FS) Status(pid int) (Status, error) { return parsed(p, pid, "status", "status", parseStatus) }

// parseStatus reads the lines of a status file. The kernel escapes line ends in
// the only field that a process chooses (Name), so a line is a line.
func parseStatus(b []byte) (Status, error) {
	var s Status
	found := false
	for line := range strings.Lines(string(b)) {
		key, rest, _ := strings.Cut(line, ":")
		f := strings.Fields(rest)
		switch key {
		case "Uid":
			if len(f) != 4 || found {
				return Status{}, fmt.Errorf("bad Uid line %q", line)
			}
			id, err := strconv.ParseUint(f[1], 10, 32)
			if err != nil {
				return Status{}, fmt.Errorf("bad Uid line: %w", err)
			}
			s.EUID, found = uint32(id), true
		case "SigPnd", "ShdPnd": // of the thread, and of all of them
			mask, err := strconv.ParseUint(strings.TrimSpace(rest), 16, 64)
			if err != nil {
				return Status{}, fmt.Errorf("bad %s line: %w", key, err)
			}
			s.Killed = s.Killed || mask&(1<<(9-1)) != 0
		case "NSpid":
			for _, n := range f {
				pid, err := strconv.Atoi(n)
				if err != nil {
					return Status{}, fmt.Errorf("bad NSpid line: %w", err)
				}
				s.NSpid = append(s.NSpid, pid)
			}
		}
	}
	if !found {
		return Status{}, errors.New("no Uid line")
	}
	return s, nil
}

// Self is the reader's own PID as this proc mount numbers it.
func (p FS) Self() (int, error) {
	target, err := fs.ReadLink(p.root, "self")
	if err != nil {
		return 0, fmt.Errorf("read own pid: %w", err)
	}
	pid, err := strconv.Atoi(target)
	if err != nil {
		return 0, fmt.Errorf("read own pid: %w", err)
	}
	return pid, nil
}

// Exe is the file that a process runs, as /proc/PID/exe names it in the process's own mount
// namespace: proc_pid_exe(5). The process chooses it.
func (p FS) Exe(pid int) (string, error) {
	file, err := fs.ReadLink(p.root, strconv.Itoa(pid)+"/exe")
	if err != nil {
		return "", fmt.Errorf("read the executable of pid %d: %w", pid, err)
	}
	return file, nil
}

// LoginUID is the user of the login that a process comes from, /proc/PID/loginuid; nil if it comes from
// none. Without CAP_AUDIT_CONTROL a process cannot change it once it is set.
func (p FS) LoginUID(pid int) (*uint32, error) {
	b, err := fs.ReadFile(p.root, strconv.Itoa(pid)+"/loginuid")
	if err != nil {
		return nil, fmt.Errorf("read the login of pid %d: %w", pid, err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("read the login of pid %d: %w", pid, err)
	}
	if uid := uint32(n); uid != math.MaxUint32 {
		return &uid, nil
	}
	return nil, nil
}

// OverflowUID and OverflowGID are the ids that the kernel shows for those that
// the reader's user namespace does not map; 65534 where it cannot be read.
// See Documentation/admin-guide/sysctl/kernel.rst.
func (p FS) OverflowUID() uint32 { return p.overflow("sys/kernel/overflowuid") }

// OverflowGID is the group counterpart of [FS.OverflowUID].
func (p FS) OverflowGID() uint32 { return p.overflow("sys/kernel/overflowgid") }

func (p FS) overflow(name string) uint32 {
	const usual = 65534
	b, _ := fs.ReadFile(p.root, name) // without it there is no number
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return usual
	}
	return uint32(n)
}

func (p FS) read(pid int, name string) ([]byte, error) {
	if pid <= 0 {
		return nil, fs.ErrNotExist
	}
	return fs.ReadFile(p.root, strconv.Itoa(pid)+"/"+name)
}

// parsed reads a file of a process. With an error there is nothing: parse gives none then.
func parsed[T any](p FS, pid int, name, what string, parse func([]byte) (T, error)) (out T, err error) {
	b, err := p.read(pid, name)
	if err != nil {
		return out, fmt.Errorf("read %s of pid %d: %w", what, pid, err)
	}
	if out, err = parse(b); err != nil {
		err = fmt.Errorf("parse %s of pid %d: %w", what, pid, err)
	}
	return out, err
}

// Cgroup is one line of /proc/<pid>/cgroup, see cgroups(7).
type Cgroup struct {
	// Hierarchy names the hierarchy: "" is cgroup v2's, else the controllers
	// ("cpu,cpuacct") or the name ("name=systemd") as the kernel writes them.
	Hierarchy string
	// Path begins with "/". Seen from a cgroup namespace, it begins with "/.."
	// for what is outside.
	Path string
}

// Cgroups reads /proc/<pid>/cgroup.
func (p FS) Cgroups(pid int) ([]Cgroup, error) {
	return parsed(p, pid, "cgroup", "cgroup membership", parseCgroups)
}

// parseCgroups reads lines "id:controllers:path". A path may hold colons and
// blanks, but no line end: the kernel refuses such names.
func parseCgroups(b []byte) ([]Cgroup, error) {
	var out []Cgroup
	seen := map[string]bool{}
	sc := bufio.NewScanner(bytes.NewReader(b))
	for sc.Scan() {
		id, rest, _ := strings.Cut(sc.Text(), ":")
		hierarchy, path, _ := strings.Cut(rest, ":")
		if _, err := strconv.ParseUint(id, 10, 32); err != nil || !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("bad line %q", sc.Text())
		}
		if seen[hierarchy] {
			return nil, fmt.Errorf("hierarchy %q twice", hierarchy)
		}
		seen[hierarchy] = true
		out = append(out, Cgroup{Hierarchy: hierarchy, Path: path})
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errors.New("no line")
	}
	return out, nil
}

// Namespaces of a process, as their links read: "mnt:[4026531840]". Two
// processes are in one namespace when the texts are equal.
type Namespaces struct{ User, PID, Mount string }

// Namespaces reads the links in /proc/<pid>/ns, see namespaces(7). It needs
// CAP_SYS_PTRACE for most processes of others.
func (p FS) Namespaces(pid int) (Namespaces, error) {
	var ns Namespaces
	for kind, to := range map[string]*string{"user": &ns.User, "pid": &ns.PID, "mnt": &ns.Mount} {
		link, err := p.Namespace(pid, kind)
		if err != nil {
			return Namespaces{}, err
		}
		*to = link
	}
	return ns, nil
}

// Namespace reads one link in /proc/<pid>/ns, for example "cgroup".
func (p FS) Namespace(pid int, kind string) (string, error) {
	link, err := fs.ReadLink(p.root, strconv.Itoa(pid)+"/ns/"+kind)
	if err != nil {
		return "", fmt.Errorf("read %s namespace of pid %d: %w", kind, pid, err)
	}
	if !strings.HasPrefix(link, kind+":[") {
		return "", fmt.Errorf("read %s namespace of pid %d: unexpected link %q", kind, pid, link)
	}
	return link, nil
}

// SameRoot says whether two processes have one root directory. It needs
// CAP_SYS_PTRACE for most processes of others.
func (p FS) SameRoot(a, b int) (bool, error) {
	one, err := fs.Stat(p.root, strconv.Itoa(a)+"/root")
	if err != nil {
		return false, fmt.Errorf("read root directory of pid %d: %w", a, err)
	}
	other, err := fs.Stat(p.root, strconv.Itoa(b)+"/root")
	if err != nil {
		return false, fmt.Errorf("read root directory of pid %d: %w", b, err)
	}
	return os.SameFile(one, other), nil
}

// MountRoot is the root of what is mounted on point for a process, as a path in
// the mounted file system: field 4 of /proc/<pid>/mountinfo, see
// proc_pid_mountinfo(5). It is "" where nothing is mounted. Whoever may mount in
// that process's namespace controls it.
func (p FS) MountRoot(pid int, point string) (string, error) {
	b, err := p.read(pid, "mountinfo")
	if err != nil {
		return "", fmt.Errorf("read mounts of pid %d: %w", pid, err)
	}
	root := ""
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 && f[4] == point {
			root = f[3] // the last one lies on top
		}
	}
	return root, nil
}

// Process is what was true of one living process at one time.
type Process struct {
	Stat
	Cgroups []Cgroup
	// Namespaces is zero when NamespacesErr says why they could not be read.
	Namespaces    Namespaces
	NamespacesErr error
}

// Errors of [FS.Process] that mean no process to speak of.
var (
	ErrDead    = errors.New("the process has exited")
	ErrChanged = errors.New("the pid was given to another process")
)

// Exhausted says that an error is none of what was asked about: no descriptor was
// left to ask with, here (EMFILE) or on the whole machine (ENFILE). It passes.
func Exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// Gone says that an error means that there is no process with the PID (any longer).
func Gone(err error) bool {
	return errors.Is(err, ErrDead) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// Process reads the facts of a process that is alive before and after: it is
// neither a zombie nor another process with the same number by the end.
func (p FS) Process(pid int) (Process, error) {
	before, err := p.Stat(pid)
	if err != nil {
		return Process{}, err
	}
	if before.Dead() {
		return Process{}, fmt.Errorf("read facts of pid %d: %w", pid, ErrDead)
	}
	out := Process{Stat: before}
	if out.Cgroups, err = p.Cgroups(pid); err != nil {
		return Process{}, err
	}
	out.Namespaces, out.NamespacesErr = p.Namespaces(pid)
	after, err := p.Stat(pid)
	switch {
	case err != nil:
		return Process{}, err
	case after.Dead():
		return Process{}, fmt.Errorf("read facts of pid %d: %w", pid, ErrDead)
	case after.Start != before.Start:
		return Process{}, fmt.Errorf("read facts of pid %d: %w", pid, ErrChanged)
	}
	return out, nil
}
