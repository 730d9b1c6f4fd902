package usecases

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"vitrine/test/vitrine"
)

const watchtower = "container:watchtower"

// anew is what Watchtower does with a container, by its calls in their order: github.com/containrrr/watchtower, pkg/container/client.go.
type anew struct {
	*world
	was     container.InspectResponse
	image   struct{ Config *container.Config }
	created string
}

func (a *anew) must(status int, method, uri string, body any) vitrine.Answer {
	a.Helper()
	text := ""
	if body != nil {
		b, err := json.Marshal(body)
		must(a, err)
		text = string(b)
	}
	got := a.ask(watchtower, method, uri, text)
	if got.Status != status {
		a.Errorf("%s %s was answered %s", method, uri, got)
	}
	return got
}

// takeAway reads what there is, then kills and removes it.
func (a *anew) takeAway(name string) {
	a.Helper()
	must(a, json.Unmarshal([]byte(a.must(200, "GET", "/v1.41/containers/"+name+"/json", nil).Body), &a.was))
	must(a, json.Unmarshal([]byte(a.must(200, "GET", "/v1.41/images/"+a.was.Image+"/json", nil).Body), &a.image))
	a.must(204, "POST", "/v1.41/containers/"+a.was.ID+"/kill?signal=SIGKILL", nil)
	a.must(204, "DELETE", "/v1.41/containers/"+a.was.ID+"?force=1&v=0", nil)
	a.must(404, "GET", "/v1.41/containers/"+a.was.ID+"/json", nil)
}

// create is the body: what is the image's own is left to the image again, and of several networks one is named.
func (a *anew) create() map[string]any {
	a.Helper()
	config := *a.was.Config
	if slices.Equal(config.Entrypoint, a.image.Config.Entrypoint) {
		config.Entrypoint = nil
		if slices.Equal(config.Cmd, a.image.Config.Cmd) {
			config.Cmd = nil
		}
	}
	config.Env = slices.DeleteFunc(slices.Clone(config.Env), func(v string) bool { return slices.Contains(a.image.Config.Env, v) })
	first := map[string]*network.EndpointSettings{}
	for name, endpoint := range a.was.NetworkSettings.Networks {
		endpoint.Aliases = slices.DeleteFunc(endpoint.Aliases, func(alias string) bool { return strings.HasPrefix(a.was.ID, alias) })
		if len(first) == 0 {
			first[name] = endpoint
		}
	}
	b, err := json.Marshal(struct {
		*container.Config
		HostConfig       *container.HostConfig
		NetworkingConfig *network.NetworkingConfig
	}{&config, a.was.HostConfig, &network.NetworkingConfig{EndpointsConfig: first}})
	must(a, err)
	var body map[string]any
	must(a, json.Unmarshal(b, &body))
	return body
}

// connect disconnects what was made from its one network, and connects it to all.
func (a *anew) connect(body map[string]any) {
	a.Helper()
	for name := range body["NetworkingConfig"].(map[string]any)["EndpointsConfig"].(map[string]any) {
		a.must(200, "POST", "/v1.41/networks/"+name+"/disconnect", map[string]any{"Container": a.created, "Force": true})
	}
	for name, endpoint := range a.was.NetworkSettings.Networks {
		a.must(200, "POST", "/v1.41/networks/"+name+"/connect", map[string]any{"Container": a.created, "EndpointConfig": endpoint})
	}
}

// TestWatchtower makes containers of a real Engine anew as Watchtower does, and tries to gain by it.
func TestWatchtower(t *testing.T) {
	e := shared.For(t)
	for _, image := range images {
		e.Docker("tag", "bb:1", image)
	}
	w := begin(t, e.For(t), useCases(t)["watchtower"])
	for _, name := range []string{"front", "back"} {
		e.Docker("network", "create", name)
		t.Cleanup(func() { _ = e.DockerCommand(e.Socket, "network", "rm", name).Run() })
	}
	w.container("rich", "bb:1", "--label", "com.centurylinklabs.watchtower.enable=true", "--security-opt", "no-new-privileges", "--volume", w.home+"/srv:/data", "--volume", "kept:/kept",
		"--publish", "18080:80", "--env", "MODE=safe", "--cap-drop", "NET_RAW", "--memory", "64m", "--log-opt", "max-size=1m", "--pid", "host", "--device", "/dev/null:/dev/nil",
		"--network", "front", "--network-alias", "site", "--restart", "always", "--user", "0:0", "--sysctl", "net.ipv4.ip_forward=1", "--add-host", "a:10.0.0.1", "--ulimit", "nofile=100", "--tmpfs", "/t")
	e.Docker("network", "connect", "--alias", "store", "back", "rich")
	a := &anew{world: w}
	a.takeAway("rich")

	attacks := map[string]func(body, host map[string]any){
		"another folder":  func(_, host map[string]any) { host["Binds"] = []any{"/:/data"} },
		"another command": func(body, _ map[string]any) { body["Cmd"] = []any{"sh", "-c", "id"} },
		"another image":   func(body, _ map[string]any) { body["Image"] = "alpine" },
		"a variable more": func(body, _ map[string]any) { body["Env"] = []any{"MODE=safe", "LD_PRELOAD=/x"} },
		"less confined":   func(_, host map[string]any) { delete(host, "CapDrop") },
		"a device more":   func(_, host map[string]any) { host["Devices"] = []any{map[string]any{"PathOnHost": "/dev/mem"}} },
	}
	for name, change := range attacks {
		body := a.create()
		change(body, body["HostConfig"].(map[string]any))
		if got := a.must(403, "POST", "/v1.41/containers/create?name=rich", body); !strings.Contains(got.Body, `it is not what container \"rich\" was`) {
			t.Errorf("%s: %s", name, got)
		}
	}
	body := a.create()
	a.must(403, "POST", "/v1.41/containers/create?name=other", body)
	for _, other := range []string{"container:thief"} {
		text, _ := json.Marshal(body)
		if got := w.ask(other, "POST", "/v1.41/containers/create?name=rich", string(text)); got.Status != 403 {
			t.Errorf("%s: %s", other, got)
		}
	}
	var made struct{ ID string }
	must(t, json.Unmarshal([]byte(a.must(201, "POST", "/v1.41/containers/create?name=/rich", body).Body), &made))
	a.created = made.ID
	a.connect(body)
	a.must(403, "POST", "/v1.41/networks/front/connect", map[string]any{"Container": a.created, "EndpointConfig": map[string]any{"Aliases": []string{"vault"}}})
	a.must(204, "POST", "/v1.41/containers/"+a.created+"/start", nil)

	var is container.InspectResponse
	must(t, json.Unmarshal([]byte(a.must(200, "GET", "/v1.41/containers/rich/json", nil).Body), &is))
	if is.ID == a.was.ID || !reflect.DeepEqual(is.HostConfig, a.was.HostConfig) || !reflect.DeepEqual(is.Config.Env, a.was.Config.Env) {
		t.Errorf("made %+v of %+v", is.HostConfig, a.was.HostConfig)
	}
	for name, endpoint := range a.was.NetworkSettings.Networks {
		if got := is.NetworkSettings.Networks[name]; got == nil || !got.IPAddress.IsValid() || got.IPAddress == (netip.Addr{}) || got.NetworkID != endpoint.NetworkID {
			t.Errorf("network %s: %+v", name, got)
		}
	}
	// A plain one, twice, and one that is renamed first.
	a = &anew{world: w}
	for range 2 {
		a.takeAway("blog")
		a.must(201, "POST", "/v1.41/containers/create?name=blog", a.create())
		a.must(204, "POST", "/v1.41/containers/blog/start", nil)
	}
	a.must(204, "POST", "/v1.41/containers/blog/rename?name=blog-old", nil)
	t.Cleanup(func() { _ = e.DockerCommand(e.Socket, "rm", "--force", "blog-old").Run() })
	a.must(201, "POST", "/v1.41/containers/create?name=blog", a.create())
	a.must(204, "POST", "/v1.41/containers/blog/start", nil)
	// An image that sets the label itself: nobody can tell who gave it, and what the tool made of it is its own all the same.
	e.Docker("tag", "bb:1", "site:1")
	w.container("site", "site:1", "--label", "com.centurylinklabs.watchtower.enable=true", "--pid", "host")
	e.Docker("commit", "--change", "LABEL com.centurylinklabs.watchtower.enable=true", "site", "site:2")
	s := &anew{world: w}
	s.takeAway("site")
	body = s.create()
	body["Image"] = "site:2"
	s.must(201, "POST", "/v1.41/containers/create?name=site", body)
	for _, what := range []string{"start", "stop?t=0", "start"} {
		s.must(204, "POST", "/v1.41/containers/site/"+what, nil)
	}
	// Whoever else renames a container onto a name that was stopped gives nothing away.
	a.takeAway("blog")
	e.Docker("rename", "db", "blog")
	t.Cleanup(func() { _ = e.DockerCommand(e.Socket, "rm", "--force", "blog").Run() })
	a.must(403, "DELETE", "/v1.41/containers/blog?force=1", nil)
	a.must(409, "POST", "/v1.41/containers/create?name=blog", a.create())
}
