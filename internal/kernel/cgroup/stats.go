package cgroup

// Value is a number that may be unset: its file does not exist here, or a limit
// does not apply.
type Value struct {
	N   uint64
	Set bool
}

func set(n uint64) Value { return Value{n, true} }

// Or is the number, or other if it is unset.
func (v Value) Or(other uint64) uint64 {
	if v.Set {
		return v.N
	}
	return other
}

// least is the smaller one; an unset limit is none.
func (v Value) least(w Value) Value {
	if !v.Set || w.Set && w.N < v.N {
		return w
	}
	return v
}

// minus is v-w, and never below zero: the two may come from files that were
// read one after the other. Unset unless both are set.
func (v Value) minus(w Value) Value {
	switch {
	case !v.Set || !w.Set:
		return Value{}
	case w.N > v.N:
		return set(0)
	}
	return set(v.N - w.N)
}

// plus is v+w; unset unless both are set. Limits do not come near overflow.
func (v Value) plus(w Value) Value { return Value{v.N + w.N, v.Set && w.Set} }

// Stats are all counters of a container at one time.
type Stats struct {
	CPU      CPU
	Memory   Memory
	OOM      oom
	IO       []Device // in the kernel's order; a device appears with its first request
	Pids     Pids
	Pressure Pressure

	spoiled []Device // those that are left out of IO
}

// reset forgets everything but the memory of IO.
func (s *Stats) reset() { *s = Stats{IO: s.IO[:0]} }

// CPU is use of the processor. Times are in nanoseconds and cumulative.
type CPU struct {
	UsageNsec, UserNsec, SystemNsec Value
	// Periods in which it could run, those in which it was throttled, and for
	// how long, added up over the processors. Periods do not advance without a limit.
	Periods, ThrottledPeriods, ThrottledNsec Value

	QuotaUsec, PeriodUsec Value // may run QuotaUsec every PeriodUsec; quota unset: no limit
	Shares                Value // v1: cpu.shares, 1024 is usual
	Weight                Value // v2: cpu.weight, 100 is usual
	CPUs                  Value // how many its cpuset lets it use
}

// LimitCores is how many cores it may use: its quota, or its cpuset if that is
// less, at most hostCPUs.
func (c CPU) LimitCores(hostCPUs int) float64 {
	limit := float64(hostCPUs)
	if c.CPUs.Set && c.CPUs.N > 0 {
		limit = min(limit, float64(c.CPUs.N))
	}
	if c.QuotaUsec.Set && c.PeriodUsec.Set && c.PeriodUsec.N > 0 {
		limit = min(limit, float64(c.QuotaUsec.N)/float64(c.PeriodUsec.N))
	}
	return limit
}

// Memory is in bytes. Every value counts nested cgroups too.
type Memory struct {
	Usage Value // v1: memory.usage_in_bytes; v2: memory.current
	// WorkingSet is Usage without the page cache that the kernel would drop
	// first (inactive_file): what an OOM killer can't get back cheaply.
	WorkingSet Value
	RSS        Value // v1: total_rss; v2: anon
	Cache      Value // v1: total_cache; v2: file
	Swap       Value // v1: total_swap; v2: memory.swap.current
	Kernel     Value // v1: memory.kmem.usage_in_bytes; v2: kernel, before 5.18 kernel_stack + slab
	Peak       Value // v1: memory.max_usage_in_bytes; v2: memory.peak, since 5.19

	// Limit is its own, or that of a cgroup above if that is less, which it
	// shares with others. v1: hierarchical_memory_limit; v2: memory.max of all of them.
	Limit     Value
	SoftLimit Value // v1: memory.soft_limit_in_bytes; v2: memory.low
	// SwapLimit is of memory and swap together, as `docker run --memory-swap`
	// means it. v1: hierarchical_memsw_limit; v2: Limit, and memory.swap.max found likewise.
	SwapLimit Value

	PageFaults, MajorPageFaults Value // cumulative
	// LimitHits is how often usage was held at the limit. v1: memory.failcnt;
	// v2: max of memory.events. It is no sign of a kill.
	LimitHits Value

	inactiveFile, kernelStack, slab, swapMax Value // what the above are made of
}

// InUse is the talk's docker.mem.in_use: RSS/Limit, 0 to 1. It knows nothing
// of shared and kernel memory.
func (m Memory) InUse() (float64, bool) { return ratio(m.RSS, m.Limit) }

// SwapInUse is the talk's docker.mem.sw_in_use: (Swap+RSS)/SwapLimit, 0 to 1.
func (m Memory) SwapInUse() (float64, bool) { return ratio(m.Swap.plus(m.RSS), m.SwapLimit) }

// WorkingSetInUse is WorkingSet/Limit: what is in use as the OOM killer sees it.
func (m Memory) WorkingSetInUse() (float64, bool) { return ratio(m.WorkingSet, m.Limit) }

func ratio(part, whole Value) (float64, bool) {
	if !part.Set || !whole.Set || whole.N == 0 {
		return 0, false
	}
	return float64(part.N) / float64(whole.N), true
}

// oom counts what the kernel's OOM killer did.
type oom struct {
	// Kills is the number of processes killed in the container and its nested
	// cgroups, by any OOM killer, the host's too. Since 4.13. When the kernel kills a
	// whole cgroup, it counts some of the processes twice.
	// v1: oom_kill of memory.oom_control, which counts only its own cgroup, so
	// nested ones are added; kills of a nested cgroup between the last reading
	// and its removal are lost. v2: oom_kill of memory.events, which has them.
	Kills Value
	// Events is how often the limit was reached and memory could not be freed,
	// whether or not a process was killed; v2 only.
	Events Value
	// GroupKills is how often a whole cgroup was killed at once, the container's
	// or one inside, because its memory.oom.group asks for it; not that of a cgroup
	// above. v2 only: oom_group_kill of memory.events, since 5.17.
	GroupKills Value
	// Under says that tasks are stopped, waiting for memory; v1 only.
	Under bool
}

// Device is the I/O on one block device, cumulative.
type Device struct {
	Major, Minor             uint32
	ReadBytes, WriteBytes    uint64
	ReadOps, WriteOps        uint64
	DiscardBytes, DiscardOps uint64
}

// Pids is the number of tasks (threads), and its limit.
type Pids struct{ Current, Limit Value }

// Pressure is the time lost by waiting (PSI), see
// Documentation/accounting/psi.rst. Hybrid hosts have it too, in the unified tree.
type Pressure struct{ CPU, Memory, IO Stall }

// Stall is cumulative time in nanoseconds in which some, or all, tasks waited.
type Stall struct{ SomeNsec, FullNsec Value }
