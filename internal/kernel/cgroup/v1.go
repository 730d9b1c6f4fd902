package cgroup

import "math"

// file is one file of a cgroup, and how its content goes into Stats.
type file struct {
	name  string
	older string // its name on older kernels, if another
	parse func(b []byte, s *Stats) error
}

// filesV1 are the files of each v1 controller, see
// Documentation/admin-guide/cgroup-v1/.
func filesV1(controller string) []file {
	switch controller {
	case "cpu":
		return []file{
			{name: "cpu.stat", parse: parseCPUStatV1},
			{name: "cpu.cfs_quota_us", parse: func(b []byte, s *Stats) error { return limit(b, &s.CPU.QuotaUsec) }},
			{name: "cpu.cfs_period_us", parse: func(b []byte, s *Stats) error { return single(b, &s.CPU.PeriodUsec) }},
			{name: "cpu.shares", parse: func(b []byte, s *Stats) error { return single(b, &s.CPU.Shares) }},
		}
	case "cpuacct":
		return []file{
			{name: "cpuacct.usage", parse: func(b []byte, s *Stats) error { return single(b, &s.CPU.UsageNsec) }},
			{name: "cpuacct.stat", parse: parseCPUAcctStat},
		}
	case "cpuset":
		return []file{{
			name: "cpuset.effective_cpus", older: "cpuset.cpus",
			parse: func(b []byte, s *Stats) error { return parseList(b, &s.CPU.CPUs) },
		}}
	case "memory":
		return []file{
			{name: "memory.stat", parse: parseMemoryStatV1},
			{name: "memory.usage_in_bytes", parse: func(b []byte, s *Stats) error { return single(b, &s.Memory.Usage) }},
			{name: "memory.max_usage_in_bytes", parse: func(b []byte, s *Stats) error { return single(b, &s.Memory.Peak) }},
			{name: "memory.soft_limit_in_bytes", parse: func(b []byte, s *Stats) error { return limit(b, &s.Memory.SoftLimit) }},
			{name: "memory.kmem.usage_in_bytes", parse: func(b []byte, s *Stats) error { return single(b, &s.Memory.Kernel) }},
			{name: "memory.failcnt", parse: func(b []byte, s *Stats) error { return single(b, &s.Memory.LimitHits) }},
			{name: "memory.oom_control", parse: parseOOMControl},
		}
	case "blkio":
		return []file{
			{name: "blkio.throttle.io_service_bytes_recursive", older: "blkio.throttle.io_service_bytes", parse: parseServiceBytes},
			{name: "blkio.throttle.io_serviced_recursive", older: "blkio.throttle.io_serviced", parse: parseServiced},
		}
	case "pids":
		return filesPids()
	}
	return nil
}

// filesPids are the same in v1 and v2.
func filesPids() []file {
	return []file{
		{name: "pids.current", parse: func(b []byte, s *Stats) error { return single(b, &s.Pids.Current) }},
		{name: "pids.max", parse: func(b []byte, s *Stats) error { return limit(b, &s.Pids.Limit) }},
	}
}

// parseCPUStatV1: throttled_time is in nanoseconds, see
// Documentation/scheduler/sched-bwc.rst.
func parseCPUStatV1(b []byte, s *Stats) error {
	return keyed(b, func(key []byte, n uint64) {
		switch string(key) {
		case "nr_periods":
			s.CPU.Periods = set(n)
		case "nr_throttled":
			s.CPU.ThrottledPeriods = set(n)
		case "throttled_time":
			s.CPU.ThrottledNsec = set(n)
		}
	})
}

// parseCPUAcctStat: the numbers are in ticks of USER_HZ, which is 100 on every
// architecture that Docker runs on.
func parseCPUAcctStat(b []byte, s *Stats) error {
	const tick uint64 = 1e9 / 100
	return keyed(b, func(key []byte, n uint64) {
		if n > math.MaxUint64/tick {
			return
		}
		switch string(key) {
		case "user":
			s.CPU.UserNsec = set(n * tick)
		case "system":
			s.CPU.SystemNsec = set(n * tick)
		}
	})
}

// parseMemoryStatV1 reads the hierarchical sums (total_…), and the limits that
// apply when those of all ancestors are taken into account.
func parseMemoryStatV1(b []byte, s *Stats) error {
	m := &s.Memory
	return keyed(b, func(key []byte, n uint64) {
		switch string(key) {
		case "total_rss":
			m.RSS = set(n)
		case "total_cache":
			m.Cache = set(n)
		case "total_swap":
			m.Swap = set(n)
		case "total_inactive_file":
			m.inactiveFile = set(n)
		case "total_pgfault":
			m.PageFaults = set(n)
		case "total_pgmajfault":
			m.MajorPageFaults = set(n)
		case "hierarchical_memory_limit":
			m.Limit = asLimit(n)
		case "hierarchical_memsw_limit":
			m.SwapLimit = asLimit(n)
		}
	})
}

func parseOOMControl(b []byte, s *Stats) error {
	return keyed(b, func(key []byte, n uint64) {
		switch string(key) {
		case "oom_kill":
			s.OOM.Kills = set(n)
		case "under_oom":
			s.OOM.Under = n != 0
		}
	})
}

func parseServiceBytes(b []byte, s *Stats) error {
	return parseBlkio(b, s, func(d *Device) (read, write, discard *uint64) {
		return &d.ReadBytes, &d.WriteBytes, &d.DiscardBytes
	})
}

func parseServiced(b []byte, s *Stats) error {
	return parseBlkio(b, s, func(d *Device) (read, write, discard *uint64) {
		return &d.ReadOps, &d.WriteOps, &d.DiscardOps
	})
}

// parseBlkio reads lines "8:0 Read 4096"; Sync, Async and Total say nothing new.
func parseBlkio(b []byte, s *Stats, fields func(*Device) (read, write, discard *uint64)) error {
	var odd odd
	for l, rest, more := line(b); more; l, rest, more = line(rest) {
		dev, after := word(l)
		if string(dev) == "Total" || nameless(dev) {
			continue
		}
		kind, value := word(after)
		major, minor, ok := device(dev)
		if !ok {
			odd.leaveOut(l, errDevice)
			continue
		}
		n, err := number(value)
		if err != nil {
			odd.leaveOut(l, err)
			s.spoil(major, minor)
			continue
		}
		read, write, discard := fields(s.onDevice(major, minor))
		switch string(kind) {
		case "Read":
			*read = n
		case "Write":
			*write = n
		case "Discard":
			*discard = n
		}
	}
	return odd.err()
}
