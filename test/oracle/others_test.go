package oracle

import (
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	datadog "github.com/DataDog/datadog-agent/pkg/util/cgroups"
	"github.com/containerd/cgroups/v3/cgroup1"
	containerd "github.com/containerd/cgroups/v3/cgroup1/stats"
	runc "github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/fs"
	"github.com/opencontainers/cgroups/fs2"

	"vitrine/internal/kernel/cgroup"
	"vitrine/test/engine"
)

// statsAnswer is what is compared of the Engine's GET /containers/{id}/stats.
type statsAnswer struct {
	CPU struct {
		Usage struct {
			Total  uint64 `json:"total_usage"`
			User   uint64 `json:"usage_in_usermode"`
			System uint64 `json:"usage_in_kernelmode"`
		} `json:"cpu_usage"`
		Throttling struct {
			Periods   uint64 `json:"periods"`
			Throttled uint64 `json:"throttled_periods"`
			Time      uint64 `json:"throttled_time"`
		} `json:"throttling_data"`
	} `json:"cpu_stats"`
	Memory struct {
		Usage, Limit, Failcnt uint64
		Max                   uint64 `json:"max_usage"`
		Stats                 map[string]uint64
	} `json:"memory_stats"`
	Pids  struct{ Current, Limit uint64 } `json:"pids_stats"`
	Blkio struct {
		Bytes    []statsEntry `json:"io_service_bytes_recursive"`
		Requests []statsEntry `json:"io_serviced_recursive"`
	} `json:"blkio_stats"`
	Networks map[string]struct {
		Received uint64 `json:"rx_bytes"`
		Sent     uint64 `json:"tx_bytes"`
	}
}

type statsEntry struct {
	Major, Minor, Value uint64
	Op                  string
}

func dockerStats(t *testing.T, e *engine.Engine, id string) numbers {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://docker/containers/"+id+"/stats?stream=false", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := e.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var a statsAnswer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, error %v", resp.StatusCode, err)
	}
	n := numbers{
		"cpu.usage": a.CPU.Usage.Total, "cpu.user": a.CPU.Usage.User, "cpu.system": a.CPU.Usage.System,
		"cpu.periods": a.CPU.Throttling.Periods, "cpu.throttled": a.CPU.Throttling.Throttled, "cpu.throttled_time": a.CPU.Throttling.Time,
		"mem.usage": a.Memory.Usage, "mem.limit": a.Memory.Limit, "mem.limit_hits": a.Memory.Failcnt, "mem.peak": a.Memory.Max,
		// As the docker command line calculates what it shows.
		"mem.working_set": a.Memory.Usage - a.Memory.Stats["total_inactive_file"],
		"mem.rss":         a.Memory.Stats["total_rss"], "mem.cache": a.Memory.Stats["total_cache"],
		"mem.faults": a.Memory.Stats["total_pgfault"], "mem.major_faults": a.Memory.Stats["total_pgmajfault"],
		"mem.swap_limit": a.Memory.Stats["hierarchical_memsw_limit"],
		"pids.current":   a.Pids.Current, "pids.limit": a.Pids.Limit,
	}
	if anon, isV2 := a.Memory.Stats["anon"]; isV2 {
		n = numbers{
			"cpu.usage": n["cpu.usage"], "cpu.user": n["cpu.user"], "cpu.system": n["cpu.system"],
			"cpu.periods": n["cpu.periods"], "cpu.throttled": n["cpu.throttled"], "cpu.throttled_time": n["cpu.throttled_time"],
			"mem.usage": n["mem.usage"], "mem.limit": n["mem.limit"], "mem.rss": anon, "mem.cache": a.Memory.Stats["file"],
			"mem.working_set": a.Memory.Usage - a.Memory.Stats["inactive_file"],
			"mem.faults":      a.Memory.Stats["pgfault"], "mem.major_faults": a.Memory.Stats["pgmajfault"],
			"pids.current": n["pids.current"], "pids.limit": n["pids.limit"],
		}
	}
	for _, e := range a.Blkio.Bytes {
		n.operation(e.Major, e.Minor, e.Op, "", e.Value)
	}
	for _, e := range a.Blkio.Requests {
		n.operation(e.Major, e.Minor, e.Op, "s", e.Value)
	}
	for name, i := range a.Networks {
		n["net."+name+".received"], n["net."+name+".sent"] = i.Received, i.Sent
	}
	return n
}

// operation adds an entry of blkio, of which only two are compared.
func (n numbers) operation(major, minor uint64, op, suffix string, value uint64) {
	if op = strings.ToLower(op); op == "read" || op == "write" {
		n.io(major, minor, op+suffix, value)
	}
}

// runcPaths are where a container's v1 controllers are.
func runcPaths(m cgroup.Membership) map[string]string {
	paths := map[string]string{}
	for hierarchy, path := range m {
		for name := range strings.SplitSeq(hierarchy, ",") {
			if name != "" && !strings.Contains(name, "=") {
				paths[name] = filepath.Join("/sys/fs/cgroup", name, path)
			}
		}
	}
	return paths
}

func runcNumbers(t *testing.T, m cgroup.Membership) numbers {
	t.Helper()
	manager, err := fs.NewManager(&runc.Cgroup{Resources: &runc.Resources{}}, runcPaths(m))
	if err != nil {
		t.Fatal(err)
	}
	n, s := runcCommon(t, manager)
	mem := s.MemoryStats
	maps.Copy(n, numbers{
		"cpu.cpus": uint64(len(s.CPUSetStats.CPUs)), "mem.limit_hits": mem.Usage.Failcnt, "mem.kernel": mem.KernelUsage.Usage,
		"mem.swap": mem.Stats["total_swap"], "mem.rss": mem.Stats["total_rss"], "mem.cache": mem.Stats["total_cache"],
		"mem.faults": mem.Stats["total_pgfault"], "mem.major_faults": mem.Stats["total_pgmajfault"],
	})
	// On a hybrid host runc's library must be pointed at the unified tree.
	unified, err := fs2.NewManager(&runc.Cgroup{Resources: &runc.Resources{}}, filepath.Join("/sys/fs/cgroup/unified", m[""]))
	if err != nil {
		t.Fatal(err)
	}
	u, err := unified.Stats(&runc.StatsOptions{Controllers: runc.CPU | runc.Memory | runc.IO})
	if u == nil {
		t.Fatal(err) // an error and numbers: it has no files of the controllers there
	}
	n.runcPressure(t, u)
	return n
}

// runcCommon are the numbers that runc's library has by the same names on v1 and v2, and all that it says.
func runcCommon(t *testing.T, manager runc.Manager) (numbers, *runc.Stats) {
	t.Helper()
	s, err := manager.GetStats()
	if err != nil {
		t.Fatal(err)
	}
	kills, err := manager.OOMKillCount()
	if err != nil {
		t.Fatal(err)
	}
	cpu, mem := s.CpuStats, s.MemoryStats
	n := numbers{
		"cpu.usage": cpu.CpuUsage.TotalUsage, "cpu.user": cpu.CpuUsage.UsageInUsermode, "cpu.system": cpu.CpuUsage.UsageInKernelmode,
		"cpu.periods": cpu.ThrottlingData.Periods, "cpu.throttled": cpu.ThrottlingData.ThrottledPeriods, "cpu.throttled_time": cpu.ThrottlingData.ThrottledTime,
		"mem.usage": mem.Usage.Usage, "mem.limit": mem.Usage.Limit, "mem.peak": mem.Usage.MaxUsage, "mem.swap_limit": mem.SwapUsage.Limit,
		"oom.kills": kills, "pids.current": s.PidsStats.Current, "pids.limit": s.PidsStats.Limit,
	}
	for _, e := range s.BlkioStats.IoServiceBytesRecursive {
		n.operation(e.Major, e.Minor, e.Op, "", e.Value)
	}
	for _, e := range s.BlkioStats.IoServicedRecursive {
		n.operation(e.Major, e.Minor, e.Op, "s", e.Value)
	}
	return n, s
}

func containerdStats(tb testing.TB, m cgroup.Membership) *containerd.Metrics {
	tb.Helper()
	// Not PidPath: it asks for all hierarchies to be in one place.
	c, err := cgroup1.Load(func(name cgroup1.Name) (string, error) {
		for hierarchy, path := range m {
			for controller := range strings.SplitSeq(hierarchy, ",") {
				if controller == string(name) {
					return path, nil
				}
			}
		}
		return "", cgroup1.ErrControllerNotActive
	}, cgroup1.WithHierarchy(cgroup1.Default))
	if err != nil {
		tb.Fatal(err)
	}
	s, err := c.Stat(cgroup1.IgnoreNotExist)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func containerdNumbers(t *testing.T, m cgroup.Membership) numbers {
	t.Helper()
	s := containerdStats(t, m)
	n := numbers{
		"cpu.usage": s.CPU.Usage.Total, "cpu.user": s.CPU.Usage.User, "cpu.system": s.CPU.Usage.Kernel,
		"cpu.periods": s.CPU.Throttling.Periods, "cpu.throttled": s.CPU.Throttling.ThrottledPeriods, "cpu.throttled_time": s.CPU.Throttling.ThrottledTime,
		"mem.usage": s.Memory.Usage.Usage, "mem.limit": s.Memory.HierarchicalMemoryLimit, "mem.swap_limit": s.Memory.HierarchicalSwapLimit,
		"mem.peak": s.Memory.Usage.Max, "mem.limit_hits": s.Memory.Usage.Failcnt, "mem.kernel": s.Memory.Kernel.Usage,
		"mem.rss": s.Memory.TotalRSS, "mem.cache": s.Memory.TotalCache,
		"mem.faults": s.Memory.TotalPgFault, "mem.major_faults": s.Memory.TotalPgMajFault,
		"mem.working_set": s.Memory.Usage.Usage - s.Memory.TotalInactiveFile,
		"oom.kills":       s.MemoryOomControl.OomKill, "pids.current": s.Pids.Current, "pids.limit": s.Pids.Limit,
	}
	for _, e := range s.Blkio.IoServiceBytesRecursive {
		n.operation(e.Major, e.Minor, e.Op, "", e.Value)
	}
	for _, e := range s.Blkio.IoServicedRecursive {
		n.operation(e.Major, e.Minor, e.Op, "s", e.Value)
	}
	return n
}

func datadogReader(tb testing.TB) *datadog.Reader {
	tb.Helper()
	r, err := datadog.NewReader(datadog.WithReaderFilter(datadog.ContainerFilter))
	if err != nil {
		tb.Fatal(err)
	}
	if err := r.RefreshCgroups(0 * time.Second); err != nil {
		tb.Fatal(err)
	}
	return r
}

func datadogNumbers(t *testing.T, id string, mode cgroup.Mode) numbers {
	t.Helper()
	c := datadogReader(t).GetCgroup(id)
	if c == nil {
		t.Fatal("Datadog's library does not find the container")
	}
	var s datadog.Stats
	if _, errs := datadog.GetStats(c, &s); len(errs) > 0 {
		t.Fatal(errs)
	}
	n := numbers{}
	for name, v := range map[string]*uint64{
		"cpu.usage": s.CPU.Total, "cpu.user": s.CPU.User, "cpu.system": s.CPU.System, "cpu.periods": s.CPU.ElapsedPeriods,
		"cpu.throttled": s.CPU.ThrottledPeriods, "cpu.throttled_time": s.CPU.ThrottledTime, "cpu.shares": s.CPU.Shares, "cpu.cpus": s.CPU.CPUCount,
		"mem.usage": s.Memory.UsageTotal, "mem.rss": s.Memory.RSS, "mem.cache": s.Memory.Cache, "mem.swap": s.Memory.Swap,
		"mem.kernel": s.Memory.KernelMemory, "mem.peak": s.Memory.Peak, "mem.limit": s.Memory.Limit, "mem.soft_limit": s.Memory.LowThreshold,
		"mem.swap_limit": s.Memory.SwapLimit, "mem.faults": s.Memory.Pgfault, "mem.major_faults": s.Memory.Pgmajfault,
		"mem.limit_hits": s.Memory.OOMEvents, // its name for memory.failcnt
		"oom.kills":      s.Memory.OOMKiilEvents, "pids.current": s.PID.HierarchicalThreadCount, "pids.limit": s.PID.HierarchicalThreadLimit,
	} {
		if v != nil {
			n[name] = *v
		}
	}
	for name, v := range map[string]*uint64{
		"psi.cpu.some": s.CPU.PSISome.Total, "psi.memory.some": s.Memory.PSISome.Total, "psi.memory.full": s.Memory.PSIFull.Total,
		"psi.io.some": s.IO.PSISome.Total, "psi.io.full": s.IO.PSIFull.Total,
	} {
		if v != nil {
			n[name] = *v * 1000 // the kernel's microseconds
		}
	}
	if mode == cgroup.V2 { // where it means something else by two names, and has a third
		delete(n, "mem.limit_hits")
		delete(n, "mem.swap_limit")
		if s.CPU.Weight != nil {
			n["cpu.weight"] = *s.CPU.Weight
		}
	}
	if s.CPU.SchedulerQuota != nil && s.CPU.SchedulerPeriod != nil {
		n["cpu.quota"], n["cpu.period"] = *s.CPU.SchedulerQuota/1000, *s.CPU.SchedulerPeriod/1000
	}
	for name, d := range s.IO.Devices {
		for what, v := range map[string]*uint64{"read": d.ReadBytes, "write": d.WriteBytes, "reads": d.ReadOperations, "writes": d.WriteOperations} {
			if v != nil {
				n["io."+name+"."+what] = *v
			}
		}
	}
	return n
}
