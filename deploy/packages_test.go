package deploy_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"

	"vitrine/test/engine"
)

const packageVersion = "0.1.0"

// release makes a release for this machine alone, and returns its folder.
func release(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "../scripts/release.sh", dir)
	cmd.Env = append(os.Environ(), "VERSION="+packageVersion, "ARCHES="+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("release.sh: %v\n%s", err, out)
	}
	return dir
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// host is an Engine's namespaces as a host for packages: /usr can be written to, and what is written is gone
// with the Engine. dpkg knows of no other package there.
type host struct {
	*testing.T
	e *engine.Engine
}

func newHost(t *testing.T) host {
	t.Helper()
	h := host{t, engine.Start(t, engine.Options{})}
	h.sh(`mkdir -p /opt/upper /opt/work /var/lib/dpkg/info /var/lib/dpkg/updates && touch /var/lib/dpkg/status &&
		mount -t overlay overlay -o lowerdir=/usr,upperdir=/opt/upper,workdir=/opt/work /usr`)
	return h
}

// try runs a command of the shell on the host.
func (h host) try(command string) (string, error) {
	h.Helper()
	out, err := h.e.Command("sh", "-c", command).CombinedOutput()
	return string(out), err
}

func (h host) sh(command string) string {
	h.Helper()
	out, err := h.try(command)
	if err != nil {
		h.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

// dockerWorks: whoever asks dockerd's own socket is answered.
func (h host) dockerWorks(when string) {
	h.Helper()
	if err := status(h.e.Socket, "/containers/json", http.StatusOK); err != nil {
		h.Fatalf("%s: %v", when, err)
	}
}

// TestPackages: they are installed, upgraded and removed on a host with Docker, which works each time.
func TestPackages(t *testing.T) {
	if os.Getuid() != 0 {
		engine.Require(t)
	}
	dir := release(t)
	t.Run("the same commit gives the same bytes", func(t *testing.T) {
		if first, second := read(t, dir+"/SHA256SUMS"), read(t, release(t)+"/SHA256SUMS"); first != second {
			t.Errorf("%s\nand, made once more,\n%s", first, second)
		}
	})
	t.Run("five minutes", func(t *testing.T) { fiveMinutes(t, dir) })
	t.Run("README", func(t *testing.T) { commandsOfREADME(t, dir) })
	t.Run("docs/install.md", func(t *testing.T) { packagesOfInstall(t, dir) })
	t.Run("deb", func(t *testing.T) { debOnAHostWithDocker(t, dir) })
	t.Run("rpm", func(t *testing.T) {
		out, err := exec.CommandContext(t.Context(), "rpm", "-qp", "--list", "--scripts", filepath.Join(dir, "vitrine-"+packageVersion+"-1."+map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]+".rpm")).CombinedOutput()
		for _, want := range []string{"/usr/bin/authz-plugin\n", "/usr/lib/systemd/system/vitrine.service\n", "preuninstall scriptlet", "/usr/share/man/man1/authz-plugin-eval.1.gz\n"} {
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("no %q in it (%v):\n%s", want, err, out)
			}
		}
	})
	t.Run("the bill of materials", func(t *testing.T) {
		for program, holds := range map[string]bool{"authz-plugin": true, "monitor": false} {
			if strings.Contains(read(t, filepath.Join(dir, program+".cdx.json")), `"github.com/open-policy-agent/opa"`) != holds {
				t.Errorf("%s: OPA is linked into it: %v", program, holds)
			}
		}
	})
	t.Run("the plugin by way of a registry", func(t *testing.T) { pluginByARegistry(t, dir) })
}

func debOnAHostWithDocker(t *testing.T, dir string) {
	h := newHost(t)
	file := func(name string) string { return filepath.Join(dir, name+"_"+packageVersion+"_"+runtime.GOARCH+".deb") }
	said := h.sh("dpkg -i " + file("vitrine") + " " + file("vitrine-monitor"))
	if !strings.Contains(said, "nothing is started yet") {
		t.Errorf("the installation says:\n%s", said)
	}
	h.dockerWorks("after the installation")
	if got := h.sh("authz-plugin --version; monitor --version; getent passwd vitrine-monitor"); !regexp.MustCompile(`(?s)^authz-plugin 0\.1\.0 .*\nmonitor 0\.1\.0 .*\nvitrine-monitor:.*nologin\n$`).MatchString(got) {
		t.Errorf("what is installed says:\n%s", got)
	}
	if got := h.sh("stat -c '%a %U %G' /run/vitrine-admin; cat /usr/lib/tmpfiles.d/vitrine-monitor.conf"); !strings.HasPrefix(got, "710 root vitrine-monitor\n") || !strings.Contains(got, "\nd /run/vitrine-admin 0710 root vitrine-monitor -\n") {
		t.Errorf("the folder of the admin socket: %s", got)
	}
	run(t, h.e, strings.Fields(h.sh("sed -n s/^ExecStart=//p /usr/lib/systemd/system/vitrine.service")))
	eventually(t, h.e, func() error { return status(h.e.Path(socket), "/_ping", http.StatusOK) })
	plug := func(names ...string) {
		t.Helper()
		if err := h.e.WriteDaemonJSON(map[string]any{"authorization-plugins": names}); err != nil {
			t.Fatal(err)
		}
		if err := h.e.Hangup(); err != nil {
			t.Fatal(err)
		}
	}
	plug("vitrine")
	eventually(t, h.e, func() error { return status(h.e.Socket, "/_ping?vitrine=1&vitrine=2", http.StatusForbidden) })

	// While dockerd asks it, it stays.
	if out, err := h.try("dpkg -r vitrine"); err == nil || !strings.Contains(out, "Take it out there") {
		t.Errorf("removed while daemon.json names it (%v):\n%s", err, out)
	}
	h.dockerWorks("after a removal that was refused")

	// An upgrade keeps what the administrator has written.
	h.sh(`cd /opt && dpkg-deb -R ` + file("vitrine") + ` next && sed -i "s/^Version: .*/Version: 0.1.1/" next/DEBIAN/control && dpkg-deb -Zgzip -z1 -b next next.deb &&
		echo "mode: audit" >> /etc/docker/vitrine/config.yaml && dpkg --force-confdef -i next.deb`)
	if got := h.sh("dpkg-query -W -f '${Version}' vitrine; tail -n 1 /etc/docker/vitrine/config.yaml"); got != "0.1.1mode: audit\n" {
		t.Errorf("after the upgrade: %s", got)
	}
	h.dockerWorks("after the upgrade")
	eventually(t, h.e, func() error { return status(h.e.Socket, "/_ping?vitrine=1&vitrine=2", http.StatusForbidden) })

	plug()
	eventually(t, h.e, func() error { return status(h.e.Socket, "/_ping?vitrine=1&vitrine=2", http.StatusOK) })
	h.sh("dpkg -r vitrine vitrine-monitor")
	h.dockerWorks("after the removal")
	h.sh("test ! -e /usr/bin/authz-plugin && test ! -e /usr/bin/monitor && test -e /etc/docker/vitrine/config.yaml")
	h.sh("echo {} > /etc/docker/vitrine/data.yaml; dpkg -P vitrine vitrine-monitor && test ! -e /etc/docker/vitrine/config.yaml && test -e /etc/docker/vitrine/data.yaml")
	if err := h.e.Restart(); err != nil {
		t.Fatal(err)
	}
	h.dockerWorks("when dockerd was restarted after that")
}

// pluginByARegistry: what tools that copy OCI layouts bring to a registry is what "docker plugin install" takes.
func pluginByARegistry(t *testing.T, dir string) {
	e := engine.Start(t, engine.Options{})
	registry, err := e.RunRegistry(5000)
	if err != nil {
		t.Fatal(err)
	}
	layout, err := oci.NewFromTar(t.Context(), filepath.Join(dir, "vitrine-plugin_"+packageVersion+"_linux_"+runtime.GOARCH+".oci.tar"))
	if err != nil {
		t.Fatal(err)
	}
	repository, err := remote.NewRepository(registry + "/vitrine/authz-plugin")
	if err != nil {
		t.Fatal(err)
	}
	repository.PlainHTTP = true
	repository.Client = &http.Client{Transport: &http.Transport{DialContext: e.Dial, DisableKeepAlives: true}}
	// As oras cp --from-oci-layout does.
	if _, err := oras.Copy(t.Context(), layout, packageVersion, repository, packageVersion, oras.DefaultCopyOptions); err != nil {
		t.Fatal(err)
	}
	e.Docker("plugin", "install", "--grant-all-permissions", "--alias", "vitrine", registry+"/vitrine/authz-plugin:"+packageVersion)
	eventually(t, e, func() error { return status(e.Path(socket), "/_ping", http.StatusOK) })
	e.Docker("plugin", "disable", "--force", "vitrine")
}
