package oracle

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vitrine/internal/kernel/cgroup"
	"vitrine/test/engine"
)

// work makes every number something else than zero: processor time in both
// modes, throttling, page cache, block I/O, network, and a child that is killed.
const work = `
sh -c 'x=a; while :; do x=$x$x; done'
dd if=/dev/zero of=/file bs=64k count=64 conv=fsync 2>/dev/null
cat /file >/dev/null
ping -c 2 -s 1000 172.17.0.1 >/dev/null
i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done
echo worked
sleep 1000`

// TestAgreement: on one container, which is paused so that its counters stand
// still, all say the same.
func TestAgreement(t *testing.T) {
	engine.Require(t)
	e := engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	id := e.Docker("run", "-d", "--name", "compared", "-m", "48m", "--memory-swap", "64m", "--memory-reservation", "16m",
		"--cpus", "0.2", "--cpu-shares", "512", "--pids-limit", "50", "bb:1", "sh", "-c", work)
	eventually(t, "the workload is done", func() bool { return strings.Contains(e.Docker("logs", "compared"), "worked") })
	e.Docker("pause", "compared")
	t.Cleanup(func() { e.Docker("unpause", "compared") }) // what is frozen cannot be killed
	pid, err := strconv.Atoi(e.Docker("inspect", "-f", "{{.State.Pid}}", "compared"))
	if err != nil {
		t.Fatal(err)
	}
	mine := agree(t, id, pid, map[string]func() numbers{"docker stats": func() numbers { return dockerStats(t, e, id) }})
	if mine["net.eth0.sent"] < 2000 {
		t.Errorf("the workload did not do all it was built to do: %v", mine)
	}
}

// agree reads a container that stands still with all readers, and the others that are given, and compares.
func agree(t *testing.T, id string, pid int, others map[string]func() numbers) numbers {
	t.Helper()
	h := openHost(t)
	m := membership(t, pid)
	r, err := h.Container(id, m)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	differences := onPurpose
	others["Datadog"] = func() numbers { return datadogNumbers(t, id, h.Mode()) }
	others["runc"] = func() numbers { return runcNumbers(t, m) }
	others["containerd"] = func() numbers { return containerdNumbers(t, m) }
	if h.Mode() == cgroup.V2 {
		differences = onPurposeV2
		others["runc"] = func() numbers { return runcNumbersV2(t, m[""]) }
		others["containerd"] = func() numbers { return containerdNumbersV2(t, m[""]) }
	}

	var mine numbers
	theirs := map[string]numbers{}
	// A paused container's memory may still be written back or uncharged; then they read again.
	eventually(t, "the container stands still while all read it", func() bool {
		mine = ours(t, r, pid)
		for name, read := range others {
			theirs[name] = read()
		}
		return maps.Equal(mine, ours(t, r, pid))
	})
	if mine["oom.kills"] != 1 || mine["cpu.throttled"] == 0 || mine["mem.cache"] == 0 {
		t.Errorf("the workload did not do all it was built to do: %v", mine)
	}
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		t.Run(name, func(t *testing.T) { compare(t, name, mine, theirs[name], differences[name]) })
	}
	return mine
}

// onPurpose are the differences on v1 and hybrid hosts that are meant, by reader and name.
var onPurpose = map[string]map[string]string{
	"Datadog": {
		"oom.kills": "on cgroup v1 it never reads memory.oom_control, so that a kill is invisible; its OOMEvents is memory.failcnt, our mem.limit_hits",

		"psi.cpu.some":    "on a hybrid host it ignores the unified tree, which has the pressure",
		"psi.memory.some": "the same", "psi.memory.full": "the same", "psi.io.some": "the same", "psi.io.full": "the same",

		"mem.working_set": "it leaves the subtraction to its callers, some of which wrapped below zero",
	},
	"docker stats": {
		"oom.kills": "the Engine tells of no kill: not in its statistics, and State.OOMKilled does not count",

		"psi.cpu.some":    "Engine 20.10 reads no pressure",
		"psi.memory.some": "the same", "psi.memory.full": "the same", "psi.io.some": "the same", "psi.io.full": "the same",
		"mem.swap": "Engine 20.10 has no total_swap in its answer", "mem.kernel": "nor this", "mem.soft_limit": "nor this, it is configuration to it",
		"cpu.quota": "configuration, too", "cpu.period": "the same", "cpu.shares": "the same", "cpu.cpus": "the same",
	},
	"runc": {
		"mem.working_set": "it leaves the subtraction to its callers",
		"mem.soft_limit":  "it knows it as configuration, not as a number that is read", "cpu.quota": "the same", "cpu.period": "the same", "cpu.shares": "the same",
	},
	"containerd": {
		"mem.swap": "it has memory and swap together (memsw), not total_swap", "mem.soft_limit": "configuration to it", "cpu.quota": "the same", "cpu.period": "the same",
		"cpu.shares": "the same", "cpu.cpus": "the same",
		"psi.cpu.some":    "its reader of v1 has no pressure, and its reader of v2 wants a unified host",
		"psi.memory.some": "the same", "psi.memory.full": "the same", "psi.io.some": "the same", "psi.io.full": "the same",
	},
}

// device is that in the name of a number.
var device = regexp.MustCompile(`^io\.\d+:\d+\.`)

// compare holds another reader's numbers against ours. Only the Engine also reads the network.
func compare(t *testing.T, name string, mine, theirs numbers, onPurpose map[string]string) {
	t.Helper()
	compared := 0
	for _, key := range slices.Sorted(maps.Keys(mine)) {
		value, has := theirs[key]
		why, differs := onPurpose[device.ReplaceAllString(key, "io.*.")]
		switch {
		case strings.HasPrefix(key, "net.") && !has && (name != "docker stats" || strings.HasPrefix(key, "net.lo.")):
		case differs && has && value == mine[key]:
			t.Errorf("%s is %d with both now, and was not before: %s", key, value, why)
		case differs:
		case !has:
			t.Errorf("%s is %d, and they have none", key, mine[key])
		case value != mine[key]:
			t.Errorf("%s is %d, and theirs %d", key, mine[key], value)
		default:
			compared++
		}
	}
	for key, value := range theirs {
		if _, has := mine[key]; !has && value != 0 {
			t.Errorf("%s is %d with them, and we have none", key, value)
		}
	}
	t.Logf("%d numbers are the same", compared)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in a minute: %s", what)
		}
	}
}
