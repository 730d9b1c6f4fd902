package oracle

import (
	"fmt"
	"os"
	"testing"

	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/kernel/procfs"
)

// numbers are what a reader says, by one set of names for all of them. A value
// that is not set has no entry.
type numbers map[string]uint64

func membership(tb testing.TB, pid int) cgroup.Membership {
	tb.Helper()
	lines, err := procfs.New(os.DirFS("/proc")).Cgroups(pid)
	if err != nil {
		tb.Fatal(err)
	}
	return cgroup.Of(lines)
}

func openHost(tb testing.TB) *cgroup.Host {
	tb.Helper()
	h, err := cgroup.Open(cgroup.Options{Root: "/sys/fs/cgroup", Self: os.Getpid(), Own: membership(tb, os.Getpid())})
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// ours is what internal/kernel/cgroup reads, and internal/kernel/procfs of the network.
func ours(t *testing.T, r *cgroup.Reader, pid int) numbers {
	t.Helper()
	var s cgroup.Stats
	if err := r.Read(&s); err != nil {
		t.Fatal(err)
	}
	n := numbers{}
	for name, v := range map[string]cgroup.Value{
		"cpu.usage": s.CPU.UsageNsec, "cpu.user": s.CPU.UserNsec, "cpu.system": s.CPU.SystemNsec,
		"cpu.periods": s.CPU.Periods, "cpu.throttled": s.CPU.ThrottledPeriods, "cpu.throttled_time": s.CPU.ThrottledNsec,
		"cpu.quota": s.CPU.QuotaUsec, "cpu.period": s.CPU.PeriodUsec, "cpu.shares": s.CPU.Shares, "cpu.weight": s.CPU.Weight,
		"cpu.cpus": s.CPU.CPUs,

		"mem.usage": s.Memory.Usage, "mem.working_set": s.Memory.WorkingSet, "mem.rss": s.Memory.RSS, "mem.cache": s.Memory.Cache,
		"mem.swap": s.Memory.Swap, "mem.kernel": s.Memory.Kernel, "mem.peak": s.Memory.Peak, "mem.limit": s.Memory.Limit,
		"mem.soft_limit": s.Memory.SoftLimit, "mem.swap_limit": s.Memory.SwapLimit, "mem.faults": s.Memory.PageFaults,
		"mem.major_faults": s.Memory.MajorPageFaults, "mem.limit_hits": s.Memory.LimitHits,

		"oom.kills": s.OOM.Kills, "pids.current": s.Pids.Current, "pids.limit": s.Pids.Limit,

		"psi.cpu.some": s.Pressure.CPU.SomeNsec, "psi.memory.some": s.Pressure.Memory.SomeNsec, "psi.memory.full": s.Pressure.Memory.FullNsec,
		"psi.io.some": s.Pressure.IO.SomeNsec, "psi.io.full": s.Pressure.IO.FullNsec,
	} {
		if v.Set {
			n[name] = v.N
		}
	}
	for _, d := range s.IO {
		n.io(uint64(d.Major), uint64(d.Minor), "read", d.ReadBytes)
		n.io(uint64(d.Major), uint64(d.Minor), "write", d.WriteBytes)
		n.io(uint64(d.Major), uint64(d.Minor), "reads", d.ReadOps)
		n.io(uint64(d.Major), uint64(d.Minor), "writes", d.WriteOps)
	}
	net := procfs.NetDev("/proc", pid)
	b, err := net.Read(nil)
	if err != nil {
		t.Fatal(err)
	}
	interfaces, err := procfs.ParseNetDev(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		n["net."+string(i.Name)+".received"] = i.Rx.Bytes
		n["net."+string(i.Name)+".sent"] = i.Tx.Bytes
	}
	return n
}

func (n numbers) io(major, minor uint64, what string, value uint64) {
	n[fmt.Sprintf("io.%d:%d.%s", major, minor, what)] = value
}
