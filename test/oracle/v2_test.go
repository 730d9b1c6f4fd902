package oracle

import (
	"maps"
	"path/filepath"
	"testing"

	"github.com/containerd/cgroups/v3/cgroup2"
	runc "github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/fs2"
)

func runcNumbersV2(t *testing.T, path string) numbers {
	t.Helper()
	manager, err := fs2.NewManager(&runc.Cgroup{Resources: &runc.Resources{}}, filepath.Join("/sys/fs/cgroup", path))
	if err != nil {
		t.Fatal(err)
	}
	n, s := runcCommon(t, manager)
	mem := s.MemoryStats
	maps.Copy(n, numbers{
		"mem.kernel": mem.Stats["kernel"], "mem.working_set": mem.Usage.Usage - mem.Stats["inactive_file"],
		"mem.swap": mem.SwapOnlyUsage.Usage, "mem.rss": mem.Stats["anon"], "mem.cache": mem.Cache,
		"mem.faults": mem.Stats["pgfault"], "mem.major_faults": mem.Stats["pgmajfault"],
	})
	n.runcPressure(t, s)
	return n
}

func (n numbers) runcPressure(t *testing.T, s *runc.Stats) {
	t.Helper()
	for name, p := range map[string]*runc.PSIStats{"cpu": s.CpuStats.PSI, "memory": s.MemoryStats.PSI, "io": s.BlkioStats.PSI} {
		if p == nil {
			t.Errorf("runc's library finds no pressure of %s", name)
			continue
		}
		n.pressure(name, p.Some.Total, p.Full.Total)
	}
}

// pressure adds what is compared of it, in the kernel's microseconds.
func (n numbers) pressure(of string, some, full uint64) {
	n["psi."+of+".some"] = some * 1000
	if of != "cpu" {
		n["psi."+of+".full"] = full * 1000
	}
}

func containerdNumbersV2(t *testing.T, path string) numbers {
	t.Helper()
	c, err := cgroup2.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Stat()
	if err != nil {
		t.Fatal(err)
	}
	cpu, mem := s.CPU, s.Memory
	n := numbers{
		"cpu.usage": cpu.UsageUsec * 1000, "cpu.user": cpu.UserUsec * 1000, "cpu.system": cpu.SystemUsec * 1000,
		"cpu.periods": cpu.NrPeriods, "cpu.throttled": cpu.NrThrottled, "cpu.throttled_time": cpu.ThrottledUsec * 1000,
		"mem.usage": mem.Usage, "mem.limit": mem.UsageLimit, "mem.peak": mem.MaxUsage, "mem.swap": mem.SwapUsage,
		"mem.swap_limit": mem.UsageLimit + mem.SwapLimit, // which is swap alone with them
		"mem.rss":        mem.Anon, "mem.cache": mem.File, "mem.faults": mem.Pgfault, "mem.major_faults": mem.Pgmajfault,
		"mem.working_set": mem.Usage - mem.InactiveFile, "mem.limit_hits": s.MemoryEvents.Max,
		"oom.kills": s.MemoryEvents.OomKill, "pids.current": s.Pids.Current, "pids.limit": s.Pids.Limit,
	}
	for _, d := range s.Io.Usage {
		n.io(d.Major, d.Minor, "read", d.Rbytes)
		n.io(d.Major, d.Minor, "write", d.Wbytes)
		n.io(d.Major, d.Minor, "reads", d.Rios)
		n.io(d.Major, d.Minor, "writes", d.Wios)
	}
	n.pressure("cpu", cpu.PSI.Some.Total, 0)
	n.pressure("memory", mem.PSI.Some.Total, mem.PSI.Full.Total)
	n.pressure("io", s.Io.PSI.Some.Total, s.Io.PSI.Full.Total)
	return n
}

// onPurposeV2 are the differences on cgroup v2 that are meant, by reader and name.
var onPurposeV2 = map[string]map[string]string{
	"runc": {
		"mem.soft_limit": "it knows it as configuration, not as a number that is read", "mem.limit_hits": "it does not read max of memory.events",
		"cpu.quota": "configuration", "cpu.period": "configuration", "cpu.weight": "configuration", "cpu.cpus": "configuration",
	},
	"containerd": {
		"mem.soft_limit": "configuration to it", "mem.kernel": "it does not know memory.stat's kernel",
		"cpu.quota": "configuration", "cpu.period": "configuration", "cpu.weight": "configuration", "cpu.cpus": "configuration",
	},
	"Datadog": {
		"mem.limit_hits":  "its OOMEvents is oom of memory.events: how often nothing could be freed; on v1 it is failcnt, which is max",
		"mem.swap_limit":  "its SwapLimit is swap alone, though its metric is documented as swap and memory",
		"mem.working_set": "it leaves the subtraction to its callers, some of which wrapped below zero",
	},
	"docker stats": {
		"oom.kills": "the Engine tells of no kill", "mem.peak": "not in its answer", "mem.swap": "not in its answer", "mem.kernel": "not in its answer",
		"io.*.reads": "not in its answer", "io.*.writes": "not in its answer",
		"mem.limit_hits": "its failcnt is oom of memory.events", "mem.swap_limit": "configuration to it", "mem.soft_limit": "configuration to it",
		"cpu.quota": "configuration", "cpu.period": "configuration", "cpu.weight": "configuration", "cpu.cpus": "configuration",
		"psi.cpu.some": "it reads no pressure", "psi.memory.some": "the same", "psi.memory.full": "the same", "psi.io.some": "the same", "psi.io.full": "the same",
	},
}
