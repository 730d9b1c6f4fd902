package children

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"vitrine/test/vitrine"
)

// TestASocketForEachClientClosed: two clients who are both the same user are told apart by the socket that each has, and none makes
// a container that has the other's.
func TestASocketForEachClientClosed(t *testing.T) {
	e := shared.For(t)
	data := `
roles:
  make: {access: [ping, list, write], hazards: [host-path, engine-socket, vitrine-files, named-volume]}
bindings:
  admin: ["unix:root", "local"]
  make: ["listener:one"]
  look: ["listener:two"]
`
	p := vitrine.Start(t, vitrine.Options{Engine: e, Data: data, Args: []string{
		"--listen", "one=unix:///run/vitrine/one/docker.sock", "--listen", "two=unix:///run/vitrine/two/docker.sock",
	}})
	user := vitrine.As(t, 4404)
	asks := func(listener string, status int, method, path, body string) {
		t.Helper()
		c, err := user.Dial(e.Path("/run/vitrine/" + listener + "/docker.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := p.Recorded(t, func() {
			if answer, err := vitrine.Ask(c, method, path, body); err != nil || answer.Status != status {
				t.Errorf("by %s: %s %s: %s, %v, want %d", listener, path, body, answer, err, status)
			}
		})
		if !slices.Contains(r.Caller.Principals, "listener:"+listener) {
			t.Errorf("by %s it is known as %q", listener, r.Caller.Principals)
		}
	}
	asks("two", http.StatusOK, "GET", "/info", "")
	asks("one", http.StatusForbidden, "GET", "/info", "")
	asks("two", http.StatusForbidden, "POST", "/containers/create", `{"Image":"caller:1"}`)
	asks("one", http.StatusCreated, "POST", "/containers/create?name=of-one", `{"Image":"caller:1","HostConfig":{"Binds":["/run/vitrine/one:/s"]}}`)
	for _, source := range []string{"/run/vitrine/two", "/run/vitrine/two/docker.sock", "/run/vitrine", "/run", "/var/run/vitrine/two", "/", "/proc/1/root/run"} {
		asks("one", http.StatusForbidden, "POST", "/containers/create", `{"Image":"caller:1","HostConfig":{"Binds":["`+source+`:/s"]}}`)
	}
	if made := e.Docker("ps", "--all", "--format", "{{.Names}}"); strings.TrimSpace(made) != "of-one" {
		t.Errorf("there are %s", made)
	}
	e.Docker("rm", "of-one")
}
