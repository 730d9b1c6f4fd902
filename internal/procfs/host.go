package procfs

import (
	"fmt"
	"io/fs"
	"strings"
)

// CPUs is the number of processors that are online, from /proc/stat, which says
// so for the whole host whatever cpuset the reader is in.
func (p FS) CPUs() (int, error) {
	b, err := fs.ReadFile(p.root, "stat")
	if err != nil {
		return 0, fmt.Errorf("count processors: %w", err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "cpu") && len(line) > 3 && line[3] >= '0' && line[3] <= '9' {
			n++
		}
	}
	if n == 0 {
		return 0, fmt.Errorf("count processors: no line cpu0 in stat")
	}
	return n, nil
}

// BlockDevices are the names of the host's block devices by "major:minor", from
// /proc/partitions.
func (p FS) BlockDevices() (map[string]string, error) {
	b, err := fs.ReadFile(p.root, "partitions")
	if err != nil {
		return nil, fmt.Errorf("read block devices: %w", err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 4 && f[0] != "major" {
			out[f[0]+":"+f[1]] = f[3]
		}
	}
	return out, nil
}
