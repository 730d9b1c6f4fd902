// Package monitor starts the program monitor for a test.
package monitor

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"vitrine/test/wait"
)

// Build makes the program, in a folder that other users can come to.
func Build(tb testing.TB) (binary string) {
	tb.Helper()
	dir, err := os.MkdirTemp("", "vitrine-monitor-") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	binary = filepath.Join(dir, "monitor")
	cmd := exec.CommandContext(tb.Context(), "go", "build", "-o", binary, "vitrine/cmd/monitor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// Start starts a command that runs it with --http on a port of its own choice, and waits until it answers. It ends with the test,
// which shows its log if it fails.
func Start(tb testing.TB, cmd *exec.Cmd) (address string, log func() string) {
	tb.Helper()
	said := &wait.Buffer{}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if tb.Failed() {
			tb.Logf("the monitor's log:\n%.8000s", said)
		}
	})
	wait.Until(tb, "the monitor answers", func() bool {
		if m := regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(said.String()); m != nil {
			address = m[1]
		}
		return address != ""
	})
	return address, said.String
}
