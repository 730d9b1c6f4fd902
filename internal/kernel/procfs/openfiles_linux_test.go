package procfs

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"vitrine/test/wait"
)

// TestOpenFilesOfOthers: an ordinary user counts those of root's processes, also
// of one that has none, where the kernel lets him.
func TestOpenFilesOfOthers(t *testing.T) {
	const pid = "PROCFS_TEST_PID"
	if n, err := strconv.Atoi(os.Getenv(pid)); err == nil {
		count, err := OpenFiles("/proc", n)
		t.Logf("count %d, error %v.", count, err)
		return
	}
	if os.Getuid() != 0 {
		if os.Getenv("VITRINE_REQUIRE") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	if !sizeCounts("/proc") {
		t.Skip("before Linux 6.2 nobody may, so there is nothing to require")
	}
	// It may inherit more than three.
	other := exec.CommandContext(t.Context(), "bash", "-c", `for f in /proc/self/fd/*; do eval "exec ${f##*/}>&-"; done; exec sleep 60`)
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	wait.Until(t, "a process without open files", func() bool {
		n, err := OpenFiles("/proc", other.Process.Pid)
		return err == nil && n == 0
	})
	ask := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.v", "-test.run=^TestOpenFilesOfOthers$")
	ask.Env = append(os.Environ(), pid+"="+strconv.Itoa(other.Process.Pid))
	ask.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := ask.CombinedOutput(); err != nil || !strings.Contains(string(out), "count 0, error <nil>.") {
		t.Errorf("error %v\n%s", err, out)
	}
}
