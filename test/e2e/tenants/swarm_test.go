package tenants

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const swarmData = `
roles:
  tenant:
    access: [ping, list, inspect, stream, content, secret]
    hazards: [env]
    where: {team: blue}
bindings:
  admin: ["unix:root", "local"]
  tenant: ["uid:4301"]
`

// TestSwarmClosed: of services, their tasks, secrets, configs and nodes those are there that have the view's labels, a task's being its service's: lists
// leave out the others, and what names one is answered as if there were none.
func TestSwarmClosed(t *testing.T) {
	t.Parallel()
	w := worldOf(t, swarmData)
	if got := w.ask(a, http.MethodGet, "/services/planted", ""); got.Status != http.StatusServiceUnavailable || !strings.Contains(got.Body, "swarm") || strings.Contains(got.Body, "vitrine") {
		t.Errorf("without a swarm: %s", got)
	}
	w.e.Docker("swarm", "init", "--advertise-addr", "127.0.0.1")
	node := strings.TrimSpace(w.e.Docker("node", "ls", "--format", "{{.ID}}"))
	ids := map[string]string{}
	for word, team := range map[string]string{"mine": "blue", "planted": "plantedteam"} {
		for _, kind := range []string{"secret", "config"} {
			ids[kind+word] = strings.TrimSpace(w.e.Docker(kind, "create", "--label", "team="+team, "--label", "note="+word, word+kind, "/etc/hostname"))
		}
		ids["service"+word] = strings.TrimSpace(w.e.Docker("service", "create", "--detach", "--quiet", "--name", word+"service", "--label", "team="+team, "--label", "note="+word,
			"--container-label", "team=blue", "--no-resolve-image", "bb:1", "sleep", "1000"))
		w.p.Eventually("a task of "+word, func() error {
			ids["task"+word] = strings.TrimSpace(w.e.Docker("service", "ps", "--no-trunc", "--quiet", word+"service"))
			if ids["task"+word] == "" {
				return http.ErrNoLocation
			}
			return nil
		})
	}
	w.planted = []string{"planted", ids["secretplanted"], ids["configplanted"], ids["serviceplanted"], ids["taskplanted"]}
	for _, list := range []string{"/services", "/tasks", "/secrets", "/configs", "/nodes", "/info", "/services?status=1", "/tasks?filters=" + url.QueryEscape(`{"desired-state":["running"]}`)} {
		got := w.ask(a, http.MethodGet, list, "")
		mine := ids[strings.TrimPrefix(strings.TrimSuffix(strings.FieldsFunc(list, func(r rune) bool { return r == '?' })[0], "s"), "/")+"mine"]
		if got.Status != http.StatusOK || mine != "" && !strings.Contains(got.Body, mine) || list == "/nodes" && strings.Contains(got.Body, node) {
			t.Errorf("%s: %s", list, got)
		}
	}
	asked := func(path, ref string) (int, string) {
		got := w.ask(a, http.MethodGet, strings.ReplaceAll(path, "REF", url.QueryEscape(ref)), "")
		return got.Status, request.ReplaceAllString(strings.ReplaceAll(got.Body, ref, "REF"), "")
	}
	for _, kind := range []string{"service", "task", "secret", "config", "node"} {
		id, path := ids[kind+"planted"], "/"+kind+"s/REF"
		if kind == "node" {
			id = node
		} else if status, body := asked(path, ids[kind+"mine"]); status != http.StatusOK {
			t.Errorf("its own %s: %d %s", kind, status, body)
		}
		paths := []string{path, `/` + kind + `s?filters={"id":["REF"]}`}
		switch kind {
		case "service", "task":
			paths = append(paths, path+"/logs?stdout=1", `/tasks?filters={"service":["REF"]}`)
		case "node":
			paths = append(paths, `/tasks?filters={"node":["REF"]}`)
		}
		for _, path := range paths {
			for _, ref := range []string{id, id[:12], "planted" + kind} {
				if ref == "plantednode" || ref == "plantedtask" {
					continue
				}
				none := strings.Replace(strings.Replace(ref, id[:6], "000000", 1), "planted", "missing", 1)
				status, hidden := asked(path, ref)
				if missing, absent := asked(path, none); status != missing || hidden != absent {
					t.Errorf("%s of %s: %d %s; of what does not exist: %d %s", path, ref, status, hidden, missing, absent)
				}
			}
		}
	}
	// A node with the label is there.
	w.e.Docker("node", "update", "--label-add", "team=blue", node)
	if status, body := asked("/nodes/REF", node); status != http.StatusOK {
		t.Errorf("a node: %d %s", status, body)
	}
	if got := w.ask(a, http.MethodGet, "/nodes", ""); !strings.Contains(got.Body, node) {
		t.Errorf("nodes: %s", got)
	}
	w.refused(http.MethodDelete, "/services/mineservice", "", http.StatusForbidden)
}
