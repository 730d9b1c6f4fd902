package lifecycle

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine/test/vitrine"
)

// TestClosedManagedPluginSeesTheHostsFiles: it has little of the host mounted, and
// resolves paths in dockerd's own root directory, also those in a user's folder
// that is closed to others.
func TestClosedManagedPluginSeesTheHostsFiles(t *testing.T) {
	m := installed(t)
	m.named()
	proj := filepath.Join(m.Dir, "alice/proj")
	must(t, os.MkdirAll(filepath.Join(proj, "www"), 0o700))
	must(t, errors.Join(os.Symlink("/run", proj+"/r"), os.Symlink("www", proj+"/l"),
		os.Chown(filepath.Dir(proj), nobody, nobody), os.Chown(proj, nobody, nobody), os.Chmod(filepath.Dir(proj), 0o700)))
	must(t, os.MkdirAll(m.Path("/etc/docker/vitrine"), 0o755))
	must(t, os.WriteFile(m.Path("/etc/docker/vitrine/data.yaml"), fmt.Appendf(nil, `
roles:
  deployer: {access: [ping, write], hazards: [host-path, env], host_paths: [%q]}
bindings:
  admin: ["unix:root", "local"]
  deployer: ["uid:%d"]
`, proj, nobody), 0o644))
	must(t, m.ImportBusybox())

	create := func(p string) (a vitrine.Answer) {
		t.Helper()
		c, err := vitrine.As(t, nobody).Dial(m.socket)
		must(t, err)
		defer c.Close()
		body, err := json.Marshal(map[string]any{"Image": "bb:1", "HostConfig": map[string]any{"Binds": []string{p + ":/x"}}})
		must(t, err)
		a, err = vitrine.Ask(c, "POST", "/containers/create", string(body))
		must(t, err)
		return a
	}
	eventually(t, 10*time.Second, "the policy to be in force", func() error {
		if a := create(proj + "/www"); a.Status != 201 {
			return fmt.Errorf("an honest bind: %s", a)
		}
		return nil
	})
	if a := create(proj + "/l"); a.Status != 201 {
		t.Errorf("a link that stays inside: %s", a)
	}
	if a := create(proj + "/r"); a.Status != 403 || !strings.Contains(a.Body, "this host") {
		t.Errorf("a link that leads out: %s", a)
	}
	if got := m.Docker("ps", "--all", "--no-trunc", "--format", "{{.Mounts}}"); strings.Contains(got, "/proj/l") {
		t.Errorf("mounts %s", got)
	}
}
