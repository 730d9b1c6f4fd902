package lifecycle

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vitrine/test/vitrine"
)

// command runs a command of authz-plugin on the engine's host, without settings.
func (m *managed) command(status int, args ...string) string {
	m.t.Helper()
	cmd := m.Command(vitrine.Binary(m.t), args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		m.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != status {
		m.t.Errorf("authz-plugin %s: exit status %d, want %d\n%s", strings.Join(args, " "), got, status, out)
	}
	return string(out)
}

// Commands on the host find a managed plugin that was told another admin socket, by the Engine's word, and what they lend
// holds there, over a restart of dockerd.
func TestManagedPluginLendsAndTells(t *testing.T) {
	m := installed(t, "VITRINE_ADMIN_SOCKET=/run/elsewhere/admin.sock")
	folder := m.Path("/etc/docker/vitrine")
	must(t, os.MkdirAll(folder, 0o755))
	must(t, os.WriteFile(filepath.Join(folder, "data.yaml"), []byte("roles: {ops: {access: [ping, list], grant: {max: 1h}}}\nbindings: {admin: [\"unix:root\", \"local\"]}\n"), 0o644))
	m.named()
	says := func(part string, status int, args ...string) string {
		t.Helper()
		out := m.command(status, args...)
		if !strings.Contains(out, part) {
			t.Errorf("authz-plugin %s says no %q:\n%s", strings.Join(args, " "), part, out)
		}
		return out
	}
	becomes := func(status int) {
		t.Helper()
		eventually(t, 20*time.Second, fmt.Sprintf("an answer of %d", status), func() error {
			a, err := get(t.Context(), clientOf(vitrine.As(t, nobody), m.socket), "/containers/json")
			if err == nil && a.status != status {
				err = errors.New(a.String())
			}
			return err
		})
	}
	eventually(t, 20*time.Second, "the policy of the folder", func() error {
		if out, err := m.Command(vitrine.Binary(t), "status").CombinedOutput(); err != nil || !strings.Contains(string(out), "/etc/docker/vitrine") {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	says("asks", 0, "status")
	becomes(http.StatusForbidden)
	who := fmt.Sprintf("uid:%d", nobody)
	says("ContainerList", 0, "decisions", "--denied", "--as", who)

	out := says(who, 0, "grant", "--role", "ops", "--to", who, "--for", "30m", "--reason", "a test")
	id := regexp.MustCompile(`^g-\w+`).FindString(out)
	becomes(http.StatusOK)
	says(id, 0, "grants")
	says("grant "+id, 0, "status")
	must(t, m.Restart())
	m.healthy()
	becomes(http.StatusOK)
	says(id, 0, "grants")

	says(id, 0, "revoke", id)
	becomes(http.StatusForbidden)
	if out := m.command(0, "status"); strings.Contains(out, id) {
		t.Errorf("after its end the grant is still there:\n%s", out)
	}
	says(who, 0, "decisions", "--json", "--denied")
	says("is lent for 1h", 1, "grant", "--role", "ops", "--to", who, "--for", "2h", "--reason", "a test")
	becomes(http.StatusForbidden)
}
