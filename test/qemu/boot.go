//go:build linux && amd64

package qemu

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vitrine/test/wait"
)

// inGuest is set where the test runs in the guest.
const inGuest = "VITRINE_GUEST"

// InGuest says that this process runs in the guest.
func InGuest() bool { return os.Getenv(inGuest) != "" }

// Boot runs the test that calls it once more, in a guest: the test binary of the package in the working folder, built
// static, as are programs, our main packages that the guest has in its PATH. The test fails here if it fails there, or skips, and skips where there is no QEMU or no kernel, which
// is a failure where VITRINE_REQUIRE is set.
func Boot(t *testing.T, programs ...string) {
	t.Helper()
	kernel := require(t)
	dir := t.TempDir()
	files := map[string]string{"brd.ko": filepath.Join(kernel, "brd.ko")}
	build := func(name, what string, args ...string) {
		t.Helper()
		files[name] = filepath.Join(dir, filepath.Base(name))
		cmd := exec.CommandContext(t.Context(), "go", append(args, "-ldflags=-s -w", "-o", files[name], what)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s for the guest: %v\n%s", what, err, out)
		}
	}
	build("test", ".", "test", "-c", "-vet=off")
	for _, p := range programs {
		build("bin/"+filepath.Base(p), p, "build")
	}
	limit := wait.Patience(5 * time.Minute) // the guest sees nothing of the host's load
	ramdisk(t, filepath.Join(dir, "initrd"), files, limit-20*time.Second)
	began := time.Now()
	out := boot(t, dir, filepath.Join(kernel, "vmlinuz"), limit)
	verdict := regexp.MustCompile(`(?m)^@@EXIT (\d+)@@$`).FindStringSubmatch(out)
	switch {
	case verdict == nil:
		console, _ := os.ReadFile(filepath.Join(dir, "console"))
		t.Errorf("the guest gave no verdict; its console:\n%s", console)
	case verdict[1] != "0":
		t.Errorf("failed in the guest, with exit status %s", verdict[1])
	case !strings.Contains(out, "--- PASS: "+t.Name()+" "), strings.Contains(out, "--- SKIP"):
		t.Error("the guest did not run it all")
	}
	t.Logf("from boot to power off: %.1f s\n%s", time.Since(began).Seconds(), out)
}

// require finds the kernel, or skips; it fails where VITRINE_REQUIRE is set.
func require(t *testing.T) string {
	t.Helper()
	skip := t.Skipf
	if os.Getenv("VITRINE_REQUIRE") != "" {
		skip = t.Fatalf
	}
	for _, name := range []string{"qemu-system-x86_64", "busybox"} {
		if _, err := exec.LookPath(name); err != nil {
			skip("%v; scripts/setup.sh installs what is missing", err)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		skip("%v", err)
	}
	dir := filepath.Join(cache, "vitrine-kernel")
	for _, name := range []string{"vmlinuz", "brd.ko"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			skip("%v; scripts/kernel.sh fetches it", err)
		}
	}
	return dir
}

// ramdisk writes the initramfs, with files by the names that they have there. The test may take limit.
func ramdisk(t *testing.T, to string, files map[string]string, limit time.Duration) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	var a archive
	for _, dir := range []string{"dev", "proc", "sys", "bin", "tmp"} {
		a.add(dir, modeDir|0o755, nil)
	}
	a.add("init", modeFile|0o755, fmt.Appendf(nil, initScript, t.Name(), int(limit.Seconds())))
	files["bin/busybox"] = busybox
	for name, from := range files {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		a.add(name, modeFile|0o755, content)
	}
	if err := os.WriteFile(to, a.bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// initScript, of the test's name and the seconds that it may take: kernel messages stay on the first serial port, so that the second
// one has whole lines.
const initScript = `#!/bin/busybox sh
export PATH=/bin HOME=/tmp
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
insmod /brd.ko rd_nr=2 rd_size=65536 && mkswap /dev/ram0 >/dev/null && swapon /dev/ram0
stty -F /dev/ttyS1 -onlcr
exec >/dev/ttyS1 2>&1
VITRINE_GUEST=1 /test -test.v -test.run '^%s$' -test.timeout %ds
echo "@@EXIT $?@@"
poweroff -f
`

// boot runs QEMU until the guest powers off, and returns what it wrote.
func boot(t *testing.T, dir, kernel string, limit time.Duration) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	path := func(name string) string { return filepath.Join(dir, name) }
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "512",
		"-kernel", kernel, "-initrd", path("initrd"), "-append", "console=ttyS0 panic=-1 psi=1 quiet",
		"-display", "none", "-no-reboot", "-nodefaults",
		"-serial", "file:"+path("console"), "-serial", "file:"+path("out"))
	if out, err := qemu.CombinedOutput(); err != nil {
		t.Errorf("qemu: %v %v\n%s", err, context.Cause(ctx), out)
	}
	out, err := os.ReadFile(path("out"))
	if err != nil {
		t.Error(err)
	}
	return string(out)
}

// archive is a cpio archive in the form that the kernel unpacks, see
// Documentation/driver-api/early-userspace/buffer-format.rst.
type archive struct {
	buf   bytes.Buffer
	inode int
}

const (
	modeDir  = 0o040000
	modeFile = 0o100000
)

func (a *archive) add(name string, mode int, content []byte) {
	a.inode++
	links := 1
	fields := []int{a.inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0}
	a.buf.WriteString("070701")
	for _, f := range fields {
		fmt.Fprintf(&a.buf, "%08X", f)
	}
	a.buf.WriteString(name + "\x00")
	a.pad()
	a.buf.Write(content)
	a.pad()
}

func (a *archive) pad() {
	for a.buf.Len()%4 != 0 {
		a.buf.WriteByte(0)
	}
}

func (a *archive) bytes() []byte {
	a.add("TRAILER!!!", 0, nil)
	return a.buf.Bytes()
}
