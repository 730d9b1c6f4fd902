package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
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

// Device is the number of a block device, major and minor.
type Device [2]uint32

// BlockDevices are the names of the host's block devices, from /proc/partitions.
func (p FS) BlockDevices() (map[Device]string, error) {
	b, err := fs.ReadFile(p.root, "partitions")
	if err != nil {
		return nil, fmt.Errorf("read block devices: %w", err)
	}
	out := map[Device]string{}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 4 || f[0] == "major" {
			continue
		}
		major, err1 := strconv.ParseUint(f[0], 10, 32)
		minor, err2 := strconv.ParseUint(f[1], 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("parse block devices: %w", err)
		}
		out[Device{uint32(major), uint32(minor)}] = f[3]
	}
	return out, nil
}

// OOMKills is how many processes the OOM killer has killed since the host was
// booted, in containers or not: oom_kill of /proc/vmstat, since Linux 4.13.
func (p FS) OOMKills() (uint64, error) {
	b, err := fs.ReadFile(p.root, "vmstat")
	if err != nil {
		return 0, fmt.Errorf("count OOM kills: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			kills, err := strconv.ParseUint(strings.TrimSpace(n), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("count OOM kills: %w", err)
			}
			return kills, nil
		}
	}
	return 0, errors.New("count OOM kills: no line oom_kill in vmstat")
}
