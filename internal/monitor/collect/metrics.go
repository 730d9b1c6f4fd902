package collect

import (
	"vitrine/internal/kernel/cgroup"
)

// Kind says how a metric's values are to be understood.
type Kind int

// The kinds.
const (
	Gauge   Kind = iota // a value of now
	Counter             // grows until its container or the monitor starts again
)

// Metric describes one metric. It has two names: Prometheus's, in base units
// and cumulative, and Datadog's, where a counter is a rate in the unit that Datadog
// uses. Scale makes Datadog's value of Prometheus's: rate × Scale, or value × Scale.
type Metric struct {
	Prom   string
	Name   string // "" if only Prometheus has it
	Kind   Kind
	Unit   string // of Name, a second being taken for granted in rates
	Scale  float64
	Labels []string // besides the container's own
	Help   string
	Source string // where the kernel or the Engine says it
}

// Labels are the values of a metric's Labels, in their order.
type Labels [2]string

// Emit takes one value of a metric.
type Emit func(m *Metric, value float64, l Labels)

const percentOfCore = 100

// row is a metric of containers, and how to read it.
type row struct {
	Metric
	read func(*Container) (float64, bool)
}

// rows are the metrics with one value a container.
func rows() []row {
	kernel := func(get func(*cgroup.Stats) cgroup.Value, per float64) func(*Container) (float64, bool) {
		return func(c *Container) (float64, bool) {
			if c.Read.IsZero() {
				return 0, false
			}
			v := get(&c.Stats)
			return float64(v.N) / per, v.Set
		}
	}
	ratio := func(get func(cgroup.Memory) (float64, bool)) func(*Container) (float64, bool) {
		return func(c *Container) (float64, bool) {
			if c.Read.IsZero() {
				return 0, false
			}
			return get(c.Stats.Memory)
		}
	}
	const one, nsec = 1, 1e9 // per unit
	type st = cgroup.Stats
	type val = cgroup.Value
	return []row{
		// The talk's three, and what belongs to them.
		{
			Metric{
				"docker_cpu_throttled_periods_total", "docker.cpu.throttled", Counter, "periods", 1, nil,
				"Scheduler periods in which the container was throttled.", "cpu.stat nr_throttled",
			},
			kernel(func(s *st) val { return s.CPU.ThrottledPeriods }, one),
		},
		{
			Metric{
				"docker_cpu_periods_total", "docker.cpu.periods", Counter, "periods", 1, nil,
				"Scheduler periods in which the container could run; they do not advance without a limit.", "cpu.stat nr_periods",
			},
			kernel(func(s *st) val { return s.CPU.Periods }, one),
		},
		{
			Metric{
				"docker_cpu_throttled_ratio", "docker.cpu.throttled.ratio", Gauge, "fraction", 1, nil,
				"Part of the scheduler periods since the last collection in which the container was throttled; absent if it could not run in any.", "cpu.stat nr_throttled / nr_periods, both since the last collection",
			},
			func(c *Container) (float64, bool) { return c.Throttled, c.Throttled >= 0 && !c.Read.IsZero() },
		},
		{
			Metric{
				"docker_cpu_throttled_seconds_total", "docker.cpu.throttled.time", Counter, "percent of a core", percentOfCore, nil,
				"Time in which the container was throttled, added up over the processors: with several it can be more than the time that went by.", "v1: cpu.stat throttled_time; v2: throttled_usec",
			},
			kernel(func(s *st) val { return s.CPU.ThrottledNsec }, nsec),
		},
		{
			Metric{
				"docker_mem_in_use_ratio", "docker.mem.in_use", Gauge, "fraction", 1, nil,
				"Anonymous memory as a part of the limit; absent without a limit.", "v1: total_rss / hierarchical_memory_limit; v2: anon / the least memory.max",
			},
			ratio(cgroup.Memory.InUse),
		},
		{
			Metric{
				"docker_mem_sw_in_use_ratio", "docker.mem.sw_in_use", Gauge, "fraction", 1, nil,
				"Anonymous memory and swap as a part of the limit of both; absent without one.",
				"v1: (total_swap + total_rss) / hierarchical_memsw_limit; v2: (memory.swap.current + anon) / (the least memory.max + the least memory.swap.max)",
			},
			ratio(cgroup.Memory.SwapInUse),
		},
		{
			Metric{
				"docker_mem_working_set_ratio", "container.memory.in_use", Gauge, "fraction", 1, nil,
				"The working set as a part of the limit: what the OOM killer looks at, shared and kernel memory too.", "docker_mem_working_set_bytes / docker_mem_limit_bytes",
			},
			ratio(cgroup.Memory.WorkingSetInUse),
		},
		{
			Metric{
				"docker_mem_headroom_seconds", "docker.mem.headroom", Gauge, "seconds", 1, nil,
				"Time until the working set reaches the limit, if it grows on as in the last minutes; absent if it does not grow, and beyond a day.", "computed from docker_mem_working_set_bytes",
			},
			func(c *Container) (float64, bool) { return c.Headroom.Seconds(), c.Headroom > 0 },
		},
		// CPU.
		{
			Metric{
				"docker_cpu_usage_seconds_total", "docker.cpu.usage", Counter, "percent of a core", percentOfCore, nil,
				"CPU time used.", "v1: cpuacct.usage; v2: cpu.stat usage_usec",
			},
			kernel(func(s *st) val { return s.CPU.UsageNsec }, nsec),
		},
		{
			Metric{
				"docker_cpu_user_seconds_total", "docker.cpu.user", Counter, "percent of a core", percentOfCore, nil,
				"CPU time used in user mode.", "v1: cpuacct.stat user; v2: cpu.stat user_usec",
			},
			kernel(func(s *st) val { return s.CPU.UserNsec }, nsec),
		},
		{
			Metric{
				"docker_cpu_system_seconds_total", "docker.cpu.system", Counter, "percent of a core", percentOfCore, nil,
				"CPU time used by the kernel for the container.", "v1: cpuacct.stat system; v2: cpu.stat system_usec",
			},
			kernel(func(s *st) val { return s.CPU.SystemNsec }, nsec),
		},
		{
			Metric{
				"docker_cpu_limit_cores", "docker.cpu.limit", Gauge, "percent of a core", percentOfCore, nil,
				"Cores that the container may use: its quota or its cpuset, at most the host's.", "v1: cfs_quota_us / cfs_period_us, cpuset.effective_cpus; v2: cpu.max, cpuset.cpus.effective",
			},
			func(c *Container) (float64, bool) {
				return c.Stats.CPU.LimitCores(c.CPUs), !c.Read.IsZero() && c.CPUs > 0
			},
		},
		{
			Metric{
				"docker_cpu_shares", "docker.cpu.shares", Gauge, "shares", 1, nil,
				"CPU shares as the Engine was asked for them; 1024 if it was not.", "inspect, HostConfig.CpuShares",
			},
			func(c *Container) (float64, bool) {
				if c.Detail == nil {
					return 0, false
				}
				if c.Detail.CPUShares == 0 {
					return 1024, true
				}
				return float64(c.Detail.CPUShares), true
			},
		},
		{
			Metric{
				"docker_cpu_weight", "", Gauge, "weight", 1, nil,
				"CPU weight; cgroup v2 only.", "v2: cpu.weight",
			},
			kernel(func(s *st) val { return s.CPU.Weight }, one),
		},
		// Memory.
		{
			Metric{
				"docker_mem_usage_bytes", "container.memory.usage", Gauge, "bytes", 1, nil,
				"All memory charged to the container.", "v1: memory.usage_in_bytes; v2: memory.current",
			},
			kernel(func(s *st) val { return s.Memory.Usage }, one),
		},
		{
			Metric{
				"docker_mem_working_set_bytes", "docker.mem.private_working_set", Gauge, "bytes", 1, nil,
				"Memory without the page cache that would be dropped first.", "v1: memory.usage_in_bytes - total_inactive_file; v2: memory.current - inactive_file",
			},
			kernel(func(s *st) val { return s.Memory.WorkingSet }, one),
		},
		{
			Metric{
				"docker_mem_rss_bytes", "docker.mem.rss", Gauge, "bytes", 1, nil,
				"Anonymous memory.", "v1: memory.stat total_rss; v2: anon",
			},
			kernel(func(s *st) val { return s.Memory.RSS }, one),
		},
		{
			Metric{
				"docker_mem_cache_bytes", "docker.mem.cache", Gauge, "bytes", 1, nil,
				"Page cache.", "v1: memory.stat total_cache; v2: file",
			},
			kernel(func(s *st) val { return s.Memory.Cache }, one),
		},
		{
			Metric{
				"docker_mem_swap_bytes", "docker.mem.swap", Gauge, "bytes", 1, nil,
				"Swap used.", "v1: memory.stat total_swap; v2: memory.swap.current",
			},
			kernel(func(s *st) val { return s.Memory.Swap }, one),
		},
		{
			Metric{
				"docker_mem_kernel_bytes", "docker.kmem.usage", Gauge, "bytes", 1, nil,
				"Kernel memory.", "v1: memory.kmem.usage_in_bytes; v2: memory.stat kernel, before Linux 5.18 kernel_stack + slab",
			},
			kernel(func(s *st) val { return s.Memory.Kernel }, one),
		},
		{
			Metric{
				"docker_mem_peak_bytes", "container.memory.usage.peak", Gauge, "bytes", 1, nil,
				"The most memory that was in use.", "v1: memory.max_usage_in_bytes; v2: memory.peak, since Linux 5.19",
			},
			kernel(func(s *st) val { return s.Memory.Peak }, one),
		},
		{
			Metric{
				"docker_mem_limit_bytes", "docker.mem.limit", Gauge, "bytes", 1, nil,
				"Limit of memory: its own, or that of a cgroup above if that is less, which it shares with others; absent without one.", "v1: memory.stat hierarchical_memory_limit; v2: the least memory.max of its cgroup and those above",
			},
			kernel(func(s *st) val { return s.Memory.Limit }, one),
		},
		{
			Metric{
				"docker_mem_soft_limit_bytes", "docker.mem.soft_limit", Gauge, "bytes", 1, nil,
				"Memory that is reclaimed last; absent if none was asked for.", "v1: memory.soft_limit_in_bytes; v2: memory.low",
			},
			kernel(func(s *st) val { return s.Memory.SoftLimit }, one),
		},
		{
			Metric{
				"docker_mem_sw_limit_bytes", "docker.mem.sw_limit", Gauge, "bytes", 1, nil,
				"Limit of memory and swap together; absent without one.", "v1: memory.stat hierarchical_memsw_limit; v2: the least memory.max + the least memory.swap.max",
			},
			kernel(func(s *st) val { return s.Memory.SwapLimit }, one),
		},
		{
			Metric{
				"docker_mem_limit_hits_total", "docker.mem.failed_count", Counter, "hits", 1, nil,
				"Times that usage was held at the limit; no sign of a kill.", "v1: memory.failcnt; v2: memory.events max",
			},
			kernel(func(s *st) val { return s.Memory.LimitHits }, one),
		},
		{
			Metric{
				"docker_mem_page_faults_total", "container.memory.page_faults", Counter, "faults", 1, nil,
				"Page faults.", "v1: memory.stat total_pgfault; v2: pgfault",
			},
			kernel(func(s *st) val { return s.Memory.PageFaults }, one),
		},
		{
			Metric{
				"docker_mem_major_page_faults_total", "container.memory.major_page_faults", Counter, "faults", 1, nil,
				"Page faults that needed a disk.", "v1: memory.stat total_pgmajfault; v2: pgmajfault",
			},
			kernel(func(s *st) val { return s.Memory.MajorPageFaults }, one),
		},
		// Tasks and files.
		{
			Metric{
				"docker_threads", "docker.thread.count", Gauge, "threads", 1, nil,
				"Threads and processes.", "pids.current",
			},
			kernel(func(s *st) val { return s.Pids.Current }, one),
		},
		{
			Metric{
				"docker_threads_limit", "docker.thread.limit", Gauge, "threads", 1, nil,
				"Limit of threads and processes; absent without one.", "pids.max",
			},
			kernel(func(s *st) val { return s.Pids.Limit }, one),
		},
		{
			Metric{
				"docker_open_files", "docker.container.open_fds", Gauge, "files", 1, nil,
				"Open files of all its processes, once a minute; absent where the monitor may not see them (before Linux 6.2 without CAP_SYS_PTRACE).", "/proc/<pid>/fd of each process",
			},
			kernelOf(func(c *Container) cgroup.Value { return c.OpenFiles }),
		},
		// Life.
		{
			Metric{
				"docker_container_running", "docker.container.running", Gauge, "", 1, nil,
				"1 while the container runs, as the Engine says.", "inspect, State.Running",
			},
			func(c *Container) (float64, bool) { return truth(c.Running), true },
		},
		{
			Metric{
				"docker_container_start_time_seconds", "", Gauge, "", 1, nil,
				"When it was started last, in seconds since 1970; absent while it does not run. Datadog's docker.uptime is the time since.", "inspect, State.StartedAt",
			},
			(*Container).startTime,
		},
		{
			Metric{
				"docker_container_restarts_total", "docker.container.restarts", Counter, "restarts", 1, nil,
				"Restarts by the restart policy.", "inspect, RestartCount",
			},
			func(c *Container) (float64, bool) {
				if c.Detail == nil {
					return 0, false
				}
				return float64(c.Detail.Restarts), true
			},
		},
		{
			Metric{
				"docker_container_exits_total", "docker.container.exits", Counter, "exits", 1, nil,
				"Ends that the monitor saw.", "event die",
			},
			func(c *Container) (float64, bool) { return float64(c.Exits), true },
		},
		{
			Metric{
				"docker_container_exit_code", "", Gauge, "", 1, nil,
				"Exit code of the last end; absent before one, and while it runs.", "inspect, State.ExitCode",
			},
			func(c *Container) (float64, bool) {
				if c.Detail == nil || c.Running || c.Detail.State != "exited" && c.Detail.State != "dead" {
					return 0, false
				}
				return float64(c.Detail.ExitCode), true
			},
		},
		{
			Metric{
				"docker_container_healthy", "docker.container.healthy", Gauge, "", 1, nil,
				"1 if its health check says healthy, 0 if unhealthy; absent without one, and while it starts.", "inspect, State.Health.Status",
			},
			func(c *Container) (float64, bool) {
				if c.Detail == nil || !c.Running || c.Detail.Health != "healthy" && c.Detail.Health != "unhealthy" {
					return 0, false
				}
				return truth(c.Detail.Health == "healthy"), true
			},
		},
		{
			Metric{
				"docker_net_sharing", "", Gauge, "containers", 1, nil,
				"Containers in the network namespace that this container's series stand for.", "/proc/<pid>/ns/net, or inspect, HostConfig.NetworkMode",
			},
			func(c *Container) (float64, bool) { return float64(c.Sharing), c.Sharing > 0 },
		},
	}
}

func kernelOf(get func(*Container) cgroup.Value) func(*Container) (float64, bool) {
	return func(c *Container) (float64, bool) {
		v := get(c)
		return float64(v.N), v.Set && !c.Read.IsZero()
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
