// Package cgroup reads the counters of one container's control groups, on
// cgroup v1, on v2, and on hybrid hosts, where v1 has the controllers and a
// second, unified tree has the pressure.
//
// The path of each controller comes from the container's own membership
// (/proc/<pid>/cgroup of its init), hierarchy by hierarchy, because they differ
// in practice. What cannot be found is said in [Reader.Skipped], and never read
// from somewhere else: the root's counters are the host's, not a container's.
//
// The files stay open and are read again with pread(2), which costs a fifth of
// opening them, and nothing on the heap. An open file does not keep the kernel
// from removing a cgroup; from then on reading fails with ENODEV, which is
// [ErrRemoved]. Files beyond the budget of descriptors are opened for each read.
//
// All numbers are the kernel's, in the units in which it counts, or cumulative
// nanoseconds for time. A missing file (an older kernel, a controller that is
// off) leaves its values unset. Counters start again at zero when a container
// is started again: whoever makes rates of them must expect that they go back.
//
// A [Host] and its readers belong to one goroutine.
package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"vitrine/internal/kernel/cgroupname"
	"vitrine/internal/kernel/procfs"
)

// Mode says which hierarchies a host has.
type Mode string

// The modes. A hybrid host is a v1 host with cgroup v2 mounted as well.
const (
	V1     Mode = "v1"
	V2     Mode = "v2"
	Hybrid Mode = "hybrid"
)

// Membership is what /proc/<pid>/cgroup says: hierarchy ("" is cgroup v2's, else
// its controllers as the kernel writes them, "cpu,cpuacct") to path.
type Membership map[string]string

// Of is the membership that procfs reads.
func Of(lines []procfs.Cgroup) Membership {
	m := Membership{}
	for _, l := range lines {
		m[l.Hierarchy] = l.Path
	}
	return m
}

// controller finds the path of one v1 controller.
func (m Membership) controller(name string) (string, bool) {
	for hierarchy, p := range m {
		for c := range strings.SplitSeq(hierarchy, ",") {
			if c == name {
				return p, true
			}
		}
	}
	return "", false
}

// ErrRemoved says that a cgroup is gone: its container has stopped.
var ErrRemoved = errors.New("the cgroup is removed")

// Options of [Open].
type Options struct {
	Root string     // where the hierarchies are mounted, usually "/sys/fs/cgroup"
	Self int        // our own PID
	Own  Membership // our own membership, to know what our cgroup namespace hides
	// MaxFiles bounds the files kept open. 0: three quarters of RLIMIT_NOFILE.
	MaxFiles int
}

// Host is the set of mounted hierarchies.
type Host struct {
	opts  Options
	v1    map[string]string // controller to mount point
	v2    string            // mount point of the unified hierarchy; "" if there is none
	roots map[string]string // mount point to the path of our cgroup namespace's root; "" if not found
	above map[string]*above // those that have containers below, by folder; v2 only
	left  int               // descriptors that may still be kept
	buf   []byte
	path  []byte // of the file that is being opened
}

// Open looks at what is mounted below opts.Root. It recognizes hierarchies by
// what is in them and how they are called, as systemd and every container engine mount them.
func Open(opts Options) (*Host, error) {
	v2, v1, err := Mounts(opts.Root)
	if err != nil {
		return nil, err
	}
	h := &Host{opts: opts, v1: v1, v2: v2, roots: map[string]string{}, above: map[string]*above{}, left: opts.MaxFiles, buf: make([]byte, 16<<10)}
	if h.left == 0 {
		h.left = fileBudget()
	}
	return h, nil
}

// Mounts finds the hierarchies below root: version 2's, "" if there is none, and
// version 1's by controller.
func Mounts(root string) (v2 string, v1 map[string]string, err error) {
	root = filepath.Clean(root) // paths below are compared with it
	v1 = map[string]string{}
	if isUnified(root) {
		return root, v1, nil
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return "", nil, fmt.Errorf("look for cgroup hierarchies: %w", err)
	}
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		switch {
		case isUnified(dir):
			v2 = dir
		case isFile(filepath.Join(dir, "cgroup.procs")):
			for c := range strings.SplitSeq(e.Name(), ",") { // "cpu,cpuacct", and links "cpu" to it
				v1[c] = dir
			}
		}
	}
	if v2 == "" && len(v1) == 0 {
		return "", nil, fmt.Errorf("no cgroup hierarchy below %s; is the host's /sys/fs/cgroup mounted there?", root)
	}
	return v2, v1, nil
}

// Mode says which hierarchies the host has.
func (h *Host) Mode() Mode {
	switch {
	case len(h.v1) == 0:
		return V2
	case h.v2 == "":
		return V1
	}
	return Hybrid
}

// isUnified: cgroup.controllers is in every cgroup of v2 and in none of v1.
func isUnified(dir string) bool { return isFile(filepath.Join(dir, "cgroup.controllers")) }

func isFile(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.Mode().IsRegular()
}

// ErrOutside says that a container's cgroups cannot be seen from here.
var ErrOutside = errors.New("its cgroup is outside our cgroup namespace and what is mounted; " +
	"mount the host's /sys/fs/cgroup, or run with the host's cgroup namespace")

// Errors of finding a container's folder in a hierarchy.
var (
	errRoot      = errors.New("it is in the hierarchy's root, which counts for the whole host")
	errNotJoined = errors.New("it is not listed in its membership")
)

// folder finds the directory of a container in the hierarchy mounted at mount.
// named says that the container's id is in the path.
func (h *Host) folder(mount, own, member, id string) (dir string, named bool, err error) {
	full := member
	root := h.namespaceRoot(mount, own)
	up := 0
	for segment := range strings.SplitSeq(member, "/") {
		if segment == ".." {
			up++
		}
	}
	if up > 0 && (root == "" || up > strings.Count(strings.TrimSuffix(root, "/"), "/")) {
		return "", false, ErrOutside
	}
	if root != "" {
		full = path.Join(root, member)
	}
	full, named = cgroupname.ContainerPath(full, id)
	if full == "/" {
		return "", false, errRoot
	}
	dir = filepath.Join(mount, full)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) { // or the container has just ended
		return "", false, ErrOutside
	}
	return dir, named, nil
}

// Bears says that the id is in the path of some hierarchy, as the host's root
// sees it: from a cgroup namespace of our own, our own container's path is "/".
func (h *Host) Bears(id string, m Membership) bool {
	for hierarchy, member := range m {
		if _, named := cgroupname.ContainerPath(member, id); named {
			return true
		}
		first, _, _ := strings.Cut(hierarchy, ",")
		mount := h.v1[first]
		if hierarchy == "" {
			mount = h.v2
		}
		if own, joined := h.opts.Own[hierarchy]; mount != "" && joined {
			if _, named, err := h.folder(mount, own, member, id); err == nil && named {
				return true
			}
		}
	}
	return false
}

// namespaceRoot is the path of our cgroup namespace's root: "/" in the host's.
// In a namespace of our own, the kernel writes every path relative to it, so it
// is found by looking for ourselves: no process can be in two cgroups of a
// hierarchy. "" if we are not in what is mounted.
func (h *Host) namespaceRoot(mount, own string) string {
	if root, ok := h.roots[mount]; ok {
		return root
	}
	root := h.findSelf(mount, path.Clean("/"+own))
	h.roots[mount] = root
	return root
}

func (h *Host) findSelf(mount, own string) string {
	if h.holdsSelf(filepath.Join(mount, own)) {
		return "/"
	}
	found := ""
	// An unreadable folder is passed over: others may still be found.
	_ = filepath.WalkDir(mount, func(dir string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // the walk goes on
		}
		if d.IsDir() && h.holdsSelf(dir) {
			found = strings.TrimPrefix(dir, mount)
			return fs.SkipAll
		}
		return nil
	})
	if found == "" || own == "/" {
		return found
	}
	root, ok := strings.CutSuffix(found, own)
	if !ok {
		return ""
	}
	return root
}

func (h *Host) holdsSelf(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	self := strconv.Itoa(h.opts.Self)
	for line := range bytes.Lines(b) {
		if string(bytes.TrimSpace(line)) == self {
			return err == nil
		}
	}
	return false
}
