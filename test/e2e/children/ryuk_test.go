package children

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"vitrine/test/vitrine"
)

// ryuk is the create that testcontainers-go v0.45.0 sends for its reaper (reaper.go, newReaper; lifecycle.go,
// preCreateContainerHook), in the types that it sends: the image is another one here, which does not reap by itself.
func ryuk(t *testing.T, session, bridge string) string {
	t.Helper()
	port := network.MustParsePort("8080/tcp")
	body, err := json.Marshal(container.CreateRequest{
		Config: &container.Config{
			Image: "testcontainers/ryuk:0.14.0", Cmd: []string{"sleep", "10000"}, Env: []string{"RYUK_CONNECTION_TIMEOUT=1m0s", "RYUK_RECONNECTION_TIMEOUT=10s"},
			ExposedPorts: network.PortSet{port: struct{}{}},
			Labels: map[string]string{
				"org.testcontainers": "true", "org.testcontainers.lang": "go", "org.testcontainers.version": "0.45.0",
				"org.testcontainers.sessionId": session, "org.testcontainers.reaper": "true", "org.testcontainers.ryuk": "true",
			},
		},
		HostConfig: &container.HostConfig{
			AutoRemove: true, Binds: []string{"/var/run/docker.sock:/var/run/docker.sock"}, NetworkMode: "bridge",
			PortBindings: network.PortMap{port: []network.PortBinding{{HostIP: netip.Addr{}, HostPort: ""}}},
		},
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"bridge": {Aliases: []string{}, NetworkID: bridge}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestTestcontainersReaps: Ryuk's own create passes unchanged, and what it asks with the socket that it was given removes what its
// session made, and nothing of another's with the same labels.
func TestTestcontainersReaps(t *testing.T) {
	w := begin(t, vitrine.Options{})
	w.e.Docker("tag", "caller:1", "testcontainers/ryuk:0.14.0")
	const session = "0f1e2d3c"
	var bridge struct{ ID string }
	if answer := w.want(http.StatusOK, "runner", "GET", "/networks/bridge", ""); json.Unmarshal([]byte(answer.Body), &bridge) != nil {
		t.Fatal(answer)
	}
	for _, path := range []string{"/_ping", "/info", "/networks", "/images/testcontainers/ryuk:0.14.0/json"} {
		w.want(http.StatusOK, "runner", "GET", path, "")
	}
	w.child("runner", "reaper_"+session, ryuk(t, session, bridge.ID))
	if id := w.inspect("reaper_"+session, `{{index .HostConfig.Binds 0}}`); id != folder+"/docker.sock:/var/run/docker.sock" {
		t.Errorf("Ryuk has %s", id)
	}
	labelled := strings.Replace(`{"Image":"caller:1","Cmd":["sleep","10000"],"Labels":{"org.testcontainers.sessionId":"SESSION","org.testcontainers.reap":"true"}}`, "SESSION", session, 1)
	for owner, name := range map[string]string{"runner": "database", "other": "its"} {
		w.child(owner, name, labelled)
		w.want(http.StatusCreated, owner, "POST", "/networks/create", `{"Name":"net`+name+`","Labels":{"org.testcontainers.sessionId":"`+session+`"}}`)
		w.want(http.StatusCreated, owner, "POST", "/volumes/create", `{"Name":"vol`+name+`","Labels":{"org.testcontainers.sessionId":"`+session+`"}}`)
	}

	// What Ryuk asks to reap a session: lists by label, and removals.
	reaper := "reaper_" + session
	filter := "filters=" + url.QueryEscape(`{"label":{"org.testcontainers.sessionId=`+session+`":true}}`)
	for _, of := range []struct{ list, within, remove, parameters string }{
		{"/containers/json?all=1&" + filter, "", "/containers/", "?force=1&v=1"},
		{"/networks?" + filter, "", "/networks/", ""},
		{"/volumes?" + filter, "Volumes", "/volumes/", "?force=1"},
	} {
		answer := w.want(http.StatusOK, reaper, "GET", of.list, "")
		text := []byte(answer.Body)
		if of.within != "" {
			var in map[string]json.RawMessage
			if err := json.Unmarshal(text, &in); err != nil {
				t.Fatal(err)
			}
			text = in[of.within]
		}
		var found []struct {
			ID, Name string
			Labels   map[string]string
		}
		if err := json.Unmarshal(text, &found); err != nil {
			t.Fatal(err)
		}
		removed := 0
		for _, object := range found {
			if object.Labels["org.testcontainers.ryuk"] == "true" {
				continue
			}
			ref := object.ID
			if ref == "" {
				ref = object.Name
			}
			w.want(http.StatusNoContent, reaper, "DELETE", of.remove+ref+of.parameters, "")
			removed++
		}
		if removed != 1 {
			t.Errorf("%s: %d removed, want one: %s", of.list, removed, answer.Body)
		}
	}
	its := w.e.Docker("ps", "--format", "{{.Names}}", "--filter", "name=^its$") + w.e.Docker("network", "ls", "--format", "{{.Name}}", "--filter", "name=netits") +
		w.e.Docker("volume", "ls", "--format", "{{.Name}}", "--filter", "name=volits")
	if its != "itsnetitsvolits" {
		t.Errorf("of the other one's things are left %s", its)
	}
	w.want(http.StatusNotFound, reaper, "DELETE", "/containers/its?force=1", "")
	w.e.Docker("rm", "--force", "its")
	w.e.Docker("network", "rm", "netits")
	w.e.Docker("volume", "rm", "volits")
}
