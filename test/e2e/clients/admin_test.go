package clients

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	prng "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// runWithInput: a container gets its input, its end too, and what it then says arrives.
func (w *world) runWithInput() {
	long := strings.Repeat("0123456789abcde\n", 64<<10) // 1 MiB each way
	if got := w.input(long, "run", "--rm", "--interactive", "bb:1", "cat"); got != long {
		w.Errorf("cat has given %d bytes of %d back", len(got), len(long))
	}
	cmd := w.command("run", "--rm", "--interactive", "bb:1", "sh", "-c", "wc -c; echo after >&2; exit 7")
	cmd.Stdin = strings.NewReader("12345")
	out, err := w.try(cmd)
	if cmd.ProcessState.ExitCode() != 7 {
		w.Errorf("exit code %d (%v), want 7", cmd.ProcessState.ExitCode(), err)
	}
	w.wants(out, "5\n", "after\n")
}

// execOnATerminal gives docker a terminal, by script(1).
func (w *world) execOnATerminal() {
	docker := w.command("exec", "--interactive", "--tty", "web", "sh", "-c", "tty; read word; echo got $word; exit 5")
	cmd := exec.Command("script", "--quiet", "--return", "--command", quote(docker), "/dev/null")
	cmd.Env = docker.Env
	in, err := cmd.StdinPipe()
	w.check(err)
	defer in.Close()
	_, err = io.WriteString(in, "pear\n")
	w.check(err)
	out, _ := w.try(cmd)
	if cmd.ProcessState.ExitCode() != 5 {
		w.Errorf("exit code %d, want 5", cmd.ProcessState.ExitCode())
	}
	w.wants(out, "/dev/pts/0", "got pear")
}

// quote writes a command for a shell.
func quote(cmd *exec.Cmd) string {
	words := []string{cmd.Path}
	for _, arg := range cmd.Args[1:] {
		words = append(words, "'"+strings.ReplaceAll(arg, "'", `'\''`)+"'")
	}
	return strings.Join(words, " ")
}

// build gives an image two names, with the classic builder.
func (w *world) build() {
	dir := w.folder(map[string]string{"Dockerfile": "FROM bb:1\nARG WHO\nCOPY file /file\nRUN echo hello $WHO >/hello\n", "file": "content\n"})
	cmd := w.command("build", "--tag", "a:1", "--tag", "b:1", "--build-arg", "WHO=you", dir)
	cmd.Env = append(cmd.Env, "DOCKER_BUILDKIT=0")
	w.wants(w.output(cmd), "Step 4/4", "Successfully tagged a:1", "Successfully tagged b:1")
	if got := w.docker("run", "--rm", "b:1", "cat", "/file", "/hello"); got != "content\nhello you" {
		w.Errorf("the image has %q", got)
	}
}

// buildKit builds by way of a session: /session and /grpc, upgraded to HTTP/2.
func (w *world) buildKit() {
	dir := w.folder(map[string]string{"Dockerfile": "FROM bb:1\nCOPY file /file\nRUN cp /file /copy\n", "file": "content\n"})
	cmd := w.command("build", "--progress", "plain", "--tag", "kit:1", dir)
	cmd.Env = append(cmd.Env, "DOCKER_BUILDKIT=1")
	w.wants(w.output(cmd), "naming to docker.io/library/kit:1")
	if got := w.docker("run", "--rm", "kit:1", "cat", "/copy"); got != "content" {
		w.Errorf("the image has %q", got)
	}
	uris := map[string]bool{}
	for _, r := range w.p.Audit() {
		uris[r.Operation] = true
	}
	if !uris["Session"] {
		w.Errorf("no session was audited among %v", uris)
	}
}

// commit makes two changes.
func (w *world) commit() {
	w.docker("commit", "--change", "ENV COLOUR=red", "--change", `CMD ["sh", "-c", "echo $COLOUR"]`, "web", "commit:1")
	if got := w.docker("run", "--rm", "commit:1"); got != "red" {
		w.Errorf("the image says %q", got)
	}
}

// copyBothWays copies a file in, and out again; and a tar stream.
func (w *world) copyBothWays() {
	dir := w.folder(map[string]string{"in": strings.Repeat("content\n", 100_000)})
	w.docker("cp", filepath.Join(dir, "in"), "web:/tmp/in")
	w.docker("cp", "web:/tmp/in", filepath.Join(dir, "out"))
	in, err := os.ReadFile(filepath.Join(dir, "in"))
	w.check(err)
	out, err := os.ReadFile(filepath.Join(dir, "out"))
	w.check(err)
	if !bytes.Equal(in, out) {
		w.Errorf("%d bytes came back of %d", len(out), len(in))
	}
	cmd := w.command("cp", "-", "web:/tmp")
	cmd.Stdin = strings.NewReader(archive(w, "piped", "through\n"))
	w.output(cmd)
	w.wants(w.docker("cp", "web:/tmp/piped", "-"), "piped", "through\n")
}

func archive(w *world, name, text string) string {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	w.check(t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}))
	_, err := io.WriteString(t, text)
	w.check(err)
	w.check(t.Close())
	return b.String()
}

// saveTwo saves two images at once.
func (w *world) saveTwo() {
	file := filepath.Join(w.TempDir(), "two.tar")
	w.docker("tag", "bb:1", "one:1")
	w.docker("tag", "bb:1", "two:1")
	w.docker("save", "--output", file, "one:1", "two:1")
	w.docker("rmi", "one:1", "two:1")
	w.wants(w.docker("load", "--input", file), "Loaded image: one:1", "Loaded image: two:1")
}

const large = 200 << 20

// loadLarge loads and saves an image of 200 MB: nothing of it stays in the gateway's memory.
func (w *world) loadLarge() {
	importing := w.e.DockerCommand(w.e.Socket, "import", "-", "large:1")
	r, pipe := io.Pipe()
	importing.Stdin = r
	go func() { _ = pipe.CloseWithError(writeLarge(pipe)) }()
	w.output(importing)

	before := w.resetPeak()
	file := filepath.Join(w.TempDir(), "large.tar")
	w.docker("save", "--output", file, "large:1")
	w.flat("save", before)
	info, err := os.Stat(file)
	w.check(err)
	if info.Size() < large {
		w.Fatalf("%d bytes were saved, want more than %d", info.Size(), large)
	}
	w.e.Docker("rmi", "large:1")
	before = w.resetPeak()
	w.wants(w.docker("load", "--input", file), "Loaded image: large:1")
	w.flat("load", before)
	w.e.Docker("rmi", "large:1")
}

// writeLarge writes an image of one file, which cannot be compressed: containerd's image store would.
func writeLarge(to io.Writer) error {
	t := tar.NewWriter(to)
	if err := t.WriteHeader(&tar.Header{Name: "large", Mode: 0o644, Size: large}); err != nil {
		return err
	}
	if _, err := io.CopyN(t, prng.NewChaCha8([32]byte{}), large); err != nil {
		return err
	}
	return t.Close()
}

// resetPeak makes the kernel forget the highest resident size so far, and returns the size now.
func (w *world) resetPeak() int {
	w.Helper()
	w.check(os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", w.p.Pid()), []byte("5"), 0))
	return w.memory("VmRSS")
}

func (w *world) flat(what string, before int) {
	w.Helper()
	if grown := w.memory("VmHWM") - before; grown > 16<<20 {
		w.Errorf("the gateway grew by %d MiB during %s", grown>>20, what)
	}
}

// pushAndPull uses a registry, and sees the progress.
func (w *world) pushAndPull() {
	address, err := w.e.RunRegistry(5000)
	w.check(err)
	name := address + "/noise:1"
	noise := make([]byte, 8<<20)
	_, err = rand.Read(noise)
	w.check(err)
	w.input(archive(w, "noise", string(noise)), "import", "-", name)
	w.wants(w.docker("push", name), "Pushed", "digest: sha256:")
	w.docker("rmi", name)
	w.wants(w.docker("pull", name), "Pulling fs layer", "Download complete", "Pull complete", "Downloaded newer image")
}

// shortJobs are run by a service that has mounts of its own (PrivateTmp=yes), as CI runners have: it is the host's, though the
// first process of a container is gone before anybody has seen it.
func (w *world) shortJobs() {
	cmd := exec.Command("unshare", "--mount", "/usr/bin/python3", "testdata/jobs.py", "unix://"+w.p.Socket)
	w.wants(w.output(cmd), "60 jobs")
}
