package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// above is a v2 cgroup that has containers below it: its limits of memory hold
// for them too, though memory.max of each says nothing of it (v1's
// hierarchical_memory_limit does). All readers below share one, so that a parent
// costs two files, however many containers it has.
type above struct {
	up      *above // nil at the root of what is mounted
	max     opened
	swapMax opened
	users   int // readers, and cgroups between them and this one

	read        time.Time
	limit, swap Value // the least of this one and all above
	err         error
}

// aboveFor is how long what was read of a cgroup above is good: the containers
// of one collection share it.
const aboveFor = time.Second

// hold finds the cgroup of that folder, which is mount or below it, and all above it.
func (h *Host) hold(dir, mount string) *above {
	a, ok := h.above[dir]
	if !ok {
		a = &above{
			max:     opened{file: file{name: "memory.max"}, dir: dir, fd: -1},
			swapMax: opened{file: file{name: "memory.swap.max"}, dir: dir, fd: -1},
		}
		if dir != mount {
			a.up = h.hold(filepath.Dir(dir), mount)
		}
		h.above[dir] = a
	}
	a.users++
	return a
}

func (h *Host) release(a *above) {
	for ; a != nil; a = a.up {
		if a.users--; a.users > 0 {
			return
		}
		h.forget(&a.max)
		h.forget(&a.swapMax)
		delete(h.above, a.max.dir)
	}
}

// limitsAbove are the least limits of a and all above it.
func (h *Host) limitsAbove(a *above, now time.Time) (limit, swap Value, err error) {
	if a == nil {
		return Value{}, Value{}, nil
	}
	if age := now.Sub(a.read); age >= 0 && age < aboveFor {
		return a.limit, a.swap, a.err
	}
	a.read = now
	a.limit, a.swap, a.err = h.limitsAbove(a.up, now)
	a.limit = a.limit.least(h.readLimit(&a.max, &a.err))
	a.swap = a.swap.least(h.readLimit(&a.swapMax, &a.err))
	return a.limit, a.swap, a.err
}

// readLimit reads a file that the hierarchy's root does not have.
func (h *Host) readLimit(f *opened, failed *error) (v Value) {
	if f.absent {
		return Value{}
	}
	b, err := h.read(f)
	if err == nil {
		err = limit(b, &v)
	}
	switch {
	case errors.Is(err, errAbsent):
		f.absent = true
	case errors.Is(err, ErrRemoved): // and so are the containers
	case err != nil:
		*failed = errors.Join(*failed, fmt.Errorf("read %s: %w", filepath.Join(f.dir, f.name), err))
	}
	return v
}

// killedAsOne asks a folder, which is below mount, and all above it. The file is there since Linux 4.19.
func killedAsOne(dir, mount string) bool {
	for ; ; dir = filepath.Dir(dir) {
		b, err := os.ReadFile(filepath.Join(dir, "memory.oom.group"))
		if err == nil && strings.TrimSpace(string(b)) == "1" {
			return true
		}
		if dir == mount {
			return false
		}
	}
}
