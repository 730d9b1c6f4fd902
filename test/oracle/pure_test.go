//go:build linux && amd64

package oracle

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vitrine/test/qemu"
)

// workV2 is work in a guest that has busybox, a block device in memory, and no network.
const workV2 = `
sh -c 'x=a; while :; do x=$x$x; done'
dd if=/dev/zero of=/file bs=64k count=64 2>/dev/null
dd if=/dev/zero of=/dev/ram1 bs=64k count=16 oflag=direct 2>/dev/null
dd if=/dev/ram1 of=/dev/null bs=64k count=8 iflag=direct 2>/dev/null
i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done
echo worked >/worked
sleep 1000`

// TestAgreementPureV2 is TestAgreement on a kernel with cgroup v2 alone, in a
// guest without an Engine: the test makes the container's cgroup as one does.
func TestAgreementPureV2(t *testing.T) {
	if !qemu.InGuest() {
		qemu.Boot(t)
		return
	}
	const on = "+cpuset +cpu +io +memory +pids"
	id := strings.Repeat("c0ffee", 11)[:64]
	dir := filepath.Join("/sys/fs/cgroup/docker", id)
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("/sys/fs/cgroup/cgroup.subtree_control", on)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write("/sys/fs/cgroup/docker/cgroup.subtree_control", on)
	for file, content := range map[string]string{
		"memory.max": "50331648", "memory.swap.max": "16777216", "memory.low": "16777216",
		"cpu.max": "50000 100000", "cpu.weight": "50", "pids.max": "50", "cpuset.cpus": "1",
		"io.max": "1:1 wbps=4194304", // so that it waits
	} {
		write(filepath.Join(dir, file), content)
	}
	folder, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	init := exec.Command("/bin/sh", "-c", workV2)
	init.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(folder.Fd()), Cloneflags: syscall.CLONE_NEWPID}
	init.Stderr = t.Output()
	if err := init.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the workload is done", func() bool { _, err := os.Stat("/worked"); return err == nil })
	write(filepath.Join(dir, "cgroup.freeze"), "1")
	eventually(t, "it stands still", func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
		return err == nil && strings.Contains(string(b), "frozen 1")
	})
	mine := agree(t, id, init.Process.Pid, map[string]func() numbers{})
	for name, want := range map[string]uint64{
		"io.1:1.write": 1 << 20, "io.1:1.read": 512 << 10, "mem.limit": 48 << 20, "mem.swap_limit": 64 << 20, "cpu.weight": 50, "pids.limit": 50,
	} {
		if mine[name] != want {
			t.Errorf("%s is %d, want %d", name, mine[name], want)
		}
	}
	for _, name := range []string{"psi.cpu.some", "psi.memory.some", "psi.io.some", "psi.io.full", "mem.kernel", "mem.limit_hits"} {
		if mine[name] == 0 {
			t.Errorf("%s is 0, so it compares nothing", name)
		}
	}
}
