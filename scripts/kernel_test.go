package scripts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestKernel runs kernel.sh with an apt that knows the packages of one release,
// as each of them names its kernel and packs its modules.
func TestKernel(t *testing.T) {
	tests := []struct {
		name     string
		depends  string // what apt-cache depends says, "package: line"
		packages string // what apt can download: "package file file…"
		want     string // in the output
		fails    bool
	}{
		{
			"Debian 12", "linux-image-cloud-amd64:   Depends: linux-image-6.1.0-40-cloud-amd64",
			"linux-image-6.1.0-40-cloud-amd64 boot/vmlinuz-6.1.0-40-cloud-amd64 lib/modules/6.1.0-40-cloud-amd64/kernel/drivers/block/brd.ko",
			"6.1.0-40-cloud-amd64 is in", false,
		},
		{
			"Debian 13", "linux-image-cloud-amd64:   Depends: linux-image-6.12.48+deb13-cloud-amd64",
			"linux-image-6.12.48+deb13-cloud-amd64 boot/vmlinuz-6.12.48+deb13-cloud-amd64 usr/lib/modules/6.12.48+deb13-cloud-amd64/kernel/drivers/block/brd.ko.xz",
			"6.12.48+deb13-cloud-amd64 is in", false,
		},
		{
			"Ubuntu 22.04", "linux-image-virtual:   Depends: linux-image-5.15.0-160-generic",
			"linux-image-5.15.0-160-generic boot/vmlinuz-5.15.0-160-generic\nlinux-modules-5.15.0-160-generic lib/modules/x/virtio.ko\n" +
				"linux-modules-extra-5.15.0-160-generic lib/modules/5.15.0-160-generic/kernel/drivers/block/brd.ko",
			"5.15.0-160-generic is in", false,
		},
		{
			"Ubuntu 24.04", "linux-image-virtual:   Depends: linux-image-6.8.0-60-generic\nlinux-image-virtual:   Depends: linux-firmware",
			"linux-image-6.8.0-60-generic boot/vmlinuz-6.8.0-60-generic\nlinux-modules-6.8.0-60-generic lib/modules/6.8.0-60-generic/kernel/drivers/block/brd.ko.zst",
			"6.8.0-60-generic is in", false,
		},
		{
			"signed or not", "linux-image-virtual:  |Depends: linux-image-unsigned-6.8.0-60-generic",
			"linux-image-unsigned-6.8.0-60-generic boot/vmlinuz-6.8.0-60-generic\nlinux-modules-6.8.0-60-generic lib/modules/brd.ko",
			"6.8.0-60-generic is in", false,
		},
		{"no package list", "", "", "apt-get update", true},
		{"an old package list", "linux-image-cloud-amd64:   Depends: linux-image-6.1.0-1-cloud-amd64", "", "apt-get download linux-image-6.1.0-1-cloud-amd64: 404", true},
		{"no driver", "linux-image-cloud-amd64:   Depends: linux-image-7.0-amd64", "linux-image-7.0-amd64 boot/vmlinuz-7.0-amd64", "driver brd", true},
		{"no kernel", "linux-image-cloud-amd64:   Depends: linux-image-7.0-amd64", "linux-image-7.0-amd64 lib/brd.ko", "no vmlinuz-7.0-amd64", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			stub := func(name, script string) {
				t.Helper()
				if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"depends", "packages"} {
				content := map[string]string{"depends": tt.depends, "packages": tt.packages}[name]
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			stub("apt-cache", `case $1 in
depends) for last; do :; done; sed -n "s/^$last: //p" '`+dir+`/depends' ;;
madison) grep "^$2 " '`+dir+`/packages' ;;
esac`)
			stub("apt-get", `grep "^$3 " '`+dir+`/packages' >"$3.deb" || { rm -f "$3.deb"; echo 404; exit 100; }`)
			stub("dpkg", `case $1 in
--print-architecture) echo amd64 ;;
-x) set -- $(cat "$2"); shift; for f; do mkdir -p "tree/${f%/*}"; echo content >"tree/$f"; done ;;
esac`)
			stub("xz", `cat "$2"`)
			stub("zstd", `cat "$2"`)
			cmd := exec.CommandContext(t.Context(), "bash", "kernel.sh")
			cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", "XDG_CACHE_HOME=" + dir + "/cache"}
			out, err := cmd.CombinedOutput()
			if (err != nil) != tt.fails || !strings.Contains(string(out), tt.want) {
				t.Errorf("error %v, want failure %v and %q:\n%s", err, tt.fails, tt.want, out)
			}
			for _, name := range []string{"vmlinuz", "brd.ko"} {
				b, err := os.ReadFile(filepath.Join(dir, "cache/vitrine-kernel", name))
				if !tt.fails && (err != nil || string(b) != "content\n") || tt.fails && err == nil {
					t.Errorf("%s is %q, %v", name, b, err)
				}
			}
		})
	}
}
