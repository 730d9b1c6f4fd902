package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Reader reads the counters of one container. It must be closed.
type Reader struct {
	// Skipped are the controllers that have no numbers here, each with its reason.
	Skipped []error
	// Memory is the path of the cgroup that counts its memory, from the root of what is
	// mounted; "" if there is none.
	Memory string
	// KilledAsOne says that the OOM killer kills all of the container at once: when the
	// reader was made, memory.oom.group was set, of its cgroup or of one above. v2 only.
	KilledAsOne bool

	host   *Host
	files  []opened
	nested *nested // v1's nested cgroups; nil on v2
	above  *above  // v2's cgroup above, for its limits of memory; nil on v1
}

// opened is a file that is read again and again.
type opened struct {
	file
	dir    string
	fd     int  // -1 while it is not kept open
	absent bool // this kernel does not have it
}

// Container makes a reader for the container whose init has that membership.
// It fails if no controller of it can be found, with [ErrOutside] if that is why.
func (h *Host) Container(id string, m Membership) (*Reader, error) {
	r := &Reader{host: h}
	for _, controller := range []string{"cpu", "cpuacct", "cpuset", "memory", "blkio", "pids"} {
		if err := r.add(controller, id, m); err != nil {
			r.Skipped = append(r.Skipped, fmt.Errorf("cgroup controller %s: %w", controller, err))
		}
	}
	if err := r.addPressure(id, m); err != nil {
		r.Skipped = append(r.Skipped, fmt.Errorf("cgroup pressure: %w", err))
	}
	if len(r.files) == 0 {
		return nil, fmt.Errorf("find the cgroups of container %s: %w", id, errors.Join(r.Skipped...))
	}
	return r, nil
}

var (
	errNotMounted = errors.New("no hierarchy with it is mounted")
	errOff        = errors.New("it is off in the container's cgroup.controllers")
	errNotOurs    = errors.New("the container's id is not in its path, so the cgroup may be a daemon's")
)

func (r *Reader) add(controller, id string, m Membership) error {
	mount, isV1 := r.host.v1[controller]
	member, joined := m.controller(controller)
	switch {
	case isV1 && !joined:
		return errNotJoined
	case isV1:
		own, _ := r.host.opts.Own.controller(controller)
		dir, _, err := r.host.folder(mount, own, member, id)
		if err != nil {
			return err
		}
		r.addFiles(dir, filesV1(controller))
		if controller == "memory" {
			r.nested, r.Memory = newNested(dir), strings.TrimPrefix(dir, mount)
		}
		return nil
	case r.host.v2 == "":
		return errNotMounted
	case controller == "cpuacct": // in v2 it is part of cpu
		return nil
	}
	dir, _, err := r.unified(id, m)
	if err != nil {
		return err
	}
	r.addFiles(dir, filesV2(controller))
	if err := controllerOn(dir, controller); err != nil {
		return err
	}
	if controller == "memory" {
		r.Memory = strings.TrimPrefix(dir, r.host.v2)
		r.above = r.host.hold(filepath.Dir(dir), r.host.v2)
		r.KilledAsOne = killedAsOne(dir, r.host.v2)
	}
	return nil
}

// addPressure: on hybrid hosts, an old runtime leaves containers where its own
// daemon is in the unified tree, so there the path must name the container.
func (r *Reader) addPressure(id string, m Membership) error {
	if r.host.v2 == "" {
		return errNotMounted
	}
	dir, named, err := r.unified(id, m)
	if err != nil {
		return err
	}
	if r.host.Mode() == Hybrid && !named {
		return errNotOurs
	}
	r.addFiles(dir, filesV2("pressure"))
	return nil
}

func (r *Reader) unified(id string, m Membership) (dir string, named bool, err error) {
	member, joined := m[""]
	if !joined {
		return "", false, errNotJoined
	}
	return r.host.folder(r.host.v2, r.host.opts.Own[""], member, id)
}

func controllerOn(dir, controller string) error {
	if controller == "blkio" {
		controller = "io"
	}
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err == nil && !slices.Contains(strings.Fields(string(b)), controller) {
		return errOff
	}
	return nil // a removed cgroup shows when it is read
}

func (r *Reader) addFiles(dir string, files []file) {
	for _, f := range files {
		r.files = append(r.files, opened{file: f, dir: dir, fd: -1})
	}
}

// Read fills s. [ErrRemoved] says that the container's cgroups are gone and s
// means nothing; with any other error, what could be read is in s.
func (r *Reader) Read(s *Stats) error {
	s.reset()
	var failed []error
	for i := range r.files {
		f := &r.files[i]
		if f.absent {
			continue
		}
		b, err := r.host.read(f)
		if err == nil {
			err = f.parse(b, s)
		}
		switch {
		case errors.Is(err, ErrRemoved):
			return ErrRemoved
		case errors.Is(err, errAbsent):
			f.absent = true
		case err != nil:
			failed = append(failed, fmt.Errorf("read %s: %w", filepath.Join(f.dir, f.name), err))
		}
	}
	if r.nested != nil && s.OOM.Kills.Set {
		kills, err := r.nested.kills(r.host)
		s.OOM.Kills.N += kills
		if err != nil {
			failed = append(failed, err)
		}
	}
	if r.above != nil {
		limit, swap, err := r.host.limitsAbove(r.above, time.Now())
		s.Memory.Limit, s.Memory.swapMax = s.Memory.Limit.least(limit), s.Memory.swapMax.least(swap)
		if err != nil {
			failed = append(failed, err)
		}
	}
	s.derive()
	return errors.Join(failed...)
}

// derive makes the values that come from several files.
func (s *Stats) derive() {
	m := &s.Memory
	m.WorkingSet = m.Usage.minus(m.inactiveFile)
	if !m.Kernel.Set {
		m.Kernel = m.kernelStack.plus(m.slab)
	}
	if !m.SwapLimit.Set {
		m.SwapLimit = m.Limit.plus(m.swapMax)
	}
	if len(s.spoiled) > 0 {
		s.IO = slices.DeleteFunc(s.IO, s.isSpoiled)
	}
}

// Close closes the files; the descriptors may be kept by others.
func (r *Reader) Close() {
	for i := range r.files {
		r.host.forget(&r.files[i])
	}
	if r.nested != nil {
		r.nested.close(r.host)
	}
	r.host.release(r.above)
	r.above = nil
}

// forget closes a file that is kept open.
func (h *Host) forget(f *opened) {
	if f.fd >= 0 {
		closeFile(f.fd)
		f.fd = -1
		h.left++
	}
}

// maxFile bounds what is read of one file. The kernel's largest, io.stat, has
// about 100 bytes a device.
const maxFile = 4 << 20

// read returns the content of f, which is good until the next read.
func (h *Host) read(f *opened) ([]byte, error) {
	fd := f.fd
	if fd < 0 {
		var err error
		if fd, err = h.open(f); err != nil {
			return nil, err
		}
		if h.left > 0 {
			h.left--
			f.fd = fd
		} else {
			defer closeFile(fd)
		}
	}
	for {
		n, err := readFile(fd, h.buf)
		if err != nil {
			return nil, err
		}
		// The kernel makes such a file in one piece, so less than was asked for is all of it.
		if n < len(h.buf) {
			return h.buf[:n], nil
		}
		if n >= maxFile {
			return nil, fmt.Errorf("longer than %d bytes", maxFile)
		}
		h.buf = make([]byte, 2*n)
	}
}

// errAbsent says that a file does not exist in a cgroup that does.
var errAbsent = errors.New("no such file in this cgroup")

func (h *Host) open(f *opened) (int, error) {
	fd, err := openFile(h.pathOf(f))
	if errors.Is(err, errAbsent) && f.older != "" {
		f.name, f.older = f.older, ""
		fd, err = openFile(h.pathOf(f))
	}
	if errors.Is(err, errAbsent) {
		if _, statErr := os.Stat(f.dir); errors.Is(statErr, os.ErrNotExist) {
			return -1, ErrRemoved
		}
	}
	return fd, err
}

// pathOf is good until the next call.
func (h *Host) pathOf(f *opened) []byte {
	h.path = append(append(append(append(h.path[:0], f.dir...), '/'), f.name...), 0)
	return h.path
}

// Processes lists the PIDs in the container's cgroups, nested ones too, as our
// PID namespace numbers them; 0 stands for those outside it.
func (r *Reader) Processes() ([]int, error) {
	if len(r.files) == 0 {
		return nil, ErrRemoved
	}
	var pids []int
	err := filepath.WalkDir(r.files[0].dir, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			return err
		}
		for l, rest, more := line(b); more; l, rest, more = line(rest) {
			pid, err := number(l)
			if err != nil {
				return fmt.Errorf("parse cgroup.procs of %s: %w", dir, err)
			}
			pids = append(pids, int(pid)) //nolint:gosec // the kernel's PIDs have 22 bits
		}
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrRemoved
	}
	return pids, err
}
