package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// nested adds up the OOM kills in the cgroups inside a container's: on v1 a
// kill counts only where the victim was. Most containers have none inside, and
// the folder's link count says so without listing it.
type nested struct {
	dir  string
	fd   int               // of dir, to ask for its link count; -1 while it is not kept open
	seen map[string]uint64 // what each folder said last
	gone uint64            // what removed folders had said
}

func newNested(dir string) *nested { return &nested{dir: dir, fd: -1} }

func (n *nested) kills(h *Host) (uint64, error) {
	if n.fd < 0 && h.left > 0 {
		if fd, err := openFolder(n.dir); err == nil {
			n.fd = fd
			h.left--
		}
	}
	if len(n.seen) == 0 && !n.mayHaveFolders() {
		return n.gone, nil
	}
	now := map[string]uint64{}
	var odd error
	err := filepath.WalkDir(n.dir, func(dir string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, os.ErrNotExist): // it went meanwhile
			return nil
		case err != nil:
			return err
		case !d.IsDir() || dir == n.dir:
			return nil
		}
		b, err := os.ReadFile(filepath.Join(dir, "memory.oom_control"))
		if err != nil {
			return nil //nolint:nilerr // removed, or not ours to read: what it said last counts
		}
		var s Stats
		if err := parseOOMControl(b, &s); err != nil {
			odd = fmt.Errorf("memory.oom_control of %s: %w", dir, err)
		}
		now[dir] = s.OOM.Kills.Or(n.seen[dir])
		return nil
	})
	if err != nil {
		err = fmt.Errorf("read nested cgroups of %s: %w", n.dir, err)
	} else {
		n.remember(now)
		err = odd
	}
	total := n.gone
	for _, kills := range n.seen {
		total += kills
	}
	return total, err
}

// remember keeps what removed folders had said, and those that were removed and
// made again.
func (n *nested) remember(now map[string]uint64) {
	for dir, kills := range n.seen {
		if again, ok := now[dir]; !ok || again < kills {
			n.gone += kills
		}
	}
	n.seen = now
}

// mayHaveFolders: a folder of kernfs has two links, and one more for each folder in it.
func (n *nested) mayHaveFolders() bool {
	links, err := linkCount(n.fd)
	return err != nil || links != 2
}

func (n *nested) close(h *Host) {
	if n.fd >= 0 {
		closeFile(n.fd)
		n.fd = -1
		h.left++
	}
}
