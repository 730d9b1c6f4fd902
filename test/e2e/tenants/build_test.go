package tenants

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vitrine/test/vitrine"
)

// TestBuildByCommandLine: docker build of a command line with buildx, which speaks BuildKit's gRPC, is refused and makes nothing, and says that the
// caller may not; it does not fall back by itself. With DOCKER_BUILDKIT=0 it is the classic builder, and builds.
func TestBuildByCommandLine(t *testing.T) {
	t.Parallel()
	w := worldOf(t, imagesData)
	dir := vitrine.OpenDir(t)
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM bb:1\nRUN echo content >/copy\n"), 0o644),
		os.Chown(dir, a, a),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	plugins := filepath.Join(w.e.Dir, "state/docker/cli-plugins")
	if from, err := filepath.EvalSymlinks(plugins); err == nil {
		if err := os.Symlink(from, filepath.Join(dir, "cli-plugins")); err != nil {
			t.Fatal(err)
		}
	}
	build := func(args ...string) func(env ...string) (string, error) {
		return func(env ...string) (string, error) {
			cmd := w.e.DockerCommand(w.p.Socket, append(args, "--tag", "ci/uid_4301/app:1", dir)...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: a, Gid: a}}
			cmd.Dir, cmd.Env = "/", append(append(cmd.Env, "DOCKER_CONFIG="+dir, "HOME="+dir), env...)
			out, err := cmd.CombinedOutput()
			return string(out), err
		}
	}
	made := func() bool {
		return exec.Command(w.e.CLI(), "-H", "unix://"+w.e.Socket, "image", "inspect", "ci/uid_4301/app:1").Run() == nil
	}
	if _, err := os.Stat(filepath.Join(dir, "cli-plugins/docker-buildx")); err == nil { // 20.10 has none, and asks the Engine which builder that prefers
		for _, args := range [][]string{{"build", "--no-cache"}, {"buildx", "build", "--no-cache"}, {"buildx", "build", "--builder", "default", "--no-cache"}} {
			out, err := build(args...)()
			if t.Logf("docker %s: %v\n%s", strings.Join(args, " "), err, out); err == nil || !strings.Contains(out, "vitrine: uid:4301 may not") || made() {
				t.Errorf("docker %s: %v, made %v\n%s", strings.Join(args, " "), err, made(), out)
			}
		}
	}
	if out, err := build("build", "--no-cache")("DOCKER_BUILDKIT=0"); err != nil || !made() {
		t.Errorf("the classic builder: %v\n%s", err, out)
	}
}
