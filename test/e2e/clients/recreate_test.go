package clients

import (
	"encoding/json"
	"strings"

	"vitrine/test/vitrine"
)

// recreate: a role that takes no hazard makes a plain container anew out of what inspect showed
// of it, on this engine, as Watchtower and Portainer do.
func (w *world) recreate() {
	w.e.Docker("run", "--detach", "--name", "plain", "--log-opt", "max-size=10m", "bb:1", "sleep", "1000")
	var shown []map[string]any
	w.check(json.Unmarshal([]byte(w.e.Docker("inspect", "plain")), &shown))
	body, _ := shown[0]["Config"].(map[string]any)
	networks, _ := shown[0]["NetworkSettings"].(map[string]any)
	body["HostConfig"] = shown[0]["HostConfig"]
	body["NetworkingConfig"] = map[string]any{"EndpointsConfig": networks["Networks"]}
	create := func(name string) vitrine.Answer {
		text, err := json.Marshal(body)
		w.check(err)
		c, err := vitrine.As(w.T, recreatorUID).Dial(w.p.Socket)
		w.check(err)
		defer c.Close()
		answer, err := vitrine.Ask(c, "POST", "/containers/create?name="+name, string(text))
		w.check(err)
		return answer
	}
	if got := create("plain.new"); got.Status != 201 {
		w.Errorf("%s", got)
	}
	host, _ := body["HostConfig"].(map[string]any)
	host["MaskedPaths"], host["Runtime"] = []string{}, "other"
	const why = "does not take the hazards runtime (HostConfig.Runtime), unmasked (HostConfig.MaskedPaths)"
	if got := create("plain.other"); got.Status != 403 || !strings.Contains(got.Body, why) {
		w.Errorf("%s, want it to say %q", got, why)
	}
}
