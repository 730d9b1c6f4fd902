package collect

import (
	"strings"

	"vitrine/internal/kernel/cgroup"
)

// Metric describes one metric. It has two names: Prometheus's, in base units
// and cumulative, and Datadog's, where a counter is a rate in the unit that Datadog uses.
type Metric struct {
	Prom   string
	Name   string   // "" if only Prometheus has it
	Unit   string   // of Name, a second being taken for granted in rates
	Labels []string // besides the container's own
	Help   string
	Source string // where the kernel or the Engine says it
}

// Counter says that its values grow until its container or the monitor starts again; those of others are of now.
func (m *Metric) Counter() bool { return strings.HasSuffix(m.Prom, "_total") }

// Scale makes Datadog's value of Prometheus's: rate × Scale, or value × Scale.
func (m *Metric) Scale() float64 {
	if strings.HasPrefix(m.Unit, "percent") {
		return 100
	}
	return 1
}

func metric(prom, name, unit, help, source string, labels ...string) Metric {
	return Metric{Prom: prom, Name: name, Unit: unit, Help: help, Source: source, Labels: labels}
}

// Labels are the values of a metric's Labels, in their order.
type Labels [2]string

// Emit takes one value of a metric.
type Emit func(m *Metric, value float64, l Labels)

// row is a metric of containers, and how to read it; false if there is no value.
type row struct {
	Metric
	read func(*Container) (float64, bool)
}

// rows are the metrics with one value a container.
func rows() []row {
	type reading = func(*Container) (float64, bool)
	of := func(prom, name, unit, help, source string, read reading) row {
		return row{metric(prom, name, unit, help, source), read}
	}
	read := func(get reading) reading { // of what the kernel says, which is not known of all
		return func(c *Container) (float64, bool) {
			v, ok := get(c)
			return v, ok && !c.Read.IsZero()
		}
	}
	kernel := func(get func(*cgroup.Stats) cgroup.Value, per float64) reading {
		return read(func(c *Container) (float64, bool) {
			v := get(&c.Stats)
			return float64(v.N) / per, v.Set
		})
	}
	ratio := func(get func(cgroup.Memory) (float64, bool)) reading {
		return read(func(c *Container) (float64, bool) { return get(c.Stats.Memory) })
	}
	const one, nsec = 1, 1e9 // per unit
	type st = cgroup.Stats
	type val = cgroup.Value
	return []row{
		// The talk's three, and what belongs to them.
		of("docker_cpu_throttled_periods_total", "docker.cpu.throttled", "periods",
			"Scheduler periods in which the container was throttled.", "cpu.stat nr_throttled",
			kernel(func(s *st) val { return s.CPU.ThrottledPeriods }, one)),
		of("docker_cpu_periods_total", "docker.cpu.periods", "periods",
			"Scheduler periods in which the container could run; they do not advance without a limit.", "cpu.stat nr_periods",
			kernel(func(s *st) val { return s.CPU.Periods }, one)),
		of("docker_cpu_throttled_ratio", "docker.cpu.throttled.ratio", "fraction",
			"Part of the scheduler periods since the last collection in which the container was throttled; absent if it could not run in any.", "cpu.stat nr_throttled / nr_periods, both since the last collection",
			func(c *Container) (float64, bool) { return c.Throttled, c.Throttled >= 0 && !c.Read.IsZero() }),
		of("docker_cpu_throttled_seconds_total", "docker.cpu.throttled.time", "percent of a core",
			"Time in which the container was throttled, added up over the processors: with several it can be more than the time that went by.", "v1: cpu.stat throttled_time; v2: throttled_usec",
			kernel(func(s *st) val { return s.CPU.ThrottledNsec }, nsec)),
		of("docker_mem_in_use_ratio", "docker.mem.in_use", "fraction",
			"Anonymous memory as a part of the limit; absent without a limit.", "v1: total_rss / hierarchical_memory_limit; v2: anon / the least memory.max",
			ratio(cgroup.Memory.InUse)),
		of("docker_mem_sw_in_use_ratio", "docker.mem.sw_in_use", "fraction",
			"Anonymous memory and swap as a part of the limit of both; absent without one.", "v1: (total_swap + total_rss) / hierarchical_memsw_limit; v2: (memory.swap.current + anon) / (the least memory.max + the least memory.swap.max)",
			ratio(cgroup.Memory.SwapInUse)),
		of("docker_mem_working_set_ratio", "container.memory.in_use", "fraction",
			"The working set as a part of the limit: what the OOM killer looks at, shared and kernel memory too.", "docker_mem_working_set_bytes / docker_mem_limit_bytes",
			ratio(cgroup.Memory.WorkingSetInUse)),
		of("docker_mem_headroom_seconds", "docker.mem.headroom", "seconds",
			"Time until the working set reaches the limit, if it grows on as in the last minutes; absent if it does not grow, and beyond a day.", "computed from docker_mem_working_set_bytes",
			func(c *Container) (float64, bool) { return c.Headroom.Seconds(), c.Headroom > 0 }),
		// CPU.
		of("docker_cpu_usage_seconds_total", "docker.cpu.usage", "percent of a core",
			"CPU time used.", "v1: cpuacct.usage; v2: cpu.stat usage_usec",
			kernel(func(s *st) val { return s.CPU.UsageNsec }, nsec)),
		of("docker_cpu_user_seconds_total", "docker.cpu.user", "percent of a core",
			"CPU time used in user mode.", "v1: cpuacct.stat user; v2: cpu.stat user_usec",
			kernel(func(s *st) val { return s.CPU.UserNsec }, nsec)),
		of("docker_cpu_system_seconds_total", "docker.cpu.system", "percent of a core",
			"CPU time used by the kernel for the container.", "v1: cpuacct.stat system; v2: cpu.stat system_usec",
			kernel(func(s *st) val { return s.CPU.SystemNsec }, nsec)),
		of("docker_cpu_limit_cores", "docker.cpu.limit", "percent of a core",
			"Cores that the container may use: its quota or its cpuset, at most the host's.", "v1: cfs_quota_us / cfs_period_us, cpuset.effective_cpus; v2: cpu.max, cpuset.cpus.effective",
			func(c *Container) (float64, bool) {
				return c.Stats.CPU.LimitCores(c.CPUs), !c.Read.IsZero() && c.CPUs > 0
			}),
		of("docker_cpu_shares", "docker.cpu.shares", "shares",
			"CPU shares as the Engine was asked for them; 1024 if it was not.", "inspect, HostConfig.CpuShares",
			func(c *Container) (float64, bool) {
				if c.Detail == nil {
					return 0, false
				}
				if c.Detail.CPUShares == 0 {
					return 1024, true
				}
				return float64(c.Detail.CPUShares), true
			}),
		of("docker_cpu_weight", "", "weight",
			"CPU weight; cgroup v2 only.", "v2: cpu.weight",
			kernel(func(s *st) val { return s.CPU.Weight }, one)),
		// Memory.
		of("docker_mem_usage_bytes", "container.memory.usage", "bytes",
			"All memory charged to the container.", "v1: memory.usage_in_bytes; v2: memory.current",
			kernel(func(s *st) val { return s.Memory.Usage }, one)),
		of("docker_mem_working_set_bytes", "docker.mem.private_working_set", "bytes",
			"Memory without the page cache that would be dropped first.", "v1: memory.usage_in_bytes - total_inactive_file; v2: memory.current - inactive_file",
			kernel(func(s *st) val { return s.Memory.WorkingSet }, one)),
		of("docker_mem_rss_bytes", "docker.mem.rss", "bytes",
			"Anonymous memory.", "v1: memory.stat total_rss; v2: anon",
			kernel(func(s *st) val { return s.Memory.RSS }, one)),
		of("docker_mem_cache_bytes", "docker.mem.cache", "bytes",
			"Page cache.", "v1: memory.stat total_cache; v2: file",
			kernel(func(s *st) val { return s.Memory.Cache }, one)),
		of("docker_mem_swap_bytes", "docker.mem.swap", "bytes",
			"Swap used.", "v1: memory.stat total_swap; v2: memory.swap.current",
			kernel(func(s *st) val { return s.Memory.Swap }, one)),
		of("docker_mem_kernel_bytes", "docker.kmem.usage", "bytes",
			"Kernel memory.", "v1: memory.kmem.usage_in_bytes; v2: memory.stat kernel, before Linux 5.18 kernel_stack + slab",
			kernel(func(s *st) val { return s.Memory.Kernel }, one)),
		of("docker_mem_peak_bytes", "container.memory.usage.peak", "bytes",
			"The most memory that was in use.", "v1: memory.max_usage_in_bytes; v2: memory.peak, since Linux 5.19",
			kernel(func(s *st) val { return s.Memory.Peak }, one)),
		of("docker_mem_limit_bytes", "docker.mem.limit", "bytes",
			"Limit of memory: its own, or that of a cgroup above if that is less, which it shares with others; absent without one.", "v1: memory.stat hierarchical_memory_limit; v2: the least memory.max of its cgroup and those above",
			kernel(func(s *st) val { return s.Memory.Limit }, one)),
		of("docker_mem_soft_limit_bytes", "docker.mem.soft_limit", "bytes",
			"Memory that is reclaimed last; absent if none was asked for.", "v1: memory.soft_limit_in_bytes; v2: memory.low",
			kernel(func(s *st) val { return s.Memory.SoftLimit }, one)),
		of("docker_mem_sw_limit_bytes", "docker.mem.sw_limit", "bytes",
			"Limit of memory and swap together; absent without one.", "v1: memory.stat hierarchical_memsw_limit; v2: the least memory.max + the least memory.swap.max",
			kernel(func(s *st) val { return s.Memory.SwapLimit }, one)),
		of("docker_mem_limit_hits_total", "docker.mem.failed_count", "hits",
			"Times that usage was held at the limit; no sign of a kill.", "v1: memory.failcnt; v2: memory.events max",
			kernel(func(s *st) val { return s.Memory.LimitHits }, one)),
		of("docker_mem_page_faults_total", "container.memory.page_faults", "faults",
			"Page faults.", "v1: memory.stat total_pgfault; v2: pgfault",
			kernel(func(s *st) val { return s.Memory.PageFaults }, one)),
		of("docker_mem_major_page_faults_total", "container.memory.major_page_faults", "faults",
			"Page faults that needed a disk.", "v1: memory.stat total_pgmajfault; v2: pgmajfault",
			kernel(func(s *st) val { return s.Memory.MajorPageFaults }, one)),
		// Tasks and files.
		of("docker_threads", "docker.thread.count", "threads",
			"Threads and processes.", "pids.current",
			kernel(func(s *st) val { return s.Pids.Current }, one)),
		of("docker_threads_limit", "docker.thread.limit", "threads",
			"Limit of threads and processes; absent without one.", "pids.max",
			kernel(func(s *st) val { return s.Pids.Limit }, one)),
		of("docker_open_files", "docker.container.open_fds", "files",
			"Open files of all its processes, once a minute; absent where the monitor may not see them (before Linux 6.2 without CAP_SYS_PTRACE).", "/proc/<pid>/fd of each process",
			read(func(c *Container) (float64, bool) { return float64(c.OpenFiles.N), c.OpenFiles.Set })),
		// Life.
		of("docker_container_running", "docker.container.running", "",
			"1 while the container runs, as the Engine says.", "inspect, State.Running",
			func(c *Container) (float64, bool) { return truth(c.Running), true }),
		of("docker_container_start_time_seconds", "", "",
			"When it was started last, in seconds since 1970; absent while it does not run. Datadog's docker.uptime is the time since.", "inspect, State.StartedAt",
			(*Container).startTime),
		of("docker_container_restarts_total", "docker.container.restarts", "restarts",
			"Restarts by the restart policy.", "inspect, RestartCount",
			func(c *Container) (float64, bool) {
				if c.Detail == nil {
					return 0, false
				}
				return float64(c.Detail.Restarts), true
			}),
		of("docker_container_exits_total", "docker.container.exits", "exits",
			"Ends that the monitor saw.", "event die",
			func(c *Container) (float64, bool) { return float64(c.Exits), true }),
		of("docker_container_exit_code", "", "",
			"Exit code of the last end; absent before one, and while it runs.", "inspect, State.ExitCode",
			func(c *Container) (float64, bool) {
				if c.Detail == nil || c.Running || c.Detail.State != "exited" && c.Detail.State != "dead" {
					return 0, false
				}
				return float64(c.Detail.ExitCode), true
			}),
		of("docker_container_healthy", "docker.container.healthy", "",
			"1 if its health check says healthy, 0 if unhealthy; absent without one, and while it starts.", "inspect, State.Health.Status",
			func(c *Container) (float64, bool) {
				if c.Detail == nil || !c.Running || c.Detail.Health != "healthy" && c.Detail.Health != "unhealthy" {
					return 0, false
				}
				return truth(c.Detail.Health == "healthy"), true
			}),
		of("docker_net_sharing", "", "containers",
			"Containers in the network namespace that this container's series stand for.", "/proc/<pid>/ns/net, or inspect, HostConfig.NetworkMode",
			func(c *Container) (float64, bool) { return float64(c.Sharing), c.Sharing > 0 }),
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
