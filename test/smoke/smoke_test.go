// Package smoke does the main job once on every engine but the installed one: two callers of different roles look and
// write through the gateway and past the plugin, and what they may not do does not happen. All the rest is
// test/e2e's, which VITRINE_ENGINE leads to one engine.
//
// Without an engine its test is skipped, and says so; where VITRINE_REQUIRE_ENGINES is set it fails instead.
package smoke

import (
	"net"
	"os"
	"strings"
	"testing"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

const (
	lookUID, makerUID, strangerUID = 4701, 4702, 4703
	secret                         = "s3cr3t"
)

const data = `
strict: true
roles:
  maker: {access: [ping, list, inspect, write]}
bindings:
  admin: ["unix:root"]
  maker: ["uid:4702"]
  look: ["uid:4701", "local"]
`

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(m.Run())
}

func TestMainJob(t *testing.T) {
	for _, name := range []string{"26", "28", "28c"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mainJob(t, name)
		})
	}
}

func mainJob(t *testing.T, name string) {
	e := engine.Start(t, engine.Options{Name: name})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	e.Docker("run", "--detach", "--name", "web", "--env", "TOKEN="+secret, "bb:1", "sleep", "1000")
	p := vitrine.Start(t, vitrine.Options{Engine: e, Data: data})
	p.Plug(nil)
	gateway := func(uid int) func() (net.Conn, error) {
		user := vitrine.As(t, uid)
		return func() (net.Conn, error) { return user.Dial(p.Socket) }
	}
	look, maker, stranger := gateway(lookUID), gateway(makerUID), gateway(strangerUID)
	plugin := func() (net.Conn, error) { return net.Dial("unix", e.Socket) } // dockerd asks it of `local`
	for _, c := range []struct {
		who          string
		dial         func() (net.Conn, error)
		method, path string
		body         string
		status       int
		says, hides  string
	}{
		{"look", look, "GET", "/_ping", "", 200, "OK", ""},
		{"look", look, "GET", "/containers/json", "", 200, "/web", ""},
		{"look", look, "GET", "/containers/web/json", "", 200, `"TOKEN="`, secret},
		{"look", look, "GET", "/containers/web/logs?stdout=1", "", 403, "vitrine: uid:4701 may not ContainerLogs", ""},
		{"look", look, "POST", "/containers/create?name=looks", `{"Image":"bb:1"}`, 403, "vitrine: uid:4701 may not ContainerCreate", ""},
		{"look", look, "POST", "/containers/web/kill", "", 403, "vitrine: uid:4701 may not ContainerKill", ""},
		{"maker", maker, "POST", "/containers/create?name=made", `{"Image":"bb:1","Cmd":["sleep","1000"]}`, 201, `"Id"`, ""},
		{"maker", maker, "POST", "/containers/made/start", "", 204, "", ""},
		{"maker", maker, "POST", "/containers/create?name=rooted", `{"Image":"bb:1","HostConfig":{"Privileged":true}}`, 403, "privileged", ""},
		{"stranger", stranger, "GET", "/containers/json", "", 403, "no role is bound to the caller", ""},
		{"plugin", plugin, "GET", "/containers/json", "", 200, "/made", ""},
		{"plugin", plugin, "GET", "/containers/web/json", "", 403, "which only the gateway can do", secret},
		{"plugin", plugin, "POST", "/containers/create?name=beside", `{"Image":"bb:1"}`, 403, "vitrine: local may not ContainerCreate", ""},
		{"plugin", plugin, "POST", "/containers/web/kill", "", 403, "vitrine: local may not ContainerKill", ""},
		{"look", look, "GET", "/containers/json?all=1", "", 200, "/made", ""},
	} {
		conn, err := c.dial()
		if err != nil {
			t.Fatal(err)
		}
		got, err := vitrine.Ask(conn, c.method, c.path, c.body)
		_ = conn.Close()
		if err != nil || got.Status != c.status || !strings.Contains(got.Body, c.says) || c.hides != "" && strings.Contains(got.Body, c.hides) {
			t.Errorf("%s: %s %s: %.300s (%v), want %d and %q, without %q", c.who, c.method, c.path, got, err, c.status, c.says, c.hides)
		}
	}
	// A refusal is not believed: the admin looks at what there is. By the engine's own command line, too.
	out, err := e.DockerCommand(p.Socket, "ps", "--all", "--format", "{{.Names}} {{.State}}").CombinedOutput()
	if err != nil || string(out) != "made running\nweb running\n" {
		t.Errorf("docker ps of the admin: %v\n%s", err, out)
	}
}
