package cgroup

import (
	"bytes"
	"math"
)

// filesV2 are the files that take the place of a v1 controller's, see
// Documentation/admin-guide/cgroup-v2.rst.
func filesV2(controller string) []file {
	switch controller {
	case "cpu":
		return []file{
			{name: "cpu.stat", parse: parseCPUStatV2},
			{name: "cpu.max", parse: parseCPUMax},
			{name: "cpu.weight", parse: func(b []byte, s *Stats) error { return single(b, &s.CPU.Weight) }},
		}
	case "cpuset":
		return []file{{
			name:  "cpuset.cpus.effective",
			parse: func(b []byte, s *Stats) error { return parseList(b, &s.CPU.CPUs) },
		}}
	case "memory":
		return []file{
			{name: "memory.stat", parse: parseMemoryStatV2},
			{name: "memory.current", parse: func(b []byte, s *Stats) error { return single(b, &s.Memory.Usage) }},
			{name: "memory.peak", parse: func(b []byte, s *Stats) error { return single(b, &s.Memory.Peak) }},
			{name: "memory.max", parse: func(b []byte, s *Stats) error { return limit(b, &s.Memory.Limit) }},
			{name: "memory.low", parse: parseMemoryLow},
			{name: "memory.swap.current", parse: func(b []byte, s *Stats) error { return single(b, &s.Memory.Swap) }},
			{name: "memory.swap.max", parse: func(b []byte, s *Stats) error { return limit(b, &s.Memory.swapMax) }},
			{name: "memory.events", parse: parseMemoryEvents},
		}
	case "blkio":
		return []file{{name: "io.stat", parse: parseIOStat}}
	case "pids":
		return filesPids()
	case "pressure":
		return []file{
			{name: "cpu.pressure", parse: func(b []byte, s *Stats) error { return parsePressure(b, &s.Pressure.CPU) }},
			{name: "memory.pressure", parse: func(b []byte, s *Stats) error { return parsePressure(b, &s.Pressure.Memory) }},
			{name: "io.pressure", parse: func(b []byte, s *Stats) error { return parsePressure(b, &s.Pressure.IO) }},
		}
	}
	return nil
}

// parseCPUStatV2: times are in microseconds. The periods are there only where
// the cpu controller is on.
func parseCPUStatV2(b []byte, s *Stats) error {
	return keyed(b, func(key []byte, n uint64) {
		if n > math.MaxUint64/1000 {
			return
		}
		switch string(key) {
		case "usage_usec":
			s.CPU.UsageNsec = set(n * 1000)
		case "user_usec":
			s.CPU.UserNsec = set(n * 1000)
		case "system_usec":
			s.CPU.SystemNsec = set(n * 1000)
		case "nr_periods":
			s.CPU.Periods = set(n)
		case "nr_throttled":
			s.CPU.ThrottledPeriods = set(n)
		case "throttled_usec":
			s.CPU.ThrottledNsec = set(n * 1000)
		}
	})
}

// parseCPUMax reads "max 100000" or "20000 100000".
func parseCPUMax(b []byte, s *Stats) error {
	quota, period := word(bytes.TrimSpace(b))
	if err := limit(quota, &s.CPU.QuotaUsec); err != nil {
		return err
	}
	return single(period, &s.CPU.PeriodUsec)
}

func parseMemoryStatV2(b []byte, s *Stats) error {
	m := &s.Memory
	return keyed(b, func(key []byte, n uint64) {
		switch string(key) {
		case "anon":
			m.RSS = set(n)
		case "file":
			m.Cache = set(n)
		case "kernel":
			m.Kernel = set(n)
		case "kernel_stack":
			m.kernelStack = set(n)
		case "slab":
			m.slab = set(n)
		case "inactive_file":
			m.inactiveFile = set(n)
		case "pgfault":
			m.PageFaults = set(n)
		case "pgmajfault":
			m.MajorPageFaults = set(n)
		}
	})
}

// parseMemoryLow: 0 is how v2 says that no memory is protected.
func parseMemoryLow(b []byte, s *Stats) error {
	err := limit(b, &s.Memory.SoftLimit)
	if s.Memory.SoftLimit.N == 0 {
		s.Memory.SoftLimit = Value{}
	}
	return err
}

// parseMemoryEvents reads the container's own memory.events, which counts for
// all below it (unless cgroup2 is mounted with memory_localevents).
func parseMemoryEvents(b []byte, s *Stats) error {
	return keyed(b, func(key []byte, n uint64) {
		switch string(key) {
		case "max":
			s.Memory.LimitHits = set(n)
		case "oom":
			s.OOM.Events = set(n)
		case "oom_kill":
			s.OOM.Kills = set(n)
		case "oom_group_kill":
			s.OOM.GroupKills = set(n)
		}
	})
}

// parseIOStat reads lines "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0
// dios=0", with more keys behind them.
func parseIOStat(b []byte, s *Stats) error {
	var odd odd
	for l, rest, more := line(b); more; l, rest, more = line(rest) {
		d, ok, err := parseDevice(l)
		switch {
		case err != nil:
			odd.leaveOut(l, err)
			if d != (Device{}) {
				s.spoil(d.Major, d.Minor)
			}
		case ok:
			*s.onDevice(d.Major, d.Minor) = d
		}
	}
	return odd.err()
}

// parseDevice reads a line of io.stat; not ok is one without numbers. Such a device has lost its
// line end on some kernels ("8:0 8:16 rbytes=…"), so the last one named counts.
func parseDevice(l []byte) (d Device, ok bool, err error) {
	known, gone := false, false
	for w, after := word(l); len(w) > 0; w, after = word(after) {
		key, value, isPair := bytes.Cut(w, []byte{'='})
		if !isPair {
			major, minor, isDevice := device(w)
			switch {
			case isDevice, nameless(w):
				d, ok, known, gone = Device{Major: major, Minor: minor}, false, isDevice, !isDevice
			case !gone:
				return Device{}, false, errDevice
			}
			continue
		}
		if !known && !gone {
			return Device{}, false, errDevice
		}
		to := ioField(&d, key)
		if gone || to == nil {
			continue // cost.usage=… and such, not all of them numbers
		}
		if *to, err = number(value); err != nil {
			return d, false, err
		}
		ok = true
	}
	return d, ok, nil
}

func ioField(d *Device, key []byte) *uint64 {
	switch string(key) {
	case "rbytes":
		return &d.ReadBytes
	case "wbytes":
		return &d.WriteBytes
	case "rios":
		return &d.ReadOps
	case "wios":
		return &d.WriteOps
	case "dbytes":
		return &d.DiscardBytes
	case "dios":
		return &d.DiscardOps
	}
	return nil
}
